/* How long compilers take over generated C: MobileNetV2 (1.0, 224 x 224, 1000 classes), int8 and float32, in one file and
 * split, for PC and Cortex-M4; the aim is 10 s for each.
 *
 *   bench/compile-time      writes bench/results/compile-time.json
 *
 * The net is made here, with random weights: what is compiled hangs on shapes and the number of weights. Seconds of a
 * processor (user and system, so that other work on the machine does not count) for all the model's sources, by the
 * target's compiler with its flags; shared kernels, and kernels specialised by shapes (--optimize speed).
 */
#define _XOPEN_SOURCE 700

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"

enum { SIZE = 224, AIM = 10 };

static Diag *diag;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

/* -- the net, as text -- */

typedef struct Net {
  StrBuf text;
  Rng rng;
  bool int8;
  int next, size, channels; /* of the last value, %next-1 */
} Net;

static void put_values(Net *n, int64_t count) {
  sb_putc(&n->text, '{');
  for (int64_t i = 0; i < count; i++) {
    if (i) sb_puts(&n->text, ", ");
    if (n->int8)
      sb_printf(&n->text, "%d", (int)rng_below(&n->rng, 255) - 127);
    else
      sb_float(&n->text, rng_normal(&n->rng) * 0.1f);
  }
  sb_puts(&n->text, "}\n");
}

static void put_type(Net *n, const char *shape, double scale, int zero) {
  sb_printf(&n->text, "%s%s", n->int8 ? "i8" : "f32", shape);
  if (n->int8) sb_printf(&n->text, " q(%g, %d)", scale, zero);
}

/* Conv or DepthwiseConv of the last value. */
static void put_conv(Net *n, int out, int kernel, int stride, bool depthwise, bool act) {
  char shape[64];
  const int in = n->channels, from = n->next - 1, size = (n->size + stride - 1) / stride;
  const int w = n->next++, b = n->next++, y = n->next++;
  sb_printf(&n->text, "%%%d = const : ", w);
  snprintf(shape, sizeof shape, "[%d,%d,%d,%d]", depthwise ? 1 : out, kernel, kernel, in);
  put_type(n, shape, 0.01, 0);
  sb_putc(&n->text, ' ');
  put_values(n, (int64_t)(depthwise ? 1 : out) * kernel * kernel * in);
  sb_printf(&n->text, "%%%d = const : %s[%d]", b, n->int8 ? "i32" : "f32", out);
  if (n->int8) sb_printf(&n->text, " q(0.0005, 0)");
  sb_putc(&n->text, ' ');
  put_values(n, out);
  const int pad = kernel / 2, after = pad - (stride == 2 && kernel > 1);
  sb_printf(&n->text, "%%%d = %s(%%%d, %%%d, %%%d) {pads=[%d,%d,%d,%d], strides=[%d,%d]%s} : ", y,
            depthwise ? "DepthwiseConv" : "Conv", from, w, b, after < 0 ? 0 : after, after < 0 ? 0 : after,
            pad, pad, stride, stride, act ? ", act=relu6" : "");
  snprintf(shape, sizeof shape, "[1,%d,%d,%d]", size, size, out);
  put_type(n, shape, 0.05, act ? -128 : 0);
  sb_putc(&n->text, '\n');
  n->channels = out;
  n->size = size;
}

static void put_block(Net *n, int expand, int out, int stride) {
  char shape[64];
  const int input = n->next - 1, in = n->channels;
  if (expand > 1) put_conv(n, in * expand, 1, 1, false, true);
  put_conv(n, in * expand, 3, stride, true, true);
  put_conv(n, out, 1, 1, false, false);
  if (stride != 1 || in != out) return;
  sb_printf(&n->text, "%%%d = Add(%%%d, %%%d) : ", n->next, input, n->next - 1);
  snprintf(shape, sizeof shape, "[1,%d,%d,%d]", n->size, n->size, out);
  put_type(n, shape, 0.05, 0);
  sb_putc(&n->text, '\n');
  n->next++;
}

static void put_classifier(Net *n) {
  const int c = n->channels, pool = n->next++, flat = n->next++, w = n->next++, y = n->next++;
  char shape[64];
  sb_printf(&n->text, "%%%d = AveragePool(%%%d) {kernel=[%d,%d]} : ", pool, pool - 1, n->size, n->size);
  snprintf(shape, sizeof shape, "[1,1,1,%d]", c);
  put_type(n, shape, 0.05, -128);
  sb_printf(&n->text, "\n%%%d = Reshape(%%%d) {shape=[1,%d]}\n%%%d = const : ", flat, pool, c, w);
  snprintf(shape, sizeof shape, "[1000,%d]", c);
  put_type(n, shape, 0.01, 0);
  sb_putc(&n->text, ' ');
  put_values(n, (int64_t)1000 * c);
  sb_printf(&n->text, "%%%d = FullyConnected(%%%d, %%%d) : ", y, flat, w);
  put_type(n, "[1,1000]", 0.1, 0);
  sb_printf(&n->text, "\noutput %%%d\n", y);
}

