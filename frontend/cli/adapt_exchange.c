/* The exchange of `mistify adapt`: one file out, made privately or not, or any number in.
 *
 *   private   records are counted, the ledger is asked and written, then the layers learn with noise, then the file
 *   not       a tenth of the data is kept back, the layers (or all of the model) learn, the file, the attack beside it
 */
#include "frontend/cli/adapt.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

/* -- options -- */

static bool read_layers(Adapting *r) {
  const char *want = r->o->layers ? r->o->layers : "last";
  for (int i = 0; i < ADAPT_LAYERS; i++) {
    if (strcmp(want, adapt_layer_names[i]) != 0) continue;
    r->options.layers = (AdaptLayers)i;
    return true;
  }
  return diag_error(r->d, NULL, "--layers %s: want last, bias, last+bias or adapters", want);
}

static bool read_files(Adapting *r) {
  const ArgList *l = &r->o->exchange;
  r->in = arena_array(r->a, l->n + 1, sizeof *r->in);
  for (size_t i = 0; i < l->n; i++) {
    const char *v = l->v[i];
    if (strncmp(v, "in=", 3) == 0 && v[3] && r->n_in < ADAPT_FILES) {
      r->in[r->n_in++] = v + 3;
    } else if (strncmp(v, "out=", 4) == 0 && v[4] && !r->emit) {
      r->emit = v + 4;
    } else {
      return diag_error(r->d, NULL, "--exchange %s: want out=FILE once, or in=FILE up to %d times", v,
                        ADAPT_FILES);
    }
  }
  FAIL_IF(r->emit && r->n_in, r->d, NULL, "--exchange: want out=FILE or in=FILE, not both in one run");
  return true;
}

static void take_numbers(Adapting *r) {
  const AdaptOpts *o = r->o;
  share_default(&r->options);
  if (o->rate > 0) r->options.rate = o->rate;
  if (o->steps > 0) r->options.steps = o->steps;
  if (o->lr > 0) r->options.lr = o->lr;
  if (o->clip > 0) r->options.clip = o->clip;
  r->options.nominal = (double)o->nominal;
}

