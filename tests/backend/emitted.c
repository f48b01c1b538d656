/* See emitted.h. The small nets are text with marks for constants, "@i8[8,3,3,4]", which are filled from the project's
 * generator with a fixed seed, so that every run sees the same bytes.
 */
#include "tests/backend/emitted.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/support.h"

const char small_int8_net[] =
    "graph \"small int8\"\n"
    "%x = input : i8[1,8,8,4] q(0.05, -3) \"image\"\n"
    "%w1 = const : i8[8,3,3,4] q(0.01, 0) @i8:288\n"
    "%b1 = const : i32[8] q(0.0005, 0) @i32:8\n"
    "%c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1], act=relu} : i8[1,8,8,8] q(0.15, -128) \"conv1\"\n"
    "%w2 = const : i8[1,3,3,8] q(0.02, 0) @i8:72\n"
    "%c2 = DepthwiseConv(%c1, %w2) {pads=[1,1,1,1]} : i8[1,8,8,8] q(0.2, 4) \"depthwise\"\n"
    "%s = Add(%c2, %c1) {act=relu} : i8[1,8,8,8] q(0.25, -128) \"sum\"\n"
    "%p = MaxPool(%s) {kernel=[2,2], strides=[2,2]} : i8[1,4,4,8] q(0.25, -128) \"pool\"\n"
    "%a = AveragePool(%p) {kernel=[4,4]} : i8[1,1,1,8] q(0.25, -128) \"mean\"\n"
    "%r = Reshape(%a) {shape=[1,8]}\n"
    "%w3 = const : i8[5,8] q(0.03, 0) @i8:40\n"
    "%b3 = const : i32[5] q(0.0018, 0) @i32:5\n"
    "%f = FullyConnected(%r, %w3, %b3) : i8[1,5] q(0.4, 7) \"logits\"\n"
    "%y = Softmax(%f) {axis=1} : i8[1,5] q(0.00390625, -128) \"probabilities\"\n"
    "output %y, %f\n";

const char small_float_net[] =
    "graph \"small float\"\n"
    "%x = input : f32[N,8,8,3] \"image\"\n"
    "%w1 = const : f32[4,3,3,3] @f32:108\n"
    "%b1 = const : f32[4] @f32:4\n"
    "%c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1], act=relu6} : f32[N,8,8,4] \"conv1\"\n"
    "%w2 = const : f32[1,3,3,4] @f32:36\n"
    "%c2 = DepthwiseConv(%c1, %w2) {pads=[1,1,1,1]} : f32[N,8,8,4] \"depthwise\"\n"
    "%k = Concat(%c1, %c2) {axis=3} : f32[N,8,8,8] \"both\"\n"
    "%p = MaxPool(%k) {kernel=[2,2], strides=[2,2]} : f32[N,4,4,8] \"pool\"\n"
    "%m = ReduceMean(%p) {axes=[1,2], keepdims=0} : f32[N,8] \"mean\"\n"
    "%w3 = const : f32[6,8] @f32:48\n"
    "%f = FullyConnected(%m, %w3) : f32[N,6] \"logits\"\n"
    "%y = Sigmoid(%f) : f32[N,6] \"y\"\n"
    "output %y\n";

/* "{1, -2, ...}" for the mark "TYPE:COUNT" at p, "f32:COUNT/N": floats divided by N. Returns its end. */
static const char *fill_mark(const char *p, StrBuf *out, Rng *r) {
  const bool floats = *p == 'f', words = strncmp(p, "i32", 3) == 0, few = strncmp(p, "i4", 2) == 0;
  char *end;
  long n = strtol(strchr(p, ':') + 1, &end, 10), by = *end == '/' ? strtol(end + 1, &end, 10) : 1;
  sb_putc(out, '{');
  for (long i = 0; i < n; i++) {
    if (i) sb_puts(out, ", ");
    if (floats)
      sb_float(out, rng_normal(r) * 0.5f / (float)by);
    else
      sb_printf(out, "%d",
                words ? (int)rng_below(r, 2000) - 1000
                : few ? (int)rng_below(r, 16) - 8
                      : (int)rng_below(r, 255) - 127);
  }
  sb_putc(out, '}');
  return end;
}

Graph *graph_of(const char *text) { return graph_of_seed(text, 11); }

Graph *graph_of_seed(const char *text, uint64_t seed) {
  StrBuf filled = {0};
  Rng r;
  rng_seed(&r, seed, 0);
  if (strncmp(text, "graph", 5) != 0) sb_puts(&filled, "graph\n");
  for (const char *p = text; *p;) {
    if (*p == '@')
      p = fill_mark(p + 1, &filled, &r);
    else
      sb_putc(&filled, *p++);
  }
  Diag *d = diag_new();
  Graph *g = graph_parse(sb_str(&filled), "test.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  sb_free(&filled);
  return g;
}

const char *emit_to_tmp(const Graph *g, const char *target, const char *name) {
  static char dir[600];
  snprintf(dir, sizeof dir, "%s/%s-%s", test_tmp_dir(), name, target);
  const EmitOptions o = {.name = name, .out_dir = dir};
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

void must_run(const char *fmt, ...) {
  char cmd[4000], *out = NULL;
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(cmd, sizeof cmd, fmt, args);
  va_end(args);
  ck_assert(n > 0 && (size_t)n < sizeof cmd);
  int status = test_run_command(cmd, &out);
  ck_assert_msg(status == 0, "%s\nended with status %d:\n%s", cmd, status, out ? out : "");
  free(out);
}

bool have_tool(const char *file, const char *tool) {
  char cmd[200];
  snprintf(cmd, sizeof cmd, "command -v %s", tool);
  if (test_run_command(cmd, NULL) == 0) return true;
  test_skip_at(file, "%s is not installed", tool);
  return false;
}

bool have_target(const char *file, const char *target) {
  const char *missing;
  const Target *t = target_find(target);
  ck_assert_msg(t != NULL, "no target %s", target);
  if (harness_available(t, &missing)) return true;
  test_skip_at(file, "%s is not installed: nothing was run for %s", missing, target);
  return false;
}
