/* See validate.h. */
#include "frontend/cli/validate.h"

#include <math.h>

#include "passes/input_raw.h"

/* Variant v of an image as a graph of its own. The caller frees it. */
static Graph *alone(const FamilyMember *m, int n, bool exits, int v) {
  return exits ? graph_with_output(m[0].g, (uint32_t)(n - 1 - v)) : graph_clone(m[v].g);
}

bool cli_validate(FamilyMember *m, int n, bool exits, const Design *design, Diag *d) {
  Split val;
  TRY(split_open(&design->data.val, &val, d));
  bool ok = true;
  for (int v = 0; v < n && ok; v++) {
    Accuracy a = {0};
    Graph *g = alone(m, n, exits, v);
    const Normalize nz = design->input == INPUT_RAW && g->n_inputs == 1 && input_raw_takes_bytes(g)
                             ? input_raw_normalize(g, val.dtype)
                             : design->data.normalize;
    ok = graph_accuracy(g, &val, &nz, 1, NULL, &a, NULL, d);
    m[v].accuracy_ppm = llround(1e6 * a.top1);
    graph_free(g);
  }
  split_close(&val);
  return ok;
}
