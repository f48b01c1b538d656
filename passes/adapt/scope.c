/* Parameters that a site may hand out; the cut before the last layer. See scope.h. */
#include "passes/adapt/scope.h"

#include <string.h>

#include "ir/base/mem.h"
#include "passes/adapt/adapters.h"

const char *const adapt_layer_names[ADAPT_LAYERS + 1] = {"last", "bias", "last+bias", "adapters", NULL};

/* A layer with weights of its own: its node, NO_NODE where there is none. */
static bool is_layer(const Graph *g, const Node *n) {
  return (n->op == OP_fully_connected || n->op == OP_conv || n->op == OP_depthwise_conv) &&
         val_is_const(g, n->in[1]);
}

static NodeId last_layer(const Graph *g) {
  for (NodeId k = g->n_nodes; k-- > 0;)
    if (is_layer(g, &g->nodes[k])) return k;
  return NO_NODE;
}

static void add(const Graph *g, AdaptScope *s, ValId v) {
  if (!val_is_const(g, v) || g->vals[v].dtype != DT_F32) return;
  for (int i = 0; i < s->n; i++)
    if (s->vals[i] == v) return;
  s->vals[s->n++] = v;
  s->numbers += shape_count(&g->vals[v].shape);
}

static void add_adapters(const Graph *g, AdaptScope *s) {
  uint32_t *uses = mem_array(g->n_vals, sizeof *uses);
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) uses[g->nodes[k].in[i]]++;
  s->nodes = mem_array(g->n_nodes, sizeof *s->nodes);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    if (!adapter_fits(g, k) || uses[g->nodes[k].in[1]] != 1) continue;
    s->nodes[s->n] = k;
    s->vals[s->n++] = g->nodes[k].in[1];
    s->numbers += adapter_numbers(g, k);
  }
  mem_free(uses);
}

bool adapt_scope(const Graph *g, AdaptLayers layers, AdaptScope *out, Diag *d) {
  const NodeId last = last_layer(g);
  *out = (AdaptScope){.vals = mem_array(g->n_vals, sizeof(ValId))};
  if (layers == ADAPT_ADAPTERS) add_adapters(g, out);
  for (NodeId k = 0; layers != ADAPT_ADAPTERS && k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    const bool layer = is_layer(g, n), bias = layers != ADAPT_LAST,
               is_last = k == last && layers != ADAPT_BIAS;
    if (layer && is_last) add(g, out, n->in[1]);
    if (layer && n->n_in > 2 && n->in[2] != NO_VAL && (bias || is_last)) add(g, out, n->in[2]);
    if (n->op == OP_batch_normalization && bias) add(g, out, n->in[2]);
  }
  if (out->n) return true;
  adapt_scope_free(out);
  return diag_error(d, NULL, "the model has no parameters of the kind \"%s\"", adapt_layer_names[layers]);
}

void adapt_scope_free(AdaptScope *s) {
  mem_free(s->vals);
  mem_free(s->nodes);
  *s = (AdaptScope){0};
}

/* Numbers of entry i. */
static size_t numbers_of(const Graph *g, const AdaptScope *s, int i) {
  return (size_t)(s->nodes ? adapter_numbers(g, s->nodes[i]) : shape_count(&g->vals[s->vals[i]].shape));
}

void adapt_gather(const Graph *g, const AdaptScope *s, float *out) {
  for (int i = 0; i < s->n; i++) {
    const size_t n = numbers_of(g, s, i);
    if (s->nodes)
      adapter_read(g, s->nodes[i], out);
    else
      memcpy(out, val_data(g, s->vals[i]), n * sizeof *out);
    out += n;
  }
}

static Blob *new_constant(const Graph *g, const AdaptScope *s, int i, const float *values) {
  const size_t n = (size_t)shape_count(&g->vals[s->vals[i]].shape);
  if (!s->nodes) return blob_new(values, n * sizeof *values);
  float *w = mem_alloc_aligned(n * sizeof *w, 64);
  adapter_write(g, s->nodes[i], values, w);
  return blob_adopt(w, n * sizeof *w);
}

Graph *adapt_scatter(const Graph *g, const AdaptScope *s, const float *values) {
  Graph *out = graph_clone(g);
  for (int i = 0; i < s->n; i++) {
    Value *v = graph_val(out, s->vals[i]);
    blob_unref(v->blob);
    v->blob = new_constant(g, s, i, values);
    values += numbers_of(g, s, i);
  }
  return out;
}

/* -- the cut -- */

/* Mark the nodes on which `to` depends without going through `from` (NO_VAL: nothing stops). false: the model's input is
 * among what they read. */
static bool between(const Graph *g, ValId from, ValId to, bool *node) {
  bool *wanted = mem_array(g->n_vals, sizeof *wanted), ok = true;
  wanted[to] = true;
  for (NodeId k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++) node[k] |= wanted[n->out[i]] && n->out[i] != from;
    for (uint32_t i = 0; node[k] && i < n->n_in; i++) wanted[n->in[i]] = true;
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) ok &= !wanted[g->inputs[i]];
  mem_free(wanted);
  return ok;
}

static Graph *part(const Graph *g, ValId from, ValId to, const bool *node, Diag *d) {
  const Value *x = graph_val(g, from);
  Rewrite r = {.from = g, .to = graph_new_like(g), .map = mem_array(g->n_vals, sizeof(ValId))};
  bool ok = true;
  r.map[from] = graph_input(r.to, x->name, x->dtype, &x->shape);
  for (NodeId k = 0; ok && k < g->n_nodes; k++)
    if (node[k]) ok = rewrite_copy(&r, &g->nodes[k], d);
  if (ok) graph_output(r.to, rewrite_val(&r, to));
  mem_free(r.map);
  if (ok) return r.to;
  graph_free(r.to);
  return NULL;
}

bool adapt_cut(const Graph *g, Graph **body, Graph **head) {
  const NodeId last = last_layer(g);
  *body = *head = NULL;
  if (last == NO_NODE || g->n_states || g->n_inputs != 1) return false;
  const ValId from = g->nodes[last].in[0], in = g->inputs[0], out = g->outputs[g->n_outputs - 1];
  if (from == in || graph_val(g, from)->shape.d[0] != DIM_BATCH) return false;
  bool *before = mem_array(g->n_nodes, sizeof *before), *after = mem_array(g->n_nodes, sizeof *after);
  Diag *quiet = diag_new();
  if (between(g, from, out, after)) {
    between(g, NO_VAL, from, before);
    *body = part(g, in, from, before, quiet);
    *head = part(g, from, out, after, quiet);
  }
  diag_free(quiet);
  mem_free(before);
  mem_free(after);
  if (*body && *head) return true;
  graph_free(*body);
  graph_free(*head);
  *body = *head = NULL;
  return false;
}
