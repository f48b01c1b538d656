/* Kernel selection: each call's generic kernel is exchanged for the best one that the target has for it.
 *
 * Lowering names kernels by operator and dtype ("conv_s8"). A target lists kernel sets, best first; of the rows of that
 * name that accept the call's params the first wins, unless the target's cost table (backend/costs.h) knows it and a
 * later one, and gives the later one clearly fewer cycles for this call's shapes. Kernels of one name share their params struct; a
 * kernel with a pack function gets its constants in its own layout, and nothing else of the call changes. "generic"
 * ends every target's list and accepts all.
 *
 * Code has its price: where calls of one name cost less by another choice of kernels, cycles + bytes * price, and by more
 * than the fits' errors, they get that one. Speed asks no price, balanced one cycle of an inference for a byte (on bare
 * machines), size a hundred.
 */
#include "backend/backend.h"

#include <string.h>

#include "backend/costs.h"

static const KernelSet *find_set(const KernelSet *sets, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(sets[i].name, name) == 0) return &sets[i];
  return NULL;
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

/* The order of sets is a judgement too, and a fit is off by some percent: what a later kernel must save. */
#define CLEARLY 0.9
/* All calls of a name together, of which the fits' errors partly cancel. */
#define SURELY 0.97
/* Cycles of one inference that a byte of a kernel's code must save, by Optimize. Between 1 and 100 lie the small layers
 * (a FullyConnected of 16 by 16), far above them those that the time goes into (thousands for a byte). */
static const double prices[] = {[OPT_BALANCED] = 1, [OPT_SPEED] = 0, [OPT_SIZE] = 100};

/* The call done by kernel k; kernels count their work each in its own way. */
static double cycles_by(const SelectBy *by, const KernelCall *call, const KernelDef *k,
                        const KernelCost *cost) {
  KernelCall done = *call;
  done.kernel = k;
  const CallWork w = call_work(by->g, &done, false);
  return kernel_cycles(cost, &w);
}

static bool clearly_cheaper(const SelectBy *by, const KernelCall *call, const KernelDef *k,
                            const KernelDef *than) {
  if (!by || !by->costs) return false;
  const KernelCost *a = kernel_cost(by->costs, k), *b = kernel_cost(by->costs, than);
  if (!a || !b) return false;
  return cycles_by(by, call, k, a) < CLEARLY * cycles_by(by, call, than, b);
}

typedef struct Selection {
  const KernelSet *sets;
  int n_sets;
  const char *const *order;
  const SelectBy *by;
  Calls *calls;
  const KernelDef **best; /* by call */
} Selection;

static bool accepts(const Selection *s, const KernelSet *set, const KernelDef *k, uint32_t c) {
  const KernelCall *call = &s->calls->v[c];
  const SelectBy *by = s->by;
  if (strcmp(k->name, call->kernel->name) != 0) return false;
  if (by && by->without && ends_with(k->tag, by->without)) return false;
  if (!(by && by->families) && ends_with(k->tag, "_family")) return false;
  if (by && by->may && !by->may(by->ctx, c, k)) return false;
  return (!k->accepts || k->accepts(call->params)) && (!set->accepts || set->accepts(k, call->params));
}

static const KernelDef *choose(const Selection *s, const KernelSet *set, uint32_t c, const KernelDef *best) {
  for (int i = 0; i < *set->n; i++) {
    const KernelDef *k = &set->kernels[i];
    if (accepts(s, set, k, c) && (!best || clearly_cheaper(s->by, &s->calls->v[c], k, best))) best = k;
  }
  return best;
}

/* -- the price of code: calls of one name, which share what they use -- */

static bool is_of(const Selection *s, uint32_t c, const char *name) {
  return strcmp(s->calls->v[c].kernel->name, name) == 0;
}

/* Cycles of all calls of that name, and their code at its price; negative: the table does not know. */
static double price_of(const Selection *s, const char *name, const KernelDef *const *chosen) {
  double sum = 0;
  for (uint32_t c = 0; c < s->calls->n; c++) {
    if (!is_of(s, c, name)) continue;
    const KernelCost *cost = kernel_cost(s->by->costs, chosen[c]);
    int before = 0, all = 0;
    if (!cost) return -1;
    for (uint32_t b = 0; b < s->calls->n; b++) {
      all += chosen[b] == chosen[c];
      before += b < c && chosen[b] == chosen[c];
    }
    sum += cycles_by(s->by, &s->calls->v[c], chosen[c], cost);
    if (before == 0) sum += s->by->byte_price * (all > 1 ? cost->size.many : cost->size.once);
  }
  return sum;
}

