/* Reading an ONNX file into an OxModel: see onnx_model.h.
 *
 *   ModelProto: ir_version 1, graph 7, opset_import 8, functions 25
 *   GraphProto: node 1, name 2, initializer 5, input 11, output 12, sparse_initializer 15
 *   NodeProto:  input 1, output 2, name 3, op_type 4, attribute 5, domain 7, overload 8
 *   AttributeProto: name 1, f 2, i 3, s 4, t 5, g 6, floats 7, ints 8, type 20, ref_attr_name 21
 *   FunctionProto: name 1, input 4, output 5, node 7, opset_import 9, domain 10, attribute_proto 11, overload 13
 *
 * Source: onnx.proto of ONNX 1.17. Fields that we do not know are passed over, as the format wants it.
 */
#include "frontend/onnx/onnx_model.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

#define GROW(array, n, cap)                                      \
  do {                                                           \
    void *grown_ = (array);                                      \
    mem_grow(&grown_, &(cap), (size_t)(n) + 1, sizeof *(array)); \
    (array) = grown_;                                            \
  } while (0)

bool ox_corrupt(OxModel *m) {
  diag_error(m->d, &(Loc){.file = m->path}, "is damaged, cut off, or no ONNX model: %s, at byte %zu of %zu",
             m->w.what, m->w.at, m->w.n);
  return false;
}

static char printable(char c) { return (unsigned char)c < 32 || c == 127 ? '?' : c; }

/* A string of the file, 0-ended, without control characters. */
static const char *text(OxModel *m, WireBytes s) {
  char *copy = arena_strndup(m->arena, s.n ? (const char *)s.p : "", s.n);
  for (char *c = copy; *c; c++) *c = printable(*c);
  return copy;
}

/* -- values by name -- */

static uint32_t new_value(OxModel *m, const char *name) {
  GROW(m->values, m->n_values, m->cap_values);
  m->values[m->n_values] = (OxValue){.name = name, .producer = -1, .body = m->body};
  return m->n_values++;
}

/* The value of that name, made when it is new; 0 for an empty name. */
static uint32_t intern(OxModel *m, WireBytes s) {
  if (s.n == 0) return 0;
  const char *name = text(m, s);
  uint32_t *v = names_at(&m->names, name);
  if (*v == 0) *v = new_value(m, name);
  return *v;
}

/* A value that a node reads: of this body, or of those around it. */
static uint32_t resolve(OxModel *m, WireBytes s) {
  if (s.n == 0) return 0;
  const char *name = text(m, s);
  for (const OxModel *at = m; at; at = at->outer) {
    uint32_t v = names_get(&at->names, name);
    if (v) return v;
  }
  return intern(m, s);
}

/* -- nodes -- */

static void read_attr(OxModel *m, WireBytes body, OxAttr *a) {
  *a = (OxAttr){.name = "", .body = body};
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    switch (f.id) {
    case 1:
      if (wire_is(&m->w, &f, WIRE_BYTES)) a->name = text(m, f.bytes);
      break;
    case 2:
      if (wire_is(&m->w, &f, WIRE_32)) a->f = wire_f32(f.v);
      break;
    case 3:
      if (wire_is(&m->w, &f, WIRE_VARINT)) a->i = (int64_t)f.v;
      break;
    case 4:
      if (wire_is(&m->w, &f, WIRE_BYTES)) a->s = f.bytes;
      break;
    case 5:
      if (wire_is(&m->w, &f, WIRE_BYTES)) a->t = f.bytes;
      break;
    case 6:
      if (wire_is(&m->w, &f, WIRE_BYTES)) a->g = f.bytes;
      break;
    case 20:
      if (wire_is(&m->w, &f, WIRE_VARINT)) a->type = f.v < 100 ? (int)f.v : 99;
      break;
    case 21:
      if (wire_is(&m->w, &f, WIRE_BYTES) && f.bytes.n) a->ref = text(m, f.bytes);
      break;
    default: break;
    }
  }
}

static const OxAttr *find_attr(const OxAttr *list, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(list[i].name, name) == 0) return &list[i];
  return NULL;
}

