/* exits: classifiers behind intermediate values, each an output before the model's own: early exits.
 *
 *   x - layers - at[0] - layers - at[1] - layers - y                  the model stays as it is
 *                  |               |
 *                 mean            mean           over the pixels
 *                  |               |
 *            FullyConnected  FullyConnected      fitted to the model's own answers (runtime/engine/head.h)
 *                  |               |
 *                output 0        output 1      output 2: y
 *
 * A head is fitted on features that are computed once. Emission makes variants of the outputs (backend/emit/exits_c.c). As
 * the model's output ends in Softmax or not, so do the heads. Says how often each is right on validation data.
 *
 * exits_join: gives the outputs of an int8 model one scale and zero point, so that they are compared as codes: the largest
 * scale of theirs. Outputs that are not int8 stay as they are.
 */
#include "passes/pass.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/head.h"

PassFn pass_exits, pass_exits_join;

enum { MOST = 7 };

typedef struct Exit {
  const char *name; /* as it was asked for */
  ValId at;
  int64_t channels;
  float *w, *b;
} Exit;

typedef struct Heads {
  const Graph *g;
  const PassCtx *ctx;
  Exit v[MOST];
  int n, classes;
  uint32_t images;
  HeadOptions o;
  const Node *softmax; /* which ends the model; NULL */
  Arena *a;
  Diag *d;
} Heads;

/* -- where -- */

/* The only node that reads v; NULL. */
static const Node *only_reader(const Graph *g, ValId v) {
  const Node *reader = NULL;
  int n = graph_is_result(g, v);
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++)
      if (g->nodes[k].in[i] == v) reader = &g->nodes[k], n++;
  return n == 1 ? reader : NULL;
}

/* Of a layer, what BatchNormalization and activation behind it give. */
static ValId behind(const Graph *g, ValId v) {
  for (const Node *n = only_reader(g, v); n; n = only_reader(g, v)) {
    if (n->op != OP_batch_normalization && n->op != OP_relu && n->op != OP_clip && n->op != OP_leaky_relu)
      return v;
    v = n->out[0];
  }
  return v;
}

/* The value, or what the layer of that name gives. */
static ValId find_value(const Graph *g, const char *name) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].name && strcmp(g->vals[v].name, name) == 0 && g->vals[v].def != NO_NODE) return v;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (n->loc.name && strcmp(n->loc.name, name) == 0) return behind(g, n->out[0]);
  }
  return NO_VAL;
}

/* Images [N,H,W,C], or vectors [N,C]. */
static bool add_exit(Heads *h, const char *name) {
  const ValId v = find_value(h->g, name);
  FAIL_IF(v == NO_VAL, h->d, NULL, "exits: no layer gives \"%s\" (mistify inspect lists them)", name);
  const Value *x = graph_val(h->g, v);
  const bool fits = x->dtype == DT_F32 && (x->shape.rank == 4 || x->shape.rank == 2);
  FAIL_IF(!fits || v == h->g->outputs[0], h->d, NULL,
          "exits: \"%s\": want images [N,H,W,C] or vectors of f32, before the model's output", name);
  for (int i = 0; i < h->n; i++) FAIL_IF(h->v[i].at == v, h->d, NULL, "exits: \"%s\" is named twice", name);
  FAIL_IF(h->n == MOST, h->d, NULL, "exits: want %d at most", MOST);
  int at = h->n++;
  for (; at > 0 && graph_val(h->g, h->v[at - 1].at)->def > x->def; at--) h->v[at] = h->v[at - 1];
  h->v[at] = (Exit){.name = arena_strdup(h->a, name), .at = v, .channels = x->shape.d[x->shape.rank - 1]};
  return true;
}

static bool read_places(Heads *h) {
  char list[2048], *name = list;
  FAIL_IF(!pass_param(h->ctx->params, "at", list, sizeof list) || !*list, h->d, NULL,
          "exits: want at=VALUE;VALUE..: behind which layers");
  while (name) {
    char *end = strchr(name, ';');
    if (end) *end++ = 0;
    TRY(add_exit(h, name));
    name = end;
  }
  return true;
}

static bool read_options(Heads *h) {
  bool bad = false;
  const char *p = h->ctx->params;
  head_options_default(&h->o);
  h->images = (uint32_t)pass_param_num(p, "images", 8192, &bad);
  h->o.epochs = (int)pass_param_num(p, "epochs", h->o.epochs, &bad);
  h->o.lr = pass_param_num(p, "lr", h->o.lr, &bad);
  h->o.mix = pass_param_num(p, "mix", h->o.mix, &bad);
  h->o.seed =
      h->ctx->seed; /* of `mistify opt`; in tailoring always 0, as of all passes that finish a model */
  FAIL_IF(bad || h->images < 1 || h->o.epochs < 0 || h->o.epochs > 10000 || !(h->o.lr > 0) ||
              !(h->o.mix >= 0 && h->o.mix <= 1),
          h->d, NULL, "exits: %s: want images=1 or more, epochs=0 or more, lr above 0, mix=0 to 1", p);
  return true;
}

