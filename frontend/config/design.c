/* design.yaml: the rules that no single key can state; see design.h. Its keys are in design_keys.c.
 *
 *   YAML -> RawDesign (by the tables) -> Design: data specification, normalization, class names
 *
 * Normalization: given as mean and std of x/255 (as most training code has it), or as scale and offset of x.
 *   (x/255 - mean) / std  ==  x * scale + offset   with scale = 1/(255 std), offset = -mean/std
 */
#include "frontend/config/design.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "frontend/config/design_keys.h"
#include "ir/base/file.h"
#include "ir/base/nearest.h"

/* ---- Rules beyond single keys */

typedef struct Checker {
  Arena *a;
  const YamlFile *file;
  Diag *d;
  bool train_labels, labels; /* examples of train, of val and test must have some */
} Checker;

static bool same_file(const char *a, const char *b) {
  struct stat sa, sb;
  return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool check_split(const Checker *c, const RawSplit *s, bool labels) {
  bool folder = file_is_dir(s->x), images = s->kind == KIND_IMAGES;
  if (folder != images)
    return yaml_error(c->file, &s->x_loc, c->d, "key \"x\": kind %s wants %s, this is %s",
                      split_kinds[s->kind], images ? "a folder" : "a file", folder ? "a folder" : "a file");
  if (s->kind == KIND_NPY && !s->y && labels) {
    yaml_error(c->file, &s->x_loc, c->d,
               "key \"y\" is missing: kind npy has its labels in a file of their own");
    diag_hint(c->d, "add \"y: labels.npy\"");
    return false;
  }
  if (s->kind != KIND_NPY && s->y)
    return yaml_error(c->file, &s->y_loc, c->d, "key \"y\" has no meaning here: kind %s has the labels in x",
                      split_kinds[s->kind]);
  if (images && (!s->width || !s->height || !s->channels)) {
    yaml_error(c->file, &s->x_loc, c->d, "kind images wants width, height and channels");
    diag_hint(c->d, "give the size of the model's input");
    return false;
  }
  if (!images && (s->width || s->height || s->channels))
    return yaml_error(c->file, s->width_loc.line ? &s->width_loc : &s->x_loc, c->d,
                      "width, height and channels are for kind images: kind %s knows its size",
                      split_kinds[s->kind]);
  return true;
}

/* Records [first, end) of the same file in two splits. */
static bool check_disjoint(const Checker *c, const char *name_a, const RawSplit *a, const char *name_b,
                           const RawSplit *b) {
  if (!a->x || !b->x || !same_file(a->x, b->x)) return true;
  uint64_t end_a = a->count ? (uint64_t)a->first + a->count : UINT64_MAX;
  uint64_t end_b = b->count ? (uint64_t)b->first + b->count : UINT64_MAX;
  uint64_t from = a->first > b->first ? a->first : b->first, to = end_a < end_b ? end_a : end_b;
  if (from >= to) return true;
  const Loc *at = b->first_loc.line ? &b->first_loc : &b->x_loc;
  if (to == UINT64_MAX)
    yaml_error(c->file, at, c->d, "%s and %s share the records from %" PRIu64 " on", name_a, name_b, from);
  else
    yaml_error(c->file, at, c->d, "%s and %s share the records %" PRIu64 " to %" PRIu64, name_a, name_b, from,
               to - 1);
  diag_hint(c->d, "splits share no example: set first and count of both");
  return false;
}

static SplitSpec split_spec(const RawSplit *s) {
  return (SplitSpec){.kind = split_kinds[s->kind],
                     .x = s->x,
                     .y = s->y,
                     .first = s->first,
                     .count = s->count,
                     .width = s->width,
                     .height = s->height,
                     .channels = s->channels};
}

/* Entry i of a list of one or n floats. */
static float channel(const CfgList *list, int i, float otherwise) {
  const float *v = list->items;
  return list->n == 0 ? otherwise : list->n == 1 ? v[0] : v[i];
}

static bool check_channels(const Checker *c, const char *key, const CfgList *list, const Loc *loc, int *n) {
  if (list->n <= 1 || list->n == *n || *n <= 1) {
    if (list->n > *n) *n = list->n;
    return true;
  }
  return yaml_error(c->file, loc, c->d, "key \"%s\": want %d values or one, got %d", key, *n, list->n);
}

static bool bind_normalize(const Checker *c, const RawNormalize *raw, const Loc *loc, Normalize *out) {
  if (!loc->line) return true;
  bool unit = raw->mean.n || raw->std.n, affine = raw->scale.n || raw->offset.n;
  if (unit == affine || (unit && !(raw->mean.n && raw->std.n)) || (affine && !raw->scale.n)) {
    yaml_error(c->file, loc, c->d, "normalize wants mean and std, or scale and offset");
    diag_hint(c->d, "mean and std are of x/255; scale and offset give x * scale + offset");
    return false;
  }
  int n = 1;
  TRY(check_channels(c, "mean", &raw->mean, &raw->mean_loc, &n));
  TRY(check_channels(c, "std", &raw->std, &raw->std_loc, &n));
  TRY(check_channels(c, "scale", &raw->scale, &raw->scale_loc, &n));
  TRY(check_channels(c, "offset", &raw->offset, &raw->offset_loc, &n));
  out->n = n;
  for (int i = 0; i < n; i++) {
    double mean = (double)channel(&raw->mean, i, 0), std = (double)channel(&raw->std, i, 1);
    out->scale[i] = unit ? (float)(1 / (255 * std)) : channel(&raw->scale, i, 1);
    out->offset[i] = unit ? (float)(-mean / std) : channel(&raw->offset, i, 0);
  }
  return true;
}

/* One name a line; empty lines at the end do not count. */
static const char **read_labels(const Checker *c, const char *path, int *n) {
  size_t size = 0;
  char *text = file_read(c->a, path, &size, c->d);
  if (!text) return NULL;
  int lines = 0, last = 0;
  for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
  const char **names = arena_array(c->a, (size_t)lines + 2, sizeof *names);
  lines = 0;
  for (char *p = text; p < text + size;) {
    size_t len = strcspn(p, "\n"), keep = len;
    while (keep > 0 && isspace((unsigned char)p[keep - 1])) keep--;
    names[lines++] = arena_strndup(c->a, p, keep);
    if (keep > 0) last = lines;
    p += len + 1;
  }
  *n = last;
  return names;
}

static bool bind_classes(const Checker *c, const RawData *raw, const Loc *data_loc, Design *out) {
  if (out->task == TASK_AUTOENCODER) return true; /* labels are not looked at */
  out->data.classes = raw->classes;
  out->classes_loc = raw->labels ? raw->labels_loc : raw->classes_loc;
  if (!raw->labels && !raw->classes) {
    yaml_error(c->file, data_loc, c->d, "key \"classes\" is missing in data");
    diag_hint(c->d, "give the number of classes, or a file with their names as \"labels\"");
    return false;
  }
  if (!raw->labels) return true;
  int n = 0;
  out->labels = read_labels(c, raw->labels, &n);
  TRY(out->labels != NULL);
  if (n < 2)
    return yaml_error(c->file, &raw->labels_loc, c->d, "%s names %d classes: want at least 2", raw->labels,
                      n);
  if (raw->classes && raw->classes != n)
    return yaml_error(c->file, &raw->classes_loc, c->d, "classes: %d, but %s names %d", raw->classes,
                      raw->labels, n);
  out->data.classes = n;
  return true;
}

static bool bind_data(const Checker *c, const RawData *raw, const Loc *data_loc, Design *out) {
  bool ok = check_split(c, &raw->train, c->train_labels);
  ok = check_split(c, &raw->val, c->labels) && ok;
  ok = check_split(c, &raw->test, c->labels) && ok;
  if (ok) {
    ok = check_disjoint(c, "train", &raw->train, "val", &raw->val);
    ok = check_disjoint(c, "train", &raw->train, "test", &raw->test) && ok;
    ok = check_disjoint(c, "val", &raw->val, "test", &raw->test) && ok;
  }
  out->data = (DataSpec){.train = split_spec(&raw->train),
                         .val = split_spec(&raw->val),
                         .test = split_spec(&raw->test),
                         .augment = raw->augment,
                         .calibration = raw->calibration};
  const bool anomaly = out->metric == METRIC_AUC;
  out->data.train.anomaly = out->data.val.anomaly = out->data.test.anomaly = anomaly;
  const bool unlabelled = out->task == TASK_AUTOENCODER && !anomaly;
  out->data.train.unlabelled = out->data.val.unlabelled = out->data.test.unlabelled = unlabelled;
  ok = bind_normalize(c, &raw->normalize, &raw->normalize_loc, &out->data.normalize) && ok;
  return bind_classes(c, raw, data_loc, out) && ok;
}

/* "name" or "name=teacher's name". */
static bool bind_features(const Checker *c, Training *t) {
  t->pairs = arena_array(c->a, (size_t)t->features.n + 1, sizeof *t->pairs);
  for (int i = 0; i < t->features.n; i++) {
    const char *text = ((const char *const *)t->features.items)[i], *eq = strchr(text, '=');
    t->pairs[i] = (FeaturePair){text, text};
    if (!eq) continue;
    t->pairs[i] = (FeaturePair){arena_strndup(c->a, text, (size_t)(eq - text)), eq + 1};
    if (eq == text || !eq[1])
      return yaml_error(c->file, &t->features.locs[i], c->d,
                        "features: \"%s\": want name, or name=teacher's name", text);
  }
  return true;
}

static bool check_teachers(const Checker *c, const Training *t) {
  if (t->teacher_weights.n && t->teacher_weights.n != t->teachers.n)
    return yaml_error(c->file, &t->weights_loc, c->d, "%d teacher_weights for %d teachers",
                      t->teacher_weights.n, t->teachers.n);
  if (t->features.n && t->teachers.n != 1)
    return yaml_error(c->file, &t->features_loc, c->d,
                      "features follow one teacher: there are %d in `teachers`", t->teachers.n);
  return true;
}

/* Teachers of retraining are followed by a share of the loss, which autoencoders do not have. */
static bool check_retraining(const Checker *c, const Training *t, DesignTask task) {
  if (!t->teachers.n) return true;
  if (task == TASK_AUTOENCODER)
    return yaml_error(c->file, &t->teachers.locs[0], c->d,
                      "teachers: an autoencoder is trained to give its input back, it follows nobody");
  if (t->o.mix > 0) return true;
  return yaml_error(c->file, t->mix_loc.line ? &t->mix_loc : &t->teachers.locs[0], c->d,
                    "mix: 0, but there are `teachers` to follow: want more than 0, or none of them");
}

static bool check_training(const Checker *c, Training *t) {
  bool steps = t->o.schedule == RATE_STEPS;
  if (t->epochs_loc.line && t->images_loc.line) {
    yaml_error(c->file, &t->images_loc, c->d, "epochs and images both say how long to train");
    diag_hint(c->d, "keep one of them");
    return false;
  }
  if (steps && !t->drops.n)
    return yaml_error(c->file, &t->schedule_loc, c->d,
                      "schedule steps wants `drops`: the shares of the run at which the rate falls");
  if (!steps && t->drops.n)
    return yaml_error(c->file, &t->drops_loc, c->d, "drops have a meaning with \"schedule: steps\" alone");
  for (int i = 1; i < t->drops.n; i++)
    if (((const float *)t->drops.items)[i] <= ((const float *)t->drops.items)[i - 1])
      return yaml_error(c->file, &t->drops.locs[i], c->d, "drops: want rising shares of the run");
  return bind_features(c, t);
}

static bool is_identifier(const char *s) {
  if (!isalpha((unsigned char)*s)) return false;
  while (isalnum((unsigned char)*s) || *s == '_') s++;
  return !*s;
}

/* The model file's name made an identifier: "resnet-8.v2.onnx" gives resnet_8_v2. */
static const char *default_name(Arena *a, const char *model) {
  const char *base = path_base(model);
  char *name = arena_printf(a, "%s%.*s", isalpha((unsigned char)*base) ? "" : "m",
                            (int)(strlen(base) - strlen(path_ext(base))), base);
  for (char *p = name; *p; p++)
    if (!isalnum((unsigned char)*p)) *p = '_';
  return name;
}

static bool bind_model(const Checker *c, const RawDesign *raw, Design *out) {
  static const char *const known[] = {".onnx", ".tflite", ".ir", NULL};
  const char *const *ext = known;
  while (*ext && strcmp(*ext, path_ext(raw->model)) != 0) ext++;
  if (!*ext) {
    yaml_error(c->file, &raw->model_loc, c->d, "model \"%s\": want an .onnx, .tflite or .ir file",
               path_base(raw->model));
    return false;
  }
  out->model = raw->model;
  out->model_loc = raw->model_loc;
  out->custom = raw->custom;
  out->name = raw->name ? raw->name : default_name(c->a, raw->model);
  out->name_loc = raw->name_loc;
  if (is_identifier(out->name)) return true;
  yaml_error(c->file, &raw->name_loc, c->d, "name \"%s\": want letters, digits and _, a letter first",
             out->name);
  diag_hint(c->d, "it begins the names of C functions, as in NAME_run");
  return false;
}

/* AUC is of what an autoencoder leaves over, on the values that it is trained to give back. */
static bool check_metric(const Checker *c, const RawDesign *raw, const Design *out) {
  if (out->metric != METRIC_AUC) return true;
  if (out->task != TASK_AUTOENCODER) {
    yaml_error(c->file, &raw->metric_loc, c->d, "metric auc judges autoencoders by what they leave over");
    diag_hint(c->d, "add \"task: autoencoder\", or leave metric out");
    return false;
  }
  if (raw->input.type == INPUT_FLOAT) return true;
  yaml_error(c->file, &raw->metric_loc, c->d,
             "metric auc compares output and input as normalized: the input's type is raw");
  diag_hint(c->d, "add \"input: {type: float}\"");
  return false;
}

static bool bind_design(const Checker *c, RawDesign *raw, Design *out) {
  bool ok = bind_model(c, raw, out);
  ok = check_metric(c, raw, out) && ok;
  ok = bind_data(c, &raw->data, &raw->data_loc, out) && ok;
  ok =
      check_training(c, &raw->freedom.retrain) && check_retraining(c, &raw->freedom.retrain, out->task) && ok;
  ok = check_training(c, &raw->train) && check_teachers(c, &raw->train) && ok;
  if (!raw->train.teachers.n && raw->train.mix_loc.line)
    ok = yaml_error(c->file, &raw->train.mix_loc, c->d, "mix: there are no `teachers` to follow");
  out->layout = (InputLayout)raw->input.layout;
  out->input = (InputType)raw->input.type;
  out->prune = raw->freedom.prune;
  out->depth = raw->freedom.depth;
  out->lowrank = raw->freedom.lowrank;
  out->exits = raw->freedom.exits;
  out->resolution = raw->freedom.resolution;
  if (!raw->freedom.resolution_loc.line) out->resolution.min = 1;
  out->quantize = (QuantizeFreedom)raw->freedom.quantize;
  out->equalize = (EqualizeFreedom)raw->freedom.equalize;
  if (out->quantize == QUANTIZE_NONE && out->equalize != EQUALIZE_NO)
    ok = yaml_error(
        c->file, &raw->freedom.equalize_loc, c->d,
        "equalize is for int8, which \"quantize: none\" does not allow: want one without the other");
  out->retrain = raw->freedom.retrain;
  out->train = raw->train;
  out->prune_loc = raw->freedom.prune_loc;
  out->quantize_loc = raw->freedom.quantize_loc;
  out->retrain_loc = raw->freedom.retrain_loc;
  out->train_loc = raw->train_loc;
  return ok;
}

const Design *design_load(Arena *a, const char *path, Diag *d) {
  Design *out = arena_alloc(a, sizeof *out);
  RawDesign *raw = arena_alloc(a, sizeof *raw);
  out->file = yaml_load(a, path, d);
  if (!out->file || !config_bind(out->file, out->file->root, &design_schema, raw, a, d)) return NULL;
  out->task = (DesignTask)raw->task;
  out->metric = (DesignMetric)raw->metric;
  const bool classes = out->task == TASK_CLASSIFICATION;
  Checker c = {.a = a,
               .file = out->file,
               .d = d,
               .train_labels = classes,
               .labels = classes || out->metric == METRIC_AUC};
  return bind_design(&c, raw, out) ? out : NULL;
}

/* ---- For other files */

bool config_split(const YamlFile *f, const RawSplit *raw, SplitSpec *out, Arena *a, Diag *d) {
  const Checker c = {.a = a, .file = f, .d = d};
  *out = split_spec(raw);
  return check_split(&c, raw, false);
}

bool config_disjoint(const YamlFile *f, const char *name_a, const RawSplit *a, const char *name_b,
                     const RawSplit *b, Diag *d) {
  const Checker c = {.file = f, .d = d};
  return check_disjoint(&c, name_a, a, name_b, b);
}

bool config_normalize(const YamlFile *f, const RawNormalize *raw, const Loc *loc, Normalize *out, Diag *d) {
  const Checker c = {.file = f, .d = d};
  return bind_normalize(&c, raw, loc, out);
}

/* ---- Against the model */

static const char *node_label(const Graph *g, const Node *n) {
  if (n->loc.name && n->loc.name[0]) return n->loc.name;
  return n->n_out > 0 ? graph_val(g, n->out[0])->name : NULL;
}

/* Names of layers that have parameters, NULL-terminated: what `keep` may name. */
static const char **layer_names(const Graph *g, Arena *a) {
  const char **names = arena_array(a, (size_t)g->n_nodes + 1, sizeof *names);
  size_t n = 0;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const char *name = node_label(g, &g->nodes[i]);
    if (name && node_macs(g, &g->nodes[i]) > 0) names[n++] = name;
  }
  return names;
}

