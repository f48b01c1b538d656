/* Steps: each thing that a result depends on changes the key, nothing else does; the log says which one did; a chain
 * of steps repeats what depends on an edit and no more; names are bound again.
 *
 * Sources and machine are simulated: StepEnv is handed in.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "passes/steps/steps.h"
#include "passes/tailor/kinds.h"
#include "tests/support.h"

static const SourcePrint prints[] = {{"ir/graph.c", "11"},
                                     {"passes/prune.c", "22"},
                                     {"passes/prune.h", "33"},
                                     {"runtime/engine/train.c", "44"}};
static const char *const prune_sources[] = {"passes/prune", "ir/", NULL};
static const char *const train_sources[] = {"runtime/engine/", NULL};

enum { N_PRINTS = sizeof prints / sizeof *prints };

/* Each step counts its runs here (StepCall.env). */
typedef struct Runs {
  int prune, train;
  bool fail, cancelled;
} Runs;

/* "Prunes" to a text that depends on the input's content and the parameters. */
static bool run_prune(const StepCall *call, Artifact *out, int *n_out, Diag *d) {
  Runs *runs = call->env;
  runs->prune++;
  FAIL_IF(runs->fail, d, NULL, "pruning failed on purpose");
  char hex[HASH_HEX], text[200];
  hash_hex(call->in[0].hash, hex);
  int n = snprintf(text, sizeof text, "pruned %s %s", hex, call->params);
  out[(*n_out)++] = artifact_from_bytes(ART_PLAN, text, (size_t)n);
  out[(*n_out)++] = artifact_from_hash(ART_DATA, call->in[0].hash);
  return true;
}

static bool run_train(const StepCall *call, Artifact *out, int *n_out, Diag *d) {
  Runs *runs = call->env;
  (void)d;
  runs->train++;
  out[(*n_out)++] =
      artifact_from_bytes(ART_CHECKPOINT, blob_raw(call->in[0].bytes), blob_size(call->in[0].bytes));
  return true;
}

static const StepKind prune_kind = {.name = "prune", .sources = prune_sources, .run = run_prune};
static const StepKind train_kind = {
    .name = "train", .sources = train_sources, .numeric = true, .run = run_train};

typedef struct Fixture {
  Arena *a;
  Diag *d;
  StrBuf log;
  Host host;
  Runs runs;
  SourcePrint prints[N_PRINTS];
  StepEnv env;
} Fixture;

static void keep_line(void *ctx, const char *line) { sb_printf(ctx, "%s\n", line); }

static bool is_cancelled(void *ctx) {
  (void)ctx;
  return true;
}

static void begin(Fixture *f, const char *name) {
  *f = (Fixture){.a = arena_new(), .d = diag_new()};
  f->host = (Host){.ctx = &f->log, .log = keep_line, .threads = 1};
  memcpy(f->prints, prints, sizeof prints);
  Cache *c = name ? cache_open(path_join(f->a, test_tmp_dir(), name), &f->host, f->d) : NULL;
  f->env = (StepEnv){.cache = c, .prints = f->prints, .n_prints = N_PRINTS, .abi = "avx2"};
}

static void end(Fixture *f) {
  cache_close(f->env.cache);
  sb_free(&f->log);
  diag_free(f->d);
  arena_free(f->a);
}

static Artifact data_of(const char *text) {
  return artifact_from_hash(ART_DATA, hash_bytes(text, strlen(text)));
}

static StepRequest request(Fixture *f, const StepKind *kind, const Artifact *in, int n) {
  return (StepRequest){.kind = kind,
                       .slot = "m4",
                       .in = in,
                       .n_in = n,
                       .params = "macs=0.5",
                       .seed = 1,
                       .host = &f->host,
                       .env = &f->runs};
}

/* ---- The key */

