/* ONNX DepthToSpace and SpaceToDepth: Reshape, Transpose, Reshape. Source: ONNX operator schemas, opsets 6 to 13. */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

/* -- blocks of space as channels -- */

/* x [N,C,H,W] and the side of a block. */
static bool block_input(OxCall *c, ValId *x, Shape *s, int64_t *side) {
  *x = ox_in(c, 0);
  TRY(*x != NO_VAL);
  *s = ox_shape(c, *x);
  *side = ox_int(c, "blocksize", 0);
  OX_FAIL_IF(s->rank != 4 || *side < 1 || *side > 1 << 15, c,
             "has blocks of %" PRId64 " and an input of %" PRId32 " dimensions; want [N,C,H,W]", *side,
             s->rank);
  return true;
}

static bool through_six(OxCall *c, ValId x, const Shape *six, const char *perm, const Shape *to) {
  x = ox_reshape(c, x, six, "blocks");
  x = ox_transpose(c, x, perm, "moved");
  return ox_done(c, ox_reshape(c, x, to, NULL));
}

bool ox_import_depth_to_space(OxCall *c) {
  ValId x;
  Shape s;
  int64_t b;
  TRY(block_input(c, &x, &s, &b));
  OX_FAIL_IF(s.d[1] % (b * b) != 0, c, "has %" PRId64 " channels for blocks of %" PRId64, s.d[1], b);
  int64_t k = s.d[1] / (b * b);
  Shape to = {4, {s.d[0], k, s.d[2] * b, s.d[3] * b}};
  if (ox_string_is(c, "mode", "CRD", false))
    return through_six(c, x, &(Shape){6, {s.d[0], k, b, b, s.d[2], s.d[3]}}, "014253", &to);
  return through_six(c, x, &(Shape){6, {s.d[0], b, b, k, s.d[2], s.d[3]}}, "034152", &to);
}

bool ox_import_space_to_depth(OxCall *c) {
  ValId x;
  Shape s;
  int64_t b;
  TRY(block_input(c, &x, &s, &b));
  OX_FAIL_IF(s.d[2] % b != 0 || s.d[3] % b != 0, c,
             "has %" PRId64 " by %" PRId64 " pixels for blocks of %" PRId64, s.d[2], s.d[3], b);
  Shape to = {4, {s.d[0], s.d[1] * b * b, s.d[2] / b, s.d[3] / b}};
  return through_six(c, x, &(Shape){6, {s.d[0], s.d[1], s.d[2] / b, b, s.d[3] / b, b}}, "035124", &to);
}