static bool check_model(Heads *h) {
  const Graph *g = h->g;
  FAIL_IF(g->n_inputs != 1 || g->n_outputs != 1, h->d, NULL,
          "exits: the model has %u inputs and %u outputs; want one of each", g->n_inputs, g->n_outputs);
  const Value *y = graph_val(g, g->outputs[0]);
  FAIL_IF(y->dtype != DT_F32 || y->shape.rank != 2, h->d, NULL,
          "exits: want a float model that gives [N,classes]");
  FAIL_IF(h->ctx->data->train.anomaly, h->d, NULL, "exits: a model that gives its input back has no classes");
  h->classes = (int)y->shape.d[1];
  const Node *last = graph_def(g, g->outputs[0]);
  if (last && last->op == OP_softmax) h->softmax = last;
  return graph_want_stateless(g, "exits", h->d);
}

/* -- the graph -- */

static ValId mean_of(Rewrite *r, const Heads *h, const Exit *e, const char *name) {
  const ValId x = r->map[e->at];
  const Loc loc = rewrite_loc(r, graph_def(h->g, e->at));
  reduce_mean_attrs mean = {.axes = {2, {1, 2}}, .keepdims = 0};
  if (graph_val(r->to, x)->shape.rank == 2) return x;
  return graph_node1(r->to, OP_reduce_mean, &mean, x, arena_printf(r->to->arena, "%s:mean", name), &loc,
                     h->d);
}

/* The head's output; before it is fitted, its features. */
static bool add_head(Rewrite *r, const Heads *h, int i) {
  const Exit *e = &h->v[i];
  const char *name = arena_printf(r->to->arena, "exit%d", i);
  Loc loc = rewrite_loc(r, graph_def(h->g, e->at));
  loc.name = e->name;     /* what a report calls it, and ... */
  loc.line = loc.col = 0; /* ... what stays in a graph's file, unlike a place in a text */
  ValId y = mean_of(r, h, e, name);
  TRY(y != NO_VAL);
  if (e->w) {
    const Shape w = shape_of(2, (int64_t)h->classes, e->channels), b = shape_of(1, (int64_t)h->classes);
    const ValId in[3] = {y,
                         graph_const_data(r->to, arena_printf(r->to->arena, "%s:w", name), DT_F32, &w, e->w),
                         graph_const_data(r->to, arena_printf(r->to->arena, "%s:b", name), DT_F32, &b, e->b)};
    y = graph_node(r->to, OP_fully_connected, NULL, in, 3, name, &loc, h->d);
    if (y != NO_VAL && h->softmax)
      y = graph_node1(r->to, OP_softmax, h->softmax->attrs, y, arena_printf(r->to->arena, "%s:softmax", name),
                      &loc, h->d);
  }
  if (y != NO_VAL) graph_output(r->to, y);
  return y != NO_VAL;
}

static Graph *with_heads(const Heads *h) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, h->g, "exits");
  for (NodeId k = 0; ok && k < h->g->n_nodes; k++) {
    ok = rewrite_copy(&r, &h->g->nodes[k], h->d);
    for (int i = 0; ok && i < h->n; i++)
      if (graph_val(h->g, h->v[i].at)->def == k) ok = add_head(&r, h, i);
  }
  return rewrite_end(&r, ok, h->d);
}

/* -- fitting -- */

/* What heads see of some examples. */
typedef struct Features {
  const Split *split;
  uint32_t n;
  float *x[MOST], *logits;
} Features;

static bool collect(const Heads *h, const Graph *apart, const Split *s, uint32_t most, Features *out) {
  *out = (Features){.split = s, .n = s->n < most ? s->n : most};
  out->logits = mem_array((size_t)out->n * (size_t)h->classes, sizeof(float));
  for (int i = 0; i < h->n; i++)
    out->x[i] = mem_array((size_t)out->n * (size_t)h->v[i].channels, sizeof(float));
  return out->n == 0 || collect_values(apart, s, &h->ctx->data->spec.normalize, out->n, h->ctx->host,
                                       apart->outputs, h->n, out->x, out->logits, h->d);
}

static void features_free(Features *f) {
  for (int i = 0; i < MOST; i++) mem_free(f->x[i]);
  mem_free(f->logits);
}

