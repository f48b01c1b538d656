/* Configuration files: golden messages of what is wrong, values of what is right, units, and that design.yaml and
 * deploy.yaml cannot say each other's things.
 *
 * Golden: tests/golden/config/{design,deploy,site,yaml}-NAME.yaml is loaded as what its name says; the messages are
 * NAME.err, which is absent where the file is right.
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/config/deploy.h"
#include "frontend/config/site.h"
#include "frontend/config/units.h"
#include "ir/base/file.h"
#include "ir/base/nearest.h"
#include "tests/support.h"

#define FOLDER "tests/golden/config"

/* ---- Golden */

static void load(Arena *a, const char *path, Diag *d) {
  const char *name = path_base(path);
  bool ok = strncmp(name, "design-", 7) == 0   ? design_load(a, path, d) != NULL
            : strncmp(name, "deploy-", 7) == 0 ? deploy_load(a, path, d) != NULL
            : strncmp(name, "site-", 5) == 0   ? site_load(a, path, d) != NULL
                                               : yaml_load(a, path, d) != NULL;
  ck_assert_msg(ok == (diag_count(d) == 0), "%s: loaded: %d, messages: %s", path, ok, diag_text(d));
}

static void golden(const char *name) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  char *path = path_join(a, FOLDER, name);
  char *err = arena_printf(a, "%.*s.err", (int)(strlen(path) - strlen(path_ext(path))), path);
  load(a, path, d);
  const char *got = diag_text(d), *want = "";
  if (test_golden_update() && *got) test_write_file(err, got, strlen(got));
  char *text = file_exists(err) ? test_read_file(err, NULL) : NULL;
  if (text) want = text;
  ck_assert_msg(strcmp(got, want) == 0, "%s: got\n%swant\n%s", name, got, want);
  free(text);
  diag_free(d);
  arena_free(a);
}

START_TEST(test_golden)
{
  DIR *dir = opendir(FOLDER);
  ck_assert_msg(dir != NULL, "no " FOLDER);
  int n = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    const char *ext = path_ext(e->d_name);
    if (strcmp(ext, ".yaml") != 0) continue;
    golden(e->d_name);
    n++;
  }
  closedir(dir);
  ck_assert_int_ge(n, 55);
}
END_TEST

/* ---- What is right */

START_TEST(test_design_values)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Design *v = design_load(a, FOLDER "/design-good.yaml", d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  ck_assert_str_eq(v->name, "label_reader");
  ck_assert_str_eq(v->model, FOLDER "/../../data/onnx/net_residual.onnx");
  ck_assert_str_eq(v->data.val.kind, "npy");
  ck_assert_uint_eq(v->data.val.first, 100);
  ck_assert_uint_eq(v->data.val.count, 50);
  ck_assert_uint_eq(v->data.test.count, 0);
  ck_assert_int_eq(v->data.classes, 3);
  ck_assert_str_eq(v->labels[2], "two words");
  ck_assert_int_eq(v->data.normalize.n, 3);
  for (int i = 0; i < 3; i++) { /* against the formula that training code has */
    static const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
    double got = (double)v->data.normalize.scale[i] * 200 + (double)v->data.normalize.offset[i];
    double want = (200.0 / 255 - mean[i]) / std[i];
    ck_assert_msg(fabs(got - want) < 1e-5, "channel %d: got %g, want %g", i, got, want);
  }
  ck_assert(v->data.augment.flip);
  ck_assert_int_eq(v->data.augment.crop, 4);
  ck_assert_uint_eq(v->data.calibration, 200);
  ck_assert_int_eq(v->layout, INPUT_NCHW);
  ck_assert_int_eq(v->input, INPUT_RAW);
  ck_assert_double_eq(v->prune.max, 0.8);
  ck_assert_int_eq(v->prune.min_channels, 8);
  ck_assert_int_eq(v->prune.keep.n, 2);
  ck_assert_str_eq(((const char *const *)v->prune.keep.items)[1], "conv 2");
  ck_assert_int_eq(v->prune.keep.locs[1].line, 16);
  ck_assert_int_eq(v->quantize, QUANTIZE_INT8);
  ck_assert_int_eq(v->equalize, EQUALIZE_BEST);
  ck_assert(v->lowrank);
  ck_assert_double_eq(v->retrain.trial, 0.05);
  ck_assert_int_eq(v->depth.max, 2);
  ck_assert_double_eq(v->resolution.min, 0.5);
  ck_assert_int_gt(v->prune_loc.line, 0);
  ck_assert_int_gt(v->retrain_loc.line, 0);
  ck_assert_int_eq(v->train_loc.line, 0);
  TrainOptions o;
  design_train_options(v, &v->retrain, 0, &o);
  ck_assert_int_eq(o.images, 2500);
  ck_assert_float_eq(o.lr, 0.05f);
  ck_assert_float_eq(o.mix, 0.6f);
  ck_assert_float_eq(o.momentum, 0.9f); /* a default of the table */
  ck_assert_int_eq(o.augment.crop, 4);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_design_defaults)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Design *v = design_load(a, FOLDER "/design-minimal.yaml", d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  ck_assert_str_eq(v->name, "net_residual");
  ck_assert_int_eq(v->data.normalize.n, 0);
  ck_assert_int_eq(v->quantize, QUANTIZE_INT8);
  ck_assert_int_eq(v->prune_loc.line, 0); /* not given: not allowed */
  ck_assert_int_eq(v->equalize, EQUALIZE_NO);
  ck_assert(!v->lowrank);
  ck_assert(v->depth.max == 0 && v->resolution.min == 1);
  ck_assert_int_eq(v->retrain_loc.line, 0);
  ck_assert_int_eq(v->layout, INPUT_NHWC);
  ck_assert_uint_eq(v->data.calibration, 500);
  ck_assert_int_eq(v->train.o.epochs, 20);
  diag_free(d);
  arena_free(a);
}
END_TEST

