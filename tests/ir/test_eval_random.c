/* Evaluation of operators with free axes on random shapes of up to six dimensions, against plain index arithmetic: an
 * output element is found from its index alone, one at a time. Transpose, Slice, Pad, Gather, broadcasting Add, Mul and
 * Max, ReduceMean, MatMul, Softmax, BatchNormalization.
 */
#include "ir/eval.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "ir/base/rng.h"

enum { ROUNDS = 120, MOST = 6 };

typedef struct Trial {
  Graph *g;
  Diag *d;
  Rng r;
  Tensor in[2];
  uint32_t n_in;
  ValId v[2];
  ValId y;
} Trial;

static int64_t in_range(Rng *r, int64_t lo, int64_t hi) {
  return lo + (int64_t)rng_below(r, (uint32_t)(hi - lo + 1));
}

static Shape random_shape(Rng *r, int least, int most) {
  Shape s = {.rank = (int32_t)in_range(r, least, most)};
  for (int i = 0; i < s.rank; i++) s.d[i] = in_range(r, 1, 4);
  return s;
}

static Trial trial(uint64_t kind, uint64_t number) {
  Trial t = {.g = graph_new("t"), .d = diag_new()};
  rng_seed(&t.r, 1000 + kind, number);
  return t;
}

static ValId trial_input(Trial *t, const Shape *s) {
  Tensor *x = &t->in[t->n_in];
  *x = tensor_new(DT_F32, s);
  for (int64_t i = 0; i < shape_count(s); i++) ((float *)x->data)[i] = rng_normal(&t->r);
  return t->v[t->n_in++] = graph_input(t->g, "x", DT_F32, s);
}

/* What the output element at `index` must be. */
typedef double TrialFn(const Trial *t, const void *attrs, const int64_t *index);

static double at(const Tensor *x, const int64_t *index) {
  int64_t i = 0;
  for (int k = 0; k < x->shape.rank; k++) i = i * x->shape.d[k] + index[k];
  return (double)((const float *)x->data)[i];
}

/* Compares every element, and frees the trial. */
static void check(Trial *t, const char *what, TrialFn *f, const void *attrs) {
  Tensor out;
  ck_assert_msg(t->y != NO_VAL, "%s: %s", what, diag_text(t->d));
  graph_output(t->g, t->y);
  ck_assert_msg(graph_eval(t->g, t->in, t->n_in, &out, t->d), "%s: %s", what, diag_text(t->d));
  int64_t index[MAX_RANK] = {0}, n = shape_count(&out.shape);
  for (int64_t i = 0; i < n; i++) {
    double got = (double)((const float *)out.data)[i], want = f(t, attrs, index);
    if (fabs(got - want) > 1e-5 * (1 + fabs(want))) {
      char shape[200];
      shape_format(&t->in[0].shape, shape, sizeof shape);
      ck_abort_msg("%s of %s: element %d is %.9g, want %.9g", what, shape, (int)i, got, want);
    }
    for (int k = out.shape.rank - 1; k >= 0 && ++index[k] == out.shape.d[k]; k--) index[k] = 0;
  }
  for (uint32_t i = 0; i < t->n_in; i++) tensor_free(&t->in[i]);
  tensor_free(&out);
  graph_free(t->g);
  diag_free(t->d);
}

/* -- moving -- */

static double want_transpose(const Trial *t, const void *attrs, const int64_t *index) {
  const transpose_attrs *a = attrs;
  int64_t from[MAX_RANK];
  for (int i = 0; i < a->perm.n; i++) from[a->perm.v[i]] = index[i];
  return at(&t->in[0], from);
}

static void try_transpose(Trial *t) {
  transpose_attrs a = {0};
  Shape s = random_shape(&t->r, 1, MOST);
  a.perm.n = s.rank;
  for (int i = 0; i < s.rank; i++) a.perm.v[i] = i;
  for (int i = s.rank - 1; i > 0; i--) {
    int64_t j = in_range(&t->r, 0, i), k = a.perm.v[i];
    a.perm.v[i] = a.perm.v[j];
    a.perm.v[j] = k;
  }
  t->y = graph_node1(t->g, OP_transpose, &a, trial_input(t, &s), "y", NULL, t->d);
  check(t, "Transpose", want_transpose, &a);
}

