/* The step that compares a graph's outputs with another's, before anything is retrained or where nothing will be: mean
 * KL(reference || graph) over the last training images, which calibration and solving, that begin at the front, see least. Both
 * are fed in their own size and type, so that an int8 graph is compared by what its kernels compute.
 */
#include <math.h>

#include "ir/base/mem.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/measure.h"
#include "runtime/engine/divergence.h"

enum { IMAGES = 512, SHARE = 4 }; /* so many, at most every SHARE-th */

/* The last examples of train, whose labels are not asked: their outputs are compared, not judged. */
static Split last_examples(const Split *train, const int32_t *labels) {
  Split s = *train;
  s.n = train->n / SHARE < IMAGES ? train->n / SHARE : IMAGES;
  if (s.n == 0) s.n = train->n;
  const size_t first = train->n - s.n, each = (size_t)shape_count(&s.item) * dtype_size(s.dtype);
  s.x = (const char *)train->x + first * each;
  s.y = labels;
  s.anomaly = false;
  return s;
}

static int64_t outputs_of(const Graph *g) {
  const Shape *y = &graph_val(g, g->outputs[g->n_outputs - 1])->shape;
  return shape_count_range(y, 1, y->rank);
}

static bool ends_in_softmax(const Graph *g) {
  const Node *n = graph_def(g, g->outputs[g->n_outputs - 1]);
  while (n && (n->op == OP_reshape || n->op == OP_dequantize || n->op == OP_quantize))
    n = graph_def(g, n->in[0]);
  return n && n->op == OP_softmax;
}

/* Are these [rows][n] shares? The engine leaves a last Softmax out where it can and gives logits, kernels never do. */
static bool are_shares(const float *x, uint32_t rows, int64_t n) {
  for (uint32_t i = 0; i < rows; i++) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
      const float v = x[i * (size_t)n + (size_t)k];
      if (!(v >= 0 && v <= 1.01f)) return false;
      sum += (double)v;
    }
    if (fabs(sum - 1) > 0.5) return false; /* of many classes codes round away some */
  }
  return true;
}

/* Of all examples; of shares the logarithms, which are logits of the same shares. Codes know none below 1/1024. */
static bool outputs(const StepCall *c, const Graph *g, const Split *s, const Normalize *nz, float *out,
                    Diag *d) {
  Accuracy unused;
  TRY(graph_accuracy(g, s, nz, c->host ? c->host->threads : 1, c->host, &unused, out, d));
  const size_t n = s->n * (size_t)outputs_of(g);
  const bool shares = ends_in_softmax(g) && are_shares(out, s->n, outputs_of(g));
  for (size_t i = 0; shares && i < n; i++) out[i] = logf(fmaxf(out[i], 1.0f / 1024));
  return true;
}

static bool compare(const StepCall *c, const Graph *g, const Graph *reference, const Dataset *ds,
                    Divergence *out, Diag *d) {
  const TailorStepEnv *env = c->env;
  const int64_t n = outputs_of(g);
  FAIL_IF(outputs_of(reference) != n, d, NULL, "outputs of %lld and %lld elements cannot be compared",
          (long long)outputs_of(reference), (long long)n);
  int32_t *labels = mem_array(ds->train.n, sizeof *labels);
  const Split s = last_examples(&ds->train, labels);
  float *want = mem_array((size_t)s.n * (size_t)n, sizeof *want),
        *got = mem_array((size_t)s.n * (size_t)n, sizeof *got);
  const Normalize nz = tailor_normalize(env->data, g, s.dtype, c->params);
  const bool ok =
      outputs(c, reference, &s, &env->data->spec->normalize, want, d) && outputs(c, g, &s, &nz, got, d);
  *out = (Divergence){.n = s.n};
  for (uint32_t i = 0; ok && i < s.n; i++) {
    bool same;
    const size_t at = i * (size_t)n;
    out->value += divergence_example(want + at, got + at, (int)n, split_has_classes(&ds->train), &same) / s.n;
    out->agree += (double)same / s.n;
  }
  mem_free(want);
  mem_free(got);
  mem_free(labels);
  return ok;
}

static bool run_diverge(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const TailorStepEnv *env = c->env;
  const Dataset *ds = NULL;
  Divergence v = {0};
  Graph *g = artifact_graph(&c->in[0], d), *reference = artifact_graph(&c->in[1], d);
  const bool ok = g && reference && tailor_data(env->data, &ds, d) && compare(c, g, reference, ds, &v, d);
  graph_free(g);
  graph_free(reference);
  TRY(ok);
  StrBuf m = {0};
  measure_put_int(&m, "n", v.n);
  measure_put(&m, "divergence", v.value);
  measure_put(&m, "agree", v.agree);
  out[(*n_out)++] = measure_artifact(&m);
  return true;
}

static const char *const sources[] = {"ir/",
                                      "runtime/kernels/",
                                      "runtime/engine/",
                                      "runtime/data/",
                                      "passes/input_raw",
                                      "passes/pass.h",
                                      "passes/pipeline.c",
                                      "passes/tailor/diverge.c",
                                      "passes/tailor/kinds",
                                      "passes/tailor/measure",
                                      NULL};
const StepKind step_diverge = {.name = "diverge", .sources = sources, .numeric = true, .run = run_diverge};
