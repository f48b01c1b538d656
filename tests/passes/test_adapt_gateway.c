/* The gateway's parts: which parameters, the format of exchange files and what it has no place for, updates and outputs of
 * several sites, the ledger against rollbacks and edits, the membership attack, re-tailoring on shifted data.
 */
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/family.h"
#include "passes/adapt/attack.h"
#include "passes/adapt/ledger.h"
#include "passes/adapt/retailor.h"
#include "passes/adapt/share.h"
#include "passes/pass.h"
#include "passes/prefixes.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/support.h"

Suite *suite_adapt_gateway(void);

static Diag *d;
static Arena *a;

static void setup(void) {
  d = diag_new();
  a = arena_new();
}
static void teardown(void) {
  diag_free(d);
  arena_free(a);
}

static const char *tmp(const char *name) { return path_join(a, test_tmp_dir(), name); }
#define must(cond) ck_assert_msg((cond), "%s: %s", #cond, diag_text(d))
/* Refused, with these words. */
#define must_refuse(cond, words)                                                                \
  do {                                                                                          \
    diag_clear(d);                                                                              \
    ck_assert_msg(!(cond) && strstr(diag_text(d), words), "%s: no \"%s\" in: %s", #cond, words, \
                  diag_text(d));                                                                \
    diag_clear(d);                                                                              \
  } while (0)

/* -- parameters -- */

