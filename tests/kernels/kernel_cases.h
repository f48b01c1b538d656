/* Random cases for kernels: parameters, input tensors and the shape of the output, for any kernel of kernels.def. */
#ifndef TESTS_KERNELS_KERNEL_CASES_H
#define TESTS_KERNELS_KERNEL_CASES_H

#include "ir/base/arena.h"
#include "ir/base/rng.h"
#include "ir/lower.h"

/* As ck_assert_msg, for loops: Check writes each of its assertions to a file, this one only a failure. */
#define WANT(cond, ...)                     \
  do {                                      \
    if (!(cond)) ck_abort_msg(__VA_ARGS__); \
  } while (0)

typedef struct CaseTensor {
  int32_t rows, row; /* rows of `row` bytes each */
  char *data;        /* where the view's base points */
  bool ring;         /* may be given as a ring of rows */
  bool plain;        /* dense, of the output's size and cut: the output may take its place */
} CaseTensor;

typedef struct KernelCase {
  const KernelDef *kernel;
  void *params;
  CaseTensor in[CALL_MAX_IN];
  int n_in;
  int32_t out_rows, out_row; /* rows of `out_row` bytes each */
  /* Rows lo .. hi-1 of input i that output row y reads (for rings). */
  void (*reads)(const struct KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi);
  char text[200]; /* for messages */
} KernelCase;

/* A random case that the kernel accepts, in `a`, its params as lowering makes them. Fails the test when no generator
 * knows the kernel's params, or none of many cases is accepted. */
KernelCase kernel_case(const KernelDef *k, Rng *r, Arena *a);

/* The output of the generic kernel, dense rows. */
char *kernel_case_reference(const KernelCase *c, Arena *a);
/* A copy of the params as the case's kernel wants them; *out (or NULL) gets the arrays that its pack function made. */
void *kernel_case_pack(const KernelCase *c, Arena *a, KernelPack *out);

/* The same case with its weights spread in a wider array, garbage between; false where the params have no
 * weight strides. */
bool kernel_case_widen(const KernelCase *c, Rng *r, Arena *a, KernelCase *out);

/* n bytes: int8 and integers are uniform with many extremes, floats normal with some zeros. kind: 'f' float, 'b' byte,
 * 'i' int32, 'l' int64, 'd' double, 'q' int64 or int32 indices are made by the generator itself. */
void fill_random(Rng *r, void *p, size_t n, char kind);

#endif
