/* What a program may want beside a model, in the model's files: NAME_controller_* of a family (runtime/device/controller.h),
 * NAME_drift_* of any model (runtime/device/drift.h; drift_reference.c took its reference from calibration data), and
 * NAME_confidence, which both go by.
 */
#include <inttypes.h>

#include "backend/emit/emit.h"

/* -- confidence -- */

static const Value *output_of(const Emit *e) { return graph_val(e->g, e->g->outputs[e->g->n_outputs - 1]); }

/* It is made of codes of 8 bits. */
static bool has_confidence(const Emit *e) {
  const DType t = output_of(e)->dtype;
  return (e->opt->controller || e->opt->drift) && (t == DT_I8 || t == DT_U8);
}

static void print_confidence_h(const Emit *e, StrBuf *out) {
  if (!has_confidence(e)) return;
  sb_printf(out,
            "\n/* How far the best code of output %u is above the next one: 0 (torn) .. 255 (sure). */\n",
            e->g->n_outputs - 1);
  print_template(e, "uint32_t @_confidence(const void *output);\n", out);
}

static void print_confidence_c(const Emit *e, StrBuf *out) {
  const Value *v = output_of(e);
  if (!has_confidence(e)) return;
  print_template(e, "\nuint32_t @_confidence(const void *output) {\n", out);
  sb_printf(out, "  return mistify_confidence(output, %lld, %d);\n}\n", (long long)shape_count(&v->shape),
            v->dtype == DT_I8 ? 128 : 0);
}

/* -- controller -- */

static const char controller_h[] =
    "\n/* Which variant to run now, from a deadline, an energy budget, measured times and confidence:\n"
    " *\n"
    " *   static const mistify_control how = {.now = my_timer, .cycles_per_unit = 80, .slack = 4, .hold = "
    "4};\n"
    " *   @_controller_init(&c, &how);\n"
    " *   for (v = @_controller_begin(&c, &budget); v >= 0; v = @_controller_end(&c, confidence))\n"
    " *     ... run variant v ...\n"
    " *\n"
    " * The budget's time is in units of how.now, from the call of begin. With how.sure a narrow variant "
    "runs first, "
    "and a wider\n"
    " * one behind it where its output's confidence is below; otherwise the confidence may be anything. "
    "`how` must "
    "live as long\n"
    " * as the controller. */\n"
    "void @_controller_init(mistify_controller *c, const mistify_control *how);\n"
    "int @_controller_begin(mistify_controller *c, const mistify_budget *budget);\n"
    "int @_controller_end(mistify_controller *c, uint32_t confidence);\n";

static const char controller_init_c[] =
    "\nvoid @_controller_init(mistify_controller *c, const mistify_control *how) {\n"
    "  mistify_controller_init(c, @_variants, (int32_t)(sizeof @_variants / sizeof *@_variants), how);\n";

static const char controller_c[] =
    "}\n"
    "\n"
    "int @_controller_begin(mistify_controller *c, const mistify_budget *budget) {\n"
    "  return (int)mistify_controller_begin(c, budget);\n"
    "}\n"
    "\n"
    "int @_controller_end(mistify_controller *c, uint32_t confidence) {\n"
    "  return (int)mistify_controller_end(c, confidence);\n"
    "}\n";

static void need_controller(Emit *e) {
  static const char file[] = "runtime/device/controller.c";
  need_device(e, file, "mistify_controller_init");
  need_device(e, file, "mistify_controller_begin");
  need_device(e, file, "mistify_controller_end");
  if (e->exits) need_device(e, file, "mistify_controller_exits");
}

/* -- drift -- */

static const char drift_h[] =
    "\n/* Has what the model sees moved away from what it was made for?\n"
    " *\n"
    " *   @_drift_init(&d);               once; sizeof(mistify_drift) bytes of RAM\n"
    " *   @_drift_input(&d, input);       before each run, which may overwrite the input\n"
    " *   @_drift_output(&d, confidence)  behind it: not 0 when it is time to adapt again\n"
    " *\n"
    " * The alarm, bits of MISTIFY_DRIFT_..., stays until @_drift_reset (the same reference) or "
    "@_drift_learn (what is usual\n"
    " * is taken from the next 2048 inferences, which raise no alarm). Inputs like those of training raise a "
    "false one in\n"
    " * @U_DRIFT_INTERVAL inferences, on average. */\n";

static const char drift_functions_h[] = "void @_drift_init(mistify_drift *d);\n"
                                        "int @_drift_output(mistify_drift *d, uint32_t confidence);\n"
                                        "void @_drift_reset(mistify_drift *d);\n"
                                        "void @_drift_learn(mistify_drift *d);\n";

