/* Distillation on a task made here: five classes told apart by which channel and half of the image is bright. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/pass.h"
#include "passes/prune.h"
#include "runtime/engine/engine.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_distill(void);

enum { IMAGES = 256, CLASSES = 5 };

static Dataset make_data(void) {
  Dataset ds = {.spec = {.classes = CLASSES}};
  Rng rng;
  rng_seed(&rng, 4, 4);
  ds.train = (Split){.n = IMAGES, .dtype = DT_F32, .item = shape_of(3, (int64_t)8, (int64_t)8, (int64_t)3)};
  float *x = mem_alloc(IMAGES * 192 * sizeof *x);
  int32_t *y = mem_alloc(IMAGES * sizeof *y);
  for (int i = 0; i < IMAGES; i++) {
    y[i] = i % CLASSES;
    for (int k = 0; k < 192; k++) {
      bool here = k % 3 == y[i] % 3 && (k < 96) == (y[i] < 3);
      x[i * 192 + k] = rng_normal(&rng) + (here ? 0.8f : 0);
    }
  }
  ds.train.xb = blob_adopt(x, IMAGES * 192 * sizeof *x);
  ds.train.yb = blob_adopt(y, IMAGES * sizeof *y);
  ds.train.x = x, ds.train.y = y;
  return ds;
}

static void free_data(Dataset *ds) {
  blob_unref(ds->train.xb);
  blob_unref(ds->train.yb);
}

static Graph *distill(const Graph *g, const Graph *teacher, const Dataset *ds, const char *params) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = params, .data = ds, .teacher = teacher};
  Graph *out = pass_find("distill")->run(g, &ctx, d);
  ck_assert_msg(out != NULL && graph_verify(out, d), "%s", diag_text(d));
  diag_free(d);
  return out;
}

static double accuracy(const Graph *g, const Dataset *ds) {
  Diag *d = diag_new();
  Accuracy a;
  ck_assert_msg(graph_accuracy(g, &ds->train, &ds->spec.normalize, 1, NULL, &a, NULL, d), "%s", diag_text(d));
  diag_free(d);
  return a.top1;
}

/* A teacher learns; a pruned copy of it loses that, and distillation brings it back. */
START_TEST(test_pruned_net_recovers)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6);
  double before = accuracy(g, &ds);
  Graph *teacher = distill(g, NULL, &ds, "epochs=8,lr=0.05,batch=32,bn_images=256");
  double taught = accuracy(teacher, &ds);
  ck_assert_msg(taught > 0.85 && taught > before + 0.2, "the teacher went from %.2f to %.2f", before, taught);

  Diag *d = diag_new();
  PassCtx ctx = {.params = "macs=0.4,images=128", .data = &ds};
  Graph *small = pass_find("prune")->run(teacher, &ctx, d);
  ck_assert_msg(small != NULL, "%s", diag_text(d));
  ck_assert(graph_macs(small) * 10 <= graph_macs(teacher) * 4);
  double cut = accuracy(small, &ds);
  Graph *back = distill(small, teacher, &ds, "epochs=6,lr=0.03,batch=32,bn_images=256");
  double after = accuracy(back, &ds);
  ck_assert_msg(after > 0.8 && after > cut - 0.02, "%.2f pruned, %.2f distilled", cut, after);
  ck_assert_int_eq(graph_macs(back), graph_macs(small));
  graph_free(g), graph_free(teacher), graph_free(small), graph_free(back);
  diag_free(d);
  free_data(&ds);
}
END_TEST

/* Same seed, same bytes; another seed, others; the graph given stays as it is. */
START_TEST(test_repeats)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6);
  Hash before = graph_hash(g);
  static const char *const params[] = {"images=96,batch=32,seed=1,flip=1,crop=1",
                                       "images=96,batch=32,seed=1,flip=1,crop=1",
                                       "images=96,batch=32,seed=2,flip=1,crop=1"};
  Hash h[3];
  for (int i = 0; i < 3; i++) {
    Graph *out = distill(g, g, &ds, params[i]);
    h[i] = graph_hash(out);
    graph_free(out);
  }
  ck_assert(hash_equal(h[0], h[1]) && !hash_equal(h[0], h[2]) && !hash_equal(h[0], before));
  ck_assert(hash_equal(before, graph_hash(g)));
  graph_free(g);
  free_data(&ds);
}
END_TEST

