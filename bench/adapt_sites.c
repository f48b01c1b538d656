/* Sites that learn from one another: each has its own mix of labels (Dirichlet 0.3) and its own corruption, and teaches the
 * last layer alone, on features that the shipped model computes.
 *
 *   isolated    each site its own labels                  pooled      all sites' data in one place: the upper bound
 *   averaged    updates, averaged, a number of rounds     outputs     answers on a public set, averaged and learnt
 *
 * Files are the real ones, written and read. Global accuracy: of all evaluation images in all sites' corruptions; a site's own:
 * of its corruption, images weighted by its mix of labels.
 */
#include <time.h>

#include "bench/adapt_shift.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/adapt/share.h"
#include "runtime/data/corrupt.h"
#include "runtime/engine/privacy/accountant.h"

#define NET "resnet20_cifar10_dynbatch_bn.onnx"

enum { CLASSES = 10, FEATURES = 64, KINDS = CORRUPT_KINDS + 1, PUBLIC = 1000, SITES_MOST = 100, STEPS = 40 };

typedef struct Place {
  Split features; /* [n][FEATURES], with labels */
  int kind;
  double mix[CLASSES];
} Place;

typedef struct Sites {
  Adapt *ad;
  Graph *body, *head; /* the shipped model before its last layer, and that */
  Normalize nz, none;
  Split public_set; /* features, no labels */
  Split eval[KINDS];
  Place *at;
  int n;
  Noise random;
  double bytes, seconds; /* of one strategy: of all files; of one site's work, mean */
} Sites;

/* Place 0 has images as they are, the others a kind of corruption each, of severity 2. */
static void corrupt(uint8_t *x, int kind, uint32_t i) {
  const CorruptKind as = (CorruptKind)(kind - 1);
  if (kind) corrupt_image(as, corrupt_amount(as, 2), 77, i, x, 32, 32, 3);
}

/* Features of images idx [n] of s under a corruption. */
static Split features(Sites *t, const Split *s, const uint32_t *idx, uint32_t n, int kind) {
  uint8_t *px = mem_array(n, SHIFT_ITEM);
  float *f = mem_array(n, FEATURES * sizeof *f);
  int32_t *y = mem_array(n, sizeof *y);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t from = idx ? idx[i] : i;
    memcpy(px + (size_t)i * SHIFT_ITEM, (const uint8_t *)s->x + (size_t)from * SHIFT_ITEM, SHIFT_ITEM);
    corrupt(px + (size_t)i * SHIFT_ITEM, kind, from);
    y[i] = s->y[from];
  }
  const Split images = {.n = n, .item = s->item, .dtype = DT_U8, .x = px};
  bench_must(t->ad->b, graph_outputs(t->body, &images, &t->nz, &t->ad->b->host, FEATURES, f, t->ad->b->d));
  mem_free(px);
  Split out = {.n = n,
               .dtype = DT_F32,
               .item = shape_of(1, (int64_t)FEATURES),
               .xb = blob_adopt(f, n * FEATURES * sizeof *f),
               .yb = blob_adopt(y, n * sizeof *y)};
  out.x = blob_data(out.xb);
  out.y = blob_data(out.yb);
  return out;
}

/* -- who has what -- */

/* Gamma(shape < 1) by Marsaglia and Tsang 2000 with its boost. */
static double gamma_draw(double shape, Rng *r) {
  const double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double x = (double)rng_normal(r), v = pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = (double)rng_uniform(r) + 1e-12;
    if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
      return d * v * pow((double)rng_uniform(r) + 1e-12, 1 / shape);
  }
}

/* Every image of a class goes to a site drawn by the class's Dirichlet(0.3) shares. idx [n]; owner [n] (written). */
static void deal(int sites, const Split *s, uint32_t first, uint32_t n, uint64_t seed, int *owner) {
  double share[CLASSES][SITES_MOST];
  Rng r;
  rng_seed(&r, seed, 5);
  for (int c = 0; c < CLASSES; c++) {
    double sum = 0;
    for (int k = 0; k < sites; k++) sum += share[c][k] = gamma_draw(0.3, &r);
    for (int k = 0; k < sites; k++) share[c][k] /= sum;
  }
  for (uint32_t i = 0; i < n; i++) {
    double u = (double)rng_uniform(&r);
    int k = 0;
    while (k + 1 < sites && (u -= share[s->y[first + i]][k]) > 0) k++;
    owner[i] = k;
  }
}

