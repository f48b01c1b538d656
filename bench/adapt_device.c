/* Learning on the device (docs/adaptation.md): a net of lossless images on a Cortex-M7 meets images that were compressed.
 *
 *   ResNet-20 -> bytes in, int8, calibrated on leaves -> C that learns -> 500 labelled images of the site -> 5,000 others
 *
 * No photograph has a part in weights or settings: the quantizer sees leaves (adapt_images.h), and rates are chosen on leaves too,
 * which our own generator compresses (runtime/data/corrupt.h) and whose labels are what the net says of them uncompressed: the one
 * of three that reads most of other leaves right (choose). Passes are fixed: 10 for the last layer, 6 where others learn too; rates fall by equal
 * amounts from pass to pass, as is usual. Local images are records 0 .. 4,999 of cifar10/test.bin, three draws of 500; evaluated
 * on 5,000 .. 9,999. Each image of a step is mirrored or not, by chance.
 */
#include "backend/backend.h"
#include "bench/adapt.h"
#include "bench/adapt_images.h"
#include "bench/adapt_shift.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/input_raw.h"
#include "runtime/data/corrupt.h"
#define SHARE 0.3f /* of the last layer's rate, for biases */

enum {
  CLASSES = 10,
  ITEM = 3072,
  HEADER = 24,
  LEARN = 500,
  DRAWS = 3,
  LEAVES = 1000 /* that settings are judged by */
};
static const char host_target[] = "x86-64-v3";

typedef struct Job {
  Adapt *ad;
  Graph *g;
  bool planes;  /* the input is [1,3,H,W] */
  bool logits8; /* output 0 is int8 */
} Job;

typedef struct Plan {
  const char *name;
  DeviceAdapt layers;
  int64_t memory; /* on the chip; 0: as much as it takes */
  int biases;
  float rates[4];
  int epochs;
  int rates_of; /* number of the plan whose rates it has, one before it; 0: they are chosen */
  double aim;
  AdaptSizes sizes;
} Plan;

static Graph *net(Adapt *ad) {
  const char *path = bench_data("models/onnx/resnet20_cifar10_dynbatch_bn.onnx");
  Bench *b = ad->b;
  Dataset ds = {.spec = {.classes = CLASSES, .normalize = bench_imagenet()}, .train = leaves_new(512, 1)};
  Graph *file = onnx_import(path, b->d);
  bench_must(b, file != NULL);
  Graph *g = bench_passes(
      b, file, "fold,layout{input=nhwc},fold,dce,bnfuse,fuse,fold,input_raw,quantize{images=512}", &ds, NULL);
  graph_free(file);
  split_free(&ds.train);
  Graph *one = graph_with_batch(g, 1, b->d);
  bench_must(b, one != NULL);
  graph_free(g);
  return one;
}

/* An image as the model's input bytes, perhaps mirrored. */
static const void *input_of(const Job *j, const Split *s, uint32_t i, bool mirror) {
  enum { SIDE = 32 };
  const uint8_t *x = (const uint8_t *)s->x + (size_t)i * ITEM;
  int8_t *to = arena_alloc(j->ad->a, ITEM);
  for (int p = 0; p < ITEM / 3; p++) {
    const uint8_t *from = x + 3 * (mirror ? p / SIDE * SIDE + SIDE - 1 - p % SIDE : p);
    for (int c = 0; c < 3; c++) to[j->planes ? c * (ITEM / 3) + p : 3 * p + c] = (int8_t)(from[c] - 128);
  }
  return to;
}

static const char *folder_of(const Job *j, const Plan *p, const char *target) {
  return arena_printf(j->ad->a, "%s/%s-%s", j->ad->folder, p->name, target);
}

static void emit(const Job *j, Plan *p, const char *target) {
  const EmitOptions o = {.name = "net",
                         .out_dir = folder_of(j, p, target),
                         .adapt = p->layers,
                         .adapt_memory = p->memory,
                         .adapt_biases = p->biases,
                         .adapt_sizes = &p->sizes};
  bench_must(j->ad->b, emit_c(j->g, target_find(target), &o, j->ad->b->d));
}

