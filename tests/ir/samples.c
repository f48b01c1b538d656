/* The table of sample operators, and how a row becomes a graph. Elements are made by the project's generator with a
 * fixed seed, so that every run sees the same bytes.
 */
#include "tests/ir/samples.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/ir/custom_sample.h"
#include "tests/support.h"

const Sample samples[] = {
    {OP_conv, "f32[N,8,9,4] =f32[6,3,2,4] =f32[6]", ""},
    {OP_conv, "f32[2,8,9,4] =f32[6,3,2,2]", "strides=2,1 pads=1,0,2,1 dilations=1,2 group=2 act=relu6"},
    {OP_conv, "i8[N,8,9,4] =i8[6,3,2,4] =i32[6]", "act=relu"},
    {OP_depthwise_conv, "f32[N,5,5,3] =f32[1,3,3,6] =f32[6]", "pads=1,1,1,1 act=relu"},
    {OP_depthwise_conv, "i8[1,5,5,3] =i8[1,3,3,3] =i32[3]", "strides=2,2 dilations=2,1"},
    {OP_conv_transpose, "f32[N,4,3,4] =f32[6,3,2,2] =f32[6]",
     "strides=2,1 pads=1,0,0,1 dilations=1,2 extra=1,0 group=2 act=relu"},
    {OP_conv_transpose, "f32[1,3,3,2] f32[3,2,2,2]", "strides=2,3"},
    {OP_fully_connected, "f32[N,12] =f32[5,12] =f32[5]", ""},
    {OP_fully_connected, "i8[3,12] =i8[5,12] =i32[5]", "act=relu_n1_to_1"},
    {OP_conv, "i8[N,8,9,4] =i4[6,3,2,4] =i32[6]", "strides=2,1 pads=1,0,1,1 act=relu"},
    {OP_conv, "i8[2,5,5,6] =i4[4,3,3,3]", "group=2 rounding=3"},
    {OP_fully_connected, "i8[3,13] =i4[5,13] =i32[5]", "act=relu"},
    {OP_matmul, "f32[N,3,4] =f32[4,5]", ""},
    {OP_conv, "i8[N,8,9,4] =i8[6,3,2,4] =i32[6]", "pads=1,0,1,1 act=relu rounding=1"},
    {OP_conv, "i8[2,8,9,4] =i8[6,3,2,2]", "strides=2,1 group=2 rounding=2"},
    {OP_conv, "i8[N,8,9,4] =i8[6,3,2,4] =i32[6]", "rounding=3"},
    {OP_depthwise_conv, "i8[1,5,5,3] =i8[1,3,3,6] =i32[6]", "strides=2,2 pads=1,1,0,0 rounding=1"},
    {OP_fully_connected, "i8[3,12] =i8[5,12] =i32[5]", "rounding=1"},
    {OP_fully_connected, "i8[N,12] =i8[5,12]", "rounding=2"},
    {OP_fully_connected, "i8[3,12] =i8[5,12] =i32[5]", "rounding=3"},
    {OP_matmul, "i8[N,3,4] i8[4,5]", "rounding=1"},
    {OP_matmul, "i8[2,3,4] i8[2,4,5]", "rounding=2"},
    {OP_reduce_mean, "i8[N,4,5,6]", "axes=1,2 keepdims=0 rounding=3"},
    {OP_conv, "i16[N,8,9,4] =i8[6,3,2,4] =i64[6]", "pads=1,0,1,1 act=relu"},
    {OP_conv, "i16[N,8,9,4] =i8[6,3,2,2] =i32[6]", "strides=2,1 group=2"},
    {OP_conv, "i16[N,8,9,4] =i8[6,1,1,4]", "act=relu6"},
    {OP_depthwise_conv, "i16[1,5,5,3] =i8[1,3,3,6] =i64[6]", "strides=2,2 pads=1,1,0,0 dilations=1,2"},
    {OP_fully_connected, "i16[3,12] =i8[5,12] =i64[5]", "act=relu"},
    {OP_fully_connected, "i16[3,12] =i8[5,12] =i32[5]", ""},
    {OP_matmul, "i16[2,3,4] i16[2,4,5]", ""},
    {OP_max_pool, "i16[N,6,6,2]", "kernel=2,2 strides=2,2"},
    {OP_average_pool, "i16[N,6,6,2]", "kernel=3,2 pads=1,0,1,1 act=relu"},
    {OP_reduce_mean, "i16[N,4,5,6]", "axes=1,2 keepdims=0"},
    {OP_add, "i16[N,4,3] =i16[1,1,3]", "act=relu"},
    {OP_sub, "i16[N,4,3] i16[N,4,3]", ""},
    {OP_mul, "i16[N,4,3] i16[N,4,3]", ""},
    {OP_max, "i16[N,4,3] i16[N,4,3]", ""},
    {OP_min, "i16[N,4,3] i16[N,4,3]", ""},
    {OP_relu, "i16[N,5]", ""},
    {OP_clip, "i16[N,5]", "lo=-0.1 hi=0.5"},
    {OP_leaky_relu, "i16[N,5]", "alpha=0.30000001"},
    {OP_sigmoid, "i16[N,5]", ""},
    {OP_tanh, "i16[N,5]", ""},
    {OP_softmax, "i16[N,10]", "axis=1"},
    {OP_seq_lstm,
     "i16[2,3,2] i16[2,2] i16[2,2] =i8[2,2] =i8[2,2] =i8[2,2] =i8[2,2] =i8[2,2] =i8[2,2] =i8[2,2] =i8[2,2] "
     "=i64[2] =i64[2] =i64[2] =i64[2]",
     ""},
    {OP_quantize, "f32[N,3]", "to=i16"},
    {OP_quantize, "i8[N,3]", "to=i16"},
    {OP_quantize, "i16[N,3]", "to=i8"},
    {OP_dequantize, "i16[N,3]", ""},
    {OP_concat, "i16[N,3] i16[N,2]", "axis=1"},
    {OP_pad, "i16[N,3]", "pads=0,1,0,2 value=0.25"},
    {OP_quantize, "f32[N,3]", "to=i8 rounding=1"},
    {OP_matmul, "i8[N,3,4] i8[4,5]", ""},
    {OP_matmul, "i8[2,1,3,4] =i8[3,4,5]", ""},
    {OP_conv_transpose, "i8[N,4,3,4] =i8[6,3,2,2] =i32[6]",
     "strides=2,1 pads=1,0,0,1 dilations=1,2 extra=1,0 group=2 act=relu"},
    {OP_conv_transpose, "i8[1,3,3,2] =i8[3,2,2,2]", "strides=2,3"},
    {OP_max_pool, "f32[N,7,7,2]", "kernel=3,2 strides=2,2 pads=1,0,1,1"},
    {OP_matmul, "i64[2,1,3,4] i64[3,4,5]", ""},
    {OP_max_pool, "f32[N,7,7,2]", "kernel=3,2 dilations=2,3"},
    {OP_max_pool_index, "f32[N,7,7,2]", "kernel=3,2 strides=2,2 pads=1,0,1,1 dilations=1,2 steps=7,1"},
    {OP_max_pool, "i8[N,6,6,2]", "kernel=2,2 strides=2,2 act=relu"},
    {OP_average_pool, "f32[1,7,7,2]", "kernel=2,2 pads=0,0,1,1 count_include_pad=1 act=relu"},
    {OP_reduce_mean, "f32[N,4,5,6]", "axes=1,2 keepdims=0"},
    {OP_batch_normalization, "f32[N,4,4,3] =f32[3] =f32[3] =f32[3] =f32[3]", "epsilon=0.001"},
    {OP_batch_normalization, "f32[N,3,4] =f32[3] =f32[3] =f32[3] =f32[3]", "axis=1"},
    {OP_add, "f32[N,4,4,3] f32[N,4,4,3]", "act=relu"},
    {OP_add, "i8[N,4,3] =i8[1,1,3]", ""},
    {OP_sub, "f32[N,4] =f32[4]", "act=relu6"},
    {OP_mul, "=f32[1,4] f32[N,4]", ""},
    {OP_div, "i32[2,3] =i32[2,1]:3,7", ""},
    {OP_div, "i8[N,4,3] i8[1,1,3]", ""},
    {OP_squared_difference, "i8[N,4,3] i8[4,1]", ""},
    {OP_max, "f32[N,5] f32[N,5]", ""},
    {OP_min, "i64[5] =i64[]:3", ""},
    {OP_relu, "i8[N,5]", ""},
    {OP_clip, "f32[N,5]", "lo=-0.1 hi=6"},
    {OP_leaky_relu, "f32[N,5]", "alpha=0.30000001"},
    {OP_sigmoid, "f32[]", ""},
    {OP_tanh, "i8[N,5]", ""},
    {OP_lookup, "i8[N,5] =i8[256]", ""},
    {OP_lookup, "i8[N,3,2] =i8[2,256]", ""},
    {OP_seq_lstm,
     "f32[2,3,2] f32[2,2] f32[2,2] =f32[2,2] =f32[2,2] =f32[2,2] =f32[2,2] =f32[2,2] =f32[2,2] =f32[2,2] "
     "=f32[2,2] "
     "=f32[2] =f32[2] =f32[2] =f32[2]",
     "clip=0.5"},
    {OP_svdf_state, "f32[2,12] f32[2,3] =f32[4,3]", ""},
    {OP_svdf, "f32[2,12] =f32[4,3] =f32[2]", "rank=2 act=relu"},
    {OP_softmax, "f32[N,10]", "axis=1 beta=0.5"},
    {OP_log_softmax, "i8[N,10]", ""},
    {OP_l2_normalization, "i8[N,3,5]", ""},
    {OP_resize_bilinear, "i8[N,3,4,2]", "size=5,9 half_pixel_centers=1"},
    {OP_resize_bilinear, "i8[1,5,4,3]", "size=3,7 align_corners=1"},
    {OP_abs, "i64[N,5]", ""},
    {OP_abs, "f32[N,5]", ""},
    {OP_sign, "u64[N,5]", ""},
    {OP_relu, "i32[N,5]", ""},
    {OP_clip, "f64[N,5]", "lo=-0.5 hi=0.25"},
    {OP_sigmoid, "f64[N,5]", ""},
    {OP_sign, "f32[N,3,2]", ""},
    {OP_sqrt, "f32[N,3,2]", ""},
    {OP_exp, "f32[N,3,2]", ""},
    {OP_log, "f64[N,3,2]", ""},
    {OP_floor, "f32[N,3,2]", ""},
    {OP_ceil, "f32[N,3,2]", ""},
    {OP_round, "f32[N,3,2]", ""},
    {OP_sin, "f64[N,3,2]", ""},
    {OP_cos, "f32[N,3,2]", ""},
    {OP_tan, "f32[N,3,2]", ""},
    {OP_asin, "f32[N,3,2]", ""},
    {OP_acos, "f64[N,3,2]", ""},
    {OP_atan, "f32[N,3,2]", ""},
    {OP_sinh, "f32[N,3,2]", ""},
    {OP_cosh, "f32[N,3,2]", ""},
    {OP_asinh, "f64[N,3,2]", ""},
    {OP_acosh, "f32[N,3,2]", ""},
    {OP_atanh, "f32[N,3,2]", ""},
    {OP_erf, "f32[N,3,2]", ""},
    {OP_softplus, "f64[N,3,2]", ""},
    {OP_elu, "f32[N,5]", "alpha=1.5"},
    {OP_elu, "f64[N,5]", ""},
    {OP_add, "f64[N,4] =f64[4]:1,2,3,4", ""},
    {OP_mul, "u64[N,4] =u64[4]:1,2,3,4", ""},
    {OP_div, "u64[N,4] =u64[4]:1,2,3,4", ""},
    {OP_max, "u64[N,4] =u64[4]:1,2,3,4", ""},
    {OP_min, "f64[N,4] f64[N,4]", ""},
    {OP_pow, "f32[N,4] =f32[1]", ""},
    {OP_pow, "i32[N,4] =i32[4]:0,1,2,3", ""},
    {OP_mod, "f32[N,4] f32[N,4]", "fmod=1"},
    {OP_mod, "i64[N,4] =i64[4]:1,-2,3,-4", ""},
    {OP_bitwise_and, "bool[N,4] bool[4]", ""},
    {OP_bitwise_or, "u16[N,4] u16[4]", ""},
    {OP_bitwise_xor, "i64[N,2,4] i64[2,1]", ""},
    {OP_bit_shift, "u64[N,4] =u64[4]:0,1,2,64", "right=1"},
    {OP_equal, "f32[N,4] f32[4]", ""},
    {OP_equal, "bool[N,4] bool[4]", ""},
    {OP_less, "i64[N,2,4] =i64[4]:0,1,2,3", ""},
    {OP_less_or_equal, "u64[N,4] u64[4]", ""},
    {OP_equal, "i8[N,4] =i8[4]", ""},
    {OP_less, "i8[N,2,4] i8[4]", ""},
    {OP_less_or_equal, "i8[N,4] i8[N,4]", ""},
    {OP_where, "bool[N,4] f32[N,4] =f32[1,1]", ""},
    {OP_where, "bool[2,1] f16[2,3] =f16[3]:15360,1,2", ""},
    {OP_reduce_sum, "f32[N,4,5,6]", "axes=1,3"},
    {OP_reduce_sum, "i64[N,3]", "axes=1 keepdims=0"},
    {OP_reduce_prod, "f64[N,3,2]", "axes=2"},
    {OP_reduce_max, "f32[N,3,2]", "axes=1"},
    {OP_reduce_min, "u64[N,3,2]", "axes=1,2"},
    {OP_reduce_sum_square, "f32[N,3]", "axes=1"},
    {OP_reduce_log_sum_exp, "f32[N,3,2]", "axes=1"},
    {OP_reduce_sum, "i8[N,4,5,6]", "axes=1,3"},
    {OP_reduce_max, "i8[N,3,2]", "axes=1"},
    {OP_reduce_min, "i8[N,3,2]", "axes=1,2 keepdims=0"},
    {OP_arg_max, "f32[N,3,2]", "axis=1"},
    {OP_arg_max, "i8[N,7]", "axis=1 keepdims=0 last=1"},
    {OP_arg_min, "i32[N,3,2]", "axis=2"},
    {OP_cum_sum, "f32[N,3,2]", "axis=1"},
    {OP_cum_sum, "i64[N,3]", "axis=1 exclusive=1 reverse=1"},
    {OP_reshape, "f32[N,2,6]", "shape=-1,3,4"},
    {OP_reshape, "i8[2,6]", "shape=3,4"},
    {OP_transpose, "f32[N,2,3,4]", "perm=0,3,1,2"},
    {OP_concat, "f32[N,2] f32[N,3]", "axis=1"},
    {OP_pad, "f32[N,3,3,2]", "pads=0,1,1,0,0,2,0,3 value=-1.5"},
    {OP_slice, "f32[N,6,5]", "starts=0,5,1 counts=-1,3,2 steps=1,-2,2"},
    {OP_gather, "f32[N,6] =i64[2,2]:0,5,-1,2", "axis=1"},
    {OP_expand, "f32[N,1,3]", "shape=-1,4,3"},
    {OP_expand, "i8[3,1]", "shape=2,3,5"},
    {OP_gather_elements, "f32[N,6,2] i64[N,3,2]", "axis=1"},
    {OP_gather_elements, "i8[4,3,5] =i32[2,3,2]:0,1,-1,2,3,0,-4,1,2,3,-2,-1", "axis=0"},
    {OP_gather_nd, "f32[N,5,3,2] i32[N,2,2]", "batch_dims=1"},
    {OP_gather_nd, "i64[4,3] =i64[3,1]:3,-4,0", ""},
    {OP_scatter_elements, "f32[4,5] =i64[2,3]:0,1,-1,3,2,0 f32[2,3]", "axis=1 reduce=1"},
    {OP_scatter_elements, "i8[4,5] i32[4,2] i8[4,2]", "axis=1"},
    {OP_scatter_elements, "f32[N,5] i64[N,2] f32[N,2]", "axis=1 reduce=3"},
    {OP_scatter_nd, "f32[4,3,2] =i64[2,1]:3,-4 f32[2,3,2]", "reduce=3"},
    {OP_scatter_nd, "i32[4,3] i32[3,2] i32[3]", "reduce=2"},
    {OP_top_k, "f32[N,9]", "axis=1 k=4"},
    {OP_top_k, "i32[3,7,2]", "axis=1 k=2 largest=0"},
    {OP_trilu, "f32[N,4,5]", "k=1"},
    {OP_trilu, "i64[5,3]", "upper=0 k=-1"},
    {OP_weighted_gather, "f32[N,4,3] =i32[5,2]:0,0,0,1,1,2,2,3,3,3 =f32[5,2]", "axis=1"},
    {OP_weighted_gather, "f32[2,4] =i32[3,1]:3,0,2 =f32[3,1] =f32[3]", "axis=1"},
    {OP_lstm, "f32[3,2,20] =f32[20,5] f32[2,5] =f32[2,5] =f32[15] =i32[2]:2,3",
     "hidden=5 reverse=1 clip=0.75"},
    {OP_lstm, "f32[3,1,8] f32[8,2]", "hidden=2 acts=7,9,10 alpha_f=0.25 beta_f=0.5 input_forget=1"},
    {OP_gru, "f32[3,2,15] =f32[15,5] f32[2,5] =f32[5] =i32[2]:3,1", "hidden=5 linear_before_reset=1"},
    {OP_gru, "f32[4,2,6] =f32[6,2]", "hidden=2 reverse=1 acts=5,6,1 alpha_f=0.125 alpha_g=1.7 beta_g=0.7"},
    {OP_gru, "f32[N,4,6] =f32[6,2]", "hidden=2 batch_first=1"},
    {OP_lstm, "f32[2,3,8] f32[8,2] =f32[2,2]", "hidden=2 batch_first=1 reverse=1"},
    {OP_rnn, "f32[N,3,4] =f32[4,4]", "hidden=4 batch_first=1"},
    {OP_rnn, "f32[3,2,4] =f32[4,4] =f32[2,4]", "hidden=4 acts=8,1,1 alpha_f=1.5"},
    {OP_cast, "f32[N,3]", "to=i32"},
    {OP_cast, "u64[N,3]", "to=f16"},
    {OP_cast, "f16[N,3]", "to=f8e4m3fn overflow=1"},
    {OP_cast, "f64[N,3]", "to=f8e8m0 round=2"},
    {OP_cast, "u16[4]", "to=u2"},
    {OP_concat, "f16[2,1] =f16[2,2]:15360,1,31744,32768", "axis=1"},
    {OP_concat, "=f8e5m2[2,1]:60,124 f8e5m2[2,1]", "axis=1"},
    {OP_concat, "=f4e2m1[2,1]:1,15 f4e2m1[2,1]", "axis=1"},
    {OP_concat, "=i4[2,2]:-8,0,7,-1 i4[2,1]", "axis=1"},
    {OP_concat, "=u32[2,1]:4294967295,7 u32[2,1]", "axis=1"},
    {OP_concat, "=u64[2,1]:-1,7 u64[2,1]", "axis=1"},
    {OP_quantize, "f32[N,3]", "to=i8"},
    {OP_dequantize, "i8[N,3]", ""},
    {OP_fake_quant, "f32[N,3]", "scale=0.05 zero=3 lo=-127 hi=100"},
    {OP_custom, "f32[N,4,3] =f32[3]", "function=sample_mix floats=0.5 ints=2 scratch=16"},
    {OP_custom, "f32[N,6]", "function=sample_mix floats=-1.25,3 ints=0,7 shaped=1 shape=-1,2,3"},
    {OP_custom, "i8[2,5]", "function=sample_mix"},
};
const int n_samples = (int)(sizeof samples / sizeof samples[0]);