static void make_places(Sites *t, const Split *local, int sites, uint64_t seed) {
  const uint32_t first = PUBLIC, n = local->n - PUBLIC;
  int *owner = mem_array(n, sizeof *owner);
  uint32_t *idx = mem_array(n, sizeof *idx);
  deal(sites, local, first, n, seed, owner);
  t->at = mem_array((size_t)sites, sizeof *t->at);
  t->n = 0;
  for (int k = 0; k < sites; k++) {
    uint32_t m = 0;
    Place *p = &t->at[t->n];
    for (uint32_t i = 0; i < n; i++)
      if (owner[i] == k) idx[m++] = first + i;
    if (m < 5) continue; /* a site without data is none */
    *p = (Place){.kind = k % KINDS};
    p->features = features(t, local, idx, m, p->kind);
    for (uint32_t i = 0; i < m; i++) p->mix[p->features.y[i]] += 1.0 / m;
    t->n++;
  }
  mem_free(owner);
  mem_free(idx);
}

static void drop_places(Sites *t) {
  for (int k = 0; k < t->n; k++) split_close(&t->at[k].features);
  mem_free(t->at);
}

/* -- measuring -- */

/* Share of evaluation images of a kind that are right, by class. */
static void right_by_class(Sites *t, const Graph *head, int kind, double *right) {
  const Split *s = &t->eval[kind];
  float *z = mem_array(s->n, CLASSES * sizeof *z);
  double n[CLASSES] = {0};
  bench_must(t->ad->b, graph_outputs(head, s, &t->none, &t->ad->b->host, CLASSES, z, t->ad->b->d));
  for (int c = 0; c < CLASSES; c++) right[c] = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
      if (z[i * CLASSES + (uint32_t)c] > z[i * CLASSES + (uint32_t)best]) best = c;
    n[s->y[i]]++;
    right[s->y[i]] += best == s->y[i];
  }
  for (int c = 0; c < CLASSES; c++) right[c] /= n[c] > 0 ? n[c] : 1;
  mem_free(z);
}

/* heads [sites], or one for all. */
static void tell(Sites *t, const char *name, Graph *const *heads, bool one, const char *how) {
  double global = 0, own = 0, right[CLASSES];
  const int kinds = t->n < KINDS ? t->n : KINDS;
  for (int k = 0; k < t->n; k++) {
    const Graph *h = heads[one ? 0 : k];
    right_by_class(t, h, t->at[k].kind, right);
    for (int c = 0; c < CLASSES; c++) own += 100 * right[c] * t->at[k].mix[c] / t->n;
    if (one) continue;
    for (int j = 0; j < kinds; j++) {
      right_by_class(t, h, j, right);
      for (int c = 0; c < CLASSES; c++) global += 10 * right[c] / kinds / t->n;
    }
  }
  for (int j = 0; one && j < kinds; j++) {
    right_by_class(t, heads[0], j, right);
    for (int c = 0; c < CLASSES; c++) global += 10 * right[c] / kinds;
  }
  const char *said = t->bytes > 0 ? arena_printf(t->ad->a, "%s; %.0f bytes exchanged, %.2f s of a site", how,
                                                 t->bytes, t->seconds)
                                  : how;
  adapt_figure(t->ad, name, "global accuracy", global, "%", "higher", said);
  adapt_figure(t->ad, name, "accuracy on a site's own", own, "%", "higher", said);
  if (t->bytes > 0)
    adapt_figure(t->ad, name, "bytes exchanged", t->bytes, "bytes", "lower",
                 "all files of all sites, up and down");
  if (t->seconds > 0)
    adapt_figure(t->ad, name, "seconds of a site", t->seconds, "s", "lower",
                 "processor seconds of all its rounds; features were computed before");
}

/* -- learning -- */

static ShareOptions settings(void) {
  ShareOptions o;
  share_default(&o);
  o.steps = STEPS, o.rate = 0.1, o.lr = 0.05, o.decay = 0.01;
  return o;
}

static Graph *learn(Sites *t, const Graph *from, const Split *s, const ShareOptions *o) {
  const ShareData data = {s, &t->none, NULL};
  const clock_t start = clock(); /* of all threads: other work on this machine does not count */
  Graph *out = share_tune(from, &data, o, &t->random, &t->ad->b->host, NULL, t->ad->b->d);
  bench_must(t->ad->b, out != NULL);
  t->seconds += (double)(clock() - start) / CLOCKS_PER_SEC / t->n;
  return out;
}