/* An attribute that stands for one of the function's is what the call says, or the function's default. false: it is
 * left out. */
static bool bind_attr(const OxModel *m, OxAttr *a) {
  if (!a->ref) return true;
  const OxAttr *from = m->call ? find_attr(m->call->attrs, m->call->n_attrs, a->ref) : NULL;
  if (!from) from = find_attr(m->defaults, m->n_defaults, a->ref);
  if (!from) return false;
  const char *name = a->name;
  *a = *from;
  a->name = name;
  return true;
}

/* -- what a node's graphs use from around them -- */

typedef struct Uses {
  uint32_t *v;
  uint32_t n;
  size_t cap;
} Uses;

static void add_use(OxModel *m, Uses *u, WireBytes s) {
  if (s.n == 0) return;
  char copy[200];
  const char *name = copy;
  if (s.n < sizeof copy) { /* looked up many times in a loop: the arena would keep each */
    memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    for (char *c = copy; *c; c++) *c = printable(*c);
  } else {
    name = text(m, s);
  }
  uint32_t v = 0;
  for (const OxModel *at = m; at && !v; at = at->outer) v = names_get(&at->names, name);
  if (!v) return; /* its own */
  GROW(u->v, u->n, u->cap);
  u->v[u->n++] = v;
}

static WireBytes bytes_field(OxModel *m, WireBytes body, uint32_t id);
static bool graph_uses_of(OxModel *m, WireBytes graph, int depth, Uses *u);

static bool count_expanded(OxModel *m) {
  FAIL_IF(m->depth > 0 && ++m->n_expanded > OX_MAX_EXPANDED, m->d, &(Loc){.file = m->path},
          "has functions and loops that expand to more than %d nodes", OX_MAX_EXPANDED);
  return true;
}

static bool node_uses(OxModel *m, WireBytes node, int depth, Uses *u) {
  WireField f;
  TRY(count_expanded(m));
  while (wire_next(&m->w, &node, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 1) add_use(m, u, f.bytes);
    WireBytes graph = {NULL, 0};
    if (f.id == 5) graph = bytes_field(m, f.bytes, 6);
    if (graph.p) TRY(graph_uses_of(m, graph, depth + 1, u));
  }
  return true;
}

/* Names that mean something around the graph; recursion ends at OX_MAX_DEPTH. */
static bool graph_uses_of(OxModel *m, WireBytes graph, int depth, Uses *u) {
  FAIL_IF(depth > OX_MAX_DEPTH, m->d, &(Loc){.file = m->path}, "has graphs nested more than %d deep",
          OX_MAX_DEPTH);
  WireField f;
  while (wire_next(&m->w, &graph, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 1) TRY(node_uses(m, f.bytes, depth, u));
    if (f.id == 12) add_use(m, u, bytes_field(m, f.bytes, 1));
  }
  return true;
}

/* Put the values that the node's graphs use behind its inputs. */
static bool add_uses(OxModel *m, OxNode *n) {
  Uses u = {.n = 0};
  bool ok = true;
  for (uint32_t i = 0; ok && i < n->n_attrs; i++)
    if (n->attrs[i].g.p) ok = graph_uses_of(m, n->attrs[i].g, m->depth + 1, &u);
  uint32_t *in = u.n ? arena_array(m->arena, (size_t)n->n_in + u.n, sizeof *in) : n->in;
  if (u.n && n->n_in) memcpy(in, n->in, n->n_in * sizeof *in);
  if (u.n) memcpy(in + n->n_in, u.v, u.n * sizeof *in);
  n->in = in;
  n->n_deps = n->n_in + u.n;
  mem_free(u.v);
  return ok;
}

/* How many inputs, outputs and attributes the node has. */
static void count_node(OxModel *m, WireBytes body, OxNode *n) {
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    n->n_in += f.id == 1;
    n->n_out += f.id == 2;
    n->n_attrs += f.id == 5;
  }
  n->in = arena_array(m->arena, n->n_in, sizeof *n->in);
  n->out = arena_array(m->arena, n->n_out, sizeof *n->out);
  n->attrs = arena_array(m->arena, n->n_attrs, sizeof *n->attrs);
}

