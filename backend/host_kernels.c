/* Kernels of the machine that the program runs on, for evaluation (Host.kernels).
 *
 * The target whose code this processor runs names the sets, as for emission (select.c). Only kernels on codes are taken:
 * they give the bytes of the generic ones, whereas float kernels add in another order, and evaluation is to give the same
 * everywhere.
 */
#include <string.h>

#include "backend/backend.h"

const Target *target_of_host(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return target_find("x86-64-v3");
  if (__builtin_cpu_supports("sse4.2")) return target_find("x86-64-v2");
#elif defined(__aarch64__)
  return target_find("aarch64");
#endif
  return NULL;
}

static bool on_codes(const KernelCall *k) {
  const char *name = k->kernel->name;
  size_t n = strlen(name);
  return n > 3 && strcmp(name + n - 3, "_s8") == 0;
}

bool select_host_kernels(const Graph *g, Calls *calls, Diag *d) {
  const Target *t = target_of_host();
  for (uint32_t i = 0; t && i < calls->n; i++) {
    Calls one = {.arena = calls->arena, .v = &calls->v[i], .n = 1};
    if (call_has_nibbles(&calls->v[i])) call_widen_nibbles(&calls->v[i], calls->arena);
    if (on_codes(&calls->v[i])) TRY(select_kernels(g, t, &one, d));
    ASSERT(calls->v[i].kernel->fn);
  }
  return true;
}
