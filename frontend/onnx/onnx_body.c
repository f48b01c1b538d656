/* Graphs inside of an ONNX graph, imported in the place of their node: local functions, If, Loop, Scan.
 *
 *   function   its nodes, inputs and attributes bound to the call's (ONNX IR, "Functions")
 *   If         the branch that a constant condition takes (If-1..25)
 *   Loop       as many copies of the body as a constant count says, or until its condition folds to false (Loop-1..25);
 *              scan outputs are stacked along a new axis 0
 *   Scan       a copy of the body for each element along an axis (Scan-9..25)
 *
 * What a graph uses from around it are values already imported, since such names count as inputs of its node.
 * Recursion here is at most OX_MAX_DEPTH deep and makes at most OX_MAX_EXPANDED nodes, whatever the file says.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontend/onnx/onnx_op.h"
#include "ir/base/mem.h"

enum { LOOP_MAX = 4096, CONCAT_MAX = 64 };

static bool check_depth(OxCall *c) {
  if (c->m->depth < OX_MAX_DEPTH) return true;
  ox_fail(c, "is the %dth function or graph inside of another one; supported are %d (does it call itself?)",
          c->m->depth + 1, OX_MAX_DEPTH);
  return false;
}

static void bind(OxModel *m, uint32_t id, ValId v) {
  m->values[id].val = v;
  m->values[id].state = v == NO_VAL ? OX_ABSENT : OX_READY;
}

/* Import the body that m is in as far as out[] is wanted; false: reported. */
static bool import_body(OxCall *c, ValId *out) {
  OxModel *m = c->m;
  TRY(ox_import_nodes(m));
  for (uint32_t i = 0; i < m->n_outputs; i++) {
    if (m->outputs[i] == 0) continue;
    out[i] = ox_use(m, m->outputs[i], &c->loc);
    TRY(out[i] != NO_VAL);
  }
  return true;
}

/* -- functions -- */

static const char *domain_of(const char *domain) { return strcmp(domain, "ai.onnx") == 0 ? "" : domain; }

const OxFunction *ox_function(const OxModel *m, const OxNode *n) {
  for (size_t i = 0; i < m->n_functions; i++) {
    const OxFunction *f = &m->functions[i];
    if (strcmp(f->name, n->op) == 0 && strcmp(domain_of(f->domain), domain_of(n->domain)) == 0 &&
        strcmp(f->overload, n->overload) == 0)
      return f;
  }
  return NULL;
}

static bool function_body(OxCall *c, const OxFunction *f, const bool *wanted) {
  OxModel *m = c->m;
  m->call = c->node;
  if (!ox_read_function(m, f)) return m->w.what ? ox_corrupt(m) : false;
  OX_FAIL_IF(c->n_in > m->n_inputs || c->node->n_out > m->n_outputs, c,
             "has %u inputs and %u outputs; the function has %u and %u", c->n_in, c->node->n_out, m->n_inputs,
             m->n_outputs);
  for (uint32_t i = 0; i < m->n_inputs; i++) bind(m, m->inputs[i], i < c->n_in ? c->in[i] : NO_VAL);
  m->n_outputs = c->node->n_out;
  for (uint32_t i = 0; i < m->n_outputs; i++)
    if (!wanted[i]) m->outputs[i] = 0;
  return import_body(c, c->out);
}

/* Which outputs of the node something reads. */
static bool *wanted_outputs(const OxCall *c) {
  bool *wanted = arena_array(c->m->arena, c->node->n_out, sizeof *wanted);
  for (uint32_t i = 0; i < c->node->n_out; i++)
    wanted[i] = c->node->out[i] && c->m->values[c->node->out[i]].needed;
  return wanted;
}

bool ox_import_function(OxCall *c) {
  TRY(check_depth(c));
  const bool *wanted = wanted_outputs(c);
  OxModel saved;
  ox_enter(c->m, &saved, false);
  bool ok = function_body(c, ox_function(&saved, c->node), wanted);
  ox_leave(c->m, &saved);
  return ok;
}

/* -- If -- */

static bool read_body(OxCall *c, const OxAttr *graph) {
  if (ox_read_graph(c->m, graph->g)) return true;
  return c->m->w.what ? ox_corrupt(c->m) : false;
}

