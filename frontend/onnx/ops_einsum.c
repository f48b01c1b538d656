/* ONNX Einsum: operands are contracted from the left, two at a time, each time by one MatMul.
 *
 *   "bik,bkj->bij"   labels of both and of the result    batch     [B, M, K] x [B, K, N] -> [B, M, N]
 *                    of both alone                       K
 *                    of one and of what follows          M, N
 *                    of one alone                        summed before: times a column of ones
 *
 * A label that stands twice in one operand takes the diagonal. An ellipsis is as many labels as there are axes, counted
 * from the right; axes of 1 are expanded. Source: ONNX Einsum-12.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

enum { DOTS = 128 }; /* labels of an ellipsis: DOTS + place from the right */

/* A tensor whose axis i has label[i]. */
typedef struct Term {
  ValId v;
  int n;
  uint8_t label[MAX_RANK];
} Term;

static int find_label(const Term *t, uint8_t label) {
  int i = 0;
  while (i < t->n && t->label[i] != label) i++;
  return i < t->n ? i : -1;
}

/* -- the equation -- */

/* Labels of one term from s[0 .. n-1]; `dots` axes stand for an ellipsis (-1: rank - letters). */
static bool read_term(OxCall *c, const char *s, size_t n, int rank, int *dots, Term *t) {
  int letters = 0;
  for (size_t i = 0; i < n; i++) letters += s[i] != '.';
  int more = rank >= 0 ? rank - letters : *dots;
  t->n = 0;
  for (size_t i = 0; i < n; i++) {
    bool ellipsis = s[i] == '.';
    OX_FAIL_IF(ellipsis && (i + 2 >= n || s[i + 1] != '.' || s[i + 2] != '.'), c,
               "has a stray point in its equation");
    OX_FAIL_IF(!ellipsis && !((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z')), c,
               "has the character '%c' in its equation", s[i]);
    int count = ellipsis ? more : 1;
    OX_FAIL_IF(count < 0 || t->n + count > MAX_RANK, c, "has an equation that does not fit its inputs");
    for (int k = count; k-- > 0;) t->label[t->n++] = ellipsis ? (uint8_t)(DOTS + k) : (uint8_t)s[i];
    if (ellipsis && count > *dots) *dots = count;
    i += ellipsis ? 2 : 0;
  }
  return rank < 0 || t->n == rank ||
         ox_fail(c, "has a term of %d labels for an input of %d dimensions", t->n, rank);
}

/* Without "->": the ellipsis, then the letters that occur once, in alphabetical order. */
static void implied(const Term *in, uint32_t n_in, int dots, Term *out) {
  out->n = 0;
  for (int k = dots; k-- > 0;) out->label[out->n++] = (uint8_t)(DOTS + k);
  for (int letter = 'A'; letter <= 'z'; letter++) {
    int count = 0;
    for (uint32_t i = 0; i < n_in; i++)
      for (int k = 0; k < in[i].n; k++) count += in[i].label[k] == letter;
    if (count == 1 && out->n < MAX_RANK) out->label[out->n++] = (uint8_t)letter;
  }
}

static bool read_equation(OxCall *c, Term *in, Term *out) {
  char text[128];
  size_t n = 0, from = 0;
  uint32_t k = 0;
  int dots = 0;
  const OxAttr *a = ox_attr(c, "equation", OX_ATTR_STRING);
  OX_FAIL_IF(!a, c, "has no equation");
  for (size_t i = 0; i < a->s.n; i++) {
    if (a->s.p[i] == ' ') continue;
    OX_FAIL_IF(n + 1 >= sizeof text, c, "has an equation of more than %d characters", (int)sizeof text - 1);
    text[n++] = (char)a->s.p[i];
  }
  text[n] = 0;
  const char *arrow = strstr(text, "->");
  size_t end = arrow ? (size_t)(arrow - text) : n;
  for (size_t i = 0; i <= end; i++) {
    if (i < end && text[i] != ',') continue;
    OX_FAIL_IF(k == c->n_in, c, "has more terms than inputs");
    TRY(read_term(c, text + from, i - from, ox_shape(c, in[k].v).rank, &dots, &in[k]));
    from = i + 1;
    k++;
  }
  OX_FAIL_IF(k != c->n_in, c, "has %u terms for %u inputs", k, c->n_in);
  if (!arrow) {
    implied(in, k, dots, out);
    return true;
  }
  return read_term(c, arrow + 2, n - end - 2, -1, &dots, out);
}

/* -- steps -- */

/* The axes in another order. */
static void reorder(OxCall *c, Term *t, const int *order) {
  transpose_attrs a = {.perm = {.n = t->n}};
  Term old = *t;
  bool same = true;
  for (int i = 0; i < t->n; i++) {
    a.perm.v[i] = order[i];
    t->label[i] = old.label[order[i]];
    same = same && order[i] == i;
  }
  if (!same) t->v = ox_node(c, OP_transpose, &a, &t->v, 1, "ordered");
}

/* Axes i and j of one label become one: moved to the end, every (n+1)-th element of both as one axis. */
static bool take_diagonal(OxCall *c, Term *t, int i, int j) {
  int order[MAX_RANK], k = 0;
  for (int a = 0; a < t->n; a++)
    if (a != i && a != j) order[k++] = a;
  order[k++] = i;
  order[k] = j;
  reorder(c, t, order);
  TRY(t->v != NO_VAL);
  Shape s = ox_shape(c, t->v), flat = s;
  int64_t n = s.d[s.rank - 1];
  OX_FAIL_IF(!shape_is_static(&s), c, "takes a diagonal, and has a symbolic batch; fix it");
  OX_FAIL_IF(n != s.d[s.rank - 2] || n > INT16_MAX, c, "takes the diagonal of %" PRId64 " by %" PRId64,
             s.d[s.rank - 2], n);
  flat.rank--;
  flat.d[flat.rank - 1] = n * n;
  int32_t *idx = arena_array(c->m->arena, (size_t)n + 1, sizeof *idx);
  for (int64_t a = 0; a < n; a++) idx[a] = (int32_t)(a * (n + 1));
  t->v = ox_pick(c, ox_reshape(c, t->v, &flat, "square"), flat.rank - 1, idx, n, "diagonal");
  t->n--;
  return t->v != NO_VAL;
}

static bool take_diagonals(OxCall *c, Term *t) {
  for (int i = 0; i < t->n; i++)
    for (int j = i + 1; j < t->n; j++)
      if (t->label[i] == t->label[j]) return take_diagonal(c, t, i, j) && take_diagonals(c, t);
  return true;
}

static ValId ones(OxCall *c, DType t, int64_t n) {
  const float one = 1;
  const double wide = 1;
  const int64_t whole = 1;
  const void *p = t == DT_F32 ? (const void *)&one : t == DT_F64 ? (const void *)&wide : (const void *)&whole;
  ValId v = graph_const_data(c->g, NULL, t, &(Shape){2, {1, 1}}, p);
  return n == 1 ? v
                : ox_folded(c, ox_node(c, OP_expand, &(expand_attrs){.shape = {2, {n, 1}}}, &v, 1, "ones"));
}

/* Sum over the labels that neither `a` nor `b` (NULL: none) has. */
static bool sum_rest(OxCall *c, Term *t, bool (*kept)(const void *ctx, uint8_t label), const void *ctx) {
  int order[MAX_RANK], k = 0, stay;
  for (int i = 0; i < t->n; i++)
    if (kept(ctx, t->label[i])) order[k++] = i;
  stay = k;
  for (int i = 0; i < t->n; i++)
    if (!kept(ctx, t->label[i])) order[k++] = i;
  if (stay == t->n) return true;
  reorder(c, t, order);
  TRY(t->v != NO_VAL);
  Shape s = ox_shape(c, t->v), to = s;
  if (!shape_is_static(&s)) { /* rows and columns would be merged with the batch */
    reduce_sum_attrs over = {.axes = {.n = s.rank - stay}};
    for (int i = stay; i < s.rank; i++) over.axes.v[i - stay] = i;
    t->n = stay;
    t->v = ox_node(c, OP_reduce_sum, &over, &t->v, 1, "summed");
    return t->v != NO_VAL;
  }
  int64_t rows = shape_count_range(&s, 0, stay), columns = shape_count_range(&s, stay, s.rank);
  ValId x = ox_reshape(c, t->v, &(Shape){2, {rows, columns}}, "rows");
  x = ox_node(c, OP_matmul, NULL, (ValId[2]){x, ones(c, ox_type(c, t->v), columns)}, 2, "sums");
  to.rank = t->n = stay;
  t->v = ox_reshape(c, x, &to, "summed");
  return t->v != NO_VAL;
}

/* What is kept while terms a and b are contracted: labels of the result and of the terms that follow. */
typedef struct Kept {
  const Term *terms, *out, *beside; /* beside: the other term of the two; NULL: none */
  uint32_t from, n;
} Kept;

static bool is_kept(const void *ctx, uint8_t label) {
  const Kept *k = ctx;
  if (find_label(k->out, label) >= 0 || (k->beside && find_label(k->beside, label) >= 0)) return true;
  for (uint32_t i = k->from; i < k->n; i++)
    if (find_label(&k->terms[i], label) >= 0) return true;
  return false;
}

/* Axes of 1 take the other term's extent where both have the label. */
static bool match_extents(OxCall *c, Term *t, const Term *other) {
  Shape s = ox_shape(c, t->v), o = ox_shape(c, other->v);
  expand_attrs a = {.shape = {.n = s.rank}};
  bool any = false;
  for (int i = 0; i < t->n; i++) {
    int j = find_label(other, t->label[i]);
    bool grow = j >= 0 && s.d[i] == 1 && o.d[j] != 1;
    OX_FAIL_IF(grow && o.d[j] == DIM_BATCH, c,
               "multiplies an axis of 1 by the symbolic batch; fix it, or use MatMul");
    OX_FAIL_IF(j >= 0 && !grow && s.d[i] != o.d[j] && o.d[j] != 1, c,
               "multiplies axes of %" PRId64 " and %" PRId64, s.d[i], o.d[j]);
    a.shape.v[i] = grow ? o.d[j] : s.d[i];
    any = any || grow;
  }
  if (any) t->v = ox_node(c, OP_expand, &a, &t->v, 1, "expanded");
  return t->v != NO_VAL;
}

/* Has the term a symbolic batch under a label that the other has not? */
static bool own_batch(OxCall *c, const Term *t, const Term *other) {
  Shape s = ox_shape(c, t->v);
  return t->n > 0 && s.d[0] == DIM_BATCH && find_label(other, t->label[0]) < 0;
}

/* Axes of t in three groups, those of group g being where which(label) == g; extents of the groups in size[3]. */
static bool in_groups(OxCall *c, Term *t, const Term *other, const Kept *later, const int place[3],
                      int64_t size[3], int count[3]) {
  int order[MAX_RANK], k = 0;
  for (int p = 0; p < 3; p++) {
    size[p] = 1;
    count[p] = 0;
    for (int i = 0; i < t->n; i++) {
      int group = find_label(other, t->label[i]) < 0 ? 1 : is_kept(later, t->label[i]) ? 0 : 2;
      if (i == 0 && own_batch(c, t, other)) group = 0; /* the product broadcasts over it */
      if (group != place[p]) continue;
      order[k++] = i;
      count[p]++;
    }
  }
  Shape s = ox_shape(c, t->v);
  for (int p = 0, i = 0; p < 3; p++)
    for (int end = i + count[p]; i < end; i++) {
      OX_FAIL_IF(p > 0 && s.d[order[i]] == DIM_BATCH, c,
                 "sums over the symbolic batch; fix it, or use MatMul");
      size[p] *= s.d[order[i]];
    }
  reorder(c, t, order);
  return t->v != NO_VAL;
}

/* A stack of matrices: what both terms keep is one axis, or `apart`, for a symbolic batch. */
static Shape stack(const Shape *s, int kept, const int64_t size[3], bool apart) {
  Shape to = {3, {size[0], size[1], size[2]}};
  if (!apart) return to;
  to = *s;
  to.rank = kept;
  to.d[to.rank++] = size[1];
  to.d[to.rank++] = size[2];
  return to;
}

/* a times b into *a. */
static bool contract(OxCall *c, Term *a, Term *b, Kept *later) {
  static const int left[3] = {0, 1, 2}, right[3] = {0, 2, 1}; /* batch, own, summed | batch, summed, own */
  int64_t m[3], n[3];
  int na[3], nb[3];
  if (own_batch(c, b, a)) { /* stands on the left */
    Term held = *a;
    *a = *b;
    *b = held;
  }
  later->beside = b;
  TRY(sum_rest(c, a, is_kept, later));
  later->beside = a;
  TRY(sum_rest(c, b, is_kept, later));
  later->beside = NULL;
  TRY(match_extents(c, a, b) && match_extents(c, b, a));
  for (int i = 0, k = 0; i < a->n; i++) { /* the batch in a's order in both */
    int j = find_label(b, a->label[i]);
    if (j < 0 || !is_kept(later, a->label[i])) continue;
    int order[MAX_RANK], q = 0;
    for (int t = 0; t < b->n; t++)
      if (t != j) order[q++] = t;
    memmove(order + k + 1, order + k, (size_t)(b->n - 1 - k) * sizeof *order);
    order[k++] = j;
    reorder(c, b, order);
  }
  for (int i = 0, k = 0; i < a->n; i++) { /* and what is summed, at b's end */
    int j = find_label(b, a->label[i]);
    if (j < 0 || is_kept(later, a->label[i])) continue;
    int order[MAX_RANK], q = 0;
    for (int t = 0; t < b->n; t++)
      if (t != j) order[q++] = t;
    order[q] = j;
    reorder(c, b, order);
    k++;
  }
  TRY(b->v != NO_VAL && in_groups(c, a, b, later, left, m, na) && in_groups(c, b, a, later, right, n, nb));
  Shape as = ox_shape(c, a->v), bs = ox_shape(c, b->v), to = {.rank = na[0] + na[1] + nb[2]};
  OX_FAIL_IF(to.rank > MAX_RANK, c, "makes %" PRId32 " dimensions", to.rank);
  bool apart = !shape_is_static(&as) || !shape_is_static(&bs);
  OX_FAIL_IF(apart && (na[0] > MAX_RANK - 2 || nb[0] > MAX_RANK - 2), c, "makes more than %d dimensions",
             MAX_RANK);
  Shape ls = stack(&as, na[0], m, apart), rs = stack(&bs, nb[0], n, apart);
  ValId x = ox_reshape(c, a->v, &ls, "left"), y = ox_reshape(c, b->v, &rs, "right");
  x = ox_node(c, OP_matmul, NULL, (ValId[2]){x, y}, 2, "product");
  for (int i = 0; i < to.rank; i++) {
    bool mine = i < na[0] + na[1];
    int j = mine ? i : b->n - nb[2] + i - na[0] - na[1];
    to.d[i] = mine ? as.d[i] : bs.d[j];
    if (!mine) a->label[i] = b->label[j];
  }
  a->n = to.rank;
  a->v = ox_reshape(c, x, &to, "contracted");
  return a->v != NO_VAL;
}

/* The type that products are computed in. */
static bool operands(OxCall *c, Term *t, DType *type) {
  for (uint32_t i = 0; i < c->n_in; i++) {
    t[i].v = ox_in(c, i);
    TRY(t[i].v != NO_VAL);
    *type = ox_type(c, t[i].v);
    DType work = ox_product_type(*type);
    OX_FAIL_IF(work == DT_NONE, c, "has elements of %s", dtype_name(*type));
    t[i].v = ox_cast(c, t[i].v, work, "wide");
  }
  return true;
}

bool ox_import_einsum(OxCall *c) {
  Term out = {.n = 0}, *t = arena_array(c->m->arena, (size_t)c->n_in + 1, sizeof *t);
  DType type;
  OX_FAIL_IF(c->n_in == 0, c, "has no input");
  TRY(operands(c, t, &type) && read_equation(c, t, &out));
  for (uint32_t i = 0; i < c->n_in; i++) TRY(take_diagonals(c, &t[i]));
  for (uint32_t i = 1; i < c->n_in; i++) {
    Kept later = {.terms = t, .out = &out, .from = i + 1, .n = c->n_in};
    TRY(contract(c, &t[0], &t[i], &later));
  }
  Kept none = {.terms = t, .out = &out, .from = 0, .n = 0};
  TRY(sum_rest(c, &t[0], is_kept, &none));
  int order[MAX_RANK];
  OX_FAIL_IF(out.n != t[0].n, c, "has a label in its result that no term has, or has it twice");
  for (int i = 0; i < out.n; i++) {
    order[i] = find_label(&t[0], out.label[i]);
    OX_FAIL_IF(order[i] < 0, c, "has a label in its result that no term has");
  }
  reorder(c, &t[0], order);
  return ox_done(c, ox_cast(c, t[0].v, type, NULL));
}