static const Design *design(Arena *a, const char *path) {
  Diag *d = diag_new();
  const Design *v = design_load(a, path, d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  diag_free(d);
  return v;
}

START_TEST(test_training_keys)
{
  Arena *a = arena_new();
  const Design *v = design(a, FOLDER "/design-autoencoder.yaml");
  TrainOptions o, usual;
  train_options_default(&usual);
  design_train_options(v, &v->train, 100, &o);
  ck_assert(o.loss == LOSS_INPUT && o.optimizer == OPTIMIZER_ADAMW && o.schedule == RATE_STEPS);
  ck_assert(o.n_drops == 2 && o.drops[0] == 0.5f && o.drops[1] == 0.75f && o.drop == 0.1f);
  ck_assert(o.clip == 1 && o.average == 0.999f && o.mix == 0 && o.features == 0 && o.grow == 0.5f);
  ck_assert(o.augment.noise == 0.1f && o.augment.time_mask == 4 && o.augment.frequency_mask == 2);
  ck_assert(o.nesterov && o.epsilon == usual.epsilon && o.bn_images == usual.bn_images &&
            o.seed == usual.seed);
  Diag *d = diag_new();
  ck_assert_msg(train_options_check(&o, d), "%s", diag_text(d));
  diag_free(d);

  v = design(a, FOLDER "/design-teachers.yaml");
  ck_assert_int_eq(v->train.teachers.n, 2);
  ck_assert_int_eq(v->retrain.teachers.n, 1);
  ck_assert_float_eq(((const float *)v->train.teacher_weights.items)[0], 2);
  design_train_options(v, &v->train, 100, &o);
  ck_assert(o.mix == 0.7f && o.smoothing == 0.1f && o.warmup == 0.05f && o.augment.cutout == 4);
  ck_assert_int_eq(o.views, 0); /* 799 images are less than 8 of each of 100 */
  design_train_options(v, &v->train, 99, &o);
  ck_assert_int_eq(o.views, TRAIN_VIEWS);
  design_train_options(v, &v->train, 0, &o); /* not known */
  ck_assert_int_eq(o.views, 0);
  design_train_options(v, &v->retrain, 0, &o); /* nine epochs are enough for any number */
  ck_assert_int_eq(o.views, TRAIN_VIEWS);
  arena_free(a);
}
END_TEST

START_TEST(test_deploy_values)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Deploy *v = deploy_load(a, FOLDER "/deploy-good.yaml", d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  ck_assert_uint_eq(v->seed, 7);
  ck_assert_int_eq(v->threads, 2);
  ck_assert_str_eq(v->cache, "/tmp/c");
  ck_assert_str_eq(v->out, FOLDER "/results");
  ck_assert_int_eq(v->n_targets, 2);
  const DeployTarget *m4 = &v->targets[0], *pc = &v->targets[1];
  ck_assert_str_eq(m4->board, "nucleo-f401re");
  ck_assert_ptr_null(m4->target);
  ck_assert_int_eq(m4->limits.flash, 131072);
  ck_assert_int_eq(m4->limits.ram.all, 65536);
  ck_assert(m4->limits.macs.share);
  ck_assert_double_eq(m4->limits.macs.value, 0.5);
  ck_assert_int_eq(m4->limits.cycles, 10000000);
  ck_assert_double_eq_tol(deploy_floor(m4, 0.9), 0.88, 1e-12);
  ck_assert_int_eq(m4->precision, PRECISION_INT8);
  ck_assert_int_eq(pc->precision, PRECISION_FLOAT32);
  ck_assert_double_eq(deploy_floor(pc, 0.9), 0.85);
  ck_assert_int_eq(pc->loc.line, 11);
  ck_assert_double_eq(v->time, 1800);
  ck_assert(m4->priority == 0 && pc->priority == 3);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_variants)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Deploy *v = deploy_load(a, FOLDER "/deploy-variants-good.yaml", d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  ck_assert(v->targets[0].variants == 4 && v->targets[1].variants == 2 && v->targets[2].variants == 0);
  ck_assert_double_eq(v->targets[0].variants_least, 0.25);
  ck_assert_double_eq(v->targets[1].variants_least, 0.4);
  ck_assert(v->targets[0].variants_min == 0 && v->targets[0].variants_drop == 0);
  ck_assert(v->targets[1].variants_min == 0.85 && v->targets[1].variants_drop == 0);
  ck_assert(v->targets[3].variants_min == 0 && v->targets[3].variants_drop == 0.03);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_bounds)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Deploy *v = deploy_load(a, FOLDER "/deploy-good.yaml", d);
  ck_assert_msg(v != NULL, "%s", diag_text(d));
  DeployBounds b;
  ck_assert(
      deploy_bounds(&v->targets[0], &(DeployBoard){"nucleo", 524288, 98304, 0, 0, 0, 0}, 1000001, &b, d));
  ck_assert_int_eq(b.flash, 131072);
  ck_assert_int_eq(b.macs, 500000);
  ck_assert(deploy_bounds(&v->targets[1], &(DeployBoard){"x86-64", 0, 4096, 0, 0, 0, 0}, 1000001, &b, d));
  ck_assert_int_eq(b.flash, 0);
  ck_assert_int_eq(b.ram, 4096); /* the board's, as the target gives none */
  ck_assert_int_eq(b.macs, 0);
  ck_assert(
      !deploy_bounds(&v->targets[0], &(DeployBoard){"small", 524288, 16384, 0, 0, 0, 0}, 1000001, &b, d));
  const char *want =
      FOLDER "/deploy-good.yaml:9:29: error: limit \"ram\" is more than the board small has (16 KiB)";
  ck_assert_msg(strncmp(diag_text(d), want, strlen(want)) == 0, "got %s, want %s", diag_text(d), want);
  diag_clear(d);
  /* memories of their own: what is not said is the board's */
  DeployTarget parts = v->targets[0];
  parts.limits.ram = (DeployRam){.fast = 8192, .fast_loc = {.line = 1}};
  const DeployBoard two = {"two", 524288, 65536, 16384, 1048576, 0, 0};
  ck_assert(deploy_bounds(&parts, &two, 1000001, &b, d));
  ck_assert_int_eq(b.n_regions, 3);
  ck_assert(b.region[0].bytes == 8192 && b.region[1].bytes == 49152 && b.region[2].bytes == 1048576);
  ck_assert_int_eq(b.ram, 8192 + 49152 + 1048576);
  parts.limits.ram.external_loc = parts.limits.ram.fast_loc; /* 0: nothing there */
  parts.limits.ram.all = 20000;
  ck_assert(deploy_bounds(&parts, &two, 1000001, &b, d));
  ck_assert(b.n_regions == 2 && b.ram == 20000);
  /* without a board nobody knows how much the main one has */
  DeployTarget bare = v->targets[1];
  const DeployBoard none = {0};
  bare.limits.ram = (DeployRam){.fast = 8192, .external = 65536};
  bare.limits.ram.fast_loc = bare.limits.ram.external_loc = (Loc){.file = v->file->path, .line = 1, .col = 1};
  ck_assert(!deploy_bounds(&bare, &none, 1000001, &b, d));
  ck_assert_msg(strstr(diag_text(d), "wants \"main\" too") != NULL, "%s", diag_text(d));
  diag_clear(d);
  bare.limits.ram.main = 4096, bare.limits.ram.main_loc = bare.limits.ram.fast_loc;
  ck_assert(deploy_bounds(&bare, &none, 1000001, &b, d));
  ck_assert(b.n_regions == 3 && b.ram == 8192 + 4096 + 65536);
  bare.limits.ram = (DeployRam){.fast = 8192, .fast_loc = bare.limits.ram.fast_loc}; /* all else in main */
  ck_assert(deploy_bounds(&bare, &none, 1000001, &b, d));
  ck_assert(b.n_regions == 2 && b.ram == 0);
  DeployTarget fast = v->targets[1];
  fast.limits.latency = 0.25;
  fast.limits.latency_loc = (Loc){.file = v->file->path, .line = 1, .col = 1};
  ck_assert(deploy_bounds(&fast, &(DeployBoard){"board", 0, 0, 0, 0, 8e6, 0}, 1, &b, d));
  ck_assert_int_eq(b.cycles, 2000000);
  fast.limits.cycles = 1000;
  ck_assert(deploy_bounds(&fast, &(DeployBoard){"board", 0, 0, 0, 0, 8e6, 0}, 1, &b, d));
  ck_assert_int_eq(b.cycles, 1000); /* the stricter one */
  ck_assert(!deploy_bounds(&fast, &(DeployBoard){NULL, 0, 0, 0, 0, 0, 0}, 1, &b, d));
  ck_assert_msg(strstr(diag_text(d), "a board whose clock is known") != NULL, "%s", diag_text(d));
  diag_clear(d);
  fast.limits.energy = 5.055e-8;
  fast.limits.energy_loc = fast.limits.latency_loc;
  ck_assert(deploy_bounds(&fast, &(DeployBoard){"board", 0, 0, 0, 0, 8e6, 1e-10}, 1, &b, d));
  ck_assert_int_eq(b.cycles, 505);
  ck_assert(!deploy_bounds(&fast, &(DeployBoard){"board", 0, 0, 0, 0, 8e6, 0}, 1, &b, d));
  ck_assert_msg(strstr(diag_text(d), "joules per cycle") != NULL, "%s", diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

/* ---- Against the model */

static void against_model(const char *text, const char *want) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Design *v = design_load(a, FOLDER "/design-good.yaml", d);
  Graph *g = graph_parse(text, "net.ir", d);
  ck_assert_msg(v && g, "%s", diag_text(d));
  bool ok = design_check_model(v, g, d);
  ck_assert_msg(ok == (diag_count(d) == 0), "returned %d: %s", ok, diag_text(d));
  if (want)
    ck_assert_msg(strstr(diag_text(d), want) != NULL, "got %s, want %s", diag_text(d), want);
  else
    ck_assert_msg(ok, "%s", diag_text(d));
  graph_free(g);
  diag_free(d);
  arena_free(a);
}

/* The design keeps layers "conv1" and "conv 2" and has 3 classes. */
#define MODEL(a, b, n)                                                                   \
  "graph \"net\"\n"                                                                      \
  "%1 = input : f32[N,4] \"x\"\n"                                                        \
  "%2 = const : f32[4,4] \"w\" {1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}\n"                      \
  "%3 = MatMul(%1, %2) : f32[N,4] \"" a "\"\n"                                           \
  "%4 = MatMul(%3, %2) : f32[N,4] \"" b "\"\n"                                           \
  "%5 = Slice(%4) {starts=[0,0], counts=[-1," n "], steps=[1,1]} : f32[N," n "] \"y\"\n" \
  "output %5\n"

START_TEST(test_against_model)
{
  against_model(MODEL("conv1", "conv 2", "3"), NULL);
  against_model(MODEL("conv1", "conv_2", "3"),
                "design-good.yaml:16:19: error: keep: the model has no layer \"conv 2\"");
  against_model(MODEL("conv1", "conv_2", "3"), "did you mean \"conv_2\"?");
  against_model(MODEL("conv1", "conv 2", "2"),
                "error: the data has 3 classes, the model's output \"y\" has 2 values");
}
END_TEST

/* A teacher of retraining gives a value for each class (10), whatever its layers. */
START_TEST(test_teacher_of_other_classes)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Design *v = design_load(a, FOLDER "/design-teachers.yaml", d);
  Graph *g = graph_parse(MODEL("a", "b", "3"), "net.ir", d);
  ck_assert_msg(v && g, "%s", diag_text(d));
  ck_assert(!design_check_teacher(v, &v->retrain, 0, g, d));
  ck_assert_msg(strstr(diag_text(d),
                       "9:34: error: the data has 10 classes, the teacher \"net_depthwise.onnx\" "
                       "gives 3 values"),
                "%s", diag_text(d));
  graph_free(g);
  diag_free(d);
  arena_free(a);
}
END_TEST