/* For the chip, and the same layers for the host, whose arena has other gaps. */
static void emit_both(const Job *j, Plan *p) {
  Plan host = *p;
  emit(j, p, "cortex-m7");
  host.memory = 0;
  host.biases = p->sizes.biases;
  emit(j, &host, host_target);
}

static StrBuf obey(const Job *j, const Plan *p, const char *target, const AdaptOrder *orders, int n,
                   bool count) {
  StrBuf out = {0};
  AdaptRun r = {.name = "net", .count = count, .orders = orders, .n = n, .input_bytes = ITEM};
  memcpy(r.rates, p->rates, sizeof r.rates);
  bench_must(j->ad->b, harness_adapt(folder_of(j, p, target), target_find(target), &r, &out, j->ad->b->d));
  return out;
}

static int top(const Job *j, const char *out) {
  int best = 0;
  float v[CLASSES];
  for (int k = 0; k < CLASSES; k++) {
    if (j->logits8)
      v[k] = (float)((const int8_t *)out)[k];
    else
      memcpy(&v[k], out + 4 * k, 4);
    if (v[k] > v[best]) best = k;
  }
  return best;
}

static size_t out_bytes(const Job *j) { return j->logits8 ? CLASSES : 4 * CLASSES; }

/* Rates of pass k: they fall by equal amounts, to a share of 1 / epochs in the last one. */
static AdaptOrder rates_of_pass(const Job *j, const Plan *p, int k) {
  float *rates = arena_alloc(j->ad->a, sizeof p->rates);
  const float share = (float)(p->epochs - k) / (float)p->epochs;
  for (int i = 0; i < 3; i++) rates[i] = share * p->rates[i];
  rates[3] = p->rates[3];
  return (AdaptOrder){ADAPT_RATES, rates};
}

/* Steps on images `pick` of `from`, epochs in orders of their own, each image mirrored or not; then what the model says of all of `test`. */
static void learn(const Job *j, const Plan *p, const Split *from, const uint32_t *pick, uint32_t n,
                  const Split *test, uint64_t seed, int *said) {
  const int steps = (int)n * p->epochs;
  AdaptOrder *orders = mem_array((size_t)steps + (size_t)p->epochs + test->n, sizeof *orders), *next = orders;
  uint32_t *turn = mem_array(n + 1, sizeof *turn);
  const void **images = mem_array(2 * n + 1, sizeof *images);
  Rng r;
  rng_seed(&r, seed, 77);
  for (uint32_t i = 0; i < n; i++) turn[i] = i;
  for (uint32_t i = 0; i < 2 * n; i++) images[i] = input_of(j, from, pick[i / 2], i % 2);
  for (int i = 0; i < steps; i++) {
    if (i % (int)n == 0) {
      rng_shuffle(&r, turn, n);
      *next++ = rates_of_pass(j, p, i / (int)n);
    }
    const uint32_t k = turn[i % (int)n];
    *next++ = (AdaptOrder){from->y[pick[k]], images[2 * k + rng_below(&r, 2)]};
  }
  for (uint32_t i = 0; i < test->n; i++) *next++ = (AdaptOrder){ADAPT_RUN, input_of(j, test, i, false)};
  StrBuf out = obey(j, p, host_target, orders, (int)(next - orders), false);
  for (uint32_t i = 0; i < test->n; i++)
    said[i] = top(j, out.s + HEADER + 4 * (size_t)steps + (size_t)i * out_bytes(j));
  sb_free(&out);
  mem_free(orders);
  mem_free(turn);
  mem_free(images);
}

static double percent(const int *said, const Split *s) {
  double right = 0;
  for (uint32_t i = 0; i < s->n; i++) right += said[i] == s->y[i];
  return 100 * right / s->n;
}

