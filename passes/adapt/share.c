/* A site's share, and the use of others'; see share.h. Updates are averaged as McMahan et al. 2017 (arXiv:1602.05629) do,
 * answers as in co-distillation (Anil et al. 2018, arXiv:1804.03235), on a public set.
 */
#include "passes/adapt/share.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/adapt/adapters.h"

void share_default(ShareOptions *o) {
  *o = (ShareOptions){.layers = ADAPT_LAST,
                      .rate = 0.05,
                      .steps = 200,
                      .lr = 0.1,
                      .momentum = 0.9,
                      .clip = 1,
                      .temperature = 1,
                      .mix = 0.5f};
}

/* -- tuning -- */

static Graph *tune_values(const Graph *g, const ValId *learn, int n, const ShareData *data,
                          const ShareOptions *o, Noise *random, const Host *host, TuneResult *res, Diag *d) {
  const TuneJob job = {.graph = g,
                       .split = data->split,
                       .normalize = data->normalize,
                       .labels = data->split->y,
                       .teacher = data->teacher,
                       .temperature = o->temperature,
                       .mix = !data->teacher   ? 0
                              : data->split->y ? o->mix
                                               : 1,
                       .learn = learn,
                       .n_learn = n,
                       .rate = o->rate,
                       .nominal = o->nominal > 0 ? o->nominal : data->split->n,
                       .steps = o->steps,
                       .lr = o->lr,
                       .momentum = o->momentum,
                       .decay = o->decay,
                       .clip = o->clip,
                       .noise = o->noise,
                       .random = random,
                       .host = host};
  return tune_run(&job, res, d);
}

/* B of each adapter of a graph that adapters_insert made, once more in the order of the convolutions: what the second of
 * each pair of thin ones reads. Nodes come in the same order in every copy. */
static void read_adapters(const Graph *with, const ValId *was, int n, const Graph *tuned, float *out) {
  int at = 0;
  for (NodeId k = 0; k < with->n_nodes && at < n; k++) {
    if (with->nodes[k].n_in < 2 || with->nodes[k].in[1] != was[at]) continue;
    const ValId v = tuned->nodes[k].in[1];
    const size_t count = (size_t)shape_count(&tuned->vals[v].shape);
    memcpy(out, val_data(tuned, v), count * sizeof *out);
    out += count;
    at++;
  }
  ASSERT(at == n);
}

static Graph *tune_adapters(const Graph *g, const AdaptScope *scope, const ShareData *data,
                            const ShareOptions *o, Noise *random, const Host *host, TuneResult *res,
                            Diag *d) {
  ValId *learn = mem_array(g->n_nodes, sizeof *learn);
  int n;
  Graph *with = adapters_insert(g, learn, &n, d), *out = NULL;
  Graph *tuned = with && n == scope->n ? tune_values(with, learn, n, data, o, random, host, res, d) : NULL;
  if (with && n != scope->n) diag_error(d, NULL, "convolutions that share weights cannot have adapters");
  if (tuned) {
    float *b = mem_array((size_t)scope->numbers, sizeof *b),
          *v = mem_array((size_t)scope->numbers, sizeof *v);
    read_adapters(with, learn, n, tuned, b);
    adapt_gather(g, scope, v);
    for (int64_t i = 0; i < scope->numbers; i++) v[i] += b[i];
    out = adapt_scatter(g, scope, v);
    mem_free(b);
    mem_free(v);
  }
  graph_free(with);
  graph_free(tuned);
  mem_free(learn);
  return out;
}

static Graph *tune(const Graph *g, const ShareData *data, const ShareOptions *o, Noise *random,
                   const Host *host, TuneResult *res, Diag *d) {
  AdaptScope scope;
  if (!adapt_scope(g, o->layers, &scope, d)) return NULL;
  Graph *out = o->layers == ADAPT_ADAPTERS
                   ? tune_adapters(g, &scope, data, o, random, host, res, d)
                   : tune_values(g, scope.vals, scope.n, data, o, random, host, res, d);
  adapt_scope_free(&scope);
  return out;
}

