/* NAME_run: the plan's groups as C. A whole layer is one kernel call; layers that take turns are a loop over time, in
 * which each computes the row that is due:
 *
 *   for (int32_t t = 0, y; t < 34; t++) {
 *     if ((y = t - 0) >= 0 && y < 32) { views; conv_s8__generic(&layer1, in, &out, y, y + 1, NULL); }
 *     if ((y = t - 1) >= 0 && y < 32) ...
 *   }
 *
 * The state of the loop is its time alone; where the input comes by rows (NAME_push_rows), each row moves it on.
 */
#include <stdio.h>

#include "backend/emit/emit.h"

static void print_shape(const Graph *g, ValId v, StrBuf *out) {
  char text[160];
  shape_format(&graph_val(g, v)->shape, text, sizeof text);
  sb_puts(out, text);
}

/* "3: Conv "conv1" [1,32,32,3] -> [1,32,32,16], 442368 MACs" */
static void print_layer_comment(const Emit *e, uint32_t c, StrBuf *out) {
  const KernelCall *k = &e->calls.v[c];
  const Node *n = &e->g->nodes[k->node];
  sb_printf(out, "  /* %u: %s", e->first_layer + c, op_info(n->op)->name);
  const char *name = n->loc.name ? n->loc.name : graph_val(e->g, n->out[0])->name;
  if (name) {
    sb_puts(out, " \"");
    print_comment_text(out, name);
    sb_putc(out, '"');
  }
  sb_putc(out, ' ');
  print_shape(e->g, n->in[0], out);
  sb_puts(out, " -> ");
  print_shape(e->g, n->out[0], out);
  if (k->macs) sb_printf(out, ", %lld MACs", (long long)k->macs);
  sb_puts(out, " */\n");
}

/* " + (y * 2 + 1) % 3 * 768": the place moves (PlanSlot). */
static void print_slot(const PlanSlot *s, StrBuf *out) {
  if (s->rows)
    sb_printf(out, " + (y * %d + %d) %% %d * %lld", (int)s->mul, (int)s->add, (int)s->rows,
              (long long)s->row);
}

/* "{a + 128, 64, 0}" */
static void print_view(const Emit *e, const CallView *v, int constant, bool batch, StrBuf *out) {
  ValId root = value_root(e->g, v->val);
  int64_t at = v->offset + (constant >= 0 ? 0 : e->plan.offset[root]);
  if (constant >= 0) {
    sb_puts(out, "{(void *)(uintptr_t)((const char *)");
    print_const(e, constant, out);
  } else {
    sb_printf(out, "{%s", place_base(e, e->plan.region[root], "a"));
  }
  if (at) sb_printf(out, " + %lld", (long long)at);
  if (constant < 0) print_slot(&e->plan.slot[v->val], out);
  if (batch && v->step) sb_printf(out, " + n * %lld", (long long)v->step);
  sb_printf(out, "%s, %lld, %d}", constant >= 0 ? ")" : "", (long long)v->row,
            constant >= 0 ? 0 : (int)e->plan.ring[v->val]);
}

static void print_views(const Emit *e, uint32_t c, bool batch, const char *indent, StrBuf *out) {
  const KernelCall *k = &e->calls.v[c];
  print_bound_params(e, c, arena_printf(e->arena, "%s  ", indent), out);
  if (k->n_in) sb_printf(out, "%s  const mf_view in[] = {", indent);
  for (int i = 0; i < k->n_in; i++) {
    if (i) sb_puts(out, ", ");
    print_view(e, &k->in[i], e->names[c].in[i], batch, out);
  }
  if (k->n_in) sb_puts(out, "};\n");
  sb_printf(out, "%s  const mf_view out = ", indent);
  print_view(e, &k->out, -1, batch, out);
  sb_puts(out, ";\n");
}

static void print_kernel(const Emit *e, uint32_t c, const char *y0, const char *y1, const char *indent,
                         StrBuf *out) {
  const KernelCall *k = &e->calls.v[c];
  print_adapt_before(e, c, y0, y1, indent, out);
  sb_printf(out, "%s  MF_LAYER(%u, ", indent, e->first_layer + c);
  print_kernel_name(e, c, out);
  if (has_bound_params(e, c))
    sb_puts(out, "(&p, ");
  else
    sb_printf(out, "(&layer%u, ", e->first_layer + c);
  sb_printf(out, "%s, &out, %s, %s, ", k->n_in ? "in" : "NULL", y0, y1);
  if (e->plan.scratch[c] < 0) {
    sb_puts(out, "NULL));\n");
  } else {
    sb_printf(out, "%s + %lld", place_base(e, e->plan.scratch_region[c], "a"), (long long)e->plan.scratch[c]);
    print_slot(&e->plan.scratch_slot[c], out);
    sb_puts(out, "));\n");
  }
  print_adapt_after(e, c, y0, y1, indent, out);
}

