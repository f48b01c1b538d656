/* Part "drift": how soon the monitor of drift (runtime/device/drift.h) tells that glyphs are not what they were, and how often it
 * says so for nothing.
 *
 *   model       the label reader: variant 1 of the family of part "family", int8
 *   glyphs      the example's validation split: fonts and cameras that neither training nor calibration has seen
 *   reference   the first 2,048 training images, with 10,000 inferences to a false alarm ("factory"); or what is
 *               usual learned on the spot (mistify_drift_learn) from 2,048 glyphs of the validation split ("learned"): what the
 *               cameras are new in is usual then
 *   shifts      runtime/data/corrupt.h: four kinds, five severities, fixed beforehand
 *
 * A draw takes the validation images in random order: 2,048 to learn from, of the rest as many as a stream wants. Missed: no
 * alarm in 1,000 inferences from the moment of the shift.
 */
#include "bench/adapt.h"
#include "backend/backend.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/input_raw.h"
#include "runtime/data/corrupt.h"

#define EXAMPLE "examples/01-label-reader/"

enum { EXAMPLES = 2048, LEARN = 2048, STREAM = 1000, DRAWS = 20, QUICK_DRAWS = 3, INTERVAL = 10000 };

/* A split as the monitor sees it. */
typedef struct Seen {
  Split s;
  uint8_t *confidence;
  double accuracy;
} Seen;

typedef struct Drift {
  Adapt *ad;
  Graph *g;
  DriftReference reference;
  Seen usual;
  size_t bytes; /* of an image */
  int draws;
} Drift;

/* Of one monitor under one condition, all draws. */
typedef struct Alarms {
  int streams, missed;
  double delay; /* sum over those found */
} Alarms;

static void must(const Drift *t, bool ok) { bench_must(t->ad->b, ok); }

static void look(const Drift *t, Seen *seen) {
  const Normalize nz = input_raw_normalize(t->g, seen->s.dtype);
  Scores scores = scores_of(t->ad->b, t->g, &seen->s, &nz);
  seen->accuracy = scores_percent(&scores);
  seen->confidence = adapt_confidence(&scores, graph_val(t->g, t->g->outputs[0])->quant.scale[0]);
  scores_free(&scores);
}

static void seen_close(Seen *seen) {
  split_close(&seen->s);
  mem_free(seen->confidence);
}

/* -- reference -- */

static void make_reference(Drift *t) {
  const SplitSpec train = {
      .kind = "npy", .x = EXAMPLE "data/train_x.npy", .y = EXAMPLE "data/train_y.npy", .count = EXAMPLES};
  Split s;
  Tensor *in = mem_array(EXAMPLES, sizeof *in);
  must(t, split_open(&train, &s, t->ad->b->d));
  for (uint32_t i = 0; i < EXAMPLES; i++) {
    in[i] = tensor_new(DT_I8, &graph_val(t->g, t->g->inputs[0])->shape);
    for (size_t k = 0; k < t->bytes; k++)
      ((uint8_t *)in[i].data)[k] = ((const uint8_t *)s.x)[i * t->bytes + k] ^ 128;
  }
  must(t, drift_reference(t->g, &(DriftOptions){.interval = INTERVAL}, in, EXAMPLES, &t->reference,
                          t->ad->b->d));
  for (uint32_t i = 0; i < EXAMPLES; i++) tensor_free(&in[i]);
  mem_free(in);
  split_close(&s);
}

/* -- streams -- */

static int32_t give(const Drift *t, mistify_drift *d, const Seen *seen, uint32_t image) {
  uint8_t x[32 * 32];
  const uint8_t *from = (const uint8_t *)seen->s.x + image * t->bytes;
  for (size_t k = 0; k < t->bytes; k++) x[k] = from[k] ^ 128;
  mistify_drift_input(d, x, 1);
  return mistify_drift_output(d, seen->confidence[image]);
}

/* The monitor of draw k, and the order of images; those from LEARN on are for the stream. */
static uint32_t *begin_draw(const Drift *t, int k, bool learned, mistify_drift *d) {
  Rng r;
  uint32_t *order = mem_array(t->usual.s.n, sizeof *order);
  for (uint32_t i = 0; i < t->usual.s.n; i++) order[i] = i;
  rng_seed(&r, 9, (uint64_t)k);
  rng_shuffle(&r, order, t->usual.s.n);
  mistify_drift_init(d, &t->reference.reference);
  if (learned) mistify_drift_learn(d);
  for (uint32_t i = 0; learned && i < LEARN; i++) give(t, d, &t->usual, order[i]);
  return order;
}

