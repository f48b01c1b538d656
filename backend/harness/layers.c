/* The marks of layers.h, functions of their own. On Arm hints that do nothing: a layer begins after as many YIELDs as its
 * number and one more, then SEV; it ends with SEV. Elsewhere the functions' names alone are looked for.
 */
#include "layers.h"

#if defined(__arm__) || defined(__aarch64__)
#define YIELD "yield"
#define SEV   "sev"
#else
#define YIELD ""
#define SEV   ""
#endif

__attribute__((noinline)) void selftest_layer_begin(int layer) {
  for (; layer >= 0; layer--) __asm__ volatile(YIELD ::: "memory");
  __asm__ volatile(SEV ::: "memory");
}

__attribute__((noinline)) void selftest_layer_end(void) { __asm__ volatile(SEV ::: "memory"); }
