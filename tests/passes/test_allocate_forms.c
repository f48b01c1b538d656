/* Ranks and bits beside widths: plans against trying everything, with errors made up; where a rank wins and where none does;
 * what a target refuses; 4 bits, from the plan to quantize; the same bytes with any number of threads.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/allocate/allocate.h"
#include "runtime/engine/divergence.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_allocate_forms(void);

/* Flash: constants, those of 4 bits by half; RAM: what a node reads and makes; cycles: MACs and, of ctx, so many a node. */
static bool plain_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)d;
  *out = (Cost){.macs = graph_macs(g), .params = graph_params(g)};
  out->cycles = out->macs + (ctx ? *(const int *)ctx * (int64_t)g->n_nodes : 0);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (!val_is_const(g, v)) continue;
    int64_t n = shape_count(&graph_val(g, v)->shape);
    out->flash += graph_val(g, v)->dtype == DT_I4 ? n / 2 : n;
  }
  int64_t bytes = precision == DT_NONE ? 1 : (int64_t)sizeof(float);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    int64_t sum = (int64_t)val_bytes(g, n->out[0]) / bytes;
    for (uint32_t i = 0; i < n->n_in; i++)
      if (!val_is_const(g, n->in[i])) sum += (int64_t)val_bytes(g, n->in[i]) / bytes;
    if (sum > out->ram) out->ram = sum;
  }
  return true;
}

/* ---- plans, by errors made up */

static const char CHAIN[] =
    "%x = input : f32[N,6,6,4] \"x\"\n"
    "%w1 = const : f32[8,3,3,4] {?}\n%y1 = Conv(%x, %w1) {pads=[1,1,1,1]} : f32[N,6,6,8] \"a\"\n%z1 = "
    "Relu(%y1)\n"
    "%w2 = const : f32[8,3,3,8] {?}\n%y2 = Conv(%z1, %w2) {pads=[1,1,1,1]} : f32[N,6,6,8] \"b\"\n%z2 = "
    "Relu(%y2)\n"
    "%w3 = const : f32[6,3,3,8] {?}\n%y3 = Conv(%z2, %w3) : f32[N,4,4,6] \"c\"\noutput %y3\n";

typedef struct Made {
  Graph *g;
  Channels c;
  ErrorTable t;
  Forms f;
  CostModel cost;
  PassCtx ctx;
  Diag *d;
} Made;

/* Errors rise as units go, and as ranks and bits fall. */
static Made make(uint64_t seed) {
  Made m = {.g = net_parse(CHAIN, 3), .d = diag_new(), .cost = {.cost = plain_cost}};
  Rng r;
  rng_seed(&r, seed, 9);
  ck_assert_msg(channels_find(m.g, NULL, &m.c, m.d), "%s", diag_text(m.d));
  error_table_init(&m.t, m.c.n_groups, m.c.n_units);
  for (uint32_t g = 0, i = 0; g < m.c.n_groups; g++) {
    double e = 0;
    m.t.size[g] = m.c.groups[g].n;
    for (uint32_t k = 0; k < m.t.size[g]; k++, i++)
      m.t.order[i] = k, m.t.error[i] = e += (double)rng_uniform(&r) * (k + 1.0);
  }
  m.f = (Forms){.arena = arena_new(), .graph = m.g, .step = 1, .precision = DT_I8};
  m.f.v = arena_array(m.f.arena, 3, sizeof *m.f.v);
  for (NodeId k = 0; k < m.g->n_nodes; k++) {
    if (m.g->nodes[k].op != OP_conv) continue;
    FormLayer *x = &m.f.v[m.f.n++];
    const char *why;
    *x = (FormLayer){.node = k, .name = node_label(m.g, &m.g->nodes[k])};
    x->l = lowrank_open(m.g, k, NULL, &why);
    x->v = arena_array(m.f.arena, 6, sizeof *x->v);
    double ranks[3] = {0, 4 * (double)rng_uniform(&r), 0}, bits = 2 * (double)rng_uniform(&r);
    ranks[2] = ranks[1] + 6 * (double)rng_uniform(&r);
    for (uint32_t i = 0; i < 6; i++)
      x->v[x->n++] = (LayerForm){.method = i % 3 == 1 ? LOWRANK_SVD : LOWRANK_SPATIAL,
                                 .share = i % 3 == 1   ? 0.5
                                          : i % 3 == 2 ? 0.125
                                                       : 0,
                                 .bits = i < 3 ? 8 : 4,
                                 .error = ranks[i % 3] + (i < 3 ? 0 : bits),
                                 .pace = 1};
  }
  m.ctx = (PassCtx){.params = ""};
  return m;
}

static void made_free(Made *m) {
  forms_free(&m->f);
  error_table_free(&m->t);
  channels_free(&m->c);
  graph_free(m->g);
  diag_free(m->d);
}

