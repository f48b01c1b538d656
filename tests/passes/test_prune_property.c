/* A pruned graph equals the original with the pruned channels' reads zeroed: on generated networks of every construct
 * by which channels are coupled, and on the models of the shared folder.
 */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "passes/prune.h"
#include "tests/passes/pruned.h"
#include "tests/support.h"

Suite *suite_prune_property(void);

/* ---- models */

enum { PLANS = 3, SMALL = 20000000 /* MACs of a model that takes all of the plans */ };

typedef struct Models {
  int float_models, quantized, removed_in;
  uint32_t removed;
} Models;

static Graph *model_load(const char *path, Diag *d) {
  Graph *file = strstr(path, ".tflite") ? tflite_import(path, d) : onnx_import(path, d);
  PassCtx ctx = {.params = ""};
  Graph *g = file ? pipeline_run(file, "fold,layout,fold,dce", &ctx, NULL, d) : NULL;
  graph_free(file);
  return g;
}

/* Random plans for one model. Returns the units removed in all. */
static uint32_t model_check(const Graph *g, const char *name, Diag *d) {
  Channels c;
  uint32_t removed = 0;
  ck_assert_msg(channels_find(g, NULL, &c, d), "%s: %s", name, diag_text(d));
  for (uint64_t seed = 0; seed < (graph_macs(g) <= SMALL ? PLANS : 1); seed++) {
    PrunePlan p = pruned_plan(&c, seed, 0.6f, NULL);
    Graph *small = prune_apply(&c, &p, d);
    ck_assert_msg(small && graph_verify(small, d), "%s: %s", name, diag_text(d));
    Graph *zero = pruned_zeroed(&c, &p);
    const double diff = pruned_difference(small, zero, seed);
    ck_assert_msg(diff < 1e-4, "%s, plan %llu: outputs differ by %g", name, (unsigned long long)seed, diff);
    for (uint32_t u = 0; u < c.n_units; u++) removed += !p.keep[u];
    prune_plan_free(&p);
    graph_free(small);
    graph_free(zero);
  }
  printf("  %s: %u layers, %u groups, %u units, %u removed\n", name, c.n_layers, c.n_groups, c.n_units,
         removed);
  for (uint32_t i = 0; i < c.n_layers; i++)
    ck_assert_msg((c.layers[i].prunable < c.layers[i].channels) == (c.layers[i].reason != NULL),
                  "%s: layer \"%s\" without a reason", name, c.layers[i].name);
  channels_free(&c);
  return removed;
}

static void model_one(const char *path, const char *name, Models *m) {
  Diag *d = diag_new();
  Graph *g = model_load(path, d);
  ck_assert_msg(g != NULL, "%s: %s", name, diag_text(d));
  Channels c;
  const bool plain = channels_find(g, NULL, &c, d);
  channels_free(&c);
  if (!plain) {
    ck_assert_msg(strstr(diag_text(d), "quantized"), "%s: %s", name, diag_text(d));
    m->quantized++;
  } else {
    const uint32_t removed = model_check(g, name, d);
    m->float_models++, m->removed += removed, m->removed_in += removed > 0;
  }
  graph_free(g);
  diag_free(d);
}

START_TEST(test_models)
{
  static const char *const folders[] = {"data/models/onnx", "data/models/tflite"};
  Models m = {0};
  char path[4096], file[4600];
  if (!test_shared_path(path, sizeof path, folders[_i])) return;
  struct dirent **names = NULL;
  const int n = scandir(path, &names, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    if (strstr(names[i]->d_name, ".onnx") || strstr(names[i]->d_name, ".tflite")) {
      snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
      model_one(file, names[i]->d_name, &m);
    }
    free(names[i]);
  }
  free(names);
  printf("%s: %d float models, units removed in %d; %d quantized, refused\n", folders[_i], m.float_models,
         m.removed_in, m.quantized);
  ck_assert_int_gt(m.float_models, 0);
}
END_TEST

Suite *suite_prune_property(void) {
  Suite *s = suite_create("prune_property");
  TCase *t = tcase_create("prune_property");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, test_models, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
