/* Properties of every kernel of every kernels.def that this host can run, over random cases: the output that the generic
 * kernel computes at once equals (float kernels of other sets: but for rounding) the output computed at once, in row
 * ranges, from and into rings of rows, with wider weights, and in place where the table allows it; no byte outside the
 * rows asked for is written; the description of the params is complete. (test_kernels_m.c runs kernels of other machines.)
 *
 * A kernel that is listed is tested with no further line, unless its params struct is new (then kernel_cases.c needs a
 * generator, and says so).
 */
#include "backend/backend.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

enum { CASES = 60, GAP = 24, GUARD = 0x5a, MAX_KERNELS = 1024 };

typedef struct Fixture {
  Arena *a;
  Rng r;
  KernelCase c;
  void *scratch;
  char *whole; /* the output computed at once, dense rows */
} Fixture;

static const KernelDef *kernels[MAX_KERNELS];
static int n_kernels;

static void views_of(const KernelCase *c, mf_view in[CALL_MAX_IN]) {
  memset(in, 0, CALL_MAX_IN * sizeof *in);
  for (int i = 0; i < c->n_in; i++) in[i] = (mf_view){c->in[i].data, c->in[i].row, 0};
}

static void run(const Fixture *f, const KernelCase *c, const mf_view *in, void *out, int32_t row,
                int32_t ring, int32_t y0, int32_t y1) {
  const mf_view view = {out, row, ring};
  c->kernel->fn(c->params, in, &view, y0, y1, f->scratch);
}

static void *scratch_of(const KernelDef *k, const void *params, Arena *a) {
  size_t need = k->scratch ? k->scratch(params) : 0;
  return need > 0 ? arena_alloc(a, need) : NULL;
}

static Fixture fixture(int kernel, uint64_t number) {
  Fixture f = {.a = arena_new()};
  rng_seed(&f.r, 1234 + (uint64_t)kernel, number);
  f.c = kernel_case(kernels[kernel], &f.r, f.a);
  f.whole = kernel_case_reference(&f.c, f.a);
  f.c.params = kernel_case_pack(&f.c, f.a, NULL);
  f.scratch = scratch_of(f.c.kernel, f.c.params, f.a);
  return f;
}

/* Float kernels of other sets may sum in another order, and without rounding products; Winograd's method rounds more. */
static bool same_float(const KernelDef *k, const char *got, const char *want) {
  const float tolerance = strstr(k->tag, "winograd") ? 1e-4f : 1e-5f;
  float a, b;
  memcpy(&a, got, sizeof a);
  memcpy(&b, want, sizeof b);
  return fabsf(a - b) <= tolerance * (10 + fabsf(b));
}

static bool rounds_otherwise(const KernelDef *k) {
  return strcmp(k->set, "generic") != 0 && strstr(k->name, "_f32") != NULL;
}

/* One assertion for each block: Check writes every one to a file. */
static void assert_bytes(const Fixture *f, const char *what, int32_t y, const char *got, const char *want,
                         int32_t n) {
  int32_t i = 0;
  if (rounds_otherwise(f->c.kernel))
    while (i < n && same_float(f->c.kernel, got + i, want + i)) i += (int32_t)sizeof(float);
  else
    while (i < n && got[i] == want[i]) i++;
  WANT(i == n, "%s (%s): %s: row %d byte %d is %d, want %d", f->c.kernel->name, f->c.text, what, (int)y,
       (int)i, got[i], want[i]);
}

static void assert_untouched(const Fixture *f, const char *what, const char *p, int32_t n) {
  int32_t i = 0;
  while (i < n && p[i] == GUARD) i++;
  WANT(i == n, "%s (%s): wrote %s, byte %d", f->c.kernel->name, f->c.text, what, (int)i);
}

/* Kernels whose rows are the input's, in order, into one output: test_kernel_sums.c tests them. */
static bool sums_rows(int kernel) { return strstr(kernels[kernel]->name, "_rows_") != NULL; }

static bool copies_rows(const KernelCase *c) { return strcmp(c->kernel->name, "copy") == 0; }

START_TEST(params_are_described)
{
  const KernelDef *k = kernels[_i];
  ck_assert_msg(params_complete(k->params),
                "%s: the fields of %s in ir/kernels.c are not those of the struct", k->name,
                k->params->c_type);
  ck_assert_ptr_eq(kernel_find_generic(k->name)->params, k->params);
}
END_TEST

/* Ranges of rows, the last one first, into rows with gaps: nothing else is written. */
START_TEST(row_ranges)
{
  if (sums_rows(_i)) return;
  for (uint64_t n = 0; n < CASES; n++) {
    Fixture f = fixture(_i, n);
    const KernelCase *c = &f.c;
    int32_t row = copies_rows(c) ? c->out_row : c->out_row + GAP;
    char *out = arena_alloc(f.a, (size_t)(row * c->out_rows + GAP));
    memset(out, GUARD, (size_t)(row * c->out_rows + GAP));
    mf_view in[CALL_MAX_IN];
    views_of(c, in);
    run(&f, c, in, out, row, 0, 0, 0);
    assert_untouched(&f, "for no rows", out, row * c->out_rows + GAP);
    for (int32_t y1 = c->out_rows; y1 > 0;) {
      int32_t y0 = (int32_t)rng_below(&f.r, (uint32_t)y1);
      if (y1 < c->out_rows) assert_untouched(&f, "before its rows", out, row * y1);
      run(&f, c, in, out, row, 0, y0, y1);
      y1 = y0;
    }
    for (int32_t y = 0; y < c->out_rows; y++) {
      assert_bytes(&f, "row ranges", y, out + y * row, f.whole + y * c->out_row, c->out_row);
      assert_untouched(&f, "behind a row", out + y * row + c->out_row, row - c->out_row);
    }
    assert_untouched(&f, "behind its rows", out + c->out_rows * row, GAP);
    arena_free(f.a);
  }
}
END_TEST