static bool fits(const PruneLimits *l, const Cost *c, const Cost *whole) {
  return (l->macs == 0 || (double)c->macs <= l->macs * (double)whole->macs * (1 + 1e-9)) &&
         (l->params == 0 || (double)c->params <= l->params * (double)whole->params * (1 + 1e-9)) &&
         (l->flash == 0 || c->flash <= l->flash) && (l->ram == 0 || c->ram <= l->ram) &&
         (l->cycles == 0 || c->cycles <= l->cycles);
}

static Cost cost_of(Made *m, const PrunePlan *p, const uint32_t *form) {
  Cost c;
  NodeId from[32];
  Graph *small = prune_apply(&m->c, p, m->d);
  ck_assert(small && small->n_nodes <= 32);
  allocate_match(m->g, small, from);
  ck_assert_msg(forms_cost(&m->f, form, small, from, &m->ctx, &c, m->d), "%s", diag_text(m->d));
  graph_free(small);
  return c;
}

/* The least error of all widths (multiples of 4) and forms within the limits. */
static double try_everything(Made *m, const PruneLimits *l, const Cost *whole) {
  double least = INFINITY;
  for (uint32_t widths = 0; widths < 4; widths++) {
    PrunePlan p;
    prune_plan_all(&m->c, &p);
    for (uint32_t g = 0; g < 2; g++)
      for (uint32_t k = 0; (widths >> g & 1) && k < 4; k++)
        p.keep[m->c.groups[g].first + m->t.order[m->c.groups[g].first + k]] = 0, p.kept[g]--;
    for (uint32_t code = 0; code < 216; code++) {
      const uint32_t form[3] = {code % 6, code / 6 % 6, code / 36};
      double e = allocate_expected(&m->t, &p) + forms_error(&m->f, form);
      if (e >= least) continue;
      Cost c = cost_of(m, &p, form);
      if (fits(l, &c, whole)) least = e;
    }
    prune_plan_free(&p);
  }
  return least;
}

/* Limits are kept always, and plans are on average hardly worse than the best. */
START_TEST(nearly_the_best)
{
  double ours = 0, best = 0, widths_alone = 0;
  for (uint64_t seed = 0; seed < 16; seed++) {
    Made m = make(seed);
    Cost whole;
    PruneOptions o;
    PrunePlan p, alone;
    uint32_t form[3];
    m.ctx.cost = &m.cost;
    plain_cost(NULL, m.g, DT_I8, &whole, m.d);
    prune_options_default(&o);
    o.steps = o.least = 4;
    double share = 0.3 + 0.1 * (double)(seed / 4);
    if (seed % 4 == 0) o.limits.macs = share;
    if (seed % 4 == 1) o.limits.flash = (int64_t)((double)whole.flash * share);
    if (seed % 4 == 2)
      o.limits.cycles = (int64_t)((double)whole.cycles * share), o.limits.params = share + 0.1;
    if (seed % 4 == 3) o.limits.macs = share + 0.1, o.limits.ram = whole.ram;
    ck_assert_msg(allocate_plan_forms(&m.c, &m.t, &m.f, &o, &m.ctx, &p, form, m.d), "%s", diag_text(m.d));
    ck_assert_msg(p.met, "seed %u: %s", (unsigned)seed, p.missed);
    Cost c = cost_of(&m, &p, form);
    ck_assert_msg(fits(&o.limits, &c, &whole), "seed %u: a limit is not kept", (unsigned)seed);
    ck_assert(c.macs == p.after.macs && c.flash == p.after.flash);
    double least = try_everything(&m, &o.limits, &whole),
           got = allocate_expected(&m.t, &p) + forms_error(&m.f, form);
    ck_assert_msg(got >= least - 1e-9 && got < 1.5 * least + 1e-9, "seed %u: error %g, at best %g",
                  (unsigned)seed, got, least);
    ours += got, best += least;
    ck_assert(allocate_plan(&m.c, &m.t, &o, &m.ctx, NULL, &alone, m.d));
    widths_alone += alone.met ? allocate_expected(&m.t, &alone) : got;
    prune_plan_free(&alone);
    prune_plan_free(&p);
    made_free(&m);
  }
  ck_assert_msg(ours < 1.05 * best, "errors %g in all, at best %g", ours, best);
  ck_assert(ours < 0.9 * widths_alone);
}
END_TEST

/* ---- the pass */

enum { IMAGES = 300, LINES = 4096 };

typedef struct Log {
  char text[LINES];
} Log;

static void keep_line(void *ctx, const char *line) {
  Log *l = ctx;
  size_t n = strlen(l->text);
  snprintf(l->text + n, sizeof l->text - n, "%s\n", line);
}

