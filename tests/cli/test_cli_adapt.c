/* `mistify adapt` and `mistify privacy` as their users meet them: re-tailoring, a private and an open exchange between two
 * sites, budgets that stop a run before anything is emitted.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/tensor.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_adapt(void);

static void open_task(Arena *a) {
  task_open(a);
  task_write_net(a, "large.ir", 9, "classes");
  task_write_text(
      a, "site.yaml",
      "local: {kind: npy, x: train_x.npy, y: train_y.npy}\npublic: {kind: npy, x: val_x.npy}\n"
      "others: {kind: npy, x: test_x.npy, y: test_y.npy}\nnormalize: {mean: 0.5, std: 0.5}\nclasses: 4\n");
  task_write_text(a, "bare.yaml", "local: {kind: npy, x: train_x.npy}\nnormalize: {mean: 0.5, std: 0.5}\n");
}

/* What a line of shell prints; it must succeed. The caller frees. */
static char *said(Arena *a, const char *line) {
  char *out;
  const int status = task_shell(a, line, &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", line, status, out);
  return out;
}

static void must_say(Arena *a, const char *line, const char *words) {
  char *out = said(a, line);
  ck_assert_msg(strstr(out, words), "%s: no \"%s\" in:\n%s", line, words, out);
  free(out);
}

START_TEST(costs_are_told)
{
  Arena *a = arena_new();
  must_say(a, "$M privacy --n 60000 --batch 256 --sigma 1.1 --epochs 60 --delta 1e-5",
           "tables use: epsilon 3.008");
  must_say(a, "$M privacy --n 60000 --batch 256 --sigma 1.1 --epochs 60 --delta 1e-5",
           "`mistify adapt` would refuse it");
  must_say(a, "$M privacy --n 5000 --rate 0.05 --steps 200 --epsilon 2 --json", "\"sigma\": ");
  task_want_error(a, "$M privacy --n 5000 --rate 0.05 --steps 200", "want --sigma");
  /* Five and a half steps are six. */
  must_say(a, "$M privacy --n 100 --rate 0.2 --epochs 1.1 --sigma 1 --json", "\"steps\": 6");
  must_say(a, "$M privacy --n 100 --rate 0.2 --epochs 1 --sigma 1 --json", "\"steps\": 5");
  task_want_error(a, "$M privacy --n 50 --batch 60 --steps 2 --sigma 1", "more than the 50 records");
  arena_free(a);
}
END_TEST

START_TEST(a_model_is_re_tailored)
{
  Arena *a = arena_new();
  open_task(a);
  must_say(a, "$M adapt $T/net.ir --data $T/site.yaml --epochs 2 -o $T/a.ir -j 1", "beside 1 teacher");
  must_say(a, "$M adapt $T/net.ir --data $T/bare.yaml --teacher $T/large.ir --epochs 1 -o $T/b.ir --json",
           "\"teachers\": 2");
  task_must(
      a,
      "mkdir $T/here && sed 's/: \\(train\\|val\\|test\\)_/: ..\\/\\1_/g' $T/site.yaml > $T/here/site.yaml");
  task_must(a, "$M adapt $T/net.ir --data $T/here --epochs 2 -o $T/c.ir -j 2 --quiet");
  must_say(a, "$M adapt $T/net.ir --data $T/site.yaml --epochs 0 -o $T/d.ir --json", "\"images\": 0");
  task_must(a, "$M adapt $T/net.ir --data $T/site.yaml --epochs 0 -o $T/d.ir > $T/text && grep -q "
               "'re-tailored' $T/text && "
               "! grep 'as they are' $T/text"); /* no epoch, no hint about its images */
  task_must(a, "cmp $T/a.ir $T/c.ir");          /* threads, and where the file lies, change nothing */
  /* By itself: what the benchmark chose. That images are augmented is site.yaml's to say. */
  must_say(a, "$M adapt $T/net.ir --data $T/site.yaml -o $T/e.ir", "images were taken as they are");
  task_must(a, "$M adapt $T/net.ir --data $T/site.yaml --epochs 4 --lr 0.008 -o $T/f.ir --quiet && "
               "cmp $T/e.ir $T/f.ir && ! cmp -s $T/a.ir $T/e.ir");
  task_must(a, "cd $T && { cat site.yaml; echo 'augment: {crop: 1}'; } > moved.yaml && "
               "$M adapt net.ir --data moved.yaml -o g.ir > text && ! grep 'as they are' text");
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml", "want -o OUT");
  task_want_error(a, "$M adapt $T/net.ir -o $T/x.ir", "want --data");
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml -o $T/x.ir --epsilon 2",
                  "want --exchange out=FILE");
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml --exchange to=x -o $T/x.ir",
                  "want out=FILE once");
  must_say(a, "$M adapt --help", "keys of site.yaml");
  arena_free(a);
}
END_TEST

