/* selftest.c and vectors.bin: inputs, and the outputs that reference evaluation (ir/eval) gives for them.
 *
 *   vectors.bin:  "MFVEC001"  u32 vectors  u32 flags   then per vector: every input's bytes, every output's bytes
 *
 * little-endian; flags as in backend/harness/selftest_body.c, which is the program (one text for PC, QEMU and boards).
 * The vectors are read while the test runs, not linked in, so that firmware sizes stay honest.
 */
#include "backend/emit/emit.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"

enum { OWN_VECTORS = 4, HAS_EXPECTED = 1 };

static void print_sizes(const Emit *e, const char *name, const ValId *ids, uint32_t n, StrBuf *out) {
  sb_printf(out, "static const struct tensor %s[] = {\n", name);
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(e->g, ids[i]);
    sb_printf(out, "    {%lld, %zu, '%c'},\n", (long long)val_bytes(e->g, ids[i]), dtype_size(v->dtype),
              v->dtype == DT_F32 || v->dtype == DT_F64 ? 'f'
              : v->quant.n && dtype_is_code(v->dtype)  ? 'q'
              : dtype_kind(v->dtype) == 'i'            ? 'i'
                                                       : 'u');
  }
  if (n == 0) sb_puts(out, "    {0, 0, 'i'},\n"); /* C has no empty array */
  sb_puts(out, "};\n");
}

/* Of floats, by the output's range. */
static const char *tolerance(const Emit *e) {
  for (uint32_t c = 0; c < e->calls.n; c++)
    if (strstr(e->calls.v[c].kernel->name, "f32") && strstr(e->calls.v[c].kernel->tag, "_winograd"))
      return "1e-3";
  return "1e-5";
}

/* Which variant runs which vector. */
static void print_sequence(const Emit *e, StrBuf *out) {
  int n;
  const uint8_t *order = family_sequence(e, &n);
  sb_printf(out, "#define MODEL_VARIANTS %s_VARIANTS\n", e->upper);
  sb_puts(out, "static const unsigned char variant_of[] = {");
  for (int i = 0; i < n; i++) sb_printf(out, "%s%d", i ? "," : "", order[i]);
  sb_puts(out, "};\n");
}

/* What a program may call beside runs: a minimal one calls all of it. */
static void print_more(const Emit *e, StrBuf *out) {
  static const char adapt[] =
      "#define MODEL_ADAPT @U_ADAPT_STATE_SIZE\n#define MODEL_ADAPT_SLOT @U_ADAPT_SLOT_SIZE\n"
      "#define model_adapt_init @_adapt_init\n#define model_adapt_rates @_adapt_rates\n"
      "#define model_adapt_step @_adapt_step\n#define model_adapt_save @_adapt_save\n"
      "#define model_adapt_load @_adapt_load\n#define model_adapt_reset @_adapt_reset\n";
  static const char controller[] = "#define MODEL_CONTROLLER\n"
                                   "#define model_controller_init @_controller_init\n"
                                   "#define model_controller_begin @_controller_begin\n"
                                   "#define model_controller_end @_controller_end\n";
  static const char drift[] =
      "#define MODEL_DRIFT\n#define model_drift_init @_drift_init\n"
      "#define model_drift_input @_drift_input\n#define model_drift_rows @_drift_rows\n"
      "#define model_drift_output @_drift_output\n#define model_drift_reset @_drift_reset\n";
  if (e->adapt) print_template(e, adapt, out);
  if (e->opt->controller) print_template(e, controller, out);
  if (e->opt->drift) print_template(e, drift, out);
}