/* Through a file, as between machines; what it cost is added up. */
static void send(Sites *t, Exchange *e) {
  const char *path = arena_printf(t->ad->a, "%s/exchange", t->ad->folder);
  const ExchangeWant any = {0};
  /* The noise has a seed here, so that figures repeat: nobody is promised anything, and the file says so. */
  e->guarantee = GUARANTEE_NONE;
  bench_must(t->ad->b, exchange_write(path, e, t->ad->b->d));
  exchange_free(e);
  bench_must(t->ad->b, exchange_read(path, &any, e, t->ad->b->d));
  t->bytes += (double)exchange_bytes(e->rows, e->columns);
}

/* Noise for so many steps within epsilon at delta; epsilon 0: none. */
static void set_noise(ShareOptions *o, double epsilon, int64_t steps, double delta) {
  const RdpCurve nothing = {{0}};
  o->noise = epsilon > 0 ? rdp_noise_for(&nothing, o->rate, steps, epsilon, delta) : 0;
}

/* delta is for the site with the most records, so that it is at most 1 / (10 n) everywhere. */
static double delta_of(const Sites *t) {
  uint32_t most = 0;
  for (int k = 0; k < t->n; k++)
    if (t->at[k].features.n > most) most = t->at[k].features.n;
  return 0.1 / most;
}

static Graph *averaged(Sites *t, int rounds, double epsilon) {
  ShareOptions o = settings();
  Exchange *e = mem_array((size_t)t->n, sizeof *e);
  const double delta = delta_of(t);
  Graph *now = graph_clone(t->head);
  set_noise(&o, epsilon, o.steps * rounds, delta);
  t->bytes = t->seconds = 0;
  for (int r = 0; r < rounds; r++) {
    for (int k = 0; k < t->n; k++) {
      Graph *own = learn(t, now, &t->at[k].features, &o);
      bench_must(t->ad->b, share_update(now, own, ADAPT_LAST, &e[k], t->ad->b->d));
      send(t, &e[k]);
      t->bytes += (double)exchange_bytes(e[k].rows, e[k].columns); /* and the new model down again */
      graph_free(own);
    }
    Graph *next = share_apply(now, e, t->n, t->ad->b->d);
    bench_must(t->ad->b, next != NULL);
    for (int k = 0; k < t->n; k++) exchange_free(&e[k]);
    graph_free(now);
    now = next;
  }
  mem_free(e);
  return now;
}

static Graph *by_outputs(Sites *t, int rounds, double epsilon) {
  ShareOptions o = settings(), from_mean = settings();
  Exchange *e = mem_array((size_t)t->n, sizeof *e);
  const double delta = delta_of(t);
  o.steps *= rounds; /* as many steps as an averaged site takes */
  set_noise(&o, epsilon, o.steps, delta);
  from_mean.steps = 200;
  t->bytes = t->seconds = 0;
  for (int k = 0; k < t->n; k++) {
    Graph *own = learn(t, t->head, &t->at[k].features, &o);
    bench_must(t->ad->b, share_outputs(own, t->head, &t->public_set, &t->none, NULL, &e[k], t->ad->b->d));
    send(t, &e[k]);
    graph_free(own);
  }
  t->bytes *= 2; /* the mean of all comes back */
  Graph *out = share_learn(t->head, &t->public_set, &t->none, e, t->n, &from_mean, &t->random,
                           &t->ad->b->host, t->ad->b->d);
  bench_must(t->ad->b, out != NULL);
  for (int k = 0; k < t->n; k++) exchange_free(&e[k]);
  mem_free(e);
  return out;
}

static Split pooled_features(const Sites *t) {
  Split all = t->at[0].features;
  uint32_t n = 0;
  for (int k = 0; k < t->n; k++) n += t->at[k].features.n;
  float *f = mem_array(n, FEATURES * sizeof *f);
  int32_t *y = mem_array(n, sizeof *y);
  all.n = 0;
  for (int k = 0; k < t->n; k++) {
    const Split *s = &t->at[k].features;
    memcpy(f + (size_t)all.n * FEATURES, s->x, (size_t)s->n * FEATURES * sizeof *f);
    memcpy(y + all.n, s->y, s->n * sizeof *y);
    all.n += s->n;
  }
  all.xb = blob_adopt(f, n * FEATURES * sizeof *f), all.yb = blob_adopt(y, n * sizeof *y);
  all.x = blob_data(all.xb), all.y = blob_data(all.yb);
  return all;
}

/* -- cases -- */