static Graph *allocate(const Graph *g, const Dataset *ds, const CostModel *cost, const char *params,
                       Log *log) {
  const Host host = {.threads = 1, .log = keep_line, .ctx = log};
  Diag *d = diag_new();
  PassCtx ctx = {.params = params, .data = ds, .host = &host, .cost = cost, .seed = 1};
  log->text[0] = 0;
  Graph *out = pass_find("allocate")->run(g, &ctx, d);
  ck_assert_msg(out != NULL && graph_verify(out, d), "%s: %s", params, diag_text(d));
  diag_free(d);
  return out;
}

static double divergence(const Graph *was, const Graph *is, const Dataset *ds) {
  Divergence v;
  Diag *d = diag_new();
  ck_assert_msg(graph_divergence(was, is, ds, 0, IMAGES, NULL, &v, d), "%s", diag_text(d));
  diag_free(d);
  return v.value;
}

static float *weights(Graph *g, int k) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (val_is_const(g, v) && k-- == 0) return (float *)(uintptr_t)val_data(g, v);
  return NULL;
}

static const char THREE[] =
    "%x = input : f32[N,6,6,4] \"x\"\n"
    "%w1 = const : f32[16,3,3,4] \"w1\" {~}\n%y1 = Conv(%x, %w1) {pads=[1,1,1,1]} : f32[N,6,6,16] "
    "\"one\"\n%z1 = Relu(%y1)\n"
    "%w2 = const : f32[16,3,3,16] \"w2\" {~}\n%y2 = Conv(%z1, %w2) {pads=[1,1,1,1]} : f32[N,6,6,16] "
    "\"two\"\n%z2 = Relu(%y2)\n"
    "%w3 = const : f32[5,6,6,16] \"w3\" {~}\n%y3 = Conv(%z2, %w3) : f32[N,1,1,5] \"three\"\n"
    "%o = Reshape(%y3) {shape=[-1,5]}\noutput %o\n";