/* "f32[N,3]" -> type and shape; returns what follows. */
static const char *read_type(const char *s, DType *t, Shape *shape) {
  char name[16] = "";
  size_t n = strcspn(s, "[");
  ck_assert_uint_lt(n, sizeof name);
  memcpy(name, s, n);
  ck_assert_msg(dtype_parse(name, t), "%s", s);
  *shape = (Shape){0};
  for (s += n; *s != ']';) {
    s++;
    if (*s == ']') break;
    if (*s == 'N') {
      shape->d[shape->rank++] = DIM_BATCH;
      s++;
    } else {
      char *end;
      shape->d[shape->rank++] = strtoll(s, &end, 10);
      s = end;
    }
  }
  return s + 1;
}

static ValId add_const(Graph *g, DType t, const Shape *s, const char *elems, uint64_t seed) {
  size_t n = (size_t)shape_count(s);
  unsigned char *data = mem_zalloc(n * dtype_size(t));
  Rng r;
  rng_seed(&r, seed, 0);
  for (size_t i = 0; i < n; i++) {
    float f = rng_normal(&r);
    int64_t k = (int64_t)rng_below(&r, 200) - 100;
    if (*elems == ':' || *elems == ',') {
      char *end;
      k = strtoll(elems + 1, &end, 10);
      elems = end;
    } else if (t == DT_I4) {
      k = (k + 100) % 16 - 8;
    }
    if (t == DT_F32)
      memcpy(data + i * 4, &f, 4);
    else
      memcpy(data + i * dtype_size(t), &k, dtype_size(t)); /* little-endian */
  }
  ValId v = graph_const_data(g, "c", t, s, data);
  mem_free(data);
  return v;
}

