/* Families of four variants, each against a model of its cost that was tailored by itself: the label reader on a Cortex-M4, a
 * ResNet-8 of CIFAR-10 on AArch64.
 *
 *   family: variants: 4 of the original  -->  MACs of each variant  -->  alone1 .. alone3: requests with these limits
 *   each pair on the test split, image by image: difference with its paired interval
 *   mistify verify: vectors through the variants in every order of two, on the emulator
 *
 * `mistify tailor` does the work, by its own cache; the test split is read here once more, for pairs.
 */
#include "bench/adapt.h"
#include "bench/adapt_resnet8.h"
#include "frontend/config/design.h"
#include "passes/input_raw.h"

#define EXAMPLE "examples/01-label-reader"
enum { VARIANTS = 4 };

typedef struct Setting Setting;

typedef struct Family {
  Adapt *ad;
  const Setting *s;
  const char *folder; /* from the top: where deploy files stand */
  int64_t macs[VARIANTS];
} Family;

struct Setting {
  const char *name, *board, *linked;
  /* Why it cannot be done here; NULL: it can. */
  const char *(*missing)(Arena *a);
  const char *(*design)(const Adapt *ad,
                        const char *folder); /* its text; data are made where they are not there */
  void (*test)(const Family *f, Split *test);
};

static void run(const Adapt *ad, const char *command) {
  const int status = system(command);
  if (status != 0 && status != 2 << 8) /* 2: limits out of reach */
    bench_must(ad->b, diag_error(ad->b->d, NULL, "%s: status %d", command, status >> 8));
}

/* -- the label reader -- */

/* The design, in quick runs with a short retraining. */
static const char *glyphs_design(const Adapt *ad, const char *folder) {
  size_t n;
  (void)folder;
  char *text = file_read(ad->a, EXAMPLE "/design.yaml", &n, ad->b->d);
  bench_must(ad->b, text != NULL);
  StrBuf out = {0};
  for (const char *at = text; *at;) { /* its paths start at its own folder */
    const size_t line = strcspn(at, "\n") + 1;
    const char *data = strstr(at, "data/");
    if (strncmp(at, "model: ", 7) == 0)
      sb_puts(&out, "model: ../../../../../" EXAMPLE "/cloud.onnx\n");
    else if (ad->quick && strncmp(at, "  retrain:", 10) == 0)
      sb_puts(&out, "  retrain: {images: 640, batch: 64, lr: 0.05, mix: 0.7}\n");
    else if (data && data < at + line) {
      for (const char *p = at; p < at + line && *p;) {
        if (strncmp(p, "data/", 5) == 0) sb_puts(&out, "../../../../../" EXAMPLE "/");
        sb_putc(&out, *p++);
      }
    } else
      sb_write(&out, at, strnlen(at, line));
    at += strnlen(at, line);
  }
  const char *made = arena_strdup(ad->a, sb_str(&out));
  sb_free(&out);
  return made;
}

static void glyphs_test(const Family *f, Split *test) {
  const Adapt *ad = f->ad;
  const Design *design = design_load(ad->a, path_join(ad->a, f->folder, "design.yaml"), ad->b->d);
  bench_must(ad->b, design && dataset_open_test(&design->data, test, ad->b->d));
}

/* -- tailoring -- */

static void tailor(const Family *f, const char *name, const StrBuf *targets) {
  Adapt *ad = f->ad;
  const char *deploy = arena_printf(ad->a, "%s/%s.yaml", f->folder, name);
  StrBuf text = {0};
  sb_printf(&text, "design: design.yaml\nseed: 1\ntargets:\n%.*s", (int)targets->len, targets->s);
  bench_must(ad->b, file_write(deploy, sb_str(&text), text.len, ad->b->d));
  sb_free(&text);
  /* What an earlier program left there is no result of this one. */
  if (!file_remove_tree(arena_printf(ad->a, "%s/%s", f->folder, name)))
    bench_must(ad->b, diag_error(ad->b->d, NULL, "%s/%s: cannot be emptied", f->folder, name));
  run(ad,
      arena_printf(
          ad->a,
          "build/release/mistify tailor %s --sharing none -o %s/%s --cache %s/cache --quiet > %s/%s.log 2>&1",
          deploy, f->folder, name, f->folder, f->folder, name));
}