/* The same with kernel k for all of them that it accepts. */
static void try_kernel(Selection *s, const KernelSet *set, const KernelDef *k, double *least, Arena *a) {
  const KernelDef **other = arena_dup(a, s->best, s->calls->n * sizeof *other);
  for (uint32_t c = 0; c < s->calls->n; c++)
    if (accepts(s, set, k, c)) other[c] = k;
  const double price = price_of(s, k->name, other);
  if (price < 0 || price >= SURELY * *least) return;
  *least = price;
  memcpy(s->best, other, s->calls->n * sizeof *other);
}

static void weigh_name(Selection *s, const char *name, Arena *a) {
  double least = price_of(s, name, s->best);
  if (least < 0) return;
  for (const char *const *at = s->order; *at; at++) {
    const KernelSet *set = find_set(s->sets, s->n_sets, *at);
    for (int i = 0; set && i < *set->n; i++)
      if (strcmp(set->kernels[i].name, name) == 0) try_kernel(s, set, &set->kernels[i], &least, a);
  }
}

static void weigh_code(Selection *s) {
  Arena *a = arena_new();
  for (uint32_t c = 0; c < s->calls->n; c++) {
    const char *name = s->calls->v[c].kernel->name;
    bool before = false;
    for (uint32_t b = 0; b < c; b++) before = before || is_of(s, b, name);
    if (!before) weigh_name(s, name, a);
  }
  arena_free(a);
}

/* -- all calls -- */

static bool select_call(const Selection *s, uint32_t c, Diag *d) {
  const KernelDef *best = NULL;
  for (const char *const *at = s->order; *at; at++) {
    const KernelSet *set = find_set(s->sets, s->n_sets, *at);
    if (set) best = choose(s, set, c, best);
  }
  FAIL_IF(!best, d, NULL, "no kernel set of the target has \"%s\" for this layer",
          s->calls->v[c].kernel->name);
  s->best[c] = best;
  return true;
}

bool select_from(const KernelSet *sets, int n_sets, const char *const *order, const SelectBy *by,
                 Calls *calls, Diag *d) {
  Selection s = {sets, n_sets, order,
                 by,   calls,  arena_array(calls->arena, (size_t)calls->n + 1, sizeof *s.best)};
  for (uint32_t c = 0; c < calls->n; c++) TRY(select_call(&s, c, d));
  if (by && by->costs && by->byte_price > 0) weigh_code(&s);
  for (uint32_t c = 0; c < calls->n; c++) call_exchange(&calls->v[c], s.best[c], calls->arena);
  return true;
}

/* On machines with an operating system a byte is worth nothing, unless size is asked for. */
static bool bytes_count(const Target *t) { return strcmp(t->run, "qemu-m") == 0 || t->optimize == OPT_SIZE; }

static double byte_price(const Target *t) { return bytes_count(t) ? prices[t->optimize] : 0; }

/* Weights of 4 bits stay so where bytes count; elsewhere int8 kernels, which are faster, give the same. */
void select_widen(const Target *t, Calls *calls) {
  for (uint32_t c = 0; c < calls->n; c++)
    if (!bytes_count(t) && call_has_nibbles(&calls->v[c])) call_widen_nibbles(&calls->v[c], calls->arena);
}

SelectBy select_by(const Graph *g, const Target *t) {
  return (SelectBy){
      .g = g, .costs = t->costs, .without = t->without, .byte_price = byte_price(t), .families = t->families};
}

bool select_kernels_by(const Target *t, const SelectBy *by, Calls *calls, Diag *d) {
  select_widen(t, calls);
  return select_from(kernel_sets, n_kernel_sets, t->sets, by, calls, d);
}

bool select_kernels(const Graph *g, const Target *t, Calls *calls, Diag *d) {
  const SelectBy by = select_by(g, t);
  return select_kernels_by(t, &by, calls, d);
}
