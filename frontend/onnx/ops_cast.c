/* ONNX Cast and CastLike, and the element types that arithmetic is done in.
 *
 * Kernels compute on float32, float64, int32, int64 and uint64. Other types are brought there by a Cast and back by
 * another: narrower integers keep their values and wrap on the way back; float16 and bfloat16 are rounded once from
 * float32. Source: ONNX operator schemas Cast 6 to 25, CastLike 15 to 25.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

ValId ox_cast(OxCall *c, ValId x, DType to, const char *suffix) {
  if (x == NO_VAL || ox_type(c, x) == to) return x;
  return ox_node(c, OP_cast, &(cast_attrs){.to = (int32_t)to}, &x, 1, suffix);
}

DType ox_work_type(DType t) {
  switch (t) {
  case DT_I8:
  case DT_U8:
  case DT_I16:
  case DT_U16: return DT_I32;
  case DT_U32: return DT_I64;
  case DT_F16:
  case DT_BF16: return DT_F32;
  default: return t;
  }
}

static bool cast_rules(OxCall *c, cast_attrs *a) {
  static const char *const modes[] = {"up", "down", "nearest"};
  const bool given = ox_attr(c, "round_mode", OX_ATTR_STRING) != NULL;
  a->overflow = ox_int(c, "saturate", 1) == 0;
  while (given && a->round < 3 && !ox_string_is(c, "round_mode", modes[a->round], false)) a->round++;
  OX_FAIL_IF(a->round == 3, c, "rounds in another way than up, down and nearest");
  return !c->failed;
}

static bool cast_to(OxCall *c, ValId x, DType t) {
  cast_attrs a = {.to = (int32_t)t};
  if (t == ox_type(c, x)) return ox_done(c, x);
  OX_FAIL_IF(ox_has_batch(c->g, x), c, "input 0 depends on the symbolic batch; a cast to %s would lose it",
             dtype_name(t));
  TRY(cast_rules(c, &a));
  return ox_unary(c, OP_cast, &a);
}

bool ox_import_cast(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  int64_t type = ox_int(c, "to", 0);
  DType t = ox_dtype(type);
  OX_FAIL_IF(t == DT_NONE, c, "casts to %s (type %" PRId64 "), which is not supported", ox_type_name(type),
             type);
  return cast_to(c, x, t);
}

/* The type of another value. */
bool ox_import_cast_like(OxCall *c) {
  ValId x = ox_in(c, 0), like = ox_in(c, 1);
  return x != NO_VAL && like != NO_VAL && cast_to(c, x, ox_type(c, like));
}