static bool branch_body(OxCall *c, const OxAttr *branch, const bool *wanted) {
  OxModel *m = c->m;
  TRY(read_body(c, branch));
  OX_FAIL_IF(m->n_outputs != c->node->n_out, c, "has %u outputs; the branch has %u", c->node->n_out,
             m->n_outputs);
  for (uint32_t i = 0; i < m->n_outputs; i++)
    if (!wanted[i]) m->outputs[i] = 0;
  return import_body(c, c->out);
}

/* A condition, where it is a constant. */
static bool const_condition(OxCall *c, uint32_t i, bool *out) {
  double v;
  ValId x = ox_in(c, i);
  TRY(x != NO_VAL);
  if (!val_is_const(c->g, x)) {
    ox_fail(c, "its condition is computed when the model runs; want one that is known before");
    diag_hint(c->m->d, "export the branch that is taken, or fold the condition (onnxsim)");
    return false;
  }
  TRY(ox_const_number(c, i, &v));
  *out = v != 0;
  return true;
}

bool ox_import_if(OxCall *c) {
  bool taken;
  TRY(check_depth(c) && const_condition(c, 0, &taken));
  const OxAttr *branch = ox_attr(c, taken ? "then_branch" : "else_branch", OX_ATTR_GRAPH);
  OX_FAIL_IF(!branch, c, "has no %s_branch", taken ? "then" : "else");
  const bool *wanted = wanted_outputs(c);
  OxModel saved;
  ox_enter(c->m, &saved, true);
  bool ok = branch_body(c, branch, wanted);
  ox_leave(c->m, &saved);
  return ok;
}

/* -- Loop -- */

typedef struct OxLoop {
  const OxAttr *body;
  int64_t count;
  bool counted;
  uint32_t n_carried, n_scans;
  ValId *carried; /* n_carried */
  ValId *scans;   /* n_scans of each iteration */
  size_t cap_scans;
  int64_t done;
} OxLoop;

static ValId loop_const(OxCall *c, DType t, int64_t v) {
  const Shape scalar = {.rank = 0};
  uint8_t one = v != 0;
  return graph_const_data(c->g, NULL, t, &scalar, t == DT_BOOL ? (const void *)&one : (const void *)&v);
}

/* Read the number of iterations, before the first. */
static bool read_count(OxCall *c, OxLoop *l, bool *go) {
  double n;
  *go = true;
  l->counted = ox_has(c, 0);
  l->count = LOOP_MAX;
  if (l->counted && !val_is_const(c->g, c->in[0])) {
    ox_fail(c, "its count is computed when the model runs; want one that is known before");
    diag_hint(c->m->d, "unroll the loop before export");
    return false;
  }
  if (l->counted) {
    TRY(ox_const_number(c, 0, &n));
    OX_FAIL_IF(isnan(n), c, "has a count that is no number");
    /* A count without end, and a condition: the usual form of a while loop. */
    l->counted = n <= LOOP_MAX || !ox_has(c, 1);
    OX_FAIL_IF(l->counted && n > LOOP_MAX, c, "loops %.0f times; supported are at most %d", n, LOOP_MAX);
    l->count = !l->counted ? LOOP_MAX : n < 0 ? 0 : (int64_t)n;
  }
  return !ox_has(c, 1) || const_condition(c, 1, go);
}

/* The condition after an iteration. */
static bool next_condition(OxCall *c, const OxLoop *l, ValId v, bool *go) {
  if (!val_is_const(c->g, v)) {
    ox_fail(c,
            "its condition is computed when the model runs (iteration %" PRId64
            "); want one that folds to a constant",
            l->done);
    diag_hint(c->m->d, "unroll the loop before export");
    return false;
  }
  const Value *val = graph_val(c->g, v);
  OX_FAIL_IF(val->dtype != DT_BOOL || shape_count(&val->shape) != 1, c,
             "its condition is %" PRId64 " elements of %s (iteration %" PRId64 "); want one bool",
             shape_count(&val->shape), dtype_name(val->dtype), l->done);
  *go = *(const uint8_t *)val_data(c->g, v) != 0;
  return true;
}

/* One copy of the body: its inputs and outputs. */
typedef struct OxTurn {
  ValId *in, *out;
  uint32_t n_in, n_out;
} OxTurn;