static void set_quant(Graph *g, ValId v) {
  const float scale = 0.0235f, fine = 1.0f / 32768;
  const int32_t zero = g->vals[v].blob != NULL ? 0 : -3, none = 0;
  if (g->vals[v].dtype == DT_I8) graph_set_quant(g, v, 1, 0, &scale, &zero);
  if (g->vals[v].dtype == DT_I4) graph_set_quant(g, v, 1, 0, &scale, &none);
  if (g->vals[v].dtype == DT_I16) graph_set_quant(g, v, 1, 0, &fine, &none);
}

static void read_attrs(OpKind op, const char *text, void *attrs) {
  const OpInfo *info = op_info(op);
  op_attrs_default(op, attrs);
  while (*text != '\0') {
    char name[32], value[64];
    int used = 0;
    ck_assert_int_eq(sscanf(text, "%31[^=]=%63s%n", name, value, &used), 2);
    bool found = false;
    for (int i = 0; i < info->n_attrs; i++) {
      if (strcmp(info->attrs[i].name, name) != 0) continue;
      ck_assert_msg(attr_parse(&info->attrs[i], value, attrs), "%s of %s", name, info->name);
      found = true;
    }
    ck_assert_msg(found, "%s has no %s", info->name, name);
    text += used;
    text += strspn(text, " ");
  }
}

