/* -- the test itself: the same text for every model (backend/harness/selftest_body.c) --
 *
 * The vectors are a stream, read while the test runs:
 *
 *   "MFVEC001"  u32 vectors  u32 flags   per vector: each input's bytes, then (EXPECTED) each output's bytes
 *
 * flags: EXPECTED: compare; else write each output to the second file. COUNT: count the instructions of the first
 * inference. Of a family, bits 8 .. 15: 1 + the variant to run; 0: those of variant_of in turns. For a counter outside: PLAIN: measure nothing; SKIP: infer nothing either, to subtract all the rest.
 * Integer outputs must be equal byte for byte, floats agree within MODEL_TOLERANCE of the output's range: 1e-5, 1e-3
 * where a layer is computed by Winograd's method.
 *
 *   -DSELFTEST_BARE      on a bare machine, over bare.h (semihosting)
 *   -DSELFTEST_MINIMAL   no test: a main that uses the model and nothing else, to measure what it adds to a program
 *   -DSELFTEST_EMPTY     no test: a main that does nothing, to subtract
 */
#if defined(model_bind_weights)
static int bind_weights(model_context *ctx) {
  return model_bind_weights(ctx, model_weights, sizeof model_weights);
}
#elif !defined(SELFTEST_EMPTY)
static int bind_weights(model_context *ctx) {
  (void)ctx;
  return 0;
}
#endif

#if defined(SELFTEST_EMPTY)
int main(void) { return 0; }
#elif defined(SELFTEST_MINIMAL)
#ifndef MODEL_SHARED_ARENA
static union {
  unsigned char bytes[MODEL_ARENA];
  double align;
} memory;
#endif

static model_context ctx;

#ifdef MODEL_ADAPT
static union {
  unsigned char bytes[MODEL_ADAPT];
  float align;
} state;
static int slot_read(void *to, uint32_t at, void *data, uint32_t n) { return to || at || !data || !n; }
static int slot_write(void *to, uint32_t at, const void *data, uint32_t n) { return to || at || !data || !n; }
static int learn(void) {
  const mistify_storage store = {0, MODEL_ADAPT_SLOT, slot_read, slot_write, 0};
  if (model_adapt_init(&ctx, state.bytes, sizeof state.bytes)) return 1;
  if (model_adapt_load(&ctx, &store)) model_adapt_reset(&ctx);
  model_adapt_rates(&ctx)->clip = 1.0f;
  return model_adapt_step(&ctx, 0, 0) < 0 || model_adapt_save(&ctx, &store);
}
#endif
#ifdef MODEL_CONTROLLER
static int choose(void) {
  static mistify_controller c;
  static const mistify_control how = {0, 0, 0, 0, 0, 0, 0, 0};
  const mistify_budget budget = {0, 0, 0, 0};
  model_controller_init(&c, &how);
  return model_controller_begin(&c, &budget) + model_controller_end(&c, 0);
}
#endif
#ifdef MODEL_DRIFT
static int watch(const void *input) {
  static mistify_drift d;
  model_drift_init(&d);
#ifdef MODEL_ROWS
  model_drift_rows(&d, input, 1);
#else
  model_drift_input(&d, input);
#endif
  if (!model_drift_output(&d, 0)) return 0;
  model_drift_reset(&d);
  return 1;
}
#endif

/* What the model has beside runs is used too: it is a part of what it adds. */
#if defined(MODEL_ADAPT) || defined(MODEL_CONTROLLER) || defined(MODEL_DRIFT)
static void use_more(const void *input) {
  volatile int used = input != 0;
#ifdef MODEL_ADAPT
  used += learn();
#endif
#ifdef MODEL_CONTROLLER
  used += choose();
#endif
#ifdef MODEL_DRIFT
  used += watch(input);
#endif
  (void)used;
}
#else
#define use_more(input) ((void)0)
#endif

