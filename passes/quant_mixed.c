/* Mixed precision: what int8 hurts most stays in 16 bits (activations) or in float32 (weights).
 *
 *   int16=A;B    the values that layers A and B give, with all that share their scale, are int16: A and whoever reads it
 *                compute in 16 bits (TFLite's 16x8: int8 weights, 64-bit sums); at the borders a Quantize
 *   float=A;B    layers A and B in float32, between Dequantize and Quantize
 *   budget=F     the fewest of both by which the loss is at most F on training images that calibration has not seen:
 *                candidates in the order of what each costs alone (quant_trial.h), as many as it takes, each number tried
 *                on the finished graph
 */
#include "passes/quant_trial.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/nearest.h"
#include "ir/base/strbuf.h"

/* ---- layers by name */

static bool is_named(const Graph *g, const Node *n, const char *name, size_t len) {
  const char *const names[] = {graph_val(g, n->out[0])->name, n->loc.name};
  for (int i = 0; i < 2; i++)
    if (names[i] && strlen(names[i]) == len && strncmp(names[i], name, len) == 0) return true;
  return false;
}

/* Does the option say something of this node? */
static bool has_choice(const Graph *g, const Node *n, bool weights) {
  const Kind kind = quant_kind(g, n);
  return weights ? kind == KIND_WEIGHTS : kind != KIND_FLOAT;
}

static bool no_such_layer(const Graph *g, const char *key, const char *name, size_t len, bool weights,
                          Diag *d) {
  const char **names = mem_array(g->n_nodes + 1, sizeof *names);
  int n = 0;
  char text[128];
  snprintf(text, sizeof text, "%.*s", (int)len, name);
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (has_choice(g, &g->nodes[k], weights) && graph_val(g, g->nodes[k].out[0])->name)
      names[n++] = graph_val(g, g->nodes[k].out[0])->name;
  const char *near = name_nearest(text, names);
  diag_error(d, NULL, "quantize: %s=%s: no layer %s has this name", key, text,
             weights ? "with weights" : "on codes");
  if (near)
    diag_hint(d, "did you mean %s?", near);
  else
    diag_hint(d, "report=1 lists the layers");
  mem_free(names);
  return false;
}

bool quant_mark_named(const Graph *g, const char *key, const char *name, size_t len, bool weights,
                      bool *nodes, Diag *d) {
  bool found = false;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    if (!has_choice(g, &g->nodes[k], weights) || !is_named(g, &g->nodes[k], name, len)) continue;
    nodes[k] = found = true;
  }
  return found || no_such_layer(g, key, name, len, weights, d);
}

/* Every node on codes that the list names. */
static bool each_named(Quantizer *q, const char *key, const char *list, void (*mark)(Quantizer *, NodeId)) {
  bool *nodes = mem_array(q->g->n_nodes + 1, sizeof *nodes), ok = true;
  for (const char *p = list; ok && *p;) {
    const size_t len = strcspn(p, ";");
    ok = quant_mark_named(q->g, key, p, len, false, nodes, q->d);
    p += len + (p[len] == ';');
  }
  for (NodeId k = 0; ok && k < q->g->n_nodes; k++)
    if (nodes[k]) mark(q, k);
  mem_free(nodes);
  return ok;
}

static void mark_wide(Quantizer *q, NodeId k) { q->wide[quant_class(q, q->g->nodes[k].out[0])] = true; }
static void mark_float(Quantizer *q, NodeId k) { q->in_float[k] = true; }

bool quant_named(Quantizer *q) {
  memset(q->wide, 0, q->g->n_vals * sizeof *q->wide);
  memset(q->in_float, 0, q->g->n_nodes * sizeof *q->in_float);
  TRY(each_named(q, "int16", q->o.int16, mark_wide) && each_named(q, "float", q->o.in_float, mark_float));
  for (uint32_t i = 0; i < q->g->n_states; i++)
    FAIL_IF(q->wide[quant_class(q, q->g->states[i].now)], q->d, NULL,
            "quantize: int16 of a value that shares its scale with the state \"%s\": states have 8 bits",
            graph_val(q->g, q->g->states[i].now)->name ? graph_val(q->g, q->g->states[i].now)->name : "");
  return true;
}

/* ---- the budget */

typedef struct Item {
  double loss;
  NodeId node; /* whose weights, or whose output's class */
  bool weights;
} Item;

static int by_loss(const void *a, const void *b) {
  const Item *x = a, *y = b;
  if (x->loss != y->loss) return x->loss < y->loss ? 1 : -1;
  if (x->node != y->node) return x->node < y->node ? -1 : 1;
  return (int)x->weights - (int)y->weights;
}

static bool is_input_class(const Quantizer *q, ValId c) {
  for (uint32_t i = 0; i < q->g->n_inputs; i++)
    if (quant_class(q, q->g->inputs[i]) == c) return true;
  return false;
}

