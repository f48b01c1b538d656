/* Kernels of weights of 4 bits give what those of int8 give on the same weights, a byte each, over random cases; lowering
 * packs what the IR holds unpacked.
 */
#include "ir/eval.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <string.h>

enum { CASES = 200 };

/* The same case of the int8 kernel: every nibble a byte, strides as they are. */
static KernelCase of_bytes(const KernelCase *c, Arena *a) {
  const bool conv = strcmp(c->kernel->name, "conv_s4") == 0;
  KernelCase wide = *c;
  wide.params = arena_dup(a, c->params, c->kernel->params->size);
  mf_conv_s8 *p = wide.params;
  mf_fc_s8 *q = wide.params;
  const int8_t *from = conv ? p->w : q->w;
  const int32_t n = conv ? p->g.out_c * p->w_out : q->n * q->w_out;
  int8_t *w = arena_alloc(a, (size_t)n);
  for (int32_t i = 0; i < n; i++) {
    const int32_t half = (uint8_t)from[i / 2] / (i % 2 ? 16 : 1) % 16;
    w[i] = (int8_t)(half < 8 ? half : half - 16);
  }
  if (conv)
    p->w = w;
  else
    q->w = w;
  wide.kernel = kernel_find_generic(conv ? "conv_s8" : "fc_s8");
  return wide;
}

START_TEST(as_int8)
{
  static const char *const kernels[] = {"conv_s4", "fc_s4"};
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 4, n);
    KernelCase c = kernel_case(kernel_find_generic(kernels[_i]), &r, a), wide;
    if (n % 2 && kernel_case_widen(&c, &r, a, &wide)) c = wide;
    const KernelCase bytes = of_bytes(&c, a);
    const char *got = kernel_case_reference(&c, a), *want = kernel_case_reference(&bytes, a);
    for (int32_t i = 0; i < c.out_rows * c.out_row; i++)
      WANT(got[i] == want[i], "%s (%s): byte %d is %d, want %d", c.kernel->name, c.text, (int)i, got[i],
           want[i]);
    arena_free(a);
  }
}
END_TEST

static const char odd[] = "graph\n"
                          "%x = input : i8[1,1,1,3] q(0.5, -1)\n"
                          "%w = const : i4[2,1,1,3] q(axis=0, 0.25 0, 0.125 0) {1, -2, 3, -8, 7, -1}\n"
                          "%y = Conv(%x, %w) : i8[1,1,1,2] q(0.125, 0)\n"
                          "output %y\n";

/* Three weights a channel: a half byte stays empty. (3 + 1) - 2 (4 + 1) + 3 (5 + 1) = 12; -8 4 + 7 5 - 6 = -3. */
START_TEST(lowering)
{
  static const int8_t x[3] = {3, 4, 5};
  Calls calls;
  Diag *d = diag_new();
  Graph *g = graph_parse(odd, "odd", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  const KernelCall *k = &calls.v[0];
  ck_assert_str_eq(k->kernel->name, "conv_s4");
  static const uint8_t packed[] = {0xe1, 0x03, 0x78, 0x0f};
  ck_assert_int_eq(k->consts[0].count, 4);
  ck_assert_mem_eq(k->consts[0].data, packed, 4);
  const void *in[] = {x};
  Evaluator *e = evaluator_new(g, d);
  ck_assert_ptr_nonnull(e);
  evaluator_run(e, in);
  const int8_t *y = evaluator_value(e, g->outputs[0]);
  ck_assert_int_eq(y[0], 12);
  ck_assert_int_eq(y[1], -1); /* -3 * 0.5 * 0.125 / 0.125 = -1.5, halves up */
  evaluator_free(e);
  calls_free(&calls);
  diag_free(d);
  graph_free(g);
}
END_TEST

Suite *suite_kernel_s4(void) {
  Suite *s = suite_create("kernel_s4");
  TCase *t = tcase_create("values");
  tcase_add_loop_test(t, as_int8, 0, 2);
  tcase_add_test(t, lowering);
  suite_add_tcase(s, t);
  return s;
}
