/* Which kernels' layouts of weights hold those of narrower variants: first channels of output and of input.
 *
 * generic       as lowering leaves them: strides say where a channel begins
 * _family       laid out for it
 * others        blocks of output channels one after another, in each all inputs: fewer outputs are fewer blocks, but the
 *               inputs must be the same ones
 *
 * NEON's layout has zeros for channels that give one value whatever comes in; these must be the same ones, too.
 */
#include <string.h>

#include "backend/kernels/kernels.h"

static bool any(const void *widest, const void *params) {
  (void)widest;
  (void)params;
  return true;
}

static bool same_inputs(const void *widest, const void *params) {
  return ((const mf_conv_s8 *)widest)->g.in_c == ((const mf_conv_s8 *)params)->g.in_c;
}

static bool same_k(const void *widest, const void *params) {
  return ((const mf_fc_s8 *)widest)->k == ((const mf_fc_s8 *)params)->k;
}

/* Helium's last block may have eight channels, others sixteen. */
static bool whole_blocks(const void *widest, const void *params) {
  const int32_t outs = ((const mf_conv_s8 *)params)->g.out_c;
  return outs % 16 == 0 || outs == ((const mf_conv_s8 *)widest)->g.out_c;
}

static bool same_constants(const FoldWeights *w, const FoldScales *s, const FoldWeights *v,
                           const FoldScales *t) {
  for (int32_t o = 0; o < v->outs; o++) {
    FoldedChannel a, b;
    if (!fold_channel(w, s, o, &a) || !fold_channel(v, t, o, &b) || (a.mult == 0) != (b.mult == 0))
      return false;
  }
  return true;
}

static bool conv_constants(const void *widest, const void *params) {
  const FoldWeights w = conv_fold_weights(widest), v = conv_fold_weights(params);
  const FoldScales s = conv_fold_scales(widest), t = conv_fold_scales(params);
  return same_constants(&w, &s, &v, &t);
}

static bool depthwise_constants(const void *widest, const void *params) {
  const FoldWeights w = depthwise_fold_weights(widest), v = depthwise_fold_weights(params);
  const FoldScales s = conv_fold_scales(widest), t = conv_fold_scales(params);
  return same_constants(&w, &s, &v, &t);
}

static bool neon_conv_shares(const void *widest, const void *params) {
  return same_inputs(widest, params) && conv_constants(widest, params);
}

static bool fc_constants(const void *widest, const void *params) {
  const FoldWeights w = fc_fold_weights(widest), v = fc_fold_weights(params);
  const FoldScales s = fc_fold_scales(widest), t = fc_fold_scales(params);
  return same_constants(&w, &s, &v, &t);
}

static bool neon_fc_shares(const void *widest, const void *params) {
  return same_k(widest, params) && fc_constants(widest, params);
}

static const struct {
  const char *name, *tag;
  bool (*shares)(const void *widest, const void *params);
} rows[] = {
    {"conv_s8", "generic", any},
    {"depthwise_s8", "generic", any},
    {"fc_s8", "generic", any},
    {"conv_s8", "armv7em", same_inputs},
    {"conv_s8", "armv7em_family", any},
    {"depthwise_s8", "armv7em", any},
    {"depthwise_s8", "armv7em_3x3_family", any},
    {"fc_s8", "armv7em", same_k},
    {"fc_s8", "armv7em_family", any},
    {"conv_s8", "armv7m", same_inputs},
    {"depthwise_s8", "armv7m", any},
    {"fc_s8", "armv7m", same_k},
    {"conv_s8", "armv6m", same_inputs},
    {"depthwise_s8", "armv6m", any},
    {"fc_s8", "armv6m", same_k},
    {"conv_s8", "mve", same_inputs},
    {"depthwise_s8", "mve", whole_blocks},
    {"fc_s8", "mve", same_k},
    {"conv_s8", "neon", neon_conv_shares},
    {"conv_s8", "neon_family", conv_constants},
    {"depthwise_s8", "neon", depthwise_constants},
    {"fc_s8", "neon", neon_fc_shares},
    {"fc_s8", "neon_family", fc_constants},
};

bool kernel_shares(const KernelDef *k, const void *widest, const void *params) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].name, k->name) == 0 && strcmp(rows[i].tag, k->tag) == 0)
      return rows[i].shares(widest, params);
  return false;
}