/* A number of 0 is no way to leave an option out: `--epsilon 0` asks for a promise, and there is none to be had. */
static bool check_numbers(const Adapting *r) {
  const AdaptOpts *o = r->o;
  const struct {
    const char *name;
    double value;
  } all[] = {{"--epsilon", o->epsilon}, {"--sigma", o->sigma},         {"--delta", o->delta},
             {"--budget", o->budget},   {"--rate", o->rate},           {"--clip", o->clip},
             {"--weight", o->weight},   {"--steps", (double)o->steps}, {"--nominal", (double)o->nominal}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    FAIL_IF(args_given(&o->common, all[i].name) && !(all[i].value > 0), r->d, NULL, "%s 0: want more than 0",
            all[i].name);
  return true;
}

/* What would end, or go around, what a ledger promises. */
static bool check_ledger(const Adapting *r) {
  const AdaptOpts *o = r->o;
  FAIL_IF(o->ledger && args_given(&o->common, "--seed"), r->d, NULL,
          "a seeded run spends nothing and protects nobody: want --seed or --ledger, not both");
  FAIL_IF((o->plan || (r->private_run && !o->seed)) && !o->ledger, r->d, NULL,
          "a private run wants a ledger of what was spent: --ledger FILE");
  if (r->private_run && o->teachers.n && !o->independent) {
    diag_error(r->d, NULL, "teachers may have learnt the very data that a private run protects");
    diag_hint(r->d, "--independent says that they, and MODEL, hold nothing of the local data");
    return false;
  }
  if (r->emit && !r->private_run && o->ledger) {
    diag_error(r->d, NULL, "an exchange without noise would end all that %s promises", o->ledger);
    diag_hint(r->d, "want --epsilon; or, for a site that promises nothing, no --ledger");
    return false;
  }
  return true;
}

bool adapt_read_exchange(Adapting *r) {
  const AdaptOpts *o = r->o;
  TRY(check_numbers(r));
  take_numbers(r);
  TRY(read_layers(r) && read_files(r));
  r->outputs = o->share && strcmp(o->share, "outputs") == 0;
  FAIL_IF(o->share && !r->outputs && strcmp(o->share, "update") != 0, r->d, NULL,
          "--share %s: want update or outputs", o->share);
  r->private_run = o->epsilon > 0 || o->sigma > 0;
  FAIL_IF(o->epsilon > 0 && o->sigma > 0, r->d, NULL, "want --epsilon or --sigma, not both");
  FAIL_IF(r->options.rate > 1, r->d, NULL, "--rate %g: want at most 1", r->options.rate);
  FAIL_IF(r->private_run && !r->emit && !o->plan, r->d, NULL,
          "--epsilon and --sigma are of what is emitted: want --exchange out=FILE");
  FAIL_IF(o->plan && r->n_in, r->d, NULL, "--plan is of what is emitted: not with --exchange in=FILE");
  FAIL_IF(o->plan && !r->private_run, r->d, NULL,
          "--plan tells what a private run would cost: want --epsilon or --sigma");
  return check_ledger(r);
}

/* -- in -- */

static bool read_in(Adapting *r, Exchange *e, const Hash *public_set) {
  const Hash model = graph_hash(r->model);
  const ExchangeWant want = {
      .kind = public_set ? EXCHANGE_OUTPUTS : EXCHANGE_UPDATE, .model = &model, .public_set = public_set};
  for (int i = 0; i < r->n_in; i++) {
    StrBuf line = {0};
    TRY(exchange_read(r->in[i], &want, &e[i], r->d));
    exchange_describe(&e[i], &line);
    cli_note(&r->o->common, "%s: %s", r->in[i], sb_str(&line));
    sb_free(&line);
  }
  return true;
}

static Graph *merge_outputs(Adapting *r, Exchange *e) {
  Split p;
  Noise random;
  Graph *out = NULL;
  const Host *host = progress_host(&r->progress);
  if (!r->site || !r->site->public_set.kind) {
    diag_error(r->d, NULL, "outputs are learnt from on the public set: want --data SITE.yaml with `public`");
    return NULL;
  }
  if (!split_open(&r->site->public_set, &p, r->d)) return NULL;
  const Hash is = share_public(&p);
  if (read_in(r, e, &is) && noise_open(&random, (uint64_t)r->o->seed, r->d)) {
    out = share_learn(r->model, &p, &r->site->normalize, e, r->n_in, &r->options, &random, host, r->d);
    noise_close(&random);
  }
  split_close(&p);
  return out;
}

Graph *adapt_merge(Adapting *r) {
  Exchange *e = arena_array(r->a, (size_t)r->n_in, sizeof *e);
  Graph *out = r->outputs ? merge_outputs(r, e)
                          : (read_in(r, e, NULL) ? share_apply(r->model, e, r->n_in, r->d) : NULL);
  for (int i = 0; i < r->n_in; i++) exchange_free(&e[i]);
  return out;
}

/* -- out: what the layers learn from -- */

/* Labels alone, or the mean of larger models' answers. A model's own soft answers teach its frozen features nothing. */
static bool teach(Adapting *r, const Split *s, float **logits) {
  const int n = r->n_teachers, classes = graph_classes(r->model, r->d);
  const Host *host = progress_host(&r->progress);
  *logits = NULL;
  TRY(classes > 0);
  FAIL_IF(!s->y && n == 0, r->d, NULL,
          "the local data have no labels: layers that learn alone want a larger model's answers (--teacher)");
  if (n == 0) return true;
  const size_t count = (size_t)s->n * (size_t)classes;
  const float *each[ADAPT_TEACHERS];
  float *all = mem_array(count, (size_t)n * sizeof *all);
  bool ok = true;
  for (int i = 0; ok && i < n; i++) {
    each[i] = all + (size_t)i * count;
    ok = graph_outputs(r->teachers[i], s, &r->site->normalize, host, classes, all + (size_t)i * count, r->d);
  }
  *logits = mem_array(count, sizeof **logits);
  if (ok) loss_mean_teacher(each, NULL, n, (int)s->n, classes, r->options.temperature, *logits);
  mem_free(all);
  return ok;
}

static Graph *tune(Adapting *r, const Split *s, Noise *random) {
  float *logits;
  Graph *out = NULL;
  if (teach(r, s, &logits)) {
    const ShareData data = {s, &r->site->normalize, logits};
    out = share_tune(r->model, &data, &r->options, random, progress_host(&r->progress), NULL, r->d);
  }
  mem_free(logits);
  return out;
}

/* The file's numbers, from the site's model. */
static bool make_file(Adapting *r, const Graph *own) {
  if (!r->outputs) return share_update(r->model, own, r->options.layers, &r->file, r->d);
  Split p;
  FAIL_IF(!r->site->public_set.kind, r->d, NULL, "--share outputs: the site's file has no `public` set");
  TRY(split_open(&r->site->public_set, &p, r->d));
  const bool ok =
      share_outputs(own, r->model, &p, &r->site->normalize, progress_host(&r->progress), &r->file, r->d);
  split_close(&p);
  return ok;
}

static bool write_file(Adapting *r) {
  StrBuf line = {0};
  if (r->o->weight > 0) r->file.weight = r->o->weight;
  TRY(exchange_write(r->emit, &r->file, r->d));
  r->emitted = true;
  exchange_describe(&r->file, &line);
  cli_note(&r->o->common, "%s: %s", r->emit, sb_str(&line));
  sb_free(&line);
  return true;
}

/* -- out, without noise -- */

/* The examples that index [n] names, copied; split_close. */
static Split copy_of(const Split *s, const uint32_t *index, uint32_t n) {
  const size_t item = (size_t)shape_count(&s->item) * dtype_size(s->dtype);
  char *x = mem_alloc_aligned(n * item + 1, 64);
  int32_t *y = s->y ? mem_alloc_aligned((n + 1) * sizeof *y, 64) : NULL;
  Split out = *s;
  for (uint32_t i = 0; i < n; i++) {
    memcpy(x + i * item, (const char *)s->x + index[i] * item, item);
    if (y) y[i] = s->y[index[i]];
  }
  out.n = n, out.x = x, out.y = y;
  out.xb = blob_adopt(x, n * item);
  out.yb = y ? blob_adopt(y, n * sizeof *y) : NULL;
  return out;
}

/* A tenth of the data is kept back, by lot: files are sorted by class or by day, and an attack that is shown another kind of
 * examples would tell kinds apart. */
static bool draw_lots(const Adapting *r, Split *members, Split *others) {
  const Split *all = &r->data.train;
  const uint32_t held = all->n / 10;
  Noise random;
  Rng rng;
  TRY(noise_open(&random, (uint64_t)r->o->seed, r->d));
  rng_seed(&rng, noise_u64(&random), 0);
  noise_close(&random);
  uint32_t *index = mem_array(all->n, sizeof *index);
  for (uint32_t i = 0; i < all->n; i++) index[i] = i;
  rng_shuffle(&rng, index, all->n);
  *others = copy_of(all, index, held);
  *members = copy_of(all, index + held, all->n - held);
  mem_free(index);
  return true;
}

static Graph *open_model(Adapting *r, const Split *members) {
  Noise random;
  Dataset ds = r->data;
  ds.train = *members;
  if (r->outputs) {
    RetailorOptions o;
    adapt_retailor_options(r->o, &o);
    r->has_retailored = true;
    return retailor(r->model, (const Graph *const *)r->teachers, r->n_teachers, &ds, &o,
                    progress_host(&r->progress), &r->retailored, r->d);
  }
  if (!noise_open(&random, (uint64_t)r->o->seed, r->d)) return NULL;
  Graph *own = tune(r, members, &random);
  noise_close(&random);
  return own;
}

static bool emit_of(Adapting *r, const Split *members, const Split *others, Graph **own) {
  *own = open_model(r, members);
  TRY(*own && make_file(r, *own));
  /* Before the file is there, so that a file never stands without its figure. */
  TRY(attack_membership(r->model, *own, members, others, &r->site->normalize, progress_host(&r->progress),
                        &r->attack, r->d));
  r->has_attack = true;
  return write_file(r);
}

static bool emit_open(Adapting *r, Graph **own) {
  Split members, others;
  FAIL_IF(r->data.train.n < 10, r->d, NULL, "%u local examples: want at least 10", r->data.train.n);
  if (r->others.n) return emit_of(r, &r->data.train, &r->others, own);
  TRY(draw_lots(r, &members, &others));
  const bool ok = emit_of(r, &members, &others, own);
  split_close(&members);
  split_close(&others);
  return ok;
}

/* -- out, with noise -- */

static bool find_noise(Adapting *r, const Ledger *l) {
  ShareOptions *o = &r->options;
  o->noise = r->o->sigma;
  if (o->noise > 0) return true;
  const double least = rdp_epsilon(ledger_curve(l), ledger_delta(l), RDP_TIGHT, NULL);
  o->noise = rdp_noise_for(ledger_curve(l), o->rate, o->steps, r->o->epsilon, ledger_delta(l));
  if (o->noise > 0) return true;
  diag_error(r->d, NULL,
             "epsilon %.4g is spent already: no noise makes %" PRId64 " more steps stay within %g", least,
             o->steps, r->o->epsilon);
  diag_hint(r->d, "--epsilon is of everything that the site has ever emitted, this run included");
  return false;
}

static Ledger *open_ledger(Adapting *r) {
  const LedgerWhere where = {r->o->ledger, r->o->counter};
  const double budget = r->o->budget > 0 || file_exists(r->o->ledger) ? r->o->budget : r->o->epsilon;
  return ledger_open(&where, budget, r->o->delta, r->data.train.n, r->d);
}

/* Spent before the data are used; on a seeded run nothing is promised, so nothing is written down. */
static bool spend(Adapting *r) {
  Ledger *l = open_ledger(r);
  TRY(l);
  bool ok = find_noise(r, l);
  const LedgerRun run = {.what = r->outputs ? "outputs" : "update",
                         .model = graph_hash(r->model),
                         .independent = r->o->independent,
                         .rate = r->options.rate,
                         .noise = r->options.noise,
                         .steps = r->options.steps};
  ok = ok && ledger_spend(l, &run, &r->spent, r->d);
  r->left = ledger_budget(l) - r->spent;
  if (ok)
    r->file = (Exchange){.epsilon = r->spent,
                         .delta = ledger_delta(l),
                         .steps = (uint64_t)run.steps,
                         .noise = run.noise,
                         .clip = r->options.clip,
                         .rate = run.rate,
                         .guarantee = GUARANTEE_DP};
  ledger_close(l);
  return ok;
}

static bool seeded(Adapting *r) {
  RdpCurve none = {{0}};
  const double n = (double)r->data.train.n, delta = r->o->delta > 0 ? r->o->delta : 0.1 / n;
  ShareOptions *o = &r->options;
  o->noise = r->o->sigma > 0 ? r->o->sigma : rdp_noise_for(&none, o->rate, o->steps, r->o->epsilon, delta);
  FAIL_IF(!(o->noise > 0), r->d, NULL, "no noise keeps %" PRId64 " steps within epsilon %g", o->steps,
          r->o->epsilon);
  r->file = (Exchange){.guarantee = GUARANTEE_NONE};
  return true;
}

static bool emit_private(Adapting *r, Graph **own) {
  Noise random;
  const bool test = r->o->seed != 0;
  if (test)
    fprintf(stderr,
            "NOT PRIVATE: a seed was given, so that the noise can be taken off again; for tests alone\n");
  /* What can fail for reasons of its own comes before the spending. */
  FAIL_IF(r->outputs && !r->site->public_set.kind, r->d, NULL,
          "--share outputs: the site's file has no `public` set");
  FAIL_IF(!r->data.train.y && r->n_teachers == 0, r->d, NULL,
          "the local data have no labels: layers that learn alone want a larger model's answers (--teacher)");
  TRY(noise_open(&random, (uint64_t)r->o->seed, r->d));
  bool ok = test ? seeded(r) : spend(r);
  const Exchange promise = r->file;
  *own = ok ? tune(r, &r->data.train, &random) : NULL;
  ok = *own && (test || noise_private(&random)) && make_file(r, *own);
  noise_close(&random);
  TRY(ok);
  r->file.guarantee = promise.guarantee, r->file.steps = promise.steps, r->file.epsilon = promise.epsilon;
  r->file.delta = promise.delta, r->file.noise = promise.noise, r->file.clip = promise.clip;
  r->file.rate = promise.rate;
  return write_file(r);
}

bool adapt_emit(Adapting *r, Graph **own) {
  *own = NULL;
  return r->private_run ? emit_private(r, own) : emit_open(r, own);
}

static void print_plan(const Adapting *r, double before, double budget, double delta) {
  JsonWriter w;
  StrBuf b;
  const ShareOptions *o = &r->options;
  if (!r->o->common.json) {
    printf("epsilon %.4g is spent; %" PRId64
           " steps at rate %g with sigma %.4g make it %.4g of %.4g, at delta %.3g%s\n",
           before, o->steps, o->rate, o->noise, r->spent, budget, delta, r->left < 0 ? ": refused" : "");
    return;
  }
  cli_json_begin(&w, &b);
  json_object(&w);
  json_knum(&w, "epsilon_before", before);
  json_knum(&w, "epsilon", r->spent);
  json_knum(&w, "budget", budget);
  json_knum(&w, "delta", delta);
  json_knum(&w, "sigma", o->noise);
  json_knum(&w, "rate", o->rate);
  json_kint(&w, "steps", o->steps);
  json_kbool(&w, "refused", r->left < 0);
  json_end(&w);
  cli_json_end(&w, &b);
}

bool adapt_plan(Adapting *r) {
  RdpCurve curve = {{0}};
  double budget = r->o->budget > 0 ? r->o->budget : r->o->epsilon;
  double delta = r->o->delta > 0 ? r->o->delta : 0.1 / (double)r->data.train.n;
  TRY(ledger_delta_fits(delta, r->data.train.n, r->d));
  if (file_exists(r->o->ledger)) {
    Ledger *l = open_ledger(r);
    TRY(l);
    curve = *ledger_curve(l), budget = ledger_budget(l), delta = ledger_delta(l);
    const bool known = r->o->independent || ledger_knows(l, graph_hash(r->model), r->d);
    ledger_close(l);
    TRY(known);
  }
  FAIL_IF(!(budget > 0), r->d, NULL, "%s: a new ledger wants a budget (--budget EPSILON)", r->o->ledger);
  const double before = rdp_epsilon(&curve, delta, RDP_TIGHT, NULL);
  r->options.noise = r->o->sigma > 0
                         ? r->o->sigma
                         : rdp_noise_for(&curve, r->options.rate, r->options.steps, r->o->epsilon, delta);
  FAIL_IF(!(r->options.noise > 0), r->d, NULL,
          "epsilon %.4g is spent: %" PRId64 " more steps do not fit into %g", before, r->options.steps,
          r->o->epsilon);
  rdp_add(&curve, r->options.rate, r->options.noise, r->options.steps);
  r->spent = rdp_epsilon(&curve, delta, RDP_TIGHT, NULL);
  r->left = budget - r->spent;
  print_plan(r, before, budget, delta);
  FAIL_IF(!(r->left >= 0), r->d, NULL, "this run would exceed the budget: epsilon %.4g of %.4g", r->spent,
          budget);
  return true;
}