static void print_whole(const Emit *e, uint32_t c, const char *indent, StrBuf *out) {
  const KernelCall *k = &e->calls.v[c];
  bool batch = k->batch > 1;
  char rows[16];
  snprintf(rows, sizeof rows, "%d", (int)k->rows);
  print_layer_comment(e, c, out);
  if (batch)
    sb_printf(out, "%sfor (int32_t n = 0; n < %d; n++) {\n", indent, (int)k->batch);
  else
    sb_printf(out, "%s{\n", indent);
  print_views(e, c, batch, indent, out);
  print_kernel(e, c, "0", rows, indent, out);
  sb_printf(out, "%s}\n", indent);
}

/* Row y of the call at time t, where that is one. */
static void print_row(const Emit *e, uint32_t c, const char *indent, StrBuf *out) {
  const PlanStage *s = &e->plan.stage[c];
  const KernelCall *k = &e->calls.v[c];
  print_layer_comment(e, c, out);
  if (s->step == 1)
    sb_printf(out, "%sif ((y = t - %d) >= 0 && y < %d) {\n", indent, (int)s->lead, (int)k->rows);
  else
    sb_printf(out, "%sif ((y = t - %d) >= 0 && y %% %d == 0 && (y /= %d) < %d) {\n", indent, (int)s->lead,
              (int)s->step, (int)s->step, (int)k->rows);
  print_views(e, c, false, indent, out);
  print_kernel(e, c, "y", "y + 1", indent, out);
  sb_printf(out, "%s}\n", indent);
}

/* Calls that take turns: one time of their loop, as a function of its own where the input's rows drive it. */
static void print_turns(const Emit *e, const PlanGroup *s, const char *indent, StrBuf *out) {
  for (int32_t c = s->first; c < s->first + s->n; c++) print_row(e, (uint32_t)c, indent, out);
}

bool group_by_rows(const Emit *e, const PlanGroup *s) { return e->plan.stage[s->first].step > 0; }

void print_group_once(const Emit *e, const PlanGroup *s, const char *indent, StrBuf *out) {
  if (group_by_rows(e, s))
    print_turns(e, s, indent, out);
  else
    print_whole(e, (uint32_t)s->first, indent, out);
}

void print_group(const Emit *e, const PlanGroup *s, StrBuf *out) {
  if (!group_by_rows(e, s)) {
    print_whole(e, (uint32_t)s->first, "  ", out);
    return;
  }
  sb_printf(out, "  for (int32_t t = 0, y; t < %d; t++) {\n", (int)s->steps);
  print_turns(e, s, "    ", out);
  sb_puts(out, "  }\n");
}

/* Groups first .. of NAME_run. */
void print_groups(const Emit *e, int32_t first, StrBuf *out) {
  for (int32_t i = first; i < e->plan.n_groups; i++) print_group(e, &e->plan.groups[i], out);
}

static const char push_rows[] =
    "    unsigned char *slot = %s + %lld + ctx->row %% %d * %lld;\n"
    "    int32_t t = ctx->row ? ctx->row * %d + %d : 0;\n"
    "    for (int32_t i = 0; i < %lld; i++) slot[i] = *from++;\n"
    "    ctx->row = ctx->row + 1 < %d ? ctx->row + 1 : 0;\n"
    "    for (const int32_t end = ctx->row ? ctx->row * %d + %d : %d; t < end; t++) stream(%s, t);\n";

/* The same where the window moves on: ctx->row stays at its end until the next row comes. */
static const char push_rows_hop[] =
    "    if (ctx->row == %d) {\n"
    "      slide(a);\n"
    "      ctx->row -= %d;\n"
    "    }\n"
    "    unsigned char *slot = %s + %lld + ctx->row %% %d * %lld;\n"
    "    int32_t t = ctx->row ? ctx->row * %d + %d : 0;\n"
    "    for (int32_t i = 0; i < %lld; i++) slot[i] = *from++;\n"
    "    ctx->row++;\n"
    "    for (const int32_t end = ctx->row < %d ? ctx->row * %d + %d : %d; t < end; t++) stream(%s, t);\n"
    "    if (ctx->row == %d) rest(%s);\n"
    "  }\n  return given > 0 && ctx->row == %d;\n}\n";

static const char turn[] = "/* The first `by` bytes of p to its end. */\n"
                           "static void turn(unsigned char *p, int32_t n, int32_t by) {\n"
                           "  for (int part = 0; part < 3; part++) {\n"
                           "    int32_t i = part == 1 ? by : 0, k = part == 0 ? by : n;\n"
                           "    for (k--; i < k; i++, k--) {\n"
                           "      const unsigned char x = p[i];\n"
                           "      p[i] = p[k];\n"
                           "      p[k] = x;\n"
                           "    }\n"
                           "  }\n"
                           "}\n\n";

