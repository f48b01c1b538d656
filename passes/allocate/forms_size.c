/* Sizes of forms at widths other than the layer's own; see forms.h. */
#include <math.h>

#include "passes/allocate/forms.h"

/* A share of the highest rank, upwards to a multiple of `step`. */
static int64_t rank_of(double share, int64_t most, int64_t step) {
  int64_t rank = (int64_t)ceil(share * (double)most - 1e-9);
  rank = (rank + step - 1) / step * step;
  return rank > 0 ? rank : step;
}

bool form_ranks(const LowrankLayer *l, const LayerForm *v, int64_t step, int64_t outs, int64_t ins,
                LowrankOption *out) {
  int64_t most_in, most = lowrank_most_at(l, outs, ins, v->method, &most_in);
  *out = (LowrankOption){.method = v->method, .rank = rank_of(v->share, most, step)};
  if (v->method == LOWRANK_TUCKER) out->in_rank = rank_of(v->in_share, most_in, step);
  if (out->rank > most || out->in_rank > most_in) return false;
  lowrank_size_at(l, outs, ins, out);
  int64_t macs, params;
  lowrank_whole_at(l, outs, ins, &macs, &params);
  return out->macs < macs && out->params < params;
}

bool form_cost(const Forms *f, uint32_t layer, uint32_t form, const Sizer *s, double v[RES_COUNT]) {
  const FormLayer *x = &f->v[layer];
  const LayerForm *to = &x->v[form];
  const Node *n = &f->graph->nodes[x->node];
  double outs = (double)sizer_kept(s, x->node, 1, 0),
         ins = (double)sizer_kept(s, x->node, 1, graph_val(f->graph, n->in[1])->shape.rank - 1);
  double bytes = (double)dtype_size(f->precision), per_out = sizer_per_output(s),
         tables = per_out * outs; /* biases, multipliers */
  double weights = (v[RES_FLASH] - tables) / bytes;
  if (to->share > 0) {
    LowrankOption o;
    if (!form_ranks(x->l, to, f->step, (int64_t)outs, (int64_t)ins, &o)) return false;
    v[RES_MACS] = (double)o.macs;
    v[RES_PARAMS] = (double)o.params;
    v[RES_CYCLES] = (double)o.macs * to->pace;
    v[RES_RAM] += (double)o.inner * bytes;
    weights = (double)o.params - outs;
    tables += per_out * (double)(o.rank + o.in_rank);
  } else {
    v[RES_CYCLES] *= to->pace;
  }
  v[RES_FLASH] = weights * bytes * (to->bits == 4 ? 0.5 : 1) + tables;
  return true;
}
