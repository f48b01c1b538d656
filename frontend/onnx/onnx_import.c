/* ONNX import: an OxModel's nodes, in topological order, by their rows in ops.def.
 *
 *   read -> order (file's order where it is one; cycles are reported) -> what the outputs need
 *        -> inputs -> each needed node:  all inputs constant?  import into a small graph, evaluate, keep constants
 *                                        otherwise             import into the model's graph
 *        -> outputs under their names -> drop what is unused -> graph_verify
 *
 * Nothing here recurses over the file's structure. Every independent fault is reported in one go.
 */
#include "frontend/onnx/onnx.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx/onnx_op.h"
#include "frontend/onnx/qdq.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

/* What folding may cost in all, beside 8 bytes and 64 multiplications for each byte of the file: an import takes no more
 * time and memory than the file is worth. */
enum { FOLD_MAX_WORK = 1 << 29 };

typedef struct OpRow {
  const char *name, *advice;
  const char *domain; /* "": the standard one */
  OxImport *import;   /* NULL: not supported */
  OxKind kind;
} OpRow;

static const OpRow rows[] = {
#define YES(name, import, kind) {#name, "", "", ox_import_##import, OX_##kind},
#define MS(name, import, kind)  {#name, "", "com.microsoft", ox_import_##import, OX_##kind},
#define NO(name, advice)        {#name, advice, "", NULL, OX_DATA},
#include "frontend/onnx/ops.def"
#undef YES
#undef MS
#undef NO
};

static bool standard_domain(const OxNode *n) { return !n->domain[0] || strcmp(n->domain, "ai.onnx") == 0; }

static const OpRow *find_row(const OxNode *n) {
  const char *domain = standard_domain(n) ? "" : n->domain;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (strcmp(rows[i].name, n->op) == 0 && strcmp(rows[i].domain, domain) == 0) return &rows[i];
  return NULL;
}

const CustomRule *ox_custom(const OxModel *m, const OxNode *n) {
  return custom_rule(m->g->custom, standard_domain(n) ? "" : n->domain, n->op);
}

static Loc node_loc(const OxModel *m, uint32_t k) {
  const OxNode *n = &m->nodes[k];
  const char *name = n->name[0] || n->n_out == 0 ? n->name : m->values[n->out[0]].name;
  return (Loc){.file = m->path, .node = (int)k, .name = name, .op = n->op};
}

/* -- order -- */

typedef struct Frame {
  uint32_t node, next; /* next input to look at */
} Frame;

static bool report_cycle(const OxModel *m, const Frame *stack, uint32_t depth, uint32_t first) {
  uint32_t from = depth;
  while (from > 0 && stack[from - 1].node != first) from--;
  Loc loc = node_loc(m, first);
  if (depth - from == 0) return diag_error(m->d, &loc, "reads its own output: the graph is cyclic");
  Loc other = node_loc(m, stack[depth - 1].node);
  return diag_error(
      m->d, &loc,
      "is part of a cycle of %u nodes: it reads what node %d \"%s\" (%s) computes from its output",
      depth - from + 1, other.node, other.name, other.op);
}

/* The node of this body that computes the value; -1: none. */
static int64_t producer_of(const OxModel *m, uint32_t id) {
  return m->values[id].body == m->body ? m->values[id].producer : -1;
}

/* Depth-first with an explicit stack; nodes are left after their producers. Where the file's order is a
 * topological one, this is that order. */
static bool order_nodes(OxModel *m, uint32_t *order) {
  enum { NEW, OPEN, DONE };
  Frame *stack = mem_array((size_t)m->n_nodes + 1, sizeof *stack);
  uint8_t *state = mem_array((size_t)m->n_nodes + 1, 1);
  uint32_t n = 0;
  bool ok = true;
  for (uint32_t root = 0; ok && root < m->n_nodes; root++) {
    uint32_t depth = 0;
    if (state[root] == NEW) stack[depth++] = (Frame){root, 0};
    while (ok && depth > 0) {
      Frame *f = &stack[depth - 1];
      const OxNode *node = &m->nodes[f->node];
      state[f->node] = OPEN;
      if (f->next == node->n_deps) {
        state[f->node] = DONE;
        order[n++] = f->node;
        depth--;
        continue;
      }
      int64_t producer = producer_of(m, node->in[f->next++]);
      if (producer < 0 || state[producer] == DONE) continue;
      if (state[producer] == OPEN)
        ok = report_cycle(m, stack, depth, (uint32_t)producer);
      else
        stack[depth++] = (Frame){(uint32_t)producer, 0};
    }
  }
  mem_free(stack);
  mem_free(state);
  return ok;
}

