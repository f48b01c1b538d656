/* Outcomes of emitted C; see outcome.h. What anomalies are compared with is made again from the example, as real numbers. */
#include "frontend/cli/outcome.h"

#include "frontend/cli/cli.h"
#include "ir/base/mem.h"

float cli_outcome(const Graph *g, const InputMap *map, const Split *s, const Normalize *nz, uint32_t i,
                  const Tensor *y) {
  const Quant *q = &graph_val(g, g->outputs[g->n_outputs - 1])->quant;
  int64_t n = shape_count(&y->shape);
  float *z = mem_array((size_t)n, sizeof *z), *x = NULL, *scratch = NULL;
  for (int64_t k = 0; k < n; k++) z[k] = (float)cli_real(y->data, y->dtype, &y->shape, q, k);
  if (s->anomaly) {
    x = mem_array((size_t)map->count, sizeof *x);
    scratch = mem_array((size_t)map->count, sizeof *scratch);
    input_item(map, s, nz, NULL, i, x, scratch);
  }
  float outcome = judge_example(s, i, z, x, n);
  mem_free(z);
  mem_free(x);
  mem_free(scratch);
  return outcome;
}
