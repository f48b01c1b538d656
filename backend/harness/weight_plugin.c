/* A plugin of QEMU's translator that weighs the Thumb instructions a bare Cortex-M program executes (or counts those of
 * AArch64, core=aarch64) by the cycles that the
 * core's manual gives for their class, and prints "executed N weighted M" at the end, and for each layer between marks
 * (layers.h) "layer L calls C executed N weighted M". Argument: core=NAME.
 *
 *   cortex-m0   DDI 0432C 3.3        cortex-m3   DDI 0337H 3.3        cortex-m4   DDI 0439B 3.3
 *
 * For cores whose manual gives no timing (m7, m33, m55, m85) the table of the Cortex-M4 counts one scalar instruction at a time,
 * and a vector instruction as two cycles (a 64-bit data path takes 128 bits in two beats). No wait states, no dual issue,
 * no overlap of beats. A branch costs its refill when it is taken: when the next block is not the one that follows.
 * Built on the host; the interface is declared as in count_plugin.c.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void tb_callback(uint64_t id, struct qemu_plugin_tb *tb);
typedef void end_callback(uint64_t id, void *data);
typedef void exec_callback(unsigned cpu, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_callback *on_translation);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_callback *on_entry,
                                                 int flags, void *data);
extern void qemu_plugin_register_atexit_cb(uint64_t id, end_callback *on_end, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t at);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

API int qemu_plugin_version = 1;
API int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

/* Cycles of a class. Load-multiple: this many for the first register's access, one more for each register. */
typedef struct Weights {
  const char *core;
  uint32_t load, store, multiple, mul, mla, long_mul, long_mla, divide, branch, vector;
} Weights;

static const Weights cores[] = {
    {"cortex-m0", 2, 2, 1, 1, 1, 1, 1, 1, 2, 1},  /* single-cycle multiplier */
    {"cortex-m3", 2, 2, 1, 1, 2, 4, 5, 7, 2, 1},  /* long multiplies 3 to 5 and 4 to 7, division 2 to 12 */
    {"cortex-m4", 2, 2, 1, 1, 2, 1, 1, 7, 2, 1},  /* refill 1 to 3 */
    {"cortex-m55", 2, 2, 1, 1, 1, 1, 1, 7, 2, 2}, /* two beats a cycle */
    {"cortex-m85", 2, 2, 1, 1, 1, 1, 1, 7, 2, 2},
    {"aarch64", 1, 1, 1, 1, 1, 1, 1, 1, 0, 1}, /* instructions as such */
};
static const Weights *core = &cores[2];

typedef struct Block {
  uint64_t from, to;
  uint32_t instructions, weight;
  uint32_t yields, marks; /* YIELD and SEV in it */
} Block;

static uint64_t executed, weighted, expected; /* expected: where the last block would go on */

enum { MAX_LAYERS = 4096 };
static struct { uint64_t calls, executed, weighted; } layers[MAX_LAYERS];
static uint64_t layer_executed, layer_weighted; /* when it began */
static uint32_t yields, layer;                  /* layer: number + 1; 0: none is running */

static uint32_t ones(uint32_t x) { return (uint32_t)__builtin_popcount(x); }

static uint32_t weight16(uint32_t op) {
  const Weights *w = core;
  if ((op & 0xF800) == 0x4800) return w->load;
  if ((op & 0xFFC0) == 0x4340) return w->mul;
  if ((op & 0xF000) == 0x5000) return (op >> 9 & 7) < 3 ? w->store : w->load;
  if ((op & 0xE000) == 0x6000 || (op & 0xF000) == 0x8000 || (op & 0xF000) == 0x9000)
    return op & 0x0800 ? w->load : w->store;
  if ((op & 0xF000) == 0xC000) return w->multiple + ones(op & 0xFF);
  if ((op & 0xF600) == 0xB400) return w->multiple + ones(op & 0x1FF);
  return 1;
}