/* -- the site's images -- */

static void open_site(const Adapt *ad, Dataset *ds, uint32_t evaluated) {
  const char *path = bench_data("cifar10/test.bin.xz");
  DataSpec spec = {.classes = CLASSES, .normalize = bench_imagenet()};
  spec.train = (SplitSpec){.kind = "cifar", .x = path, .first = 0, .count = shift_local(ad)};
  /* A quick run reads local records alone, others than those that it learns from. */
  spec.val = (SplitSpec){.kind = "cifar", .x = path, .first = ad->quick ? 4000 : 5000, .count = evaluated};
  bench_must(ad->b, dataset_open(&spec, ds, ad->b->d));
}

/* Of each image, what all draws together gained. */
static void add_gains(double *gain, const int *after, const int *before, const Split *s) {
  for (uint32_t i = 0; i < s->n; i++)
    gain[i] += (double)(after[i] == s->y[i]) - (double)(before[i] == s->y[i]);
}

static void site(const Job *j, const Plan *p, const Dataset *ds, const int *before, uint32_t n) {
  int *said = mem_array(ds->val.n, sizeof *said);
  uint32_t *all = mem_array(ds->train.n, sizeof *all);
  const double was = percent(before, &ds->val);
  double *gain = mem_array(ds->val.n, sizeof *gain), lo = 0, hi = 0;
  const int draws = j->ad->quick ? 1 : DRAWS;
  const char *each = "";
  for (int d = 0; d < draws; d++) {
    Rng r;
    rng_seed(&r, (uint64_t)d + 1, 9);
    for (uint32_t i = 0; i < ds->train.n; i++) all[i] = i;
    rng_shuffle(&r, all, ds->train.n);
    learn(j, p, &ds->train, all, n, &ds->val, (uint64_t)d + 1, said);
    add_gains(gain, said, before, &ds->val);
    each = arena_printf(j->ad->a, "%s%s%.2f", each, d ? ", " : "", percent(said, &ds->val) - was);
    printf("  draw %d: %.2f to %.2f %%\n", d + 1, was, percent(said, &ds->val));
  }
  double mean = 0;
  for (uint32_t i = 0; i < ds->val.n; i++) mean += 100 * (gain[i] /= draws) / ds->val.n;
  gains_interval(gain, ds->val.n, &lo, &hi);
  adapt_row(j->ad, &(Row){.name = arena_printf(j->ad->a, "device, %s", p->name),
                          .metric = "accuracy gained on compressed images",
                          .value = mean,
                          .unit = "points",
                          .better = "higher",
                          .aim = p->aim,
                          .how = arena_printf(j->ad->a,
                                              "%u labelled images, %d passes, rates %g %g %g; draws %s; 95 "
                                              "%% interval over images %.2f to %.2f; "
                                              "%u others, %.2f %% before; biases of %d of %d layers",
                                              n, p->epochs, (double)p->rates[0], (double)p->rates[1],
                                              (double)p->rates[2], each, lo, hi, ds->val.n, was,
                                              p->sizes.biases, p->sizes.layers)});
  mem_free(gain);
  mem_free(said);
  mem_free(all);
}

/* -- settings -- */

/* Compressed leaves with the labels that the net gives them uncompressed: LEARN to learn from, then LEAVES to judge by. */
static void open_leaves(const Job *j, const Plan *any, Split *learns, Split *judges, Split *whole) {
  Split clean = leaves_new(LEARN + LEAVES, 77);
  int *labels = mem_array(clean.n, sizeof *labels);
  clean.y = labels;
  learn(j, any, &clean, NULL, 0, &clean, 1, labels);
  bench_must(j->ad->b, corrupt_split(&clean, CORRUPT_JPEG, 3, 5, whole, j->ad->b->d));
  clean.y = NULL;
  split_free(&clean);
  *learns = *judges = *whole;
  learns->n = LEARN;
  judges->n = j->ad->quick ? 100 : LEAVES;
  judges->x = (const uint8_t *)whole->x + (size_t)LEARN * ITEM;
  learns->y = labels;
  judges->y = labels + LEARN;
}

