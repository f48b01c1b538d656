/* Random graphs: every check for a run of seeds, emitted programs in portions of PORTION graphs. */
#include "tests/random/random.h"

#include "ir/reduce.h"

enum { PORTION = 100, MOST_SHOWN = 5, MOST_REDUCED = 2, REDUCE_CHECKS = 300 };

/* One kind of check, as the reducer asks for it again and again. */
typedef struct Failure {
  bool (*holds)(const struct Failure *f, const Graph *g, StrBuf *why);
  uint64_t seed;
  const char *dir, *flags;
} Failure;

static bool still_fails(void *ctx, const Graph *g) {
  const Failure *f = ctx;
  StrBuf why = {0};
  bool holds = f->holds(f, g, &why);
  sb_free(&why);
  return !holds;
}

/* Seed, what failed, the graph, reduced. */
static void failed(RandomReport *r, const Graph *g, const Failure *f, const StrBuf *why) {
  Failure again = *f;
  const ReduceOptions o = {.fails = still_fails, .ctx = &again, .max_checks = REDUCE_CHECKS};
  if (r->failed++ >= MOST_SHOWN) return;
  Graph *small = r->failed <= MOST_REDUCED && still_fails(&again, g) ? graph_reduce(g, &o, NULL) : NULL;
  sb_printf(&r->why, "seed %llu: %s\n", (unsigned long long)f->seed, sb_str(why));
  graph_print(small ? small : g, &r->why, 64);
  graph_free(small);
}

/* -- what is checked graph by graph -- */

static bool forms_hold(const Failure *f, const Graph *g, StrBuf *why) {
  (void)f;
  return random_check_forms(g, why);
}

static bool passes_hold(const Failure *f, const Graph *g, StrBuf *why) {
  return random_check_passes(g, f->seed, why);
}

static bool engine_holds(const Failure *f, const Graph *g, StrBuf *why) {
  bool skipped;
  return random_check_engine(g, f->seed, &skipped, why);
}

static void check(RandomReport *r, const Graph *g, const Failure *f) {
  StrBuf why = {0};
  if (!f->holds(f, g, &why)) failed(r, g, f, &why);
  sb_free(&why);
}

static void check_seed(RandomReport *r, const Graph *g, uint64_t seed) {
  Graph *again = random_graph(seed, RANDOM_ANY, NULL);
  if (!hash_equal(graph_hash(g), graph_hash(again))) {
    r->failed++;
    sb_printf(&r->why, "seed %llu made another graph the second time\n", (unsigned long long)seed);
  }
  graph_free(again);
}

static void check_engine(RandomReport *r, uint64_t seed) {
  StrBuf why = {0};
  bool skipped;
  const Failure f = {.holds = engine_holds, .seed = seed};
  Graph *g = random_graph(seed, RANDOM_TRAIN, NULL);
  if (!random_check_engine(g, seed, &skipped, &why)) failed(r, g, &f, &why);
  r->engine += !skipped;
  r->engine_skipped += skipped;
  graph_free(g);
  sb_free(&why);
}

static bool has_int8(const Graph *g) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].dtype == DT_I8) return true;
  return false;
}

/* -- emitted C -- */

static bool program_holds(const Failure *f, const Graph *g, StrBuf *why) {
  bool bad = false;
  RandomProgram one = {&g, &f->seed, 1, f->dir, f->flags, &bad, 0};
  return random_check_program(&one, why);
}

static void portion(RandomReport *r, uint64_t first, int n, const char *dir, const char *flags) {
  const Graph *graphs[PORTION];
  Graph *owned[PORTION];
  uint64_t seeds[PORTION];
  bool bad[PORTION] = {0};
  StrBuf why = {0};
  for (int i = 0; i < n; i++) {
    seeds[i] = first + (uint64_t)i;
    graphs[i] = owned[i] = random_graph(seeds[i], RANDOM_ANY, &r->counts);
    r->int8 += has_int8(graphs[i]);
    check_seed(r, graphs[i], seeds[i]);
    check(r, graphs[i], &(Failure){.holds = forms_hold, .seed = seeds[i]});
    check(r, graphs[i], &(Failure){.holds = passes_hold, .seed = seeds[i]});
    check_engine(r, seeds[i]);
  }
  RandomProgram p = {graphs, seeds, n, dir, flags, bad, 0};
  /* Which graph a program that does not compile or ends early is about, each alone tells. */
  if (!random_check_program(&p, &why))
    for (int i = 0; i < n; i++)
      check(r, graphs[i], &(Failure){.holds = program_holds, .seed = seeds[i], .dir = dir, .flags = flags});
  r->graphs += n;
  r->bytes_equal += p.bytes_equal;
  for (int i = 0; i < n; i++) graph_free(owned[i]);
  sb_free(&why);
}

void random_run(uint64_t first, int n, const char *dir, const char *flags, RandomReport *report) {
  for (int at = 0; at < n; at += PORTION)
    portion(report, first + (uint64_t)at, n - at < PORTION ? n - at : PORTION, dir, flags);
}

void random_report_free(RandomReport *report) { sb_free(&report->why); }
