/* The runs of the tests of tailoring; see fixture.h. */
#include "tests/tailor/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/steps/lease.h"
#include "passes/tailor/measure.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

/* ---- Data: a coloured quarter tells the class */

static void write_split(const char *dir, const char *name, int n, uint64_t seed, SplitSpec *out, Arena *a) {
  Diag *d = diag_new();
  Shape xs = shape_of(4, (int64_t)n, (int64_t)SIDE, (int64_t)SIDE, (int64_t)3), ys = shape_of(1, (int64_t)n);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I64, &ys);
  Rng rng;
  rng_seed(&rng, seed, 0);
  uint8_t *p = x.data;
  for (int i = 0; i < n; i++) {
    int64_t label = rng_below(&rng, CLASSES);
    ((int64_t *)y.data)[i] = label;
    for (int k = 0; k < SIDE * SIDE * 3; k++, p++) {
      int row = k / (SIDE * 3), channel = k % 3;
      bool lit = label < 3 ? channel == label : (row < SIDE / 2) == (label == 3);
      *p = (uint8_t)((lit ? 150 : 50) + (int)rng_below(&rng, 60));
    }
  }
  *out = (SplitSpec){.kind = "npy",
                     .x = arena_printf(a, "%s/%s_x.npy", dir, name),
                     .y = arena_printf(a, "%s/%s_y.npy", dir, name)};
  ck_assert_msg(npy_write(out->x, &x, d) && npy_write(out->y, &y, d), "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

/* ---- A device: sizes are counted, nothing is compiled */

typedef struct Device {
  TailorData *data;
  int64_t code;
  bool apart; /* there are two memories */
} Device;

/* A byte a parameter, half of one for those of 4 bits. */
static int64_t fake_flash(const Graph *g) {
  int64_t halves = 0;
  for (ValId v = 1; v < g->n_vals; v++)
    if (graph_val(g, v)->dtype == DT_I4) halves += shape_count(&graph_val(g, v)->shape);
  return graph_params(g) - halves / 2;
}

/* Of a device with two memories: the larger a model, the more of the main one. */
static int64_t fake_main(const Graph *g) { return graph_macs(g) / 16; }

int fixture_regions(const void *ctx, const Graph *g, DType precision, TailorRegion out[TAILOR_REGIONS],
                    Diag *d) {
  const int64_t *main = ctx;
  (void)precision, (void)d;
  out[0] = (TailorRegion){"fast", FIXTURE_FAST, FIXTURE_FAST};
  out[1] = (TailorRegion){"main", fake_main(g), *main};
  return 2;
}

static bool fake_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  const int64_t *main = ctx;
  (void)precision, (void)d;
  *out = (Cost){.macs = graph_macs(g), .params = graph_params(g)};
  out->ram = FIXTURE_FAST + (*main ? fake_main(g) : 0);
  out->flash = out->flash_weights = fake_flash(g);
  out->cycles = 2 * out->macs;
  return true;
}

static bool fake_deploy(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const Device *dev = c->env;
  Graph *g = artifact_graph(&c->in[0], d);
  TRY(g);
  StrBuf b = {0};
  measure_put_int(&b, "flash", fake_flash(g) + dev->code);
  measure_put_int(&b, "ram", FIXTURE_FAST + (dev->apart ? fake_main(g) + FIXTURE_LINKED : 0));
  out[0] = artifact_from_bytes(ART_FILES, "files", 5);
  out[1] = measure_artifact(&b);
  *n_out = 2;
  graph_free(g);
  return true;
}

static bool fake_proof(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const Split *test = NULL;
  TRY(tailor_test_data(((const Device *)c->env)->data, &test, d));
  StrBuf b = {0};
  measure_put_int(&b, "n", test->n);
  measure_put_int(&b, "correct", test->n);
  out[(*n_out)++] = measure_artifact(&b);
  return true;
}

