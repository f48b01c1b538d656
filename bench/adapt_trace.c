/* Part "trace": a fixed trace of deadlines, energy budgets and a bus that is busy at times, met by the controller on an
 * emulated Cortex-M4, beside what one variant alone and an oracle make of it.
 *
 *   variants    the family of part "family", emitted as one model with its controller: int8 code for a Cortex-M4
 *   table       instructions of each under QEMU, accuracy on the validation split; a tenth of a nanojoule an instruction (nominal)
 *   images      the first of the test split, in order; no setting was chosen by them
 *   trace       draw_trace: regimes of 8 to 40 inferences with a deadline each (log-uniform from the narrowest's time to 1.3 times
 *               the widest's, 10 % to and fro), a quarter of them with an energy limit too; one inference in 20 is urgent; the bus
 *               is busy one inference in seven, in bursts, and makes runs 1.3 or 1.8 times as long
 *
 * Then the same images without any limit: the widest alone, and the cascade, which is for that.
 *
 * An inference misses when its runs and the controller take longer than its deadline, or more energy than its budget. Right in
 * time: the class is right and nothing is missed. The oracle knows how slow the bus will be and takes the most accurate
 * variant that keeps the budget. The best static choice is the variant with most images right in time, known afterwards. The
 * controller's outputs must be the engine's, byte for byte.
 */
#include "bench/adapt.h"
#include "bench/adapt/trace.h"
#include "backend/backend.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/input_raw.h"
#include "runtime/device/controller.h"

#define EXAMPLE "examples/01-label-reader/"

enum { ITEMS = 1000, QUICK_ITEMS = 40, SLACK = 3, HOLD = 2, SEED = 8 };
static const char target_name[] = "cortex-m4";
/* What one variant makes of a split. */
typedef struct Answers {
  bool *right;
  uint8_t *confidence; /* as mistify_confidence has it */
  float *out;          /* [n][classes] */
} Answers;

typedef struct Trace {
  Adapt *ad;
  const Target *target;
  int n_variants;
  Graph *g[TRACE_VARIANTS];
  mistify_variant v[TRACE_VARIANTS]; /* cycles: instructions */
  Answers test[TRACE_VARIANTS], val[TRACE_VARIANTS];
  Split split_test, split_val;
  uint32_t classes, n; /* n: items */
  float scale;         /* of the outputs */
  TraceItem *item;
} Trace;

typedef struct Tally {
  uint32_t n, missed, right, right_in_time;
  double time, control, control_most, confidence, runs;
} Tally;

static void must(const Trace *t, bool ok) { bench_must(t->ad->b, ok); }

static const char *path_in(const Trace *t, const char *name) {
  return path_join(t->ad->a, t->ad->folder, name);
}

/* -- variants -- */

static Graph *load_graph(const Trace *t, const char *path) {
  Blob *bytes = blob_map(path);
  Graph *g = bytes ? graph_deserialize(bytes, path, t->ad->b->d) : NULL;
  blob_unref(bytes);
  must(t, g != NULL);
  return g;
}

static Answers answer(const Trace *t, const Graph *g, const Split *s) {
  const Normalize nz = input_raw_normalize(g, s->dtype);
  const Scores scores = scores_of(t->ad->b, g, s, &nz);
  return (Answers){
      .right = scores.right, .out = scores.out, .confidence = adapt_confidence(&scores, t->scale)};
}

/* Its graph, and what it is worth. */
static void read_variant(Trace *t, int v, const char *model) {
  t->g[v] = load_graph(t, model);
  const Value *x = graph_val(t->g[v], t->g[v]->inputs[0]), *y = graph_val(t->g[v], t->g[v]->outputs[0]);
  if (x->dtype != DT_I8 || x->quant.n != 1 || x->quant.zero[0] != -128 || y->dtype != DT_I8)
    must(t, diag_error(t->ad->b->d, NULL, "%s: want bytes in, codes out", model));
  t->scale = y->quant.scale[0];
  t->classes = (uint32_t)shape_count(&y->shape);
  t->val[v] = answer(t, t->g[v], &t->split_val);
  t->test[v] = answer(t, t->g[v], &t->split_test);
  uint32_t right = 0;
  for (uint32_t i = 0; i < t->split_val.n; i++) right += t->val[v].right[i];
  t->v[v].accuracy_ppm = (uint32_t)((uint64_t)right * 1000000 / t->split_val.n);
}

