/* Comparisons with broadcasting, to bool: one body, a row with the C expression for each.
 *
 * NaN compares as in C: it equals nothing and is not less. A row is one index of the first axis; its output is dense,
 * one byte an element.
 */
#include "runtime/kernels/elementwise.h"

MF_BINARY(equal_f32, mf_compare, float, uint8_t, a == b)
MF_BINARY(equal_f64, mf_compare, double, uint8_t, a == b)
MF_BINARY(equal_i32, mf_compare, int32_t, uint8_t, a == b)
MF_BINARY(equal_i64, mf_compare, int64_t, uint8_t, a == b)
MF_BINARY(equal_u8, mf_compare, uint8_t, uint8_t, a == b)
MF_BINARY(less_f32, mf_compare, float, uint8_t, a < b)
MF_BINARY(less_f64, mf_compare, double, uint8_t, a < b)
MF_BINARY(less_i32, mf_compare, int32_t, uint8_t, a < b)
MF_BINARY(less_i64, mf_compare, int64_t, uint8_t, a < b)
MF_BINARY(less_u64, mf_compare, uint64_t, uint8_t, a < b)
MF_BINARY(less_equal_f32, mf_compare, float, uint8_t, a <= b)
MF_BINARY(less_equal_f64, mf_compare, double, uint8_t, a <= b)
MF_BINARY(less_equal_i32, mf_compare, int32_t, uint8_t, a <= b)
MF_BINARY(less_equal_i64, mf_compare, int64_t, uint8_t, a <= b)
MF_BINARY(less_equal_u64, mf_compare, uint64_t, uint8_t, a <= b)