bool print_selftest(const Emit *e, StrBuf *out, Diag *d) {
  const char *body = embedded_text("backend/harness/selftest_body.c"), *n = e->opt->name;
  FAIL_IF(!body, d, NULL, "backend/harness/selftest_body.c is not part of this program");
  sb_printf(
      out,
      "/* Self-test of \"%s\", made by mistify: runs the model on the vectors of vectors.bin and compares.\n",
      n);
  sb_puts(out, " * On a PC: ./selftest [vectors.bin [outputs.bin]]; exit status 0: all agree.\n */\n#include "
               "\"model.h\"\n\n");
  sb_printf(out, "#define MODEL_NAME \"%s\"\n#define MODEL_ARENA %s_ARENA_SIZE\n", n, e->upper);
  sb_printf(out, "#define MODEL_INPUTS %u\n#define MODEL_OUTPUTS %u\n", e->g->n_inputs, e->g->n_outputs);
  sb_printf(out, "#define MODEL_TOLERANCE %s\n", tolerance(e));
  /* Codes that were computed from real numbers somewhere may round the other way, and what is made of them then moves. */
  sb_printf(out, "#define MODEL_CODES %d\n", graph_computes_reals(e->g) ? 2 : 0);
  sb_printf(out, "typedef %s_context model_context;\n", n);
  static const char *const names[] = {"init", "output", "input", "run"};
  const bool by_rows = e->plan.input_rows > 0;
  for (int i = 0; i < (by_rows ? 2 : 4); i++)
    sb_printf(out, "#define model_%s %s_%s\n", names[i], n, names[i]);
  if (by_rows)
    sb_printf(out,
              "#define MODEL_ROWS %s_INPUT0_ROWS\n#define MODEL_ROW_BYTES %s_INPUT0_ROW_BYTES\n"
              "#define model_push_rows %s_push_rows\n",
              e->upper, e->upper, n);
  if (e->plan.hop) sb_printf(out, "#define MODEL_HOP %s_INPUT0_HOP\n", e->upper);
  if (e->opt->share_arena) sb_puts(out, "#define MODEL_SHARED_ARENA\n");
  if (e->opt->step) sb_printf(out, "#define model_step %s_step\n", n);
  if (in_blob(e))
    sb_printf(out, "#define model_weights %s_weights\n#define model_bind_weights %s_bind_weights\n", n, n);
  if (e->variants) print_sequence(e, out);
  if (e->exits) sb_printf(out, "#define model_continue %s_continue\n", n);
  print_more(e, out);
  sb_puts(out, "\n/* Bytes of the tensor and of one element; 'f' float, 'i' signed, 'u' unsigned. */\n"
               "struct tensor {\n  unsigned long bytes, element;\n  char kind;\n};\n");
  print_sizes(e, "inputs", e->g->inputs, e->g->n_inputs, out);
  print_sizes(e, "outputs", e->g->outputs, e->g->n_outputs, out);
  sb_putc(out, '\n');
  sb_puts(out, body);
  return true;
}

/* -- vectors -- */

/* Any byte for integers; -1 .. 1 for floats. */
static void fill_random(Tensor *t, Rng *r) {
  int64_t n = shape_count(&t->shape);
  size_t bytes = tensor_bytes(t);
  if (t->dtype == DT_F32)
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = 2 * rng_uniform(r) - 1;
  else if (t->dtype == DT_I8 || t->dtype == DT_U8 || t->dtype == DT_I16)
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)t->data)[i] = (unsigned char)rng_below(r, 256);
  /* other dtypes (indices, flags) stay 0: any other value may be out of the model's range */
}

static bool check_vector(const Emit *e, const Tensor *t, uint32_t input, Diag *d) {
  const Value *v = graph_val(e->g, e->g->inputs[input]);
  bool same = t->dtype == v->dtype && shape_count(&t->shape) == shape_count(&v->shape);
  FAIL_IF(!same, d, NULL, "self-test vector for input %u has %lld elements of %s; the model wants %lld of %s",
          input, (long long)shape_count(&t->shape), dtype_name(t->dtype), (long long)shape_count(&v->shape),
          dtype_name(v->dtype));
  return true;
}