static OxTurn new_turn(OxCall *c, uint32_t n_in, uint32_t n_out) {
  Arena *a = c->m->arena;
  return (OxTurn){arena_array(a, n_in, sizeof(ValId)), arena_array(a, n_out, sizeof(ValId)), n_in, n_out};
}

static bool turn_body(OxCall *c, const OxLoop *l, const OxTurn *t) {
  OxModel *m = c->m;
  TRY(read_body(c, l->body));
  OX_FAIL_IF(m->n_inputs != t->n_in || m->n_outputs != t->n_out, c,
             "has %u carried values and %u outputs; its body has %u inputs and %u outputs; want %u and %u",
             l->n_carried, c->node->n_out, m->n_inputs, m->n_outputs, t->n_in, t->n_out);
  for (uint32_t i = 0; i < t->n_in; i++) bind(m, m->inputs[i], t->in[i]);
  return import_body(c, t->out);
}

/* Import a copy of the body; out[from ..] are what is carried on, and scan outputs, which are kept. */
static bool take_turn(OxCall *c, OxLoop *l, const OxTurn *t, uint32_t from) {
  OxModel saved;
  ox_enter(c->m, &saved, true);
  bool ok = turn_body(c, l, t);
  ox_leave(c->m, &saved);
  TRY(ok);
  const ValId *out = t->out + from;
  if (l->n_carried) memcpy(l->carried, out, l->n_carried * sizeof *out);
  void *scans = l->scans;
  mem_grow(&scans, &l->cap_scans, (size_t)(l->done + 1) * l->n_scans + 1, sizeof *l->scans);
  l->scans = scans;
  if (l->n_scans)
    memcpy(l->scans + (size_t)l->done * l->n_scans, out + l->n_carried, l->n_scans * sizeof *out);
  return true;
}

static bool iterate(OxCall *c, OxLoop *l, bool go) {
  for (l->done = 0; go && l->done < l->count; l->done++) {
    OxTurn t = new_turn(c, l->n_carried + 2, c->node->n_out + 1);
    t.in[0] = loop_const(c, DT_I64, l->done);
    t.in[1] = loop_const(c, DT_BOOL, 1);
    for (uint32_t i = 0; i < l->n_carried; i++) t.in[2 + i] = l->carried[i];
    TRY(take_turn(c, l, &t, 1) && next_condition(c, l, t.out[0], &go));
  }
  OX_FAIL_IF(go && !l->counted, c, "does not end within %d iterations", LOOP_MAX);
  return true;
}

/* [..] values as one [n,..], in pieces that Concat takes. */
static ValId stack(OxCall *c, ValId *v, uint32_t n) {
  const concat_attrs a = {.axis = 0};
  for (uint32_t i = 0; i < n; i++) {
    Shape s = ox_shape(c, v[i]), to = {.rank = s.rank + 1, .d = {1}};
    if (s.rank == MAX_RANK) {
      ox_fail(c, "stacks values of %d dimensions", MAX_RANK);
      return NO_VAL;
    }
    memcpy(to.d + 1, s.d, (size_t)s.rank * sizeof *s.d);
    v[i] = ox_reshape(c, v[i], &to, "row");
    if (v[i] == NO_VAL) return NO_VAL;
  }
  while (n > 1) {
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i += CONCAT_MAX) {
      v[m] = ox_node(c, OP_concat, &a, v + i, n - i < CONCAT_MAX ? n - i : CONCAT_MAX, "stack");
      if (v[m++] == NO_VAL) return NO_VAL;
    }
    n = m;
  }
  return v[0];
}

static bool build_stack(OxCall *f, void *ctx) {
  (void)ctx;
  f->out[0] = stack(f, f->in, f->n_in);
  return f->out[0] != NO_VAL;
}

