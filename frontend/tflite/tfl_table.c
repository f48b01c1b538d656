/* TFLite's int8 functions of one element as tables of codes (Lookup), and their float forms as compositions:
 * HARD_SWISH, ELU, EXP, LOG, GELU, PRELU, ABS, RSQRT, NEG. The tables are made by the reference's own arithmetic.
 *
 * Sources: TensorFlow Lite Micro's hard_swish_common.cc, elu.cc, prelu_common.cc, elementwise.cc; TensorFlow Lite's
 * reference/hard_swish.h, reference/prelu.h, reference/gelu.h, exp.cc, elementwise.cc (LogLUT), LUTPopulate of
 * internal/common.h.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>

#include "ir/base/mem.h"
#include "ir/lower.h"
#include "runtime/kernels/inv_sqrt.h"

/* What a function of codes sees: scales and zero points, and p, its own parameter. */
typedef struct Codes {
  float sx, sy;
  int32_t zx, zy;
  float p;      /* scale of the slope */
  int32_t code; /* the slope less its zero point */
} Codes;

typedef int32_t CodeFn(const Codes *c,
                       int32_t x); /* the output's code before clamping; x: input less its zero point */

static void fill_table(const Codes *c, CodeFn *f, int8_t *table) {
  for (int32_t x = -128; x < 128; x++) table[x + 128] = (int8_t)mf_clamp(f(c, x - c->zx), -128, 127);
}

static Codes codes_of(const TflNode *n) {
  const Quant *x = &tfl_in_tensor(n, 0)->quant, *y = &tfl_out_tensor(n, 0)->quant;
  return (Codes){.sx = x->scale[0], .sy = y->scale[0], .zx = x->zero[0], .zy = y->zero[0]};
}

static bool emit_table(TflNode *n, ValId x, const int8_t *table, int64_t channels) {
  const Quant *y = &tfl_out_tensor(n, 0)->quant;
  Shape s = channels > 1 ? shape_of(2, channels, (int64_t)256) : shape_of(1, (int64_t)256);
  ValId in[2] = {x, graph_const_data(n->m->g, "table", DT_I8, &s, table)};
  graph_set_quant(n->m->g, in[1], 1, 0, y->scale, y->zero);
  return tfl_emit(n, OP_lookup, NULL, in, 2);
}

/* Input 0 where it is int8 and the output, too, has one scale; *real: it is f32. */
static ValId data_of(TflNode *n, bool *real) {
  ValId x = tfl_data(n, 0);
  if (x == NO_VAL) return NO_VAL;
  DType t = graph_val(n->m->g, x)->dtype;
  *real = t == DT_F32;
  if (*real) return x;
  const TflTensor *y = tfl_out_tensor(n, 0);
  if (t == DT_I8 && y->dtype == DT_I8 && y->quant.n == 1) return x;
  diag_error(n->m->d, &n->loc, "goes from %s to %s (\"%s\"); supported are f32, and i8 with a scale",
             dtype_name(t), dtype_name(y->dtype), y->name);
  return NO_VAL;
}

static bool by_table(TflNode *n, ValId x, CodeFn *f) {
  Codes c = codes_of(n);
  int8_t table[256];
  fill_table(&c, f, table);
  return emit_table(n, x, table, 1);
}

/* -- HARD_SWISH -- */

static int32_t high16(int32_t a, int32_t b) {
  if (a == INT16_MIN && b == INT16_MIN) return INT16_MAX;
  int32_t ab = a * b, nudge = ab >= 0 ? 1 << 14 : 1 - (1 << 14);
  return (ab + nudge) / (1 << 15);
}

static int32_t left_sat16(int32_t x, int32_t e) {
  int64_t v = (int64_t)x * ((int64_t)1 << e);
  return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : (int32_t)v;
}

static int32_t multiplier16(double real, int32_t *shift) {
  int32_t m;
  quantize_multiplier(real, &m, shift);
  return m >= INT32_MAX - (1 << 15) ? INT16_MAX : (m + (1 << 15)) >> 16;
}