/* The split's features before the last layer, as a split of their own, whose numbers are the caller's to free. NULL: reported. */
static float *features(const Graph *body, const Split *s, const Normalize *nz, const Host *host, Split *out,
                       Diag *d) {
  const Shape *x = &graph_val(body, body->outputs[0])->shape;
  const int64_t count = shape_count_range(x, 1, x->rank);
  float *f = mem_array(s->n, (size_t)count * sizeof *f);
  *out = (Split){.n = s->n, .dtype = DT_F32, .x = f, .y = s->y, .item = {.rank = x->rank - 1}};
  for (int i = 1; i < x->rank; i++) out->item.d[i - 1] = x->d[i];
  if (graph_outputs(body, s, nz, host, (int)count, f, d)) return f;
  mem_free(f);
  return NULL;
}

/* base with the last layer of `head`. */
static Graph *with_head(const Graph *base, const Graph *head, Diag *d) {
  AdaptScope from, to;
  Graph *out = NULL;
  if (!adapt_scope(head, ADAPT_LAST, &from, d)) return NULL;
  if (adapt_scope(base, ADAPT_LAST, &to, d)) {
    float *v = mem_array((size_t)from.numbers, sizeof *v);
    ASSERT(from.numbers == to.numbers);
    adapt_gather(head, &from, v);
    out = adapt_scatter(base, &to, v);
    mem_free(v);
    adapt_scope_free(&to);
  }
  adapt_scope_free(&from);
  return out;
}

Graph *share_tune(const Graph *g, const ShareData *data, const ShareOptions *o, Noise *random,
                  const Host *host, TuneResult *res, Diag *d) {
  Graph *body, *head, *out = NULL;
  if (o->layers != ADAPT_LAST || !adapt_cut(g, &body, &head)) return tune(g, data, o, random, host, res, d);
  Split f;
  const Normalize none = {0};
  float *numbers = features(body, data->split, data->normalize, host, &f, d);
  if (numbers) {
    const ShareData as = {&f, &none, data->teacher};
    Graph *tuned = tune(head, &as, o, random, host, res, d);
    if (tuned) out = with_head(g, tuned, d);
    graph_free(tuned);
  }
  mem_free(numbers);
  graph_free(body);
  graph_free(head);
  return out;
}

/* -- updates -- */

bool share_update(const Graph *base, const Graph *tuned, AdaptLayers layers, Exchange *out, Diag *d) {
  AdaptScope b, t;
  TRY(adapt_scope(base, layers, &b, d));
  const bool ok = adapt_scope(tuned, layers, &t, d) &&
                  (b.numbers == t.numbers ||
                   diag_error(d, NULL, "the models differ in more than the numbers of their layers"));
  *out = (Exchange){
      .version = EXCHANGE_VERSION, .kind = EXCHANGE_UPDATE, .layers = layers, .rows = 1, .weight = 1};
  if (ok) {
    const size_t n = (size_t)b.numbers;
    float *from = mem_array(n, sizeof *from);
    out->model = graph_hash(base);
    out->columns = n;
    out->values = mem_array(n, sizeof *out->values);
    adapt_gather(base, &b, from);
    adapt_gather(tuned, &t, out->values);
    for (size_t i = 0; i < n; i++) out->values[i] -= from[i];
    mem_free(from);
  }
  adapt_scope_free(&b);
  adapt_scope_free(&t);
  return ok;
}

static bool check_updates(const Graph *base, const AdaptScope *s, const Exchange *u, int n, Diag *d) {
  const Hash model = graph_hash(base);
  for (int i = 0; i < n; i++) {
    FAIL_IF(u[i].kind != EXCHANGE_UPDATE || u[i].layers != u[0].layers, d, NULL,
            "file %d is no update of the same layers", i + 1);
    FAIL_IF(!hash_equal(u[i].model, model), d, NULL, "update %d belongs to another model", i + 1);
    FAIL_IF(u[i].columns != (uint64_t)s->numbers, d, NULL,
            "update %d has %" PRIu64 " numbers: these layers have %" PRId64, i + 1, u[i].columns, s->numbers);
  }
  return true;
}