/* Scan output k: of the model's graph, or, where all of it is constant, a constant. */
static ValId scan_output(OxCall *c, const OxLoop *l, uint32_t k) {
  const uint32_t n = (uint32_t)l->done;
  OxNode node = {
      .name = c->node->name, .op = c->node->op, .n_out = 1, .out = c->node->out + l->n_carried + k};
  ValId out = NO_VAL;
  OxCall part = *c;
  part.node = &node;
  part.n_in = n;
  part.in = arena_array(c->m->arena, n, sizeof *part.in);
  part.out = &out;
  bool all_const = true;
  for (uint32_t i = 0; i < n; i++) {
    part.in[i] = l->scans[(size_t)i * l->n_scans + k];
    all_const = all_const && val_is_const(c->g, part.in[i]);
  }
  bool ok = all_const ? ox_fold(&part, build_stack, NULL) : build_stack(&part, NULL);
  return ok ? out : NO_VAL;
}

static bool loop_outputs(OxCall *c, const OxLoop *l) {
  const bool *wanted = wanted_outputs(c);
  if (l->n_carried) memcpy(c->out, l->carried, l->n_carried * sizeof *c->out);
  for (uint32_t k = 0; k < l->n_scans; k++) {
    if (!wanted[l->n_carried + k]) continue;
    OX_FAIL_IF(l->done == 0, c, "runs no iteration: the shape of output %u is not known", l->n_carried + k);
    ValId v = scan_output(c, l, k);
    TRY(v != NO_VAL);
    c->out[l->n_carried + k] = v;
  }
  return true;
}

bool ox_import_loop(OxCall *c) {
  OxLoop l = {.n_carried = c->n_in > 2 ? c->n_in - 2 : 0};
  bool go;
  TRY(check_depth(c) && read_count(c, &l, &go));
  l.body = ox_attr(c, "body", OX_ATTR_GRAPH);
  OX_FAIL_IF(!l.body, c, "has no body");
  OX_FAIL_IF(c->node->n_out < l.n_carried, c, "has %u outputs; want at least the %u that it carries",
             c->node->n_out, l.n_carried);
  l.n_scans = c->node->n_out - l.n_carried;
  l.carried = arena_array(c->m->arena, l.n_carried, sizeof *l.carried);
  if (l.n_carried) memcpy(l.carried, c->in + 2, l.n_carried * sizeof *l.carried);
  bool ok = iterate(c, &l, go) && loop_outputs(c, &l);
  mem_free(l.scans);
  return ok;
}

/* -- Scan -- */

typedef struct OxScan {
  uint32_t n;      /* scan inputs, the last ones of the node */
  Ints axes, back; /* of each; back: 1 where it is read from its end */
  Ints out_back;   /* of each scan output */
} OxScan;

/* Element `at` of a scan input along an axis, that axis gone. */
typedef struct Element {
  int32_t axis;
  int64_t at;
} Element;

static bool build_element(OxCall *f, void *ctx) {
  const Element *e = ctx;
  Shape s = ox_shape(f, f->in[0]), to = {.rank = s.rank - 1};
  slice_attrs a = {.starts = {.n = s.rank}, .counts = {.n = s.rank}, .steps = {.n = s.rank}};
  for (int32_t i = 0; i < s.rank; i++) {
    a.starts.v[i] = i == e->axis ? e->at : 0;
    a.counts.v[i] = i == e->axis ? 1 : s.d[i] == DIM_BATCH ? -1 : s.d[i];
    a.steps.v[i] = 1;
    if (i != e->axis) to.d[i - (i > e->axis)] = s.d[i];
  }
  ValId v = ox_node(f, OP_slice, &a, f->in, 1, "element");
  f->out[0] = ox_reshape(f, v, &to, "element");
  return f->out[0] != NO_VAL;
}

static ValId element(OxCall *c, ValId x, Element *e) {
  OxNode node = {.name = c->node->name, .op = c->node->op, .n_out = 1, .out = c->node->out};
  ValId out = NO_VAL;
  OxCall part = *c;
  part.node = &node;
  part.n_in = 1;
  part.in = &x;
  part.out = &out;
  bool ok = val_is_const(c->g, x) ? ox_fold(&part, build_element, e) : build_element(&part, e);
  return ok ? out : NO_VAL;
}

static bool flags(OxCall *c, const char *name, Ints *out, uint32_t n) {
  if (!ox_ints(c, name, out)) *out = (Ints){.n = (int32_t)n};
  OX_FAIL_IF(c->failed || out->n != (int32_t)n, c, "attribute \"%s\" has %d entries; want %u", name,
             (int)out->n, n);
  return true;
}

