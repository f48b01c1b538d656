/* See validate.h. */
#include "frontend/cli/validate.h"

#include <math.h>

#include "passes/input_raw.h"

/* Variant v of an image as a graph of its own. The caller frees it. */
static Graph *alone(const FamilyMember *m, int n, bool exits, int v) {
  return exits ? graph_with_output(m[0].g, (uint32_t)(n - 1 - v)) : graph_clone(m[v].g);
}

bool cli_validate(FamilyMember *m, int n, bool exits, const Design *design, const Host *host, Diag *d) {
  Split val;
  TRY(split_open(&design->data.val, &val, d));
  bool ok = true;
  for (int v = 0; v < n && ok; v++) {
    Accuracy a = {0};
    Normalize nz;
    Graph *g = alone(m, n, exits, v);
    ok = input_raw_feed(g, val.dtype, &design->data.normalize, &nz, d) &&
         graph_accuracy(g, &val, &nz, host->threads, host, &a, NULL, d);
    m[v].accuracy_ppm = llround(1e6 * a.top1);
    graph_free(g);
  }
  split_close(&val);
  return ok;
}

bool cli_validate_asked(FamilyMember *m, int n, bool exits, const char *path, const CommonOpts *common,
                        Diag *d) {
  Progress progress;
  Arena *a = arena_new();
  cli_progress(&progress, common, 0);
  const Design *design = design_load(a, path, d);
  const bool ok = design && cli_validate(m, n, exits, design, progress_host(&progress), d);
  arena_free(a);
  return ok;
}
