/* `mistify train` as its users meet it: killed and started again, with a teacher whose bank is cached, an autoencoder. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/tensor.h"
#include "tests/support.h"

Suite *suite_cli_train(void);

static const char *tmp(Arena *a, const char *name) { return path_join(a, test_tmp_dir(), name); }

/* Run a line of shell: $M is the program, $T this test's folder. Returns the status; *out as test_run_command. */
static int shell(Arena *a, const char *line, char **out) {
  return test_run_command(arena_printf(a, "T='%s'; M='%s'\n%s", test_tmp_dir(), test_mistify(), line), out);
}

static void must(Arena *a, const char *line) {
  char *out;
  int status = shell(a, line, &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", line, status, out);
  free(out);
}

/* A run that is to fail, with these words. */
static void want_error(Arena *a, const char *line, const char *words) {
  char *out;
  int status = shell(a, line, &out);
  ck_assert_msg(status == 1 && strstr(out, words), "%s: status %d, no \"%s\" in:\n%s", line, status, words,
                out);
  free(out);
}

/* n images [8,8,1] whose class is which quarter is bright; `last`: labels above are this one. */
static void write_split(Arena *a, const char *name, int64_t n, uint64_t seed, int32_t last) {
  Shape xs = shape_of(4, n, (int64_t)8, (int64_t)8, (int64_t)1), ys = shape_of(1, n);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I32, &ys);
  Rng r;
  rng_seed(&r, seed, 0);
  for (int64_t i = 0; i < n; i++) {
    int32_t c = (int32_t)rng_below(&r, 4);
    ((int32_t *)y.data)[i] = c < last ? c : last;
    for (int64_t k = 0; k < 64; k++)
      ((uint8_t *)x.data)[i * 64 + k] =
          (uint8_t)(rng_below(&r, 120) + (k / 32 == c / 2 && k % 8 / 4 == c % 2 ? 80 : 0));
  }
  Diag *d = diag_new();
  ck_assert_msg(npy_write(tmp(a, arena_printf(a, "%s_x.npy", name)), &x, d) &&
                    npy_write(tmp(a, arena_printf(a, "%s_y.npy", name)), &y, d),
                "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

static void write_text(Arena *a, const char *name, const char *text) {
  test_write_file(tmp(a, name), text, strlen(text));
}

/* A net of random weights, one per seed. */
static void write_net(Arena *a, const char *name, uint64_t seed, const char *head) {
  StrBuf b = {0};
  Rng r;
  rng_seed(&r, seed, 1);
  sb_puts(&b, "graph \"net\"\n%1 = input : f32[N,8,8,1] \"x\"\n%2 = const : f32[8,3,3,1] {");
  for (int i = 0; i < 72; i++) sb_printf(&b, "%s%.4f", i ? ", " : "", (double)rng_normal(&r) / 3);
  sb_puts(&b, "}\n%3 = Conv(%1, %2) {pads=[1,1,1,1], strides=[2,2], act=relu} : f32[N,4,4,8] \"middle\"\n"
              "%4 = Reshape(%3) {shape=[-1,128]}\n");
  int outs = strcmp(head, "classes") == 0 ? 4 : 64;
  sb_printf(&b, "%%5 = const : f32[%d,128] {", outs);
  for (int i = 0; i < outs * 128; i++) sb_printf(&b, "%s%.4f", i ? ", " : "", (double)rng_normal(&r) / 20);
  sb_puts(&b, "}\n%6 = FullyConnected(%4, %5)\noutput %6\n");
  write_text(a, name, sb_str(&b));
  sb_free(&b);
}

static void write_design(Arena *a, const char *name, const char *rest) {
  write_text(a, name,
             arena_printf(a,
                          "model: net.ir\n%s"
                          "  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                          "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                          "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                          "  normalize: {mean: 0.5, std: 0.5}\n  calibration: 64\n",
                          rest));
}

static void open_task(Arena *a) {
  write_split(a, "train", 300, 1, 3);
  write_split(a, "val", 100, 2, 3);
  write_split(a, "test", 50, 3, 3);
  write_net(a, "net.ir", 1, "classes");
}

START_TEST(killed_and_started_again)
{
  Arena *a = arena_new();
  open_task(a);
  write_design(a, "design.yaml",
               "train: {epochs: 150, batch: 16, optimizer: adamw, lr: 1e-3, average: 0.99}\n"
               "data:\n  classes: 4\n  augment: {crop: 1, noise: 0.1}\n");
  must(a, "$M train $T/design.yaml -o $T/one.ir -j 1 --quiet");
  for (int i = 0; i < 3; i++) /* a third of the run each, and then once more within an epoch */
    must(a, arena_printf(
                a,
                "$M train $T/design.yaml -o $T/two.ir -j %d --quiet --checkpoint $T/run.ckpt "
                "--checkpoint-every 0.001 --log $T/log & P=$!\n"
                "while kill -0 $P && [ $(cat $T/log 2>/dev/null | wc -l) -lt %d ]; do sleep 0.01; done\n"
                "kill -KILL $P; wait $P; test ! -e $T/two.ir",
                1 + i % 2, 20 * (i + 1)));
  must(a, "$M train $T/design.yaml -o $T/two.ir -j 2 --quiet --checkpoint $T/run.ckpt --log $T/log");
  must(a, "cmp $T/one.ir $T/two.ir");
  must(a, "test $(wc -l < $T/log) = 150 && test $(sort -u $T/log | wc -l) = 150");
  must(a, "test -z \"$(ls $T | grep tmp)\""); /* nor what killed writers left */
  want_error(a, "$M train $T/design.yaml -o $T/x.ir --checkpoint $T/run.ckpt --seed 5",
             "made with \"seed=1\"");
  want_error(a, "$M train $T/design.yaml -o $T/x.ir --checkpoint $T/net.ir",
             "is no checkpoint, or a damaged one");
  arena_free(a);
}
END_TEST

START_TEST(a_teachers_bank_is_kept)
{
  Arena *a = arena_new();
  char *out;
  open_task(a);
  write_net(a, "teacher.ir", 2, "classes");
  write_design(a, "design.yaml",
               "train: {epochs: 2, batch: 16, lr: 0.01, teachers: teacher.ir, views: 3}\n"
               "data:\n  classes: 4\n  augment: {crop: 1}\n");
  must(a, "$M train $T/design.yaml -o $T/one.ir --quiet --cache $T/cache");
  ck_assert_int_eq(shell(a, "$M cache ls --cache $T/cache", &out), 0);
  ck_assert_msg(strstr(out, "bank") != NULL, "no bank in the cache:\n%s", out);
  free(out);
  must(a, "$M train $T/design.yaml -o $T/two.ir --quiet --cache $T/cache"); /* from the cache */
  must(a, "$M train $T/design.yaml -o $T/three.ir --quiet");                /* in memory */
  must(a, "cmp $T/one.ir $T/two.ir && cmp $T/one.ir $T/three.ir");
  write_design(a, "features.yaml",
               "train: {epochs: 1, lr: 0.01, teachers: teacher.ir, features: middle, mix: 0}\n"
               "data:\n  classes: 4\n");
  must(a, "$M train $T/features.yaml -o $T/x.ir --quiet");
  arena_free(a);
}
END_TEST

START_TEST(autoencoders)
{
  Arena *a = arena_new();
  char *out;
  open_task(a);
  write_net(a, "net.ir", 1, "input");
  write_design(
      a, "design.yaml",
      "task: autoencoder\ntrain: {epochs: 3, optimizer: adamw, lr: 1e-3}\ndata:\n  augment: {noise: 0.2}\n");
  ck_assert_int_eq(shell(a, "$M train $T/design.yaml -o $T/x.ir --quiet", &out), 0);
  ck_assert_msg(strstr(out, "accuracy") == NULL, "an autoencoder has no accuracy:\n%s", out);
  free(out);
  write_text(a, "deploy.yaml", "design: design.yaml\ntargets:\n  - {name: pc, target: x86-64}\n");
  want_error(a, "$M tailor $T/deploy.yaml --quiet", "an autoencoder has none");
  arena_free(a);
}
END_TEST

/* Run, and the output is to have these words. */
static void want_words(Arena *a, const char *line, const char *words) {
  char *out;
  int status = shell(a, line, &out);
  ck_assert_msg(status == 0 && strstr(out, words), "%s: status %d, no \"%s\" in:\n%s", line, status, words,
                out);
  free(out);
}

/* From training to firmware by AUC; three of four classes are called anomalies, which means little. */
START_TEST(anomalies)
{
  Arena *a = arena_new();
  open_task(a);
  write_split(a, "val", 60, 5, 1);
  write_split(a, "test", 60, 6, 1);
  write_net(a, "wide.ir", 1, "input");
  write_text(a, "auc.yaml",
             "model: wide.ir\ntask: autoencoder\nmetric: auc\ninput: {type: float}\n"
             "train: {epochs: 3, optimizer: adamw, lr: 1e-3}\n"
             "freedom: {prune: {max: 0.9}, retrain: {epochs: 1, optimizer: adamw, lr: 1e-3}}\n"
             "data:\n  train: {kind: npy, x: train_x.npy}\n  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
             "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n  normalize: {mean: 0.5, std: 0.5}\n"
             "  calibration: 40\n");
  want_words(a, "$M train $T/auc.yaml -o $T/x.onnx --quiet", "validation AUC 0.");
  want_words(a, "$M eval $T/x.onnx --design $T/auc.yaml --split val", "AUC 0.");
  want_words(a, "$M eval $T/x.onnx --design $T/auc.yaml --target x86-64", "60 of the first 60");
  write_text(a, "deploy.yaml",
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
  ck_assert_int_eq(shell(a, "$M train --help", &out), 0);
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