/* Each site goes on from what all have made, with its own labels. */
static void each_from(Sites *t, const Graph *shared, const char *name, int rounds) {
  ShareOptions o = settings();
  Graph **heads = mem_array((size_t)t->n, sizeof *heads);
  o.steps *= rounds;
  t->bytes = 0;
  for (int k = 0; k < t->n; k++) heads[k] = learn(t, shared, &t->at[k].features, &o);
  t->seconds = 0;
  tell(t, name, heads, false, "then each site its own labels, for itself");
  for (int k = 0; k < t->n; k++) graph_free(heads[k]);
  mem_free(heads);
}

static void apart_and_together(Sites *t, int rounds) {
  ShareOptions o = settings();
  o.steps *= rounds;
  t->bytes = t->seconds = 0;
  tell(t, "sites, shipped model", &t->head, true, "nothing learnt");
  each_from(t, t->head, "sites, isolated", rounds);
  Split all = pooled_features(t);
  Graph *pooled = learn(t, t->head, &all, &o);
  t->seconds = 0;
  tell(t, "sites, pooled", &pooled, true, "all sites' data in one place; last layer");
  graph_free(pooled);
  split_close(&all);
}

static void exchanged(Sites *t, int rounds, double epsilon) {
  const char *privacy =
      epsilon > 0 ? arena_printf(t->ad->a, "epsilon %g, delta %.2g", epsilon, delta_of(t)) : "no noise";
  const char *seeded = epsilon > 0 ? "; noise from a seed: figures, not protection" : "";
  Graph *g = averaged(t, rounds, epsilon);
  tell(t, arena_printf(t->ad->a, "sites, averaged, %s", epsilon > 0 ? privacy : "open"), &g, true,
       arena_printf(t->ad->a, "%d sites, %d rounds, %s%s", t->n, rounds, privacy, seeded));
  if (epsilon == 0) each_from(t, g, "sites, averaged, then alone", rounds);
  graph_free(g);
  g = by_outputs(t, rounds, epsilon);
  tell(t, arena_printf(t->ad->a, "sites, outputs, %s", epsilon > 0 ? privacy : "open"), &g, true,
       arena_printf(t->ad->a, "%d sites, answers on %u public images, %s%s", t->n, t->public_set.n, privacy,
                    seeded));
  graph_free(g);
}

static void open_sites(Sites *t, const Split *local) {
  Split eval = shift_evaluation(t->ad);
  Graph *net = shift_net(t->ad, NET);
  bench_must(t->ad->b, noise_open(&t->random, 1, t->ad->b->d)); /* seeded: figures that repeat */
  if (!adapt_cut(net, &t->body, &t->head))
    bench_must(t->ad->b, diag_error(t->ad->b->d, NULL, "the net cannot be cut"));
  for (int k = 0; k < KINDS; k++) t->eval[k] = features(t, &eval, NULL, eval.n, k);
  t->public_set = features(t, local, NULL, PUBLIC, 0);
  t->public_set.y = NULL;
  split_close(&eval);
  graph_free(net);
}

void part_sites(Adapt *ad) {
  if (!shift_there()) {
    adapt_skip(ad, "no CIFAR-10");
    return;
  }
  Sites t = {.ad = ad, .nz = bench_imagenet()};
  Split local = shift_images(ad, 0, ad->quick ? 3000 : SHIFT_LOCAL);
  const int rounds = 10;
  open_sites(&t, &local);
  make_places(&t, &local, KINDS, 1);
  apart_and_together(&t, rounds);
  exchanged(&t, rounds, 0);
  exchanged(&t, rounds, 8);
  exchanged(&t, rounds, 2);
  drop_places(&t);
  make_places(&t, &local, SITES_MOST, 2);
  Graph *g = averaged(&t, rounds, 0);
  tell(&t, arena_printf(ad->a, "scale, averaged, %d sites", t.n), &g, true,
       "10 rounds, no noise; 100 sites dealt, those with 5 images and more");
  graph_free(g);
  g = by_outputs(&t, rounds, 0);
  tell(&t, arena_printf(ad->a, "scale, outputs, %d sites", t.n), &g, true,
       "answers on 1,000 public images, no noise");
  graph_free(g);
  drop_places(&t);
  for (int k = 0; k < KINDS; k++) split_close(&t.eval[k]);
  split_close(&t.public_set);
  split_close(&local);
  graph_free(t.body);
  graph_free(t.head);
  noise_close(&t.random);
}
