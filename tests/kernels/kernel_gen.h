/* What the files of generators of kernel cases share: kernel_cases.c (tools, table), kernel_cases_index.c. */
#ifndef TESTS_KERNELS_KERNEL_GEN_H
#define TESTS_KERNELS_KERNEL_GEN_H

#include "tests/kernels/kernel_cases.h"

/* -- kernel_cases.c -- */
int32_t in_range(Rng *r, int32_t lo, int32_t hi);
int32_t kind_size(char kind);
char kind_of(const KernelDef *k);
void *random_data(Rng *r, Arena *a, int32_t count, char kind);
CaseTensor tensor_rows(Rng *r, Arena *a, int32_t rows, int32_t n, char kind);
mf_window window(Rng *r, bool dilated);
void window_tensors(KernelCase *c, const mf_window *g, Rng *r, Arena *a, char kind);
void limits_f32(Rng *r, float *lo, float *hi);
void vector_tensors(KernelCase *c, Rng *r, Arena *a, int32_t k, int32_t n, char kind);

/* -- kernel_cases_index.c -- */
typedef void MakeCase(KernelCase *c, Rng *r, Arena *a);
MakeCase gen_gather_elements, gen_gather_nd, gen_scatter_elements, gen_scatter_nd, gen_top_k, gen_trilu,
    gen_weighted_gather, gen_recurrent, gen_conv_transpose, gen_pool_index;

#endif
