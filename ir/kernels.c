/* The table of generic kernels, made from runtime/kernels/generic/kernels.def, and the description of every params
 * struct of runtime/kernels/kernel.h, by which calls are hashed and printed as C without knowing the kernels.
 *
 * A field's name is its C designator. params_complete() says whether a description lists every member, in order: laid
 * out by C's rules (each member aligned to its size) the fields must give the struct's offsets and its size. (A 4-byte
 * member could hide in a gap before a pointer on a 64-bit host; such a gap exists only where the sum of the
 * 4-byte members is odd, and on 32-bit hosts the check has no such gap.)
 */
#include "ir/lower.h"

#include <string.h>

#define FIELD(s, member, kind_, count_) \
  { #member, kind_, offsetof(s, member), count_ }
#define I32(s, member)   FIELD(s, member, FIELD_I32, 1)
#define F32(s, member)   FIELD(s, member, FIELD_F32, 1)
#define DIMS(s, member)  FIELD(s, member, FIELD_I32, MF_MAX_DIMS)
#define P_I8(s, member)  FIELD(s, member, FIELD_PTR_I8, 1)
#define P_I32(s, member) FIELD(s, member, FIELD_PTR_I32, 1)
#define P_F32(s, member) FIELD(s, member, FIELD_PTR_F32, 1)
#define P_I16(s, member) FIELD(s, member, FIELD_PTR_I16, 1)
#define P_I64(s, member) FIELD(s, member, FIELD_PTR_I64, 1)
#define WINDOW(s)                                                                                    \
  I32(s, g.in_h), I32(s, g.in_w), I32(s, g.in_c), I32(s, g.out_h), I32(s, g.out_w), I32(s, g.out_c), \
      I32(s, g.k_h), I32(s, g.k_w), I32(s, g.stride_h), I32(s, g.stride_w), I32(s, g.pad_top),       \
      I32(s, g.pad_left), I32(s, g.dil_h), I32(s, g.dil_w)

static const FieldDesc fields_conv_f32[] = {
    WINDOW(mf_conv_f32),  I32(mf_conv_f32, groups), I32(mf_conv_f32, w_tap), I32(mf_conv_f32, w_out),
    F32(mf_conv_f32, lo), F32(mf_conv_f32, hi),     P_F32(mf_conv_f32, w),   P_F32(mf_conv_f32, bias),
};
static const FieldDesc fields_conv_s8[] = {
    WINDOW(mf_conv_s8),       I32(mf_conv_s8, groups),   I32(mf_conv_s8, w_tap),  I32(mf_conv_s8, w_out),
    I32(mf_conv_s8, in_zero), I32(mf_conv_s8, out_zero), I32(mf_conv_s8, lo),     I32(mf_conv_s8, hi),
    P_I8(mf_conv_s8, w),      P_I32(mf_conv_s8, bias),   P_I32(mf_conv_s8, mult), P_I8(mf_conv_s8, shift),
};
static const FieldDesc fields_conv_s16[] = {
    WINDOW(mf_conv_s16),      I32(mf_conv_s16, groups), I32(mf_conv_s16, w_tap), I32(mf_conv_s16, w_out),
    I32(mf_conv_s16, lo),     I32(mf_conv_s16, hi),     P_I8(mf_conv_s16, w),    P_I64(mf_conv_s16, bias),
    P_I32(mf_conv_s16, mult), P_I8(mf_conv_s16, shift),
};
static const FieldDesc fields_conv_s8_even[] = {
    WINDOW(mf_conv_s8_even),      I32(mf_conv_s8_even, groups),   I32(mf_conv_s8_even, w_tap),
    I32(mf_conv_s8_even, w_out),  I32(mf_conv_s8_even, in_zero),  I32(mf_conv_s8_even, out_zero),
    I32(mf_conv_s8_even, lo),     I32(mf_conv_s8_even, hi),       P_I8(mf_conv_s8_even, w),
    P_I32(mf_conv_s8_even, bias), P_I32(mf_conv_s8_even, w_zero), P_F32(mf_conv_s8_even, scale),
};
static const FieldDesc fields_conv_transpose[] = {WINDOW(mf_conv_transpose), I32(mf_conv_transpose, groups),
                                                  I32(mf_conv_transpose, has_bias),
                                                  F32(mf_conv_transpose, lo), F32(mf_conv_transpose, hi)};
static const FieldDesc fields_conv_transpose_s8[] = {
    WINDOW(mf_conv_transpose_s8),       I32(mf_conv_transpose_s8, groups),
    I32(mf_conv_transpose_s8, in_zero), I32(mf_conv_transpose_s8, out_zero),
    I32(mf_conv_transpose_s8, lo),      I32(mf_conv_transpose_s8, hi),
    P_I8(mf_conv_transpose_s8, w),      P_I32(mf_conv_transpose_s8, bias),
    P_I32(mf_conv_transpose_s8, mult),  P_I8(mf_conv_transpose_s8, shift),
};
static const FieldDesc fields_fc_f32[] = {
    I32(mf_fc_f32, k),  I32(mf_fc_f32, n),   I32(mf_fc_f32, w_out),  F32(mf_fc_f32, lo),
    F32(mf_fc_f32, hi), P_F32(mf_fc_f32, w), P_F32(mf_fc_f32, bias),
};
static const FieldDesc fields_fc_s8[] = {
    I32(mf_fc_s8, k),           I32(mf_fc_s8, n),        I32(mf_fc_s8, w_out),  I32(mf_fc_s8, in_zero),
    I32(mf_fc_s8, w_zero),      I32(mf_fc_s8, out_zero), I32(mf_fc_s8, lo),     I32(mf_fc_s8, hi),
    I32(mf_fc_s8, per_channel), P_I8(mf_fc_s8, w),       P_I32(mf_fc_s8, bias), P_I32(mf_fc_s8, mult),
    P_I8(mf_fc_s8, shift),
};
static const FieldDesc fields_fc_s16[] = {
    I32(mf_fc_s16, k),      I32(mf_fc_s16, n),      I32(mf_fc_s16, w_out),       I32(mf_fc_s16, w_zero),
    I32(mf_fc_s16, lo),     I32(mf_fc_s16, hi),     I32(mf_fc_s16, per_channel), P_I8(mf_fc_s16, w),
    P_I64(mf_fc_s16, bias), P_I32(mf_fc_s16, mult), P_I8(mf_fc_s16, shift),
};
static const FieldDesc fields_matmul_s16[] = {I32(mf_matmul_s16, k), I32(mf_matmul_s16, n),
                                              I32(mf_matmul_s16, mult), I32(mf_matmul_s16, shift)};
static const FieldDesc fields_matmul_s8_even[] = {
    I32(mf_matmul_s8_even, k),      I32(mf_matmul_s8_even, n),        I32(mf_matmul_s8_even, a_zero),
    I32(mf_matmul_s8_even, b_zero), I32(mf_matmul_s8_even, out_zero), I32(mf_matmul_s8_even, lo),
    I32(mf_matmul_s8_even, hi),     F32(mf_matmul_s8_even, scale),
};
static const FieldDesc fields_matmul_s8[] = {
    I32(mf_matmul_s8, k),      I32(mf_matmul_s8, n),        I32(mf_matmul_s8, a_zero),
    I32(mf_matmul_s8, b_zero), I32(mf_matmul_s8, out_zero), I32(mf_matmul_s8, mult),
    I32(mf_matmul_s8, shift),  I32(mf_matmul_s8, lo),       I32(mf_matmul_s8, hi),
};
static const FieldDesc fields_matmul_f32[] = {I32(mf_matmul_f32, k), I32(mf_matmul_f32, n)};
static const FieldDesc fields_pool_f32[] = {WINDOW(mf_pool_f32), I32(mf_pool_f32, count_include_pad),
                                            F32(mf_pool_f32, lo), F32(mf_pool_f32, hi)};
static const FieldDesc fields_pool_s8[] = {WINDOW(mf_pool_s8), I32(mf_pool_s8, lo), I32(mf_pool_s8, hi)};
static const FieldDesc fields_pool_index[] = {WINDOW(mf_pool_index), I32(mf_pool_index, row_step),
                                              I32(mf_pool_index, col_step)};
static const FieldDesc fields_mean[] = {
    I32(mf_mean, rank),     I32(mf_mean, rrank), DIMS(mf_mean, dims), DIMS(mf_mean, src),
    DIMS(mf_mean, rdims),   DIMS(mf_mean, rsrc), I32(mf_mean, count), I32(mf_mean, in_zero),
    I32(mf_mean, out_zero), I32(mf_mean, mult),  I32(mf_mean, shift),
};
static const FieldDesc fields_copy[] = {I32(mf_copy, rank), I32(mf_copy, elem), DIMS(mf_copy, dims),
                                        DIMS(mf_copy, src), DIMS(mf_copy, dst)};
static const FieldDesc fields_fill[] = {I32(mf_fill, n), I32(mf_fill, elem), I32(mf_fill, value_lo),
                                        I32(mf_fill, value_hi)};
static const FieldDesc fields_gather[] = {I32(mf_gather, outer), I32(mf_gather, axis_len),
                                          I32(mf_gather, count), I32(mf_gather, block),
                                          I32(mf_gather, index_bytes)};
static const FieldDesc fields_gather_elements[] = {
    I32(mf_gather_elements, rank),     I32(mf_gather_elements, elem),        I32(mf_gather_elements, axis),
    I32(mf_gather_elements, axis_len), I32(mf_gather_elements, index_bytes), DIMS(mf_gather_elements, dims),
    DIMS(mf_gather_elements, src)};
static const FieldDesc fields_gather_nd[] = {I32(mf_gather_nd, count),       I32(mf_gather_nd, depth),
                                             I32(mf_gather_nd, block),       I32(mf_gather_nd, table),
                                             I32(mf_gather_nd, index_bytes), DIMS(mf_gather_nd, dims),
                                             DIMS(mf_gather_nd, stride)};
static const FieldDesc fields_scatter_elements[] = {
    I32(mf_scatter_elements, total),  I32(mf_scatter_elements, elem),        I32(mf_scatter_elements, type),
    I32(mf_scatter_elements, reduce), I32(mf_scatter_elements, index_bytes), I32(mf_scatter_elements, rank),
    I32(mf_scatter_elements, axis),   I32(mf_scatter_elements, axis_len),    DIMS(mf_scatter_elements, dims),
    DIMS(mf_scatter_elements, dst)};
static const FieldDesc fields_scatter_nd[] = {I32(mf_scatter_nd, total),       I32(mf_scatter_nd, elem),
                                              I32(mf_scatter_nd, type),        I32(mf_scatter_nd, reduce),
                                              I32(mf_scatter_nd, index_bytes), I32(mf_scatter_nd, count),
                                              I32(mf_scatter_nd, depth),       I32(mf_scatter_nd, block),
                                              DIMS(mf_scatter_nd, dims),       DIMS(mf_scatter_nd, stride)};
static const FieldDesc fields_top_k[] = {I32(mf_top_k, n), I32(mf_top_k, k), I32(mf_top_k, inner),
                                         I32(mf_top_k, largest), I32(mf_top_k, type)};
static const FieldDesc fields_trilu[] = {I32(mf_trilu, n), I32(mf_trilu, elem), I32(mf_trilu, upper),
                                         I32(mf_trilu, k)};
static const FieldDesc fields_weighted_gather[] = {
    I32(mf_weighted_gather, in_len), I32(mf_weighted_gather, out_len), I32(mf_weighted_gather, taps),
    I32(mf_weighted_gather, inner),  P_I32(mf_weighted_gather, index), P_F32(mf_weighted_gather, weight),
    P_F32(mf_weighted_gather, bias)};
static const FieldDesc fields_recurrent[] = {
    I32(mf_recurrent, steps),       I32(mf_recurrent, items),   I32(mf_recurrent, hidden),
    I32(mf_recurrent, given),       I32(mf_recurrent, reverse), I32(mf_recurrent, variant),
    I32(mf_recurrent, batch_first), I32(mf_recurrent, act_f),   I32(mf_recurrent, act_g),
    I32(mf_recurrent, act_h),       F32(mf_recurrent, alpha_f), F32(mf_recurrent, alpha_g),
    F32(mf_recurrent, alpha_h),     F32(mf_recurrent, beta_f),  F32(mf_recurrent, beta_g),
    F32(mf_recurrent, beta_h),      F32(mf_recurrent, clip)};
static const FieldDesc fields_binary[] = {I32(mf_binary, rank), DIMS(mf_binary, dims), DIMS(mf_binary, a),
                                          DIMS(mf_binary, b),   F32(mf_binary, lo),    F32(mf_binary, hi)};
static const FieldDesc fields_compare[] = {I32(mf_compare, rank), DIMS(mf_compare, dims), DIMS(mf_compare, a),
                                           DIMS(mf_compare, b)};
static const FieldDesc fields_where[] = {I32(mf_where, rank), DIMS(mf_where, dims), DIMS(mf_where, a),
                                         DIMS(mf_where, b),   DIMS(mf_where, c),    I32(mf_where, elem)};
static const FieldDesc fields_arg[] = {I32(mf_arg, n), I32(mf_arg, inner), I32(mf_arg, last)};
static const FieldDesc fields_cum[] = {I32(mf_cum, n), I32(mf_cum, inner), I32(mf_cum, exclusive),
                                       I32(mf_cum, reverse)};
static const FieldDesc fields_add_s8[] = {
    I32(mf_add_s8, rank),     DIMS(mf_add_s8, dims),     DIMS(mf_add_s8, a),       DIMS(mf_add_s8, b),
    I32(mf_add_s8, a_zero),   I32(mf_add_s8, b_zero),    I32(mf_add_s8, out_zero), I32(mf_add_s8, left_shift),
    I32(mf_add_s8, a_mult),   I32(mf_add_s8, a_shift),   I32(mf_add_s8, b_mult),   I32(mf_add_s8, b_shift),
    I32(mf_add_s8, out_mult), I32(mf_add_s8, out_shift), I32(mf_add_s8, lo),       I32(mf_add_s8, hi),
};
static const FieldDesc fields_mul_s8[] = {
    I32(mf_mul_s8, rank),      DIMS(mf_mul_s8, dims),  DIMS(mf_mul_s8, a),       DIMS(mf_mul_s8, b),
    I32(mf_mul_s8, a_zero),    I32(mf_mul_s8, b_zero), I32(mf_mul_s8, out_zero), I32(mf_mul_s8, out_mult),
    I32(mf_mul_s8, out_shift), I32(mf_mul_s8, lo),     I32(mf_mul_s8, hi),
};
static const FieldDesc fields_unary_f32[] = {I32(mf_unary_f32, n), F32(mf_unary_f32, p),
                                             F32(mf_unary_f32, q)};
static const FieldDesc fields_lut_s8[] = {I32(mf_lut_s8, n), P_I8(mf_lut_s8, table)};
static const FieldDesc fields_curve_s16[] = {I32(mf_curve_s16, n), I32(mf_curve_s16, mult),
                                             I32(mf_curve_s16, shift)};
static const FieldDesc fields_leaky_s16[] = {I32(mf_leaky_s16, n), I32(mf_leaky_s16, mult),
                                             I32(mf_leaky_s16, shift), I32(mf_leaky_s16, neg_mult),
                                             I32(mf_leaky_s16, neg_shift)};
static const FieldDesc fields_seq_lstm_f32[] = {
    I32(mf_seq_lstm_f32, steps),  I32(mf_seq_lstm_f32, inputs), I32(mf_seq_lstm_f32, size),
    F32(mf_seq_lstm_f32, clip),   P_F32(mf_seq_lstm_f32, w),    P_F32(mf_seq_lstm_f32, r),
    P_F32(mf_seq_lstm_f32, bias),
};
static const FieldDesc fields_seq_lstm_s8[] = {
    I32(mf_seq_lstm_s8, steps),     I32(mf_seq_lstm_s8, inputs), I32(mf_seq_lstm_s8, size),
    I32(mf_seq_lstm_s8, x_zero),    I32(mf_seq_lstm_s8, h_zero), I32(mf_seq_lstm_s8, clip),
    I32(mf_seq_lstm_s8, cell_log2), P_I8(mf_seq_lstm_s8, w),     P_I8(mf_seq_lstm_s8, r),
    P_I32(mf_seq_lstm_s8, bias),    P_I32(mf_seq_lstm_s8, mult), P_I8(mf_seq_lstm_s8, shift),
};
static const FieldDesc fields_seq_lstm_s16[] = {
    I32(mf_seq_lstm_s16, steps),  I32(mf_seq_lstm_s16, inputs),    I32(mf_seq_lstm_s16, size),
    I32(mf_seq_lstm_s16, clip),   I32(mf_seq_lstm_s16, cell_log2), P_I8(mf_seq_lstm_s16, w),
    P_I8(mf_seq_lstm_s16, r),     P_I64(mf_seq_lstm_s16, bias),    P_I32(mf_seq_lstm_s16, mult),
    P_I8(mf_seq_lstm_s16, shift),
};
static const FieldDesc fields_svdf_f32[] = {
    I32(mf_svdf_f32, inputs), I32(mf_svdf_f32, filters), I32(mf_svdf_f32, memory), I32(mf_svdf_f32, rank),
    F32(mf_svdf_f32, lo),     F32(mf_svdf_f32, hi),      P_F32(mf_svdf_f32, bias),
};
static const FieldDesc fields_svdf_s8[] = {
    I32(mf_svdf_s8, inputs), I32(mf_svdf_s8, filters), I32(mf_svdf_s8, memory),     I32(mf_svdf_s8, rank),
    I32(mf_svdf_s8, wide),   I32(mf_svdf_s8, in_zero), I32(mf_svdf_s8, state_zero), I32(mf_svdf_s8, out_zero),
    I32(mf_svdf_s8, mult),   I32(mf_svdf_s8, shift),   P_I32(mf_svdf_s8, bias),
};
static const FieldDesc fields_lut_axis_s8[] = {I32(mf_lut_axis_s8, n), I32(mf_lut_axis_s8, c),
                                               P_I8(mf_lut_axis_s8, table)};
static const FieldDesc fields_cast[] = {I32(mf_cast, n), I32(mf_cast, from), I32(mf_cast, to),
                                        I32(mf_cast, saturate), I32(mf_cast, round)};
static const FieldDesc fields_quant[] = {I32(mf_quant, n), F32(mf_quant, scale), I32(mf_quant, zero),
                                         I32(mf_quant, lo), I32(mf_quant, hi)};
static const FieldDesc fields_requant[] = {
    I32(mf_requant, n),     I32(mf_requant, in_zero), I32(mf_requant, out_zero), I32(mf_requant, mult),
    I32(mf_requant, shift), I32(mf_requant, lo),      I32(mf_requant, hi),
};
static const FieldDesc fields_dequant_axis[] = {
    I32(mf_dequant_axis, n),    I32(mf_dequant_axis, c),       I32(mf_dequant_axis, inner),
    I32(mf_dequant_axis, from), P_F32(mf_dequant_axis, scale), P_I32(mf_dequant_axis, zero),
};
static const FieldDesc fields_softmax_f32[] = {I32(mf_softmax_f32, n), I32(mf_softmax_f32, inner),
                                               F32(mf_softmax_f32, beta)};
static const FieldDesc fields_softmax_s8[] = {I32(mf_softmax_s8, n), I32(mf_softmax_s8, mult),
                                              I32(mf_softmax_s8, shift), I32(mf_softmax_s8, diff_min)};
static const FieldDesc fields_log_softmax_s8[] = {
    I32(mf_log_softmax_s8, n),        I32(mf_log_softmax_s8, mult),      I32(mf_log_softmax_s8, shift),
    I32(mf_log_softmax_s8, diff_min), I32(mf_log_softmax_s8, back_mult), I32(mf_log_softmax_s8, back_shift),
};
static const FieldDesc fields_l2_normalization_s8[] = {I32(mf_l2_normalization_s8, n),
                                                       I32(mf_l2_normalization_s8, in_zero)};
static const FieldDesc fields_resize_bilinear_s8[] = {
    I32(mf_resize_bilinear_s8, in_h),    I32(mf_resize_bilinear_s8, in_w),
    I32(mf_resize_bilinear_s8, c),       I32(mf_resize_bilinear_s8, out_h),
    I32(mf_resize_bilinear_s8, out_w),   I32(mf_resize_bilinear_s8, scale_h),
    I32(mf_resize_bilinear_s8, scale_w), I32(mf_resize_bilinear_s8, half),
};
static const FieldDesc fields_softmax_s16[] = {I32(mf_softmax_s16, n), I32(mf_softmax_s16, mult),
                                               I32(mf_softmax_s16, shift), P_I16(mf_softmax_s16, exp),
                                               P_I16(mf_softmax_s16, inverse)};
static const FieldDesc fields_affine_f32[] = {I32(mf_affine_f32, n), I32(mf_affine_f32, c),
                                              I32(mf_affine_f32, inner), P_F32(mf_affine_f32, scale),
                                              P_F32(mf_affine_f32, offset)};

static const FieldDesc fields_custom_call[] = {
    I32(mf_custom_call, n_in),
    I32(mf_custom_call, n_ints),
    I32(mf_custom_call, n_floats),
    I32(mf_custom_call, scratch),
    P_I32(mf_custom_call, tensors),
    P_F32(mf_custom_call, scales),
    P_I32(mf_custom_call, ints),
    P_F32(mf_custom_call, floats),
    {"fn", FIELD_FN, offsetof(mf_custom_call, fn), 1},
};

#define PARAMS(s)                                                      \
  const ParamsDesc params_##s = {"mf_" #s, sizeof(mf_##s), fields_##s, \
                                 (int)(sizeof fields_##s / sizeof fields_##s[0])}
PARAMS(conv_f32);
PARAMS(conv_s8);
PARAMS(conv_s16);
PARAMS(conv_s8_even);
PARAMS(conv_transpose);
PARAMS(conv_transpose_s8);
PARAMS(fc_f32);
PARAMS(fc_s8);
PARAMS(fc_s16);
PARAMS(matmul_f32);
PARAMS(matmul_s8_even);
PARAMS(matmul_s8);
PARAMS(matmul_s16);
PARAMS(pool_f32);
PARAMS(pool_s8);
PARAMS(pool_index);
PARAMS(mean);
PARAMS(copy);
PARAMS(fill);
PARAMS(gather);
PARAMS(gather_elements);
PARAMS(gather_nd);
PARAMS(scatter_elements);
PARAMS(scatter_nd);
PARAMS(top_k);
PARAMS(trilu);
PARAMS(weighted_gather);
PARAMS(recurrent);
PARAMS(binary);
PARAMS(compare);
PARAMS(where);
PARAMS(arg);
PARAMS(cum);
PARAMS(add_s8);
PARAMS(mul_s8);
PARAMS(unary_f32);
PARAMS(lut_s8);
PARAMS(lut_axis_s8);
PARAMS(curve_s16);
PARAMS(leaky_s16);
PARAMS(seq_lstm_f32);
PARAMS(seq_lstm_s8);
PARAMS(seq_lstm_s16);
PARAMS(svdf_f32);
PARAMS(svdf_s8);
PARAMS(cast);
PARAMS(quant);
PARAMS(requant);
PARAMS(dequant_axis);
PARAMS(softmax_f32);
PARAMS(softmax_s8);
PARAMS(log_softmax_s8);
PARAMS(l2_normalization_s8);
PARAMS(resize_bilinear_s8);
PARAMS(softmax_s16);
PARAMS(affine_f32);
PARAMS(custom_call);

size_t avg_rows_s8_scratch(const void *params);
size_t conv_s4_scratch(const void *params);
size_t mean_rows_s8_scratch(const void *params);
#define K(name, params, file, scratch, in_place, doc) mf_kernel_fn name##__generic;
#include "runtime/kernels/generic/kernels.def"
#undef K

const KernelDef generic_kernels[] = {
#define K(name_, struct_, file_, scratch_fn, in_place_bits, doc) \
  {.name = #name_,                                               \
   .set = "generic",                                             \
   .file = "runtime/kernels/generic/" file_,                     \
   .params = &params_##struct_,                                  \
   .fn = name_##__generic,                                       \
   .scratch = scratch_fn,                                        \
   .in_place = in_place_bits,                                    \
   .tag = "generic"},
#include "runtime/kernels/generic/kernels.def"
#undef K
};
const int n_generic_kernels = (int)(sizeof generic_kernels / sizeof generic_kernels[0]);

const KernelDef *kernel_find_generic(const char *name) {
  int i = 0;
  while (i < n_generic_kernels && strcmp(generic_kernels[i].name, name) != 0) i++;
  ASSERT(i < n_generic_kernels);
  return &generic_kernels[i];
}

size_t field_size(const FieldDesc *f) {
  switch (f->kind) {
  case FIELD_I32: return sizeof(int32_t);
  case FIELD_F32: return sizeof(float);
  case FIELD_FN:
  case FIELD_PTR_I8:
  case FIELD_PTR_I16:
  case FIELD_PTR_I32:
  case FIELD_PTR_I64:
  case FIELD_PTR_F32: return sizeof(void *);
  }
  return 0;
}

bool params_complete(const ParamsDesc *p) {
  size_t at = 0, widest = 1;
  for (int i = 0; i < p->n_fields; i++) {
    const FieldDesc *f = &p->fields[i];
    size_t size = field_size(f);
    at = (at + size - 1) / size * size;
    if (f->offset != at) return false;
    at += size * (size_t)f->count;
    if (size > widest) widest = size;
  }
  return (at + widest - 1) / widest * widest == p->size;
}