/* Every byte of a right file replaced: bound, or refused with a message; sanitizers watch the rest. */
START_TEST(test_every_byte)
{
  static const char others[] = {' ', '\n', '0', '-', ':', '%', '{', ',', 'x', '"'};
  size_t n;
  char *text = test_read_file(FOLDER "/deploy-good.yaml", &n);
  ck_assert_ptr_nonnull(text);
  int refused = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < sizeof others; k++) {
      Arena *a = arena_new();
      Diag *d = diag_new();
      char old = text[i];
      text[i] = others[k];
      const YamlFile *f = yaml_parse_text(a, text, n, FOLDER "/x.yaml", d);
      bool ok = f && config_bind(f, f->root, &deploy_schema, arena_alloc(a, deploy_schema.size), a, d);
      ck_assert_msg(ok == (diag_count(d) == 0), "byte %zu as '%c': bound: %d, messages: %s", i, others[k], ok,
                    diag_text(d));
      refused += !ok;
      text[i] = old;
      diag_free(d);
      arena_free(a);
    }
  free(text);
  ck_assert_int_gt(refused, 500);
}
END_TEST

/* ---- Who may say what */

static const CfgRow *row_of(const Schema *s, const char *key) {
  for (const CfgRow *r = s->rows; r->key; r++)
    if (strcmp(r->key, key) == 0) return r;
  return NULL;
}