static Alarms shifted(const Drift *t, const Seen *seen, bool learned) {
  Alarms a = {0};
  for (int k = 0; k < t->draws; k++) {
    mistify_drift d;
    uint32_t *order = begin_draw(t, k, learned, &d);
    int n = 0;
    while (n < STREAM && !give(t, &d, seen, order[LEARN + n])) n++;
    a.streams++;
    a.missed += n == STREAM;
    if (n < STREAM) a.delay += n + 1;
    mem_free(order);
  }
  return a;
}

/* Alarms in 10,000 inferences of unchanged glyphs. */
static double false_alarms(const Drift *t, bool learned) {
  double alarms = 0, n = 0;
  for (int k = 0; k < t->draws; k++) {
    mistify_drift d;
    uint32_t *order = begin_draw(t, k, learned, &d);
    for (uint32_t i = LEARN; i < t->usual.s.n; i++, n++)
      if (give(t, &d, &t->usual, order[i])) {
        alarms++;
        mistify_drift_reset(&d);
      }
    mem_free(order);
  }
  return 1e4 * alarms / n;
}

/* -- results -- */

static void report(const Drift *t, CorruptKind kind, int severity) {
  static const char *const monitors[] = {"factory", "learned"};
  Seen seen = {0};
  must(t, corrupt_split(&t->usual.s, kind, severity, 1, &seen.s, t->ad->b->d));
  look(t, &seen);
  const char *name = arena_printf(t->ad->a, "drift: %s %d", corrupt_name(kind), severity);
  adapt_figure(t->ad, name, "accuracy", seen.accuracy, "%", "higher", "int8, validation split");
  for (int m = 0; m < 2; m++) {
    const Alarms a = shifted(t, &seen, m == 1);
    const char *how = arena_printf(t->ad->a, "%d draws, %d inferences each", t->draws, STREAM);
    adapt_figure(t->ad, name, arena_printf(t->ad->a, "missed, %s", monitors[m]), 100.0 * a.missed / a.streams,
                 "%", "lower", how);
    if (a.missed < a.streams)
      adapt_figure(t->ad, name, arena_printf(t->ad->a, "inferences to the alarm, %s", monitors[m]),
                   a.delay / (a.streams - a.missed), "", "lower", how);
  }
  seen_close(&seen);
}

static bool open_all(Drift *t) {
  const SplitSpec val = {.kind = "npy", .x = EXAMPLE "data/val_x.npy", .y = EXAMPLE "data/val_y.npy"};
  Graph *g = adapt_model(t->ad, 1);
  if (!g) return false;
  t->g = graph_with_batch(g, 1, t->ad->b->d);
  graph_free(g);
  must(t, t->g != NULL && split_open(&val, &t->usual.s, t->ad->b->d));
  t->bytes = (size_t)shape_count(&t->usual.s.item);
  if (t->bytes != 32 * 32 || graph_val(t->g, t->g->inputs[0])->dtype != DT_I8)
    must(t, diag_error(t->ad->b->d, NULL, "want a model of 32x32 bytes"));
  return true;
}

void part_drift(Adapt *ad) {
  Drift t = {.ad = ad, .draws = ad->quick ? QUICK_DRAWS : DRAWS};
  const char *how = arena_printf(ad->a, "unchanged glyphs, %d draws; %d inferences to one were asked for",
                                 t.draws, INTERVAL);
  if (!open_all(&t)) return;
  make_reference(&t);
  look(&t, &t.usual);
  adapt_figure(ad, "drift: unchanged", "accuracy", t.usual.accuracy, "%", "higher", "int8, validation split");
  adapt_figure(ad, "drift: unchanged", "false alarms in 10,000, factory", false_alarms(&t, false), "",
               "lower", how);
  adapt_figure(ad, "drift: unchanged", "false alarms in 10,000, learned", false_alarms(&t, true), "", "lower",
               how);
  for (int kind = 0; kind < CORRUPT_KINDS; kind++)
    for (int severity = 1; severity <= CORRUPT_SEVERITIES; severity += ad->quick ? 4 : 1)
      report(&t, (CorruptKind)kind, severity);
  graph_free(t.g);
  seen_close(&t.usual);
}
