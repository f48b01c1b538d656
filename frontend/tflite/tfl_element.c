/* TFLite operators of one element at a time beyond arithmetic: functions, comparisons, logic, choices, powers, integer
 * division.
 *
 *   functions                float32 (EXP, LOG of int8: tfl_table.c)
 *   comparisons              float32, int32, int64, int8 of any quantizations, EQUAL also bool
 *   POW, FLOOR_DIV, -MOD     float32, int32, int64
 *
 * Sources: TensorFlow Lite's kernels elementwise.cc, comparisons.cc, select.cc, pow.cc, floor_div.cc, floor_mod.cc.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <string.h>

Compose tfl_compose(const TflNode *n) {
  return (Compose){n->m->g, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d};
}

bool tfl_end(TflNode *n, uint32_t i, ValId v) {
  const Compose k = tfl_compose(n);
  return v != NO_VAL && tfl_bind(n, i, compose_end(&k, v, tfl_out_tensor(n, i)->dtype));
}

static DType type_of(const TflNode *n, ValId v) { return graph_val(n->m->g, v)->dtype; }

ValId tfl_number(TflNode *n, uint32_t i, const char *types) {
  if (!tfl_has(n, i)) {
    diag_error(n->m->d, &n->loc, "input %u is left out; the operator needs it", i);
    return NO_VAL;
  }
  const TflTensor *t = tfl_in_tensor(n, i);
  const bool ok = t->stored != TFL_FLOAT16 && t->stored != TFL_RESOURCE &&
                  ((t->dtype == DT_F32 && strchr(types, 'f')) ||
                   ((t->dtype == DT_I32 || t->dtype == DT_I64) && strchr(types, 'i')) ||
                   (t->dtype == DT_BOOL && strchr(types, 'b')));
  if (ok) return tfl_value(n->m, n->in[i], &n->loc);
  diag_error(n->m->d, &n->loc, "computes on %s elements (\"%s\"); supported are%s%s%s",
             tfl_type_name(t->stored), t->name, strchr(types, 'f') ? " f32" : "",
             strchr(types, 'i') ? " i32 i64" : "", strchr(types, 'b') ? " bool" : "");
  return NO_VAL;
}

/* -- functions -- */

static bool function(TflNode *n, OpKind op) {
  ValId x = tfl_number(n, 0, "f");
  return x != NO_VAL && tfl_emit(n, op, NULL, &x, 1);
}

bool tfl_import_sqrt(TflNode *n) { return function(n, OP_sqrt); }
bool tfl_import_sin(TflNode *n) { return function(n, OP_sin); }
bool tfl_import_cos(TflNode *n) { return function(n, OP_cos); }
bool tfl_import_floor(TflNode *n) { return function(n, OP_floor); }
bool tfl_import_ceil(TflNode *n) { return function(n, OP_ceil); }
bool tfl_import_round(TflNode *n) { return function(n, OP_round); }

/* -- comparisons -- */

/* Input i of a comparison. */
static ValId compared(TflNode *n, uint32_t i, const char *types) {
  const bool codes = tfl_has(n, i) && tfl_in_tensor(n, i)->dtype == DT_I8;
  return codes ? tfl_data(n, i) : tfl_number(n, i, types);
}

/* x op y, or y op x; `negated`: its opposite. */
static bool compare(TflNode *n, OpKind op, bool swap, bool negated) {
  const Compose k = tfl_compose(n);
  ValId in[2];
  for (uint32_t i = 0; i < 2; i++) {
    in[swap ? 1 - i : i] = compared(n, i, op == OP_equal ? "fib" : "fi");
    TRY(in[swap ? 1 - i : i] != NO_VAL);
  }
  const TflTensor *a = tfl_in_tensor(n, 0), *b = tfl_in_tensor(n, 1);
  FAIL_IF(a->dtype != b->dtype, n->m->d, &n->loc, "has inputs of %s and %s; want the same",
          dtype_name(a->dtype), dtype_name(b->dtype));
  ValId y = compose_2(&k, op, in[0], in[1]);
  return tfl_end(n, 0, negated ? compose_with(&k, OP_bitwise_xor, y, 1) : y);
}