/* No key of one file (at the top, or in a target) is taken by the other one's top level, except where both refuse. */
static void apart(const Schema *mine, const Schema *other) {
  for (const CfgRow *r = mine->rows; r->key; r++) {
    const CfgRow *theirs = row_of(other, r->key);
    if (r->type == CFG_FOREIGN || !theirs || strcmp(r->key, "name") == 0) continue;
    ck_assert_msg(theirs->type == CFG_FOREIGN, "\"%s\" can be said in both files", r->key);
  }
}

START_TEST(test_apart)
{
  const Schema *target = row_of(&deploy_schema, "targets")->sub;
  apart(&design_schema, &deploy_schema);
  apart(&deploy_schema, &design_schema);
  apart(target, &design_schema);
  apart(&design_schema, target);
  static const char *const designers[] = {"model", "data", "freedom", "prune", "quantize", "retrain"};
  for (size_t i = 0; i < sizeof designers / sizeof *designers; i++) {
    ck_assert_int_eq(row_of(&deploy_schema, designers[i])->type, CFG_FOREIGN);
    ck_assert_int_eq(row_of(target, designers[i])->type, CFG_FOREIGN);
  }
  static const char *const users[] = {"targets",  "board",     "target", "limits",
                                      "accuracy", "precision", "seed",   "out"};
  for (size_t i = 0; i < sizeof users / sizeof *users; i++)
    ck_assert_int_eq(row_of(&design_schema, users[i])->type, CFG_FOREIGN);
}
END_TEST

