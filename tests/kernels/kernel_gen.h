/* What the files of generators of kernel cases share: kernel_cases.c (tools, table), kernel_cases_s8.c, kernel_cases_s16.c,
 * kernel_cases_index.c. */
#ifndef TESTS_KERNELS_KERNEL_GEN_H
#define TESTS_KERNELS_KERNEL_GEN_H

#include "tests/kernels/kernel_cases.h"

/* -- kernel_cases.c -- */
int32_t in_range(Rng *r, int32_t lo, int32_t hi);
int32_t kind_size(char kind);
bool name_ends(const char *name, const char *tail);
char kind_of(const KernelDef *k);
void *random_data(Rng *r, Arena *a, int32_t count, char kind);
CaseTensor tensor_rows(Rng *r, Arena *a, int32_t rows, int32_t n, char kind);
mf_window window(Rng *r, bool dilated);
void window_tensors(KernelCase *c, const mf_window *g, Rng *r, Arena *a, char kind);
void limits_f32(Rng *r, float *lo, float *hi);
void vector_tensors(KernelCase *c, Rng *r, Arena *a, int32_t k, int32_t n, char kind);
void unary_tensors(KernelCase *c, Rng *r, Arena *a, int32_t n, char from, char to);
void binary_tensors(KernelCase *c, Rng *r, Arena *a);
void conv_channels(const KernelDef *k, Rng *r, mf_window *g, int32_t *groups, int32_t *w_tap, int32_t *w_out);
int32_t conv_weights(const mf_window *g, int32_t w_tap, int32_t w_out);
void reads_all(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi);
void reads_matmul(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi);
int32_t random_code(Rng *r);
int32_t random_multiplier(Rng *r);
int8_t *random_weights(Rng *r, Arena *a, int32_t n);
const int8_t *shifts(Rng *r, Arena *a, int32_t n);
const int32_t *multipliers(Rng *r, Arena *a, int32_t n);
void limits_s8(Rng *r, int32_t *lo, int32_t *hi);

typedef void MakeCase(KernelCase *c, Rng *r, Arena *a);

/* -- kernel_cases_window.c -- */
MakeCase gen_conv_f32, gen_conv_s8, gen_conv_s8_even, gen_pool_f32, gen_pool_s8;

/* -- kernel_cases_s8.c -- */
MakeCase gen_matmul_s8, gen_log_softmax_s8, gen_l2_normalization_s8, gen_resize_bilinear_s8,
    gen_conv_transpose_s8;

/* -- kernel_cases_index.c -- */
MakeCase gen_gather_elements, gen_gather_nd, gen_scatter_elements, gen_scatter_nd, gen_top_k, gen_trilu,
    gen_weighted_gather, gen_custom, gen_recurrent, gen_conv_transpose, gen_pool_index;

/* -- kernel_cases.c, kernel_cases_s4.c -- */
MakeCase gen_fc_s8;
/* For kernels of weights of 4 bits; NULL: another kernel. */
MakeCase *gen_of_s4(const KernelDef *k);
/* Their weights in wider strides, in place; false: another kernel. */
bool widen_s4(Rng *r, Arena *a, KernelCase *c);

/* -- kernel_cases.c, kernel_cases_s16.c -- */
MakeCase gen_mean;
/* For kernels of int16 (and int32 codes); NULL: another kernel. */
MakeCase *gen_of_s16(const KernelDef *k);

#endif