static bool node_needed(const OxModel *m, const OxNode *n) {
  for (uint32_t k = 0; k < n->n_out; k++)
    if (n->out[k] && m->values[n->out[k]].needed) return true;
  return false;
}

static void mark_needed(OxModel *m, const uint32_t *order) {
  for (uint32_t i = 0; i < m->n_outputs; i++) m->values[m->outputs[i]].needed = true;
  for (uint32_t i = m->n_nodes; i-- > 0;) {
    const OxNode *n = &m->nodes[order[i]];
    if (!node_needed(m, n)) continue;
    for (uint32_t k = 0; k < n->n_deps; k++) m->values[n->in[k]].needed = true;
  }
}

/* -- values -- */

/* An input that has an initializer too is a constant (before IR version 4 every initializer is an input). */
static bool import_inputs(OxModel *m) {
  bool ok = true;
  for (uint32_t i = 0; i < m->n_inputs; i++) {
    OxValue *v = &m->values[m->inputs[i]];
    DType t;
    Shape s;
    if (v->init.p) continue;
    if (v->producer >= 0) {
      ok = diag_error(m->d, &(Loc){.file = m->path, .name = v->name},
                      "is an input, but node %" PRId64 " computes it", v->producer);
    } else if (ox_value_info(m, v->info, v->name, &t, &s)) {
      v->val = graph_input(m->g, v->name, t, &s);
      v->state = OX_READY;
      continue;
    }
    ok = false;
    v->state = OX_BROKEN;
    if (m->w.what) return false;
  }
  return ok;
}

/* The value, made from its initializer at first use. NO_VAL: broken (reported now or before). */
ValId ox_use(OxModel *m, uint32_t id, const Loc *loc) {
  OxValue *v = &m->values[id];
  if (v->state == OX_READY) return v->val;
  if (v->state == OX_BROKEN) return NO_VAL;
  if (v->init.p && v->producer < 0)
    v->val = ox_tensor(m, m->g, v->init, v->name, loc);
  else if (v->init.p)
    diag_error(m->d, loc, "reads \"%s\", which is an initializer and computed by node %" PRId64 " too",
               v->name, v->producer);
  else
    diag_error(m->d, loc, "reads \"%s\", which nothing computes, and which is no input and no initializer",
               v->name);
  v->state = v->val == NO_VAL ? OX_BROKEN : OX_READY;
  return v->val;
}

/* -- folding -- */

/* a * b; where that is more than all folding may do, such a number. */
static int64_t times(int64_t a, int64_t b) {
  return a > FOLD_MAX_WORK || b > FOLD_MAX_WORK ? INT64_MAX >> 16 : a * b;
}

/* How often an operator goes over an axis for each output element. */
static int64_t looks(const Graph *g, const Node *n) {
  if (n->op == OP_top_k) return graph_val(g, n->in[0])->shape.d[CATTRS(n, top_k)->axis];
  return n->op == OP_weighted_gather ? graph_val(g, n->in[1])->shape.d[1] : 1;
}

/* Elements of all outputs, each times its window: what graph_macs does not count. */
static int64_t window_work(const Graph *g, const Node *n) {
  int64_t work = 0;
  for (uint32_t k = 0; k < n->n_out; k++) work += shape_count(&graph_val(g, n->out[k])->shape);
  work = times(work, looks(g, n));
  const OpInfo *op = op_info(n->op);
  for (int i = 0; i < op->n_attrs; i++) {
    const Ints *kernel = (const void *)((const char *)n->attrs + op->attrs[i].offset);
    for (int32_t k = 0; strcmp(op->attrs[i].name, "kernel") == 0 && k < kernel->n; k++)
      work = times(work, kernel->v[k]);
  }
  return work;
}