/* The rate that does best on leaves; of equals the first, which moves least. */
static void choose(const Job *j, Plan *p, const Split *learns, const Split *judges) {
  static const float rates[] = {0.003f, 0.01f, 0.03f};
  int *said = mem_array(judges->n, sizeof *said);
  uint32_t *all = mem_array(learns->n, sizeof *all);
  double best = -1;
  Plan tried = *p;
  for (uint32_t i = 0; i < learns->n; i++) all[i] = i;
  for (int r = 0; r < (j->ad->quick ? 1 : 3); r++) {
    tried.rates[0] = rates[r];
    tried.rates[1] = p->layers == DEVICE_ADAPT_LAST ? 0 : rates[r] * SHARE;
    tried.rates[2] =
        p->layers == DEVICE_ADAPT_SCALE || p->layers == DEVICE_ADAPT_ADAPTERS ? tried.rates[1] : 0;
    learn(j, &tried, learns, all, j->ad->quick ? 20 : learns->n, judges, 1, said);
    const double right = percent(said, judges);
    printf("  %s on leaves: rate %g, %d passes: %.1f %%\n", p->name, (double)rates[r], p->epochs, right);
    if (right > best) memcpy(p->rates, tried.rates, sizeof p->rates);
    if (right > best) best = right;
  }
  mem_free(said);
  mem_free(all);
}

/* -- the Cortex-M7 -- */

static void memory_rows(const Job *j, const Plan *p) {
  const AdaptSizes *s = &p->sizes;
  const double ratio = (double)(s->inference + s->arena + s->state) / (double)s->inference;
  const char *name = arena_printf(j->ad->a, "device, %s", p->name);
  adapt_row(
      j->ad,
      &(Row){.name = name,
             .metric = "RAM with adaptation to inference",
             .value = ratio,
             .unit = "times",
             .better = "lower",
             .aim = p->memory || p->layers == DEVICE_ADAPT_LAST ? 1.5 : NAN,
             .how = arena_printf(
                 j->ad->a,
                 "planned for cortex-m7: inference %lld bytes, state %lld, arena more %lld; biases of "
                 "%d of %d layers",
                 (long long)s->inference, (long long)s->state, (long long)s->arena, s->biases, s->layers)});
}

/* The same steps here and there; instructions of one. */
static void on_the_chip(const Job *j, const Plan *p, const Dataset *ds, int steps) {
  const char *missing, *chip = "cortex-m7";
  if (!harness_available(target_find(chip), &missing)) {
    adapt_skip(j->ad, missing);
    return;
  }
  AdaptOrder *orders = mem_array((size_t)steps + 1, sizeof *orders);
  for (int i = 0; i < steps; i++)
    orders[i] = (AdaptOrder){ds->train.y[i], input_of(j, &ds->train, (uint32_t)i, false)};
  orders[steps] = (AdaptOrder){.what = ADAPT_WORDS};
  StrBuf here = obey(j, p, host_target, orders, steps + 1, false),
         there = obey(j, p, chip, orders, steps + 1, false);
  const bool same =
      here.len == there.len && memcmp(here.s + HEADER, there.s + HEADER, here.len - HEADER) == 0;
  StrBuf counted = obey(j, p, chip, orders, 0, true);
  uint64_t n[3];
  memcpy(n, counted.s, sizeof n);
  const char *name = arena_printf(j->ad->a, "device, %s", p->name);
  adapt_row(j->ad, &(Row){.name = name,
                          .metric = "steps that are byte-equal on the chip",
                          .value = same ? steps : 0,
                          .unit = "steps",
                          .better = "higher",
                          .aim = steps,
                          .how = "losses and words, x86-64-v3 against Cortex-M7 under QEMU"});
  adapt_figure(j->ad, name, "instructions of a step", (double)n[1], "", "lower",
               "Cortex-M7, SysTick under QEMU, with its run");
  adapt_figure(j->ad, name, "instructions of a run", (double)n[0], "", "lower", "the same");
  adapt_figure(j->ad, name, "instructions of a step from features", (double)n[2], "", "lower",
               "the same; the last layer alone");
  sb_free(&here);
  sb_free(&there);
  sb_free(&counted);
  mem_free(orders);
}