static bool add_output(OxModel *m, uint32_t v) {
  OxValue *val = &m->values[v];
  if (v == 0) return true;
  FAIL_IF(val->producer >= 0, m->d, &(Loc){.file = m->path},
          "\"%s\" is computed twice, by nodes %" PRId64 " and %u; want one node per value", val->name,
          val->producer, m->n_nodes);
  val->producer = m->n_nodes;
  return true;
}

static bool read_node(OxModel *m, WireBytes body) {
  OxNode n = {.name = "", .op = "", .domain = "", .overload = ""};
  count_node(m, body, &n);
  uint32_t in = 0, out = 0, attr = 0;
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    if (f.id < 1 || f.id > 8 || f.id == 6) continue;
    if (!wire_is(&m->w, &f, WIRE_BYTES)) break;
    switch (f.id) {
    case 1: n.in[in++] = resolve(m, f.bytes); break;
    case 2:
      n.out[out] = intern(m, f.bytes);
      TRY(add_output(m, n.out[out++]));
      break;
    case 3: n.name = text(m, f.bytes); break;
    case 4: n.op = text(m, f.bytes); break;
    case 5:
      read_attr(m, f.bytes, &n.attrs[attr]);
      attr += bind_attr(m, &n.attrs[attr]);
      break;
    case 8: n.overload = text(m, f.bytes); break;
    default: n.domain = text(m, f.bytes); break;
    }
  }
  n.n_attrs = attr;
  if (m->w.what) return false;
  TRY(add_uses(m, &n));
  TRY(count_expanded(m));
  GROW(m->nodes, m->n_nodes, m->cap_nodes);
  m->nodes[m->n_nodes++] = n;
  return true;
}

/* -- the graph -- */

/* Field `id` of a message, as bytes: the name of a tensor or a value. */
static WireBytes bytes_field(OxModel *m, WireBytes body, uint32_t id) {
  WireField f;
  WireBytes found = {NULL, 0};
  while (wire_next(&m->w, &body, &f))
    if (f.id == id && wire_is(&m->w, &f, WIRE_BYTES)) found = f.bytes;
  return found;
}

static bool read_initializer(OxModel *m, WireBytes body) {
  uint32_t v = intern(m, bytes_field(m, body, 8));
  if (m->w.what) return false;
  FAIL_IF(v == 0, m->d, &(Loc){.file = m->path}, "has an initializer without a name");
  FAIL_IF(m->values[v].init.p != NULL, m->d, &(Loc){.file = m->path}, "has two initializers named \"%s\"",
          m->values[v].name);
  m->values[v].init = body;
  return true;
}

static bool read_input(OxModel *m, WireBytes body) {
  uint32_t v = intern(m, bytes_field(m, body, 1));
  if (m->w.what) return false;
  FAIL_IF(v == 0 || m->values[v].is_input, m->d, &(Loc){.file = m->path},
          "has an input without a name, or twice");
  m->values[v].is_input = true;
  m->values[v].info = body;
  GROW(m->inputs, m->n_inputs, m->cap_inputs);
  m->inputs[m->n_inputs++] = v;
  return true;
}

static bool read_output(OxModel *m, WireBytes body) {
  uint32_t v = resolve(m, bytes_field(m, body, 1));
  if (m->w.what) return false;
  FAIL_IF(v == 0, m->d, &(Loc){.file = m->path}, "has an output without a name");
  GROW(m->outputs, m->n_outputs, m->cap_outputs);
  m->outputs[m->n_outputs++] = v;
  return true;
}

/* The values that nodes compute are known before the first node is read, so that names resolve in any order. */
static void read_definitions(OxModel *m, WireBytes body, uint32_t id) {
  WireField f, g;
  while (wire_next(&m->w, &body, &f)) {
    if (f.id != id || f.kind != WIRE_BYTES) continue;
    for (WireBytes node = f.bytes; wire_next(&m->w, &node, &g);)
      if (g.id == 2 && g.kind == WIRE_BYTES) intern(m, g.bytes);
  }
}

