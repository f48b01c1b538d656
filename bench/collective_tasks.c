/* The tasks of bench/collective.c: a row each; data and models that they make where these are not there. */
#include "bench/collective_tasks.h"

#include <math.h>

#include "bench/train_nets.h"
#include "frontend/onnx/onnx.h"

#define LABELS "examples/01-label-reader"
#define SPEECH "examples/02-keyword-spotter"

/* A trial of few images reads none of the test split, but validation images that its runs do not see. */
enum { TEST_FIRST = CIFAR_VALIDATION, TRIAL_FIRST = 1000 };

static const Request by_hand[TARGETS + 1] = {
#define TARGET(n, board, macs, flash, ram, cycles) [n] = {board, macs, flash, ram, cycles},
#define ADDED                                      TARGET
#include "bench/collective/targets.def"
};

static void must_system(const Bench *b, const char *command) {
  if (system(command) != 0) bench_must(b, diag_error(b->d, NULL, "%s: failed", command));
}

static void npy_test(Arena *a, const TaskData *data, SplitSpec *spec) {
  *spec = (SplitSpec){.kind = "npy",
                      .x = arena_printf(a, "%s/test_x.npy", data->here),
                      .y = arena_printf(a, "%s/test_y.npy", data->here)};
}

static const char *nothing_missing(Arena *a) {
  (void)a;
  return NULL;
}

/* -- glyphs -- */

static void make_glyphs(const Bench *b, Arena *a, const TaskData *data) {
  const char *tool = "build/release/" LABELS "/make_data";
  const Images *n = &data->images;
  if (file_exists(arena_printf(a, "%s/test_y.npy", data->here))) return;
  must_system(
      b, arena_printf(a,
                      "make --no-print-directory -s %s && mkdir -p %s && %s --out %s --train %d --val %d "
                      "--test %d",
                      tool, data->here, tool, data->here, n->train, n->val + n->stand_in, n->test));
}

/* -- speech -- */

static const char *no_voices(Arena *a) {
  (void)a;
  return system("command -v espeak-ng >/dev/null") == 0 ? NULL : "no espeak-ng, which makes its data";
}

static void make_speech(const Bench *b, Arena *a, const TaskData *data) {
  const char *tool = "build/release/" SPEECH "/make_data",
             *few = data->quick ? arena_printf(a, " --count %d", data->images.train) : "";
  if (file_exists(arena_printf(a, "%s/test_y.npy", data->here))) return;
  must_system(b, arena_printf(a, "make --no-print-directory -s %s && mkdir -p %s && %s --out %s%s", tool,
                              data->here, tool, data->here, few));
}

/* -- cifar -- */

const char *task_shared(void) {
  static char path[512];
  const char *root = bench_shared();
  snprintf(path, sizeof path, "%s%s", *root == '/' ? "" : "../../../", root);
  return path;
}