static int best_of(const float *z, int n) {
  int best = 0;
  for (int k = 1; k < n; k++)
    if (z[k] > z[best]) best = k;
  return best;
}

/* Shares of the examples on which exit i is right, the model is, and both answer the same. */
static void judge(const Heads *h, const Features *f, int i, double out[3]) {
  const Exit *e = &h->v[i];
  float *z = mem_array((size_t)h->classes, sizeof *z);
  out[0] = out[1] = out[2] = 0;
  for (uint32_t k = 0; k < f->n; k++) {
    head_answer(f->x[i] + (int64_t)k * e->channels, e->channels, e->w, e->b, h->classes, z);
    const int own = best_of(z, h->classes), whole = best_of(f->logits + (int64_t)k * h->classes, h->classes);
    out[0] += f->split->y && own == f->split->y[k];
    out[1] += f->split->y && whole == f->split->y[k];
    out[2] += own == whole;
  }
  for (int k = 0; k < 3; k++) out[k] /= f->n;
  mem_free(z);
}

static void tell(const Heads *h, const Features *val, int i) {
  char line[400];
  double right[3];
  const Host *host = h->ctx->host;
  if (!host || !host->log || !val->n) return;
  judge(h, val, i, right);
  snprintf(line, sizeof line,
           "exits: exit %d behind \"%s\", %d features: %.2f %% right on validation (the model %.2f %%), %.2f "
           "%% as the "
           "model",
           i, h->v[i].name, (int)h->v[i].channels, 100 * right[0], 100 * right[1], 100 * right[2]);
  host->log(host->ctx, line);
}

static bool check_labels(const Heads *h, const Split *s) {
  for (uint32_t i = 0; split_has_classes(s) && i < s->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= h->classes, h->d, NULL,
            "exits: example %u has label %d: the model has %d classes", i, s->y[i], h->classes);
  return true;
}

static bool fit(Heads *h) {
  Features train = {0}, val = {0};
  const Dataset *ds = h->ctx->data;
  Graph *apart = with_heads(h);
  bool ok = apart && check_labels(h, &ds->train) && collect(h, apart, &ds->train, h->images, &train) &&
            collect(h, apart, &ds->val, UINT32_MAX, &val);
  for (int i = 0; ok && i < h->n; i++) {
    Exit *e = &h->v[i];
    e->w = arena_array(h->a, (size_t)(h->classes * e->channels), sizeof *e->w);
    e->b = arena_array(h->a, (size_t)h->classes, sizeof *e->b);
    head_fit(train.x[i], train.n, e->channels, train.logits,
             split_has_classes(&ds->train) ? ds->train.y : NULL, h->classes, &h->o, e->w, e->b);
    tell(h, &val, i);
  }
  features_free(&train);
  features_free(&val);
  graph_free(apart);
  return ok;
}

Graph *pass_exits(const Graph *g, const PassCtx *ctx, Diag *d) {
  Heads h = {.g = g, .ctx = ctx, .a = arena_new(), .d = d};
  const bool ok = check_model(&h) && read_options(&h) && read_places(&h) && fit(&h);
  Graph *done = ok ? with_heads(&h) : NULL;
  arena_free(h.a);
  return done;
}

/* -- one scale -- */

/* Operators whose output may have any scale. */
static bool requantizes(const Node *n) {
  return n && (n->op == OP_fully_connected || n->op == OP_conv || n->op == OP_quantize);
}

/* The outputs' quantization of the largest scale; NULL: an output is no int8 tensor of one scale. */
static const Quant *widest_scale(const Graph *g) {
  const Quant *widest = NULL;
  for (uint32_t o = 0; o < g->n_outputs; o++) {
    const Value *v = graph_val(g, g->outputs[o]);
    if (v->dtype != DT_I8 || v->quant.n != 1) return NULL;
    if (!widest || v->quant.scale[0] > widest->scale[0]) widest = &v->quant;
  }
  return widest;
}

Graph *pass_exits_join(const Graph *g, const PassCtx *ctx, Diag *d) {
  (void)ctx;
  const Quant *widest = widest_scale(g);
  Graph *done = graph_clone(g);
  for (uint32_t o = 0; widest && o < done->n_outputs; o++) {
    const ValId v = done->outputs[o];
    const Quant *q = &graph_val(done, v)->quant;
    if (q->scale[0] == widest->scale[0] && q->zero[0] == widest->zero[0]) continue;
    if (!requantizes(graph_def(done, v))) {
      diag_error(d, NULL, "exits_join: output %u has another scale, and no layer that could give it this one",
                 o);
      graph_free(done);
      return NULL;
    }
    graph_set_quant(done, v, 1, 0, widest->scale, widest->zero);
  }
  return done;
}
