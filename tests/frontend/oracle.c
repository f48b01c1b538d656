/* Comparing graphs with reference outputs: see oracle.h. */
#include "tests/frontend/oracle.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "tests/support.h"

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char **oracle_list(Arena *a, const char *dir, const char *suffix) {
  char **names = arena_array(a, 1000, sizeof *names);
  int n = 0;
  DIR *d = opendir(dir);
  ck_assert_msg(d != NULL, "%s cannot be read", dir);
  for (struct dirent *e; n < 999 && (e = readdir(d));) {
    size_t len = strlen(e->d_name), tail = strlen(suffix);
    if (len > tail && strcmp(e->d_name + len - tail, suffix) == 0)
      names[n++] = arena_strndup(a, e->d_name, len - tail);
  }
  closedir(d);
  qsort(names, (size_t)n, sizeof *names, by_name);
  return names;
}

static double largest(const Tensor *t) {
  const float *v = t->data;
  double most = 0;
  for (int64_t i = 0; i < shape_count(&t->shape); i++) most = fmax(most, fabs((double)v[i]));
  return most;
}

static void compare_f32(const char *what, const Tensor *got, const Tensor *want, double range, double tol) {
  const float *a = got->data, *b = want->data;
  if (range == 0) range = largest(want);
  for (int64_t i = 0; i < shape_count(&want->shape); i++) {
    double diff = fabs((double)a[i] - (double)b[i]);
    bool same = a[i] == b[i] || (isnan(a[i]) && isnan(b[i])) || diff <= tol * range;
    ck_assert_msg(same, "%s: element %ld is %.9g, want %.9g (off by %.3g, allowed %.3g)", what, (long)i,
                  (double)a[i], (double)b[i], diff, tol * range);
  }
}

void oracle_compare(const char *what, const Tensor *got, const Tensor *want, double range, double tol) {
  char a[80], b[80];
  shape_format(&got->shape, a, sizeof a);
  shape_format(&want->shape, b, sizeof b);
  ck_assert_msg(got->dtype == want->dtype && shape_equal(&got->shape, &want->shape), "%s: is %s%s, want %s%s",
                what, dtype_name(got->dtype), a, dtype_name(want->dtype), b);
  if (want->dtype == DT_F32) {
    compare_f32(what, got, want, range, tol);
    return;
  }
  const unsigned char *x = got->data, *y = want->data;
  for (size_t i = 0; i < tensor_bytes(want); i++)
    ck_assert_msg(x[i] == y[i], "%s: byte %zu is %d, want %d", what, i, x[i], y[i]);
}

void oracle_eval(const char *what, const Graph *g, const Tensor *in, uint32_t n_in, Tensor *out) {
  Diag *d = diag_new();
  bool ok = graph_eval(g, in, n_in, out, d);
  ck_assert_msg(ok, "%s: not evaluated:\n%s", what, diag_text(d));
  diag_free(d);
}

static Tensor read_npy(const char *path) {
  Diag *d = diag_new();
  Tensor t = {0};
  bool ok = npy_read(path, &t, d);
  ck_assert_msg(ok, "%s", diag_text(d));
  diag_free(d);
  return t;
}

/* Sets there are, and the range of each output over all of them. */
static int count_sets(const char *model, uint32_t n_out, OraclePath *path, double *range) {
  char name[1024];
  for (int set = 0;; set++) {
    path(name, sizeof name, model, set, 0, true);
    if (!file_exists(name)) return set;
    for (uint32_t i = 0; i < n_out; i++) {
      path(name, sizeof name, model, set, (int)i, false);
      Tensor want = read_npy(name);
      if (want.dtype == DT_F32) range[i] = fmax(range[i], largest(&want));
      tensor_free(&want);
    }
  }
}

int oracle_sets(const char *model, const Graph *g, OraclePath *path, double tol) {
  char name[1024];
  double range[8] = {0};
  ck_assert(g->n_inputs <= 8 && g->n_outputs <= 8);
  int sets = count_sets(model, g->n_outputs, path, range);
  for (int set = 0; set < sets; set++) {
    Tensor in[8], out[8];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
      path(name, sizeof name, model, set, (int)i, true);
      in[i] = read_npy(name);
    }
    oracle_eval(model, g, in, g->n_inputs, out);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
      path(name, sizeof name, model, set, (int)i, false);
      Tensor want = read_npy(name);
      oracle_compare(name, &out[i], &want, range[i], tol);
      tensor_free(&want);
    }
    oracle_free(in, g->n_inputs);
    oracle_free(out, g->n_outputs);
  }
  return sets;
}

void oracle_random_inputs(const Graph *g, uint64_t seed, Tensor *in) {
  Rng r;
  rng_seed(&r, seed, 0);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *v = graph_val(g, g->inputs[i]);
    Shape s = v->shape;
    if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = 2;
    ck_assert(v->dtype == DT_F32);
    in[i] = tensor_new(DT_F32, &s);
    for (int64_t k = 0; k < shape_count(&s); k++) ((float *)in[i].data)[k] = rng_uniform(&r) * 2 - 1;
  }
}

void oracle_free(Tensor *t, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) tensor_free(&t[i]);
}
