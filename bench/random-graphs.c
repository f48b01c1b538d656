/* Random graphs by the thousand: what the suite `random` checks for a few hundred (tests/random/random.h).
 *
 *   bench/random-graphs [graphs, 5000] [first seed, 1] [compiler flags]      writes bench/results/random-graphs.json
 *
 * Prints how often each operator was made and why drafts were refused, then what failed. Exit status 1 if anything did.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "bench/support.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "tests/random/random.h"

static const char result_path[] = "bench/results/random-graphs.json";

static void print_counts(const RandomReport *r) {
  printf("%-20s %8s %8s  last refusal\n", "operator", "made", "refused");
  for (int op = 0; op < OP_COUNT; op++)
    printf("%-20s %8lld %8lld  %.100s\n", op_info((OpKind)op)->name, (long long)r->counts.made[op],
           (long long)r->counts.refused[op], r->counts.reason[op]);
}

static void result(JsonWriter *w, const char *metric, int64_t value, const char *unit) {
  json_object(w);
  json_kstr(w, "case", "random graphs");
  json_kstr(w, "metric", metric);
  json_kint(w, "value", value);
  json_kstr(w, "unit", unit);
  json_end(w);
}

static bool write_results(const RandomReport *r, uint64_t seed) {
  JsonWriter w = {0};
  StrBuf b = {0};
  struct utsname machine = {0};
  char day[32];
  time_t now = time(NULL);
  uname(&machine);
  strftime(day, sizeof day, "%Y-%m-%d", gmtime(&now));
  json_begin(&w, &b, true);
  json_object(&w);
  json_kstr(&w, "machine", machine.machine);
  json_kstr(&w, "date", day);
  json_kint(&w, "first_seed", (int64_t)seed);
  json_karray(&w, "results");
  result(&w, "graphs, emitted C against evaluator", r->graphs, "graphs");
  result(&w, "of them with int8 values", r->int8, "graphs");
  result(&w, "of them equal byte for byte", r->bytes_equal, "graphs");
  result(&w, "graphs, engine against evaluator", r->engine, "graphs");
  result(&w, "failed", r->failed, "graphs");
  json_end(&w);
  json_end(&w);
  Diag *d = diag_new();
  bool ok = file_make_dirs("bench/results", d) && file_write(result_path, b.s, b.len, d);
  diag_print(d, stderr);
  diag_free(d);
  sb_free(&b);
  return ok;
}

static int given;
static char **words;
static bool all_well;

static bool run(int argc, char **argv) {
  int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  const char *flags = argc > 3 ? argv[3] : "-O1", *missing = random_missing();
  static RandomReport r;
  if (n < 1) return false;
  char *dir = bench_temp_dir();
  if (missing) printf("no generator: %s\n", missing);
  for (int at = 0; at < n; at += 500) {
    random_run(seed + (uint64_t)at, n - at < 500 ? n - at : 500, dir, flags, &r);
    fprintf(stderr, "%d of %d graphs, %d failed\n", r.graphs, n, r.failed);
  }
  print_counts(&r);
  printf("%s\n%d graphs (%d with int8) as emitted C: %d equal byte for byte; engine: %d, not comparable: %d; "
         "failed: %d\n",
         sb_str(&r.why), r.graphs, r.int8, r.bytes_equal, r.engine, r.engine_skipped, r.failed);
  bool ok = write_results(&r, seed) && r.failed == 0 && !missing;
  file_remove_tree(dir);
  free(dir);
  random_report_free(&r);
  return ok;
}

/* The table of samples (tests/ir/samples.c) uses Check's assertions, which want a runner around them. */
START_TEST(random_graphs)
{ all_well = run(given, words); }
END_TEST

int main(int argc, char **argv) {
  given = argc;
  words = argv;
  Suite *s = suite_create("random-graphs");
  TCase *t = tcase_create("random-graphs");
  tcase_set_timeout(t, 0);
  tcase_add_test(t, random_graphs);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_set_fork_status(r, CK_NOFORK);
  srunner_run_all(r, CK_SILENT);
  srunner_free(r);
  return all_well ? 0 : 1;
}
