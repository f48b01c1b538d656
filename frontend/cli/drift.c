/* See drift.h. */
#include "frontend/cli/drift.h"

#include "frontend/cli/cli.h"
#include "ir/base/mem.h"
#include "passes/input_raw.h"
#include "runtime/data/input_map.h"

enum { EXAMPLES = 2048 };

/* Example i as the graph takes it. */
static bool example(const Graph *g, const InputMap *map, const Split *s, const Normalize *nz, uint32_t i,
                    Tensor *out, Diag *d) {
  const Value *in = graph_val(g, g->inputs[0]);
  Tensor x = tensor_new(DT_F32, &in->shape);
  float *scratch = mem_array((size_t)map->count, sizeof *scratch);
  input_item(map, s, nz, NULL, i, x.data, scratch);
  mem_free(scratch);
  const bool ok = cli_quantize(&x, in->dtype, &in->quant, out, d);
  tensor_free(&x);
  return ok;
}

static bool from_examples(const Graph *g, const Split *s, const Normalize *nz, const DriftOptions *o,
                          DriftReference *out, Diag *d) {
  const uint32_t n = s->n < EXAMPLES ? s->n : EXAMPLES;
  const Value *in = graph_val(g, g->inputs[0]);
  InputMap map;
  uint32_t made = 0;
  TRY(input_map(&in->shape, &s->item, &map, d));
  FAIL_IF((in->dtype != DT_I8 && in->dtype != DT_U8) || in->quant.n != 1, d, NULL,
          "the monitor of drift looks at codes of 8 bits; the model's input is %s (quantize the model)",
          dtype_name(in->dtype));
  Tensor *x = mem_array(n + 1, sizeof *x);
  while (made < n && example(g, &map, s, nz, (uint32_t)((uint64_t)made * s->n / n), &x[made], d)) made++;
  const bool ok = made == n && drift_reference(g, o, x, (int)n, out, d);
  cli_free_tensors(x, made);
  mem_free(x);
  return ok;
}

bool cli_drift(const Graph *g, const Split *train, const Normalize *nz, bool rows, int64_t interval,
               DriftReference *out, Diag *d) {
  FAIL_IF(g->n_inputs != 1, d, NULL, "the monitor of drift wants a model of one input, not of %u",
          g->n_inputs);
  Graph *one = cli_batch_1(g, d);
  if (!one) return false;
  const DriftOptions o = {.interval = interval,
                          .rows = rows ? plan_input_rows(&graph_val(one, one->inputs[0])->shape) : 0};
  const bool ok = from_examples(one, train, nz, &o, out, d);
  graph_free(one);
  return ok;
}

bool cli_drift_design(const Graph *g, const DataSpec *data, bool rows, int64_t interval, DriftReference *out,
                      Diag *d) {
  Split train;
  TRY(split_open(&data->train, &train, d));
  Normalize nz;
  const bool ok = input_raw_feed(g, train.dtype, &data->normalize, &nz, d) &&
                  cli_drift(g, &train, &nz, rows, interval, out, d);
  split_close(&train);
  return ok;
}
