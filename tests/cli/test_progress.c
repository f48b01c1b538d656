/* Progress: the bar's text, plain lines where there is no terminal, silence with --quiet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/progress.h"
#include "tests/support.h"

START_TEST(test_bar)
{
  static const struct {
    double done, seconds;
    const char *want;
  } cases[] = {{0, 0, "distill m4 [>                       ]   0%  epoch 1  0:00"},
               {0.5, 30, "distill m4 [============>           ]  50%  epoch 1  0:30, 0:30 left"},
               {0.25, 1800, "distill m4 [======>                 ]  25%  epoch 1  30:00, 1:30:00 left"},
               {1, 61, "distill m4 [========================] 100%  epoch 1  1:01"},
               {7, 1, "distill m4 [========================] 100%  epoch 1  0:01"},
               {-1, 1, "distill m4 [>                       ]   0%  epoch 1  0:01"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char got[200];
    progress_format(got, sizeof got, "distill m4", cases[i].done, "epoch 1", cases[i].seconds);
    ck_assert_str_eq(got, cases[i].want);
  }
  char small[8];
  progress_format(small, sizeof small, "distill", 0.5, NULL, 1);
  ck_assert_str_eq(small, "distill");
}
END_TEST

static char *shown(bool quiet) {
  char path[4200];
  snprintf(path, sizeof path, "%s/progress", test_tmp_dir());
  FILE *f = fopen(path, "w");
  ck_assert_ptr_nonnull(f);
  Progress p;
  progress_init(&p, f, quiet, 0);
  const Host *h = progress_host(&p);
  ck_assert_int_eq(h->threads, 1);
  h->log(h->ctx, "prune m4: runs");
  h->progress(h->ctx, "prune", 0, "");
  h->progress(h->ctx, "prune", 0.5, "layer 3"); /* too soon after the last one */
  h->progress(h->ctx, "prune", 1, "layer 9");
  h->log(h->ctx, "done");
  fclose(f);
  return test_read_file(path, NULL);
}

START_TEST(test_plain)
{
  char *got = shown(false);
  ck_assert_str_eq(got, "prune m4: runs\nprune: 100%, layer 9, 0:00\ndone\n");
  free(got);
}
END_TEST

START_TEST(test_quiet)
{
  char *got = shown(true);
  ck_assert_str_eq(got, "");
  free(got);
}
END_TEST

Suite *suite_progress(void) {
  Suite *s = suite_create("progress");
  TCase *t = tcase_create("progress");
  tcase_add_test(t, test_bar);
  tcase_add_test(t, test_plain);
  tcase_add_test(t, test_quiet);
  suite_add_tcase(s, t);
  return s;
}