static double want_slice(const Trial *t, const void *attrs, const int64_t *index) {
  const slice_attrs *a = attrs;
  int64_t from[MAX_RANK];
  for (int i = 0; i < a->starts.n; i++) from[i] = a->starts.v[i] + index[i] * a->steps.v[i];
  return at(&t->in[0], from);
}

static void try_slice(Trial *t) {
  slice_attrs a = {0};
  Shape s = random_shape(&t->r, 1, MOST);
  a.starts.n = a.counts.n = a.steps.n = s.rank;
  for (int i = 0; i < s.rank; i++) {
    int64_t step = in_range(&t->r, 1, 2), start = in_range(&t->r, 0, s.d[i] - 1);
    bool back = rng_below(&t->r, 2);
    int64_t room = back ? start : s.d[i] - 1 - start;
    a.starts.v[i] = start;
    a.counts.v[i] = in_range(&t->r, 1, room / step + 1);
    a.steps.v[i] = back ? -step : step;
  }
  t->y = graph_node1(t->g, OP_slice, &a, trial_input(t, &s), "y", NULL, t->d);
  check(t, "Slice", want_slice, &a);
}

static double want_pad(const Trial *t, const void *attrs, const int64_t *index) {
  const pad_attrs *a = attrs;
  const Shape *s = &t->in[0].shape;
  int64_t from[MAX_RANK];
  for (int i = 0; i < s->rank; i++) {
    from[i] = index[i] - a->pads.v[i];
    if (from[i] < 0 || from[i] >= s->d[i]) return (double)a->value;
  }
  return at(&t->in[0], from);
}

static void try_pad(Trial *t) {
  pad_attrs a = {.value = -1.5f};
  Shape s = random_shape(&t->r, 1, 5);
  a.pads.n = 2 * s.rank;
  for (int i = 0; i < a.pads.n; i++) a.pads.v[i] = rng_below(&t->r, 2) ? in_range(&t->r, 0, 2) : 0;
  t->y = graph_node1(t->g, OP_pad, &a, trial_input(t, &s), "y", NULL, t->d);
  check(t, "Pad", want_pad, &a);
}

typedef struct GatherCase {
  gather_attrs a;
  int64_t index[4];
  Shape shape; /* of the indices */
} GatherCase;

static double want_gather(const Trial *t, const void *attrs, const int64_t *index) {
  const GatherCase *c = attrs;
  int64_t from[MAX_RANK], k = 0;
  const Shape *s = &t->in[0].shape;
  for (int i = 0; i < c->shape.rank; i++) k = k * c->shape.d[i] + index[c->a.axis + i];
  for (int i = 0; i < s->rank; i++) {
    if (i != c->a.axis) from[i] = index[i < c->a.axis ? i : i - 1 + c->shape.rank];
  }
  from[c->a.axis] = c->index[k] < 0 ? c->index[k] + s->d[c->a.axis] : c->index[k];
  return at(&t->in[0], from);
}

static void try_gather(Trial *t) {
  GatherCase c = {.shape = {.rank = (int32_t)in_range(&t->r, 0, 2), .d = {2, 2}}};
  Shape s = random_shape(&t->r, 1, 5);
  c.a.axis = (int32_t)in_range(&t->r, 0, s.rank - 1);
  for (int i = 0; i < 4; i++) c.index[i] = in_range(&t->r, -s.d[c.a.axis], s.d[c.a.axis] - 1);
  ValId x = trial_input(t, &s), i = graph_const_data(t->g, "i", DT_I64, &c.shape, c.index);
  t->y = graph_node2(t->g, OP_gather, &c.a, x, i, "y", NULL, t->d);
  check(t, "Gather", want_gather, &c);
}

/* -- computing -- */

