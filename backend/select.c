/* Kernel selection: each call's generic kernel is exchanged for the best one that the target has for it.
 *
 * Lowering names kernels by operator and dtype ("conv_s8"). A target lists kernel sets, best first; of the rows of that
 * name that accept the call's params the first wins, unless the target's cost table (backend/costs.h) knows it and a
 * later one, and gives the later one clearly fewer cycles for this call's shapes. Kernels of one name share their params struct; a
 * kernel with a pack function gets its constants in its own layout, and nothing else of the call changes. "generic"
 * ends every target's list and accepts all.
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

static bool accepts(const KernelSet *set, const KernelDef *k, const KernelCall *call, const SelectBy *by) {
  if (by && by->without && ends_with(k->tag, by->without)) return false;
  return strcmp(k->name, call->kernel->name) == 0 && (!k->accepts || k->accepts(call->params)) &&
         (!set->accepts || set->accepts(k, call->params));
}

static const KernelDef *choose(const KernelSet *set, const KernelCall *call, const SelectBy *by,
                               const KernelDef *best) {
  for (int i = 0; i < *set->n; i++) {
    const KernelDef *k = &set->kernels[i];
    if (accepts(set, k, call, by) && (!best || clearly_cheaper(by, call, k, best))) best = k;
  }
  return best;
}

static bool select_call(const KernelSet *sets, int n_sets, const char *const *order, const SelectBy *by,
                        KernelCall *call, Arena *a, Diag *d) {
  const KernelDef *best = NULL;
  for (; *order; order++) {
    const KernelSet *set = find_set(sets, n_sets, *order);
    if (set) best = choose(set, call, by, best);
  }
  FAIL_IF(!best, d, NULL, "no kernel set of the target has \"%s\" for this layer", call->kernel->name);
  call_exchange(call, best, a);
  return true;
}

bool select_from(const KernelSet *sets, int n_sets, const char *const *order, const SelectBy *by,
                 Calls *calls, Diag *d) {
  for (uint32_t i = 0; i < calls->n; i++)
    TRY(select_call(sets, n_sets, order, by, &calls->v[i], calls->arena, d));
  return true;
}

bool select_kernels(const Graph *g, const Target *t, Calls *calls, Diag *d) {
  const SelectBy by = {g, t->costs, t->without};
  return select_from(kernel_sets, n_kernel_sets, t->sets, &by, calls, d);
}
