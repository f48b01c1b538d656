/* The marks of layers.h: hints that do nothing, in functions of their own. A layer begins after as many YIELDs as its
 * number and one more, then SEV; it ends with SEV.
 */
#include "layers.h"

__attribute__((noinline)) void selftest_layer_begin(int layer) {
  for (; layer >= 0; layer--) __asm__ volatile("yield" ::: "memory");
  __asm__ volatile("sev" ::: "memory");
}

__attribute__((noinline)) void selftest_layer_end(void) { __asm__ volatile("sev" ::: "memory"); }