static int list_items(const Quantizer *q, const Alone *alone, Item *items) {
  const Graph *g = q->g;
  bool *done = mem_array(g->n_vals, sizeof *done);
  int n = 0;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const ValId c = quant_class(q, g->nodes[k].out[0]);
    if (alone->weights[k].value >= 0) items[n++] = (Item){alone->weights[k].value, k, true};
    if (done[c] || alone->classes[c].value < 0 || is_input_class(q, c)) continue;
    done[c] = true;
    items[n++] = (Item){alone->classes[c].value, k, false};
  }
  mem_free(done);
  qsort(items, (size_t)n, sizeof *items, by_loss);
  return n;
}

typedef struct Search {
  Quantizer *q;
  const Dataset *ds;
  QuantMakeFn *make;
  const Trial *trial;
  const Item *items;
  Graph *best; /* of the fewest items that met the budget so far */
  int most;    /* their number */
  Loss loss;   /* of the last try */
} Search;

static double loss_of(const Search *s) {
  return s->q->o.budget_points ? 100 * (s->trial->accuracy - s->loss.accuracy) : s->loss.value;
}

/* The graph with the first n items; *met: it keeps the budget and is the best now. */
static bool try_items(Search *s, int n, bool *met) {
  Quantizer *q = s->q;
  TRY(quant_named(q));
  for (int i = 0; i < n; i++) (s->items[i].weights ? mark_float : mark_wide)(q, s->items[i].node);
  Graph *g = quant_build(q, s->ds, s->make);
  bool ok = g && trial_run(s->trial, g, s->trial->softmax, &s->loss);
  *met = ok && loss_of(s) <= q->o.budget;
  if (*met) {
    graph_free(s->best);
    s->best = g, s->most = n;
  } else {
    graph_free(g);
  }
  return ok;
}

static void say(const Search *s, int n) {
  const Quantizer *q = s->q;
  if (!q->host || !q->host->log) return;
  StrBuf line = {0};
  sb_printf(&line, "quantize: budget %g%s: loss %.4g with %d of the parts wider", q->o.budget,
            q->o.budget_points ? "%" : "", loss_of(s), n);
  for (int i = 0; i < n; i++) {
    const char *name = graph_val(q->g, q->g->nodes[s->items[i].node].out[0])->name;
    sb_printf(&line, "%s%s=%s", i ? ", " : ": ", s->items[i].weights ? "float" : "int16", name ? name : "?");
  }
  q->host->log(q->host->ctx, sb_str(&line));
  sb_free(&line);
}

/* 0, then 1, 2, 4, ... until the budget is kept, then between. */
static bool search(Search *s, int n) {
  bool met = false;
  int under = -1; /* too few */
  for (int k = 0;; k = k ? 2 * k : 1) {
    k = k < n ? k : n;
    TRY(try_items(s, k, &met));
    if (met) break;
    under = k;
    if (k < n) continue;
    diag_error(
        s->q->d, NULL,
        "quantize: budget=%g%s: with all values in 16 bits and all weights in float32 the loss is %.4g",
        s->q->o.budget, s->q->o.budget_points ? "%" : "", loss_of(s));
    diag_hint(s->q->d, "io=float leaves out the rounding of inputs and outputs; or allow more");
    return false;
  }
  while (s->most - under > 1) {
    const int k = under + (s->most - under) / 2;
    TRY(try_items(s, k, &met));
    if (!met) under = k;
  }
  return true;
}

Graph *quant_budget(Quantizer *q, const Dataset *ds, QuantMakeFn *make) {
  Trial t;
  Alone alone = {0};
  Item *items = mem_array(2 * (size_t)q->g->n_nodes + 1, sizeof *items);
  Search s = {.q = q, .ds = ds, .make = make, .trial = &t, .items = items};
  bool ok = trial_open(q, ds, q->o.held, &t);
  if (ok && t.seen) {
    ok =
        diag_error(q->d, NULL,
                   "quantize: budget=: of %u training images %u calibrate, and fewer than 32 are left to try",
                   ds->train.n, q->o.cal.images);
    diag_hint(q->d, "images=N calibrates on fewer");
  }
  if (ok && q->o.budget_points && !t.labels)
    ok = diag_error(q->d, NULL, "quantize: budget=%g%% of accuracy: the data have no labels", q->o.budget);
  ok = ok && trial_alone(&t, &alone);
  ok = ok && search(&s, list_items(q, &alone, items));
  bool met;
  if (ok) ok = try_items(&s, s.most, &met); /* q again as of the best */
  if (ok) say(&s, s.most);
  if (!ok) graph_free(s.best);
  alone_free(&alone);
  trial_close(&t);
  mem_free(items);
  return ok ? s.best : NULL;
}
