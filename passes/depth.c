/* depth: residual blocks that matter least are dropped, y = x + f(x) becomes y = x.
 *
 *   blocks of the graph -> each dropped alone -> statistics anew -> divergence from the teacher's outputs
 *      ^                                                                                   |
 *      +----- the graph without the one of least divergence, until enough are gone <-------+
 *
 * A block is an Add of x and of something computed from x, of one shape; an activation fused into the Add stays. Everything
 * that only f needed goes with it. Scores are made anew after every block, since blocks that are alike can stand in for one
 * another. Without BatchNormalization there are no statistics to estimate (bninsert puts some in).
 */
#include "passes/pass.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels.h"
#include "passes/limits.h"
#include "runtime/engine/divergence.h"

PassFn pass_depth;

typedef struct Drop {
  const PassCtx *ctx;
  const Graph *teacher;
  uint32_t images, bn_images;
  int64_t blocks; /* how many; 0: by limits */
  PruneLimits limits;
  DType precision;
  const char *keep; /* layers that stay, "A;B"; "": none */
  Diag *d;
} Drop;

/* ---- blocks */

/* Which of an Add's inputs is x, the other being computed from it; -1: neither. */
static int shortcut(const Graph *g, const Node *n) {
  if (n->op != OP_add || graph_val(g, n->out[0])->dtype != DT_F32) return -1;
  for (int i = 0; i < 2; i++) {
    ValId x = n->in[i], f = n->in[1 - i];
    if (x == f || val_is_const(g, x) ||
        !shape_equal(&graph_val(g, x)->shape, &graph_val(g, n->out[0])->shape))
      continue;
    bool *from = mem_array(g->n_vals, sizeof *from);
    from[x] = true;
    for (const Node *k = g->nodes; k < n; k++)
      for (uint32_t j = 0; j < k->n_in; j++)
        if (k->in[j] != NO_VAL && from[k->in[j]])
          for (uint32_t o = 0; o < k->n_out; o++) from[k->out[o]] = true;
    bool yes = from[f];
    mem_free(from);
    if (yes) return i;
  }
  return -1;
}

/* g without the block that ends in node `add`. */
static Graph *without(const Graph *g, NodeId add, Diag *d) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  for (NodeId k = 0; ok && k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (k != add) {
      ok = rewrite_copy(&r, n, d);
      continue;
    }
    ValId x = rewrite_val(&r, n->in[shortcut(g, n)]);
    const char *name = graph_val(g, n->out[0])->name;
    r.pass = "depth";
    Loc loc = rewrite_loc(&r, n);
    r.pass = NULL;
    int32_t act = CATTRS(n, add)->act;
    if (act == ACT_RELU) x = graph_node1(r.to, OP_relu, NULL, x, name, &loc, d);
    if (act == ACT_RELU6) x = graph_node1(r.to, OP_clip, &(clip_attrs){.lo = 0, .hi = 6}, x, name, &loc, d);
    if (act == ACT_RELU_N1_TO_1)
      x = graph_node1(r.to, OP_clip, &(clip_attrs){.lo = -1, .hi = 1}, x, name, &loc, d);
    r.map[n->out[0]] = x;
    ok = x != NO_VAL;
  }
  return rewrite_end(&r, ok, d);
}

/* Does `cut` lack a layer that is to stay? */
static bool loses_kept(const Drop *p, const Graph *g, const Graph *cut) {
  for (NodeId k = 0; p->keep[0] && k < g->n_nodes; k++) {
    const char *name = node_label(g, &g->nodes[k]);
    bool there = !pass_listed(p->keep, name);
    for (NodeId i = 0; !there && i < cut->n_nodes; i++)
      there = strcmp(node_label(cut, &cut->nodes[i]), name) == 0;
    if (!there) return true;
  }
  return false;
}

/* ---- scores */

static void tell(const Drop *p, const char *what, const char *name, const Divergence *v, const Graph *g,
                 const Graph *was) {
  const Host *h = p->ctx->host;
  char line[240];
  if (!h || !h->log) return;
  snprintf(line, sizeof line,
           "depth: %s %s: divergence %.4f, %.1f %% of %u outputs agree, MACs %" PRId64 " of %" PRId64, what,
           name, v->value, 100 * v->agree, v->n, graph_macs(g), graph_macs(was));
  h->log(h->ctx, line);
}

/* The graph without a block, its statistics estimated, and how far it is from the teacher. NULL: reported, or the block
 * holds a layer that stays (*stays). */