/* Twice: the table is of what was measured. */
static void emit_together(Trace *t) {
  const char *dir = path_in(t, "net");
  const EmitOptions o = {.name = "net", .out_dir = dir, .controller = true};
  FamilyMember m[TRACE_VARIANTS];
  VariantMeasured measured[EMIT_VARIANTS];
  Measured whole;
  int n = 0;
  for (int v = 0; v < t->n_variants; v++) m[v] = (FamilyMember){.g = t->g[v]};
  must(t, emit_family(m, t->n_variants, t->target, &o, NULL, t->ad->b->d) &&
              harness_verify_family(dir, t->target, &t->ad->b->host, &whole, measured, &n, t->ad->b->d));
  for (int v = 0; v < t->n_variants; v++) {
    t->v[v].cycles = (uint32_t)measured[v].instructions;
    t->v[v].ram = (uint32_t)whole.ram_arena;
    m[v].cycles = measured[v].instructions;
    m[v].nanojoules = measured[v].instructions / 10;
    m[v].accuracy_ppm = t->v[v].accuracy_ppm;
  }
  must(t, emit_family(m, t->n_variants, t->target, &o, NULL, t->ad->b->d));
}

static void open_variants(Trace *t) {
  for (int v = 0; v < t->n_variants; v++) read_variant(t, v, adapt_variant(t->ad, "variant", v));
  emit_together(t);
  for (int v = 0; v < t->n_variants; v++) {
    t->v[v].nanojoules = t->v[v].cycles / 10;
    printf("  variant %d: %9u instructions, %5.2f %% of the validation split\n", v, t->v[v].cycles,
           t->v[v].accuracy_ppm / 1e4);
  }
}

/* -- the trace -- */

static double between(Rng *r, double lo, double hi) { return lo + (hi - lo) * (double)rng_uniform(r); }

static void draw_trace(Trace *t) {
  const double least = t->v[t->n_variants - 1].cycles, most = 1.3 * t->v[0].cycles;
  double base = most, energy = 0;
  uint32_t slow = 256;
  int regime = 0, busy = 0;
  Rng r;
  rng_seed(&r, SEED, 0);
  for (uint32_t i = 0; i < t->n; i++) {
    if (regime-- == 0) {
      regime = 8 + (int)rng_below(&r, 33);
      base = least * 1.05 * pow(most / least, (double)rng_uniform(&r));
      energy = rng_below(&r, 4) ? 0 : between(&r, least / 10, most / 10);
    }
    if (busy > 0 ? --busy == 0 : rng_below(&r, 60) == 0) {
      if (slow == 256)
        busy = 5 + (int)rng_below(&r, 10), slow = rng_below(&r, 2) ? 333 : 461;
      else
        slow = 256;
    }
    const double deadline = rng_below(&r, 20) ? base * between(&r, 0.9, 1.1) : least * between(&r, 0.9, 2.5);
    t->item[i] = (TraceItem){.deadline = (uint32_t)deadline, .energy = (uint32_t)energy, .slow = slow};
  }
}

/* -- policies -- */

static void tally(Tally *s, const Trace *t, uint32_t i, int v, double time, double energy) {
  const TraceItem *item = &t->item[i];
  const bool missed = (item->deadline && time > item->deadline) || (item->energy && energy > item->energy),
             right = t->test[v].right[i];
  s->n++;
  s->missed += missed;
  s->right += right;
  s->right_in_time += right && !missed;
  s->time += time;
}

static double time_of(const Trace *t, uint32_t i, int v) {
  return t->v[v].cycles * (t->item[i].slow / 256.0);
}

static Tally always(const Trace *t, int v) {
  Tally s = {0};
  for (uint32_t i = 0; i < t->n; i++) tally(&s, t, i, v, time_of(t, i, v), t->v[v].nanojoules);
  return s;
}

static Tally oracle(const Trace *t) {
  Tally s = {0};
  for (uint32_t i = 0; i < t->n; i++) {
    int v = 0;
    const TraceItem *item = &t->item[i];
    while (v < t->n_variants - 1 &&
           (time_of(t, i, v) > item->deadline || (item->energy && t->v[v].nanojoules > item->energy)))
      v++;
    tally(&s, t, i, v, time_of(t, i, v), t->v[v].nanojoules);
  }
  return s;
}

/* -- on the board -- */

/* What stands between the program and the model. */
static const char glue[] =
    "#include \"net/model.h\"\n"
    "static union {\n  unsigned char bytes[NET_ARENA_SIZE];\n  double align;\n} memory;\n"
    "static net_context net;\n"
    "const uint32_t trace_input_bytes = NET_INPUT0_BYTES, trace_output_bytes = NET_OUTPUT0_BYTES;\n"
    "void trace_run(int32_t variant, const void *input, void *output) {\n"
    "  memcpy(net_input(&net, 0), input, NET_INPUT0_BYTES);\n"
    "  net_run(&net, variant);\n"
    "  memcpy(output, net_output(&net, 0), NET_OUTPUT0_BYTES);\n}\n"
    "void trace_init(mistify_controller *c, const mistify_control *how) {\n"
    "  net_init(&net, memory.bytes, sizeof memory);\n  net_controller_init(c, how);\n}\n"
    "int32_t trace_begin(mistify_controller *c, const mistify_budget *b) { return net_controller_begin(c, "
    "b); }\n"
    "int32_t trace_end(mistify_controller *c, uint32_t sure) { return net_controller_end(c, sure); }\n"
    "uint32_t trace_confidence(const void *y) { return net_confidence(y); }\n";

