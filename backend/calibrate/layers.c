/* Models of one, two or many layers of a kernel, from templates, for calibration.
 *
 * In a template $a .. $e are the sizes; $f: outputs of a window of $d with padding $d/2, stride $e, over $a; $p: $d/2;
 * "@": elements; {$0.5}: [$b] times 0.5.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/calibrate/calibrate.h"
#include "ir/base/rng.h"

#define X8     "%x = input : i8[1,$a,$a,$b] q(0.05, -3)\n"
#define X32    "%x = input : f32[1,$a,$a,$b]\n"
#define V8     "%x = input : i8[$a,$b] q(0.05, -3)\n"
#define V32    "%x = input : f32[$a,$b]\n"
#define WINDOW "{strides=[$e,$e], pads=[$p,$p,$p,$p], act=relu}"
#define POOL   "{kernel=[$d,$d], strides=[$e,$e], pads=[$p,$p,$p,$p]}"
/* Sizes that a fit is made from, ended by zeros: more rows than features. */
static const int windows[][SIZES] = {{8, 4, 8, 3, 1},
                                     {10, 3, 8, 3, 2},
                                     {6, 16, 16, 3, 1},
                                     {8, 16, 16, 1, 1},
                                     {4, 32, 32, 1, 1},
                                     {5, 8, 4, 5, 1},
                                     {8, 32, 24, 3, 1},
                                     {4, 64, 32, 3, 1},
                                     {12, 8, 8, 3, 1},
                                     {7, 12, 20, 1, 1},
                                     {16, 16, 16, 3, 1},
                                     {12, 32, 32, 3, 1},
                                     {20, 12, 40, 3, 1},
                                     {12, 1, 32, 5, 2},
                                     {12, 2, 16, 5, 1},
                                     {16, 3, 16, 3, 1},
                                     {0}};
static const int channels[][SIZES] = {{8, 8, 0, 3, 1},
                                      {6, 16, 0, 3, 1},
                                      {10, 24, 0, 3, 2},
                                      {7, 4, 0, 5, 1},
                                      {5, 64, 0, 3, 1},
                                      {12, 20, 0, 3, 1},
                                      {9, 40, 0, 3, 2},
                                      {6, 12, 0, 1, 1},
                                      {9, 16, 0, 5, 2},
                                      {6, 32, 0, 1, 1},
                                      {0}};
static const int pools[][SIZES] = {{8, 8, 0, 3, 2},  {6, 16, 0, 3, 1}, {9, 4, 0, 5, 2},  {5, 64, 0, 5, 5},
                                   {8, 20, 0, 3, 2}, {7, 40, 0, 3, 1}, {6, 12, 0, 1, 1}, {0}};
static const int dense[][SIZES] = {{1, 64, 10},  {1, 16, 32}, {1, 256, 8}, {1, 8, 4}, {4, 32, 12},
                                   {1, 640, 16}, {3, 20, 9},  {2, 100, 6}, {0}};
static const int images[][SIZES] = {{8, 8},  {4, 32},  {6, 16},  {12, 3}, {5, 7},
                                    {3, 48}, {10, 20}, {2, 128}, {0}};
static const int corners[][SIZES] = {{2, 8}, {1, 32}, {3, 16}, {2, 3}, {4, 24}, {0}};
static const int vectors[][SIZES] = {{1, 40}, {1, 300}, {8, 16}, {20, 10}, {3, 100}, {16, 7}, {0}};

/* Steps, hidden units, gates' values: of Gru, Lstm, Rnn. */
static const int grus[][SIZES] = {
    {1, 5, 4, 12}, {1, 12, 8, 24}, {1, 3, 24, 72}, {1, 20, 6, 18}, {1, 2, 40, 120}, {1, 9, 16, 48}, {0}};
static const int lstms[][SIZES] = {
    {1, 5, 4, 16}, {1, 12, 8, 32}, {1, 3, 24, 96}, {1, 20, 6, 24}, {1, 2, 40, 160}, {1, 9, 16, 64}, {0}};
static const int rnns[][SIZES] = {
    {1, 5, 4, 4}, {1, 12, 8, 8}, {1, 3, 24, 24}, {1, 20, 6, 6}, {1, 2, 40, 40}, {1, 9, 16, 16}, {0}};
#define CELL "%x = input : f32[1,$b,$d]\n%w = const : f32[$d,$c] @\n"

