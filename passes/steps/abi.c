/* The numeric ABI: what decides the last bits of float results beside source and inputs. OpenBLAS chooses its
 * kernels by the processor it finds, the C library those of expf and the like, so both are part of it.
 */
#include <cblas.h>
#include <gnu/libc-version.h>

#include "ir/base/strbuf.h"
#include "runtime/engine/simd/kernels.h"
#include "passes/steps/steps.h"

static void cpu_features(StrBuf *out) {
#if defined(__x86_64__)
  sb_puts(out, "x86-64");
  if (__builtin_cpu_supports("avx2")) sb_puts(out, "+avx2");
  if (__builtin_cpu_supports("fma")) sb_puts(out, "+fma");
  if (__builtin_cpu_supports("avx512f")) sb_puts(out, "+avx512f");
#elif defined(__aarch64__)
  sb_puts(out, "aarch64");
#elif defined(__riscv)
  sb_puts(out, "riscv");
#else
  sb_printf(out, "pointers of %zu bytes", sizeof(void *));
#endif
}

const char *numeric_abi(Arena *a) {
  StrBuf text = {0};
  cpu_features(&text);
  sb_printf(&text, "; engine %s",
            engine_kernels(false)->name); /* its table chooses ways that round differently */
  sb_printf(&text, "; glibc %s; %s; %s", gnu_get_libc_version(), openblas_get_config(),
            openblas_get_corename());
  const char *copy = arena_strdup(a, sb_str(&text));
  sb_free(&text);
  return copy;
}

StepEnv step_env(Arena *a, Cache *cache) {
  return (StepEnv){
      .cache = cache, .prints = source_prints, .n_prints = source_prints_count, .abi = numeric_abi(a)};
}
