/* Kernel selection: each call's generic kernel is exchanged for the best one that the target has for it.
 *
 * Lowering names kernels by operator and dtype ("conv_s8"). A target lists kernel sets, best first; the first row of
 * the first set that has that name and accepts the call's params wins. Kernels of one name share their params struct; a
 * kernel with a pack function gets its constants in its own layout, and nothing else of the call changes. "generic"
 * ends every target's list and accepts all.
 */
#include "backend/backend.h"

#include <string.h>

static const KernelSet *find_set(const KernelSet *sets, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(sets[i].name, name) == 0) return &sets[i];
  return NULL;
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

static const KernelDef *find_kernel(const KernelSet *set, const char *without, const KernelCall *call) {
  for (int i = 0; i < *set->n; i++) {
    const KernelDef *k = &set->kernels[i];
    if (strcmp(k->name, call->kernel->name) != 0 || (without && ends_with(k->tag, without))) continue;
    if (k->accepts && !k->accepts(call->params)) continue;
    if (!set->accepts || set->accepts(k, call->params)) return k;
  }
  return NULL;
}

static bool select_call(const KernelSet *sets, int n_sets, const char *const *order, const char *without,
                        KernelCall *call, Arena *a, Diag *d) {
  for (; *order; order++) {
    const KernelSet *set = find_set(sets, n_sets, *order);
    const KernelDef *k = set ? find_kernel(set, without, call) : NULL;
    if (!k) continue;
    call_exchange(call, k, a);
    return true;
  }
  return diag_error(d, NULL, "no kernel set of the target has \"%s\" for this layer", call->kernel->name);
}

static bool select_all(const KernelSet *sets, int n_sets, const char *const *order, const char *without,
                       Calls *calls, Diag *d) {
  for (uint32_t i = 0; i < calls->n; i++)
    TRY(select_call(sets, n_sets, order, without, &calls->v[i], calls->arena, d));
  return true;
}

bool select_from(const KernelSet *sets, int n_sets, const char *const *order, Calls *calls, Diag *d) {
  return select_all(sets, n_sets, order, NULL, calls, d);
}

bool select_kernels(const Target *t, Calls *calls, Diag *d) {
  return select_all(kernel_sets, n_kernel_sets, t->sets, t->without, calls, d);
}
