/* A family on the gateway: the four variants of the label reader that part "family" made, through a worse sensor, re-tailored
 * together by `mistify adapt`, without labels; each in int8 before and after.
 *
 *   glyphs 0 .. 1,999, noise 4 --mistify adapt TARGET/ --data site.yaml--> OUT/variant0..3.mistify
 *   glyphs 2,000 .. 3,999, noise 4: accuracy before and after; clean: what it costs there
 *
 * Glyphs are drawn anew (validation's fonts, another seed): the command's own settings were chosen on the example's (adapt_settings.c).
 */
#include "bench/adapt_retailor.h"
#include "passes/input_raw.h"

enum { LEARN = 2000, MEASURE = 2000, VARIANTS = 4 };

/* The folder of the glyphs. */
static const char *draw_glyphs(Adapt *ad) {
  const char *data = path_join(ad->a, ad->folder, "data"),
             *line = arena_printf(ad->a,
                                  "build/release/examples/01-label-reader/make_data --out %s --seed 2 "
                                  "--train 0 --test 0 --val %d",
                                  data, LEARN + MEASURE);
  if (system(line) != 0) bench_must(ad->b, diag_error(ad->b->d, NULL, "failed: %s", line));
  return data;
}

/* The site's folder: images and site.yaml. */
static const char *write_site(Adapt *ad, const char *glyphs) {
  Split s = adapt_glyphs(ad, glyphs, 0, ad->quick ? 200 : LEARN, CORRUPT_NOISE);
  const Shape *i = &s.item;
  const Shape shape = shape_of(4, (int64_t)s.n, i->d[0], i->d[1], i->d[2]);
  Tensor t = tensor_new(s.dtype, &shape);
  memcpy(t.data, s.x, tensor_bytes(&t));
  static const char site[] =
      "local: {kind: npy, x: x.npy}\nnormalize: {mean: 0.5, std: 0.5}\naugment: {crop: 1}\nclasses: 62\n";
  bench_must(ad->b,
             npy_write(path_join(ad->a, ad->folder, "x.npy"), &t, ad->b->d) &&
                 file_write(path_join(ad->a, ad->folder, "site.yaml"), site, sizeof site - 1, ad->b->d));
  tensor_free(&t);
  split_close(&s);
  return ad->folder;
}

static Scores score(const Adapt *ad, const char *folder, int k, const Split *s) {
  Graph *g = kept_graph(ad, arena_printf(ad->a, "%s/variant%d.mistify", folder, k));
  if (!g) bench_must(ad->b, diag_error(ad->b->d, NULL, "%s: no variant %d", folder, k));
  const Normalize nz = input_raw_normalize(g, s->dtype);
  const Scores out = scores_of(ad->b, g, s, &nz);
  graph_free(g);
  return out;
}

static void compare(Adapt *ad, const char *out, int k, const Split *s, const char *what) {
  Scores before = score(ad, adapt_family_folder(ad), k, s), after = score(ad, out, k, s);
  double lo, hi;
  scores_interval(&after, &before, &lo, &hi);
  adapt_figure(ad, arena_printf(ad->a, "variant %d of %d, %s", k, VARIANTS, what), "accuracy gained, int8",
               scores_percent(&after) - scores_percent(&before), "points", "higher",
               arena_printf(ad->a, "%.2f %% of %u glyphs before, %.2f %% after; paired interval %.2f to %.2f",
                            scores_percent(&before), s->n, scores_percent(&after), lo, hi));
  scores_free(&before);
  scores_free(&after);
}

void part_variants(Adapt *ad) {
  const char *out = path_join(ad->a, ad->folder, "out");
  if (!file_exists(adapt_variant(ad, "float", VARIANTS - 1))) {
    adapt_skip(ad, "want what part \"family\" leaves");
    return;
  }
  const char *none = bench_no_glyphs(ad->a);
  if (none) {
    adapt_skip(ad, none);
    return;
  }
  const char *glyphs = draw_glyphs(ad);
  const char *line =
      arena_printf(ad->a, "build/release/mistify adapt %s --data %s -o %s --quiet -j %d > %s/log 2>&1",
                   adapt_family_folder(ad), write_site(ad, glyphs), out, ad->b->host.threads, ad->folder);
  if (system(line) != 0) bench_must(ad->b, diag_error(ad->b->d, NULL, "failed: %s", line));
  Split noisy = adapt_glyphs(ad, glyphs, LEARN, ad->quick ? 200 : MEASURE, CORRUPT_NOISE),
        clean = adapt_glyphs(ad, glyphs, LEARN, ad->quick ? 200 : MEASURE, CORRUPT_KINDS);
  for (int k = 0; k < VARIANTS; k++) {
    compare(ad, out, k, &noisy, "noise 4");
    compare(ad, out, k, &clean, "as they were");
  }
  split_close(&noisy);
  split_close(&clean);
}
