/* Part "glyphs": the label reader behind worse lenses, links and exposures: accuracy before and after the device's own learning.
 *
 *   model       variant 1 of the family of part "family", int8, with NAME_adapt_* for last layer, biases and multipliers, the emitted C on the host
 *   shifts      runtime/data/corrupt.h, every kind at severities 1, 3 and 5
 *   local data  500 labelled images of the validation split (fonts and cameras that nobody has seen), two epochs; measured on
 *               2,000 others of it
 *   settings    the rate is the one of three that does best on training images: blurred by severity 4, 500 to learn from, 1,000
 *               others to measure
 */
#include "backend/backend.h"
#include "bench/adapt.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/data/corrupt.h"

#define EXAMPLE "examples/01-label-reader/"

enum { LEARN = 500, MEASURE = 2000, FIND = 1000, EPOCHS = 2, BYTES = 32 * 32, CLASSES = 62, HEADER = 24 };
static const char host_target[] = "x86-64-v3";

typedef struct Glyphs {
  Adapt *ad;
  Graph *g;
  const char *dir;
  AdaptSizes sizes;
} Glyphs;

/* What the program is told, and images as the model takes them. */
typedef struct Orders {
  AdaptOrder *v;
  int n;
  uint8_t *x;
  const Split *s;
} Orders;

static void must(const Glyphs *t, bool ok) { bench_must(t->ad->b, ok); }

static Split opened(const Glyphs *t, const char *name, uint32_t first, uint32_t n) {
  const SplitSpec spec = {.kind = "npy",
                          .x = arena_printf(t->ad->a, EXAMPLE "data/%s_x.npy", name),
                          .y = arena_printf(t->ad->a, EXAMPLE "data/%s_y.npy", name),
                          .first = first,
                          .count = n};
  Split s;
  must(t, split_open(&spec, &s, t->ad->b->d));
  if ((size_t)shape_count(&s.item) != BYTES)
    must(t, diag_error(t->ad->b->d, NULL, "%s: want 32x32 bytes", spec.x));
  return s;
}

static Orders orders_new(const Split *s, int most) {
  Orders o = {.v = mem_array((size_t)most, sizeof *o.v), .x = mem_array(s->n, BYTES), .s = s};
  for (size_t i = 0; i < (size_t)s->n * BYTES; i++) o.x[i] = ((const uint8_t *)s->x)[i] ^ 128;
  return o;
}

static void orders_free(Orders *o) {
  mem_free(o->v);
  mem_free(o->x);
}

/* Images 0 .. n-1 in an order of its own each epoch. */
static void add_steps(Orders *o, uint32_t n, int epochs) {
  uint32_t *turn = mem_array(n + 1, sizeof *turn);
  Rng r;
  rng_seed(&r, 31, 0);
  for (uint32_t i = 0; i < n; i++) turn[i] = i;
  for (int e = 0; e < epochs; e++) {
    rng_shuffle(&r, turn, n);
    for (uint32_t i = 0; i < n; i++)
      o->v[o->n++] = (AdaptOrder){o->s->y[turn[i]], o->x + (size_t)turn[i] * BYTES};
  }
}

/* From image `first` on; of m images the share that is right. */
static void add_runs(Orders *o, uint32_t first, uint32_t m) {
  for (uint32_t i = 0; i < m; i++) o->v[o->n++] = (AdaptOrder){ADAPT_RUN, o->x + (size_t)(first + i) * BYTES};
}

static double right(const char **at, const Split *s, uint32_t first, uint32_t m) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m; i++, *at += CLASSES) {
    const int8_t *y = (const int8_t *)*at;
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
      if (y[k] > y[best]) best = k;
    n += best == s->y[first + i];
  }
  return 100.0 * n / m;
}

