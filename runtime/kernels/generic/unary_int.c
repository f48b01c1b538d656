/* Abs and Sign of integers: one body, a row with the C expression for each.
 *
 * The least integer's absolute value wraps to itself. A row is `n` elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/elementwise.h"

MF_UNARY(abs_i32, int32_t, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
MF_UNARY(abs_i64, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
MF_UNARY(sign_i32, int32_t, (x > 0) - (x < 0))
MF_UNARY(sign_i64, int64_t, (x > 0) - (x < 0))
MF_UNARY(sign_u64, uint64_t, x > 0)
MF_UNARY(relu_i32, int32_t, x < 0 ? 0 : x)
MF_UNARY(relu_i64, int64_t, x < 0 ? 0 : x)