START_TEST(test_each_component)
{
  Fixture f;
  begin(&f, NULL);
  Artifact in[2] = {data_of("a"), data_of("b")}, swapped[2] = {data_of("b"), data_of("a")};
  StepRequest base = request(&f, &prune_kind, in, 2), r;
  Hash key = step_key(&f.env, &base);
#define KEY_DIFFERS(what) \
  ck_assert_msg(!hash_equal(key, step_key(&f.env, &r)), "%s does not change the key", what)
#define KEY_STAYS(what) ck_assert_msg(hash_equal(key, step_key(&f.env, &r)), "%s changes the key", what)
  StepKind other = prune_kind;
  other.name = "shrink";
  r = base, r.kind = &other, KEY_DIFFERS("the kind");
  r = base, r.in = swapped, KEY_DIFFERS("the order of the inputs");
  r = base, r.n_in = 1, KEY_DIFFERS("an input less");
  r = base, r.params = "macs=0.4", KEY_DIFFERS("a parameter");
  r = base, r.params = NULL, KEY_DIFFERS("no parameters");
  r = base, r.seed = 2, KEY_DIFFERS("the seed");
  Artifact changed[2] = {in[0], data_of("c")}, retyped[2] = {in[0], in[1]};
  retyped[1].type = ART_STATS;
  r = base, r.in = changed, KEY_DIFFERS("an input's content");
  r = base, r.in = retyped, KEY_DIFFERS("an input's type");

  static const char *const names[] = {"teacher", "board"};
  r = base;
  KEY_STAYS("nothing");
  r.slot = "m0", KEY_STAYS("the slot");
  r = base, r.in_names = names, KEY_STAYS("the inputs' names in the log");
  r = base, r.host = NULL, KEY_STAYS("the host");
  r = base, r.env = NULL, KEY_STAYS("the environment");
  r = base;
  f.env.abi = "avx512", KEY_STAYS("the machine, for a step that is not numeric");
  f.prints[3].hash = "45", KEY_STAYS("the source of another step");
  for (int i = 0; i < 3; i++) {
    f.prints[i].hash = "99";
    KEY_DIFFERS(prints[i].path);
    f.prints[i] = prints[i];
  }
  f.env.n_prints = 3, KEY_STAYS("another step's source file gone");
  f.prints[1].path = "passes/pruning.c", KEY_DIFFERS("a renamed source");
  end(&f);
}
END_TEST

START_TEST(test_numeric)
{
  Fixture f;
  begin(&f, NULL);
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &train_kind, in, 1);
  Hash key = step_key(&f.env, &r);
  f.env.abi = "avx512";
  ck_assert(!hash_equal(key, step_key(&f.env, &r)));
  end(&f);
}
END_TEST

START_TEST(test_this_machine)
{
  Arena *a = arena_new();
  StepEnv env = step_env(a, NULL);
  ck_assert_msg(strstr(env.abi, "OpenBLAS") != NULL, "got %s", env.abi);
  ck_assert_str_eq(env.abi, numeric_abi(a));
  ck_assert_uint_gt(env.n_prints, 20);
  Artifact in[1] = {data_of("a")};
  static const char *const sources[] = {"passes/steps/steps.c", NULL};
  StepKind kind = {.name = "x", .sources = sources, .numeric = true, .run = run_train};
  StepRequest r = {.kind = &kind, .in = in, .n_in = 1};
  Hash key = step_key(&env, &r);
  ck_assert(hash_equal(key, step_key(&env, &r)));
  arena_free(a);
}
END_TEST

/* ---- Running */

static bool run(Fixture *f, const StepRequest *r, StepLog *log) {
  Artifact out[STEP_MAX_OUT];
  int n = 0;
  bool ok = step_run(&f->env, r, out, &n, log, f->d);
  for (int i = 0; i < n && ok; i++) artifact_unref(&out[i]);
  return ok;
}