static const char drift_functions_c[] =
    "void @_drift_init(mistify_drift *d) { mistify_drift_init(d, &@_drift_reference); }\n"
    "\n"
    "int @_drift_output(mistify_drift *d, uint32_t confidence) {\n"
    "  return (int)mistify_drift_output(d, confidence);\n"
    "}\n"
    "\n"
    "void @_drift_reset(mistify_drift *d) { mistify_drift_reset(d); }\n"
    "\n"
    "void @_drift_learn(mistify_drift *d) { mistify_drift_learn(d); }\n";

static void print_list(const uint32_t v[4], StrBuf *out) {
  sb_printf(out, "{%" PRIu32 "u, %" PRIu32 "u, %" PRIu32 "u, %" PRIu32 "u}, ", v[0], v[1], v[2], v[3]);
}

static void print_drift_h(const Emit *e, StrBuf *out) {
  sb_printf(out, "\n#define %s_DRIFT_INTERVAL %lld\n", e->upper, (long long)e->opt->drift->interval);
  print_template(e, drift_h, out);
  if (e->plan.input_rows)
    print_template(
        e, "void @_drift_rows(mistify_drift *d, const void *rows, int n); /* in place of @_drift_input */\n",
        out);
  else
    print_template(e, "void @_drift_input(mistify_drift *d, const void *input);\n", out);
  print_template(e, drift_functions_h, out);
}

static void print_drift_c(const Emit *e, StrBuf *out) {
  const mistify_drift_reference *r = &e->opt->drift->reference;
  sb_printf(out, "\nstatic const mistify_drift_reference %s_drift_reference = {\n    ", e->opt->name);
  uint32_t inverse[4];
  for (int i = 0; i < 4; i++) inverse[i] = r->inverse[i];
  if (e->variants) inverse[3] = 0; /* the confidence is the widest one's, and another variant has its own */
  print_list(r->mean, out);
  print_list(inverse, out);
  sb_printf(out, "%u, %u, %" PRIu32 "u, %u, %u, %u, %u};\n\n", r->slack, r->limit, r->piece, r->step, r->next,
            r->flip, r->usual);
  if (e->plan.input_rows)
    print_template(
        e,
        "void @_drift_rows(mistify_drift *d, const void *rows, int n) { mistify_drift_input(d, rows, "
        "n); }\n\n",
        out);
  else
    print_template(
        e,
        "void @_drift_input(mistify_drift *d, const void *input) { mistify_drift_input(d, input, 1); }\n\n",
        out);
  print_template(e, drift_functions_c, out);
}

/* The reference's pieces are what the functions get: the whole input, or its rows. */
static bool need_drift(Emit *e) {
  static const char file[] = "runtime/device/drift.c";
  const int64_t count = shape_count(&graph_val(e->g, e->g->inputs[0])->shape);
  const int64_t piece = e->plan.input_rows ? count / e->plan.input_rows : count;
  const uint32_t got = e->opt->drift->reference.piece;
  FAIL_IF(e->plan.hop, e->diag, NULL,
          "the monitor of drift wants windows of the input that stand apart (no hop)");
  FAIL_IF(got != piece, e->diag, NULL,
          "the reference of drift was made for an input in pieces of %" PRIu32 " values, not of %lld", got,
          (long long)piece);
  need_device(e, file, "mistify_drift_init");
  need_device(e, file, "mistify_drift_input");
  need_device(e, file, "mistify_drift_output");
  need_device(e, file, "mistify_drift_reset");
  need_device(e, file, "mistify_drift_learn");
  return true;
}

/* -- all of it -- */

bool need_control(Emit *e) {
  if (e->opt->controller) need_controller(e);
  if (e->opt->drift) TRY(need_drift(e));
  if (has_confidence(e)) need_device(e, "runtime/device/confidence.c", "mistify_confidence");
  return true;
}

void print_control_types(const Emit *e, StrBuf *out) {
  if (e->opt->controller) print_device_types("runtime/device/variant.h", out);
  if (e->opt->controller) print_device_types("runtime/device/controller.h", out);
  if (e->opt->drift) print_device_types("runtime/device/drift.h", out);
}

void print_control_h(const Emit *e, StrBuf *out) {
  print_confidence_h(e, out);
  if (e->opt->controller) print_template(e, controller_h, out);
  if (e->opt->controller && e->exits)
    print_template(e, "/* The first variant of an inference by @_run, those behind it by @_continue. */\n",
                   out);
  if (e->opt->drift) print_drift_h(e, out);
}

static void print_controller_c(const Emit *e, StrBuf *out) {
  if (!e->opt->controller) return;
  print_template(e, controller_init_c, out);
  if (e->exits) sb_puts(out, "  mistify_controller_exits(c);\n");
  print_template(e, controller_c, out);
}

void print_control_c(const Emit *e, StrBuf *out) {
  print_confidence_c(e, out);
  print_controller_c(e, out);
  if (e->opt->drift) print_drift_c(e, out);
}