static bool check_keep(const Design *design, const Graph *g, Arena *a, Diag *d) {
  const CfgList *keep = &design->prune.keep;
  const char **names = layer_names(g, a);
  bool ok = true;
  for (int i = 0; i < keep->n; i++) {
    const char *want = ((const char *const *)keep->items)[i];
    size_t k = 0;
    while (names[k] && strcmp(names[k], want) != 0) k++;
    if (names[k]) continue;
    ok = yaml_error(design->file, &keep->locs[i], d, "keep: the model has no layer \"%s\"", want);
    const char *near = name_nearest(want, names);
    if (near) diag_hint(d, "did you mean \"%s\"?", near);
    diag_hint(d, "`mistify inspect %s` lists the layers", design->model);
  }
  return ok;
}

static bool has_name(const Graph *g, const char *name) {
  for (uint32_t k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].loc.name && strcmp(g->nodes[k].loc.name, name) == 0) return true;
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].name && g->vals[v].def != NO_NODE && strcmp(g->vals[v].name, name) == 0) return true;
  return false;
}

static bool check_exits(const Design *design, const Graph *g, Diag *d) {
  const CfgList *exits = &design->exits;
  bool ok = true;
  for (int i = 0; i < exits->n; i++) {
    const char *want = ((const char *const *)exits->items)[i];
    if (has_name(g, want)) continue;
    ok = yaml_error(design->file, &exits->locs[i], d, "exits: the model has no layer \"%s\"", want);
    diag_hint(d, "`mistify inspect %s` lists the layers", design->model);
  }
  return ok;
}

