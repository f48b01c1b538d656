/* ONNX import against the conformance tests of onnx/onnx (../shared): each is a model of one operator, its inputs and
 * its outputs. What we import must give the outputs; what we do not must be reported with the operator's name.
 *
 * Many of these models have lists and weights as inputs, which we want as constants: such a model is tried again with
 * all inputs but the first (or the only one) as initializers.
 */
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx_model.h"
#include "frontend/onnx/writer.h"
#include "ir/eval.h"
#include "tests/frontend/oracle.h"

enum { MAX_IO = 16 };

typedef struct Case {
  char name[200], dir[1400];
  Tensor in[MAX_IO], want[MAX_IO];
  Blob *in_file[MAX_IO];
  uint32_t n_in, n_out;
  bool readable; /* all tensors are of element types that we have */
} Case;

static Blob *read_blob(const char *dir, const char *file) {
  char path[1600];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  return blob_map(path);
}

/* A TensorProto file as a Tensor. */
static bool read_tensor(Blob *file, Tensor *t) {
  Diag *d = diag_new();
  OxModel m = {.w = {.base = blob_raw(file), .n = blob_size(file)}, .bytes = file, .path = "tensor", .d = d};
  Graph *g = graph_new("tensor");
  ValId v = ox_tensor(&m, g, (WireBytes){m.w.base, m.w.n}, "tensor", NULL);
  if (v != NO_VAL) {
    *t = tensor_new(graph_val(g, v)->dtype, &graph_val(g, v)->shape);
    memcpy(t->data, val_data(g, v), tensor_bytes(t));
  }
  graph_free(g);
  diag_free(d);
  return v != NO_VAL;
}

static void read_case(Case *c) {
  char file[64];
  c->readable = true;
  for (c->n_in = 0; c->n_in < MAX_IO; c->n_in++) {
    snprintf(file, sizeof file, "test_data_set_0/input_%u.pb", c->n_in);
    Blob *b = read_blob(c->dir, file);
    if (!b) break;
    c->in_file[c->n_in] = b;
    c->readable = read_tensor(b, &c->in[c->n_in]) && c->readable;
  }
  for (c->n_out = 0; c->n_out < MAX_IO; c->n_out++) {
    snprintf(file, sizeof file, "test_data_set_0/output_%u.pb", c->n_out);
    Blob *b = read_blob(c->dir, file);
    if (!b) break;
    c->readable = read_tensor(b, &c->want[c->n_out]) && c->readable;
    blob_unref(b);
  }
}

static void free_case(Case *c) {
  for (uint32_t i = 0; i < c->n_in; i++) blob_unref(c->in_file[i]);
  oracle_free(c->in, c->n_in);
  oracle_free(c->want, c->n_out);
}

/* Rewrap the model m: appended fields are part of a message. */
static Blob *append_constants(const Case *c, OxModel *m) {
  StrBuf out = {0}, graph = {0};
  WireBytes body = {m->w.base, m->w.n};
  WireField f;
  for (const uint8_t *from = body.p; wire_next(&m->w, &body, &f); from = body.p) {
    if (f.id == 7)
      sb_write(&graph, f.bytes.p, f.bytes.n);
    else
      sb_write(&out, from, (size_t)(body.p - from));
  }
  for (uint32_t i = c->n_in > 1; i < c->n_in && i < m->n_inputs; i++) {
    StrBuf t = {0};
    sb_write(&t, blob_raw(c->in_file[i]), blob_size(c->in_file[i]));
    pb_str(&t, 8, m->values[m->inputs[i]].name); /* the last name counts */
    pb_message(&graph, 5, &t);
  }
  pb_message(&out, 7, &graph);
  Blob *b = blob_new(out.s, out.len);
  sb_free(&out);
  return b;
}

/* The model with the tensors of its inputs from 1 on (or its only one) as initializers; NULL: it cannot be read. */
static Blob *with_constants(const Case *c, Blob *model) {
  Diag *d = diag_new();
  OxModel m = {.bytes = model, .path = "model", .arena = arena_new(), .d = d};
  Blob *b = ox_read(&m) ? append_constants(c, &m) : NULL;
  ox_free(&m);
  arena_free(m.arena);
  diag_free(d);
  return b;
}

