/* Random graphs: drawing values, and the driver that makes nodes from drafts (gen.h has the picture).
 *
 * Shapes are small (a dimension up to 9, a tensor up to 2,000 elements). Quantizations are wild on purpose: scales over
 * eight powers of two, zero points at the ends of their range; an output's scale is near what its inputs suggest, so
 * that not everything saturates.
 */
#include "tests/random/gen.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"

enum { MAX_ELEMENTS = 2000, MAX_NODES = 12, TRIES = 10 };

static const GenRow rows[] = {
#define G(ident, fn, types, attrs) {OP_##ident, fn, types, attrs},
#include "tests/random/generators.def"
#undef G
};

const GenRow *gen_row(OpKind op) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].op == op) return &rows[i];
  return NULL;
}

const char *random_missing(void) {
  for (int op = 0; op < OP_COUNT; op++)
    if (!gen_row((OpKind)op)) return op_info((OpKind)op)->name;
  return NULL;
}

/* -- drawing -- */

int gen_int(Gen *r, int lo, int hi) { return lo + (int)rng_below(&r->rng, (uint32_t)(hi - lo + 1)); }
bool gen_chance(Gen *r, int percent) { return gen_int(r, 0, 99) < percent; }
float gen_real(Gen *r, float lo, float hi) { return lo + (hi - lo) * rng_uniform(&r->rng); }

Shape gen_shape(Gen *r, int rank) {
  static const int ranks[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 6};
  Shape s = {.rank = rank >= 0 ? rank : ranks[gen_int(r, 0, 11)]};
  int most = s.rank <= 2 ? 9 : s.rank <= 4 ? 7 : 4;
  do
    for (int i = 0; i < s.rank; i++)
      s.d[i] = gen_chance(r, 20) ? 1 : gen_int(r, r->empty && gen_chance(r, 20) ? 0 : 1, most);
  while (shape_count(&s) > MAX_ELEMENTS);
  if (s.rank == 4 && gen_chance(r, 60)) s.d[0] = 1;
  return s;
}

static bool is_code(DType t) { return t == DT_I8 || t == DT_U8 || t == DT_I16; }

static int32_t random_zero(Gen *r, DType t) {
  int lo = t == DT_U8 ? 0 : -128, hi = t == DT_U8 ? 255 : 127;
  int kind = gen_int(r, 0, 9);
  return t == DT_I16 || kind < 2 ? (t == DT_U8 ? 128 : 0)
         : kind == 2             ? lo
         : kind == 3             ? hi
                                 : gen_int(r, lo, hi);
}

static float random_scale(Gen *r) { return exp2f(gen_real(r, -8, 0)); }

static void quantize(Gen *r, ValId v) {
  const Value *x = &r->g->vals[v];
  float scale = random_scale(r);
  int32_t zero = random_zero(r, x->dtype);
  if (is_code(x->dtype)) graph_set_quant(r->g, v, 1, 0, &scale, &zero);
}

/* The bits without their exponent's highest: below 2, and no NaN, whose bits a Cast does not keep. */
static int64_t finite_bits(int64_t bits, int n) {
  bits &= ~((int64_t)1 << (n - 2));
  return bits == (int64_t)1 << (n - 1) ? 0 : bits; /* the NaN of formats without a negative zero */
}

/* Elements of any type in the ranges that make sense: floats about 1, floats that are only stored any finite bits, wide
 * integers small, narrow ones any. */
static void fill(Rng *rng, DType t, void *data, int64_t n) {
  const int bits = dtype_bits(t);
  const bool narrow = bits <= 8 || dtype_kind(t) == 's';
  for (int64_t i = 0; i < n; i++) {
    const float f = rng_normal(rng);
    int64_t any = (int64_t)(rng_u64(rng) >> (bits < 64 ? 64 - bits : 1)), small = (int64_t)rng_below(rng, 41);
    if (dtype_kind(t) == 'i') any -= (int64_t)1 << (bits - 1 < 62 ? bits - 1 : 62), small -= 20;
    if (t == DT_F32)
      ((float *)data)[i] = f;
    else if (t == DT_F64)
      ((double *)data)[i] = (double)f;
    else
      dtype_set(t, data, i, dtype_kind(t) == 's' ? finite_bits(any, bits) : narrow ? any : small);
  }
}