/* Every key of a schema and of its groups is in the help, with its meaning. */
static int in_help(const Schema *s, const char *help) {
  int n = 0;
  for (const CfgRow *r = s->rows; r->key; r++) {
    char key[64];
    if (r->type == CFG_FOREIGN) continue;
    snprintf(key, sizeof key, "%s:", r->key);
    ck_assert_msg(strstr(help, key) != NULL, "help lacks %s", key);
    ck_assert_msg(r->doc && strstr(help, r->doc), "help lacks the meaning of %s", key);
    n += 1 + (r->sub ? in_help(r->sub, help) : 0);
  }
  return n;
}

START_TEST(test_help)
{
  StrBuf help = {0};
  config_print_help(&design_schema, &help);
  ck_assert_int_gt(in_help(&design_schema, help.s), 40);
  sb_clear(&help);
  config_print_help(&deploy_schema, &help);
  ck_assert_int_gt(in_help(&deploy_schema, help.s), 14);
  sb_free(&help);
}
END_TEST

/* ---- Units */

START_TEST(test_units)
{
  static const struct {
    const char *text;
    int64_t want; /* -1: refused */
  } bytes[] = {{"0", 0},         {"17", 17},        {"1 byte", 1},     {"64KiB", 65536}, {"64 kB", 64000},
               {"1.5KiB", 1536}, {"2MiB", 2097152}, {"1 MB", 1000000}, {"64K", -1},      {"64KB", -1},
               {"0.3", -1},      {"1e3", 1000},     {"0x10", -1},      {"", -1},         {"KiB", -1},
               {"nan", -1},      {"1e999", -1},     {"9e18", -1}},
    counts[] = {{"2.5M", 2500000}, {"2.3M", 2300000}, {"800k", 800000},
                {"1.0001k", -1},   {"12", 12},        {"12 apples", -1}};
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
    int64_t got = -1;
    bool ok = !unit_bytes(bytes[i].text, &got);
    ck_assert_msg(ok == (bytes[i].want >= 0) && got == bytes[i].want, "%s: got %lld, want %lld",
                  bytes[i].text, (long long)got, (long long)bytes[i].want);
  }
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    int64_t got = -1;
    unit_count(counts[i].text, &got);
    ck_assert_msg(got == counts[i].want, "%s: got %lld, want %lld", counts[i].text, (long long)got,
                  (long long)counts[i].want);
  }
  double v;
  ck_assert(!unit_share("85%", &v) && v == 0.85);
  ck_assert(!unit_share("0.85", &v) && v == 0.85);
  ck_assert(unit_share("85", &v) && unit_share("101%", &v) && unit_share("-1%", &v));
  ck_assert(!unit_seconds("5min", &v) && v == 300);
  ck_assert(!unit_seconds("250 ms", &v) && v == 0.25);
  ck_assert(unit_seconds("5", &v) != NULL);
  ck_assert(unit_float("inf", &v) && unit_float("0x1p3", &v) && unit_float("1..2", &v) &&
            unit_float(".", &v));
  int64_t n;
  ck_assert(unit_int("1.0", &n) && unit_int("9223372036854775808", &n) && unit_int("", &n) &&
            unit_int("-", &n));
  ck_assert(!unit_int("-9223372036854775808", &n) && n == INT64_MIN);
}
END_TEST