static const Json *report_of(const Family *f, const char *name) {
  Adapt *ad = f->ad;
  size_t n;
  const char *path = arena_printf(ad->a, "%s/%s/report.json", f->folder, name);
  const char *text = file_read(ad->a, path, &n, ad->b->d);
  const Json *j = text ? json_parse(ad->a, text, n, path, ad->b->d) : NULL;
  bench_must(ad->b, j != NULL);
  return json_get(j, "targets");
}

static void make_family(Family *f) {
  StrBuf t = {0};
  sb_printf(&t, "  - {name: family, board: %s, variants: %d}\n  - {name: widest, board: %s}\n", f->s->board,
            VARIANTS, f->s->board);
  tailor(f, "family", &t);
  sb_free(&t);
  const Json *one = json_at(report_of(f, "family"), 0), *variants = json_get(one, "variants");
  bench_must(f->ad->b, variants && variants->n == VARIANTS);
  for (uint32_t k = 0; k < VARIANTS; k++) f->macs[k] = (int64_t)json_get_num(json_at(variants, k), "macs", 0);
}

/* A request of each narrower variant's cost. */
static void make_alone(Family *f) {
  StrBuf t = {0};
  for (int k = 1; k < VARIANTS; k++)
    sb_printf(&t, "  - {name: alone%d, board: %s, limits: {macs: %lld}}\n", k, f->s->board,
              (long long)f->macs[k]);
  tailor(f, "alone", &t);
  sb_free(&t);
}

/* -- flash -- */

/* Bytes that the narrower variants have of their own, as the image's model.json says; the widest's are in its own, too. */
static double own_bytes(const Family *f) {
  Adapt *ad = f->ad;
  size_t n;
  double own = 0;
  const char *path = arena_printf(ad->a, "%s/family/family/model.json", f->folder);
  const char *text = file_exists(path) ? file_read(ad->a, path, &n, ad->b->d) : NULL;
  const Json *j = text ? json_parse(ad->a, text, n, path, ad->b->d) : NULL, *v = json_get(j, "variants");
  for (uint32_t k = 1; v && k < v->n; k++)
    own += json_get_num(json_at(v, k), "own_constants", NAN) + json_get_num(json_at(v, k), "own_params", NAN);
  return v ? own : NAN;
}

static void flash(const Family *f) {
  Adapt *ad = f->ad;
  const char *name = arena_printf(ad->a, "%s, family", f->s->name);
  const Json *t = report_of(f, "family");
  const double image = json_get_num(json_get(json_at(t, 0), "measured"), "flash", NAN),
               alone = json_get_num(json_get(json_at(t, 1), "measured"), "flash", NAN), own = own_bytes(f);
  if (isnan(own)) return;
  adapt_figure(ad, name, "parameters of narrower variants", own, "bytes", "lower",
               "biases, multipliers, tables, extents: model.json");
  adapt_row(ad, &(Row){.name = name,
                       .metric = "flash of the image",
                       .value = image,
                       .unit = "bytes",
                       .better = "lower",
                       .aim = 1.15 * alone + own,
                       .peer = "the widest alone",
                       .peer_value = alone,
                       .how = arena_printf(ad->a,
                                           "linked for %s; aim: 1.15 of the widest alone and what narrower "
                                           "variants have of their own",
                                           f->s->linked)});
}

/* -- scores -- */

/* MACs of the model that variant k is compared with: it is to cost no more. */
static const char *cost_of_peer(const Family *f, int k) {
  const Json *t = k ? json_at(report_of(f, "alone"), (uint32_t)k - 1) : json_at(report_of(f, "family"), 1);
  const int64_t macs = (int64_t)json_get_num(t, "macs", 0);
  bench_must(f->ad->b, macs > 0);
  return arena_printf(f->ad->a, "the other has %lld MACs%s", (long long)macs,
                      macs > f->macs[k] ? ": MORE, so that it is no peer" : "");
}

static Scores score(const Family *f, const char *path, const Split *test) {
  Bench *b = f->ad->b;
  size_t n;
  const char *bytes = file_read(f->ad->a, path, &n, b->d);
  bench_must(b, bytes != NULL);
  Blob *blob = blob_new(bytes, n);
  Graph *g = graph_deserialize(blob, path, b->d);
  bench_must(b, g != NULL);
  const Normalize nz = input_raw_normalize(g, test->dtype);
  const Scores s = scores_of(b, g, test, &nz);
  graph_free(g);
  blob_unref(blob);
  return s;
}

