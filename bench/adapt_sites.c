/* Sites that learn from one another (adapt_places.h): each has its own mix of labels and its own corruption.
 *
 *   isolated    each site its own labels                  pooled      all sites' data in one place: the upper bound
 *   averaged    updates, averaged, a number of rounds     outputs     answers on a public set, averaged and learnt
 *
 * The last layer learns on features that the shipped model computes; biases and adapters learn through the whole model. Files are
 * the real ones, written and read. Global accuracy: of all evaluation images in all sites' corruptions; a site's own: of its
 * corruption, images weighted by its mix of labels. Three draws of who has what.
 */
#include <time.h>

#include "bench/adapt_places.h"
#include "bench/adapt_shift.h"
#include "ir/base/mem.h"
#include "passes/adapt/share.h"
#include "runtime/engine/privacy/accountant.h"

#define NET "resnet20_cifar10_dynbatch_bn.onnx"

enum { PUBLIC = 1000, STEPS = 40, ROUNDS = 10, DRAWS = 3, RESULTS_MOST = 32 };
/* Through the whole model, in fewer and shorter rounds: a step there costs some thousand times as much. */
enum { DEEP_STEPS = 20, DEEP_ROUNDS = 2 };

/* One strategy, over the draws. */
typedef struct Result {
  const char *name, *how;
  double global[DRAWS], own[DRAWS], worst[DRAWS], bytes,
      seconds; /* own: mean over sites; worst: of one site */
  int n;
} Result;

typedef struct Sites {
  Adapt *ad;
  Graph *net, *body, *head; /* the shipped model; before its last layer, and that */
  Eyes eyes;
  Seen public_set; /* no labels */
  Seen eval[SITE_KINDS];
  Places places;
  Noise random;
  bool deep;             /* the whole model learns from images, instead of the last layer from features */
  AdaptLayers layers;    /* that learn */
  double bytes, seconds; /* of one strategy: of all files; of one site's work, mean */
  Result result[RESULTS_MOST];
  int n_results;
} Sites;

static const Graph *shipped(const Sites *t) { return t->deep ? t->net : t->head; }
static const Split *form(const Sites *t, const Seen *s) { return t->deep ? &s->images : &s->features; }
static const Normalize *normalize(const Sites *t) {
  static const Normalize none;
  return t->deep ? &t->eyes.nz : &none;
}

/* -- measuring -- */

/* Share of evaluation images of a kind that are right, by class. */
static void right_by_class(const Sites *t, const Graph *g, int kind, double *right) {
  const Split *s = form(t, &t->eval[kind]);
  double n[SITE_CLASSES] = {0};
  float *z = mem_array(s->n, SITE_CLASSES * sizeof *z);
  bench_must(t->ad->b, graph_outputs(g, s, normalize(t), &t->ad->b->host, SITE_CLASSES, z, t->ad->b->d));
  for (int c = 0; c < SITE_CLASSES; c++) right[c] = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    const float *at = z + (size_t)i * SITE_CLASSES;
    int best = 0;
    for (int c = 1; c < SITE_CLASSES; c++)
      if (at[c] > at[best]) best = c;
    n[s->y[i]]++;
    right[s->y[i]] += best == s->y[i];
  }
  for (int c = 0; c < SITE_CLASSES; c++) right[c] /= n[c] > 0 ? n[c] : 1;
  mem_free(z);
}

static Result *result_of(Sites *t, const char *name, const char *how) {
  for (int i = 0; i < t->n_results; i++)
    if (strcmp(t->result[i].name, name) == 0) return &t->result[i];
  ASSERT(t->n_results < RESULTS_MOST);
  t->result[t->n_results] = (Result){.name = name, .how = how};
  return &t->result[t->n_results++];
}

/* Accuracies of model g for the sites from .. to - 1: its part of the global one, and each site's own. */
static void add_accuracy(const Sites *t, const Graph *g, int from, int to, double *global, double *own) {
  double right[SITE_KINDS][SITE_CLASSES];
  const int n = t->places.n, kinds = n < SITE_KINDS ? n : SITE_KINDS;
  for (int j = 0; j < kinds; j++) right_by_class(t, g, j, right[j]);
  for (int k = from; k < to; k++) {
    const Place *p = &t->places.at[k];
    for (int c = 0; c < SITE_CLASSES; c++) {
      own[k] += 100 * right[p->kind][c] * p->mix[c];
      for (int j = 0; j < kinds; j++) *global += 100.0 / SITE_CLASSES * right[j][c] / kinds / n;
    }
  }
}