/* The rows that output row y reads, in a ring that holds just these (and garbage in other slots). */
static mf_view ring_of(const Fixture *f, int i, int32_t y) {
  const CaseTensor *t = &f->c.in[i];
  int32_t lo, hi;
  f->c.reads(&f->c, i, y, &lo, &hi);
  if (!t->ring) return (mf_view){t->data, t->row, 0};
  int32_t ring = hi > lo ? hi - lo : 1, row = copies_rows(&f->c) ? t->row : t->row + GAP;
  char *slots = arena_alloc(f->a, (size_t)(ring * row));
  memset(slots, GUARD, (size_t)(ring * row));
  for (int32_t k = lo; k < hi; k++) memcpy(slots + k % ring * row, t->data + k * t->row, (size_t)t->row);
  return (mf_view){slots, row, ring};
}

START_TEST(rings)
{
  if (sums_rows(_i)) return;
  for (uint64_t n = 0; n < CASES; n++) {
    Fixture f = fixture(_i, n);
    const KernelCase *c = &f.c;
    int32_t ring = 1 + (int32_t)rng_below(&f.r, 3);
    char *out = arena_alloc(f.a, (size_t)(ring * c->out_row));
    for (int32_t y = 0; y < c->out_rows; y++) {
      mf_view in[CALL_MAX_IN] = {{0}};
      for (int i = 0; i < c->n_in; i++) in[i] = ring_of(&f, i, y);
      memset(out, GUARD, (size_t)(ring * c->out_row));
      run(&f, c, in, out, c->out_row, ring, y, y + 1);
      for (int32_t s = 0; s < ring; s++) {
        if (s == y % ring)
          assert_bytes(&f, "ring", y, out + s * c->out_row, f.whole + y * c->out_row, c->out_row);
        else
          assert_untouched(&f, "another slot of the ring", out + s * c->out_row, c->out_row);
      }
    }
    arena_free(f.a);
  }
}
END_TEST

START_TEST(wider_weights)
{
  if (sums_rows(_i)) return;
  for (uint64_t n = 0; n < CASES; n++) {
    Fixture f = fixture(_i, n);
    KernelCase wide;
    rng_seed(&f.r, 1234 + (uint64_t)_i, n);
    KernelCase plain = kernel_case(kernels[_i], &f.r, f.a);
    if (!kernel_case_widen(&plain, &f.r, f.a, &wide)) {
      arena_free(f.a);
      return;
    }
    wide.params = kernel_case_pack(&wide, f.a, NULL);
    f.scratch = scratch_of(wide.kernel, wide.params, f.a);
    mf_view in[CALL_MAX_IN];
    views_of(&wide, in);
    char *out = arena_alloc(f.a, (size_t)(wide.out_rows * wide.out_row));
    run(&f, &wide, in, out, wide.out_row, 0, 0, wide.out_rows);
    assert_bytes(&f, "wider weights", 0, out, f.whole, wide.out_rows * wide.out_row);
    arena_free(f.a);
  }
}
END_TEST

START_TEST(in_place)
{
  if (sums_rows(_i)) return;
  int tried = 0, allowed = kernels[_i]->in_place;
  for (uint64_t n = 0; n < 4 * CASES; n++) {
    Fixture f = fixture(_i, n);
    const KernelCase *c = &f.c;
    for (int i = 0; i < c->n_in; i++) {
      if (!(allowed >> i & 1) || !c->in[i].plain) continue;
      WANT(c->in[i].row == c->out_row, "%s: no plain input", c->kernel->name);
      mf_view in[CALL_MAX_IN];
      views_of(c, in);
      char *both = arena_dup(f.a, c->in[i].data, (size_t)(c->out_rows * c->out_row));
      in[i].base = both;
      run(&f, c, in, both, c->out_row, 0, 0, c->out_rows);
      assert_bytes(&f, "in place", 0, both, f.whole, c->out_rows * c->out_row);
      tried |= 1 << i;
    }
    arena_free(f.a);
  }
  ck_assert_msg(tried == allowed, "%s: in place with inputs %d, tried %d", kernels[_i]->name, allowed, tried);
}
END_TEST

/* Whether this processor has the set's instructions. */
static bool can_run(const char *set) {
#ifdef __x86_64__
  if (strcmp(set, "avx2") == 0) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (strcmp(set, "sse41") == 0) return __builtin_cpu_supports("sse4.1");
#endif
  return strcmp(set, "avx2") != 0 && strcmp(set, "sse41") != 0;
}

static void list_kernels(void) {
  n_kernels = 0;
  for (int s = 0; s < n_kernel_sets; s++)
    for (int k = 0; k < *kernel_sets[s].n; k++)
      if (kernel_sets[s].kernels[k].fn && can_run(kernel_sets[s].name))
        kernels[n_kernels++] = &kernel_sets[s].kernels[k];
}

Suite *suite_kernels(void) {
  list_kernels();
  Suite *s = suite_create("kernels");
  TCase *t = tcase_create("every kernel");
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, params_are_described, 0, n_kernels);
  tcase_add_loop_test(t, row_ranges, 0, n_kernels);
  tcase_add_loop_test(t, rings, 0, n_kernels);
  tcase_add_loop_test(t, wider_weights, 0, n_kernels);
  tcase_add_loop_test(t, in_place, 0, n_kernels);
  suite_add_tcase(s, t);
  return s;
}