static const char *const backend_src[] = {"backend/", FIXTURE_JUDGE, NULL};
static const StepKind deploy = {.name = "deploy", .sources = backend_src, .names = true, .run = fake_deploy};
static const StepKind proof = {.name = "proof", .sources = backend_src, .run = fake_proof};

/* ---- A run */

static void keep_plan(void *ctx, const char *plan) {
  Fixture *f = ctx;
  sb_clear(&f->lock);
  sb_puts(&f->lock, plan);
}

static void say(void *ctx, const char *line) {
  Fixture *f = ctx;
  sb_printf(&f->said, "%s\n", line);
}

static void record(void *ctx, const StepLog *log) {
  Fixture *f = ctx;
  char name[80];
  f->steps++;
  snprintf(name, sizeof name, "%s:%s", log->slot, log->kind);
  if (f->watch && strcmp(name, f->watch) == 0) f->watched = log->key;
  if (log->hit) return;
  sb_printf(&f->ran, " %s", name);
  if (f->when && strcmp(name, f->when) == 0) f->then(f);
}

void fixture_others_begin(Fixture *f) {
  Holder who;
  f->when = NULL;
  ck_assert_int_eq(lease_take(f->cache, f->watched, LEASE_BEAT, &f->others, &who), LEASE_TAKEN);
}

/* Asked before steps run, and where all that is left is busy: then those at work are done. */
static bool others_end(void *ctx) {
  Fixture *f = ctx;
  lease_release(f->others);
  f->others = NULL;
  return false;
}

/* A clock that strikes after so many looks at it. */
static bool used_up(void *ctx) { return ((Fixture *)ctx)->asks-- <= 0; }

void fixture_open(Fixture *f) {
  *f = (Fixture){.a = arena_new(), .d = diag_new(), .seed = 1, .sharing = SHARE_TREE};
  const char *dir = test_tmp_dir();
  write_split(dir, "train", 256, 1, &f->spec.train, f->a);
  write_split(dir, "val", 128, 2, &f->spec.val, f->a);
  write_split(dir, "test", 128, 3, &f->spec.test, f->a);
  f->spec.normalize = (Normalize){.n = 1, .scale = {1 / 128.0f}, .offset = {-1}};
  f->spec.classes = CLASSES;
  f->model = net_residual(1, 7);
  f->cache = cache_open(arena_printf(f->a, "%s/cache", dir), NULL, f->d);
  ck_assert_msg(f->cache != NULL, "%s", diag_text(f->d));
  f->prints = arena_dup(f->a, source_prints, source_prints_count * sizeof *source_prints);
  f->data_identity = hash_bytes("data", 4);
  f->test_identity = hash_bytes("test", 4);
  int64_t macs = graph_macs(f->model);
  const char *names[MOST] = {"loose", "tight", "later", "least"};
  const int tenths[MOST] = {6, 3, 5, 2};
  f->n = TARGETS;
  for (int i = 0; i < MOST; i++) {
    f->cost[i] = (CostModel){.ctx = &f->main[i], .cost = fake_cost, .key = hash_bytes(names[i], 5)};
    f->target[i] = (TailorTarget){.name = names[i], .precision = DT_I8, .cost = &f->cost[i], .params = "p"};
    f->target[i].limits.macs = macs * tenths[i] / 10;
    f->target[i].limits.flash = graph_params(f->model);        /* never binding, but the linker is asked */
    f->target[i].limits.cycles = 2 * f->target[i].limits.macs; /* as tight: what is planned is measured */
  }
}

void fixture_close(Fixture *f) {
  cache_close(f->cache);
  graph_free(f->model);
  diag_free(f->d);
  sb_free(&f->ran);
  sb_free(&f->said);
  sb_free(&f->lock);
  arena_free(f->a);
}