/* onnx/onnx's own tolerances: 1e-3 of the element, 1e-7. */
static void compare(const Case *c, uint32_t k, const Tensor *got) {
  const Tensor *want = &c->want[k];
  char what[260];
  snprintf(what, sizeof what, "%s: output %u", c->name, k);
  if (want->dtype != DT_F32 || got->dtype != DT_F32 || !shape_equal(&got->shape, &want->shape)) {
    oracle_compare(what, got, want, 0, 0);
    return;
  }
  const float *a = got->data, *b = want->data;
  for (int64_t i = 0; i < shape_count(&want->shape); i++) {
    bool same = a[i] == b[i] || (isnan(a[i]) && isnan(b[i])) ||
                fabs((double)a[i] - (double)b[i]) <= 1e-3 * fabs((double)b[i]) + 1e-7;
    ck_assert_msg(same, "%s: element %ld is %.9g, want %.9g", what, (long)i, (double)a[i], (double)b[i]);
  }
}

/* Import and compare; false where import reports (d has it). */
static bool run_case(const Case *c, Blob *model, Diag *d) {
  Graph *g = onnx_import_bytes(model, c->name, d);
  if (!g) return false;
  Tensor out[MAX_IO];
  ck_assert_msg(g->n_inputs <= c->n_in && g->n_outputs == c->n_out, "%s: %u inputs, %u outputs", c->name,
                g->n_inputs, g->n_outputs);
  bool ok = graph_eval(g, c->in, g->n_inputs, out, d);
  if (ok)
    for (uint32_t k = 0; k < c->n_out; k++) compare(c, k, &out[k]);
  if (ok) oracle_free(out, c->n_out);
  graph_free(g);
  return ok;
}

typedef struct Totals {
  int cases, passed, constants, refused;
} Totals;

static void check_case(Case *c, Totals *sum) {
  Diag *d = diag_new();
  Blob *model = read_blob(c->dir, "model.onnx");
  ck_assert_msg(model != NULL, "%s: no model", c->name);
  read_case(c);
  sum->cases++;
  bool ok = c->readable && run_case(c, model, d);
  sum->passed += ok;
  if (!ok && c->readable && c->n_in > 0) {
    Blob *fixed = with_constants(c, model);
    Diag *again = diag_new();
    ok = fixed && run_case(c, fixed, again);
    sum->constants += ok;
    blob_unref(fixed);
    diag_free(again);
  }
  if (!ok) {
    sum->refused++;
    ck_assert_msg(!c->readable || strstr(diag_text(d), "error: ") != NULL, "%s: refused without a message",
                  c->name);
    if (getenv("MISTIFY_SHOW_REFUSED"))
      printf("%s: %s", c->name, c->readable ? diag_text(d) : "element type\n");
  }
  blob_unref(model);
  free_case(c);
  diag_free(d);
}

START_TEST(conformance_tests_pass_or_are_refused)
{
  char archive[1024], cmd[2600];
  if (!test_shared_path(archive, sizeof archive, "data/onnx_node_tests/public.tar.xz")) return;
  snprintf(cmd, sizeof cmd, "tar -xJf '%s' -C '%s'", archive, test_tmp_dir());
  if (test_run_command(cmd, NULL) != 0) {
    test_skip("the archive of conformance tests cannot be unpacked (tar with xz)");
    return;
  }
  static const char *const kinds[] = {"node", "pytorch-converted", "pytorch-operator", "simple"};
  Totals sum = {0};
  Arena *a = arena_new();
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
    char dir[1200];
    snprintf(dir, sizeof dir, "%s/%s", test_tmp_dir(), kinds[k]);
    snprintf(cmd, sizeof cmd, "test -d '%s'", dir);
    if (test_run_command(cmd, NULL) != 0) continue;
    for (char **name = oracle_list(a, dir, ""); *name; name++) {
      if ((*name)[0] == '.') continue;
      Case c = {.n_in = 0};
      snprintf(c.name, sizeof c.name, "%s", *name);
      snprintf(c.dir, sizeof c.dir, "%s/%s", dir, *name);
      check_case(&c, &sum);
    }
  }
  arena_free(a);
  if (getenv("MISTIFY_SHOW_REFUSED"))
    printf("%d cases: %d as they are, %d with constants, %d refused\n", sum.cases, sum.passed, sum.constants,
           sum.refused);
  ck_assert_int_ge(sum.cases, 600);
  ck_assert_int_ge(sum.passed + sum.constants, 165);
}
END_TEST

Suite *suite_onnx_nodes(void);
Suite *suite_onnx_nodes(void) {
  Suite *s = suite_create("onnx_nodes");
  TCase *t = tcase_create("conformance");
  tcase_add_test(t, conformance_tests_pass_or_are_refused);
  suite_add_tcase(s, t);
  return s;
}