/* Bytes of constants that the import itself has written (ConstantOfShape): outputs larger than all that it read. */
static int64_t made_without_nodes(const OxCall *c) {
  int64_t read = 0, made = 0;
  for (uint32_t i = 0; i < c->n_in; i++)
    if (c->in[i] != NO_VAL) read += (int64_t)val_bytes(c->g, c->in[i]);
  for (uint32_t k = 0; k < c->node->n_out; k++)
    if (c->out[k] != NO_VAL && val_is_const(c->g, c->out[k])) made += (int64_t)val_bytes(c->g, c->out[k]);
  return made > read + OX_LATER_BYTES ? made : 0;
}

/* Within what is left of the budget, which it takes from. */
static bool small_enough(const OxCall *c) {
  OxModel *m = c->m;
  const int64_t file = (int64_t)blob_size(m->bytes);
  m->made += made_without_nodes(c);
  OX_FAIL_IF(m->made > import_made_most(blob_size(m->bytes)), c,
             "folding constants here and before would take more than %d bytes", (int)IMPORT_MADE_BYTES);
  for (uint32_t k = 0; k < c->g->n_nodes; k++) {
    const Node *n = &c->g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++) {
      const int64_t bytes = (int64_t)val_bytes(c->g, n->out[i]);
      OX_FAIL_IF(bytes > import_made_most(blob_size(m->bytes)) - m->made, c,
                 "folding constants here and before would take more than %d bytes", (int)IMPORT_MADE_BYTES);
      m->made += bytes;
    }
    const int64_t work = window_work(c->g, n) + node_macs(c->g, n);
    OX_FAIL_IF(work > FOLD_MAX_WORK + 64 * file - m->work, c,
               "folding constants here and before would take more than %d multiplications",
               (int)FOLD_MAX_WORK);
    m->work += work;
  }
  return true;
}

/* Does the small graph read or give much? Then it is evaluated when somebody reads what it gives. */
static bool is_large(const OxCall *f) {
  for (uint32_t v = 1; v < f->g->n_vals; v++)
    if (val_bytes(f->g, v) > (size_t)OX_LATER_BYTES) return true;
  return false;
}

/* Its outputs' bytes, now or later. */
static bool evaluate(OxCall *f, Blob **blobs) {
  Graph *s = f->g;
  if (is_large(f)) {
    bool all = true;
    for (uint32_t k = 0; k < s->n_outputs; k++) {
      blobs[k] = ox_later(s, k, f->m->d);
      all = all && blobs[k];
    }
    return all;
  }
  Tensor *results = mem_array((size_t)s->n_outputs + 1, sizeof *results);
  bool ok = s->n_outputs == 0 || graph_eval(s, NULL, 0, results, f->m->d);
  for (uint32_t k = 0; ok && k < s->n_outputs; k++)
    blobs[k] = blob_adopt(results[k].data, tensor_bytes(&results[k]));
  mem_free(results);
  return ok;
}

/* What the small graph of f computes, as constants of the model's graph: out[k]. */
static bool fold_outputs(OxModel *m, OxCall *f, ValId *out) {
  Graph *s = f->g;
  uint32_t n_out = f->node->n_out, n = 0;
  TRY(small_enough(f));
  for (uint32_t k = 0; k < n_out; k++)
    if (f->out[k] != NO_VAL && !val_is_const(s, f->out[k])) graph_output(s, f->out[k]);
  Blob **blobs = mem_array((size_t)n_out + 1, sizeof *blobs);
  bool ok = evaluate(f, blobs);
  for (uint32_t k = 0; k < n_out; k++) {
    if (!ok) blob_unref(blobs[k]);
    if (!ok || f->out[k] == NO_VAL) continue;
    const Value *v = graph_val(s, f->out[k]);
    Blob *b = v->blob ? blob_ref(v->blob) : blobs[n++];
    out[k] = graph_const(m->g, ox_out_name(f, k), v->dtype, &v->shape, b);
  }
  mem_free(blobs);
  return ok;
}

bool ox_fold(OxCall *c, OxBuild *build, void *ctx) {
  OxModel *m = c->m;
  OxCall f = *c;
  f.g = graph_new("fold");
  f.in = arena_array(m->arena, f.n_in, sizeof *f.in);
  f.out = arena_array(m->arena, f.node->n_out, sizeof *f.out);
  for (uint32_t i = 0; i < f.n_in; i++) {
    if (c->in[i] == NO_VAL) continue;
    const Value *v = graph_val(m->g, c->in[i]);
    f.in[i] = graph_const(f.g, v->name, v->dtype, &v->shape, blob_ref(v->blob));
  }
  bool ok = build(&f, ctx) && !f.failed && fold_outputs(m, &f, c->out);
  graph_free(f.g);
  return ok;
}