/* What the engine knows beside is taken, a bank too: same bytes again, others without it. */
START_TEST(test_more_options)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6);
  static const char *const params[] = {
      "images=96,batch=32,optimizer=adamw,lr=0.001,schedule=steps,drops=0.3;0.6,cutout=2,views=2,average=0.9",
      "images=96,batch=32,optimizer=adamw,lr=0.001,schedule=steps,drops=0.3;0.6,cutout=2,views=2,average=0.9",
      "images=96,batch=32,optimizer=adamw,lr=0.001,schedule=steps,drops=0.3;0.6,cutout=2,average=0.9"};
  Hash h[3];
  for (int i = 0; i < 3; i++) {
    Graph *out = distill(g, g, &ds, params[i]);
    h[i] = graph_hash(out);
    graph_free(out);
  }
  ck_assert(hash_equal(h[0], h[1]) && !hash_equal(h[0], h[2]));
  graph_free(g);
  free_data(&ds);
}
END_TEST

static Graph *taught_by(const Graph *g, const Graph *teacher, const Graph *larger, const Dataset *ds,
                        const char *params) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = params, .data = ds, .teacher = teacher, .larger = larger};
  Graph *out = pass_find("distill")->run(g, &ctx, d);
  ck_assert_msg(out != NULL, "%s", diag_text(d));
  diag_free(d);
  return out;
}

/* A larger model alone is what the same model as `teacher` is; both are something else; without labels too. */
START_TEST(test_teachers)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6), *big = net_residual(2, 8);
  const Dataset bare = {
      .spec = ds.spec,
      .train = {.n = ds.train.n, .item = ds.train.item, .dtype = ds.train.dtype, .x = ds.train.x}};
  Graph *out[] = {taught_by(g, big, NULL, &ds, "images=96,batch=32"),
                  taught_by(g, g, big, &ds, "images=96,batch=32,from=larger"),
                  taught_by(g, g, big, &ds, "images=96,batch=32"),
                  taught_by(g, g, big, &ds, "images=96,batch=32,from=original"),
                  taught_by(g, g, NULL, &ds, "images=96,batch=32"),
                  taught_by(g, g, big, &bare, "images=96,batch=32,mix=1,from=larger")};
  Hash h[6];
  for (int i = 0; i < 6; i++) h[i] = graph_hash(out[i]);
  ck_assert(hash_equal(h[0], h[1]) && hash_equal(h[3], h[4]));
  ck_assert(!hash_equal(h[1], h[2]) && !hash_equal(h[2], h[3]) && !hash_equal(h[1], h[3]));
  for (int i = 0; i < 6; i++) graph_free(out[i]);

  Diag *d = diag_new();
  const PassCtx none = {.params = "images=96,from=larger", .data = &ds, .teacher = g},
                unlabelled = {.params = "images=96,mix=0.5", .data = &bare, .teacher = g};
  ck_assert_ptr_null(pass_find("distill")->run(g, &none, d));
  ck_assert_ptr_null(pass_find("distill")->run(g, &unlabelled, d));
  ck_assert(strstr(diag_text(d), "--teacher larger.onnx") && strstr(diag_text(d), "has no labels"));
  diag_free(d);
  graph_free(g), graph_free(big);
  free_data(&ds);
}
END_TEST

/* Without labels a random net learns what its teacher knows. */
START_TEST(test_unlabelled)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6), *teacher = distill(g, NULL, &ds, "epochs=8,lr=0.05,batch=32,bn_images=256"),
        *fresh = net_residual(3, 6);
  double taught = accuracy(teacher, &ds), before = accuracy(fresh, &ds);
  const Dataset bare = {
      .spec = ds.spec,
      .train = {.n = ds.train.n, .item = ds.train.item, .dtype = ds.train.dtype, .x = ds.train.x}};
  Graph *student = taught_by(fresh, teacher, NULL, &bare, "epochs=8,lr=0.05,batch=32,mix=1,bn_images=256");
  double after = accuracy(student, &ds);
  ck_assert_msg(after > before + 0.2 && after > taught - 0.1, "%.2f, %.2f after, teacher %.2f", before, after,
                taught);
  graph_free(g), graph_free(teacher), graph_free(fresh), graph_free(student);
  free_data(&ds);
}
END_TEST