static void compare(const Family *f, int k, const Split *test) {
  Adapt *ad = f->ad;
  double lo, hi;
  const char *name = arena_printf(ad->a, "%s, variant %d of %d", f->s->name, k, VARIANTS);
  Scores of = score(f, arena_printf(ad->a, "%s/family/family/variant%d.mistify", f->folder, k), test),
         by = score(f,
                    k ? arena_printf(ad->a, "%s/alone/alone%d/model.mistify", f->folder, k)
                      : arena_printf(ad->a, "%s/family/widest/model.mistify", f->folder),
                    test);
  scores_interval(&of, &by, &lo, &hi);
  adapt_figure(ad, name, "MACs", (double)f->macs[k], "MACs", "",
               "its share of the widest's: a ratio for all steps");
  adapt_row(
      ad,
      &(Row){.name = name,
             .metric = "accuracy, int8",
             .value = scores_percent(&of),
             .unit = "%",
             .better = "higher",
             .aim = scores_percent(&by) - 0.7,
             .peer = "tailored by itself",
             .peer_value = scores_percent(&by),
             .how = arena_printf(
                 ad->a,
                 "test split, the engine; paired 95 %% interval of the difference %.2f to %.2f points; %s",
                 lo, hi, cost_of_peer(f, k))});
  scores_free(&of);
  scores_free(&by);
}

/* -- switching -- */

/* Vectors through every two variants, one behind the other, on the emulator: bytes of the engine. */
static void switching(const Family *f) {
  Adapt *ad = f->ad;
  const char *out = arena_printf(ad->a, "%s/verify.json", f->folder);
  size_t n;
  if (!file_exists(arena_printf(ad->a, "%s/family/family/model.json", f->folder))) return;
  run(ad, arena_printf(ad->a, "build/release/mistify verify %s/family/family --json > %s 2> %s.log",
                       f->folder, out, out));
  const char *text = file_read(ad->a, out, &n, ad->b->d);
  const Json *j = text ? json_parse(ad->a, text, n, out, ad->b->d) : NULL;
  bench_must(ad->b, j != NULL);
  adapt_row(
      ad, &(Row){.name = arena_printf(ad->a, "%s, family", f->s->name),
                 .metric = "runs equal to the engine, every switch",
                 .value = json_get_num(j, "vectors_equal", NAN),
                 .unit = "runs",
                 .better = "higher",
                 .aim = json_get_num(j, "vectors", NAN),
                 .how = arena_printf(ad->a, "mistify verify, emulated: %s", json_get_str(j, "target", ""))});
}

/* -- the parts -- */

static void resnet8_final(const Family *f, Split *test) { resnet8_test(f->ad, test); }

static const Setting glyphs = {.name = "glyphs",
                               .board = "nucleo-l432kc",
                               .linked = "the Cortex-M4",
                               .missing = bench_no_glyphs,
                               .design = glyphs_design,
                               .test = glyphs_test},
                     resnet8 = {.name = "ResNet-8",
                                .board = "raspberry-pi-4",
                                .linked = "AArch64",
                                .missing = resnet8_missing,
                                .design = resnet8_design,
                                .test = resnet8_final};

static void family(Adapt *ad, const Setting *s) {
  Family f = {
      .ad = ad, .s = s, .folder = arena_printf(ad->a, "%s%s", ad->folder, ad->quick ? "/quick" : "/full")};
  const char *missing = s->missing(ad->a);
  Split test;
  if (missing) {
    adapt_skip(ad, missing);
    return;
  }
  bench_must(ad->b, file_make_dirs(f.folder, ad->b->d));
  const char *design = s->design(ad, f.folder);
  bench_must(ad->b, file_write(path_join(ad->a, f.folder, "design.yaml"), design, strlen(design), ad->b->d));
  make_family(&f);
  make_alone(&f);
  s->test(&f, &test);
  for (int k = 0; k < VARIANTS; k++) compare(&f, k, &test);
  flash(&f);
  switching(&f);
  split_close(&test);
}

void part_family(Adapt *ad) { family(ad, &glyphs); }

void part_resnet8(Adapt *ad) { family(ad, &resnet8); }