static bool build_row(OxCall *f, void *import) { return (*(OxImport *const *)import)(f); }

static bool fold_node(OxCall *c, const OpRow *row) {
  OxImport *import = row->import;
  return ox_fold(c, build_row, &import);
}

/* -- nodes -- */

/* Is the node of the same kind as one before it in that order? */
static bool same_kind(const OxNode *a, const OxNode *b) {
  return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0;
}

/* One report per operator that is not supported, at its first node. */
static void report_unsupported(OxModel *m, const uint32_t *order, uint32_t at, const OpRow *row) {
  const OxNode *n = &m->nodes[order[at]];
  Loc loc = node_loc(m, order[at]);
  uint32_t more = 0;
  bool full = diag_count(m->d) >= DIAG_MAX; /* the report is full: no need to search */
  for (uint32_t i = 0; !full && i < m->n_nodes; i++) {
    const OxNode *other = &m->nodes[order[i]];
    if (i == at || !same_kind(n, other) || !node_needed(m, other)) continue;
    if (i < at) return;
    more++;
  }
  char also[64] = "";
  if (more) snprintf(also, sizeof also, ", here and at %u more node%s", more, more > 1 ? "s" : "");
  if (!standard_domain(n)) {
    diag_error(m->d, &loc, "operator %s of domain \"%s\" is not supported%s", n->op, n->domain, also);
    diag_hint(
        m->d,
        "export the model with operators of the standard domain (ai.onnx), or give a C function for it: "
        "--custom FILE.yaml (docs/custom-operators.md)");
    return;
  }
  diag_error(m->d, &loc, "operator %s (opset %" PRId64 ") is not supported%s", n->op, m->opset, also);
  if (row && row->advice[0])
    diag_hint(m->d, "%s", row->advice);
  else
    diag_hint(m->d, "build it from other operators (mistify ops --markdown lists them), end the model before "
                    "it, or give a C "
                    "function for it: --custom FILE.yaml");
}

/* Operators whose first form was theirs in opset 6 still; the others changed on the way. */
static bool same_before_6(const char *op) {
  static const char *const same[] = {"And",
                                     "ArgMax",
                                     "ArgMin",
                                     "AveragePool",
                                     "Constant",
                                     "Conv",
                                     "Equal",
                                     "Flatten",
                                     "Gather",
                                     "GlobalAveragePool",
                                     "GlobalMaxPool",
                                     "Greater",
                                     "Identity",
                                     "LRN",
                                     "Less",
                                     "LogSoftmax",
                                     "LpNormalization",
                                     "MatMul",
                                     "MaxPool",
                                     "Not",
                                     "Or",
                                     "Pow",
                                     "ReduceL1",
                                     "ReduceL2",
                                     "ReduceLogSum",
                                     "ReduceLogSumExp",
                                     "ReduceMax",
                                     "ReduceMean",
                                     "ReduceMin",
                                     "ReduceProd",
                                     "ReduceSum",
                                     "ReduceSumSquare",
                                     "Shape",
                                     "Size",
                                     "Slice",
                                     "Softmax",
                                     "Softplus",
                                     "Softsign",
                                     "Squeeze",
                                     "Transpose",
                                     "Unsqueeze",
                                     "Xor"};
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
    if (strcmp(same[i], op) == 0) return true;
  return false;
}

static bool opset_fits(const OxCall *c) {
  if (c->m->opset >= 6 || same_before_6(c->node->op)) return true;
  ox_fail(c, "has opset %" PRId64 "; supported are 6 and later", c->m->opset);
  diag_hint(c->m->d, "convert the model with onnx.version_converter, or export it again");
  return false;
}

/* The sentinel of the batch may go into operators that move it, while everything is constant, and into Reshape. */
static bool check_batch(OxCall *c, const OpRow *row, bool all_const) {
  bool reshape = row->import == ox_import_reshape;
  for (uint32_t i = 0; i < c->n_in; i++) {
    if (c->in[i] == NO_VAL || !ox_has_batch(c->g, c->in[i])) continue;
    if (row->kind == OX_SHAPE || row->kind == OX_BODY || (row->kind == OX_MOVE && all_const) ||
        (reshape && i == 1))
      continue;
    ox_fail(c, "input %u (\"%s\") depends on the symbolic batch, and is used for more than a shape", i,
            c->m->values[c->node->in[i]].name);
    diag_hint(c->m->d, "export the model with a fixed batch of 1");
    return false;
  }
  return true;
}