static ValId const_of(Gen *r, DType t, const Shape *s) {
  int64_t n = shape_count(s);
  void *data = mem_zalloc((size_t)n * dtype_size(t) + 1);
  fill(&r->rng, t, data, n);
  ValId v = graph_const_data(r->g, "c", t, s, data);
  mem_free(data);
  return v;
}

ValId gen_const(Gen *r, DType t, const Shape *s) {
  ValId v = const_of(r, t, s);
  quantize(r, v);
  return v;
}

ValId gen_new(Gen *r, DType t, const Shape *s) {
  if (r->train || r->frozen || gen_chance(r, 35)) return gen_const(r, t, s);
  ValId v = graph_input(r->g, "x", t, s);
  quantize(r, v);
  return v;
}

static void add_to_pool(Gen *r, ValId v) {
  void *grown = r->pool;
  mem_grow(&grown, &r->cap_pool, (size_t)r->n_pool + 1, sizeof *r->pool);
  r->pool = grown;
  r->pool[r->n_pool++] = v;
}

/* A value of the pool that fits, the later ones more often; NO_VAL: none. */
static ValId from_pool(Gen *r, DType t, int lo, int hi, const Shape *like, const Quant *quant) {
  for (int tries = 0; tries < 12 && r->n_pool > 0; tries++) {
    uint32_t k = rng_below(&r->rng, r->n_pool), j = rng_below(&r->rng, r->n_pool);
    ValId v = r->pool[k > j ? k : j];
    const Value *x = &r->g->vals[v];
    if (x->dtype != t || x->shape.rank < lo || x->shape.rank > hi) continue;
    if (like && !shape_equal(like, &x->shape)) continue;
    if (quant && !quant_equal(quant, &x->quant)) continue;
    return v;
  }
  return NO_VAL;
}

ValId gen_value(Gen *r, DType t, int lo, int hi) {
  ValId v = r->train || gen_chance(r, 85) ? from_pool(r, t, lo, hi, NULL, NULL) : NO_VAL;
  if (v != NO_VAL) return v;
  Shape s;
  do s = gen_shape(r, lo == hi ? lo : -1);
  while (s.rank < lo || s.rank > hi);
  return gen_new(r, t, &s);
}

ValId gen_value_like(Gen *r, DType t, const Shape *s, const Quant *quant) {
  ValId v = gen_chance(r, 70) ? from_pool(r, t, s->rank, s->rank, s, quant) : NO_VAL;
  if (v != NO_VAL) return v;
  v = gen_new(r, t, s);
  if (quant && quant->n > 0) graph_set_quant(r->g, v, quant->n, quant->axis, quant->scale, quant->zero);
  return v;
}

ValId gen_const_range(Gen *r, const Shape *s, float lo, float hi) {
  int64_t n = shape_count(s);
  float *data = mem_array((size_t)n + 1, sizeof *data);
  for (int64_t i = 0; i < n; i++) data[i] = gen_real(r, lo, hi);
  ValId v = graph_const_data(r->g, "c", DT_F32, s, data);
  mem_free(data);
  return v;
}

ValId gen_weights(Gen *r, DType t, const Shape *s, int axis) {
  ValId v = const_of(r, t, s);
  int n = axis >= 0 && gen_chance(r, 60) ? (int)s->d[axis] : 1;
  if (t != DT_I8) return v;
  float *scale = mem_array((size_t)n + 1, sizeof *scale), base = random_scale(r) / 16;
  int32_t *zero = mem_array((size_t)n + 1, sizeof *zero);
  for (int i = 0; i < n; i++) scale[i] = base * exp2f(gen_real(r, -2, 1));
  graph_set_quant(r->g, v, n, axis, scale, zero);
  mem_free(scale);
  mem_free(zero);
  return v;
}