static int64_t outputs_of(const Graph *g) {
  const Shape *s = &graph_val(g, g->outputs[g->n_outputs - 1])->shape;
  return shape_count_range(s, s->rank > 1 ? 1 : 0, s->rank);
}

static bool check_outputs(const Design *design, const Graph *g, Diag *d) {
  if (design->task == TASK_AUTOENCODER) return true; /* training compares it with the input */
  const Value *out = graph_val(g, g->outputs[g->n_outputs - 1]);
  int64_t n = outputs_of(g);
  if (n == design->data.classes) return true;
  return yaml_error(design->file, &design->classes_loc, d,
                    "the data has %d classes, the model's output \"%s\" has %" PRId64 " values",
                    design->data.classes, out->name ? out->name : "", n);
}

bool design_check_model(const Design *design, const Graph *g, Diag *d) {
  Arena *a = arena_new();
  bool ok = check_keep(design, g, a, d);
  ok = check_exits(design, g, d) && ok;
  ok = check_outputs(design, g, d) && ok;
  arena_free(a);
  return ok;
}

bool design_check_teacher(const Design *design, const Training *t, int i, const Graph *g, Diag *d) {
  const int64_t n = outputs_of(g);
  if (design->task == TASK_AUTOENCODER || n == design->data.classes) return true;
  yaml_error(design->file, &t->teachers.locs[i], d,
             "the data has %d classes, the teacher \"%s\" gives %" PRId64 " values", design->data.classes,
             path_base(((const char *const *)t->teachers.items)[i]), n);
  diag_hint(d, "a teacher gives a value for each class, in the model's order");
  return false;
}