START_TEST(test_hit_has_the_same_bytes)
{
  Fixture f;
  begin(&f, "hit");
  Artifact in[1] = {data_of("a")}, one[STEP_MAX_OUT], two[STEP_MAX_OUT];
  StepRequest r = request(&f, &prune_kind, in, 1);
  int n1 = 0, n2 = 0;
  StepLog log;
  ck_assert_msg(step_run(&f.env, &r, one, &n1, &log, f.d), "%s", diag_text(f.d));
  ck_assert(!log.hit);
  ck_assert_str_eq(log.why, "first time");
  ck_assert(step_run(&f.env, &r, two, &n2, &log, f.d));
  ck_assert(log.hit);
  ck_assert_str_eq(log.why, "");
  ck_assert_int_eq(f.runs.prune, 1);
  ck_assert_int_eq(n1, 2);
  ck_assert_int_eq(n2, 2);
  ck_assert(hash_equal(one[0].hash, two[0].hash) && hash_equal(one[1].hash, two[1].hash));
  ck_assert_uint_eq(blob_size(one[0].bytes), blob_size(two[0].bytes));
  ck_assert_mem_eq(blob_raw(one[0].bytes), blob_raw(two[0].bytes), blob_size(one[0].bytes));
  ck_assert_ptr_null(two[1].bytes);
  ck_assert_int_eq(two[1].type, ART_DATA);
  for (int i = 0; i < 2; i++) artifact_unref(&one[i]), artifact_unref(&two[i]);
  end(&f);
}
END_TEST

START_TEST(test_slots_share)
{
  Fixture f;
  begin(&f, "slots");
  Artifact in[1] = {data_of("a")};
  StepRequest m4 = request(&f, &prune_kind, in, 1), m0 = m4;
  m0.slot = "m0";
  StepLog log;
  ck_assert(run(&f, &m4, &log));
  ck_assert(run(&f, &m0, &log));
  ck_assert(log.hit);
  ck_assert_int_eq(f.runs.prune, 1);
  ck_assert_str_eq(f.log.s + strlen(f.log.s) - strlen("prune m0: taken from the cache\n"),
                   "prune m0: taken from the cache\n");
  end(&f);
}
END_TEST

START_TEST(test_no_cache)
{
  Fixture f;
  begin(&f, NULL);
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &prune_kind, in, 1);
  ck_assert(run(&f, &r, NULL) && run(&f, &r, NULL));
  ck_assert_int_eq(f.runs.prune, 2);
  end(&f);
}
END_TEST

static void again_because(Fixture *f, const StepRequest *r, const char *why) {
  StepLog log;
  sb_clear(&f->log);
  ck_assert_msg(run(f, r, &log), "%s", diag_text(f->d));
  ck_assert_str_eq(log.why, why);
  const char *line = arena_printf(f->a, "prune m4: again, because %s\n", why);
  ck_assert_msg(strstr(f->log.s, line) != NULL, "got %s, want %s", f->log.s, line);
  ck_assert(run(f, r, &log));
  ck_assert_msg(log.hit, "after %s: not kept", why);
}

START_TEST(test_why)
{
  static const char *const names[] = {"teacher", "board"};
  Fixture f;
  begin(&f, "why");
  Artifact in[2] = {data_of("a"), data_of("b")}, other[2] = {data_of("a"), data_of("c")};
  StepRequest r = request(&f, &prune_kind, in, 2);
  ck_assert(run(&f, &r, NULL));
  r.params = "macs=0.4";
  again_because(&f, &r, "parameters changed (\"macs=0.4\", was \"macs=0.5\")");
  r.in = other;
  again_because(&f, &r, "data 2 changed");
  f.prints[1].hash = "23";
  again_because(&f, &r, "passes/prune.c changed");
  r.seed = 5;
  f.prints[2].hash = "34";
  again_because(&f, &r, "passes/prune.h changed, seed changed (\"5\", was \"1\")");
  r.in_names = names;
  r.in = in;
  again_because(&f, &r, "teacher is new, board is new, data is gone and 1 more");
  r.n_in = 1;
  again_because(&f, &r, "board is gone");
  ck_assert(cache_clear(f.env.cache, f.d));
  StepLog log;
  ck_assert(run(&f, &r, &log));
  ck_assert_str_eq(log.why, "first time");
  end(&f);
}
END_TEST

