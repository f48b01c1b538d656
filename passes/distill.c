/* distill: retrain a graph, with the original as teacher where there is one.
 *
 *   loss = (1 - mix) * cross entropy with the labels + mix * T^2 * KL(teacher at T || student at T)   (Hinton 2015)
 *
 * The teacher may be a larger model, or both. SGD with Nesterov momentum, cosine learning rate and the design's augmentation unless params say otherwise; views=K: the
 * teacher sees K views of each image once (a bank, made in memory) instead of running beside. Afterwards the statistics of
 * BatchNormalization, which lag behind the weights, are estimated anew on training images, augmented as they were. A graph
 * without BatchNormalization is trained all the same. Never looks at validation or test images.
 */
#include "passes/pass.h"

#include <stdio.h>
#include <string.h>

#include "runtime/engine/engine.h"

PassFn pass_distill;

typedef struct DistillOptions {
  TrainOptions train;
  uint32_t bn_images;
  const Graph *teachers[2];
  int n_teachers;
} DistillOptions;

static bool number(const char *params, const char *key, double lo, double hi, double *v, Diag *d) {
  bool bad = false;
  double got = pass_param_num(params, key, *v, &bad);
  char text[64] = "";
  if (!pass_param(params, key, text, sizeof text)) return true;
  FAIL_IF(bad || !(got >= lo && got <= hi), d, NULL, "distill: %s=%s, want a number from %g to %g", key, text,
          lo, hi);
  *v = got;
  return true;
}

/* Images to see: given, or epochs (which may be fractions) times the training split. */
static bool parse_amount(const char *params, const Dataset *ds, TrainOptions *t, Diag *d) {
  double images = 0, epochs = 0;
  TRY(number(params, "images", 1, 1e12, &images, d));
  TRY(number(params, "epochs", 1e-6, 1e6, &epochs, d));
  FAIL_IF(images > 0 && epochs > 0, d, NULL, "distill: want images or epochs, not both");
  if (images > 0) t->images = (int64_t)images;
  if (epochs > 0) t->images = (int64_t)(epochs * ds->train.n + 0.5);
  if (epochs > 0 && t->images < 1) t->images = 1;
  return true;
}

/* Keys that are TrainOptions' own (runtime/engine/train/options.def) and are taken as they are. */
static bool parse_more(const char *params, TrainOptions *t, Diag *d) {
  static const char *const keys[] = {"optimizer",      "schedule",   "drops",   "drop",   "clip",
                                     "average",        "smoothing",  "reflect", "cutout", "time_mask",
                                     "frequency_mask", "noise",      "mixup",   "cutmix", "views",
                                     "grow",           "grow_stages"};
  StrBuf own = {0};
  char text[256];
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (pass_param(params, keys[i], text, sizeof text)) sb_printf(&own, "%s=%s,", keys[i], text);
  bool ok = train_options_parse(sb_str(&own), t, d);
  sb_free(&own);
  return ok;
}

/* Who teaches: the original, a larger model, or (where there is one) the mean of both. */
static bool parse_teachers(const char *params, const PassCtx *ctx, DistillOptions *o, Diag *d) {
  char who[16] = "both";
  pass_param(params, "from", who, sizeof who);
  const bool original = strcmp(who, "larger") != 0, larger = strcmp(who, "original") != 0;
  FAIL_IF(original && larger && strcmp(who, "both") != 0, d, NULL,
          "distill: from=%s: want original, larger or both", who);
  if (!original && !ctx->larger) {
    diag_error(d, NULL, "distill: from=larger, but there is no larger model");
    diag_hint(d, "name one: --teacher larger.onnx");
    return false;
  }
  if (original && ctx->teacher) o->teachers[o->n_teachers++] = ctx->teacher;
  if (larger && ctx->larger) o->teachers[o->n_teachers++] = ctx->larger;
  return true;
}

static bool parse_options(const char *params, const PassCtx *ctx, DistillOptions *o, Diag *d) {
  TrainOptions *t = &o->train;
  train_options_default(t);
  double lr = (double)t->lr, batch = t->batch, temperature = 4, mix = ctx->teacher || ctx->larger ? 0.9 : 0,
         decay = (double)t->weight_decay;
  double flip = ctx->data->spec.augment.flip, crop = ctx->data->spec.augment.crop, seed = (double)ctx->seed,
         warmup = (double)t->warmup, momentum = (double)t->momentum, bn = 4096;
  TRY(parse_amount(params, ctx->data, t, d));
  TRY(number(params, "lr", 1e-12, 100, &lr, d));
  TRY(number(params, "batch", 1, 65536, &batch, d));
  TRY(number(params, "temperature", 0.01, 1000, &temperature, d));
  TRY(number(params, "mix", 0, 1, &mix, d));
  TRY(number(params, "decay", 0, 1, &decay, d));
  TRY(number(params, "momentum", 0, 1, &momentum, d));
  TRY(number(params, "warmup", 0, 1, &warmup, d));
  TRY(number(params, "flip", 0, 1, &flip, d));
  TRY(number(params, "crop", 0, 1024, &crop, d));
  TRY(number(params, "seed", 0, 9007199254740992.0, &seed, d));
  TRY(number(params, "bn_images", 0, 1e9, &bn, d));
  FAIL_IF(mix > 0 && !ctx->teacher && !ctx->larger, d, NULL, "distill: mix=%g, but there is no teacher", mix);
  TRY(parse_teachers(params, ctx, o, d));
  t->lr = (float)lr, t->batch = (int)batch, t->temperature = (float)temperature, t->mix = (float)mix;
  t->weight_decay = (float)decay, t->momentum = (float)momentum, t->warmup = (float)warmup;
  t->augment = ctx->data->spec.augment;
  TRY(parse_more(params, t, d));
  t->augment.flip = flip != 0, t->augment.crop = (int)crop, t->seed = (uint64_t)seed;
  t->threads = ctx->host && ctx->host->threads > 0 ? ctx->host->threads : 1;
  o->bn_images = (uint32_t)bn < ctx->data->train.n ? (uint32_t)bn : ctx->data->train.n;
  return true;
}

static bool has_bn(const Graph *g) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == OP_batch_normalization) return true;
  return false;
}

static void tell(const TrainResult *r, const Host *host) {
  char line[160];
  snprintf(line, sizeof line,
           "distill: %lld images in %.1f s, loss %.4f, accuracy on what was trained %.2f %%",
           (long long)r->images, r->seconds, r->loss, 100 * r->train_accuracy);
  if (host && host->log) host->log(host->ctx, line);
}

Graph *pass_distill(const Graph *g, const PassCtx *ctx, Diag *d) {
  DistillOptions o = {0};
  if (!ctx->data || ctx->data->train.n == 0) {
    diag_error(d, NULL, "distill: no training images");
    return NULL;
  }
  if (!parse_options(ctx->params ? ctx->params : "", ctx, &o, d)) return NULL;
  TrainResult result = {0};
  const TrainJob job = {.graph = g,
                        .teachers = o.teachers,
                        .n_teachers = o.train.mix > 0 ? o.n_teachers : 0,
                        .data = ctx->data,
                        .options = &o.train,
                        .host = ctx->host};
  Graph *trained = train_run(&job, &result, d);
  if (!trained) return NULL;
  tell(&result, ctx->host);
  if (o.bn_images == 0 || !has_bn(trained)) return trained;
  Graph *done = trained_bn(trained, ctx->data, &o.train, o.bn_images, ctx->host, d);
  graph_free(trained);
  return done;
}