START_TEST(an_open_exchange_says_so)
{
  Arena *a = arena_new();
  char *out;
  open_task(a);
  out = said(a, "$M adapt $T/net.ir --data $T/site.yaml --exchange out=$T/a.up -o $T/own.ir --seed 3 2>&1");
  ck_assert_msg(strstr(out, "no formal guarantee") && strstr(out, "membership attack: AUC"), "%s", out);
  free(out);
  must_say(a, "grep -ac 'no formal guarantee' $T/a.up", "1");
  task_must(a, "$M adapt $T/net.ir --exchange in=$T/a.up -o $T/merged.ir --quiet");
  must_say(a, "$M adapt $T/net.ir --data $T/site.yaml --exchange out=$T/b.up --weight 3 --json --quiet",
           "\"attack_auc_gain\"");
  task_must(a, "$M adapt $T/net.ir --exchange in=$T/a.up in=$T/b.up -o $T/both.ir --quiet");
  task_must(a, "test $(stat -c %s $T/a.up) = $(stat -c %s $T/b.up)");
  task_want_error(a, "$M adapt $T/large.ir --exchange in=$T/a.up -o $T/x.ir", "belongs to another model");
  task_want_error(a, "$M adapt $T/net.ir --data $T/bare.yaml --exchange out=$T/x.up", "have no labels");
  must_say(a, "$M adapt $T/net.ir --data $T/bare.yaml --teacher $T/large.ir --exchange out=$T/c.up",
           "no formal guarantee");
  /* Outputs on the public set; the learning rate is of all that learns. */
  for (int i = 1; i < 3; i++)
    task_must(a, arena_printf(a,
                              "$M adapt $T/net.ir --data $T/site.yaml --share outputs --epochs 1 --lr 0.0%d "
                              "--seed 3 --exchange out=$T/%d.out --quiet",
                              i, i));
  task_must(a, "! cmp -s $T/1.out $T/2.out");
  task_must(
      a, "$M adapt $T/net.ir --data $T/site.yaml --share outputs --epochs 1 --exchange out=$T/a.out --quiet");
  /* Where a tenth is kept back for the attack, what is told is what learned. */
  task_must(
      a, "cd $T && grep -v others site.yaml > lots.yaml && $M adapt net.ir --data lots.yaml --share outputs "
         "--epochs 1 --exchange out=lots.out --quiet > text && "
         "grep 're-tailored with 270 local examples' text && grep '270 learnt from, 30 not' text || "
         "{ cat text; exit 1; }");
  task_must(
      a, "$M adapt $T/net.ir --data $T/site.yaml --share outputs --exchange in=$T/a.out -o $T/y.ir --quiet");
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml --exchange in=$T/a.out -o $T/x.ir",
                  "want an update");
  arena_free(a);
}
END_TEST

#define PRIVATE \
  "$M adapt $T/net.ir --data $T/site.yaml --counter $T/state --ledger $T/site.ledger --steps 50 "