/* models [sites], or one for all. */
static void take(Sites *t, const char *name, Graph *const *models, bool one, const char *how) {
  Result *r = result_of(t, name, how);
  double global = 0, own = 0, worst = 100, each[SITES_MOST] = {0};
  if (one) add_accuracy(t, models[0], 0, t->places.n, &global, each);
  for (int k = 0; !one && k < t->places.n; k++) add_accuracy(t, models[k], k, k + 1, &global, each);
  for (int k = 0; k < t->places.n; k++) own += each[k] / t->places.n, worst = fmin(worst, each[k]);
  r->global[r->n] = global, r->own[r->n] = own, r->worst[r->n] = worst;
  r->n++;
  r->bytes += t->bytes, r->seconds += t->seconds;
  printf("  %-40s draw %d: %.2f %% of all, %.2f %% of a site's own, %.2f %% the worst\n", name, r->n, global,
         own, worst);
  fflush(stdout);
}

static double mean(const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i] / n;
  return sum;
}

static const char *with_draws(const Sites *t, const Result *r, const double *x) {
  StrBuf b = {0};
  sb_printf(&b, "%s; draws:", r->how);
  for (int i = 0; i < r->n; i++) sb_printf(&b, " %.2f", x[i]);
  const char *text = arena_strdup(t->ad->a, sb_str(&b));
  sb_free(&b);
  return text;
}

static void tell(const Sites *t, const Result *r) {
  adapt_figure(t->ad, r->name, "global accuracy", mean(r->global, r->n), "%", "higher",
               with_draws(t, r, r->global));
  adapt_figure(t->ad, r->name, "accuracy on a site's own", mean(r->own, r->n), "%", "higher",
               with_draws(t, r, r->own));
  adapt_figure(t->ad, r->name, "accuracy on its own, worst site", mean(r->worst, r->n), "%", "higher",
               with_draws(t, r, r->worst));
  if (r->bytes > 0)
    adapt_figure(t->ad, r->name, "bytes exchanged", r->bytes / r->n, "bytes", "lower",
                 "all files of all sites, up and down; mean of the draws");
  if (r->seconds > 0)
    adapt_figure(
        t->ad, r->name, "seconds of a site", r->seconds / r->n, "s", "lower",
        "processor seconds of all its rounds on this machine, features of its images among them; mean");
}

/* -- learning -- */

/* The last layer's; of others the steps alone. */
static ShareOptions settings(const Sites *t) {
  ShareOptions o;
  share_default(&o);
  o.layers = t->layers;
  o.steps = t->deep ? DEEP_STEPS : STEPS, o.rate = 0.1, o.lr = 0.05, o.decay = 0.01;
  if (t->ad->quick && t->deep) o.steps = 2;
  return o;
}

static int rounds(const Sites *t) { return t->deep ? DEEP_ROUNDS : ROUNDS; }

static Graph *learn(Sites *t, const Graph *from, const Split *s, const ShareOptions *o) {
  const ShareData data = {s, normalize(t), NULL};
  const clock_t start = clock(); /* of all threads: other work on this machine does not count */
  Graph *out = share_tune(from, &data, o, &t->random, &t->ad->b->host, NULL, t->ad->b->d);
  bench_must(t->ad->b, out != NULL);
  t->seconds += (double)(clock() - start) / CLOCKS_PER_SEC / t->places.n;
  return out;
}

/* Before a strategy: what its sites compute once. */
static void begin(Sites *t) {
  double images = 0;
  for (int k = 0; k < t->places.n; k++) images += (double)t->places.at[k].has.images.n / t->places.n;
  t->bytes = 0;
  t->seconds = t->deep ? 0 : images * t->eyes.seconds / t->eyes.images;
}

/* What nobody exchanged. */
static void apart(Sites *t) { t->bytes = t->seconds = 0; }

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

/* delta is for the site with the most records, so that it is at most 1 / (10 n) everywhere. */
static double delta_of(const Sites *t) {
  uint32_t most = 0;
  for (int k = 0; k < t->places.n; k++)
    if (t->places.at[k].has.images.n > most) most = t->places.at[k].has.images.n;
  return 0.1 / most;
}

/* Noise for so many steps within epsilon; epsilon 0: none. */
static void set_noise(const Sites *t, ShareOptions *o, double epsilon, int64_t steps) {
  const RdpCurve nothing = {{0}};
  o->noise = epsilon > 0 ? rdp_noise_for(&nothing, o->rate, steps, epsilon, delta_of(t)) : 0;
}