static bool takes_codes(const OpRow *row) { return row->kind != OX_DATA; }

static bool call_import(OxModel *m, OxCall *c, const OpRow *row) {
  bool all_const = c->n_in > 0, ok = true;
  for (uint32_t i = 0; i < c->n_in; i++) {
    uint32_t id = c->node->in[i];
    if (id == 0 || m->values[id].state == OX_ABSENT) continue;
    c->in[i] = ox_use(m, id, &c->loc);
    if (c->in[i] != NO_VAL && !takes_codes(row)) c->in[i] = ox_constant(c, c->in[i]);
    ok = ok && c->in[i] != NO_VAL;
    all_const = all_const && ok && val_is_const(m->g, c->in[i]);
  }
  TRY(ok && check_batch(c, row, all_const));
  if (all_const && row->kind != OX_SHAPE && row->kind != OX_BODY && row->kind != OX_CODES)
    return fold_node(c, row);
  return row->import(c) && !c->failed;
}

static bool import_node(OxModel *m, const uint32_t *order, uint32_t at) {
  uint32_t k = order[at];
  const OxNode *n = &m->nodes[k];
  const OxFunction *function = ox_function(m, n);
  static const OpRow call = {"", "", "", ox_import_function, OX_BODY},
                     custom = {"", "", "", ox_import_custom, OX_CODES};
  const bool users = ox_custom(m, n) != NULL; /* before all others: it may stand for one of them */
  const OpRow *row = users ? &custom : function ? &call : find_row(n);
  OxCall c = {.m = m, .g = m->g, .node = n, .loc = node_loc(m, k), .n_in = n->n_in};
  c.in = arena_array(m->arena, n->n_in, sizeof *c.in);
  c.out = arena_array(m->arena, n->n_out, sizeof *c.out);
  bool known = row && row->import;
  bool ok = known && (users || function || opset_fits(&c)) && call_import(m, &c, row);
  if (!known) report_unsupported(m, order, at, row);
  for (uint32_t i = 0; i < n->n_out; i++) {
    OxValue *v = &m->values[n->out[i]];
    if (n->out[i] == 0) continue;
    if (ok && c.out[i] == NO_VAL && v->needed)
      ok = ox_fail(&c, "output %u (\"%s\") is used; supported is output 0 alone", i, v->name);
    v->val = c.out[i];
    v->state = ok ? OX_READY : OX_BROKEN;
  }
  return ok;
}

bool ox_import_nodes(OxModel *m) {
  uint32_t *order = arena_array(m->arena, m->n_nodes, sizeof *order);
  TRY(order_nodes(m, order));
  mark_needed(m, order);
  bool ok = true;
  for (uint32_t i = 0; i < m->n_nodes; i++) {
    if (!node_needed(m, &m->nodes[order[i]])) continue;
    ok = import_node(m, order, i) && ok;
    if (m->w.what) return false;
  }
  return ok;
}

/* -- outputs -- */

/* The interface keeps the file's names: a value that has another one, or is no node's, is passed through a
 * Reshape to its own shape. */
static ValId named_output(OxModel *m, ValId v, const char *name) {
  Graph *g = m->g;
  bool taken = graph_def(g, v) == NULL;
  for (uint32_t i = 0; i < g->n_outputs; i++) taken = taken || g->outputs[i] == v;
  if (!taken) {
    graph_val(g, v)->name = arena_strdup(g->arena, name);
    return v;
  }
  reshape_attrs a = {.shape = {.n = graph_val(g, v)->shape.rank}};
  for (int32_t i = 0; i < a.shape.n; i++) a.shape.v[i] = graph_val(g, v)->shape.d[i];
  return graph_node1(g, OP_reshape, &a, v, name, &(Loc){.file = m->path, .name = name, .op = "output"}, m->d);
}