bool tfl_import_equal(TflNode *n) { return compare(n, OP_equal, false, false); }
bool tfl_import_not_equal(TflNode *n) { return compare(n, OP_equal, false, true); }
bool tfl_import_less(TflNode *n) { return compare(n, OP_less, false, false); }
bool tfl_import_less_equal(TflNode *n) { return compare(n, OP_less_or_equal, false, false); }
bool tfl_import_greater(TflNode *n) { return compare(n, OP_less, true, false); }
bool tfl_import_greater_equal(TflNode *n) { return compare(n, OP_less_or_equal, true, false); }

/* -- logic -- */

static bool logic(TflNode *n, OpKind op) {
  ValId in[2];
  for (uint32_t i = 0; i < 2; i++) {
    in[i] = tfl_number(n, i, "b");
    TRY(in[i] != NO_VAL);
  }
  return tfl_emit(n, op, NULL, in, 2);
}

bool tfl_import_logical_and(TflNode *n) { return logic(n, OP_bitwise_and); }
bool tfl_import_logical_or(TflNode *n) { return logic(n, OP_bitwise_or); }

bool tfl_import_logical_not(TflNode *n) {
  const Compose k = tfl_compose(n);
  ValId x = tfl_number(n, 0, "b");
  return x != NO_VAL && tfl_end(n, 0, compose_with(&k, OP_bitwise_xor, x, 1));
}

/* Condition, x, y; codes are handed on as they are. */
static bool select(TflNode *n, bool broadcast) {
  const Compose k = tfl_compose(n);
  ValId in[3] = {tfl_number(n, 0, "b"), NO_VAL, NO_VAL};
  for (uint32_t i = 1; i < 3; i++) {
    TRY(in[i - 1] != NO_VAL);
    in[i] = tfl_moved(n, i);
  }
  TRY(in[2] != NO_VAL);
  const Shape *x = &graph_val(n->m->g, in[1])->shape;
  Shape c = graph_val(n->m->g, in[0])->shape;
  if (!broadcast && c.rank > 0 && !shape_equal(&c, x)) { /* one per index of axis 0 */
    FAIL_IF(c.rank != 1 || x->rank < 1 || c.d[0] != x->d[0], n->m->d, &n->loc,
            "has a condition of %" PRId32 " dimensions that fits neither its input nor axis 0 of it", c.rank);
    while (c.rank < x->rank) c.d[c.rank++] = 1;
    in[0] = compose_reshape(&k, in[0], &c);
    TRY(in[0] != NO_VAL);
  }
  return tfl_emit(n, OP_where, NULL, in, 3);
}

bool tfl_import_select(TflNode *n) { return select(n, false); }
bool tfl_import_select_v2(TflNode *n) { return select(n, true); }

/* -- powers and division -- */

static bool two_numbers(TflNode *n, ValId in[2]) {
  for (uint32_t i = 0; i < 2; i++) {
    in[i] = tfl_number(n, i, "fi");
    TRY(in[i] != NO_VAL);
  }
  DType a = type_of(n, in[0]), b = type_of(n, in[1]);
  FAIL_IF(a != b, n->m->d, &n->loc, "has inputs of %s and %s; want the same", dtype_name(a), dtype_name(b));
  return true;
}

bool tfl_import_pow(TflNode *n) {
  ValId in[2];
  return two_numbers(n, in) && tfl_emit(n, OP_pow, NULL, in, 2);
}

bool tfl_import_floor_mod(TflNode *n) {
  ValId in[2];
  return two_numbers(n, in) && tfl_emit(n, OP_mod, &(mod_attrs){.fmod = 0}, in, 2);
}

/* Integers: the quotient toward zero, less 1 where the two remainders (of either sign) differ. */
bool tfl_import_floor_div(TflNode *n) {
  const Compose k = tfl_compose(n);
  ValId in[2];
  TRY(two_numbers(n, in));
  ValId q = compose_2(&k, OP_div, in[0], in[1]);
  if (type_of(n, in[0]) == DT_F32) return tfl_end(n, 0, compose_1(&k, OP_floor, NULL, q));
  ValId down = compose_node(&k, OP_mod, &(mod_attrs){.fmod = 0}, in, 2),
        zero = compose_node(&k, OP_mod, &(mod_attrs){.fmod = 1}, in, 2);
  ValId same = compose_cast(&k, compose_2(&k, OP_equal, down, zero), type_of(n, in[0]));
  return tfl_end(n, 0, compose_2(&k, OP_add, compose_with(&k, OP_sub, q, 1), same));
}
