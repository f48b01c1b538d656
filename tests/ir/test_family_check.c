/* What is a family and what is not: the checker on graphs written by hand, each rule broken once. */
#include <string.h>

#include "ir/base/strbuf.h"
#include "ir/family.h"
#include "tests/support.h"

Suite *suite_family_check(void);

/* Conv and FullyConnected of int8: 2 input channels, `mid` between, 2 outputs; code (o, tap, i) of the weights is a
 * function of the three, changed by `off`. */
typedef struct Net {
  int mid, off;
  const char *act;
  float scale_out;
} Net;

static Graph *net_graph(const Net *n) {
  StrBuf s = {0};
  Diag *d = diag_new();
  sb_puts(&s, "graph \"net\"\n%x = input : i8[1,3,3,2] q(0.5, 1)\n");
  sb_printf(&s, "%%w = const : i8[%d,1,1,2] q(0.25, 0) {", n->mid);
  for (int o = 0; o < n->mid; o++)
    for (int i = 0; i < 2; i++) sb_printf(&s, "%s%d", o + i ? ", " : "", 10 * o + i + n->off);
  sb_printf(&s, "}\n%%b = const : i32[%d] q(0.125, 0) {", n->mid);
  for (int o = 0; o < n->mid; o++) sb_printf(&s, "%s%d", o ? ", " : "", n->mid);
  sb_printf(&s, "}\n%%y = Conv(%%x, %%w, %%b) {act=%s} : i8[1,3,3,%d] q(0.5, 0)\n", n->act, n->mid);
  sb_printf(&s, "%%m = ReduceMean(%%y) {axes=[1,2], keepdims=0} : i8[1,%d] q(0.5, 0)\n", n->mid);
  sb_printf(&s, "%%v = const : i8[2,%d] q(0.25, 0) {", n->mid);
  for (int o = 0; o < 2; o++)
    for (int i = 0; i < n->mid; i++) sb_printf(&s, "%s%d", o + i ? ", " : "", 50 * o + i);
  sb_puts(&s, "}\n%c = const : i32[2] q(0.125, 0) {1, 2}\n");
  sb_printf(&s, "%%z = FullyConnected(%%m, %%v, %%c) : i8[1,2] q(%g, 0)\noutput %%z\n", (double)n->scale_out);
  Graph *g = graph_parse(sb_str(&s), "net", d);
  ck_assert_msg(g != NULL, "%s\n%s", diag_text(d), sb_str(&s));
  sb_free(&s);
  diag_free(d);
  return g;
}

static const Net widest = {4, 0, "relu", 0.5F}, narrow = {2, 0, "relu", 0.5F};

START_TEST(slices)
{
  Graph *g[2] = {net_graph(&widest), net_graph(&narrow)};
  Diag *d = diag_new();
  Family f;
  ck_assert_msg(family_check((const Graph *const *)g, 2, &f, d), "%s", diag_text(d));
  const FamilySlice *w = family_slice(&f, 1, 0, 1), *b = family_slice(&f, 1, 0, 2);
  ck_assert(w->shared && w->outs == 2 && w->taps == 1 && w->each == 2 && w->out_stride == 2);
  ck_assert(!b->shared && b->each == 2);
  const FamilySlice *v = family_slice(&f, 1, 2, 1), *c = family_slice(&f, 1, 2, 2);
  ck_assert(v->shared && v->outs == 2 && v->each == 2 && v->out_stride == 4);
  ck_assert(c->shared);
  ck_assert(family_slice(&f, 1, 0, 0)->val == NO_VAL);
  family_free(&f);
  graph_free(g[0]);
  graph_free(g[1]);
  diag_free(d);
}
END_TEST

static const struct {
  Net net;
  const char *want;
} broken[] = {
    {{2, 1, "relu", 0.5F}, "are no slice of the widest's"},
    {{5, 0, "relu", 0.5F}, "is larger than the widest's"},
    {{2, 0, "none", 0.5F}, "attributes of node 0"},
    {{2, 0, "relu", 0.25F}, "not of the widest's scale"},
};

START_TEST(no_slices)
{
  Graph *g[2] = {net_graph(&widest), net_graph(&broken[_i].net)};
  Diag *d = diag_new();
  Family f;
  ck_assert(!family_check((const Graph *const *)g, 2, &f, d));
  ck_assert_msg(strstr(diag_text(d), broken[_i].want) != NULL, "%s", diag_text(d));
  family_free(&f);
  graph_free(g[0]);
  graph_free(g[1]);
  diag_free(d);
}
END_TEST

Suite *suite_family_check(void) {
  Suite *s = suite_create("family_check");
  TCase *tc = tcase_create("rules");
  tcase_add_test(tc, slices);
  tcase_add_loop_test(tc, no_slices, 0, (int)(sizeof broken / sizeof *broken));
  suite_add_tcase(s, tc);
  return s;
}