/* The same for initializers and inputs; what a graph defines hides what is around it. */
static void read_names(OxModel *m, WireBytes body) {
  WireField f;
  read_definitions(m, body, 1);
  while (m->outer && wire_next(&m->w, &body, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 5) intern(m, bytes_field(m, f.bytes, 8));
    if (f.id == 11) intern(m, bytes_field(m, f.bytes, 1));
  }
}

bool ox_read_graph(OxModel *m, WireBytes body) {
  WireField f;
  read_names(m, body);
  while (wire_next(&m->w, &body, &f)) {
    bool known = f.id == 1 || f.id == 2 || f.id == 5 || f.id == 11 || f.id == 12 || f.id == 15;
    if (!known) continue;
    if (!wire_is(&m->w, &f, WIRE_BYTES)) return false;
    switch (f.id) {
    case 1: TRY(read_node(m, f.bytes)); break;
    case 2:
      if (m->depth == 0) m->name = text(m, f.bytes);
      break;
    case 5: TRY(read_initializer(m, f.bytes)); break;
    case 11: TRY(read_input(m, f.bytes)); break;
    case 12: TRY(read_output(m, f.bytes)); break;
    default: return diag_error(m->d, &(Loc){.file = m->path}, "has sparse initializers; want dense ones");
    }
  }
  return !m->w.what;
}

/* -- the model -- */

static void read_opset(OxModel *m, WireBytes body) {
  WireField f;
  WireBytes domain = {NULL, 0};
  int64_t version = 0;
  while (wire_next(&m->w, &body, &f)) {
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_BYTES)) domain = f.bytes;
    if (f.id == 2 && wire_is(&m->w, &f, WIRE_VARINT)) version = (int64_t)f.v;
  }
  if (domain.n == 0 || wire_str_is(domain, "ai.onnx")) m->opset = version;
}

static const char *const rounding_names[] = {"tflite", "onnx", "", "once"}; /* ROUND_... */

const char *ox_rounding_name(int rounding) { return rounding_names[rounding]; }

/* Our own files say how they round, unless the caller does. */
static void read_property(OxModel *m, WireBytes body) {
  WireField f;
  WireBytes key = {NULL, 0}, value = {NULL, 0};
  while (wire_next(&m->w, &body, &f)) {
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_BYTES)) key = f.bytes;
    if (f.id == 2 && wire_is(&m->w, &f, WIRE_BYTES)) value = f.bytes;
  }
  if (wire_str_is(key, OX_STATES_KEY)) m->state_list = value;
  if (m->rounding >= 0 || !wire_str_is(key, OX_ROUNDING_KEY)) return;
  for (int i = 0; i < (int)(sizeof rounding_names / sizeof rounding_names[0]); i++)
    if (i != ROUND_SUMS && wire_str_is(value, rounding_names[i])) m->rounding = i;
}

static bool check_model(OxModel *m, WireBytes graph) {
  Loc loc = {.file = m->path};
  FAIL_IF(!graph.p, m->d, &loc, "is no ONNX model: it has no graph");
  FAIL_IF(m->ir_version < 3, m->d, &loc, "has ONNX IR version %" PRId64 "; supported are 3 and later",
          m->ir_version);
  FAIL_IF(m->opset < 1, m->d, &loc, "names no opset of the standard operators");
  if (m->opset > OX_NEWEST_OPSET)
    diag_warn(m->d, &loc,
              "has opset %" PRId64 "; known are those up to %d: an operator that has changed since would be "
              "read as it was",
              m->opset, OX_NEWEST_OPSET);
  return true;
}

/* -- functions -- */

static void read_signature(OxModel *m, WireBytes body) {
  OxFunction fn = {.domain = "", .name = "", .overload = "", .body = body};
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 1) fn.name = text(m, f.bytes);
    if (f.id == 10) fn.domain = text(m, f.bytes);
    if (f.id == 13) fn.overload = text(m, f.bytes);
  }
  GROW(m->functions, m->n_functions, m->cap_functions);
  m->functions[m->n_functions++] = fn;
}