int main(void) {
#ifdef MODEL_SHARED_ARENA
  if (model_init(&ctx, 0, 0) || bind_weights(&ctx)) return 1;
#else
  if (model_init(&ctx, memory.bytes, sizeof memory.bytes) || bind_weights(&ctx)) return 1;
#endif
#if defined(MODEL_ROWS)
  {
    unsigned char row[MODEL_ROW_BYTES];
    *(volatile unsigned char *)row = 1;
    while (!model_push_rows(&ctx, row, 1)) {}
#ifdef model_step
    while (model_step(&ctx)) {}
#endif
    use_more(row);
  }
#else
#if MODEL_INPUTS > 0
  *(volatile unsigned char *)model_input(&ctx, 0) = 1;
#endif
#ifdef MODEL_VARIANTS
  {
    volatile int which = 0; /* so that all of them stay in the program */
    model_run(&ctx, which);
#ifdef model_continue
    model_continue(&ctx, which);
#endif
  }
#else
  model_run(&ctx);
#endif
#if MODEL_INPUTS > 0
  use_more(model_input(&ctx, 0));
#endif
#endif
  return *(const volatile unsigned char *)model_output(&ctx, 0);
}
#else

#include <string.h>

#ifdef SELFTEST_BARE
#include "bare.h"
typedef int file_handle;
static file_handle open_file(const char *path, int write) { return bare_open(path, write); }
static int is_open(file_handle f) { return f != -1; }
static int read_bytes(file_handle f, void *to, unsigned long n) { return bare_read(f, to, n) == n; }
static int write_bytes(file_handle f, const void *from, unsigned long n) {
  return bare_write(f, from, n) == n;
}
static int close_file(file_handle f) { return bare_close(f), 1; }
static void print(const char *s) { bare_print(s); }
#else
#include <stdio.h>
typedef FILE *file_handle;
static file_handle open_file(const char *path, int write) { return fopen(path, write ? "wb" : "rb"); }
static int is_open(file_handle f) { return f != NULL; }
static int read_bytes(file_handle f, void *to, unsigned long n) { return fread(to, 1, n, f) == n; }
static int write_bytes(file_handle f, const void *from, unsigned long n) {
  return fwrite(from, 1, n, f) == n;
}
static int close_file(file_handle f) { return fclose(f) == 0; }
static void print(const char *s) { fputs(s, stdout); }
static void bare_count_start(void) {}
static uint64_t bare_count_stop(void) { return 0; }
#endif

enum { EXPECTED = 1, COUNT = 2, SKIP = 4, PLAIN = 8, CHUNK = 64 };

static union {
  unsigned char bytes[MODEL_ARENA];
  double align;
} memory;
static model_context context;
#ifdef MODEL_ROWS
static unsigned char input_rows[MODEL_ROWS * MODEL_ROW_BYTES];
#endif

static void print_number(int64_t v) {
  char text[24];
  int at = 23;
  uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  text[at] = 0;
  do text[--at] = (char)('0' + u % 10);
  while ((u /= 10) != 0);
  if (v < 0) text[--at] = '-';
  print(text + at);
}

static void print_item(const char *what, int64_t v) {
  print(" ");
  print(what);
  print(" ");
  print_number(v);
}

/* A float as an integer part and six decimals, enough to see how far it is off. */
static void print_real(double v) {
  int64_t millionths;
  if (!(v > -1e12 && v < 1e12)) {
    print(v != v ? "nan" : v < 0 ? "-huge" : "huge");
    return;
  }
  if (v < 0) {
    print("-");
    v = -v;
  }
  millionths = (int64_t)((v - (double)(int64_t)v) * 1e6 + 0.5);
  print_number((int64_t)v);
  print(".");
  for (int64_t place = 100000; place > 0; place /= 10) print_number(millionths / place % 10);
}

/* The element at p, as the tensor's kind says. */
static double real_at(const struct tensor *t, const unsigned char *p) {
  if (t->element == 8) {
    double v;
    memcpy(&v, p, 8);
    return v;
  } else {
    float v;
    memcpy(&v, p, 4);
    return (double)v;
  }
}

static int64_t integer_at(const struct tensor *t, const unsigned char *p) {
  uint64_t v = 0;
  unsigned long i;
  for (i = 0; i < t->element; i++) v |= (uint64_t)p[i] << (8 * i);
  if (t->kind != 'u' && t->element < 8 && v >> (8 * t->element - 1)) v -= (uint64_t)1 << (8 * t->element);
  return (int64_t)v;
}

/* What is known of one output's comparison so far. */
struct comparison {
  unsigned long differ;          /* elements whose bytes differ */
  long first;                    /* index of the first one, or for floats of the worst */
  double worst, range;           /* floats, codes: largest difference, largest magnitude */
  unsigned char got[8], want[8]; /* of element `first` */
};

