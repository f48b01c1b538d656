/* TFLite import: the reference files of MLPerf Tiny and TFLM's sine model against TFLM's reference kernels (int8 byte
 * for byte), and damaged files: cut off anywhere, bytes changed; every one gives a report or a valid graph. */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"

#include "ir/base/rng.h"
#include "ir/eval.h"
#include "tests/frontend/oracle.h"

static char golden_dir[1024], model_dir[1024];

static bool shared(void) {
  return test_shared_path(golden_dir, sizeof golden_dir, "data/golden_tflite") &&
         test_shared_path(model_dir, sizeof model_dir, "data/models/tflite");
}

static void golden_path(char *buf, size_t n, const char *model, int set, int tensor, bool is_input) {
  (void)tensor;
  snprintf(buf, n, "%s/%s/%s_%d.npy", golden_dir, model, is_input ? "in" : "out", set);
}

static Graph *import(const char *name) {
  char path[2200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.tflite", model_dir, name);
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", name, diag_text(d));
  ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", name, diag_text(d));
  diag_free(d);
  return g;
}

/* Float models: 1e-5 of the range; int8 models: the same bytes (oracle_compare of integers). */
START_TEST(models_match_tflm)
{
  if (!shared()) return;
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, model_dir, ".tflite"); *name; name++, models++) {
    Graph *g = import(*name);
    int sets = oracle_sets(*name, g, golden_path, 1e-5);
    ck_assert_msg(sets >= 1, "%s: no reference outputs", *name);
    graph_free(g);
  }
  ck_assert_int_ge(models, 9);
  arena_free(a);
}
END_TEST

START_TEST(quantization_is_kept)
{
  if (!shared()) return;
  Graph *g = import("resnet8_int8");
  const Value *in = graph_val(g, g->inputs[0]);
  ck_assert(in->dtype == DT_I8 && in->quant.n == 1 && in->quant.scale[0] > 0);
  int convs = 0;
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (n->op != OP_conv) continue;
    const Value *w = graph_val(g, n->in[1]), *b = graph_val(g, n->in[2]);
    convs++;
    ck_assert_msg(w->quant.n == w->shape.d[0] && w->quant.axis == 0, "weights of node %u: %d scales", k,
                  w->quant.n);
    ck_assert_int_eq(b->dtype, DT_I32);
    ck_assert_msg(graph_val(g, n->out[0])->quant.n == 1, "output of node %u has no scale", k);
  }
  ck_assert_int_eq(convs, 9);
  graph_free(g);
}
END_TEST

/* -- damaged files -- */

/* Import must end with a report and no graph, or with a valid graph that says nothing. Returns true for a graph. */
static bool import_damaged(const void *bytes, size_t n, const char *how) {
  Diag *d = diag_new();
  Blob *b = blob_new(bytes, n); /* of exactly this size, so that a sanitizer sees a read behind it */
  Graph *g = tflite_import_bytes(b, "damaged.tflite", d);
  blob_unref(b);
  ck_assert_msg((g == NULL) == (diag_count(d) > 0), "%s: %s with %d errors", how, g ? "a graph" : "no graph",
                diag_count(d));
  if (!g)
    ck_assert_msg(strstr(diag_text(d), "damaged.tflite") != NULL, "%s: no file name in: %s", how,
                  diag_text(d));
  if (g) ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", how, diag_text(d));
  bool made = g != NULL;
  graph_free(g);
  diag_free(d);
  return made;
}

static char *read_model(const char *name, size_t *n) {
  char path[2200];
  snprintf(path, sizeof path, "%s/%s.tflite", model_dir, name);
  char *bytes = test_read_file(path, n);
  ck_assert_msg(bytes != NULL, "%s cannot be read", path);
  return bytes;
}

START_TEST(cut_off_files_are_reported)
{
  if (!shared()) return;
  size_t n;
  char how[64], *bytes = read_model("hello_world_int8", &n);
  for (size_t len = 0; len < n; len += len < 64 ? 1 : 7) {
    snprintf(how, sizeof how, "first %zu of %zu bytes", len, n);
    import_damaged(bytes, len, how);
  }
  ck_assert_msg(!import_damaged(bytes, n / 2, "half a file"), "half a file was imported");
  free(bytes);
}
END_TEST

