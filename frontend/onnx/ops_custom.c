/* Custom operators of ONNX files: nodes for which the list of custom operators has a rule (ir/custom.h) become Custom nodes.
 *
 * Inputs come as they are in the file, constants too, in the file's order of dimensions. Attributes become integers and
 * numbers in the rule's order; one that the rule names nowhere is reported, since the function would not know of it.
 */
#include <math.h>
#include <string.h>

#include "frontend/onnx/onnx_op.h"

static const OxAttr *find_attr(const OxCall *c, const char *name) {
  for (uint32_t i = 0; i < c->node->n_attrs; i++)
    if (strcmp(c->node->attrs[i].name, name) == 0) return &c->node->attrs[i];
  return NULL;
}

static bool names(const CustomParam *p, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(p[i].name, name) == 0) return true;
  return false;
}

static bool check_known(OxCall *c, const CustomRule *r) {
  for (uint32_t i = 0; i < c->node->n_attrs; i++) {
    const char *name = c->node->attrs[i].name;
    bool known = names(r->ints, r->n_ints, name) || names(r->floats, r->n_floats, name);
    for (int k = 0; k < r->n_ignore; k++) known = known || strcmp(r->ignore[k], name) == 0;
    if (known) continue;
    ox_fail(c, "has the attribute \"%s\", which the function %s is not given", name, r->function);
    diag_hint(c->m->d, "name it in %s under ints, floats or ignore of \"%s\"", r->loc.file, r->op);
    return false;
  }
  return true;
}

static bool missing(OxCall *c, const CustomRule *r, const CustomParam *p) {
  ox_fail(c, "has no attribute \"%s\", which the function %s is given", p->name, r->function);
  diag_hint(c->m->d, "give a value for where it is missing: \"%s=VALUE\"", p->name);
  return false;
}

/* One attribute as numbers: a single one or a list, integers or floats. */
static bool read_numbers(OxCall *c, const CustomRule *r, const CustomParam *p, double *out, int max, int *n) {
  const OxAttr *a = find_attr(c, p->name);
  Ints ints;
  float floats[MAX_RANK * 2];
  *n = 1;
  OX_FAIL_IF(max < 1, c, "has more than %d numbers in its attributes", CUSTOM_MAX_PARAMS);
  if (!a && !p->has_value) return missing(c, r, p);
  if (!a) {
    *out = p->value;
  } else if (a->type == OX_ATTR_INT) {
    *out = (double)a->i;
  } else if (a->type == OX_ATTR_FLOATS) {
    *n = ox_floats(c, p->name, floats, MAX_RANK * 2);
    OX_FAIL_IF(*n > max, c, "has more than %d numbers in its attributes", CUSTOM_MAX_PARAMS);
    for (int i = 0; i < *n; i++) out[i] = (double)floats[i];
  } else if (a->type == OX_ATTR_INTS) {
    if (!ox_ints(c, p->name, &ints)) return !c->failed;
    *n = ints.n;
    OX_FAIL_IF(*n > max, c, "has more than %d numbers in its attributes", CUSTOM_MAX_PARAMS);
    for (int i = 0; i < *n; i++) out[i] = (double)ints.v[i];
  } else {
    *out = (double)ox_float(c, p->name, 0); /* reports what is no number */
  }
  return !c->failed;
}

static bool read_ints(OxCall *c, const CustomRule *r, Ints *out) {
  *out = (Ints){0};
  for (int i = 0; i < r->n_ints; i++) {
    double v[CUSTOM_MAX_PARAMS];
    int n;
    TRY(read_numbers(c, r, &r->ints[i], v, CUSTOM_MAX_PARAMS - out->n, &n));
    for (int k = 0; k < n; k++) {
      OX_FAIL_IF(v[k] != floor(v[k]) || fabs(v[k]) > INT32_MAX, c,
                 "attribute \"%s\" is %g; the function takes an integer of 32 bits", r->ints[i].name, v[k]);
      out->v[out->n++] = (int64_t)v[k];
    }
  }
  return true;
}

static bool read_floats(OxCall *c, const CustomRule *r, Floats *out) {
  *out = (Floats){0};
  for (int i = 0; i < r->n_floats; i++) {
    double v[CUSTOM_MAX_PARAMS];
    int n;
    TRY(read_numbers(c, r, &r->floats[i], v, CUSTOM_MAX_PARAMS - out->n, &n));
    for (int k = 0; k < n; k++) out->v[out->n++] = (float)v[k];
  }
  return true;
}

bool ox_import_custom(OxCall *c) {
  const CustomRule *r = ox_custom(c->m, c->node);
  custom_attrs a;
  ASSERT(r);
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  OX_FAIL_IF(c->n_in > MF_CUSTOM_IN, c, "has %u inputs; a custom operator has at most %d", c->n_in,
             MF_CUSTOM_IN);
  TRY(check_known(c, r));
  const Value *v = graph_val(c->g, x);
  custom_node(r, v->dtype, &v->shape, &a);
  TRY(read_ints(c, r, &a.ints) && read_floats(c, r, &a.floats));
  return ox_done(c, ox_node(c, OP_custom, &a, c->in, c->n_in, NULL));
}
