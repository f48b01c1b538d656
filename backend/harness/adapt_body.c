/* Orders to a model that learns, on any machine: the same text for every model, behind macros that name its functions
 * (backend/measure/adapt_orders.c).
 *
 *   orders:   float rates[4] (last, offset, gain, clip)  u32 count, n   per order: i32 what, and the input's bytes where it has one
 *   results:  u64 instructions of a run, of a step, of a step from features (0 unless `count`)   per order what is said here:
 *
 *   what >= 0   the input's label: a step; its loss, float
 *   RUN         an inference; the first output
 *   WORDS       no input; all words that were learned
 *   RESET       no input; nothing
 *   RATES       float rates[4] in place of the input, from now on; nothing
 */
#include "model.h"

#ifdef SELFTEST_BARE
#include "bare.h"
typedef int file_handle;
static file_handle open_file(const char *path, int write) { return bare_open(path, write); }
static int is_open(file_handle f) { return f != -1; }
static int read_bytes(file_handle f, void *to, uint32_t n) { return bare_read(f, to, n) == n; }
static int write_bytes(file_handle f, const void *from, uint32_t n) { return bare_write(f, from, n) == n; }
static void close_file(file_handle f) { bare_close(f); }
#else
#include <stdio.h>
typedef FILE *file_handle;
static file_handle open_file(const char *path, int write) { return fopen(path, write ? "wb" : "rb"); }
static int is_open(file_handle f) { return f != NULL; }
static int read_bytes(file_handle f, void *to, uint32_t n) { return fread(to, 1, n, f) == n; }
static int write_bytes(file_handle f, const void *from, uint32_t n) { return fwrite(from, 1, n, f) == n; }
static void close_file(file_handle f) { fclose(f); }
static void bare_count_start(void) {}
static uint64_t bare_count_stop(void) { return 0; }
#endif

enum { RUN = -1, WORDS = -2, RESET = -3, RATES = -4 };

static union {
  unsigned char bytes[ADAPT_ARENA_BYTES];
  double align;
} memory;
static union {
  unsigned char bytes[ADAPT_STATE_BYTES];
  double align;
} state;
static adapt_context ctx;

/* Where words that were learned begin: behind the head. */
static const void *words(void) { return state.bytes + 24; }

/* Of a run, a step, a step from features, each from one state of learning. */
static int count_instructions(file_handle out) {
  uint64_t n[3];
  static unsigned char features[ADAPT_FEATURES_BYTES];
  bare_count_start();
  adapt_run(&ctx);
  n[0] = bare_count_stop();
  for (uint32_t i = 0; i < sizeof features; i++)
    features[i] = ((const unsigned char *)adapt_features(&ctx))[i];
  bare_count_start();
  (void)adapt_step(&ctx, (void *)0, 0);
  n[1] = bare_count_stop();
  bare_count_start();
  (void)adapt_step_features(&ctx, features, 0);
  n[2] = bare_count_stop();
  adapt_reset(&ctx);
  return write_bytes(out, n, sizeof n);
}

static int read_rates(file_handle in) { return read_bytes(in, adapt_rates(&ctx), 4 * sizeof(float)); }

static int obey(int32_t what, file_handle in, file_handle out) {
  if (what == RATES) return read_rates(in);
  if (what == WORDS) return write_bytes(out, words(), ADAPT_WORDS_BYTES);
  if (what == RESET) return adapt_reset(&ctx), 1;
  if (!read_bytes(in, adapt_input(&ctx, 0), ADAPT_INPUT_BYTES)) return 0;
  if (what == RUN) {
    adapt_run(&ctx);
    return write_bytes(out, adapt_output(&ctx, 0), ADAPT_OUTPUT_BYTES);
  }
  const float loss = adapt_step(&ctx, (void *)0, what);
  return write_bytes(out, &loss, sizeof loss);
}

static int obey_all(file_handle in, file_handle out) {
  uint32_t head[2];
  int32_t what;
  static const uint64_t none[3];
  if (!read_rates(in) || !read_bytes(in, head, sizeof head)) return 3;
  if (!(head[0] ? count_instructions(out) : write_bytes(out, none, sizeof none))) return 4;
  for (uint32_t i = 0; i < head[1]; i++)
    if (!read_bytes(in, &what, sizeof what) || !obey(what, in, out)) return 5;
  return 0;
}

int main(void) {
  const file_handle in = open_file("vectors.bin", 0), out = open_file("outputs.bin", 1);
  if (!is_open(in) || !is_open(out)) return 1;
  if (adapt_init(&ctx, memory.bytes, sizeof memory.bytes)) return 2;
  if (adapt_adapt_init(&ctx, state.bytes, sizeof state.bytes)) return 2;
  const int status = obey_all(in, out);
  close_file(in);
  close_file(out);
  return status;
}