/* Each byte of a small file in turn, and random ones of a larger one. */
START_TEST(changed_bytes_are_survived)
{
  if (!shared()) return;
  static const unsigned char masks[] = {0xff, 0x01, 0x80};
  size_t n;
  char how[64], *bytes = read_model("hello_world_float", &n);
  int broken = 0;
  for (size_t i = 0; i < n; i++) {
    for (size_t m = 0; m < sizeof masks; m++) {
      char was = bytes[i];
      bytes[i] = (char)(bytes[i] ^ masks[m]);
      snprintf(how, sizeof how, "byte %zu ^ 0x%02x", i, masks[m]);
      broken += !import_damaged(bytes, n, how);
      bytes[i] = was;
    }
  }
  ck_assert_int_gt(broken, 100);
  free(bytes);

  Rng r;
  rng_seed(&r, 1, 0);
  bytes = read_model("kws_dscnn_int8", &n);
  for (int round = 0; round < 300; round++) {
    char was[8];
    size_t at[8];
    for (int k = 0; k < 8; k++) {
      at[k] = rng_below(&r, (uint32_t)n);
      was[k] = bytes[at[k]];
      bytes[at[k]] = (char)rng_u64(&r);
    }
    snprintf(how, sizeof how, "round %d", round);
    import_damaged(bytes, n, how);
    for (int k = 8; k-- > 0;) bytes[at[k]] = was[k];
  }
  free(bytes);
}
END_TEST

START_TEST(other_files_are_refused)
{
  static const char text[] = "This is no model, but a text of some length.";
  ck_assert(!import_damaged(text, sizeof text, "a text"));
  Diag *d = diag_new();
  ck_assert(tflite_import("no/such/file.tflite", d) == NULL);
  ck_assert_msg(strstr(diag_text(d), "no/such/file.tflite") && strstr(diag_text(d), "No such file"), "%s",
                diag_text(d));
  diag_free(d);
}
END_TEST

/* An operator code that we know by name only: all such nodes are in one report, with their names. */
START_TEST(unsupported_operators_are_named)
{
  if (!shared()) return;
  size_t n;
  char *bytes = read_model("hello_world_float", &n);
  Diag *d = diag_new();
  /* The file's one operator code is FULLY_CONNECTED (9): every table that holds it becomes RNN (24). */
  int changed = 0;
  Graph *g = NULL;
  for (size_t i = 0; i < n && !g; i++) {
    if (bytes[i] != 9) continue;
    bytes[i] = 24;
    diag_clear(d);
    Blob *b = blob_new(bytes, n);
    g = tflite_import_bytes(b, "rnn.tflite", d);
    blob_unref(b);
    if (!g && strstr(diag_text(d), "RNN")) changed++;
    graph_free(g);
    g = NULL;
    if (changed) break;
    bytes[i] = 9;
  }
  ck_assert_msg(changed == 1, "no byte of the file is the operator code");
  ck_assert_msg(strstr(diag_text(d),
                       "(RNN): error: operator RNN (code 24) is not supported, here and at 2 more nodes") !=
                    NULL,
                "%s", diag_text(d));
  ck_assert_msg(strstr(diag_text(d), "rnn.tflite: node 0") != NULL, "%s", diag_text(d));
  diag_free(d);
  free(bytes);
}
END_TEST

Suite *suite_tflite(void);
Suite *suite_tflite(void) {
  Suite *s = suite_create("tflite");
  TCase *t = tcase_create("import");
  tcase_add_test(t, models_match_tflm);
  tcase_add_test(t, quantization_is_kept);
  tcase_add_test(t, cut_off_files_are_reported);
  tcase_add_test(t, changed_bytes_are_survived);
  tcase_add_test(t, other_files_are_refused);
  tcase_add_test(t, unsupported_operators_are_named);
  suite_add_tcase(s, t);
  return s;
}