Graph *sample_graph(const Sample *s) {
  Graph *g = graph_new("sample");
  if (s->op == OP_custom) custom_attach(g, custom_sample());
  Diag *d = diag_new();
  ValId in[16];
  uint32_t n = 0;
  for (const char *p = s->inputs; *p != '\0'; p += strspn(p, " ")) {
    bool constant = *p == '=';
    DType t;
    Shape shape;
    p = read_type(p + constant, &t, &shape);
    if (constant)
      in[n] = add_const(g, t, &shape, p, n + 1);
    else
      in[n] = graph_input(g, "x", t, &shape);
    set_quant(g, in[n]);
    n++;
    p += strcspn(p, " ");
  }
  void *attrs = mem_zalloc(op_info(s->op)->attrs_size);
  read_attrs(s->op, s->attrs, attrs);
  const Loc loc = {.file = "model.onnx", .node = 7, .name = "node \"7\"\n", .op = op_info(s->op)->name};
  ValId y = graph_node(g, s->op, attrs, in, n, "y", &loc, d);
  mem_free(attrs);
  ck_assert_msg(y != NO_VAL, "%s", diag_text(d));
  if (g->vals[y].quant.n == 0) set_quant(g, y);
  graph_output(g, y);
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

Graph *sample_net(void) {
  static const char text[] =
      "graph \"net\"\n"
      "%x = input : f32[N,6,6,2] \"image\"\n"
      "%q = Quantize(%x) : i8[N,6,6,2] q(0.05, -3) \"q\" loc(\"net.tflite\", 0, \"quant\", \"QUANTIZE\")\n"
      "%w = const : i8[3,3,3,2] q(axis=0, 0.25 0, 0.125 0, 3e-05 0) \"w\" {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "
      "11, 12,\n"
      " 13, 14, 15, 16, 17, 18, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -14, -15, -16, -17, "
      "-18,\n"
      " 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, -128}\n"
      "%b = const : i32[3] {100, -200, 2147483647}\n"
      "%c = Conv(%q, %w, %b) {pads=[1,1,1,1], act=relu} : i8[N,6,6,3] q(0.1, 5)\n"
      "%d = Conv(%q, %w) {pads=[1,1,1,1]} : i8[N,6,6,3] q(0.2, 0) \"d\"\n"
      "%s = Add(%c, %d) : i8[N,6,6,3] q(0.2, 1) \"sum\"\n"
      "%p = AveragePool(%s) {kernel=[6,6]} : i8[N,1,1,3] q(0.2, 1)\n"
      "%r = Reshape(%p) {shape=[-1,3]}\n"
      "%f = Dequantize(%r) : f32[N,3]\n"
      "%u = const : f32[6] \"unused\" {0x7fc00000, inf, -inf, -0, 1e-45, 0.1}\n"
      "output %f, %s\n";
  Diag *d = diag_new();
  Graph *g = graph_parse(text, "net.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}