ValId gen_bias(Gen *r, DType weights, int64_t n) {
  const Shape s = shape_of(1, n);
  if (weights == DT_F32) return const_of(r, DT_F32, &s);
  int32_t *data = mem_array((size_t)n + 1, sizeof *data);
  for (int64_t i = 0; i < n; i++) data[i] = gen_int(r, -20000, 20000);
  ValId v = graph_const_data(r->g, "b", DT_I32, &s, data);
  mem_free(data);
  return v;
}

/* -- attributes -- */

static const AttrDesc *find_attr(const Draft *t, const char *name, size_t len) {
  for (int i = 0; i < t->op->n_attrs; i++) {
    const AttrDesc *a = &t->op->attrs[i];
    if (strlen(a->name) == len && strncmp(a->name, name, len) == 0) return a;
  }
  return NULL;
}

static void *attr_at(Draft *t, const char *name) {
  const AttrDesc *a = find_attr(t, name, strlen(name));
  return a ? (char *)t->attrs + a->offset : NULL;
}

void gen_set_int(Draft *t, const char *name, int64_t v) {
  int32_t *p = attr_at(t, name);
  if (p) *p = (int32_t)v;
}

void gen_set_real(Draft *t, const char *name, float v) {
  float *p = attr_at(t, name);
  if (p) *p = v;
}

void gen_set_ints(Draft *t, const char *name, const int64_t *v, int n) {
  Ints *p = attr_at(t, name);
  if (!p) return;
  *p = (Ints){.n = n};
  memcpy(p->v, v, (size_t)n * sizeof *v);
}

static void draw_acts(Gen *r, Draft *t) {
  for (int i = 0; i < t->op->n_attrs; i++) {
    const AttrDesc *a = &t->op->attrs[i];
    if (a->kind == ATTR_ACT && gen_chance(r, 50))
      *(int32_t *)((char *)t->attrs + a->offset) = gen_int(r, 0, ACT_COUNT - 1);
  }
}

/* "LO..HI": a number between; "A|B|C": one of them. */
static void draw_value(Gen *r, Draft *t, const AttrDesc *a, const char *spec, size_t len) {
  char text[64];
  size_t n = len < sizeof text ? len : sizeof text - 1;
  memcpy(text, spec, n);
  text[n] = '\0';
  char *dots = strstr(text, "..");
  if (dots) {
    float lo = strtof(text, NULL), hi = strtof(dots + 2, NULL);
    if (a->kind == ATTR_FLT)
      gen_set_real(t, a->name, gen_real(r, lo, hi));
    else
      gen_set_int(t, a->name, gen_int(r, (int)lo, (int)hi));
    return;
  }
  int count = 1;
  for (const char *p = text; *p; p++) count += *p == '|';
  char *pick = text;
  for (int k = gen_int(r, 0, count - 1); k > 0; k--) pick = strchr(pick, '|') + 1;
  if (strchr(pick, '|')) *strchr(pick, '|') = '\0';
  ASSERT(attr_parse(a, pick, t->attrs)); /* else the row in generators.def is wrong */
}

/* The row's attributes; "axis" needs input 0, so it is drawn after the generator ran. */
static void draw_attrs(Gen *r, Draft *t, const char *spec, bool axes) {
  for (const char *p = spec; *p; p += strspn(p, " ")) {
    size_t name = strcspn(p, "="), len = strcspn(p, " ");
    const AttrDesc *a = find_attr(t, p, name);
    ASSERT(a != NULL && p[name] == '='); /* else the row in generators.def is wrong */
    const char *value = p + name + 1;
    size_t value_len = len - name - 1;
    bool is_axis = value_len == 4 && strncmp(value, "axis", 4) == 0;
    if (is_axis && axes && t->n_in > 0) {
      int rank = gen_shape_of(r, t->in[0])->rank;
      if (rank > 0) gen_set_int(t, a->name, gen_int(r, 0, rank - 1));
    } else if (!is_axis && !axes) {
      draw_value(r, t, a, value, value_len);
    }
    p += len;
  }
}

/* -- nodes -- */

typedef struct Mark {
  uint32_t vals, nodes, inputs, pool;
} Mark;

static Mark mark(const Gen *r) { return (Mark){r->g->n_vals, r->g->n_nodes, r->g->n_inputs, r->n_pool}; }