START_TEST(test_damaged_entry)
{
  Fixture f;
  begin(&f, "damaged");
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &prune_kind, in, 1);
  ck_assert(run(&f, &r, NULL));
  char hex[HASH_HEX];
  hash_hex(step_key(&f.env, &r), hex);
  const char *path = arena_printf(f.a, "%s/%.2s/%s", cache_dir(f.env.cache), hex, hex);
  size_t n;
  char *bytes = test_read_file(path, &n);
  ck_assert_ptr_nonnull(bytes);
  bytes[n / 2] ^= 1;
  test_write_file(path, bytes, n);
  free(bytes);
  again_because(&f, &r, "its entry is gone from the cache");
  ck_assert_int_eq(f.runs.prune, 2);
  end(&f);
}
END_TEST

START_TEST(test_failure_is_not_kept)
{
  Fixture f;
  begin(&f, "fail");
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &prune_kind, in, 1);
  f.runs.fail = true;
  ck_assert(!run(&f, &r, NULL));
  ck_assert_int_eq(diag_count(f.d), 1);
  f.runs.fail = false;
  diag_clear(f.d);
  StepLog log;
  ck_assert(run(&f, &r, &log));
  ck_assert(!log.hit);
  Host host = f.host;
  host.cancelled = is_cancelled;
  r.host = &host;
  ck_assert(run(&f, &r, &log)); /* what is there costs nothing */
  r.seed = 2;
  ck_assert(!run(&f, &r, &log));
  ck_assert_msg(strstr(diag_text(f.d), "cancelled") != NULL, "got %s", diag_text(f.d));
  end(&f);
}
END_TEST

/* The result is there although the cache's folder is gone and cannot be made: a warning, no error. */
START_TEST(test_cannot_be_kept)
{
  Fixture f;
  begin(&f, "unkept");
  const char *dir = cache_dir(f.env.cache);
  ck_assert(file_remove_tree(dir));
  test_write_file(dir, "in the way", 10);
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &prune_kind, in, 1);
  ck_assert(run(&f, &r, NULL));
  ck_assert_int_eq(diag_count(f.d), 0);
  ck_assert_msg(strstr(diag_text(f.d), "warning: the result of step prune is not kept") != NULL, "got %s",
                diag_text(f.d));
  end(&f);
}
END_TEST

/* ---- Chains */

/* prune(model, board) -> train(pruned, data) */
static void chain(Fixture *f, const char *model, const char *data, const char *params) {
  Artifact in[1] = {data_of(model)}, pruned[STEP_MAX_OUT], mid[2];
  int n = 0;
  StepRequest prune = request(f, &prune_kind, in, 1);
  prune.params = params;
  ck_assert_msg(step_run(&f->env, &prune, pruned, &n, NULL, f->d), "%s", diag_text(f->d));
  mid[0] = pruned[0];
  mid[1] = data_of(data);
  StepRequest train = request(f, &train_kind, mid, 2);
  train.params = "lr=0.1";
  ck_assert_msg(run(f, &train, NULL), "%s", diag_text(f->d));
  for (int i = 0; i < n; i++) artifact_unref(&pruned[i]);
}

static void ran(Fixture *f, int prune, int train, const char *after) {
  ck_assert_msg(f->runs.prune == prune && f->runs.train == train,
                "after %s: prune ran %d times, train %d; want %d, %d", after, f->runs.prune, f->runs.train,
                prune, train);
  f->runs = (Runs){0};
}