/* Between two windows: what goes on moves up (PlanSlide). */
static void print_slides(const Emit *e, StrBuf *out) {
  const MemoryPlan *p = &e->plan;
  bool rings = false;
  for (int i = 0; i < p->n_slides; i++) rings |= p->slides[i].ring && p->slides[i].by % p->slides[i].rows;
  if (rings) sb_puts(out, turn);
  sb_puts(out, "/* From one window to the next, all that goes on moves up. */\n"
               "static void slide(unsigned char *a) {\n  (void)a;\n");
  for (int i = 0; i < p->n_slides; i++) {
    const PlanSlide *s = &p->slides[i];
    const long long at = (long long)s->offset, row = (long long)s->row;
    const char *base = place_base(e, p->region[s->val], "a");
    if (s->ring && s->by % s->rows)
      sb_printf(out, "  turn(%s + %lld, %lld, %lld);\n", base, at, s->rows * row, s->by % s->rows * row);
    if (!s->ring)
      sb_printf(out, "  for (int32_t i = 0; i < %lld; i++) %s[%lld + i] = %s[%lld + i];\n",
                (s->rows - s->by) * row, base, at, base, at + s->by * row);
  }
  sb_puts(out, "}\n\n");
}

/* The weights' blob as a parameter, an argument, a variable. */
static const char *weights_param(const Emit *e) { return in_blob(e) ? ", const unsigned char *w" : ""; }
static const char *weights_arg(const Emit *e) { return in_blob(e) ? "a, w" : "a"; }

void print_locals(const Emit *e, const char *unbound, StrBuf *out) {
  sb_puts(out, "  unsigned char *const a = ctx->arena;\n");
  if (e->plan.n_regions > 1) sb_puts(out, "  (void)a;\n");
  if (in_blob(e))
    sb_printf(out, "  const unsigned char *const w = ctx->weights;\n  if (!w) return%s;\n", unbound);
  print_adapt_locals(e, out);
}

static void print_rest(const Emit *e, StrBuf *out) {
  sb_printf(out, "/* The layers after the last row. */\nstatic void rest(unsigned char *a%s) {\n  (void)a;\n",
            weights_param(e));
  if (in_blob(e)) sb_puts(out, "  (void)w;\n");
  print_groups(e, 1, out);
  sb_puts(out, "}\n\n");
}

/* The caller's rows drive the first group; the other ones come after the last row. */
static void print_push_rows(const Emit *e, StrBuf *out) {
  const MemoryPlan *p = &e->plan;
  const char *n = e->opt->name;
  ValId in = e->g->inputs[0];
  long long row = (long long)val_bytes(e->g, in) / p->input_rows;
  const char *base = place_base(e, p->region[in], "a");
  int32_t ring = p->ring[in] ? p->ring[in] : p->input_rows;
  sb_printf(out,
            "/* The layers that take turns while rows come, at time t. */\n"
            "static void stream(unsigned char *a%s, int32_t t) {\n  int32_t y;\n",
            weights_param(e));
  if (in_blob(e)) sb_puts(out, "  (void)w;\n");
  if (p->n_regions > 1) sb_puts(out, "  (void)a;\n");
  print_turns(e, &p->groups[0], "  ", out);
  sb_puts(out, "}\n\n");
  if (!e->opt->step) print_rest(e, out);
  if (p->hop) print_slides(e, out);
  sb_printf(out, "int %s_push_rows(%s_context *ctx, const void *rows, int n) {\n", n, n);
  print_locals(e, " 0", out);
  sb_puts(out, "  const unsigned char *from = (const unsigned char *)rows;\n"
               "  int given = 0;\n  for (; given < n; given++) {\n");
  if (p->hop) {
    const int h = (int)p->input_rows, step = (int)p->input.step, lead = (int)p->input.lead;
    sb_printf(out, push_rows_hop, h, (int)p->hop, base, (long long)p->offset[in], (int)ring, row, step, lead,
              row, h, step, lead, (int)p->groups[0].steps, weights_arg(e), h, weights_arg(e), h);
    return;
  }
  sb_printf(out, push_rows, base, (long long)p->offset[in], (int)ring, row, (int)p->input.step,
            (int)p->input.lead, row, (int)p->input_rows, (int)p->input.step, (int)p->input.lead,
            (int)p->groups[0].steps, weights_arg(e));
  if (!e->opt->step) sb_printf(out, "    if (!ctx->row) rest(%s);\n", weights_arg(e));
  sb_puts(out, "  }\n  return given > 0 && !ctx->row;\n}\n");
  if (e->opt->step) print_step(e, out);
}

void print_run(const Emit *e, StrBuf *out) {
  if (e->variants) {
    print_family_run(e, out);
    return;
  }
  if (e->plan.input_rows) {
    print_push_rows(e, out);
    return;
  }
  if (e->opt->step) {
    print_step(e, out);
    return;
  }
  sb_printf(out, "void %s_run(const %s_context *ctx) {\n", e->opt->name, e->opt->name);
  if (e->calls.n || e->g->n_states) {
    print_locals(e, "", out);
    if (in_blob(e)) sb_puts(out, "  (void)w;\n");
    sb_putc(out, '\n');
  } else {
    sb_puts(out, "  (void)ctx;\n");
  }
  print_groups(e, 0, out);
  print_state_step(e, out);
  sb_puts(out, "}\n");
}
