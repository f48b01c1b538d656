/* NAME_step: a run in pieces, for cooperative loops and watchdogs. A piece is one layer, or one time of layers that take
 * turns row by row. NAME_run then runs the same pieces one after another, so that the code is there once:
 *
 *   part(a, layer, time)     switch over the plan's groups; the last one, where there is state, copies it
 *   times[]                  pieces of each group
 *
 * Where the input comes by rows, NAME_push_rows runs the first group and NAME_step the others.
 */
#include "backend/emit/emit.h"

static int32_t first_group(const Emit *e) { return e->plan.input_rows ? 1 : 0; }

/* Groups, and the copy of states. */
static int32_t part_count(const Emit *e) { return e->plan.n_groups - first_group(e) + (e->g->n_states > 0); }

static int32_t times_of(const Emit *e, int32_t part) {
  const int32_t g = part + first_group(e);
  if (g >= e->plan.n_groups) return 1;
  return group_by_rows(e, &e->plan.groups[g]) ? e->plan.groups[g].steps : 1;
}

int64_t step_count(const Emit *e) {
  int64_t n = 0;
  for (int32_t i = 0; i < part_count(e); i++) n += times_of(e, i);
  return n;
}

static void print_part(const Emit *e, StrBuf *out) {
  const char *w = in_blob(e) ? ", const unsigned char *w" : "";
  bool rows = false;
  for (int32_t i = first_group(e); i < e->plan.n_groups; i++)
    rows = rows || group_by_rows(e, &e->plan.groups[i]);
  sb_printf(out,
            "/* One piece of a run: layer by layer, or at time t a row each of layers that take turns. */\n"
            "static void part(unsigned char *a%s, int32_t layer, int32_t t) {\n",
            w);
  sb_puts(out, rows ? "  int32_t y;\n" : "  (void)t;\n");
  if (e->plan.n_regions > 1) sb_puts(out, "  (void)a;\n");
  if (in_blob(e)) sb_puts(out, "  (void)w;\n");
  sb_puts(out, "  switch (layer) {\n");
  for (int32_t i = 0; i < part_count(e); i++) {
    const int32_t g = i + first_group(e);
    sb_printf(out, "  case %d:\n", (int)i);
    if (g < e->plan.n_groups)
      print_group_once(e, &e->plan.groups[g], "    ", out);
    else
      print_state_step(e, out);
    sb_puts(out, "    break;\n");
  }
  sb_puts(out, "  default: break;\n  }\n}\n\nstatic const int32_t times[] = {");
  for (int32_t i = 0; i < part_count(e); i++) sb_printf(out, "%s%d", i ? ", " : "", (int)times_of(e, i));
  sb_puts(out, "};\n\n");
}

static void print_whole_run(const Emit *e, StrBuf *out) {
  sb_printf(out, "void %s_run(const %s_context *ctx) {\n", e->opt->name, e->opt->name);
  print_locals(e, "", out);
  sb_printf(out,
            "  for (int32_t layer = 0; layer < %d; layer++)\n"
            "    for (int32_t t = 0; t < times[layer]; t++) part(%s, layer, t);\n}\n\n",
            (int)part_count(e), in_blob(e) ? "a, w" : "a");
}

void print_step(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name;
  const int32_t parts = part_count(e);
  if (parts == 0) { /* nothing is left to do after the last row, or at all */
    if (!e->plan.input_rows) sb_printf(out, "void %s_run(const %s_context *ctx) { (void)ctx; }\n\n", n, n);
    sb_printf(out, "\nint %s_step(%s_context *ctx) {\n  (void)ctx;\n  return 0;\n}\n", n, n);
    return;
  }
  sb_putc(out, '\n');
  print_part(e, out);
  if (!e->plan.input_rows) print_whole_run(e, out);
  sb_printf(out, "int %s_step(%s_context *ctx) {\n", n, n);
  print_locals(e, " 0", out);
  sb_printf(out,
            "  part(%s, ctx->layer, ctx->time);\n"
            "  if (++ctx->time < times[ctx->layer]) return 1;\n"
            "  ctx->time = 0;\n"
            "  if (++ctx->layer < %d) return 1;\n"
            "  ctx->layer = 0;\n"
            "  return 0;\n}\n",
            in_blob(e) ? "a, w" : "a", (int)parts);
}
