/* The other structures that a design allows, as pipelines for tailoring (passes/tailor/variants.c): each freedom as far as it
 * goes, and halfway.
 */
#include "frontend/cli/structures.h"

#include <stdio.h>

enum { MOST = 5 };

/* Share of a layer's outputs that low rank keeps: some 0.6 of a residual net's MACs are left. */
static const char ENERGY[] = "0.98";

static void add(TailorVariant *v, int *n, const char *name, const char *passes) {
  v[(*n)++] = (TailorVariant){name, passes};
}

static void add_resolution(Arena *a, double share, TailorVariant *v, int *n) {
  add(v, n, arena_printf(a, "images of %.3g %%", 100 * share),
      arena_printf(a, "resolution{share=%.6g}", share));
}

static void add_depth(Arena *a, int blocks, const char *keep, TailorVariant *v, int *n) {
  add(v, n, arena_printf(a, "%d block%s fewer", blocks, blocks > 1 ? "s" : ""),
      arena_printf(a, "depth{blocks=%d%s%s}", blocks, keep[0] ? ",keep=" : "", keep));
}

const TailorVariant *cli_structures(Arena *a, const Design *design, const char *keep, int *n) {
  TailorVariant *v = arena_array(a, MOST, sizeof *v);
  const double side = design->resolution.min;
  const int blocks = design->depth.max;
  *n = 0;
  if (side < 1) add_resolution(a, (1 + side) / 2, v, n);
  if (side < 1) add_resolution(a, side, v, n);
  if (blocks > 1) add_depth(a, (blocks + 1) / 2, keep, v, n);
  if (blocks > 0) add_depth(a, blocks, keep, v, n);
  if (design->lowrank)
    add(v, n, "low rank", arena_printf(a, "lowrank{energy=%s%s%s}", ENERGY, keep[0] ? ",keep=" : "", keep));
  return v;
}