static double largest_change(const Graph *g, ValId v, const Graph *h, ValId w) {
  const float *x = val_data(g, v), *y = val_data(h, w);
  double most = 0;
  for (int64_t i = 0; i < shape_count(&graph_val(g, v)->shape); i++)
    most = fmax(most, fabs((double)x[i] - (double)y[i]));
  return most;
}

/* With next to no learning, BatchNormalization's statistics alone become those of the data. */
START_TEST(test_statistics)
{
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6), *out = distill(g, NULL, &ds, "images=32,batch=32,lr=1e-12,bn_images=256");
  NodeId conv = net_find(g, OP_conv, 0), bn = net_find(g, OP_batch_normalization, 0);
  const Node *a = &g->nodes[bn], *b = &out->nodes[bn];
  ck_assert_int_eq(b->op, OP_batch_normalization);
  ck_assert(largest_change(g, g->nodes[conv].in[1], out, out->nodes[conv].in[1]) < 1e-6);
  ck_assert(largest_change(g, a->in[1], out, b->in[1]) < 1e-6);
  ck_assert(largest_change(g, a->in[3], out, b->in[3]) > 1e-2);
  graph_free(g), graph_free(out);
  free_data(&ds);
}
END_TEST

/* A net whose BatchNormalization is fused already is trained all the same. */
START_TEST(test_without_bn)
{
  Dataset ds = make_data();
  Diag *d = diag_new();
  PassCtx ctx = {.params = ""};
  Graph *g = net_residual(1, 6), *fused = pipeline_run(g, "bnfuse", &ctx, NULL, d);
  ck_assert_msg(fused != NULL && net_find(fused, OP_batch_normalization, 0) == NO_NODE, "%s", diag_text(d));
  Graph *out = distill(fused, NULL, &ds, "epochs=4,lr=0.01,batch=32");
  double before = accuracy(fused, &ds), after = accuracy(out, &ds);
  ck_assert_msg(after > before, "%.2f before, %.2f after", before, after);
  graph_free(g), graph_free(fused), graph_free(out);
  diag_free(d);
  free_data(&ds);
}
END_TEST

START_TEST(test_wrong_parameters)
{
  static const struct {
    const char *params, *message;
  } cases[] = {{"images=10,epochs=1", "images or epochs, not both"},
               {"optimizer=adam", "optimizer=adam\" is malformed"},
               {"schedule=steps", "drops 0 times"},
               {"lr=fast", "lr=fast, want a number"},
               {"mix=0.5", "there is no teacher"},
               {"temperature=0", "temperature=0, want a number"}};
  Dataset ds = make_data();
  Graph *g = net_residual(1, 6);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Diag *d = diag_new();
    PassCtx ctx = {.params = cases[i].params, .data = &ds};
    ck_assert_ptr_null(pass_find("distill")->run(g, &ctx, d));
    ck_assert_msg(strstr(diag_text(d), cases[i].message), "distill{%s}: got %s", cases[i].params,
                  diag_text(d));
    diag_free(d);
  }
  graph_free(g);
  free_data(&ds);
}
END_TEST

Suite *suite_distill(void) {
  Suite *s = suite_create("distill");
  TCase *t = tcase_create("distill");
  tcase_add_test(t, test_pruned_net_recovers);
  tcase_add_test(t, test_repeats);
  tcase_add_test(t, test_more_options);
  tcase_add_test(t, test_teachers);
  tcase_add_test(t, test_unlabelled);
  tcase_add_test(t, test_statistics);
  tcase_add_test(t, test_without_bn);
  tcase_add_test(t, test_wrong_parameters);
  suite_add_tcase(s, t);
  return s;
}