static Graph *averaged(Sites *t, double epsilon) {
  ShareOptions o = settings(t);
  const int n = t->places.n;
  Exchange *e = mem_array((size_t)n, sizeof *e);
  Graph *now = graph_clone(shipped(t));
  set_noise(t, &o, epsilon, o.steps * rounds(t));
  begin(t);
  for (int r = 0; r < rounds(t); r++) {
    for (int k = 0; k < n; k++) {
      Graph *own = learn(t, now, form(t, &t->places.at[k].has), &o);
      bench_must(t->ad->b, share_update(now, own, t->layers, &e[k], t->ad->b->d));
      send(t, &e[k]);
      t->bytes += (double)exchange_bytes(e[k].rows, e[k].columns); /* and the new model down again */
      graph_free(own);
    }
    Graph *next = share_apply(now, e, n, t->ad->b->d);
    bench_must(t->ad->b, next != NULL);
    for (int k = 0; k < n; k++) exchange_free(&e[k]);
    graph_free(now);
    now = next;
  }
  mem_free(e);
  return now;
}

static Graph *by_outputs(Sites *t, double epsilon) {
  ShareOptions o = settings(t), from_mean = settings(t);
  const int n = t->places.n;
  Exchange *e = mem_array((size_t)n, sizeof *e);
  o.steps *= rounds(t); /* as many steps as an averaged site takes */
  set_noise(t, &o, epsilon, o.steps);
  from_mean.steps = 200;
  begin(t);
  for (int k = 0; k < n; k++) {
    Graph *own = learn(t, shipped(t), form(t, &t->places.at[k].has), &o);
    bench_must(t->ad->b, share_outputs(own, shipped(t), form(t, &t->public_set), normalize(t), NULL, &e[k],
                                       t->ad->b->d));
    send(t, &e[k]);
    graph_free(own);
  }
  t->bytes *= 2; /* the mean of all comes back */
  Graph *out = share_learn(shipped(t), form(t, &t->public_set), normalize(t), e, n, &from_mean, &t->random,
                           &t->ad->b->host, t->ad->b->d);
  bench_must(t->ad->b, out != NULL);
  for (int k = 0; k < n; k++) exchange_free(&e[k]);
  mem_free(e);
  return out;
}

/* -- strategies -- */

/* Each site goes on from a model with its own labels. */
static void each_from(Sites *t, const Graph *from, const char *name, const char *how) {
  ShareOptions o = settings(t);
  Graph **models = mem_array((size_t)t->places.n, sizeof *models);
  const double bytes = t->bytes;
  o.steps *= rounds(t);
  for (int k = 0; k < t->places.n; k++) models[k] = learn(t, from, form(t, &t->places.at[k].has), &o);
  apart(t);
  t->bytes = bytes;
  take(t, name, models, false, how);
  for (int k = 0; k < t->places.n; k++) graph_free(models[k]);
  mem_free(models);
}

static void apart_and_together(Sites *t) {
  ShareOptions o = settings(t);
  Graph *as_is = graph_clone(shipped(t));
  o.steps *= rounds(t);
  apart(t);
  take(t, "sites, shipped model", &as_is, true, "nothing learnt");
  each_from(t, shipped(t), "sites, isolated", "each site its own labels, for itself; last layer");
  Seen all = places_pooled(&t->places);
  Graph *pooled = learn(t, shipped(t), form(t, &all), &o);
  apart(t);
  take(t, "sites, pooled", &pooled, true, "all sites' data in one place; last layer");
  graph_free(pooled);
  graph_free(as_is);
  seen_free(&all);
}

static const char *privacy(const Sites *t, double epsilon) {
  return epsilon > 0 ? arena_printf(t->ad->a, "epsilon %g", epsilon) : "open";
}

static const char *told(const Sites *t, double epsilon, const char *what) {
  return arena_printf(t->ad->a, "%s%s", what,
                      epsilon > 0 ? "; delta a tenth of one in the records of the largest site; noise from a "
                                    "seed: figures, not protection"
                                  : "; no noise");
}