static bool import_outputs(OxModel *m) {
  FAIL_IF(m->n_outputs == m->n_states, m->d, &(Loc){.file = m->path}, "has no output");
  bool ok = true;
  for (uint32_t i = 0; i < m->n_outputs; i++) {
    const char *name = m->values[m->outputs[i]].name;
    if (m->values[m->outputs[i]].is_next) continue;
    Loc loc = {.file = m->path, .name = name};
    ValId v = ox_use(m, m->outputs[i], &loc);
    if (v != NO_VAL && ox_has_batch(m->g, v)) {
      diag_error(m->d, &loc, "output is a shape that depends on the symbolic batch");
      v = NO_VAL;
    }
    if (v != NO_VAL) v = named_output(m, v, name);
    if (v != NO_VAL)
      graph_output(m->g, v);
    else
      ok = false;
  }
  return ok;
}

/* Constants that folding left over go. */
static Graph *compact(const Graph *g, Diag *d) {
  Rewrite r;
  rewrite_begin(&r, g, NULL);
  bool ok = true;
  for (uint32_t k = 0; ok && k < g->n_nodes; k++) ok = rewrite_copy(&r, &g->nodes[k], d);
  return rewrite_end(&r, ok, d);
}

static bool import_graph(OxModel *m) {
  TRY(ox_read(m));
  if (m->rounding < 0) m->rounding = ROUND_ONCE;
  bool ok = import_inputs(m) && ox_begin_states(m);
  ok = !m->w.what && ox_import_nodes(m) && ok;
  return ok && import_outputs(m) && ox_end_states(m);
}

/* What the outputs need, with int8 operators in the place of float ones between Dequantize and Quantize. */
static Graph *finish(const OxModel *m) {
  Graph *g = compact(m->g, m->d);
  if (!g || !qdq_has_codes(g)) return g;
  Graph *q = qdq_rewrite(g, m->rounding, m->d);
  graph_free(g);
  g = q ? compact(q, m->d) : NULL;
  graph_free(q);
  return g;
}

Graph *onnx_import_with(Blob *bytes, const char *path, const OnnxOptions *o, Diag *d) {
  OxModel m = {.bytes = bytes, .path = path, .arena = arena_new(), .g = graph_new(path_base(path)), .d = d};
  custom_attach(m.g, o->custom);
  m.rounding = o->rounding == ONNX_ROUND_ONNX     ? ROUND_ONNX
               : o->rounding == ONNX_ROUND_TFLITE ? ROUND_TFLITE
                                                  : -1;
  Graph *g = import_graph(&m) ? finish(&m) : NULL;
  if (g && !graph_verify(g, d)) {
    graph_free(g);
    g = NULL;
  }
  ox_free(&m);
  graph_free(m.g);
  arena_free(m.arena);
  return g;
}

Graph *onnx_import_bytes(Blob *bytes, const char *path, Diag *d) {
  return onnx_import_with(bytes, path, &(OnnxOptions){0}, d);
}

/* Values that nothing reads become outputs. */
static void loose_ends(Graph *g, Arena *a) {
  const uint32_t *uses = graph_uses(g, a);
  for (ValId v = 1; v < g->n_vals; v++)
    if (uses[v] == 0 && graph_def(g, v)) graph_output(g, v);
}

Graph *onnx_import_part(Blob *bytes, const char *path, const OnnxOptions *o, Diag *d) {
  OxModel m = {.bytes = bytes, .path = path, .arena = arena_new(), .g = graph_new(path_base(path)), .d = d};
  custom_attach(m.g, o->custom);
  Diag *ignored = diag_new();
  import_graph(&m);
  for (uint32_t i = 0; i < m.g->n_states; i++) /* those that the import did not come to stay what they are */
    if (m.g->states[i].next == NO_VAL) m.g->states[i].next = m.g->states[i].now;
  loose_ends(m.g, m.arena);
  Graph *g = m.g->n_nodes ? compact(m.g, ignored) : NULL;
  diag_free(ignored);
  ox_free(&m);
  graph_free(m.g);
  arena_free(m.arena);
  return g;
}

Graph *onnx_import(const char *path, Diag *d) {
  Blob *bytes = blob_map(path);
  if (!bytes) {
    diag_error(d, &(Loc){.file = path}, "cannot be read: %s", strerror(errno));
    return NULL;
  }
  Graph *g = onnx_import_bytes(bytes, path, d);
  blob_unref(bytes);
  return g;
}