const Family families[] = {
    {"conv_s8",
     X8 "%w = const : i8[$c,$d,$d,$b] q(0.01, 0) @\n%v = const : i32[$c] q(0.0005, 0) @\n"
        "%y = Conv(%x, %w, %v) " WINDOW " : i8[1,$f,$f,$c] q(0.1, -128)\n",
     windows},
    {"depthwise_s8",
     X8 "%w = const : i8[1,$d,$d,$b] q(0.01, 0) @\n%v = const : i32[$b] q(0.0005, 0) @\n"
        "%y = DepthwiseConv(%x, %w, %v) " WINDOW " : i8[1,$f,$f,$b] q(0.1, -128)\n",
     channels},
    {"fc_s8",
     V8 "%w = const : i8[$c,$b] q(0.01, 0) @\n%v = const : i32[$c] q(0.0005, 0) @\n"
        "%y = FullyConnected(%x, %w, %v) : i8[$a,$c] q(0.1, 0)\n",
     dense},
    {"conv_s4",
     X8 "%w = const : i4[$c,$d,$d,$b] q(0.1, 0) @\n%v = const : i32[$c] q(0.005, 0) @\n"
        "%y = Conv(%x, %w, %v) " WINDOW " : i8[1,$f,$f,$c] q(1, -128)\n",
     windows},
    {"fc_s4",
     V8 "%w = const : i4[$c,$b] q(0.1, 0) @\n%v = const : i32[$c] q(0.005, 0) @\n"
        "%y = FullyConnected(%x, %w, %v) : i8[$a,$c] q(1, 0)\n",
     dense},
    {"max_pool_s8", X8 "%y = MaxPool(%x) " POOL " : i8[1,$f,$f,$b] q(0.05, -3)\n", pools},
    {"avg_pool_s8", X8 "%y = AveragePool(%x) " POOL " : i8[1,$f,$f,$b] q(0.05, -3)\n", pools},
    {"mean_s8", X8 "%y = ReduceMean(%x) {axes=[1,2]} : i8[1,1,1,$b] q(0.03, 2)\n", images},
    {"add_s8", X8 "%w = const : i8[1,$a,$a,$b] q(0.04, 0) @\n%y = Add(%x, %w) : i8[1,$a,$a,$b] q(0.07, 2)\n",
     images},
    {"mul_s8", X8 "%w = const : i8[1,$a,$a,$b] q(0.04, 0) @\n%y = Mul(%x, %w) : i8[1,$a,$a,$b] q(0.2, 2)\n",
     images},
    {"max_s8",
     X8 "%w = const : i8[1,$a,$a,$b] q(0.05, -3) @\n%y = Max(%x, %w) : i8[1,$a,$a,$b] q(0.05, -3)\n", images},
    {"min_s8",
     X8 "%w = const : i8[1,$a,$a,$b] q(0.05, -3) @\n%y = Min(%x, %w) : i8[1,$a,$a,$b] q(0.05, -3)\n", images},
    {"lut_s8", V8 "%y = Tanh(%x) : i8[$a,$b] q(0.0078125, 0)\n", vectors},
    {"softmax_s8", V8 "%y = Softmax(%x) : i8[$a,$b] q(0.00390625, -128)\n", vectors},
    {"requantize_s8", V8 "%y = Quantize(%x) : i8[$a,$b] q(0.1, 5)\n", vectors},
    {"quantize_f32_s8", V32 "%y = Quantize(%x) : i8[$a,$b] q(0.01, 5)\n", vectors},
    {"dequantize_s8", V8 "%y = Dequantize(%x) : f32[$a,$b]\n", vectors},
    {"copy", X8 "%y = Transpose(%x) {perm=[0,3,1,2]}\n", images},
    {"fill", X8 "%y = Pad(%x) {pads=[0,9,9,0,0,9,9,0]}\n", corners},
    {"conv_f32",
     X32 "%w = const : f32[$c,$d,$d,$b] @\n%v = const : f32[$c] @\n"
         "%y = Conv(%x, %w, %v) " WINDOW " : f32[1,$f,$f,$c]\n",
     windows},
    {"depthwise_f32",
     X32 "%w = const : f32[1,$d,$d,$b] @\n%v = const : f32[$b] @\n"
         "%y = DepthwiseConv(%x, %w, %v) " WINDOW " : f32[1,$f,$f,$b]\n",
     channels},
    {"fc_f32",
     V32 "%w = const : f32[$c,$b] @\n%v = const : f32[$c] @\n"
         "%y = FullyConnected(%x, %w, %v) : f32[$a,$c]\n",
     dense},
    {"matmul_f32", V32 "%w = input : f32[$b,$c]\n%y = MatMul(%x, %w) : f32[$a,$c]\n", dense},
    {"max_pool_f32", X32 "%y = MaxPool(%x) " POOL " : f32[1,$f,$f,$b]\n", pools},
    {"avg_pool_f32", X32 "%y = AveragePool(%x) " POOL " : f32[1,$f,$f,$b]\n", pools},
    {"mean_f32", X32 "%y = ReduceMean(%x) {axes=[1,2]} : f32[1,1,1,$b]\n", images},
    {"affine_f32",
     X32 "%s = const : f32[$b] @\n%v = const : f32[$b] {$0.5}\n"
         "%y = BatchNormalization(%x, %s, %s, %s, %v) : f32[1,$a,$a,$b]\n",
     images},
    {"add_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Add(%x, %w)\n", images},
    {"sub_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Sub(%x, %w)\n", images},
    {"mul_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Mul(%x, %w)\n", images},
    {"div_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Div(%x, %w)\n", images},
    {"max_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Max(%x, %w)\n", images},
    {"min_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Min(%x, %w)\n", images},
    {"relu_f32", V32 "%y = Relu(%x)\n", vectors},
    {"clip_f32", V32 "%y = Clip(%x) {lo=-0.25, hi=0.5}\n", vectors},
    {"leaky_relu_f32", V32 "%y = LeakyRelu(%x)\n", vectors},
    {"exp_f32", V32 "%y = Exp(%x)\n", vectors},
    {"sqrt_f32", V32 "%y = Sqrt(%x)\n", vectors},
    {"sigmoid_f32", V32 "%y = Sigmoid(%x)\n", vectors},
    {"tanh_f32", V32 "%y = Tanh(%x)\n", vectors},
    {"softmax_f32", V32 "%y = Softmax(%x)\n", vectors},
    {"gru_f32", CELL "%y = Gru(%x, %w) {hidden=$c, batch_first=1, linear_before_reset=1}\n", grus},
    {"lstm_f32", CELL "%y = Lstm(%x, %w) {hidden=$c, batch_first=1}\n", lstms},
    {"rnn_f32", CELL "%y = Rnn(%x, %w) {hidden=$c, batch_first=1, acts=[1,1,1]}\n", rnns},
};
const int n_families = (int)(sizeof families / sizeof *families);