/* Accuracy on m images behind the first n, before and after learning from these. */
static void adapt(const Glyphs *t, const Split *s, uint32_t n, uint32_t m, float rate, double *before,
                  double *after) {
  Orders o = orders_new(s, (int)(2 * m + n * EPOCHS));
  StrBuf out = {0};
  add_runs(&o, n, m);
  add_steps(&o, n, EPOCHS);
  add_runs(&o, n, m);
  const AdaptRun r = {
      .name = "net", .rates = {rate, rate, rate, 1}, .orders = o.v, .n = o.n, .input_bytes = BYTES};
  must(t, harness_adapt(t->dir, target_find(host_target), &r, &out, t->ad->b->d));
  const char *at = sb_str(&out) + HEADER;
  *before = right(&at, s, n, m);
  at += sizeof(float) * n * EPOCHS;
  *after = right(&at, s, n, m);
  sb_free(&out);
  orders_free(&o);
}

static float find_rate(const Glyphs *t, uint32_t n, uint32_t m) {
  static const float tried[] = {0.003f, 0.01f, 0.03f};
  Split s = opened(t, "train", 4096, n + m), blurred;
  double best = -1, before, after;
  float rate = 0;
  must(t, corrupt_split(&s, CORRUPT_BLUR, 4, 1, &blurred, t->ad->b->d));
  for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
    adapt(t, &blurred, n, m, tried[i], &before, &after);
    printf("  training images, blur 4, rate %g: %.2f -> %.2f %%\n", (double)tried[i], before, after);
    fflush(stdout);
    if (after > best) best = after, rate = tried[i];
  }
  split_close(&blurred);
  split_close(&s);
  return rate;
}

static void report(const Glyphs *t, const Split *s, const char *name, uint32_t n, uint32_t m, float rate) {
  double before, after;
  const char *how =
      arena_printf(t->ad->a, "int8, %u images; learned from %u labelled ones, rate %g", m, n, (double)rate);
  adapt(t, s, n, m, rate, &before, &after);
  adapt_figure(t->ad, name, "accuracy before adaptation", before, "%", "higher", how);
  adapt_figure(t->ad, name, "accuracy after adaptation", after, "%", "higher", how);
}

static bool open_model(Glyphs *t) {
  const char *missing;
  if (!harness_available(target_find(host_target), &missing)) {
    adapt_skip(t->ad, arena_printf(t->ad->a, "%s is missing", missing));
    return false;
  }
  t->g = adapt_model(t->ad, 1);
  if (!t->g) return false;
  const Value *y = graph_val(t->g, t->g->outputs[0]);
  if (graph_val(t->g, t->g->inputs[0])->dtype != DT_I8 || y->dtype != DT_I8 ||
      y->shape.d[y->shape.rank - 1] != CLASSES)
    must(t, diag_error(t->ad->b->d, NULL, "want codes in, %d codes out", CLASSES));
  t->dir = path_join(t->ad->a, t->ad->folder, "net");
  const EmitOptions o = {
      .name = "net", .out_dir = t->dir, .adapt = DEVICE_ADAPT_SCALE, .adapt_sizes = &t->sizes};
  must(t, emit_c(t->g, target_find(host_target), &o, t->ad->b->d));
  return true;
}

void part_glyphs(Adapt *ad) {
  const uint32_t n = ad->quick ? 50 : LEARN, m = ad->quick ? 100 : MEASURE;
  Glyphs t = {.ad = ad};
  if (!open_model(&t)) return;
  const float rate = find_rate(&t, n, ad->quick ? 100 : FIND);
  Split s = opened(&t, "val", 0, n + m);
  report(&t, &s, "glyphs: unchanged", n, m, rate);
  for (int kind = 0; kind < CORRUPT_KINDS; kind++)
    for (int severity = 1; severity <= CORRUPT_SEVERITIES; severity += 2) {
      Split worse;
      must(&t, corrupt_split(&s, (CorruptKind)kind, severity, 1, &worse, ad->b->d));
      report(&t, &worse, arena_printf(ad->a, "glyphs: %s %d", corrupt_name((CorruptKind)kind), severity), n,
             m, rate);
      split_close(&worse);
    }
  split_close(&s);
  graph_free(t.g);
}