/* Inputs, outputs, opset and attributes' defaults, before the nodes that refer to them. */
static void read_function_head(OxModel *m, WireBytes body) {
  uint32_t n = 0;
  WireField f;
  for (WireBytes b = body; wire_next(&m->w, &b, &f);) n += f.id == 11;
  OxAttr *defaults = arena_array(m->arena, n, sizeof *defaults);
  m->n_defaults = 0;
  while (wire_next(&m->w, &body, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 4) {
      GROW(m->inputs, m->n_inputs, m->cap_inputs);
      m->inputs[m->n_inputs++] = intern(m, f.bytes);
    }
    if (f.id == 5) {
      GROW(m->outputs, m->n_outputs, m->cap_outputs);
      m->outputs[m->n_outputs++] = intern(m, f.bytes);
    }
    if (f.id == 9) read_opset(m, f.bytes);
    if (f.id == 11) read_attr(m, f.bytes, &defaults[m->n_defaults++]);
  }
  m->defaults = defaults;
}

bool ox_read_function(OxModel *m, const OxFunction *fn) {
  WireBytes body = fn->body;
  WireField f;
  read_function_head(m, body);
  read_definitions(m, body, 7);
  while (wire_next(&m->w, &body, &f))
    if (f.id == 7 && wire_is(&m->w, &f, WIRE_BYTES)) TRY(read_node(m, f.bytes));
  return !m->w.what;
}

/* -- bodies -- */

void ox_enter(OxModel *m, OxModel *saved, bool lexical) {
  *saved = *m;
  m->nodes = NULL;
  m->inputs = m->outputs = NULL;
  m->n_nodes = m->n_inputs = m->n_outputs = 0;
  m->cap_nodes = m->cap_inputs = m->cap_outputs = 0;
  m->names = (Names){0};
  m->outer = lexical ? saved : NULL;
  m->body = ++m->n_bodies;
  m->depth++;
}

void ox_leave(OxModel *m, const OxModel *saved) {
  OxModel inner = *m;
  mem_free(m->nodes);
  mem_free(m->inputs);
  mem_free(m->outputs);
  names_free(&m->names);
  *m = *saved;
  m->w = inner.w;
  m->values = inner.values;
  m->n_values = inner.n_values;
  m->cap_values = inner.cap_values;
  m->files = inner.files;
  m->n_files = inner.n_files;
  m->cap_files = inner.cap_files;
  m->n_bodies = inner.n_bodies;
  m->n_expanded = inner.n_expanded;
  m->made = inner.made;
  m->work = inner.work;
}

/* -- the whole file -- */

static bool read_model(OxModel *m) {
  WireBytes body = {m->w.base, m->w.n}, graph = {NULL, 0};
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_VARINT)) m->ir_version = (int64_t)f.v;
    if (f.id == 7 && wire_is(&m->w, &f, WIRE_BYTES)) graph = f.bytes;
    if (f.id == 8 && wire_is(&m->w, &f, WIRE_BYTES)) read_opset(m, f.bytes);
    if (f.id == 14 && wire_is(&m->w, &f, WIRE_BYTES)) read_property(m, f.bytes);
    if (f.id == 25 && wire_is(&m->w, &f, WIRE_BYTES)) read_signature(m, f.bytes);
  }
  if (m->w.what) return ox_corrupt(m);
  TRY(check_model(m, graph));
  new_value(m, "");
  if (ox_read_graph(m, graph)) return ox_read_states(m);
  return m->w.what ? ox_corrupt(m) : false;
}

bool ox_read(OxModel *m) {
  m->w = (Wire){.base = blob_raw(m->bytes), .n = blob_size(m->bytes)};
  m->name = "";
  return read_model(m);
}

void ox_free(OxModel *m) {
  mem_free(m->nodes);
  mem_free(m->values);
  mem_free(m->inputs);
  mem_free(m->outputs);
  names_free(&m->names);
  mem_free(m->functions);
  for (size_t i = 0; i < m->n_files; i++) blob_unref(m->files[i].bytes);
  mem_free(m->files);
}
