/* Kernels that sum rows as they come against the kernels whose form they are: the same bytes, however the rows are cut,
 * from a ring that holds just the rows of one call.
 */
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <string.h>

Suite *suite_kernel_sums(void);

enum { CASES = 60 };

static const char *const forms[][2] = {{"avg_rows_s8", "avg_pool_s8"},
                                       {"avg_rows_f32", "avg_pool_f32"},
                                       {"mean_rows_s8", "mean_s8"},
                                       {"mean_rows_f32", "mean_f32"}};
enum { N_FORMS = sizeof forms / sizeof *forms };

typedef struct Image {
  int32_t h, w, c, elem;
  char *data;
} Image;

static Image random_image(Rng *r, Arena *a, bool floats) {
  Image m = {1 + (int32_t)rng_below(r, 9), 1 + (int32_t)rng_below(r, 7), 1 + (int32_t)rng_below(r, 20),
             floats ? 4 : 1, NULL};
  size_t n = (size_t)(m.h * m.w * m.c * m.elem);
  m.data = arena_alloc(a, n);
  fill_random(r, m.data, n, floats ? 'f' : 'b');
  return m;
}

static void *params_of(const KernelDef *k, const Image *m, int32_t k_h, int32_t k_w, Arena *a) {
  void *p = arena_alloc(a, k->params->size);
  const mf_window g = {.in_h = m->h,
                       .in_w = m->w,
                       .in_c = m->c,
                       .out_h = 1,
                       .out_w = 1,
                       .out_c = m->c,
                       .k_h = k_h,
                       .k_w = k_w,
                       .stride_h = 1,
                       .stride_w = 1,
                       .dil_h = 1,
                       .dil_w = 1};
  if (strcmp(k->params->c_type, "mf_pool_s8") == 0)
    *(mf_pool_s8 *)p = (mf_pool_s8){g, -100, 120};
  else if (strcmp(k->params->c_type, "mf_pool_f32") == 0)
    *(mf_pool_f32 *)p = (mf_pool_f32){g, 0, -0.5f, 0.75f};
  else
    *(mf_mean *)p = (mf_mean){.rank = 2,
                              .rrank = 1,
                              .dims = {1, m->c},
                              .src = {0, 1},
                              .rdims = {m->h * m->w},
                              .rsrc = {m->c},
                              .count = m->h * m->w,
                              .in_zero = 3,
                              .out_zero = -7,
                              .mult = 1 << 30,
                              .shift = -2};
  return p;
}

/* Rows y0 .. y1-1 in a ring of so many. */
static mf_view ring_view(const Image *m, int32_t y0, int32_t y1, Arena *a) {
  int32_t row = m->w * m->c * m->elem, ring = y1 - y0;
  char *slots = arena_alloc(a, (size_t)(row * ring));
  for (int32_t y = y0; y < y1; y++) memcpy(slots + y % ring * row, m->data + y * row, (size_t)row);
  return (mf_view){slots, row, ring};
}

START_TEST(as_the_kernel_at_once)
{
  const KernelDef *sums = kernel_find_generic(forms[_i][0]), *once = kernel_find_generic(forms[_i][1]);
  ck_assert_ptr_eq(sums->params, once->params);
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 21 + (uint64_t)_i, n);
    const Image m = random_image(&r, a, strstr(sums->name, "f32") != NULL);
    const bool pool = strncmp(sums->name, "avg", 3) == 0;
    const int32_t k_h = pool ? 1 + (int32_t)rng_below(&r, (uint32_t)m.h) : m.h;
    const int32_t k_w = pool ? 1 + (int32_t)rng_below(&r, (uint32_t)m.w) : m.w;
    void *p = params_of(sums, &m, k_h, k_w, a),
         *scratch = sums->scratch ? arena_alloc(a, sums->scratch(p)) : NULL;
    const int32_t size = m.c * m.elem;
    char *want = arena_alloc(a, (size_t)size), *got = arena_alloc(a, (size_t)size);
    const mf_view in = {m.data, m.w * m.c * m.elem, 0}, to_want = {want, size, 0}, to_got = {got, size, 0};
    once->fn(p, &in, &to_want, 0, 1, NULL);
    memset(got, 0x5a, (size_t)size);
    for (int32_t y0 = 0, y1; y0 < k_h; y0 = y1) {
      y1 = y0 + 1 + (int32_t)rng_below(&r, (uint32_t)(k_h - y0));
      const mf_view rows = ring_view(&m, y0, y1, a);
      sums->fn(p, &rows, &to_got, y0, y1, scratch);
    }
    WANT(memcmp(got, want, (size_t)size) == 0, "%s: case %d differs", sums->name, (int)n);
    arena_free(a);
  }
}
END_TEST

Suite *suite_kernel_sums(void) {
  Suite *s = suite_create("kernel_sums");
  TCase *t = tcase_create("kernel_sums");
  tcase_add_loop_test(t, as_the_kernel_at_once, 0, N_FORMS);
  suite_add_tcase(s, t);
  return s;
}