static void write_variants(const Trace *t) {
  StrBuf b = {0};
  sb_puts(
      &b,
      "#include <string.h>\n#include \"bench/adapt/trace.h\"\n#include \"runtime/device/confidence.h\"\n");
  sb_puts(&b, glue);
  must(t, file_write(path_in(t, "variants.c"), sb_str(&b), b.len, t->ad->b->d));
  sb_free(&b);
}

static void shell(const Trace *t, const char *command) {
  if (system(command) != 0) must(t, diag_error(t->ad->b->d, NULL, "failed: %s", command));
}

static void build(const Trace *t) {
  const char *f = t->ad->folder,
             *cc = arena_printf(t->ad->a, "%s %s -std=c99 -ffunction-sections -fdata-sections -I. -I%s",
                                t->target->cc, t->target->cflags, f);
  write_variants(t);
  shell(t, arena_printf(t->ad->a, "%s -c %s/net/model.c -o %s/net.o", cc, f, f));
  shell(t, arena_printf(
               t->ad->a,
               "%s %s -Wl,--gc-sections -o %s/trace.elf bench/adapt/trace_main.c %s/variants.c %s/net.o "
               "backend/harness/start.c backend/harness/bare.c -Ibackend/harness --specs=nano.specs "
               "-nostartfiles -Lbackend/harness -T %s -Wl,--start-group,-lc,-lnosys,--end-group -lm",
               cc, machine_flags(t->target->machine), f, f, f, machine_script(t->target->machine)));
}

static void write_inputs(const Trace *t, uint32_t sure) {
  const TraceHead head = {t->n, sure, SLACK, HOLD};
  const size_t bytes = (size_t)shape_count(&t->split_test.item);
  StrBuf items = {0}, images = {0};
  sb_write(&items, (const char *)&head, sizeof head);
  sb_write(&items, (const char *)t->item, t->n * sizeof *t->item);
  for (size_t i = 0; i < t->n * bytes; i++)
    sb_putc(&images, (char)(((const uint8_t *)t->split_test.x)[i] ^ 128));
  must(t, file_write(path_in(t, "items.bin"), sb_str(&items), items.len, t->ad->b->d) &&
              file_write(path_in(t, "images.bin"), sb_str(&images), images.len, t->ad->b->d));
  sb_free(&items);
  sb_free(&images);
}

static void check_output(const Trace *t, uint32_t i, uint32_t v, const int8_t *got) {
  const float *want = t->test[v].out + (size_t)i * t->classes;
  const int zero = graph_val(t->g[v], t->g[v]->outputs[0])->quant.zero[0];
  const float scale = graph_val(t->g[v], t->g[v]->outputs[0])->quant.scale[0];
  for (uint32_t k = 0; k < t->classes; k++)
    if (fabsf(scale * (float)(got[k] - zero) - want[k]) > scale / 4)
      must(t, diag_error(t->ad->b->d, NULL, "item %u, variant %u: output %u is not the engine's", i, v, k));
}

static Tally controller(const Trace *t, uint32_t sure) {
  Tally s = {0};
  size_t size;
  write_inputs(t, sure);
  shell(t, arena_printf(
               t->ad->a,
               "cd %s && qemu-system-arm -M %s -nographic -monitor none -serial none -semihosting-config "
               "enable=on,target=native -icount shift=6 -kernel trace.elf",
               t->ad->folder, t->target->machine));
  const char *p = file_read(t->ad->a, path_in(t, "results.bin"), &size, t->ad->b->d);
  const size_t each = sizeof(TraceResult) + t->classes;
  must(t, p != NULL);
  if (size != each * t->n)
    must(t, diag_error(t->ad->b->d, NULL, "%zu bytes of results, not %zu", size, each * t->n));
  for (uint32_t i = 0; i < t->n; i++, p += each) {
    TraceResult r;
    memcpy(&r, p, sizeof r);
    check_output(t, i, r.last, (const int8_t *)p + sizeof r);
    const double energy = t->v[r.last].nanojoules + (r.n_runs > 1 ? t->v[r.first].nanojoules : 0.0);
    tally(&s, t, i, (int)r.last, r.time, energy);
    s.control += r.control;
    s.control_most = fmax(s.control_most, r.control);
    s.confidence += (double)r.confidence / r.n_runs;
    s.runs += r.n_runs;
  }
  return s;
}