/* -- models from templates -- */

/* Elements for the constant whose type stands at the end of `out`: "... f32[2,3]" or "... i8[4] q(...)". */
static void put_elements(StrBuf *out, Rng *r) {
  const char *p = out->s + out->len, *type = NULL;
  while (!type) type = strncmp(--p, "const : ", 8) == 0 ? p + 8 : NULL;
  const char *dims = strchr(type, '[');
  int64_t n = 1;
  for (p = dims; *p != ']'; p += strcspn(p + 1, ",]") + 1) n *= strtoll(p + 1, NULL, 10);
  const bool floats = *type == 'f', few = strncmp(type, "i4", 2) == 0;
  sb_putc(out, '{');
  for (int64_t i = 0; i < n; i++) {
    if (i) sb_putc(out, ',');
    if (floats)
      sb_float(out, rng_normal(r) * 0.5f);
    else
      sb_printf(out, "%d", few ? (int)rng_below(r, 15) - 7 : (int)rng_below(r, 255) - 127);
  }
  sb_putc(out, '}');
}

/* The template with its sizes; values are named %x, or, in the second copy, %x2, and so on. */
static void put_template(StrBuf *out, const char *text, const int *size, int copy, Rng *r) {
  for (; *text; text++) {
    if (*text == '@') {
      put_elements(out, r);
    } else if (*text == '%') {
      sb_write(out, text++, 2);
      if (copy > 1) sb_printf(out, "%d", copy);
    } else if (*text != '$') {
      sb_putc(out, *text);
    } else if (*++text == 'p') {
      sb_printf(out, "%d", size[3] / 2);
    } else if (*text == 'f') {
      sb_printf(out, "%d", (size[0] + size[3] / 2 * 2 - size[3]) / size[4] + 1);
    } else if (*text == '0') { /* "{$0.5}": [$b] times 0.5 */
      for (int i = 0; i < size[1]; i++) sb_puts(out, i ? ",0.5" : "0.5");
      text += 2;
    } else {
      sb_printf(out, "%d", size[*text - 'a']);
    }
  }
}

Graph *layers_make(const char *text, const int *const *sizes, int n, const char *anchor, Diag *d) {
  StrBuf out = {0};
  Rng r;
  rng_seed(&r, 3, 0);
  sb_puts(&out, "graph\n");
  for (int i = 0; i < n; i++) put_template(&out, text, sizes[i], i + 1, &r);
  if (anchor) put_template(&out, anchor, sizes[0], 1, &r);
  if (!strstr(text, "output")) {
    for (int i = 0; i < n; i++) {
      sb_puts(&out, i ? ", %y" : "output %y");
      if (i) sb_printf(&out, "%d", i + 1);
    }
    sb_puts(&out, anchor ? ", %z\n" : "\n");
  }
  Graph *g = graph_parse(sb_str(&out), "template", d);
  sb_free(&out);
  if (g && graph_verify(g, d)) return g;
  graph_free(g);
  return NULL;
}