static const char *no_shared(Arena *a) {
  static const char *const files[] = {"data/cifar10/train.bin.xz", "data/cifar10/test.bin.xz",
                                      "data/models/onnx/resnet20_cifar10j_dynbatch_bn.onnx"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (!file_exists(arena_printf(a, "%s/%s", bench_shared(), files[i])))
      return arena_printf(a, "no %s/%s", bench_shared(), files[i]);
  return NULL;
}

#define CIFAR_CLOUD "bench/collective/cifar-cloud.yaml.in"

/* The original is a ResNet-8 trained from random weights under the teacher's eyes: the teacher's own splits and numbers. */
static void make_cloud(const Bench *b, Arena *a, const TaskData *data) {
  const char *model = arena_printf(a, "%s/cloud.onnx", data->here),
             *design = arena_printf(a, "%s/../cloud.yaml", data->here),
             *init = arena_printf(a, "%s/init.onnx", data->here);
  if (file_exists(model)) return;
  const char *text = file_read(a, CIFAR_CLOUD, NULL, b->d);
  bench_must(b, text && file_make_dirs(data->here, b->d));
  text = text_filled(a, text, "@SHARED@", task_shared());
  text = text_filled(a, text, "@TRAIN@", arena_printf(a, "%d", data->images.train));
  text = text_filled(a, text, "@LENGTH@", data->quick ? "images: 2048" : "epochs: 30");
  Graph *g = net_resnet8();
  bench_must(b, file_write(design, text, strlen(text), b->d) && onnx_export(g, init, b->d));
  graph_free(g);
  must_system(b, arena_printf(a,
                              "build/release/mistify train %s --model %s --checkpoint %s/cloud.ckpt -o %s "
                              "--quiet > %s/cloud.log 2>&1",
                              design, init, data->here, model, data->here));
}

static void cifar_records(Arena *a, const TaskData *data, SplitSpec *spec) {
  *spec = (SplitSpec){.kind = "cifar",
                      .x = arena_printf(a, "%s/data/cifar10/test.bin.xz", bench_shared()),
                      .first = data->quick ? TRIAL_FIRST : TEST_FIRST,
                      .count = (uint32_t)data->images.test};
}

/* -- the table -- */

static const Task tasks[] = {{.name = "glyphs",
                              .result = "collective",
                              .design = "bench/collective/design.yaml.in",
                              .epochs = 1,
                              .images = {40000, 3936, 64, 512, 8000},
                              .quick = {512, 240, 16, 32, 256},
                              .data = LABELS "/data",
                              .model = LABELS "/cloud.onnx",
                              .normalize = {1, {1 / 127.5f}, {-1}},
                              .missing = nothing_missing,
                              .make = make_glyphs,
                              .test = npy_test},
                             {.name = "cifar",
                              .result = "collective-cifar",
                              .design = "bench/collective/cifar-design.yaml.in",
                              .cloud = CIFAR_CLOUD,
                              .epochs = 2,
                              .images = {50000, 1936, 64, 512, CIFAR_TEST},
                              .quick = {512, 240, 16, 32, 256},
                              .model = "cloud.onnx",
                              .normalize = {3,
                                            {1 / (255 * 0.229f), 1 / (255 * 0.224f), 1 / (255 * 0.225f)},
                                            {-0.485f / 0.229f, -0.456f / 0.224f, -0.406f / 0.225f}},
                              .macs = 12501632,
                              .boards = {"raspberry-pi-4", "nucleo-f767zi", "nrf52840-dk", "nucleo-g0b1re"},
                              .missing = no_shared,
                              .make = make_cloud,
                              .test = cifar_records},
                             {.name = "speech",
                              .result = "collective-speech",
                              .design = "bench/collective/speech-design.yaml.in",
                              .epochs = 8,
                              .images = {4800, 896, 64, 512, 1920},
                              .quick = {256, 240, 16, 32, 256},
                              .data = SPEECH "/data",
                              .model = SPEECH "/residual.onnx",
                              .normalize = {1, {0.03125f}, {0}},
                              .macs = 1651680,
                              .boards = {"raspberry-pi-4", "nucleo-f767zi", "nucleo-l432kc", "frdm-kl27z"},
                              .missing = no_voices,
                              .make = make_speech,
                              .test = npy_test}};
enum { TASKS = sizeof tasks / sizeof *tasks };

const Task *task_find(const char *name) {
  for (int i = 0; i < TASKS; i++)
    if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
  return NULL;
}

const char *task_names(Arena *a) {
  const char *all = "";
  for (int i = 0; i < TASKS; i++) all = arena_printf(a, "%s %s", all, tasks[i].name);
  return all;
}

/* MACs by a constant factor from 0.88 of the original's down to a 105th of that, as those by hand have it. */
static long long macs_at(const Task *t, double at) {
  return (long long)(t->macs * 0.88 * pow(105, -at / (TARGETS - 1)));
}

void task_requests(const Task *t, Request out[TARGETS + 1]) {
  memcpy(out, by_hand, sizeof by_hand);
  if (t->macs <= 0) return;
  for (int i = 0; i < TARGETS; i++)
    out[i] = (Request){.board = t->boards[(i + i / 4) % 4], .macs = macs_at(t, i)};
  out[ADDED_TARGET] = (Request){.board = "blue-pill", .macs = macs_at(t, TARGETS / 2 + 0.5)};
}
