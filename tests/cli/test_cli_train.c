/* `mistify train` as its users meet it: killed and started again, with a teacher whose bank is cached, an autoencoder. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_train(void);

START_TEST(killed_and_started_again)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml",
                    "train: {epochs: 150, batch: 16, optimizer: adamw, lr: 1e-3, average: 0.99}\n"
                    "data:\n  classes: 4\n  augment: {crop: 1, noise: 0.1}\n");
  task_must(a, "$M train $T/design.yaml -o $T/one.ir -j 1 --quiet");
  for (int i = 0; i < 3; i++) /* a third of the run each, and then once more within an epoch */
    task_must(a, arena_printf(
                     a,
                     "$M train $T/design.yaml -o $T/two.ir -j %d --quiet --checkpoint $T/run.ckpt "
                     "--checkpoint-every 0.001 --log $T/log & P=$!\n"
                     "while kill -0 $P && [ $(cat $T/log 2>/dev/null | wc -l) -lt %d ]; do sleep 0.01; done\n"
                     "kill -KILL $P; wait $P; test ! -e $T/two.ir",
                     1 + i % 2, 20 * (i + 1)));
  task_must(a, "$M train $T/design.yaml -o $T/two.ir -j 2 --quiet --checkpoint $T/run.ckpt --log $T/log");
  task_must(a, "cmp $T/one.ir $T/two.ir");
  task_must(a, "test $(wc -l < $T/log) = 150 && test $(sort -u $T/log | wc -l) = 150");
  task_must(a, "test -z \"$(ls $T | grep tmp)\""); /* nor what killed writers left */
  task_want_error(a, "$M train $T/design.yaml -o $T/x.ir --checkpoint $T/run.ckpt --seed 5",
                  "made with \"seed=1\"");
  task_want_error(a, "$M train $T/design.yaml -o $T/x.ir --checkpoint $T/net.ir",
                  "is no checkpoint, or a damaged one");
  arena_free(a);
}
END_TEST

START_TEST(a_teachers_bank_is_kept)
{
  Arena *a = arena_new();
  char *out;
  task_open(a);
  task_write_net(a, "teacher.ir", 2, "classes");
  task_write_design(a, "design.yaml",
                    "train: {epochs: 2, batch: 16, lr: 0.01, teachers: teacher.ir, views: 3}\n"
                    "data:\n  classes: 4\n  augment: {crop: 1}\n");
  task_must(a, "$M train $T/design.yaml -o $T/one.ir --quiet --cache $T/cache");
  ck_assert_int_eq(task_shell(a, "$M cache ls --cache $T/cache", &out), 0);
  ck_assert_msg(strstr(out, "bank") != NULL, "no bank in the cache:\n%s", out);
  free(out);
  task_must(a, "$M train $T/design.yaml -o $T/two.ir --quiet --cache $T/cache"); /* from the cache */
  task_must(a, "$M train $T/design.yaml -o $T/three.ir --quiet");                /* in memory */
  task_must(a, "cmp $T/one.ir $T/two.ir && cmp $T/one.ir $T/three.ir");
  task_write_design(a, "features.yaml",
                    "train: {epochs: 1, lr: 0.01, teachers: teacher.ir, features: middle, mix: 0}\n"
                    "data:\n  classes: 4\n");
  task_must(a, "$M train $T/features.yaml -o $T/x.ir --quiet");
  arena_free(a);
}
END_TEST

START_TEST(autoencoders)
{
  Arena *a = arena_new();
  char *out;
  task_open(a);
  task_write_net(a, "net.ir", 1, "input");
  task_write_design(
      a, "design.yaml",
      "task: autoencoder\ntrain: {epochs: 3, optimizer: adamw, lr: 1e-3}\ndata:\n  augment: {noise: 0.2}\n");
  ck_assert_int_eq(task_shell(a, "$M train $T/design.yaml -o $T/x.ir --quiet", &out), 0);
  ck_assert_msg(strstr(out, "accuracy") == NULL, "an autoencoder has no accuracy:\n%s", out);
  free(out);
  task_write_text(a, "deploy.yaml", "design: design.yaml\ntargets:\n  - {name: pc, target: x86-64}\n");
  task_want_error(a, "$M tailor $T/deploy.yaml --quiet", "an autoencoder has none");
  arena_free(a);
}
END_TEST

/* Run, and the output is to have these words. */
static void want_words(Arena *a, const char *line, const char *words) {
  char *out;
  int status = task_shell(a, line, &out);
  ck_assert_msg(status == 0 && strstr(out, words), "%s: status %d, no \"%s\" in:\n%s", line, status, words,
                out);
  free(out);
}

/* From training to firmware by AUC; three of four classes are called anomalies, which means little. */
START_TEST(anomalies)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_split(a, "val", 60, 5, 1);
  task_write_split(a, "test", 60, 6, 1);
  task_write_net(a, "wide.ir", 1, "input");
  task_write_text(
      a, "auc.yaml",
      "model: wide.ir\ntask: autoencoder\nmetric: auc\ninput: {type: float}\n"
      "train: {epochs: 3, optimizer: adamw, lr: 1e-3}\n"
      "freedom: {prune: {max: 0.9}, retrain: {epochs: 1, optimizer: adamw, lr: 1e-3}}\n"
      "data:\n  train: {kind: npy, x: train_x.npy}\n  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
      "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n  normalize: {mean: 0.5, std: 0.5}\n"
      "  calibration: 40\n");
  want_words(a, "$M train $T/auc.yaml -o $T/x.onnx --quiet", "validation AUC 0.");
  want_words(a, "$M eval $T/x.onnx --design $T/auc.yaml --split val", "AUC 0.");
  want_words(a, "$M eval $T/x.onnx --design $T/auc.yaml --target x86-64", "60 of the first 60");
  task_write_text(a, "deploy.yaml",
                  "design: auc.yaml\ntargets:\n  - {name: pc, target: x86-64, limits: {macs: 60%}, accuracy: "
                  "{min: 1%}}\n");
  want_words(a, "cd $T && $M tailor deploy.yaml --quiet -o out --cache cache",
             "AUC (in %) on the test split (60");
  want_words(a, "cd $T && $M tailor deploy.yaml --quiet --json -o out --cache cache", "\"auc\": 0.");
  arena_free(a);
}
END_TEST

START_TEST(help_names_the_keys)
{
  Arena *a = arena_new();
  char *out;
  ck_assert_int_eq(task_shell(a, "$M train --help", &out), 0);
  const char *words[] = {"--checkpoint FILE", "frequency_mask:", "optimizer: sgd or adamw",
                         "views:", "grow_stages:"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    ck_assert_msg(strstr(out, words[i]) != NULL, "no \"%s\" in:\n%s", words[i], out);
  free(out);
  arena_free(a);
}
END_TEST

Suite *suite_cli_train(void) {
  Suite *s = suite_create("cli_train");
  TCase *t = tcase_create("cli_train");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, killed_and_started_again);
  tcase_add_test(t, a_teachers_bank_is_kept);
  tcase_add_test(t, autoencoders);
  tcase_add_test(t, anomalies);
  tcase_add_test(t, help_names_the_keys);
  suite_add_tcase(s, t);
  return s;
}