START_TEST(test_chain)
{
  Fixture f;
  begin(&f, "chain");
  chain(&f, "m", "d", "macs=0.5"), ran(&f, 1, 1, "the first run");
  chain(&f, "m", "d", "macs=0.5"), ran(&f, 0, 0, "no change");
  chain(&f, "m", "e", "macs=0.5"), ran(&f, 0, 1, "new data");
  chain(&f, "n", "d", "macs=0.5"), ran(&f, 1, 1, "a new model");
  chain(&f, "m", "d", "macs=0.4"), ran(&f, 1, 1, "a new parameter");
  f.prints[3].hash = "45";
  chain(&f, "m", "d", "macs=0.5"), ran(&f, 0, 1, "an edit of the engine");
  f.prints[1].hash = "23"; /* prunes the same: what comes after need not run again */
  chain(&f, "m", "d", "macs=0.5"), ran(&f, 1, 0, "an edit of the pass that changes no result");
  f.env.abi = "avx512";
  chain(&f, "m", "d", "macs=0.5"), ran(&f, 0, 1, "another machine");
  end(&f);
}
END_TEST

START_TEST(test_two_processes)
{
  Fixture f;
  begin(&f, "processes");
  Artifact in[1] = {data_of("a")};
  StepRequest r = request(&f, &prune_kind, in, 1);
  pid_t child[3];
  for (int i = 0; i < 3; i++) {
    child[i] = fork();
    if (child[i] == 0) {
      bool ok = true;
      for (r.seed = 0; r.seed < 10; r.seed++) ok = run(&f, &r, NULL) && ok;
      _exit(ok && diag_text(f.d)[0] == 0 ? 0 : 1);
    }
  }
  for (int i = 0; i < 3; i++) {
    int status;
    ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  StepLog log;
  for (r.seed = 0; r.seed < 10; r.seed++) ck_assert(run(&f, &r, &log) && log.hit);
  end(&f);
}
END_TEST

/* ---- Names */

#define NET(file, x, y)                                                                                 \
  "graph \"" file "\"\n%1 = input : f32[N,4] \"" x "\"\n%2 = Relu(%1) : f32[N,4] \"" y "\" loc(\"" file \
  ".onnx\", 3, \"" y "\", \"Relu\")\noutput %2\n"

/* A pass: the same graph behind one more Relu, which keeps names of its own. */
static bool run_pass(const StepCall *call, Artifact *out, int *n_out, Diag *d) {
  Runs *runs = call->env;
  runs->prune++;
  Graph *g = artifact_graph(&call->in[0], d);
  TRY(g != NULL);
  ValId last = g->outputs[0];
  g->n_outputs = 0;
  graph_output(g, graph_node1(g, OP_relu, NULL, last, "added", NULL, d));
  out[(*n_out)++] = artifact_from_graph(g);
  graph_free(g);
  return true;
}

static Artifact graph_text(Fixture *f, const char *text) {
  Graph *g = graph_parse(text, "net.ir", f->d);
  ck_assert_msg(g != NULL, "%s", diag_text(f->d));
  Artifact art = artifact_from_graph(g);
  graph_free(g);
  return art;
}

START_TEST(test_names_are_bound_again)
{
  static const StepKind kind = {.name = "pass", .sources = prune_sources, .run = run_pass};
  Fixture f;
  begin(&f, "names");
  Artifact one = graph_text(&f, NET("one", "image", "act")),
           two = graph_text(&f, NET("two", "pixels", "relu_7"));
  ck_assert(hash_equal(one.hash, two.hash));
  Artifact out[STEP_MAX_OUT];
  int n = 0;
  StepRequest r = request(&f, &kind, &one, 1);
  ck_assert_msg(step_run(&f.env, &r, out, &n, NULL, f.d), "%s", diag_text(f.d));
  Hash made = out[0].hash;
  artifact_unref(&out[0]);
  r.in = &two;
  StepLog log;
  ck_assert_msg(step_run(&f.env, &r, out, &n, &log, f.d), "%s", diag_text(f.d));
  ck_assert(log.hit);
  ck_assert(hash_equal(out[0].hash, made));
  Graph *g = artifact_graph(&out[0], f.d);
  ck_assert_ptr_nonnull(g);
  ck_assert_str_eq(g->name, "two");
  ck_assert_str_eq(g->vals[g->inputs[0]].name, "pixels");
  ck_assert_str_eq(g->vals[g->nodes[0].out[0]].name, "relu_7");
  ck_assert_str_eq(g->vals[g->outputs[0]].name, "added");
  ck_assert_str_eq(g->nodes[0].loc.file, "two.onnx");
  ck_assert_str_eq(g->nodes[0].loc.name, "relu_7");
  ck_assert_int_eq(f.runs.prune, 1);
  graph_free(g);
  artifact_unref(&out[0]);
  artifact_unref(&one);
  artifact_unref(&two);
  end(&f);
}
END_TEST

START_TEST(test_names_in_the_key)
{
  Fixture f;
  begin(&f, NULL);
  Artifact one = graph_text(&f, NET("one", "image", "act")),
           two = graph_text(&f, NET("two", "pixels", "relu_7"));
  StepKind plain = {.name = "emit", .sources = prune_sources, .run = run_pass}, named = plain;
  named.names = true;
  StepRequest a = request(&f, &plain, &one, 1), b = request(&f, &plain, &two, 1);
  ck_assert(hash_equal(step_key(&f.env, &a), step_key(&f.env, &b)));
  a.kind = b.kind = &named;
  ck_assert(!hash_equal(step_key(&f.env, &a), step_key(&f.env, &b)));
  artifact_unref(&one);
  artifact_unref(&two);
  end(&f);
}
END_TEST

/* Sources that were once forgotten: what a kind runs is in its key. */
START_TEST(test_kinds_name_what_they_run)
{
  static const struct {
    const StepKind *kind;
    const char *path;
  } runs[] = {
      {&step_insert, "passes/channels_label.c"}, {&step_insert, "passes/pipeline.c"},
      {&step_importance, "passes/pipeline.c"},   {&step_importance, "passes/pass.h"},
      {&step_plan, "passes/prune_apply.c"},      {&step_plan, "passes/prune_cut.c"},
      {&step_plan, "passes/prune_steps.c"},      {&step_plan, "passes/qat_strip.c"},
      {&step_prune, "passes/pipeline.c"},        {&step_retrain, "passes/pipeline.c"},
      {&step_finish, "passes/qat_strip.c"},      {&step_finish, "passes/calibrate_range.c"},
      {&step_score, "passes/pipeline.c"},        {&step_table, "passes/pipeline.c"},
      {&step_rebuild, "passes/pipeline.c"},      {&step_allocate, "passes/qat_strip.c"},
      {&step_allocate, "passes/prune_steps.c"},
  };
  for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
    bool named = false;
    for (const char *const *s = runs[i].kind->sources; *s; s++)
      named |= strncmp(runs[i].path, *s, strlen(*s)) == 0;
    ck_assert_msg(named, "%s: %s", runs[i].kind->name, runs[i].path);
  }
}
END_TEST

Suite *suite_step_keys(void) {
  Suite *s = suite_create("step_keys");
  TCase *t = tcase_create("step_keys");
  tcase_add_test(t, test_each_component);
  tcase_add_test(t, test_numeric);
  tcase_add_test(t, test_this_machine);
  tcase_add_test(t, test_hit_has_the_same_bytes);
  tcase_add_test(t, test_slots_share);
  tcase_add_test(t, test_no_cache);
  tcase_add_test(t, test_why);
  tcase_add_test(t, test_damaged_entry);
  tcase_add_test(t, test_failure_is_not_kept);
  tcase_add_test(t, test_failure_is_not_kept);
  tcase_add_test(t, test_cannot_be_kept);
  tcase_add_test(t, test_chain);
  tcase_add_test(t, test_two_processes);
  tcase_add_test(t, test_names_are_bound_again);
  tcase_add_test(t, test_names_in_the_key);
  tcase_add_test(t, test_kinds_name_what_they_run);
  suite_add_tcase(s, t);
  return s;
}