static void append_vector(const Emit *e, Evaluator *ev, const Tensor *in, StrBuf *out) {
  const void **ptrs = mem_array(e->g->n_inputs, sizeof *ptrs);
  for (uint32_t i = 0; i < e->g->n_inputs; i++) {
    ptrs[i] = in[i].data;
    sb_write(out, in[i].data, val_bytes(e->g, e->g->inputs[i]));
  }
  evaluator_run(ev, ptrs);
  for (uint32_t i = 0; i < e->g->n_outputs; i++) {
    ValId v = e->g->outputs[i];
    sb_write(out, evaluator_value(ev, v), val_bytes(e->g, v));
  }
  mem_free(ptrs);
}

static void append_u32(StrBuf *out, uint32_t v) {
  unsigned char b[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                        (unsigned char)(v >> 24)};
  sb_write(out, b, sizeof b);
}

/* Who computes the outputs: one evaluator, or of a family one for each variant, in turns. */
typedef struct Reference {
  Evaluator *ev[EMIT_VARIANTS];
  const Emit *of[EMIT_VARIANTS];
  int n;
  const uint8_t *order;
  int n_order;
} Reference;

static void append_next(const Reference *r, int k, const Tensor *in, StrBuf *out) {
  const int v = r->order ? r->order[k % r->n_order] : 0;
  append_vector(r->of[v], r->ev[v], in, out);
}

/* Of a family so many more that variants follow each other in every order of two. */
static int vectors_of(const Reference *r, int n) { return r->n_order > n ? r->n_order : n; }

static bool append_given(const Emit *e, const Reference *r, StrBuf *out, Diag *d) {
  uint32_t n_in = e->g->n_inputs;
  for (int k = 0; k < vectors_of(r, e->opt->n_vectors); k++) {
    const Tensor *in = e->opt->vectors + (size_t)(k % e->opt->n_vectors) * n_in;
    for (uint32_t i = 0; i < n_in; i++) TRY(check_vector(e, &in[i], i, d));
    append_next(r, k, in, out);
  }
  return true;
}

static void append_own(const Emit *e, const Reference *ref, StrBuf *out) {
  uint32_t n_in = e->g->n_inputs;
  Tensor *in = mem_array(n_in, sizeof *in);
  for (uint32_t i = 0; i < n_in; i++) {
    const Value *v = graph_val(e->g, e->g->inputs[i]);
    in[i] = tensor_new(v->dtype, &v->shape);
  }
  for (int k = 0; k < vectors_of(ref, OWN_VECTORS); k++) {
    Rng r;
    rng_seed(&r, 1, (uint64_t)k);
    for (uint32_t i = 0; i < n_in; i++) fill_random(&in[i], &r);
    append_next(ref, k, in, out);
  }
  for (uint32_t i = 0; i < n_in; i++) tensor_free(&in[i]);
  mem_free(in);
}

static bool reference_begin(Reference *r, const Emit *e, Diag *d) {
  const int n = e->variants ? e->n_variants : 1;
  *r = (Reference){.n = 0};
  if (e->variants) r->order = family_sequence(e, &r->n_order);
  for (; r->n < n; r->n++) {
    r->of[r->n] = e->variants ? &e->variants[r->n] : e;
    r->ev[r->n] = evaluator_new(r->of[r->n]->g, d);
    if (!r->ev[r->n]) return false;
  }
  return true;
}

bool make_vectors(const Emit *e, StrBuf *out, Diag *d) {
  Reference r;
  const bool own = !e->opt->vectors || e->opt->n_vectors <= 0;
  bool ok = reference_begin(&r, e, d);
  sb_puts(out, "MFVEC001");
  append_u32(out, (uint32_t)vectors_of(&r, own ? OWN_VECTORS : e->opt->n_vectors));
  append_u32(out, HAS_EXPECTED);
  if (ok && own) append_own(e, &r, out);
  if (ok && !own) ok = append_given(e, &r, out, d);
  for (int i = 0; i < r.n; i++) evaluator_free(r.ev[i]);
  return ok;
}
