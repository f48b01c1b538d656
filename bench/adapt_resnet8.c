/* See adapt_resnet8.h.
 *
 *   mlperf_ic_resnet8 (x 0..255) --> first layer for normalised x, BatchNormalization put in --> mistify train, four epochs beside
 *   the ResNet-20 --> cloud.onnx, which the design tailors
 *
 * That training is the one of the task "cifar" of bench/collective.c, whose ResNet-8 begins with random weights and is trained for
 * thirty epochs.
 */
#include "bench/adapt_resnet8.h"

#include "bench/command.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"

#define ORIGINAL "models/onnx/mlperf_ic_resnet8_logits_dynbatch.onnx"
#define TEACHER  "models/onnx/resnet20_cifar10j_dynbatch_bn.onnx"
#define CLOUD    "bench/collective/cifar-cloud.yaml.in"
#define DESIGN   "bench/adapt/resnet8.yaml.in"

enum { TRAIN = 50000, QUICK_TRAIN = 512, QUICK_TEST = 100 };

const char *resnet8_missing(Arena *a) {
  static const char *const files[] = {"cifar10/train.bin.xz", "cifar10/test.bin.xz", ORIGINAL, TEACHER};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (!file_exists(bench_data(files[i]))) return arena_printf(a, "no %s", bench_data(files[i]));
  return NULL;
}

/* -- the original -- */

static void replace(Graph *g, ValId v, float *x) {
  blob_unref(g->vals[v].blob);
  g->vals[v].blob = blob_adopt(x, (size_t)shape_count(&g->vals[v].shape) * sizeof *x);
}

static float *copy_of(const Graph *g, ValId v) {
  const size_t bytes = (size_t)shape_count(&graph_val(g, v)->shape) * sizeof(float);
  float *x = mem_alloc_aligned(bytes, 64);
  memcpy(x, val_data(g, v), bytes);
  return x;
}

/* The first layer for z = scale x + offset in place of x: the same inside, and what is around the image is z = 0. */
static void take_normalized(const Bench *b, Graph *g, const Normalize *nz) {
  NodeId k = 0;
  while (k < g->n_nodes && g->nodes[k].op != OP_conv) k++;
  const Node *n = &g->nodes[k];
  bench_must(b, (k < g->n_nodes && n->in[0] == g->inputs[0] && n->n_in > 2 && n->in[2] != NO_VAL) ||
                    diag_error(b->d, NULL, "%s: want a first layer with a bias", ORIGINAL));
  const Shape *s = &graph_val(g, n->in[1])->shape; /* [O, Kh, Kw, I] */
  float *w = copy_of(g, n->in[1]), *bias = copy_of(g, n->in[2]);
  const int64_t each = shape_count(s) / s->d[0];
  for (int64_t o = 0; o < s->d[0]; o++)
    for (int64_t i = 0; i < each; i++) {
      const int64_t c = i % s->d[3];
      w[o * each + i] /= nz->scale[c];
      bias[o] -= w[o * each + i] * nz->offset[c];
    }
  replace(g, n->in[1], w);
  replace(g, n->in[2], bias);
}

static void write_init(const Bench *b, const char *path) {
  Dataset ds;
  Graph *model = onnx_import(bench_data(ORIGINAL), b->d);
  bench_must(b, model != NULL);
  cifar_open(b, 2048, &ds);
  Graph *g = bench_passes(b, model, "fold,layout{input=nhwc},fold,dce", &ds, NULL);
  take_normalized(b, g, &ds.spec.normalize);
  Graph *done = bench_passes(b, g, "bninsert", &ds, NULL);
  bench_must(b, onnx_export(done, path, b->d));
  graph_free(done);
  graph_free(g);
  graph_free(model);
  dataset_close(&ds);
}

/* ../shared as a design in `folder` names it. */
static const char *shared_of(Arena *a) {
  const char *root = bench_shared();
  return *root == '/' ? root : arena_printf(a, "../../../../../%s", root);
}

static const char *filled(const Adapt *ad, const char *template, const char *length) {
  const char *text = file_read(ad->a, template, NULL, ad->b->d);
  bench_must(ad->b, text != NULL);
  text = text_filled(ad->a, text, "@SHARED@", shared_of(ad->a));
  text = text_filled(ad->a, text, "@TRAIN@", arena_printf(ad->a, "%d", ad->quick ? QUICK_TRAIN : TRAIN));
  return text_filled(ad->a, text, "@LENGTH@", length);
}

static bool same_text(const Adapt *ad, const char *path, const char *want) {
  const char *text = file_exists(path) ? file_read(ad->a, path, NULL, ad->b->d) : NULL;
  return text && strcmp(text, want) == 0;
}

/* Kept with what it was made by: the program and the design. */
static void make_original(const Adapt *ad, const char *folder) {
  Bench *b = ad->b;
  const char *data = path_join(ad->a, folder, "data"), *model = path_join(ad->a, data, "cloud.onnx"),
             *init = path_join(ad->a, data, "init.onnx"), *design = path_join(ad->a, folder, "cloud.yaml"),
             *of = path_join(ad->a, data, "cloud.of"),
             *text = filled(ad, CLOUD, ad->quick ? "images: 1024" : "epochs: 4"),
             *key = arena_printf(ad->a, "%s\n%s", ad->program, text);
  if (file_exists(model) && same_text(ad, of, key)) return;
  if (!same_text(ad, of, key)) remove(path_join(ad->a, data, "cloud.ckpt"));
  bench_must(b, file_make_dirs(data, b->d) && file_write(of, key, strlen(key), b->d) &&
                    file_write(design, text, strlen(text), b->d));
  write_init(b, init);
  const char *command =
      arena_printf(ad->a,
                   "build/release/mistify train %s --checkpoint %s/cloud.ckpt -o %s --quiet "
                   "> %s/cloud.log 2>&1",
                   design, data, model, folder);
  if (system(command) != 0) bench_must(b, diag_error(b->d, NULL, "%s: failed", command));
}

/* -- the design -- */

const char *resnet8_design(const Adapt *ad, const char *folder) {
  make_original(ad, folder);
  return filled(ad, DESIGN, ad->quick ? "images: 512" : "epochs: 1");
}

void resnet8_test(const Adapt *ad, Split *test) {
  SplitSpec spec = {.kind = "cifar", .x = bench_data("cifar10/test.bin.xz"), .count = QUICK_TEST};
  if (!ad->quick)
    cifar_test(ad->b, test);
  else
    bench_must(ad->b, split_open(&spec, test, ad->b->d));
}