static Graph *candidate(const Drop *p, const Graph *g, NodeId add, Divergence *v, bool *stays) {
  Graph *cut = without(g, add, p->d);
  *stays = cut && loses_kept(p, g, cut);
  if (*stays) {
    graph_free(cut);
    return NULL;
  }
  if (!cut) return NULL;
  Graph *out = reestimate_bn(cut, p->ctx->data, p->bn_images, p->ctx->host, p->d);
  graph_free(cut);
  if (out && graph_divergence(p->teacher, out, p->ctx->data, 0, p->images, p->ctx->host, v, p->d)) return out;
  graph_free(out);
  return NULL;
}

/* Does a graph save any of what exceeds its limit? */
static bool helps(const Drop *p, const Graph *g, const Graph *now, bool *yes) {
  Cost before, after;
  *yes = true;
  if (p->blocks > 0) return true;
  TRY(limits_cost(p->ctx->cost, now, p->precision, &before, p->d));
  TRY(limits_cost(p->ctx->cost, g, p->precision, &after, p->d));
  Resource r = limits_binding(&p->limits, &before);
  *yes = limits_have(&after, r) < limits_have(&before, r);
  return true;
}

/* The best graph with one block less; *out NULL: there is no block. */
static bool drop_one(const Drop *p, const Graph *g, Graph **out) {
  Divergence best = {.value = INFINITY};
  const char *name = NULL;
  *out = NULL;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    Divergence v;
    bool yes, stays;
    if (shortcut(g, &g->nodes[k]) < 0) continue;
    Graph *c = candidate(p, g, k, &v, &stays);
    if (stays) continue;
    if (!c || !helps(p, c, g, &yes)) {
      graph_free(c);
      graph_free(*out);
      return false;
    }
    const char *label = node_label(g, &g->nodes[k]);
    tell(p, yes ? "without" : "without (what is too much stays as it is)", label, &v, c, g);
    if (yes && v.value < best.value) {
      Graph *worse = *out;
      *out = c, best = v, name = label, c = worse;
    }
    graph_free(c);
  }
  if (*out) tell(p, "dropped", name, &best, *out, g);
  return true;
}

/* ---- the pass */

static bool options(Drop *p, const Graph *g) {
  double blocks = 0, images = 512, bn = 2048;
  bool any;
  const char *t = p->ctx->params;
  TRY(limits_number("depth", t, "blocks", 1, 1e6, &blocks, p->d));
  TRY(limits_number("depth", t, "images", 1, 1e9, &images, p->d));
  TRY(limits_number("depth", t, "bn_images", 1, 1e9, &bn, p->d));
  TRY(limits_parse("depth", p->ctx, g, &p->limits, &any, p->d));
  TRY(limits_precision("depth", t, &p->precision, p->d));
  FAIL_IF(any == (blocks > 0), p->d, NULL,
          "depth: want blocks=N, or a limit (macs, params, flash, ram or cycles), and not both");
  p->blocks = (int64_t)blocks, p->images = (uint32_t)images, p->bn_images = (uint32_t)bn;
  return true;
}

/* Is that enough? */
static bool enough(const Drop *p, const Graph *g, int64_t dropped, Resource *over, Cost *c, bool *yes) {
  *over = LIMIT_NONE;
  *yes = dropped == p->blocks;
  if (p->blocks > 0) return true;
  TRY(limits_cost(p->ctx->cost, g, p->precision, c, p->d));
  *over = limits_binding(&p->limits, c);
  *yes = *over == LIMIT_NONE;
  return true;
}

Graph *pass_depth(const Graph *g, const PassCtx *ctx, Diag *d) {
  char keep[4096] = "";
  if (pass_param(ctx->params, "keep", keep, sizeof keep) && strlen(keep) == sizeof keep - 1) {
    diag_error(d, NULL, "depth: keep=%.20s...: want less than %zu characters", keep, sizeof keep - 1);
    return NULL;
  }
  Drop p = {.ctx = ctx, .teacher = ctx->teacher ? ctx->teacher : g, .keep = keep, .d = d};
  if (!options(&p, g)) return NULL;
  Graph *now = graph_clone(g);
  for (int64_t n = 0;; n++) {
    Graph *next = NULL;
    Resource over;
    Cost c;
    bool yes, ok = enough(&p, now, n, &over, &c, &yes);
    if (ok && yes) return now;
    ok = ok && drop_one(&p, now, &next);
    if (ok && !next) {
      if (over == LIMIT_NONE)
        diag_error(d, NULL, "depth: %" PRId64 " blocks to drop, but there are %" PRId64, p.blocks, n);
      else
        limits_missed("depth", &p.limits, &c, over, d);
      diag_hint(d, "a block is an Add of x and of what is computed from x, of the same shape");
    }
    graph_free(now);
    if (!ok || !next) return NULL;
    now = next;
  }
}