/* -- the part -- */

static void run_plans(const Job *j, Plan *plans, int n) {
  const uint32_t few = j->ad->quick ? 40 : LEARN;
  Dataset ds;
  open_site(j->ad, &ds, j->ad->quick ? 200 : 5000);
  int *before = mem_array(ds.val.n, sizeof *before);
  for (int i = 0; i < n; i++) {
    emit_both(j, &plans[i]);
    memory_rows(j, &plans[i]);
  }
  Split leaves, learns, judges;
  open_leaves(j, &plans[0], &learns, &judges, &leaves);
  learn(j, &plans[0], &ds.train, NULL, 0, &ds.val, 1, before);
  for (int i = 0; i < n; i++) {
    if (plans[i].rates_of)
      memcpy(plans[i].rates, plans[plans[i].rates_of].rates, sizeof plans[i].rates);
    else
      choose(j, &plans[i], &learns, &judges);
    site(j, &plans[i], &ds, before, few);
    on_the_chip(j, &plans[i], &ds, j->ad->quick ? 3 : 50);
  }
  mem_free(before);
  int32_t *labels = (int32_t *)(uintptr_t)learns.y;
  mem_free(labels);
  split_close(&leaves);
  dataset_close(&ds);
}

void part_device(Adapt *ad) {
  if (!file_exists(bench_data("models/onnx/resnet20_cifar10_dynbatch_bn.onnx")) ||
      !file_exists(bench_data("cifar10/test.bin.xz"))) {
    adapt_skip(ad, "ResNet-20 or CIFAR-10 is not in ../shared/data");
    return;
  }
  Job j = {.ad = ad, .g = net(ad)};
  const Value *x = graph_val(j.g, j.g->inputs[0]), *y = graph_val(j.g, j.g->outputs[0]);
  j.planes = x->shape.d[1] == 3;
  j.logits8 = y->dtype == DT_I8;
  bench_must(ad->b, x->dtype == DT_I8 || diag_error(ad->b->d, NULL, "the net takes no codes"));
  enum { LAST, SOME_BIASES, BIASES, SCALE, SOME_ADAPTERS, ADAPTERS, PLANS };
  Plan plans[PLANS] = {
      [LAST] = {.name = "last layer", .layers = DEVICE_ADAPT_LAST, .epochs = 10, .aim = 1.5},
      [SOME_BIASES] = {.name = "biases within 1.5x", .layers = DEVICE_ADAPT_BIAS},
      [BIASES] = {.name = "all biases", .layers = DEVICE_ADAPT_BIAS, .rates_of = SOME_BIASES},
      [SCALE] = {.name = "all biases and multipliers", .layers = DEVICE_ADAPT_SCALE},
      [SOME_ADAPTERS] = {.name = "adapters within 1.5x", .layers = DEVICE_ADAPT_ADAPTERS},
      [ADAPTERS] = {.name = "all adapters", .layers = DEVICE_ADAPT_ADAPTERS, .rates_of = SOME_ADAPTERS},
  };
  for (int i = 0; i < PLANS; i++) {
    plans[i].rates[3] = 1; /* clip */
    if (i == LAST) continue;
    plans[i].epochs = 6;
    plans[i].aim = 2.5;
  }
  emit(&j, &plans[0], "cortex-m7");
  plans[SOME_BIASES].memory = plans[SOME_ADAPTERS].memory = plans[LAST].sizes.inference / 2;
  run_plans(&j, plans, PLANS);
  graph_free(j.g);
}