static bool read_scan(OxCall *c, OxScan *s, OxLoop *l) {
  int64_t n = ox_int(c, "num_scan_inputs", 0);
  Ints out_axes;
  OX_FAIL_IF(c->m->opset < 9, c, "has the form of opset %" PRId64 "; supported are 9 and later", c->m->opset);
  OX_FAIL_IF(n < 1 || n > c->n_in || n > MAX_RANK, c, "has %" PRId64 " scan inputs of %u inputs", n, c->n_in);
  s->n = (uint32_t)n;
  l->n_carried = c->n_in - s->n;
  OX_FAIL_IF(c->node->n_out < l->n_carried, c, "has %u outputs; want at least the %u that it carries",
             c->node->n_out, l->n_carried);
  l->n_scans = c->node->n_out - l->n_carried;
  TRY(flags(c, "scan_input_axes", &s->axes, s->n) && flags(c, "scan_input_directions", &s->back, s->n) &&
      flags(c, "scan_output_directions", &s->out_back, l->n_scans) &&
      flags(c, "scan_output_axes", &out_axes, l->n_scans));
  for (uint32_t i = 0; i < l->n_scans; i++)
    OX_FAIL_IF(out_axes.v[i] != 0, c, "stacks an output along axis %" PRId64 "; supported is 0",
               out_axes.v[i]);
  return true;
}

/* The axes, and the number of iterations: their extent, which all have in common. */
static bool scan_count(OxCall *c, OxScan *s, OxLoop *l) {
  for (uint32_t i = 0; i < s->n; i++) {
    ValId x = ox_in(c, l->n_carried + i);
    TRY(x != NO_VAL);
    Shape shape = ox_shape(c, x);
    int32_t axis;
    TRY(ox_axis(c, s->axes.v[i], shape.rank, &axis));
    s->axes.v[i] = axis;
    OX_FAIL_IF(shape.d[axis] == DIM_BATCH || shape.d[axis] > LOOP_MAX, c,
               "goes over an axis of symbolic or large extent; supported are at most %d", LOOP_MAX);
    OX_FAIL_IF(i > 0 && shape.d[axis] != l->count, c,
               "goes over axes of %" PRId64 " and %" PRId64 " elements", l->count, shape.d[axis]);
    l->count = shape.d[axis];
  }
  return true;
}

static bool scan_turns(OxCall *c, const OxScan *s, OxLoop *l) {
  for (l->done = 0; l->done < l->count; l->done++) {
    OxTurn t = new_turn(c, c->n_in, c->node->n_out);
    for (uint32_t i = 0; i < l->n_carried; i++) t.in[i] = l->carried[i];
    for (uint32_t i = 0; i < s->n; i++) {
      Element e = {(int32_t)s->axes.v[i], s->back.v[i] ? l->count - 1 - l->done : l->done};
      ValId v = element(c, c->in[l->n_carried + i], &e);
      TRY(v != NO_VAL);
      t.in[l->n_carried + i] = v;
    }
    TRY(take_turn(c, l, &t, 0));
  }
  return true;
}

/* Outputs that are stacked from their end. */
static void turn_round(const OxScan *s, OxLoop *l) {
  for (uint32_t k = 0; k < l->n_scans; k++)
    for (int64_t i = 0; s->out_back.v[k] && i < l->done / 2; i++) {
      ValId *a = &l->scans[(size_t)i * l->n_scans + k],
            *b = &l->scans[(size_t)(l->done - 1 - i) * l->n_scans + k], v = *a;
      *a = *b;
      *b = v;
    }
}

bool ox_import_scan(OxCall *c) {
  OxLoop l = {.count = 0};
  OxScan s;
  TRY(check_depth(c) && read_scan(c, &s, &l) && scan_count(c, &s, &l));
  l.body = ox_attr(c, "body", OX_ATTR_GRAPH);
  OX_FAIL_IF(!l.body, c, "has no body");
  l.carried = arena_array(c->m->arena, l.n_carried, sizeof *l.carried);
  if (l.n_carried) memcpy(l.carried, c->in, l.n_carried * sizeof *l.carried);
  bool ok = scan_turns(c, &s, &l);
  if (ok) turn_round(&s, &l);
  ok = ok && loop_outputs(c, &l);
  mem_free(l.scans);
  return ok;
}