START_TEST(test_format_bytes)
{
  static const struct {
    int64_t v;
    const char *want;
  } cases[] = {{0, "0 bytes"},    {1, "1 byte"},     {1000, "1,000 bytes"}, {1234567, "1,234,567 bytes"},
               {65536, "64 KiB"}, {1048576, "1 MiB"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char got[64];
    unit_format_bytes(cases[i].v, got, sizeof got);
    ck_assert_str_eq(got, cases[i].want);
  }
}
END_TEST

START_TEST(test_nearest)
{
  static const char *const names[] = {"flash", "ram", "macs", "cycles", "min_channels", NULL};
  ck_assert_str_eq(name_nearest("rma", names), "ram");
  ck_assert_str_eq(name_nearest("FLASH", names), "flash");
  ck_assert_str_eq(name_nearest("cycle", names), "cycles");
  ck_assert_str_eq(name_nearest("minchannels", names), "min_channels");
  ck_assert_str_eq(name_nearest("ramsize", names), "ram");
  ck_assert_ptr_null(name_nearest("accuracy", names));
  ck_assert_ptr_null(name_nearest("", names));
  ck_assert_uint_eq(name_distance("ab", "ba"), 1);
  ck_assert_uint_eq(name_distance("kitten", "sitting"), 3);
}
END_TEST

Suite *suite_schema(void) {
  Suite *s = suite_create("schema");
  TCase *t = tcase_create("schema");
  tcase_add_test(t, test_golden);
  tcase_add_test(t, test_design_values);
  tcase_add_test(t, test_design_defaults);
  tcase_add_test(t, test_training_keys);
  tcase_add_test(t, test_deploy_values);
  tcase_add_test(t, test_variants);
  tcase_add_test(t, test_bounds);
  tcase_add_test(t, test_against_model);
  tcase_add_test(t, test_teacher_of_other_classes);
  tcase_add_test(t, test_every_byte);
  tcase_add_test(t, test_apart);
  tcase_add_test(t, test_help);
  tcase_add_test(t, test_units);
  tcase_add_test(t, test_format_bytes);
  tcase_add_test(t, test_nearest);
  suite_add_tcase(s, t);
  return s;
}