static void compare_element(const struct tensor *t, struct comparison *c, long index,
                            const unsigned char *got, const unsigned char *want) {
  double diff = 0;
  int equal = memcmp(got, want, t->element) == 0;
  if (t->kind == 'f') {
    const double a = real_at(t, got), b = real_at(t, want), size = b < 0 ? -b : b;
    if (size > c->range) c->range = size;
    diff = a > b ? a - b : b - a;
    if (!equal && diff != diff) diff = a != a && b != b ? 0 : 1e300; /* both NaN, or one of them */
  } else if (t->kind == 'q') {
    diff = (double)(integer_at(t, got) - integer_at(t, want));
    if (diff < 0) diff = -diff;
  }
  if (equal) return;
  c->differ++;
  if (c->first >= 0 && diff <= c->worst) return;
  c->first = index;
  c->worst = diff;
  memcpy(c->got, got, t->element);
  memcpy(c->want, want, t->element);
}

static void print_difference(const struct tensor *t, int output, const struct comparison *c) {
  print_item("output", output);
  print_item("element", c->first);
  print(" got ");
  if (t->kind == 'f')
    print_real(real_at(t, c->got));
  else
    print_number(integer_at(t, c->got));
  print(" want ");
  if (t->kind == 'f')
    print_real(real_at(t, c->want));
  else
    print_number(integer_at(t, c->want));
  print_item("elements differing", (int64_t)c->differ);
}

/* Compare output i with the stream. 2: equal, 1: within the tolerance, 0: different (printed), -1: no more data. */
static int compare_one(file_handle f, int i) {
  const struct tensor *t = &outputs[i];
  const unsigned char *got = (const unsigned char *)model_output(&context, i);
  struct comparison c = {0, -1, 0, 0, {0}, {0}};
  unsigned char want[CHUNK];
  unsigned long at, k;
  for (at = 0; at < t->bytes; at += CHUNK) {
    const unsigned long n = t->bytes - at < CHUNK ? t->bytes - at : CHUNK;
    if (!read_bytes(f, want, n)) return -1;
    for (k = 0; k < n; k += t->element)
      compare_element(t, &c, (long)((at + k) / t->element), got + at + k, want + k);
  }
  if (c.differ == 0) return 2;
  if (t->kind == 'f' && c.worst <= MODEL_TOLERANCE * c.range) return 1;
  if (t->kind == 'q' && c.worst <= MODEL_CODES) return 1;
  print_difference(t, i, &c);
  return 0;
}

static int read_inputs(file_handle f) {
  int i;
  for (i = 0; i < MODEL_INPUTS; i++)
#ifdef MODEL_ROWS
    if (!read_bytes(f, input_rows, inputs[i].bytes)) return 0;
#else
    if (!read_bytes(f, model_input(&context, i), inputs[i].bytes)) return 0;
#endif
  return 1;
}

static int write_outputs(file_handle f) {
  int i;
  for (i = 0; i < MODEL_OUTPUTS; i++)
    if (!write_bytes(f, model_output(&context, i), outputs[i].bytes)) return 0;
  return 1;
}

/* Outside of main, with a name of its own, so that profilers can tell the inference from the test. */
#ifdef __GNUC__
__attribute__((noinline))
#endif
void selftest_run(const model_context *ctx);
#ifdef MODEL_ROWS /* the input lies here as a whole, and is given row by row */
#define INFER(ctx)                                                                                       \
  do {                                                                                                   \
    int y_;                                                                                              \
    INFER_BEGIN                                                                                          \
    for (y_ = 0; y_ < MODEL_ROWS; y_++) model_push_rows(&context, input_rows + y_ * MODEL_ROW_BYTES, 1); \
    INFER_REST                                                                                           \
  } while (0)
#ifdef MODEL_HOP
#define INFER_BEGIN context.row = 0; /* each vector a first window */
#else
#define INFER_BEGIN
#endif
#ifdef model_step
#define INFER_REST \
  while (model_step(&context)) {}
#else
#define INFER_REST
#endif
#elif defined(MODEL_VARIANTS)
static int variant; /* the one to run */
#define INFER(ctx) model_run(&context, variant)
#else
#define INFER(ctx) model_run(ctx)
#endif
void selftest_run(const model_context *ctx) {
  (void)ctx;
  INFER(ctx);
}