static uint32_t weight32(uint32_t a, uint32_t b) {
  const Weights *w = core;
  if ((a & 0xFE40) == 0xE800) return w->multiple + ones(b); /* LDM, STM */
  if ((a & 0xFE40) == 0xE840) return w->multiple + 2;       /* LDRD, STRD */
  if ((a & 0xFE00) == 0xF800) return a & 0x10 ? w->load : w->store;
  if ((a & 0xFF80) == 0xFB00) /* MLA and MLS take longer than MUL; the packed and halfword forms do not */
    return (a & 0x70) == 0 && (b >> 12) != 15 ? w->mla : w->mul;
  if ((a & 0xFFD0) == 0xFB90) return w->divide;
  if ((a & 0xFF80) == 0xFB80) return a & 0x40 ? w->long_mla : w->long_mul;
  if ((a & 0xEC00) == 0xEC00) return w->vector; /* coprocessor space: FPU, MVE */
  return 1;
}

static int counts_alone(void) { return core->branch == 0; }

static uint32_t weight_of(const struct qemu_plugin_insn *insn) {
  uint16_t half[2] = {0, 0};
  const size_t n = qemu_plugin_insn_size(insn);
  if (counts_alone()) return 1;
  memcpy(half, qemu_plugin_insn_data(insn), n < 4 ? 2 : 4);
  return n < 4 ? weight16(half[0]) : weight32(half[0], half[1]);
}

static void begin_layer(void) {
  layer = yields <= MAX_LAYERS ? yields : 0;
  yields = 0;
  layer_executed = executed;
  layer_weighted = weighted;
}

static void end_layer(void) {
  layers[layer - 1].calls++;
  layers[layer - 1].executed += executed - layer_executed;
  layers[layer - 1].weighted += weighted - layer_weighted;
  layer = 0;
}

/* A mark's block is no part of the layer. */
static void entered(unsigned cpu, void *data) {
  const Block *b = data;
  (void)cpu;
  const int mark = b->marks > 0, ends = mark && layer > 0;
  if (ends) end_layer();
  if (b->from != expected) weighted += core->branch;
  executed += b->instructions;
  weighted += b->weight;
  expected = b->to;
  yields += b->yields;
  if (mark && !ends) begin_layer();
}

static void count_hints(Block *b, const struct qemu_plugin_insn *insn) {
  uint32_t op = 0;
  const size_t n = qemu_plugin_insn_size(insn);
  if (n != (counts_alone() ? 4 : 2)) return;
  memcpy(&op, qemu_plugin_insn_data(insn), n);
  b->yields += op == (counts_alone() ? 0xD503203Fu : 0xBF10u);
  b->marks += op == (counts_alone() ? 0xD503209Fu : 0xBF40u);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
  Block *b = calloc(1, sizeof *b);
  size_t i;
  (void)id;
  if (!b) abort();
  b->from = b->to = qemu_plugin_tb_vaddr(tb);
  b->instructions = (uint32_t)qemu_plugin_tb_n_insns(tb);
  for (i = 0; i < b->instructions; i++) {
    const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    b->weight += weight_of(insn);
    count_hints(b, insn);
    b->to += qemu_plugin_insn_size(insn);
  }
  qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, 0, b);
}

static void ended(uint64_t id, void *data) {
  (void)id;
  (void)data;
  fprintf(stderr, "executed %" PRIu64 " weighted %" PRIu64 "\n", executed, weighted);
  for (size_t i = 0; i < MAX_LAYERS; i++)
    if (layers[i].calls)
      fprintf(stderr, "layer %zu calls %" PRIu64 " executed %" PRIu64 " weighted %" PRIu64 "\n", i,
              layers[i].calls, layers[i].executed, layers[i].weighted);
}

API int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  int i;
  size_t k;
  (void)info;
  for (i = 0; i < argc; i++)
    for (k = 0; k < sizeof cores / sizeof *cores; k++)
      if (strncmp(argv[i], "core=", 5) == 0 && strcmp(argv[i] + 5, cores[k].core) == 0) core = &cores[k];
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