static int32_t hard_swish_code(const Codes *c, int32_t x) {
  const float hires = (1.0f / 128.0f) * c->sx;
  int32_t e_out, e_relu;
  const int32_t m_out = multiplier16((double)(hires / c->sy), &e_out);
  const int32_t m_relu = multiplier16((double)(hires / (3.0f / 32768.0f)), &e_relu);
  const int32_t v = (int16_t)(x * (1 << 7)), scaled = high16(v, m_out);
  int32_t r = v;
  if (e_relu > 0) r = left_sat16(r, e_relu - 1);
  r = high16(r, m_relu);
  if (e_relu > 0) r = left_sat16(r, 1);
  if (e_relu < 0) r = mf_shift_round(r, -e_relu);
  r = (r + (1 << 15)) >> 1;
  int32_t y = r * scaled / (1 << 15); /* toward zero */
  return (int16_t)(mf_shift_round(y, -e_out) + c->zy);
}

/* float: x * min(6, max(0, x + 3)) / 6 */
bool tfl_import_hard_swish(TflNode *n) {
  bool real;
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  if (!real) {
    Codes c = codes_of(n);
    int32_t e;
    multiplier16((double)((1.0f / 128.0f) * c.sx / c.sy), &e);
    FAIL_IF(e > 0 || e < -31, n->m->d, &n->loc, "has an output scale of %g for an input scale of %g",
            (double)c.sy, (double)c.sx);
    return by_table(n, x, hard_swish_code);
  }
  ValId gate = tfl_node2(n, OP_add, &(add_attrs){.act = ACT_RELU6}, x, tfl_scalar(n, 3));
  ValId y = tfl_node2(n, OP_mul, NULL, x, gate);
  return tfl_bind(n, 0, tfl_node2(n, OP_div, NULL, y, tfl_scalar(n, 6)));
}

/* -- functions of real numbers, rounded -- */

static int32_t real_code(const Codes *c, float y) {
  const float inverse = 1 / c->sy;
  float v = roundf(y * inverse) + (float)c->zy;
  return !(v > -1e6f) ? -1000000 : v > 1e6f ? 1000000 : (int32_t)v;
}

static int32_t elu_code(const Codes *c, int32_t x) {
  const float v = c->sx * (float)x;
  return real_code(c, v < 0 ? expf(v) - 1.0f : v);
}

bool tfl_import_elu(TflNode *n) {
  bool real;
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  if (real) return tfl_emit(n, OP_elu, &(elu_attrs){.alpha = 1}, &x, 1);
  return by_table(n, x, elu_code);
}

/* float: `op`; int8: a table of f's values. */
static bool function(TflNode *n, OpKind op, CodeFn *f) {
  bool real;
  ValId x = data_of(n, &real);
  return x != NO_VAL && (real ? tfl_emit(n, op, NULL, &x, 1) : by_table(n, x, f));
}

static int32_t exp_code(const Codes *c, int32_t x) { return real_code(c, expf(c->sx * (float)x)); }

bool tfl_import_exp(TflNode *n) { return function(n, OP_exp, exp_code); }

/* What is not positive has the least code, as the reference has it. */
static int32_t log_code(const Codes *c, int32_t x) {
  return x > 0 ? real_code(c, logf(c->sx * (float)x)) : -128;
}

bool tfl_import_log(TflNode *n) { return function(n, OP_log, log_code); }

static int32_t gelu_code(const Codes *c, int32_t x) {
  const float v = c->sx * (float)x;
  return real_code(c, 0.5f * v * erfcf(v * -0.70710678f));
}

static int32_t gelu_tanh_code(const Codes *c, int32_t x) {
  const float v = c->sx * (float)x;
  return real_code(c, 0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v))));
}

bool tfl_import_gelu(TflNode *n) {
  const Compose k = tfl_compose(n);
  const bool by_tanh = fb_u8(&n->options, 0, 0) != 0;
  bool real;
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  if (real) return tfl_end(n, 0, compose_gelu(&k, x, by_tanh));
  return by_table(n, x, by_tanh ? gelu_tanh_code : gelu_code);
}

static int32_t abs_code(const Codes *c, int32_t x) {
  int32_t v = x < 0 ? -x : x, mult, shift;
  if (c->sx == c->sy) return v + c->zy;
  quantize_multiplier((double)c->sx / (double)c->sy, &mult, &shift);
  return mf_requantize(v, mult, shift) + c->zy;
}