static void take_back(Gen *r, Mark m) {
  for (ValId v = m.vals; v < r->g->n_vals; v++) blob_unref(r->g->vals[v].blob);
  r->g->n_vals = m.vals;
  r->g->n_nodes = m.nodes;
  r->g->n_inputs = m.inputs;
  r->n_pool = m.pool;
}

static void quantize_outputs(Gen *r, const Draft *t, const Node *n) {
  const Quant *q = t->n_in ? &r->g->vals[n->in[0]].quant : NULL;
  for (uint32_t i = 0; i < n->n_out; i++) {
    Value *y = &r->g->vals[n->out[i]];
    bool own = n->op == OP_relu || n->op == OP_clip; /* may have another quantization than their input */
    if (!is_code(y->dtype) || n->op == OP_cast || (y->quant.n > 0 && !(own && gen_chance(r, 40)))) continue;
    float about = t->scale > 0 ? t->scale : q && q->n > 0 ? q->scale[0] : 0.02f;
    float scale =
        t->fixed ? t->scale : about * exp2f(gen_chance(r, 5) ? gen_real(r, -20, 20) : gen_real(r, -2, 2));
    int32_t zero = t->fixed ? t->zero : random_zero(r, y->dtype);
    graph_set_quant(r->g, n->out[i], 1, 0, &scale, &zero);
  }
}

/* The newest node obeys the IR's rules, and kernels compute it. */
static bool node_works(Gen *r) {
  Graph *g = r->g;
  const Node *n = &g->nodes[g->n_nodes - 1];
  for (uint32_t i = 0; i < n->n_out; i++)
    if (shape_count(&g->vals[n->out[i]].shape) > 4 * MAX_ELEMENTS)
      return diag_error(r->d, NULL, "larger than the test wants");
  graph_output(g, n->out[0]);
  bool ok = graph_verify(g, r->d);
  Calls calls;
  calls_init(&calls);
  ok = ok && op_info(n->op)->lower(g, n, &calls, r->d);
  calls_free(&calls);
  g->n_outputs--;
  return ok;
}

/* One of "f32 i8"; of "any": f32 and i8 as often as all others together. */
static DType draw_type(Gen *r, const char *types) {
  if (r->train) return DT_F32;
  if (strcmp(types, "any") == 0)
    return gen_chance(r, 50) ? (gen_chance(r, 50) ? DT_F32 : DT_I8)
                             : (DType)gen_int(r, DT_NONE + 1, DT_COUNT - 1);
  int count = 1;
  for (const char *p = types; *p; p++) count += *p == ' ';
  const char *pick = types;
  for (int k = gen_int(r, 0, count - 1); k > 0; k--) pick = strchr(pick, ' ') + 1;
  char name[16];
  DType t;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(pick, " "), pick);
  ASSERT(dtype_parse(name, &t)); /* else the row in generators.def is wrong */
  return t;
}

static bool make_node(Gen *r, OpKind op) {
  const GenRow *row = gen_row(op);
  const Mark m = mark(r);
  Draft t = {.op = op_info(op), .attrs = mem_zalloc(op_info(op)->attrs_size + 1)};
  t.type = draw_type(r, row->types);
  op_attrs_default(op, t.attrs);
  if (t.type == DT_F32 || t.type == DT_I8) draw_acts(r, &t);
  draw_attrs(r, &t, row->attrs, false);
  bool ok = row->fn(r, &t);
  if (ok) draw_attrs(r, &t, row->attrs, true);
  const Loc loc = {.file = "random", .node = (int)r->g->n_nodes};
  ok = ok && graph_node(r->g, op, t.attrs, t.in, t.n_in, "v", &loc, r->d) != NO_VAL;
  if (ok) quantize_outputs(r, &t, &r->g->nodes[r->g->n_nodes - 1]);
  ok = ok && node_works(r);
  mem_free(t.attrs);
  if (!ok) {
    take_back(r, m);
    return false;
  }
  const Node *n = &r->g->nodes[r->g->n_nodes - 1];
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!r->train && n->in[i] != NO_VAL && n->in[i] >= m.vals) add_to_pool(r, n->in[i]);
  for (uint32_t i = 0; i < n->n_out; i++) add_to_pool(r, n->out[i]);
  return true;
}