static void exchange_updates(Sites *t, double epsilon) {
  Graph *g = averaged(t, epsilon);
  const char *layers = adapt_layer_names[t->layers];
  take(t, arena_printf(t->ad->a, "sites, averaged, %s, %s", layers, privacy(t, epsilon)), &g, true,
       told(t, epsilon, arena_printf(t->ad->a, "%d rounds of %d steps", rounds(t), (int)settings(t).steps)));
  if (epsilon == 0 && !t->deep)
    each_from(t, g, "sites, averaged, then alone", "then each site its own labels, for itself");
  graph_free(g);
}

static void exchange_outputs(Sites *t, double epsilon) {
  Graph *g = by_outputs(t, epsilon);
  take(t, arena_printf(t->ad->a, "sites, outputs, %s", privacy(t, epsilon)), &g, true,
       told(t, epsilon, arena_printf(t->ad->a, "answers on %u public images", t->public_set.images.n)));
  graph_free(g);
}

/* Five sites, one of each kind of images. */
static void few(Sites *t, const Split *local, int draw) {
  static const double budgets[] = {0, 8, 2};
  t->places = places_new(&t->eyes, local, PUBLIC, SITE_KINDS, (uint64_t)draw);
  t->deep = false, t->layers = ADAPT_LAST;
  apart_and_together(t);
  for (int i = 0; i < 3; i++) {
    exchange_updates(t, budgets[i]);
    exchange_outputs(t, budgets[i]);
  }
  places_free(&t->places);
}

/* Biases and adapters of the same five sites. */
static void deep(Sites *t, const Split *local, int draw) {
  t->places = places_new(&t->eyes, local, PUBLIC, SITE_KINDS, (uint64_t)draw);
  t->deep = true;
  for (int l = ADAPT_BIAS; l < ADAPT_LAYERS; l++) {
    if (l == ADAPT_BOTH) continue;
    t->layers = (AdaptLayers)l;
    exchange_updates(t, 0);
    exchange_updates(t, 8);
  }
  places_free(&t->places);
}

static void many(Sites *t, const Split *local, int draw) {
  t->places = places_new(&t->eyes, local, PUBLIC, SITES_MOST, 100 + (uint64_t)draw);
  t->deep = false, t->layers = ADAPT_LAST;
  printf("  %d sites of %d have 5 images or more\n", t->places.n, SITES_MOST);
  Graph *g = averaged(t, 0);
  take(t, "scale, averaged, 100 sites", &g, true,
       arena_printf(t->ad->a, "%d rounds, no noise; sites dealt, those with 5 images and more", ROUNDS));
  graph_free(g);
  g = by_outputs(t, 0);
  take(t, "scale, outputs, 100 sites", &g, true, "answers on 1,000 public images, no noise");
  graph_free(g);
  places_free(&t->places);
}

static void open_sites(Sites *t, const Split *local) {
  Split eval = shift_evaluation(t->ad);
  t->net = shift_net(t->ad, NET);
  bench_must(t->ad->b, noise_open(&t->random, 1, t->ad->b->d)); /* seeded: figures that repeat */
  if (!adapt_cut(t->net, &t->body, &t->head))
    bench_must(t->ad->b, diag_error(t->ad->b->d, NULL, "the net cannot be cut"));
  t->eyes = (Eyes){.ad = t->ad, .body = t->body, .nz = bench_imagenet()};
  for (int k = 0; k < SITE_KINDS; k++) t->eval[k] = seen_new(&t->eyes, &eval, NULL, eval.n, k);
  t->public_set = seen_new(&t->eyes, local, NULL, PUBLIC, 0);
  t->public_set.images.y = t->public_set.features.y = NULL;
  split_close(&eval);
}

static void close_sites(Sites *t) {
  for (int k = 0; k < SITE_KINDS; k++) seen_free(&t->eval[k]);
  seen_free(&t->public_set);
  graph_free(t->net);
  graph_free(t->body);
  graph_free(t->head);
  noise_close(&t->random);
}

void part_sites(Adapt *ad) {
  if (!shift_there()) {
    adapt_skip(ad, "no CIFAR-10");
    return;
  }
  Sites t = {.ad = ad};
  Split local = shift_images(ad, 0, ad->quick ? 3000 : SHIFT_LOCAL);
  const int draws = ad->quick ? 1 : DRAWS;
  open_sites(&t, &local);
  for (int k = 1; k <= draws; k++) few(&t, &local, k);
  for (int k = 1; k <= draws; k++) many(&t, &local, k);
  for (int k = 1; k <= draws; k++) deep(&t, &local, k);
  for (int i = 0; i < t.n_results; i++) tell(&t, &t.result[i]);
  close_sites(&t);
  split_close(&local);
}