Graph *share_apply(const Graph *base, const Exchange *updates, int n, Diag *d) {
  AdaptScope s;
  Graph *out = NULL;
  if (!adapt_scope(base, (AdaptLayers)updates[0].layers, &s, d)) return NULL;
  if (check_updates(base, &s, updates, n, d)) {
    float *v = mem_array((size_t)s.numbers, sizeof *v);
    double weights = 0;
    for (int i = 0; i < n; i++) weights += updates[i].weight;
    adapt_gather(base, &s, v);
    for (int64_t k = 0; k < s.numbers; k++) {
      double sum = 0;
      for (int i = 0; i < n; i++) sum += updates[i].weight * (double)updates[i].values[k];
      v[k] = (float)((double)v[k] + sum / weights);
    }
    out = adapt_scatter(base, &s, v);
    mem_free(v);
  }
  adapt_scope_free(&s);
  return out;
}

/* -- outputs on a public set -- */

Hash share_public(const Split *s) {
  Hasher *h = hasher_new();
  hasher_u64(h, s->n);
  hasher_str(h, dtype_name(s->dtype));
  for (int i = 0; i < s->item.rank; i++) hasher_u64(h, (uint64_t)s->item.d[i]);
  hasher_bytes(h, s->x, s->n * (size_t)shape_count(&s->item) * dtype_size(s->dtype));
  return hasher_done(h);
}

bool share_outputs(const Graph *g, const Graph *base, const Split *public_set, const Normalize *nz,
                   const Host *host, Exchange *out, Diag *d) {
  const int classes = graph_classes(g, d);
  TRY(classes > 0);
  *out = (Exchange){.version = EXCHANGE_VERSION,
                    .kind = EXCHANGE_OUTPUTS,
                    .model = graph_hash(base),
                    .public_set = share_public(public_set),
                    .rows = public_set->n,
                    .columns = (uint64_t)classes,
                    .weight = 1};
  out->values = mem_array(public_set->n, (size_t)classes * sizeof(float));
  return graph_outputs(g, public_set, nz, host, classes, out->values, d);
}

static bool check_outputs(const Split *p, const Exchange *e, int n, int classes, Diag *d) {
  const Hash is = share_public(p);
  for (int i = 0; i < n; i++) {
    FAIL_IF(e[i].kind != EXCHANGE_OUTPUTS, d, NULL, "file %d holds no outputs", i + 1);
    FAIL_IF(!hash_equal(e[i].public_set, is), d, NULL, "the outputs of file %d are on another public set",
            i + 1);
    FAIL_IF(e[i].rows != p->n || e[i].columns != (uint64_t)classes, d, NULL,
            "file %d has %" PRIu64 " outputs for %" PRIu64 " examples: want %d for %u", i + 1, e[i].columns,
            e[i].rows, classes, p->n);
  }
  return true;
}

Graph *share_learn(const Graph *g, const Split *public_set, const Normalize *nz, const Exchange *outputs,
                   int n, const ShareOptions *o, Noise *random, const Host *host, Diag *d) {
  const int classes = graph_classes(g, d);
  if (classes == 0 || !check_outputs(public_set, outputs, n, classes, d)) return NULL;
  const float **each = mem_array((size_t)n, sizeof *each);
  float *weights = mem_array((size_t)n, sizeof *weights);
  float *mean = mem_array(public_set->n, (size_t)classes * sizeof *mean);
  for (int i = 0; i < n; i++) each[i] = outputs[i].values, weights[i] = (float)outputs[i].weight;
  loss_mean_teacher(each, weights, n, (int)public_set->n, classes, o->temperature, mean);
  Split unlabelled = *public_set;
  unlabelled.y = NULL;
  const ShareData data = {&unlabelled, nz, mean};
  Graph *out = share_tune(g, &data, o, random, host, NULL, d);
  mem_free(each);
  mem_free(weights);
  mem_free(mean);
  return out;
}