/* -- results -- */

static void report(const Trace *t, const char *policy, const Tally *s) {
  const char *how =
      arena_printf(t->ad->a, "%u inferences of the trace, %d variants of a family", t->n, t->n_variants);
  const char *name = arena_printf(t->ad->a, "trace: %s", policy);
  adapt_figure(t->ad, name, "budgets missed", 100.0 * s->missed / s->n, "%", "lower", how);
  adapt_figure(t->ad, name, "accuracy", 100.0 * s->right / s->n, "%", "higher", how);
  adapt_figure(t->ad, name, "right in time", 100.0 * s->right_in_time / s->n, "%", "higher", how);
  adapt_figure(t->ad, name, "time of an inference", s->time / s->n, "instr.", "lower", how);
  if (s->control == 0) return;
  adapt_figure(t->ad, name, "controller, of an inference", s->control / s->n, "instr.", "lower",
               "SysTick under qemu-system-arm -icount");
  adapt_figure(t->ad, name, "controller, at most", s->control_most, "instr.", "lower",
               "SysTick under qemu-system-arm -icount");
  adapt_figure(t->ad, name, "confidence, of an output", s->confidence / s->n, "instr.", "lower",
               "SysTick under qemu-system-arm -icount; counted with the time of a cascade alone");
  adapt_figure(t->ad, name, "runs of an inference", s->runs / s->n, "", "lower", how);
}

/* On validation: the least confidence from which the narrowest's output may stand, so that narrowest and widest together
 * are within a tenth of a point of the widest. */
static uint32_t sure_of(const Trace *t) {
  const Answers *narrow = &t->val[t->n_variants - 1], *wide = &t->val[0];
  for (uint32_t sure = 1; sure < 256; sure++) {
    int lost = 0;
    for (uint32_t i = 0; i < t->split_val.n; i++)
      if (narrow->confidence[i] >= sure) lost += wide->right[i] - narrow->right[i];
    if (lost * 1000 <= (int)t->split_val.n) return sure;
  }
  return 255;
}

static bool open_data(Trace *t) {
  const SplitSpec val = {.kind = "npy", .x = EXAMPLE "data/val_x.npy", .y = EXAMPLE "data/val_y.npy"};
  const SplitSpec test = {
      .kind = "npy", .x = EXAMPLE "data/test_x.npy", .y = EXAMPLE "data/test_y.npy", .count = t->n};
  while (t->n_variants < TRACE_VARIANTS && file_exists(adapt_variant(t->ad, "variant", t->n_variants)))
    t->n_variants++;
  if (t->n_variants == 0) {
    adapt_skip(t->ad, "want what part \"family\" leaves");
    return false;
  }
  must(t, split_open(&val, &t->split_val, t->ad->b->d) && split_open(&test, &t->split_test, t->ad->b->d));
  return true;
}

static void close_all(Trace *t) {
  for (int v = 0; v < t->n_variants; v++) {
    graph_free(t->g[v]);
    Answers *const both[] = {&t->val[v], &t->test[v]};
    for (int k = 0; k < 2; k++) {
      mem_free(both[k]->right);
      mem_free(both[k]->confidence);
      mem_free(both[k]->out);
    }
  }
  split_close(&t->split_val);
  split_close(&t->split_test);
}

void part_trace(Adapt *ad) {
  Trace t = {.ad = ad, .target = target_find(target_name), .n = ad->quick ? QUICK_ITEMS : ITEMS};
  const char *missing;
  Tally best = {0};
  if (!harness_available(t.target, &missing)) {
    adapt_skip(ad, arena_printf(ad->a, "%s is not installed", missing));
    return;
  }
  if (!open_data(&t)) return;
  open_variants(&t);
  t.item = arena_array(ad->a, t.n, sizeof *t.item);
  draw_trace(&t);
  build(&t);
  for (int v = 0; v < t.n_variants; v++) {
    const Tally s = always(&t, v);
    if (s.right_in_time > best.right_in_time) best = s;
    if (v == 0) report(&t, "always the widest", &s);
    if (v == t.n_variants - 1) report(&t, "always the narrowest", &s);
  }
  report(&t, "best static choice", &best);
  const Tally o = oracle(&t), plain = controller(&t, 0), cascade = controller(&t, sure_of(&t));
  report(&t, "controller", &plain);
  report(&t, "controller, cascade", &cascade);
  report(&t, "oracle", &o);
  memset(t.item, 0, t.n * sizeof *t.item);
  for (uint32_t i = 0; i < t.n; i++) t.item[i].slow = 256;
  const Tally wide = always(&t, 0), free_cascade = controller(&t, sure_of(&t));
  report(&t, "no limits, the widest", &wide);
  report(&t, "no limits, cascade", &free_cascade);
  close_all(&t);
}
