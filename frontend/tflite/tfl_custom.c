/* Custom operators of TFLite files for which the list of custom operators has a rule (ir/custom.h).
 *
 * The file says what the output is: its type and shape hold, and what the rule says must agree. A custom operator's options
 * are bytes that only its own code understands: integers and numbers come from the rule.
 */
#include <math.h>

#include "frontend/tflite/tfl.h"

static bool has_value(const TflNode *n, const CustomRule *r, const CustomParam *p) {
  if (p->has_value) return true;
  diag_error(n->m->d, &n->loc, "has options of its own form: \"%s\" cannot be read from them", p->name);
  diag_hint(n->m->d, "give its value in %s: \"%s=VALUE\"", r->loc.file, p->name);
  return false;
}

static bool read_numbers(const TflNode *n, const CustomRule *r, custom_attrs *a) {
  for (int i = 0; i < r->n_ints; i++) {
    TRY(has_value(n, r, &r->ints[i]));
    a->ints.v[a->ints.n++] = (int64_t)r->ints[i].value;
  }
  for (int i = 0; i < r->n_floats; i++) {
    TRY(has_value(n, r, &r->floats[i]));
    a->floats.v[a->floats.n++] = (float)r->floats[i].value;
  }
  return true;
}

/* UINT8 became int8, codes 128 lower: no function is told of that. */
static bool check_stored(const TflNode *n, const TflTensor *t) {
  if (t->stored != TFL_UINT8 && t->stored != TFL_INT4 && t->stored != TFL_FLOAT16) return true;
  diag_error(n->m->d, &n->loc, "works on %s elements (\"%s\"), which a custom operator does not get",
             tfl_type_name(t->stored), t->name);
  diag_hint(n->m->d, "convert the model with int8 or float32 activations");
  return false;
}

static bool read_inputs(TflNode *n, ValId in[MF_CUSTOM_IN]) {
  FAIL_IF(n->n_in < 1 || n->n_in > MF_CUSTOM_IN, n->m->d, &n->loc,
          "has %u inputs; a custom operator has 1 to %d", n->n_in, MF_CUSTOM_IN);
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = NO_VAL;
    if (!tfl_has(n, i)) continue;
    TRY(check_stored(n, tfl_in_tensor(n, i)));
    in[i] = tfl_value(n->m, n->in[i], &n->loc);
    TRY(in[i] != NO_VAL);
  }
  FAIL_IF(in[0] == NO_VAL, n->m->d, &n->loc, "has no first input");
  return true;
}

bool tfl_import_custom(TflNode *n, const CustomRule *r) {
  ValId in[MF_CUSTOM_IN];
  custom_attrs a;
  FAIL_IF(n->n_out != 1, n->m->d, &n->loc, "has %u outputs; a custom operator has one", n->n_out);
  TRY(read_inputs(n, in) && check_stored(n, tfl_out_tensor(n, 0)));
  const Value *x = graph_val(n->m->g, in[0]);
  const TflTensor *y = tfl_out_tensor(n, 0);
  custom_node(r, x->dtype, &x->shape, &a);
  if (!r->shaped && r->type == DT_NONE && (x->dtype != y->dtype || !shape_equal(&x->shape, &y->shape))) {
    a.shaped = 1;
    a.type = (int32_t)y->dtype;
    a.shape.n = y->shape.rank;
    for (int i = 0; i < y->shape.rank; i++) a.shape.v[i] = y->shape.d[i];
  }
  return read_numbers(n, r, &a) && tfl_emit(n, OP_custom, &a, in, n->n_in);
}