/* One vector, its inputs read. 2, 1, 0, -1 as compare_one; the worst of all outputs. */
static int check_vector(file_handle f, uint32_t number) {
  int i, worst = 2;
  print("vector ");
  print_number(number);
  print(":");
  for (i = 0; i < MODEL_OUTPUTS; i++) {
    const int r = compare_one(f, i);
    if (r < worst) worst = r;
    if (r < 0) break;
  }
  print(worst == 2   ? " equal\n"
        : worst == 1 ? " within tolerance\n"
        : worst == 0 ? "\n"
                     : " data ends early\n");
  return worst;
}

static int read_header(file_handle f, uint32_t *n, uint32_t *flags) {
  unsigned char h[16];
  if (!read_bytes(f, h, 16) || memcmp(h, "MFVEC001", 8) != 0) return 0;
  *n = h[8] | (uint32_t)h[9] << 8 | (uint32_t)h[10] << 16 | (uint32_t)h[11] << 24;
  *flags = h[12] | (uint32_t)h[13] << 8 | (uint32_t)h[14] << 16 | (uint32_t)h[15] << 24;
  return 1;
}

static int fail(const char *why, const char *path) {
  print("selftest: ");
  print(path);
  print(why);
  return 2;
}

/* The inference, measured when it is the first. */
static void run_measured(uint32_t number, uint32_t flags, int64_t *instructions, int64_t *stack) {
  (void)stack;
#ifdef MODEL_VARIANTS
  variant = flags >> 8 ? (int)(flags >> 8) - 1 : variant_of[number % sizeof variant_of];
#endif
  if (flags & SKIP) return;
#ifdef model_continue /* every other one from exit to exit */
  if (number % 2 == 1) {
    int v = MODEL_VARIANTS - 1;
    model_run(&context, v);
    while (v > variant) model_continue(&context, --v);
    return;
  }
#endif
#if defined(model_step) && !defined(MODEL_ROWS) /* every other one in pieces */
  if (number % 2 == 1) {
    while (model_step(&context)) {}
    return;
  }
#endif
  if (number == 0 && flags & COUNT) {
    bare_count_start();
    selftest_run(&context);
    *instructions = (int64_t)bare_count_stop();
#ifdef SELFTEST_BARE
  } else if (number == 0 && !(flags & PLAIN)) {
    bare_stack_paint(bare_sp());
    INFER(&context); /* here, so that no frame of the test lies between */
    *stack = (int64_t)bare_stack_used();
#endif
  } else {
    selftest_run(&context);
  }
}

static int run_all(file_handle in, const char *in_path, const char *out_path) {
  uint32_t n, flags, k, passed = 0, equal = 0;
  int64_t instructions = 0, stack = 0;
  file_handle out = in;
  if (!read_header(in, &n, &flags)) return fail(": no vectors of a model\n", in_path);
  if (!(flags & EXPECTED)) out = open_file(out_path, 1);
  if (!is_open(out)) return fail(": cannot be written\n", out_path);
  for (k = 0; k < n; k++) {
    int r = 2;
    if (!read_inputs(in)) return fail(": ends early\n", in_path);
    run_measured(k, flags, &instructions, &stack);
    if (flags & EXPECTED)
      r = check_vector(in, k);
    else if (!write_outputs(out))
      return fail(": cannot be written\n", out_path);
    if (r < 0) return 2;
    passed += r > 0;
    equal += r == 2;
  }
  if (out != in && !close_file(out)) return fail(": cannot be written\n", out_path);
  print("selftest " MODEL_NAME ":");
  print_item("vectors", n);
  print_item("passed", passed);
  print_item("equal", equal);
  print_item("arena", MODEL_ARENA);
  print_item("instructions", instructions);
  print_item("stack", stack);
  print("\n");
  return n > 0 && passed == n ? 0 : 1;
}

static int selftest(const char *in_path, const char *out_path) {
  int status;
  file_handle in;
  if (model_init(&context, memory.bytes, sizeof memory.bytes))
    return fail(": the arena does not fit\n", MODEL_NAME);
  if (bind_weights(&context)) return fail(": the weights do not fit\n", MODEL_NAME);
  in = open_file(in_path, 0);
  if (!is_open(in)) return fail(": cannot be opened\n", in_path);
  status = run_all(in, in_path, out_path);
  close_file(in);
  return status;
}

#ifdef SELFTEST_BARE
int main(void) { return selftest("vectors.bin", "outputs.bin"); }
#else
int main(int argc, char **argv) {
  return selftest(argc > 1 ? argv[1] : "vectors.bin", argc > 2 ? argv[2] : "outputs.bin");
}
#endif
#endif