static double operand(const Trial *t, int which, const int64_t *index, int rank) {
  const Shape *s = &t->in[which].shape;
  int64_t from[MAX_RANK];
  for (int i = 0; i < s->rank; i++) from[i] = s->d[i] == 1 ? 0 : index[i + rank - s->rank];
  return at(&t->in[which], from);
}

static double want_binary(const Trial *t, const void *attrs, const int64_t *index) {
  const OpKind op = *(const OpKind *)attrs;
  int rank = t->in[0].shape.rank > t->in[1].shape.rank ? t->in[0].shape.rank : t->in[1].shape.rank;
  double a = operand(t, 0, index, rank), b = operand(t, 1, index, rank);
  return op == OP_add ? a + b : op == OP_mul ? a * b : fmax(a, b);
}

static void try_binary(Trial *t) {
  static const OpKind ops[] = {OP_add, OP_mul, OP_max};
  OpKind op = ops[rng_below(&t->r, 3)];
  Shape a = random_shape(&t->r, 0, MOST), b = {.rank = (int32_t)in_range(&t->r, 0, MOST)};
  for (int i = 0; i < b.rank; i++) { /* one of the two is 1, or they agree */
    int j = i + a.rank - b.rank;
    b.d[i] = j >= 0 && rng_below(&t->r, 2) ? a.d[j] : 1;
    if (j >= 0 && rng_below(&t->r, 4) == 0) a.d[j] = 1;
    if (j < 0) b.d[i] = in_range(&t->r, 1, 3);
  }
  ValId x = trial_input(t, &a), y = trial_input(t, &b);
  t->y = graph_node2(t->g, op, NULL, x, y, "y", NULL, t->d);
  check(t, op_info(op)->name, want_binary, &op);
}

static double want_mean(const Trial *t, const void *attrs, const int64_t *index) {
  const reduce_mean_attrs *a = attrs;
  const Shape *s = &t->in[0].shape;
  int64_t from[MAX_RANK] = {0}, count = 1;
  double sum = 0;
  bool reduced[MAX_RANK] = {false};
  for (int i = 0; i < a->axes.n; i++) reduced[a->axes.v[i]] = true;
  for (int i = 0, k = 0; i < s->rank; i++) {
    if (!reduced[i]) from[i] = index[k];
    if (!reduced[i] || a->keepdims) k++;
    if (reduced[i]) count *= s->d[i];
  }
  for (int64_t n = 0; n < count; n++) {
    sum += at(&t->in[0], from);
    for (int i = s->rank - 1; i >= 0; i--) {
      if (!reduced[i]) continue;
      if (++from[i] < s->d[i]) break;
      from[i] = 0;
    }
  }
  return sum / (double)count;
}

static void try_mean(Trial *t) {
  reduce_mean_attrs a = {.keepdims = (int32_t)in_range(&t->r, 0, 1)};
  Shape s = random_shape(&t->r, 1, MOST);
  for (int i = 0; i < s.rank; i++) {
    if (rng_below(&t->r, 2)) a.axes.v[a.axes.n++] = i;
  }
  if (a.axes.n == 0) a.axes.v[a.axes.n++] = in_range(&t->r, 0, s.rank - 1);
  t->y = graph_node1(t->g, OP_reduce_mean, &a, trial_input(t, &s), "y", NULL, t->d);
  check(t, "ReduceMean", want_mean, &a);
}

static double want_matmul(const Trial *t, const void *attrs, const int64_t *index) {
  const Shape *a = &t->in[0].shape, *b = &t->in[1].shape;
  int rank = a->rank > b->rank ? a->rank : b->rank;
  int64_t ia[MAX_RANK], ib[MAX_RANK];
  double sum = 0;
  (void)attrs;
  for (int i = 0; i < a->rank - 2; i++) ia[i] = a->d[i] == 1 ? 0 : index[i + rank - a->rank];
  for (int i = 0; i < b->rank - 2; i++) ib[i] = b->d[i] == 1 ? 0 : index[i + rank - b->rank];
  ia[a->rank - 2] = index[rank - 2];
  ib[b->rank - 1] = index[rank - 1];
  for (int64_t k = 0; k < a->d[a->rank - 1]; k++) {
    ia[a->rank - 1] = ib[b->rank - 2] = k;
    sum += at(&t->in[0], ia) * at(&t->in[1], ib);
  }
  return sum;
}