static bool is_whole(const TflNode *n) {
  const DType t = tfl_has(n, 0) ? tfl_in_tensor(n, 0)->dtype : DT_NONE;
  return t == DT_I32 || t == DT_I64;
}

/* float: max(x, -x) */
bool tfl_import_abs(TflNode *n) {
  bool real;
  if (is_whole(n)) {
    ValId v = tfl_number(n, 0, "i");
    return v != NO_VAL && tfl_emit(n, OP_abs, NULL, &v, 1);
  }
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  if (!real) return by_table(n, x, abs_code);
  return tfl_bind(n, 0, tfl_node2(n, OP_max, NULL, x, tfl_node2(n, OP_mul, NULL, x, tfl_scalar(n, -1))));
}

static int32_t rsqrt_code(const Codes *c, int32_t x) {
  enum { SHIFT = 20 };
  int32_t mult, shift, inv, right;
  if (x <= 0) return 127; /* the reference refuses what is below zero */
  quantize_multiplier(1.0 / (sqrt((double)c->sx) * (double)c->sy), &mult, &shift);
  mf_inv_sqrt(x, &inv, &right);
  shift = shift - SHIFT < -31 ? -31 : shift - SHIFT;
  return mf_requantize(mf_requantize(1, inv, SHIFT - right), mult, shift) + c->zy;
}

bool tfl_import_rsqrt(TflNode *n) {
  bool real;
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  if (real)
    return tfl_bind(n, 0, tfl_node2(n, OP_div, NULL, tfl_scalar(n, 1), tfl_node1(n, OP_sqrt, NULL, x)));
  return by_table(n, x, rsqrt_code);
}

bool tfl_import_neg(TflNode *n) {
  const Compose k = tfl_compose(n);
  ValId x = tfl_number(n, 0, "fi");
  return x != NO_VAL && tfl_end(n, 0, compose_neg(&k, x));
}

/* -- PRELU -- */

static int32_t prelu_code(const Codes *c, int32_t x) {
  int32_t mult, shift;
  if (x >= 0) {
    quantize_multiplier((double)c->sx / (double)c->sy, &mult, &shift);
    return mf_requantize(x, mult, shift) + c->zy;
  }
  quantize_multiplier((double)c->sx * (double)c->p / (double)c->sy, &mult, &shift);
  return mf_requantize(x * c->code, mult, shift) + c->zy;
}

static bool prelu_s8(TflNode *n, ValId x) {
  const TflTensor *t = tfl_in_tensor(n, 1);
  const Shape *s = &t->shape;
  int64_t count = shape_count(s), last = s->rank ? s->d[s->rank - 1] : 1;
  FAIL_IF(!t->data || t->dtype != DT_I8 || t->quant.n != 1, n->m->d, &n->loc,
          "wants its slope (\"%s\") as an int8 constant with one scale", t->name);
  FAIL_IF(count != last || count > 1 << 16, n->m->d, &n->loc,
          "has %" PRId64 " slopes (\"%s\"); want one, or one per innermost index", count, t->name);
  TRY(tfl_may_make(n->m, count, 256, &n->loc));
  Codes c = codes_of(n);
  int8_t *table = mem_array((size_t)count, 256);
  c.p = t->quant.scale[0];
  for (int64_t i = 0; i < count; i++) {
    c.code = (int8_t)t->data[i] - t->quant.zero[0];
    fill_table(&c, prelu_code, table + 256 * i);
  }
  bool ok = emit_table(n, x, table, count);
  mem_free(table);
  return ok;
}

/* float: max(x, 0) + slope * min(x, 0) */
bool tfl_import_prelu(TflNode *n) {
  bool real;
  ValId x = data_of(n, &real);
  TRY(x != NO_VAL);
  FAIL_IF(!tfl_has(n, 1), n->m->d, &n->loc, "input 1 is left out; the operator needs it");
  if (!real) return prelu_s8(n, x);
  ValId slope = tfl_data(n, 1);
  ValId down = tfl_node2(n, OP_mul, NULL, tfl_node2(n, OP_min, NULL, x, tfl_scalar(n, 0)), slope);
  return tfl_bind(n, 0, tfl_node2(n, OP_add, NULL, tfl_node1(n, OP_relu, NULL, x), down));
}