START_TEST(a_private_exchange_keeps_its_budget)
{
  Arena *a = arena_new();
  char *out;
  open_task(a);
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml --exchange out=$T/a.up --epsilon 2",
                  "wants a ledger");
  must_say(a, PRIVATE "--epsilon 2 --budget 4 --plan", " of 4, at delta");
  must_say(a, PRIVATE "--epsilon 2 --budget 4 --plan --json", "\"refused\": false");
  task_want_error(a, PRIVATE "--epsilon 4 --budget 2 --plan", "would exceed the budget");
  task_want_error(a, PRIVATE "--epsilon 2 --delta 0.1 --plan", "more than 1 / (10 n)");
  task_want_error(a, PRIVATE "--sigma 2 --plan", "wants a budget");
  task_want_error(a, PRIVATE "--epsilon 2 --plan --exchange in=$T/x.up", "--plan is of what is emitted");
  task_must(a, "test ! -e $T/site.ledger");
  out = said(a, PRIVATE "--epsilon 2 --budget 4 --exchange out=$T/a.up 2>&1");
  ck_assert_msg(strstr(out, "is spent at delta 0.000333") && !strstr(out, "NOT PRIVATE") &&
                    !strstr(out, "attack"),
                "%s", out);
  free(out);
  must_say(a, "grep -ac 'differential privacy' $T/a.up", "1");
  /* Nearly 2 is spent, in all; more goes up to the budget, not beyond. */
  task_want_error(a, PRIVATE "--epsilon 1.5 --exchange out=$T/b.up", "is spent already");
  task_must(a, PRIVATE "--epsilon 3.9 --exchange out=$T/b.up --quiet");
  task_want_error(a, PRIVATE "--epsilon 9 --exchange out=$T/c.up", "would exceed the budget");
  task_want_error(a, PRIVATE "--sigma 1 --exchange out=$T/c.up", "would exceed the budget");
  task_must(a, "test ! -e $T/c.up && test $(wc -l < $T/site.ledger) = 3");
  task_want_error(a, PRIVATE "--exchange out=$T/c.up", "would end all that");
  task_want_error(a, PRIVATE "--epsilon 9 --delta 0.01 --exchange out=$T/c.up", "more than 1 / (10 n)");
  /* Rolled back, and gone. */
  task_must(a, "cp $T/site.ledger $T/kept && head -2 $T/kept > $T/site.ledger");
  task_want_error(a, PRIVATE "--epsilon 3.95 --exchange out=$T/c.up", "rolled back");
  task_must(a, "rm $T/site.ledger");
  task_want_error(a, PRIVATE "--epsilon 2 --exchange out=$T/c.up", "the ledger is gone");
  task_must(a, "test ! -e $T/c.up && $M adapt $T/net.ir --exchange in=$T/a.up in=$T/b.up -o $T/m.ir --quiet");
  arena_free(a);
}
END_TEST

/* What would emit without noise, or noise that nobody counts, is refused. */
START_TEST(nothing_goes_around_the_ledger)
{
  Arena *a = arena_new();
  open_task(a);
  task_want_error(a, PRIVATE "--epsilon 0 --exchange out=$T/a.up", "--epsilon 0: want more than 0");
  task_want_error(a, PRIVATE "--sigma 0.0 --exchange out=$T/a.up", "--sigma 0: want more than 0");
  task_want_error(a, PRIVATE "--epsilon 2 --budget 0 --exchange out=$T/a.up", "--budget 0: want more than 0");
  task_want_error(a, "$M adapt $T/net.ir --data $T/site.yaml --epsilon 0 --exchange out=$T/a.up",
                  "--epsilon 0: want more than 0");
  task_want_error(a, PRIVATE "--epsilon 2 --seed 7 --exchange out=$T/a.up", "want --seed or --ledger");
  task_want_error(a, PRIVATE "--epsilon 2 --teacher $T/large.ir --exchange out=$T/a.up",
                  "teachers may have learnt the very data");
  task_must(a, "test ! -e $T/a.up && test ! -e $T/site.ledger");
  /* A model that learnt openly what the ledger's model did not. */
  task_must(a, PRIVATE "--epsilon 1 --budget 4 --exchange out=$T/a.up --quiet");
  task_want_error(a, PRIVATE "--epsilon 2 --seed 7 --exchange out=$T/b.up", "want --seed or --ledger");
  task_must(a, "$M adapt $T/net.ir --data $T/site.yaml --epochs 1 -o $T/own.ir --quiet");
#define OWN "$M adapt $T/own.ir --data $T/site.yaml --counter $T/state --ledger $T/site.ledger --steps 50 "
  task_want_error(a, OWN "--epsilon 2 --plan", "no earlier run of");
  task_want_error(a, OWN "--share outputs --epsilon 2 --exchange out=$T/b.up", "no earlier run of");
  task_must(a, "test ! -e $T/b.up && test $(wc -l < $T/site.ledger) = 2");
  task_must(a, OWN "--independent --teacher $T/large.ir --epsilon 2 --exchange out=$T/b.up --quiet");
  task_must(a, PRIVATE "--epsilon 3 --exchange out=$T/c.up --quiet");
  arena_free(a);
}
END_TEST