static Graph *mobilenet_v2(bool int8) {
  static const int blocks[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                  {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  Net n = {.int8 = int8, .next = 2, .size = SIZE, .channels = 3};
  char shape[64];
  rng_seed(&n.rng, 5, 0);
  snprintf(shape, sizeof shape, "[1,%d,%d,3]", SIZE, SIZE);
  sb_puts(&n.text, "graph \"mobilenet_v2\"\n%1 = input : ");
  put_type(&n, shape, 0.02, 0);
  sb_putc(&n.text, '\n');
  put_conv(&n, 32, 3, 2, false, true);
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    for (int k = 0; k < blocks[i][2]; k++) put_block(&n, blocks[i][0], blocks[i][1], k ? 1 : blocks[i][3]);
  put_conv(&n, 1280, 1, 1, false, true);
  put_classifier(&n);
  Graph *g = graph_parse(sb_str(&n.text), "mobilenet_v2.ir", diag);
  must(g && graph_verify(g, diag));
  sb_free(&n.text);
  return g;
}

/* -- compiling -- */

/* Of all programs that this one ran and waited for. */
static double seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_CHILDREN, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* All sources that model.json names, in one folder. */
static double compile(const Target *t, const char *dir) {
  Arena *a = arena_new();
  size_t n;
  const char *path = path_join(a, dir, "model.json"), *text = file_read(a, path, &n, diag);
  must(text != NULL);
  const Json *j = json_parse(a, text, n, path, diag), *sources = json_get(j, "sources");
  must(sources != NULL);
  const double from = seconds();
  for (uint32_t i = 0; i < sources->n; i++) {
    const char *command = arena_printf(a, "cd '%s' && %s %s -std=c99 -c %s -o o.o", dir, t->cc, t->cflags,
                                       json_at(sources, i)->str);
    if (system(command) != 0) exit(1);
  }
  arena_free(a);
  return seconds() - from;
}

static void run_case(const Graph *g, const char *base, const char *target, const char *type, int form,
                     StrBuf *out) {
  static const char *const forms[] = {"single", "split", "single, speed"};
  const Target *t = target_find(target);
  const Value *input = graph_val(g, g->inputs[0]);
  Tensor zeros =
      tensor_new(input->dtype, &input->shape); /* one vector: evaluation takes longer than compilers */
  char dir[300];
  memset(zeros.data, 0, tensor_bytes(&zeros));
  snprintf(dir, sizeof dir, "%s/%s-%s-%d", base, target, type, form);
  const EmitOptions o = {.name = "net",
                         .out_dir = dir,
                         .vectors = &zeros,
                         .n_vectors = 1,
                         .optimize = form == 2 ? OPT_SPEED : OPT_BALANCED,
                         .weights = form == 1 ? WEIGHTS_APART : WEIGHTS_IN_CODE,
                         .kernels = form == 1 ? "kernels" : NULL};
  must(emit_c(g, t, &o, diag));
  tensor_free(&zeros);
  const double s = compile(t, dir);
  printf("%-11s %-8s %-14s %6.2f s  %s\n", target, type, forms[form], s, s <= AIM ? "met" : "over");
  sb_printf(out,
            "%s  {\"case\": \"MobileNetV2 %s %s %s\", \"metric\": \"compile time\", \"value\": %.2f, "
            "\"unit\": \"s\", "
            "\"better\": \"lower\", \"aim\": %d, \"how\": \"processor time of %s %s\"}",
            out->len ? ",\n" : "", type, target, forms[form], s, AIM, t->cc, t->cflags);
  file_remove_tree(dir);
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  sb_printf(&b, "{\"benchmark\": \"compile-time\", \"date\": \"%s\",\n \"results\": [\n%s\n]}\n", date,
            sb_str(rows));
  must(file_write("bench/results/compile-time.json", sb_str(&b), b.len, diag));
  sb_free(&b);
}

int main(void) {
  static const char *const names[] = {"x86-64", "x86-64-v3", "cortex-m4"};
  char *base = bench_temp_dir();
  StrBuf rows = {0};
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("MobileNetV2, seconds of a processor for all sources; aim: %d\n\n", AIM);
  for (int type = 0; type < 2; type++) {
    Graph *g = mobilenet_v2(type == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      for (int form = 0; form < 3; form++)
        run_case(g, base, names[i], type == 0 ? "int8" : "float32", form, &rows);
    graph_free(g);
  }
  write_results(&rows);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
