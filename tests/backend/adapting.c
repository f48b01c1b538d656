/* See adapting.h. */
#include "tests/backend/adapting.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/backend/emitted.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

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
