/* The machine's peak of float32 multiply-adds: an assembly loop of independent FMAs in registers, each counted as two
 * operations, in the widest form that the processor has, on a number of threads at once.
 */
#include "bench/train_peak.h"

#include <stdint.h>

#include "runtime/engine/threads.h"

enum { CHAINS = 12, LOOPS = 400000 };

#if defined(__x86_64__)

/* 12 chains: more than twice the 4 cycles of an FMA's result. What stood in the registers might be denormal, and slow. */
#define FMA_LOOP(r)                                                                                    \
  __asm__ volatile(                                                                                    \
      "vzeroall\n 1:\n"                                                                                \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "0\n vfmadd231ps %%" r "12, %%" r "13, %%" r "1\n"      \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "2\n vfmadd231ps %%" r "12, %%" r "13, %%" r "3\n"      \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "4\n vfmadd231ps %%" r "12, %%" r "13, %%" r "5\n"      \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "6\n vfmadd231ps %%" r "12, %%" r "13, %%" r "7\n"      \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "8\n vfmadd231ps %%" r "12, %%" r "13, %%" r "9\n"      \
      "vfmadd231ps %%" r "12, %%" r "13, %%" r "10\n vfmadd231ps %%" r "12, %%" r "13, %%" r "11\n"    \
      "dec %0\n jnz 1b\n"                                                                              \
      : "+r"(n)                                                                                        \
      :                                                                                                \
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

static void loop_512(int64_t n) { FMA_LOOP("zmm"); }
static void loop_256(int64_t n) { FMA_LOOP("ymm"); }

static void one_thread(void *ctx, int unit, int thread) {
  (void)unit, (void)thread;
  (*(int *)ctx == 16 ? loop_512 : loop_256)(LOOPS);
}

static int widest(void) {
  return __builtin_cpu_supports("avx512f") ? 16 : __builtin_cpu_supports("fma") ? 8 : 0;
}

#elif defined(__aarch64__)

#include <arm_neon.h>

static void one_thread(void *ctx, int unit, int thread) {
  (void)ctx, (void)unit, (void)thread;
  float32x4_t a[CHAINS] = {0}, x = vdupq_n_f32(0), y = vdupq_n_f32(0);
  for (int64_t n = 0; n < LOOPS; n++)
    for (int i = 0; i < CHAINS; i++) {
      a[i] = vfmaq_f32(a[i], x, y);
      __asm__ volatile("" : "+w"(a[i]));
    }
}

static int widest(void) { return 4; }

#else

static void one_thread(void *ctx, int unit, int thread) { (void)ctx, (void)unit, (void)thread; }
static int widest(void) { return 0; }

#endif

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double peak_gflops(int threads, clockid_t clock) {
  int width = widest();
  double best = 0;
  Threads *p = width ? threads_new(threads) : NULL;
  for (int i = 0; p && i < 12; i++) {
    double t = now(clock);
    threads_run(p, one_thread, &width, threads);
    double rate = 2e-9 * CHAINS * LOOPS * width * threads / (now(clock) - t);
    if (rate > best) best = rate;
  }
  threads_free(p);
  return best;
}