START_TEST(layers_and_the_cut)
{
  Graph *g = net_parse(stripes_net, 7), *body, *head;
  static const int64_t numbers[] = {27, 11, 35,
                                    16}; /* w 3 x 8, b 3; BatchNormalization's 8; 8 x 2 of a convolution */
  for (int l = 0; l < ADAPT_LAYERS; l++) {
    AdaptScope s;
    must(adapt_scope(g, (AdaptLayers)l, &s, d));
    ck_assert_int_eq(s.numbers, numbers[l]);
    float *v = mem_array((size_t)s.numbers, sizeof *v), *back = mem_array((size_t)s.numbers, sizeof *v);
    adapt_gather(g, &s, v);
    for (int64_t i = 0; i < s.numbers; i++) v[i] += (float)i;
    Graph *changed = adapt_scatter(g, &s, v);
    must(graph_verify(changed, d));
    adapt_gather(changed, &s, back);
    for (int64_t i = 0; i < s.numbers; i++)
      ck_assert(fabsf(v[i] - back[i]) <= (l == ADAPT_ADAPTERS ? 1e-5f : 0));
    adapt_gather(g, &s, back);
    ck_assert(fabsf(back[1] - (v[1] - 1)) < 1e-5f);
    graph_free(changed);
    mem_free(v);
    mem_free(back);
    adapt_scope_free(&s);
  }
  Dataset ds = stripes_data();
  ck_assert(adapt_cut(g, &body, &head));
  float *f = mem_array(ds.val.n, 8 * sizeof *f), *z = mem_array(ds.val.n, 3 * sizeof *z),
        *y = mem_array(ds.val.n, 3 * sizeof *y);
  const Normalize none = {0};
  must(graph_outputs(body, &ds.val, &ds.spec.normalize, NULL, 8, f, d));
  const Split fs = {.n = ds.val.n, .dtype = DT_F32, .x = f, .item = shape_of(1, (int64_t)8)};
  must(graph_outputs(head, &fs, &none, NULL, 3, z, d) &&
       graph_outputs(g, &ds.val, &ds.spec.normalize, NULL, 3, y, d));
  for (uint32_t i = 0; i < ds.val.n * 3; i++) ck_assert(fabsf(z[i] - y[i]) <= 1e-5f * (1 + fabsf(y[i])));
  mem_free(f);
  mem_free(z);
  mem_free(y);
  graph_free(body);
  graph_free(head);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* -- the format -- */

/* Every field that a file may hold, by name and kind. Whoever adds one has to say here that it can hold neither a sample nor
 * anything computed from one alone. */
START_TEST(the_format_has_no_place_for_a_sample)
{
  static const char *const fields[][2] = {
      {"version", "u32"},     {"kind", "u32"},  {"layers", "u32"},  {"guarantee", "u32"}, {"model", "hash"},
      {"public_set", "hash"}, {"rows", "u64"},  {"columns", "u64"}, {"steps", "u64"},     {"epsilon", "f64"},
      {"delta", "f64"},       {"noise", "f64"}, {"clip", "f64"},    {"rate", "f64"},      {"weight", "f64"}};
  ck_assert_int_eq(n_exchange_fields, 15);
  uint64_t head = 8 + EXCHANGE_LABEL;
  for (int i = 0; i < 15; i++) {
    ck_assert_str_eq(exchange_fields[i].name, fields[i][0]);
    ck_assert_str_eq(exchange_fields[i].kind, fields[i][1]);
    ck_assert_uint_le(exchange_fields[i].bytes, 16); /* a number or a hash: nothing longer */
    head += exchange_fields[i].bytes;
  }
  /* Beside the head and a check sum there are parameters' numbers, or classes' of public images, and nothing else. */
  ck_assert_uint_eq(exchange_bytes(1, 650), head + 4 * 650 + 16);
  ck_assert_uint_eq(exchange_bytes(2000, 10), head + 4 * 20000 + 16);
}
END_TEST

static Exchange sample(float *values, int n) {
  for (int i = 0; i < n; i++) values[i] = (float)i / 7;
  return (Exchange){.version = EXCHANGE_VERSION,
                    .kind = EXCHANGE_UPDATE,
                    .guarantee = GUARANTEE_DP,
                    .model = {1, 2},
                    .rows = 1,
                    .columns = (uint64_t)n,
                    .steps = 5,
                    .epsilon = 2,
                    .delta = 1e-5,
                    .noise = 1,
                    .clip = 1,
                    .rate = 0.1,
                    .weight = 1,
                    .values = values};
}

static const ExchangeWant any;

static bool holds(const char *bytes, size_t n, const char *text) {
  for (size_t i = 0; i + strlen(text) <= n; i++)
    if (memcmp(bytes + i, text, strlen(text)) == 0) return true;
  return false;
}

START_TEST(files_are_whole_or_refused)
{
  float v[9];
  Exchange e = sample(v, 9), got;
  const char *path = tmp("x"), *bad = tmp("bad");
  size_t n;
  must(exchange_write(path, &e, d) && exchange_read(path, &any, &got, d));
  ck_assert(got.kind == e.kind && got.steps == 5 && got.rate == 0.1 && got.model.hi == 1 && got.columns == 9);
  ck_assert(memcmp(got.values, v, sizeof v) == 0);
  exchange_free(&got);
  char *bytes = test_read_file(path, &n);
  ck_assert_uint_eq(n, exchange_bytes(1, 9));
  ck_assert(holds(bytes, n, "differential privacy"));
  for (size_t i = 0; i < n; i++) { /* shorter, and with one bit turned, at every byte */
    test_write_file(bad, bytes, i);
    ck_assert_msg(!exchange_read(bad, &any, &got, d), "%zu bytes are taken", i);
    bytes[i] ^= 4;
    test_write_file(bad, bytes, n);
    ck_assert_msg(!exchange_read(bad, &any, &got, d), "a turned bit in byte %zu is taken", i);
    bytes[i] ^= 4;
    diag_clear(d);
  }
  char *more = mem_alloc(n + 1); /* something put behind */
  memcpy(more, bytes, n);
  more[n] = 0;
  test_write_file(bad, more, n + 1);
  must_refuse(exchange_read(bad, &any, &got, d), "its head says");
  test_write_file(bad, bytes, 100);
  must_refuse(exchange_read(bad, &any, &got, d), "100 bytes: it ends within its head");
  mem_free(more);
  free(bytes);
  const Hash other = {3, 4};
  must_refuse(exchange_read(path, &(ExchangeWant){.model = &other}, &got, d), "another model");
  must_refuse(exchange_read(path, &(ExchangeWant){.kind = EXCHANGE_OUTPUTS}, &got, d), "want outputs");
}
END_TEST

START_TEST(labels_and_figures_agree)
{
  float v[4];
  Exchange e = sample(v, 4);
  e.guarantee = GUARANTEE_NONE;
  must_refuse(exchange_write(tmp("x"), &e, d), "do not agree");
  e = sample(v, 4);
  e.epsilon = 0;
  must_refuse(exchange_write(tmp("x"), &e, d), "do not agree");
  e = sample(v, 4);
  v[2] = NAN;
  must_refuse(exchange_write(tmp("x"), &e, d), "not finite");
  e = sample(v, 4);
  e.rows = 2;
  must_refuse(exchange_write(tmp("x"), &e, d), "2 rows");
  ck_assert(!file_exists(tmp("x")));
  e = sample(v, 4);
  e.guarantee = GUARANTEE_NONE, e.steps = 0, e.epsilon = e.delta = e.noise = e.clip = e.rate = 0;
  must(exchange_write(tmp("x"), &e, d));
  size_t n;
  char *bytes = test_read_file(tmp("x"), &n);
  ck_assert(holds(bytes, n, "no formal guarantee"));
  free(bytes);
  StrBuf b = {0};
  exchange_describe(&e, &b);
  ck_assert_ptr_nonnull(strstr(sb_str(&b), "no formal guarantee"));
  sb_free(&b);
}
END_TEST

/* -- sites -- */

/* The model trained on all stripes, so that its features are of use, with the last layer as random as before. */
static Graph *shipped(const Dataset *ds) {
  Graph *g = net_parse(stripes_net, 7);
  TrainOptions o;
  train_options_default(&o);
  o.epochs = 2, o.batch = 32;
  Graph *out = train_graph(g, NULL, ds, &o, NULL, NULL, d);
  must(out != NULL);
  graph_free(g);
  return out;
}

static Split some(const Split *s, uint32_t first, uint32_t n) {
  Split out = *s;
  out.x = (const char *)s->x + (size_t)first * STRIPES_ITEM;
  out.y = s->y + first;
  out.n = n;
  return out;
}

START_TEST(updates_of_sites)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7), *own[2], *one, *both;
  Exchange e[2];
  Noise r;
  ShareOptions o;
  share_default(&o);
  o.lr = 0.3;
  must(noise_open(&r, 3, d));
  for (int l = 0; l < ADAPT_LAYERS; l++) {
    o.layers = (AdaptLayers)l;
    for (int i = 0; i < 2; i++) {
      const Split s = some(&ds.train, (uint32_t)i * 256, 256);
      const ShareData data = {&s, &ds.spec.normalize, NULL};
      own[i] = share_tune(g, &data, &o, &r, NULL, NULL, d);
      must(own[i] != NULL && share_update(g, own[i], o.layers, &e[i], d));
    }
    ck_assert_uint_eq(e[0].columns, e[1].columns);
    must((one = share_apply(g, e, 1, d)) && (both = share_apply(g, e, 2, d)));
    const double alone = stripes_accuracy(own[0], &ds), again = stripes_accuracy(one, &ds),
                 before = stripes_accuracy(g, &ds), mean = stripes_accuracy(both, &ds);
    ck_assert_msg(fabs(alone - again) < 0.011, "applied %.3f, trained %.3f", again, alone);
    ck_assert_msg(mean > before + 0.1, "%s: %.3f before, %.3f with both updates", adapt_layer_names[l],
                  before, mean);
    e[1].model.lo++;
    must_refuse(share_apply(g, e, 2, d), "another model");
    e[1].model.lo--, e[1].columns--;
    must_refuse(share_apply(g, e, 2, d), "numbers");
    for (int i = 0; i < 2; i++) {
      exchange_free(&e[i]);
      graph_free(own[i]);
    }
    graph_free(one);
    graph_free(both);
  }
  noise_close(&r);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

