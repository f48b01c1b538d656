/* A small task for tests of commands; see task.h. */
#include "tests/cli/task.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/tensor.h"
#include "tests/support.h"

const char *task_path(Arena *a, const char *name) { return path_join(a, test_tmp_dir(), name); }

const Json *task_json(Arena *a, const char *name) {
  Diag *d = diag_new();
  size_t n;
  const char *path = task_path(a, name), *text = file_read(a, path, &n, d);
  const Json *j = text ? json_parse(a, text, n, path, d) : NULL;
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  diag_free(d);
  return j;
}

/* Run a line of shell: $M is the program, $T this test's folder. Returns the status; *out as test_run_command. */
int task_shell(Arena *a, const char *line, char **out) {
  return test_run_command(arena_printf(a, "T='%s'; M='%s'\n%s", test_tmp_dir(), test_mistify(), line), out);
}

void task_must(Arena *a, const char *line) {
  char *out;
  int status = task_shell(a, line, &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", line, status, out);
  free(out);
}

/* A run that is to fail, with these words. */
void task_want_error(Arena *a, const char *line, const char *words) {
  char *out;
  int status = task_shell(a, line, &out);
  ck_assert_msg(status == 1 && strstr(out, words), "%s: status %d, no \"%s\" in:\n%s", line, status, words,
                out);
  free(out);
}

/* n images [8,8,1] whose class is which quarter is bright; `last`: labels above are this one. */
void task_write_split(Arena *a, const char *name, int64_t n, uint64_t seed, int32_t last) {
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
  ck_assert_msg(npy_write(task_path(a, arena_printf(a, "%s_x.npy", name)), &x, d) &&
                    npy_write(task_path(a, arena_printf(a, "%s_y.npy", name)), &y, d),
                "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

void task_write_text(Arena *a, const char *name, const char *text) {
  test_write_file(task_path(a, name), text, strlen(text));
}

/* A net of random weights, one per seed. */
void task_write_bytes(const char *name, const void *bytes, size_t n) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
  test_write_file(path, bytes, n);
}

void task_write_columns(const char *name, int n, int side) {
  enum { COLUMNS = 3 };
  Shape xs = shape_of(4, (int64_t)n, (int64_t)side, (int64_t)side, (int64_t)1), ys = shape_of(1, (int64_t)n);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I64, &ys);
  Diag *d = diag_new();
  char path[700];
  for (int i = 0; i < n * side * side; i++) {
    const int label = i / (side * side) % COLUMNS;
    ((int64_t *)y.data)[i / (side * side)] = label;
    ((uint8_t *)x.data)[i] = (uint8_t)((i % side == label ? 200 : 40) + i * 7 % 40);
  }
  snprintf(path, sizeof path, "%s/%s_x.npy", test_tmp_dir(), name);
  ck_assert_msg(npy_write(path, &x, d), "%s", diag_text(d));
  snprintf(path, sizeof path, "%s/%s_y.npy", test_tmp_dir(), name);
  ck_assert_msg(npy_write(path, &y, d), "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

void task_write_net(Arena *a, const char *name, uint64_t seed, const char *head) {
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
  task_write_text(a, name, sb_str(&b));
  sb_free(&b);
}

void task_write_design(Arena *a, const char *name, const char *rest) {
  task_write_text(a, name,
                  arena_printf(a,
                               "model: net.ir\n%s"
                               "  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                               "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                               "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                               "  normalize: {mean: 0.5, std: 0.5}\n  calibration: 64\n",
                               rest));
}

void task_open(Arena *a) {
  task_write_split(a, "train", 300, 1, 3);
  task_write_split(a, "val", 100, 2, 3);
  task_write_split(a, "test", 50, 3, 3);
  task_write_net(a, "net.ir", 1, "classes");
}

void task_open_int8(Arena *a) {
  task_open(a);
  task_write_design(
      a, "design.yaml",
      "name: net\ninput: {layout: nhwc, type: raw}\nfreedom: {quantize: int8}\ndata:\n  classes: 4\n");
}

void task_write_deploy(Arena *a, const char *targets) {
  task_write_text(
      a, "deploy.yaml",
      arena_printf(a, "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n  - %s\n", targets));
}
