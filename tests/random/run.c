/* Random graphs: every check for a run of seeds, emitted programs in portions of PORTION graphs. */
#include "tests/random/random.h"

#include "ir/base/mem.h"

enum { PORTION = 100, MOST_SHOWN = 5 };

static void failed(RandomReport *r, const Graph *g, uint64_t seed, const StrBuf *why) {
  if (r->failed++ >= MOST_SHOWN) return;
  sb_printf(&r->why, "seed %llu: %s\n", (unsigned long long)seed, sb_str(why));
  graph_print(g, &r->why, 64);
}

/* -- what is checked graph by graph -- */

static void check_forms(RandomReport *r, const Graph *g, uint64_t seed, RandomKind kind) {
  StrBuf why = {0};
  Graph *again = random_graph(seed, kind, NULL);
  bool ok = hash_equal(graph_hash(g), graph_hash(again));
  if (!ok) sb_puts(&why, "hash: the same seed made another graph");
  ok = ok && random_check_forms(g, &why) && random_check_passes(g, seed, &why);
  if (!ok) failed(r, g, seed, &why);
  graph_free(again);
  sb_free(&why);
}

static void check_engine(RandomReport *r, uint64_t seed) {
  StrBuf why = {0};
  bool skipped;
  Graph *g = random_graph(seed, RANDOM_TRAIN, NULL);
  if (!random_check_engine(g, seed, &skipped, &why)) failed(r, g, seed, &why);
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

static void one_by_one(RandomReport *r, const RandomProgram *p) {
  for (int i = 0; i < p->n; i++) {
    bool bad = false;
    StrBuf why = {0};
    RandomProgram one = *p;
    one.graphs += i;
    one.seeds += i;
    one.n = 1;
    one.bad = &bad;
    if (!random_check_program(&one, &why)) failed(r, p->graphs[i], p->seeds[i], &why);
    sb_free(&why);
  }
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
    check_forms(r, graphs[i], seeds[i], RANDOM_ANY);
    check_engine(r, seeds[i]);
  }
  RandomProgram p = {graphs, seeds, n, dir, flags, bad, 0};
  /* Which graph a program that does not compile or ends early is about, each alone tells. */
  if (!random_check_program(&p, &why)) one_by_one(r, &p);
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