/* The second layer's weights have rank 2: as two layers it costs nothing, while every channel that goes does. */
START_TEST(a_rank_wins)
{
  Graph *g = net_parse(THREE, 5);
  Dataset ds = images_random(g, IMAGES, 5, 5);
  Log log;
  Rng r;
  rng_seed(&r, 2, 2);
  float *w = weights(g, 1), a[2][16], b[2][144];
  for (int i = 0; i < 2 * 16; i++) a[i / 16][i % 16] = rng_normal(&r);
  for (int i = 0; i < 2 * 144; i++) b[i / 144][i % 144] = 0.2F * rng_normal(&r);
  for (int o = 0; o < 16; o++)
    for (int t = 0; t < 144; t++) w[o * 144 + t] = a[0][o] * b[0][t] + a[1][o] * b[1][t];
  Graph *ranks = allocate(g, &ds, NULL, "macs=0.6,ranks=1,images=256,trials=100,candidates=1", &log);
  ck_assert_msg(strstr(log.text, "allocate: two: ") && !strstr(log.text, "two: as it is"), "%s", log.text);
  Graph *widths = allocate(g, &ds, NULL, "macs=0.6,images=256,trials=100,candidates=1", &log);
  ck_assert(graph_macs(ranks) <= graph_macs(g) * 6 / 10 && graph_macs(widths) <= graph_macs(g) * 6 / 10);
  double by_ranks = divergence(g, ranks, &ds), by_widths = divergence(g, widths, &ds);
  ck_assert_msg(by_ranks < 1e-3 && by_ranks < by_widths / 10, "divergence %g, of widths alone %g", by_ranks,
                by_widths);
  graph_free(ranks);
  graph_free(widths);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* Half of the channels are read by nobody, and what is read is of full rank: channels go, layers stay whole. */
START_TEST(no_rank_wins)
{
  Graph *g = net_parse(THREE, 6);
  Dataset ds = images_random(g, IMAGES, 5, 5);
  Log log;
  float *two = weights(g, 1), *three = weights(g, 2);
  for (int o = 0; o < 16; o++)
    for (int t = 0; t < 144; t++)
      if (t % 16 >= 8) two[o * 144 + t] = 0;
  for (int i = 0; i < 5 * 36 * 16; i++)
    if (i % 16 >= 8) three[i] = 0;
  Graph *ranks = allocate(g, &ds, NULL, "macs=0.5,ranks=1,images=256,trials=100,candidates=1", &log);
  ck_assert_uint_eq(ranks->n_nodes, g->n_nodes);
  ck_assert_msg(strstr(log.text, "two: as it is: no other form is worth its error"), "%s", log.text);
  ck_assert(divergence(g, ranks, &ds) < 1e-6);
  graph_free(ranks);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* Where every node costs more than a layer saves, no layer gets thinner, and its line says why. */
START_TEST(the_target_refuses)
{
  Graph *g = net_parse(THREE, 5);
  Dataset ds = images_random(g, IMAGES, 5, 5);
  Log log;
  const int each = 10000000;
  const CostModel dear = {.ctx = &each, .cost = plain_cost};
  Graph *out = allocate(g, &ds, &dear, "macs=0.6,ranks=1,images=128,trials=50,candidates=1", &log);
  ck_assert_uint_eq(out->n_nodes, g->n_nodes);
  ck_assert_msg(strstr(log.text, "two: as it is: on the target cycles do not fall, or RAM rises"), "%s",
                log.text);
  graph_free(out);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* ---- 4 bits */

static int int4_layers(const Graph *g) {
  int n = 0;
  for (ValId v = 1; v < g->n_vals; v++) n += val_is_const(g, v) && graph_val(g, v)->dtype == DT_I4;
  return n;
}

/* Flash that 8 bits do not fit in: some layers get 4, and the option that the log prints makes them so. */
START_TEST(bits_for_flash)
{
  Graph *g = net_residual(1, 4);
  Dataset ds = images_random(g, IMAGES, 5, 5);
  const CostModel cost = {.cost = plain_cost};
  Diag *d = diag_new();
  Cost whole;
  Log log;
  char params[200], option[LINES];
  plain_cost(NULL, g, DT_I8, &whole, d);
  snprintf(params, sizeof params, "flash=%d,bits=1,ranks=1,images=256,trials=100", (int)whole.flash * 7 / 10);
  Graph *out = allocate(g, &ds, &cost, params, &log);
  const char *at = strstr(log.text, "by quantize{int4=");
  ck_assert_msg(at != NULL, "%s", log.text);
  at += strlen("by quantize{");
  snprintf(option, sizeof option, "bnfuse,fuse,fold,quantize{%.*s", (int)strcspn(at, "\n"), at);
  Graph *q = images_pass(out, &ds, option);
  int layers = 1;
  for (const char *p = at; *p && *p != '}'; p++) layers += *p == ';';
  ck_assert_int_eq(int4_layers(q), layers);
  Cost c;
  plain_cost(NULL, q, DT_NONE, &c, d);
  ck_assert_msg(c.flash <= whole.flash * 7 / 10, "flash %d of %d", (int)c.flash, (int)whole.flash);
  graph_free(q);
  graph_free(out);
  images_free(&ds);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* ---- determinism, options */

START_TEST(same_bytes_on_any_threads)
{
  Graph *g = net_residual(1, 4), *out[2];
  Dataset ds = images_random(g, IMAGES, 5, 5);
  Diag *d = diag_new();
  for (int i = 0; i < 2; i++) {
    const Host host = {.threads = 1 + 2 * i};
    PassCtx ctx = {
        .params = "macs=0.5,ranks=1,images=100,candidates=1", .data = &ds, .host = &host, .seed = 1};
    out[i] = pass_find("allocate")->run(g, &ctx, d);
    ck_assert_msg(out[i] != NULL, "%s", diag_text(d));
  }
  ck_assert(graph_macs(out[0]) <= graph_macs(g) / 2);
  ck_assert_msg(out[0]->n_nodes > g->n_nodes, "no layer has become thinner");
  ck_assert(hash_equal(graph_hash(out[0]), graph_hash(out[1])));
  graph_free(out[0]);
  graph_free(out[1]);
  images_free(&ds);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(what_is_refused)
{
  Graph *g = net_residual(1, 4);
  Dataset ds = images_random(g, 64, 5, 5);
  ck_assert(strstr(images_refused(g, &ds, "allocate{macs=0.5,ranks=1,by=l2}"), "want by=reconstruction"));
  ck_assert(strstr(images_refused(g, &ds, "allocate{bits=1,widths=8/8/8}"), "neither widths nor uniform"));
  ck_assert(
      strstr(images_refused(g, &ds, "allocate{macs=0.5,bits=1}"), "want flash=BYTES and precision=int8"));
  ck_assert(strstr(images_refused(g, &ds, "allocate{flash=1000,bits=1,trials=0}"), "want trials"));
  images_free(&ds);
  graph_free(g);
}
END_TEST

Suite *suite_allocate_forms(void) {
  Suite *s = suite_create("allocate_forms");
  TCase *t = tcase_create("allocate_forms");
  openblas_set_num_threads(1);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, nearly_the_best);
  tcase_add_test(t, a_rank_wins);
  tcase_add_test(t, no_rank_wins);
  tcase_add_test(t, the_target_refuses);
  tcase_add_test(t, bits_for_flash);
  tcase_add_test(t, same_bytes_on_any_threads);
  tcase_add_test(t, what_is_refused);
  suite_add_tcase(s, t);
  return s;
}
