/* See adapting.h. */
#include "tests/backend/adapting.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/backend/emitted.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

const char adapt_constructs[] =
    "%x = input : f32[N,8,8,3]\n"
    "%w1 = const : f32[8,3,3,3] @f32:216/2\n%b1 = const : f32[8] @f32:8\n"
    "%c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1], act=relu} : f32[N,8,8,8]\n"
    "%w2 = const : f32[1,3,3,16] @f32:144/1\n%b2 = const : f32[16] @f32:16\n"
    "%d = DepthwiseConv(%c1, %w2, %b2) {pads=[1,1,1,1], act=relu6} : f32[N,8,8,16]\n"
    "%p = MaxPool(%d) {kernel=[3,3], strides=[2,2], pads=[1,1,1,1]} : f32[N,4,4,16]\n"
    "%w3 = const : f32[8,3,3,8] @f32:576/4\n%b3 = const : f32[8] @f32:8\n"
    "%g = Conv(%p, %w3, %b3) {pads=[1,1,1,1], group=2} : f32[N,4,4,8]\n"
    "%a = AveragePool(%c1) {kernel=[2,2], strides=[2,2]} : f32[N,4,4,8]\n"
    "%s = Sub(%g, %a) : f32[N,4,4,8]\n"
    "%k = const : f32[8] @f32:8\n"
    "%t = Add(%s, %k) {act=relu} : f32[N,4,4,8]\n"
    "%u = Concat(%t, %g) {axis=3} : f32[N,4,4,16]\n"
    "%v = Slice(%u) {starts=[0,0,0,3], counts=[-1,4,4,12], steps=[1,1,1,1]} : f32[N,4,4,12]\n"
    "%w4 = const : f32[6,2,2,12] @f32:288/3\n%b4 = const : f32[6] @f32:6\n"
    "%e = Conv(%v, %w4, %b4) {strides=[1,2], dilations=[2,1], act=relu} : f32[N,2,2,6]\n"
    "%r = Reshape(%e) {shape=[-1,24]} : f32[N,24]\n"
    "%w5 = const : f32[10,24] @f32:240/2\n%b5 = const : f32[10] @f32:10\n"
    "%h = FullyConnected(%r, %w5, %b5) {act=relu} : f32[N,10]\n"
    "%w6 = const : f32[5,10] @f32:50/1\n%b6 = const : f32[5] @f32:5\n"
    "%y = FullyConnected(%h, %w6, %b6) : f32[N,5]\n"
    "output %y\n";

AdaptNet adapt_net_of(Graph *g, uint64_t seed) {
  AdaptNet n = {0};
  n.ds = images_random(g, ADAPT_IMAGES, ADAPT_CLASSES, seed);
  n.f = images_pass(g, &n.ds, "bnfuse,fuse,fold");
  n.q = images_pass(g, &n.ds, "bnfuse,fuse,fold,quantize{images=60,method=minmax}");
  n.item = shape_count(&n.ds.train.item);
  const Quant *in = &graph_val(n.q, n.q->inputs[0])->quant;
  n.codes = mem_array((size_t)(ADAPT_IMAGES * n.item), 1);
  for (int64_t i = 0; i < ADAPT_IMAGES * n.item; i++) {
    const float code = roundf(((const float *)n.ds.train.x)[i] / in->scale[0]) + (float)in->zero[0];
    n.codes[i] = (int8_t)fminf(127, fmaxf(-128, code));
  }
  graph_free(g);
  return n;
}

AdaptNet adapt_net(uint64_t seed) { return adapt_net_of(net_residual(1, seed), seed); }

void adapt_net_free(AdaptNet *n) {
  graph_free(n->f);
  graph_free(n->q);
  images_free(&n->ds);
  mem_free(n->codes);
}

const void *adapt_image(const AdaptNet *n, int i) { return n->codes + i * n->item; }
size_t adapt_image_bytes(const AdaptNet *n) { return val_bytes(n->q, n->q->inputs[0]); }

const char *adapt_emitted(const Graph *g, const char *target, const char *name, DeviceAdapt layers,
                          int64_t memory, AdaptSizes *sizes) {
  static char dir[600];
  snprintf(dir, sizeof dir, "%s/%s-%s", test_tmp_dir(), name, target);
  const EmitOptions o = {
      .name = name, .out_dir = dir, .adapt = layers, .adapt_memory = memory, .adapt_sizes = sizes};
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

const char *adapt_refused(const Graph *g, const EmitOptions *o) {
  static char text[2000];
  Diag *d = diag_new();
  ck_assert(!emit_c(g, target_find("x86-64"), o, d));
  snprintf(text, sizeof text, "%s", diag_text(d));
  diag_free(d);
  return text;
}

StrBuf adapt_obey(const char *dir, const char *target, const AdaptRun *r) {
  StrBuf out = {0};
  Diag *d = diag_new();
  ck_assert_msg(harness_adapt(dir, target_find(target), r, &out, d), "%s", diag_text(d));
  diag_free(d);
  return out;
}

AdaptRun adapt_steps(const AdaptNet *net, AdaptOrder *orders, int n) {
  for (int i = 0; i < n; i++)
    orders[i] = (AdaptOrder){net->ds.train.y[i % ADAPT_IMAGES], adapt_image(net, i % ADAPT_IMAGES)};
  orders[n] = (AdaptOrder){.what = ADAPT_WORDS};
  return (AdaptRun){.name = "net",
                    .rates = {0.02f, 0.01f, 0.01f, 1},
                    .orders = orders,
                    .n = n + 1,
                    .input_bytes = adapt_image_bytes(net)};
}

void adapt_compare(const float *a, const float *b, int64_t n, double *cosine, double *ratio) {
  double aa = 1e-30, bb = 1e-30, ab = 0;
  for (int64_t i = 0; i < n; i++) {
    aa += (double)a[i] * (double)a[i];
    bb += (double)b[i] * (double)b[i];
    ab += (double)a[i] * (double)b[i];
  }
  *cosine = ab / sqrt(aa * bb);
  *ratio = sqrt(aa / bb);
}
