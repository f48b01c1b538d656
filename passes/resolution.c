/* resolution: the same network for smaller images.
 *
 *   input [N,32,32,C] -> ... -> global pool -> classifier      becomes      [N,24,24,C] -> ... -> global pool -> classifier
 *
 * The graph's input takes another size, everything behind is inferred anew; layers that something but global pools sees
 * the size of refuse (graph_with_size). Whoever feeds images to the graph resizes them by the mean of the area that a pixel
 * covers (runtime/data/input_map.h): training, calibration, evaluation, self-test vectors. Emitted code takes the smaller
 * image, as a camera scales it. Retraining is to follow, as features appear at another scale.
 *
 * By a size, a share of the side, or limits: the largest size that meets them, its height a multiple of `steps` and at least
 * `min` of what it was, its width in proportion.
 */
#include "passes/pass.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "passes/limits.h"

PassFn pass_resolution;

typedef struct Size {
  int64_t h, w;
} Size;

/* The image's first axis in the input: behind a Transpose from NCHW the second one, else the first; 0: it is no image. */
static int image_axis(const Graph *g) {
  const ValId x = g->inputs[0];
  if (g->n_inputs != 1 || graph_val(g, x)->shape.rank != 4) return 0;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (n->op != OP_transpose || n->in[0] != x) continue;
    const Ints *p = &CATTRS(n, transpose)->perm;
    if (p->n == 4 && p->v[1] == 2 && p->v[2] == 3 && p->v[3] == 1) return 2;
  }
  return 1;
}

static bool parse_size(const char *text, Size *out, Diag *d) {
  char *end;
  errno = 0;
  out->h = out->w = strtoll(text, &end, 10);
  bool ok = end != text && !errno;
  if (ok && *end == 'x') {
    const char *second = end + 1;
    out->w = strtoll(second, &end, 10);
    ok = end != second && !errno;
  }
  FAIL_IF(!ok || *end || out->h < 1 || out->w < 1, d, NULL,
          "resolution: size=%s, want 24 or 24x32 (rows x columns)", text);
  return true;
}

/* The height's share, to the nearest multiple of steps; not above it. */
static int64_t side(int64_t full, double share, int64_t steps) {
  int64_t s = (int64_t)(share * (double)full / (double)steps + 0.5) * steps;
  if (s > full) s = full / steps * steps;
  return s > 0 ? s : full < steps ? full : steps;
}

/* Data are resized where proportions stay to a pixel (input_resized), so that only the height is a multiple of steps. */
static Size of_height(Size was, int64_t h) {
  const int64_t w = (2 * h * was.w + was.h) / (2 * was.h);
  return (Size){h, w > 0 ? w : 1};
}

static void tell(const PassCtx *ctx, const Graph *g, const Graph *out, Size was, Size is) {
  char line[200];
  if (!ctx->host || !ctx->host->log) return;
  snprintf(line, sizeof line,
           "resolution: %" PRId64 " x %" PRId64 " becomes %" PRId64 " x %" PRId64 ", MACs %" PRId64
           " of %" PRId64,
           was.h, was.w, is.h, is.w, graph_macs(out), graph_macs(g));
  ctx->host->log(ctx->host->ctx, line);
}

typedef struct Wanted {
  Size size;
  double share, min, steps;
  PruneLimits limits;
  bool limited;
  DType precision;
} Wanted;

static bool options(const PassCtx *ctx, const Graph *g, Wanted *w, Diag *d) {
  char size[64] = "";
  const char *p = ctx->params;
  *w = (Wanted){.min = 0.5, .steps = 4};
  if (pass_param(p, "size", size, sizeof size)) TRY(parse_size(size, &w->size, d));
  TRY(limits_number("resolution", p, "share", 0.01, 1, &w->share, d));
  TRY(limits_number("resolution", p, "min", 0.01, 1, &w->min, d));
  TRY(limits_number("resolution", p, "steps", 1, 4096, &w->steps, d));
  TRY(limits_parse("resolution", ctx, g, &w->limits, &w->limited, d));
  TRY(limits_precision("resolution", p, &w->precision, d));
  FAIL_IF((size[0] != 0) + (w->share > 0) + w->limited != 1, d, NULL,
          "resolution: want size, or share, or a limit (macs, params, flash, ram or cycles), and one of "
          "these alone");
  return true;
}

static Graph *by_limits(const Graph *g, const PassCtx *ctx, const Wanted *w, int axis, Size was, Size *is,
                        Diag *d) {
  int64_t steps = (int64_t)w->steps, h = was.h;
  double share = 1;
  Cost cost;
  Resource over = LIMIT_NONE;
  do {
    *is = of_height(was, h);
    Graph *out = graph_with_size(g, axis, is->h, is->w, d);
    if (!out || !limits_cost(ctx->cost, out, w->precision, &cost, d)) {
      graph_free(out);
      return NULL;
    }
    over = limits_binding(&w->limits, &cost);
    if (over == LIMIT_NONE) return out;
    graph_free(out);
    h = (h - 1) / steps * steps;
    share = (double)h / (double)was.h;
  } while (h > 0 && share >= w->min - 1e-9);
  limits_missed("resolution", &w->limits, &cost, over, d);
  diag_hint(d, "images of %" PRId64 " x %" PRId64 " are the smallest tried: min=%g of the side, steps=%g",
            is->h, is->w, w->min, w->steps);
  return NULL;
}

Graph *pass_resolution(const Graph *g, const PassCtx *ctx, Diag *d) {
  Wanted w;
  if (!options(ctx, g, &w, d)) return NULL;
  int axis = image_axis(g);
  if (!axis) {
    diag_error(d, NULL, "resolution: want a model of one input [N, height, width, channels]");
    return NULL;
  }
  const int64_t *dims = graph_val(g, g->inputs[0])->shape.d;
  const Size was = {dims[axis], dims[axis + 1]};
  Size is = w.size;
  if (w.share > 0) is = of_height(was, side(was.h, w.share, (int64_t)w.steps));
  if (!w.limited && (is.h > was.h || is.w > was.w)) {
    diag_error(d, NULL,
               "resolution: %" PRId64 " x %" PRId64 " is larger than the model's %" PRId64 " x %" PRId64,
               is.h, is.w, was.h, was.w);
    return NULL;
  }
  Graph *out = w.limited ? by_limits(g, ctx, &w, axis, was, &is, d) : graph_with_size(g, axis, is.h, is.w, d);
  if (out) tell(ctx, g, out, was, is);
  return out;
}