static void try_matmul(Trial *t) {
  Shape a = random_shape(&t->r, 2, 5), b = random_shape(&t->r, 2, 5);
  b.d[b.rank - 2] = a.d[a.rank - 1];
  for (int i = 3; i <= a.rank && i <= b.rank; i++) {
    int64_t *da = &a.d[a.rank - i], *db = &b.d[b.rank - i];
    uint32_t kind = rng_below(&t->r, 3);
    *db = kind == 0 ? 1 : *da;
    if (kind == 1) *da = 1;
  }
  ValId x = trial_input(t, &a), y = trial_input(t, &b);
  t->y = graph_node2(t->g, OP_matmul, NULL, x, y, "y", NULL, t->d);
  check(t, "MatMul", want_matmul, NULL);
}

static double want_softmax(const Trial *t, const void *attrs, const int64_t *index) {
  const softmax_attrs *a = attrs;
  const Shape *s = &t->in[0].shape;
  int axis = a->axis < 0 ? a->axis + s->rank : a->axis;
  int64_t from[MAX_RANK];
  double sum = 0;
  memcpy(from, index, sizeof from);
  for (from[axis] = 0; from[axis] < s->d[axis]; from[axis]++)
    sum += exp((double)a->beta * at(&t->in[0], from));
  return exp((double)a->beta * at(&t->in[0], index)) / sum;
}

static void try_softmax(Trial *t) {
  Shape s = random_shape(&t->r, 1, MOST);
  softmax_attrs a = {.axis = (int32_t)in_range(&t->r, -s.rank, s.rank - 1), .beta = 1.5f};
  t->y = graph_node1(t->g, OP_softmax, &a, trial_input(t, &s), "y", NULL, t->d);
  check(t, "Softmax", want_softmax, &a);
}

typedef struct NormCase {
  batch_normalization_attrs a;
  float p[4][4]; /* scale, bias, mean, variance of up to four channels */
} NormCase;

static double want_norm(const Trial *t, const void *attrs, const int64_t *index) {
  const NormCase *c = attrs;
  int64_t k = index[c->a.axis];
  double scale = (double)c->p[0][k] / sqrt((double)c->p[3][k] + (double)c->a.epsilon);
  return (at(&t->in[0], index) - (double)c->p[2][k]) * scale + (double)c->p[1][k];
}

static void try_norm(Trial *t) {
  NormCase c = {.a = {.epsilon = 0.01f}};
  Shape s = random_shape(&t->r, 1, 5), channels = {.rank = 1};
  ValId in[5];
  c.a.axis = (int32_t)in_range(&t->r, 0, s.rank - 1);
  channels.d[0] = s.d[c.a.axis];
  in[0] = trial_input(t, &s);
  for (int i = 0; i < 4; i++) {
    for (int k = 0; k < 4; k++) c.p[i][k] = fabsf(rng_normal(&t->r));
    in[1 + i] = graph_const_data(t->g, "p", DT_F32, &channels, c.p[i]);
  }
  t->y = graph_node(t->g, OP_batch_normalization, &c.a, in, 5, "y", NULL, t->d);
  check(t, "BatchNormalization", want_norm, &c);
}

static void (*const tries[])(Trial *t) = {try_transpose, try_slice,  try_pad,     try_gather, try_binary,
                                          try_mean,      try_matmul, try_softmax, try_norm};

START_TEST(by_index_arithmetic)
{
  for (uint64_t n = 0; n < ROUNDS; n++) {
    Trial t = trial((uint64_t)_i, n);
    tries[_i](&t);
  }
}
END_TEST

Suite *suite_eval_random(void) {
  Suite *s = suite_create("eval_random");
  TCase *t = tcase_create("random shapes");
  tcase_set_timeout(t, 30);
  tcase_add_loop_test(t, by_index_arithmetic, 0, (int)(sizeof tries / sizeof tries[0]));
  suite_add_tcase(s, t);
  return s;
}