void design_train_options(const Design *design, const Training *t, uint32_t n, TrainOptions *o) {
  TrainOptions usual;
  train_options_default(&usual);
  *o = t->o;
  o->nesterov = usual.nesterov;
  o->epsilon = usual.epsilon;
  o->bn_images = usual.bn_images;
  o->threads = usual.threads;
  o->seed = usual.seed;
  o->checkpoint_seconds = usual.checkpoint_seconds;
  o->loss = design->task == TASK_AUTOENCODER ? LOSS_INPUT : LOSS_LABELS;
  o->augment = design->data.augment;
  o->n_drops = t->drops.n;
  for (int i = 0; i < t->drops.n; i++) o->drops[i] = ((const float *)t->drops.items)[i];
  bool teachers = t == &design->retrain || t->teachers.n > 0;
  if (!teachers || o->loss == LOSS_INPUT) o->mix = 0;
  if (!t->features.n) o->features = 0;
  o->pairs = t->pairs;
  o->n_pairs = t->features.n;
  if (!t->views_loc.line && o->images > 0)
    o->views = n ? teacher_bank_views(TRAIN_VIEWS, n, o->images, 1) : 0;
  if (!t->views_loc.line && o->images <= 0) o->views = teacher_bank_views(TRAIN_VIEWS, 1, o->epochs, 1);
  if (!teachers || o->mix <= 0 || o->features > 0) o->views = 0;
}