void fixture_options(const Fixture *f, TrainOptions *out) {
  train_options_default(out);
  out->epochs = 0;
  out->images = 512;
  out->batch = 32;
  out->lr = 0.05f;
  out->mix = f->views || f->beside ? 0.7f : 0;
  out->views = f->views;
}

void fixture_run(Fixture *f, TailorResult *res) {
  TailorData data = {.spec = &f->spec};
  Device device = {&data, f->code, f->main[1] > 0};
  StepEnv env = {.cache = f->cache,
                 .prints = f->prints,
                 .n_prints = source_prints_count,
                 .abi = "test",
                 .record = record,
                 .record_ctx = f};
  Host host = {.threads = 2, .ctx = f, .log = say, .cancelled = others_end};
  TailorJob job = {.model = f->model,
                   .data = &data,
                   .data_identity = f->data_identity,
                   .test_identity = f->test_identity,
                   .may_prune = true,
                   .may_retrain = true,
                   .prune_params = f->prune ? f->prune : "by=taylor,least=2,images=64",
                   .keep = f->keep ? f->keep : "",
                   .finish_int8 = f->int8 ? f->int8 : "bnfuse,fuse,fold,quantize{images=64}",
                   .finish_int4 = f->int4 ? "bnfuse,fuse,fold,quantize{images=64,weights=int4}" : NULL,
                   .other_int8 = f->other,
                   .finish_float = "bnfuse,fuse,fold",
                   .seed = f->seed,
                   .sharing = f->sharing,
                   .per_halving = 1,
                   .least = 0.1,
                   .family = 2,
                   .plan = f->plan,
                   .planned = keep_plan,
                   .planned_ctx = f,
                   .graphs = f->graphs,
                   .plan_only = f->plan_only,
                   .any_views = f->any_views,
                   .image = 1e-5 * (f->slow > 0 ? f->slow : 1),
                   .mac = 1e-11 * (f->slow > 0 ? f->slow : 1),
                   .variants = f->variants,
                   .n_variants = f->n_variants,
                   .trial = 0.25,
                   .close = f->close,
                   .teachers = &f->teacher,
                   .n_teachers = f->teacher != NULL,
                   .budget = {f->budget, 1, used_up, f},
                   .targets = f->target,
                   .n_targets = f->n,
                   .deploy = &deploy,
                   .proof = &proof,
                   .env = &device,
                   .steps = &env,
                   .host = &host};
  fixture_options(f, &job.retrain);
  sb_clear(&f->ran);
  sb_clear(&f->said);
  f->steps = 0;
  bool ok = tailor_run(&job, res, f->d);
  tailor_data_close(&data);
  ck_assert_msg(ok, "%s", diag_text(f->d));
}

void fixture_run_and_drop(Fixture *f) {
  TailorResult res;
  fixture_run(f, &res);
  tailor_result_free(&res);
}

void fixture_edit_source(Fixture *f, const char *path) {
  for (size_t i = 0; i < source_prints_count; i++) {
    if (strcmp(f->prints[i].path, path) != 0) continue;
    f->prints[i].hash = "edited";
    return;
  }
  ck_abort_msg("no source %s", path);
}

void fixture_expect(const Fixture *f, const char *edit, const char *want) {
  const char *ran = sb_str(&f->ran);
  for (const char *p = ran; (p = strchr(p, ':')) != NULL;) {
    size_t n = strcspn(++p, " ");
    char kind[40];
    snprintf(kind, sizeof kind, " %.*s ", (int)n, p);
    ck_assert_msg(strstr(want, kind) != NULL, "%s edited: ran%s; want only%s", edit, ran, want);
  }
  for (const char *p = want + strspn(want, " "); *p; p += strspn(p, " ")) {
    size_t n = strcspn(p, " ");
    char kind[40];
    snprintf(kind, sizeof kind, ":%.*s", (int)n, p);
    ck_assert_msg(strstr(ran, kind) != NULL, "%s edited: ran%s; want%s", edit, ran, want);
    p += n;
  }
}