START_TEST(outputs_on_a_public_set)
{
  Dataset ds = stripes_data();
  Graph *good = shipped(&ds), *g = net_parse(stripes_net, 7), *out;
  const Split p = some(&ds.train, 0, 200);
  Exchange e[2] = {{0}};
  Noise r;
  ShareOptions o;
  share_default(&o);
  o.layers = ADAPT_BOTH, o.lr = 0.3;
  must(noise_open(&r, 3, d));
  for (int i = 0; i < 2; i++) must(share_outputs(good, g, &p, &ds.spec.normalize, NULL, &e[i], d));
  ck_assert(e[0].rows == 200 && e[0].columns == 3);
  out = share_learn(g, &p, &ds.spec.normalize, e, 2, &o, &r, NULL, d);
  must(out != NULL);
  const double before = stripes_accuracy(g, &ds), after = stripes_accuracy(out, &ds);
  ck_assert_msg(after > before + 0.1, "%.3f before, %.3f after", before, after);
  const Split other = some(&ds.train, 1, 200);
  must_refuse(share_learn(g, &other, &ds.spec.normalize, e, 2, &o, &r, NULL, d), "another public set");
  for (int i = 0; i < 2; i++) exchange_free(&e[i]);
  noise_close(&r);
  graph_free(out);
  graph_free(good);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* -- the ledger -- */

static Ledger *open_ledger(double budget, double delta, uint64_t n) {
  return ledger_open(&(LedgerWhere){tmp("site.ledger"), tmp("state")}, budget, delta, n, d);
}

static const LedgerRun cheap = {.what = "update", .model = {5, 6}, .rate = 0.05, .noise = 2, .steps = 100};

/* Take so many runs, one opening each. */
static void spend(int runs) {
  for (int i = 0; i < runs; i++) {
    double after;
    Ledger *l = open_ledger(i ? 0 : 8, i ? 0 : 1e-5, 5000);
    must(l && ledger_spend(l, &cheap, &after, d));
    ledger_close(l);
  }
}

START_TEST(a_ledger_adds_up_and_stops)
{
  double after = 0, before = 0;
  Ledger *l = open_ledger(2, 1e-5, 5000);
  RdpCurve curve = {{0}};
  int runs = 0;
  must(l);
  while (ledger_spend(l, &cheap, &after, d)) {
    rdp_add(&curve, cheap.rate, cheap.noise, cheap.steps);
    ck_assert(fabs(after - rdp_epsilon(&curve, 1e-5, RDP_TIGHT, NULL)) < 1e-12 && after > before &&
              after <= 2);
    before = after;
    runs++;
  }
  ck_assert(runs >= 1 && runs < 100 && strstr(diag_text(d), "would exceed the budget"));
  ck_assert_int_eq(ledger_runs(l), runs);
  ledger_close(l);
  diag_clear(d);
  must((l = open_ledger(0, 0, 5000)));
  ck_assert_int_eq(ledger_runs(l), runs);
  ck_assert(ledger_epsilon(l) == before && ledger_budget(l) == 2);
  ledger_close(l);
  must_refuse(open_ledger(4, 0, 5000), "its budget is epsilon 2");
  must_refuse(open_ledger(0, 1e-6, 5000), "its delta is 1e-05");
  must_refuse(open_ledger(0, 0, 20000), "more than 1 / (10 n)"); /* more records than delta is for */
}
END_TEST

/* Every byte of a ledger counts. Cut at the end of a line it is a ledger, of fewer runs: that is what its counter is for. */
START_TEST(ledgers_are_whole_or_refused)
{
  static const char lines[] = "mistify-ledger 1 0123456789abcdef0123456789abcdef 4 0.0001\n"
                              "1 update 00112233445566778899aabbccddeeff 0.05 1.2 200\n"
                              "2 outputs 00112233445566778899aabbccddeeff 1 3.5 10\n";
  StrBuf b = {0};
  RdpCurve want = {{0}};
  ledger_seal(lines, &b);
  Ledger *l = ledger_parse(b.s, b.len, "x", d);
  must(l != NULL);
  rdp_add(&want, 0.05, 1.2, 200);
  rdp_add(&want, 1, 3.5, 10);
  ck_assert(ledger_runs(l) == 2 && ledger_budget(l) == 4 && ledger_delta(l) == 0.0001);
  ck_assert(fabs(ledger_epsilon(l) - rdp_epsilon(&want, 0.0001, RDP_TIGHT, NULL)) < 1e-12);
  ledger_close(l);
  for (size_t i = 0; i < b.len; i++) {
    if (i && b.s[i - 1] != '\n') must_refuse(ledger_parse(b.s, i, "x", d), "damaged, or was edited");
    b.s[i] ^= 1;
    must_refuse(ledger_parse(b.s, b.len, "x", d), "damaged, or was edited");
    b.s[i] ^= 1;
  }
  sb_putc(&b, '\0');
  must_refuse(ledger_parse(b.s, b.len, "x", d), "damaged, or was edited");
  sb_free(&b);
  /* What no run can have been, under hashes that fit. */
  static const char *const odd[] = {"1 update m 0 1.2 200",   "1 update m 2 1.2 200",  "1 update m 0.1 0 200",
                                    "1 update m 0.1 nan 200", "1 update m 0.1 1 -200", "2 update m 0.1 1 200",
                                    "1 update 0.1 1 200",     "1 update m 0.1 1 200 x"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    ledger_seal(arena_printf(a, "%.*s%s\n", (int)(strchr(lines, '\n') - lines) + 1, lines, odd[i]), &b);
    must_refuse(ledger_parse(b.s, b.len, "x", d), "damaged, or was edited");
    sb_free(&b);
  }
}
END_TEST

START_TEST(delta_is_a_tenth_of_one_in_n_at_most)
{
  must_refuse(open_ledger(2, 1e-4, 5000), "more than 1 / (10 n) = 2e-05");
  ck_assert(!file_exists(tmp("site.ledger")));
  Ledger *l = open_ledger(2, 0, 5000);
  must(l);
  ck_assert(fabs(ledger_delta(l) - 2e-5) < 1e-18);
  ledger_close(l);
  must_refuse(ledger_open(&(LedgerWhere){tmp("b.ledger"), test_tmp_dir()}, 2, 0, 10, d), "want two folders");
  must_refuse(ledger_open(&(LedgerWhere){tmp("b.ledger"), tmp("state")}, 0, 0, 10, d), "wants a budget");
}
END_TEST

START_TEST(rollbacks_are_refused)
{
  size_t n;
  spend(2);
  char *old = test_read_file(tmp("site.ledger"), &n);
  spend(1);
  size_t now_n;
  char *now = test_read_file(tmp("site.ledger"), &now_n);
  ck_assert(now_n > n && memcmp(now, old, n) == 0);
  test_write_file(tmp("site.ledger"), old, n);
  must_refuse(open_ledger(0, 0, 5000), "rolled back");
  ck_assert_int_eq(unlink(tmp("site.ledger")), 0);
  must_refuse(open_ledger(8, 1e-5, 5000), "the ledger is gone");
  /* A line taken away in the middle, a figure made smaller, a line twice. */
  test_write_file(tmp("site.ledger"), now, now_n);
  char *edit = test_read_file(tmp("site.ledger"), NULL), *at = strstr(edit, " 100 ");
  memcpy(at, " 010 ", 5);
  test_write_file(tmp("site.ledger"), edit, now_n);
  must_refuse(open_ledger(0, 0, 5000), "damaged, or was edited");
  for (size_t i = 1; i < now_n; i += 7) {
    test_write_file(tmp("site.ledger"), now, i);
    Ledger *l = open_ledger(0, 0, 5000);
    ck_assert_msg(!l, "the first %zu bytes are taken", i);
    diag_clear(d);
  }
  test_write_file(tmp("site.ledger"), now, now_n);
  Ledger *l = open_ledger(0, 0, 5000);
  must(l);
  ck_assert_int_eq(ledger_runs(l), 3);
  ledger_close(l);
  free(old);
  free(now);
  free(edit);
}
END_TEST

/* The counter: as old as a crash between the two writes leaves it, gone, of another ledger. */
START_TEST(the_counter_may_lag_by_a_crash_only)
{
  size_t n, ln;
  spend(2);
  const char *counter = NULL;
  char *names = NULL;
  ck_assert_int_eq(test_run_command(arena_printf(a, "ls %s/*.counter", tmp("state")), &names), 0);
  names[strcspn(names, "\n")] = 0;
  counter = names;
  char *old = test_read_file(counter, &n);
  spend(1);
  test_write_file(counter, old, n);
  Ledger *l = open_ledger(0, 0, 5000);
  must(l);
  ck_assert_int_eq(ledger_runs(l), 3);
  ledger_close(l);
  char *mended = test_read_file(counter, NULL);
  ck_assert_str_ne(mended, old);
  ck_assert_int_eq(unlink(counter), 0);
  must_refuse(open_ledger(0, 0, 5000), "the counter of this ledger is gone");
  test_write_file(counter, mended, strlen(mended));
  /* Two histories of the same length: another ledger in the place of this one. */
  char *first = test_read_file(tmp("site.ledger"), &ln);
  ck_assert(unlink(tmp("site.ledger")) == 0 && unlink(counter) == 0);
  spend(3);
  test_write_file(tmp("site.ledger"), first, ln);
  must_refuse(open_ledger(0, 0, 5000), "not the one that its counter counts");
  free(first);
  free(mended);
  free(old);
  free(names);
}
END_TEST

static const char *counter_file(void) {
  char *names = NULL;
  ck_assert_int_eq(test_run_command(arena_printf(a, "ls %s/*.counter", tmp("state")), &names), 0);
  names[strcspn(names, "\n")] = 0;
  const char *path = arena_strdup(a, names);
  free(names);
  return path;
}

START_TEST(a_counter_two_runs_behind_was_rolled_back)
{
  size_t n;
  spend(1);
  char *old = test_read_file(counter_file(), &n);
  spend(2);
  test_write_file(counter_file(), old, n);
  must_refuse(open_ledger(0, 0, 5000), "the counter was rolled back");
  free(old);
}
END_TEST

/* A crash in the beginning: a counter of no lines, with and without the ledger's first. */
START_TEST(a_beginning_may_crash)
{
  Ledger *l = open_ledger(8, 1e-5, 5000);
  must(l);
  ledger_close(l);
  char *whole = test_read_file(counter_file(), NULL), *at = strstr(whole, " 1 ");
  at = strstr(at + 3, " 1 "); /* behind the version and the site's name */
  ck_assert_ptr_nonnull(at);
  const char *none = arena_printf(a, "%.*s 0 %032d\n", (int)(at - whole), whole, 0);
  test_write_file(counter_file(), none, strlen(none));
  must((l = open_ledger(0, 0, 5000))); /* the ledger was written */
  ledger_close(l);
  char *mended = test_read_file(counter_file(), NULL);
  ck_assert_str_eq(mended, whole);
  test_write_file(counter_file(), none, strlen(none));
  ck_assert_int_eq(unlink(tmp("site.ledger")), 0);
  must((l = open_ledger(4, 1e-5, 5000))); /* it was not */
  ck_assert(ledger_budget(l) == 4 && ledger_runs(l) == 0);
  ledger_close(l);
  must((l = open_ledger(0, 0, 5000)));
  double after;
  must(ledger_spend(l, &cheap, &after, d));
  ledger_close(l);
  free(mended);
  free(whole);
}
END_TEST

START_TEST(a_ledger_keeps_to_its_model)
{
  double after;
  LedgerRun other = cheap;
  spend(1);
  Ledger *l = open_ledger(0, 0, 5000);
  must(l);
  other.model.lo++;
  must_refuse(ledger_spend(l, &other, &after, d), "no earlier run");
  ck_assert(ledger_knows(l, cheap.model, d) && !ledger_knows(l, other.model, d));
  other.independent = true;
  must(ledger_spend(l, &other, &after, d));
  ledger_close(l);
  must((l = open_ledger(0, 0, 5000)));
  other.independent = false; /* said once */
  must(ledger_spend(l, &other, &after, d) && ledger_spend(l, &cheap, &after, d));
  ledger_close(l);
}
END_TEST

START_TEST(one_run_at_a_time)
{
  Ledger *l = open_ledger(8, 1e-5, 5000);
  must(l);
  const LedgerWhere where = {tmp("site.ledger"), tmp("state")};
  const pid_t child = fork();
  if (child == 0) {
    Ledger *second = ledger_open(&where, 0, 0, 5000, d);
    _exit(second ? 1 : strstr(diag_text(d), "another run is at work") ? 0 : 2);
  }
  int status;
  ck_assert(waitpid(child, &status, 0) == child && WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 0);
  ledger_close(l);
}
END_TEST

/* -- attack -- */

START_TEST(the_attack_finds_what_was_learnt_by_heart)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  const Split in = some(&ds.train, 0, 32), out = some(&ds.train, 256, 200);
  int32_t wrong[32];
  Attack k;
  must(attack_membership(g, g, &in, &out, &ds.spec.normalize, NULL, &k, d));
  ck_assert(k.gain == 0.5 && fabs(k.loss - 0.5) < 0.2);
  /* Labels of one split alone tell nothing. */
  Split bare = in, bare_out = out;
  Attack both, one;
  Graph *next = net_parse(stripes_net, 8);
  bare.y = bare_out.y = NULL;
  must(attack_membership(g, next, &bare, &bare_out, &ds.spec.normalize, NULL, &both, d));
  must(attack_membership(g, next, &bare, &out, &ds.spec.normalize, NULL, &one, d));
  ck_assert(one.loss == both.loss && one.gain == both.gain);
  must(attack_membership(g, next, &in, &bare_out, &ds.spec.normalize, NULL, &one, d));
  ck_assert(one.loss == both.loss && one.gain == both.gain);
  graph_free(next);
  Split odd = in; /* labels that nothing but memory gets right */
  for (int i = 0; i < 32; i++) wrong[i] = (in.y[i] + 1 + i % 2) % 3;
  odd.y = wrong;
  Dataset few = ds;
  few.train = odd;
  TrainOptions o;
  train_options_default(&o);
  o.epochs = 60, o.batch = 32, o.lr = 0.1f;
  Graph *learnt = train_graph(g, NULL, &few, &o, NULL, NULL, d);
  must(learnt && attack_membership(g, learnt, &odd, &out, &ds.spec.normalize, NULL, &k, d));
  ck_assert_msg(k.loss > 0.7 && k.gain > 0.7, "AUC %.3f, %.3f", k.loss, k.gain);
  graph_free(learnt);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* -- re-tailoring -- */

START_TEST(shifted_images_without_labels)
{
  Dataset ds = stripes_data();
  Graph *g = shipped(&ds);
  const double clean = stripes_accuracy(g, &ds);
  ds.spec.normalize.scale[0] /= 3; /* a darker camera with less contrast */
  ds.spec.normalize.offset[0] = -1.2f;
  const double before = stripes_accuracy(g, &ds);
  ds.train.y = NULL;
  RetailorOptions o;
  Retailored res;
  retailor_default(&o);
  o.batch = 32, o.epochs = 6;
  Graph *out = retailor(g, NULL, 0, &ds, &o, NULL, &res, d);
  must(out && graph_verify(out, d));
  const double after = stripes_accuracy(out, &ds);
  ck_assert_msg(clean > 0.9 && before < clean - 0.1 && after > before + 0.1,
                "%.3f on its own images, %.3f shifted, %.3f after", clean, before, after);
  ck_assert(res.statistics == 512 && res.teachers == 1 && res.train.images >= 6 * 512);
  graph_free(out);
  o.epochs = 0;
  must((out = retailor(g, NULL, 0, &ds, &o, NULL, &res, d)));
  ck_assert(res.train.images == 0);
  graph_free(out);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* Two widths of one set of weights learn together: both gain, and their weights are still one. */
START_TEST(a_family_learns_together)
{
  Dataset ds = stripes_data();
  Graph *g = shipped(&ds), *in[2], *out[2];
  PrefixesOptions po;
  Prefixes w;
  Channels c;
  RetailorOptions o;
  Retailored res;
  Family f;
  double before[2], after[2];
  must(prefixes_options_parse("n=2,share=0.6,by=taylor,images=64", a, &po, d) &&
       prefixes_plan(g, &po, &(PassCtx){.params = "", .data = &ds}, &w, d) &&
       channels_find(w.graph, NULL, &c, d));
  for (int k = 0; k < 2; k++) must((in[k] = prune_apply(&c, &w.plans[k], d)));
  ds.spec.normalize.scale[0] /= 3; /* a darker camera with less contrast */
  ds.spec.normalize.offset[0] = -1.2f;
  ds.train.y = NULL;
  for (int k = 0; k < 2; k++) before[k] = stripes_accuracy(in[k], &ds);
  retailor_default(&o);
  o.batch = 32, o.epochs = 6;
  must(retailor_family((const Graph *const *)in, 2, NULL, 0, &ds, &o, NULL, out, &res, d));
  ck_assert(res.teachers == 1 && res.statistics == 512 && res.train.images >= 6 * 512);
  for (int k = 0; k < 2; k++) after[k] = stripes_accuracy(out[k], &ds);
  ck_assert_msg(after[0] > before[0] + 0.1 && after[1] > before[1] + 0.1,
                "widest %.3f -> %.3f, narrower %.3f -> %.3f", before[0], after[0], before[1], after[1]);
  must(family_check((const Graph *const *)out, 2, &f, d));
  for (NodeId k = 0; k < out[1]->n_nodes; k++)
    for (uint32_t i = 0; i < out[1]->nodes[k].n_in; i++)
      if (family_is_weights(&out[1]->nodes[k], i)) ck_assert(family_slice(&f, 1, k, i)->shared);
  family_free(&f);
  /* Other weights are told. */
  Graph *other = net_parse(stripes_net, 8), *mixed[2] = {other, in[1]}, *none[2];
  must_refuse(retailor_family((const Graph *const *)mixed, 2, NULL, 0, &ds, &o, NULL, none, NULL, d),
              "no slice of the widest's");
  graph_free(other);
  for (int k = 0; k < 2; k++) graph_free(in[k]), graph_free(out[k]);
  channels_free(&c);
  prefixes_free(&w);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

Suite *suite_adapt_gateway(void) {
  Suite *s = suite_create("adapt_gateway");
  TCase *t = tcase_create("gateway");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, layers_and_the_cut);
  tcase_add_test(t, the_format_has_no_place_for_a_sample);
  tcase_add_test(t, files_are_whole_or_refused);
  tcase_add_test(t, labels_and_figures_agree);
  tcase_add_test(t, updates_of_sites);
  tcase_add_test(t, outputs_on_a_public_set);
  tcase_add_test(t, a_ledger_adds_up_and_stops);
  tcase_add_test(t, ledgers_are_whole_or_refused);
  tcase_add_test(t, delta_is_a_tenth_of_one_in_n_at_most);
  tcase_add_test(t, rollbacks_are_refused);
  tcase_add_test(t, the_counter_may_lag_by_a_crash_only);
  tcase_add_test(t, a_counter_two_runs_behind_was_rolled_back);
  tcase_add_test(t, a_beginning_may_crash);
  tcase_add_test(t, a_ledger_keeps_to_its_model);
  tcase_add_test(t, one_run_at_a_time);
  tcase_add_test(t, the_attack_finds_what_was_learnt_by_heart);
  tcase_add_test(t, shifted_images_without_labels);
  tcase_add_test(t, a_family_learns_together);
  suite_add_tcase(s, t);
  return s;
}