static bool usable(const Gen *r, OpKind op) {
  const OpInfo *info = op_info(op);
  const GenRow *row = gen_row(op);
  return row && info->lower && (!r->train || (info->diff == DIFF && strncmp(row->types, "i", 1) != 0));
}

static bool add_node(Gen *r, OpKind op, RandomCounts *counts) {
  for (int k = 0; k < TRIES; k++) {
    diag_clear(r->d);
    bool ok = make_node(r, op);
    if (counts) {
      counts->made[op] += ok;
      counts->refused[op] += !ok;
      if (!ok) snprintf(counts->reason[op], sizeof counts->reason[op], "%.150s", diag_text(r->d));
    }
    if (ok) return true;
  }
  return false;
}

/* -- graphs -- */

/* Values that nobody reads, and a few others; now and then an input, a constant, or one twice. */
static void add_outputs(Gen *r) {
  Graph *g = r->g;
  Arena *a = arena_new();
  uint32_t *uses = graph_uses(g, a);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++)
      if (uses[n->out[i]] == 0 || (!r->train && gen_chance(r, 12))) graph_output(g, n->out[i]);
  }
  if (!r->train && gen_chance(r, 4)) graph_output(g, r->pool[rng_below(&r->rng, r->n_pool)]);
  arena_free(a);
}

/* Without the inputs and constants that nobody reads. */
static Graph *tidy(Gen *r) {
  Rewrite w;
  if (r->g->n_inputs == 0) { /* emission wants one */
    const Shape s = shape_of(1, (int64_t)2);
    graph_output(r->g, graph_input(r->g, "unused", DT_F32, &s));
  }
  rewrite_begin(&w, r->g, NULL);
  bool ok = true;
  for (uint32_t k = 0; k < r->g->n_nodes && ok; k++) ok = rewrite_copy(&w, &r->g->nodes[k], r->d);
  Graph *out = rewrite_end(&w, ok, r->d);
  if (!out) fprintf(stderr, "random graph: %s\n", diag_text(r->d));
  ASSERT(out != NULL);
  return out;
}

/* The first input of a graph to be trained on: a batch of 1 in all but name. */
static void train_input(Gen *r) {
  Shape s = gen_shape(r, gen_chance(r, 70) ? 4 : gen_int(r, 2, 3));
  s.d[0] = 1;
  add_to_pool(r, graph_input(r->g, "x", DT_F32, &s));
}

Graph *random_graph(uint64_t seed, RandomKind kind, RandomCounts *counts) {
  Gen r = {.g = graph_new("random"), .d = diag_new(), .train = kind == RANDOM_TRAIN};
  rng_seed(&r.rng, seed, (uint64_t)kind);
  r.empty = !r.train && gen_chance(&r, 3);
  if (r.train) train_input(&r);
  OpKind first = (OpKind)(seed % OP_COUNT);
  if (usable(&r, first)) add_node(&r, first, counts);
  int nodes = gen_int(&r, 1, MAX_NODES);
  for (int tries = 0; (tries < 4 * nodes || r.g->n_nodes == 0) && (int)r.g->n_nodes < nodes; tries++) {
    OpKind op = (OpKind)rng_below(&r.rng, OP_COUNT);
    r.frozen = r.g->n_inputs >= 4;
    if (usable(&r, op)) add_node(&r, op, counts);
  }
  ASSERT(r.g->n_nodes > 0);
  add_outputs(&r);
  Graph *g = tidy(&r);
  graph_free(r.g);
  diag_free(r.d);
  mem_free(r.pool);
  return g;
}

void random_inputs(const Graph *g, uint64_t seed, int k, Tensor *in) {
  Rng rng;
  rng_seed(&rng, seed, 1000 + (uint64_t)k);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *v = &g->vals[g->inputs[i]];
    in[i] = tensor_new(v->dtype, &v->shape);
    fill(&rng, v->dtype, in[i].data, shape_count(&v->shape));
  }
}