/* The attack's others are drawn by lot: of data sorted by class the last tenth would be one class alone, and a model that has
 * never seen it would look as though it knew members by heart. */
START_TEST(sorted_data_do_not_fool_the_attack)
{
  enum { N = 200 };
  Arena *a = arena_new();
  Shape xs = shape_of(4, (int64_t)N, (int64_t)8, (int64_t)8, (int64_t)1), ys = shape_of(1, (int64_t)N);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I32, &ys);
  Diag *d = diag_new();
  open_task(a);
  for (int i = 0; i < N * 64; i++) {
    const int e = i / 64, k = i % 64, c = e < N / 10 ? 0 : e < N / 2 ? 1 : e < N - N / 10 ? 2 : 3;
    ((int32_t *)y.data)[e] = c; /* which quarter is bright */
    ((uint8_t *)x.data)[i] = (uint8_t)(i * 7 % 50 + (k / 32 == c / 2 && k % 8 / 4 == c % 2 ? 120 : 0));
  }
  ck_assert(npy_write(task_path(a, "sorted_x.npy"), &x, d) && npy_write(task_path(a, "sorted_y.npy"), &y, d));
  task_write_text(a, "sorted.yaml",
                  "local: {kind: npy, x: sorted_x.npy, y: sorted_y.npy}\n"
                  "normalize: {mean: 0.5, std: 0.5}\nclasses: 4\n");
  char *out =
      said(a, "$M adapt $T/net.ir --data $T/sorted.yaml --exchange out=$T/a.up --seed 3 --json --quiet");
  const char *at = strstr(out, "\"attack_auc_gain\": ");
  ck_assert_ptr_nonnull(at);
  const double auc = strtod(strchr(at, ':') + 1, NULL);
  ck_assert_msg(auc > 0.25 && auc < 0.75, "AUC %g", auc);
  free(out);
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(a_seeded_run_is_not_private)
{
  Arena *a = arena_new();
  open_task(a);
  for (int i = 0; i < 2; i++)
    must_say(a,
             arena_printf(a,
                          "$M adapt $T/net.ir --data $T/site.yaml --steps 50 --epsilon 2 --seed 7 "
                          "--exchange out=$T/%d.up --quiet 2>&1",
                          i),
             "NOT PRIVATE");
  task_must(a, "cmp $T/0.up $T/1.up");
  must_say(a, "grep -ac 'no formal guarantee' $T/0.up", "1");
  task_must(a, "test ! -e $T/site.ledger");
  for (int i = 0; i < 2; i++)
    task_must(a,
              arena_printf(a, PRIVATE "--epsilon %d --budget 9 --exchange out=$T/%d.up --quiet", 2 + i, i));
  task_must(a, "! cmp -s $T/0.up $T/1.up");
  arena_free(a);
}
END_TEST

Suite *suite_cli_adapt(void) {
  Suite *s = suite_create("cli_adapt");
  TCase *t = tcase_create("adapt");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, costs_are_told);
  tcase_add_test(t, a_model_is_re_tailored);
  tcase_add_test(t, an_open_exchange_says_so);
  tcase_add_test(t, a_private_exchange_keeps_its_budget);
  tcase_add_test(t, nothing_goes_around_the_ledger);
  tcase_add_test(t, sorted_data_do_not_fool_the_attack);
  tcase_add_test(t, a_seeded_run_is_not_private);
  suite_add_tcase(s, t);
  return s;
}
