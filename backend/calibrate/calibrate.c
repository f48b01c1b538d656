/* The cost table of a target, measured and printed as C: backend/targets/NAME/IDENT.c.
 *
 * Generic kernels are measured first, as by a target that has no others; then those of its own sets, on the shapes that
 * they accept. Rows that are not asked for stay as they are.
 */
#include "backend/calibrate/calibrate.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/nearest.h"

/* -- the table as C -- */

static void print_rows(const Calibration *c, StrBuf *b) {
  for (int i = 0; i < c->n; i++) {
    const KernelCost *k = &c->cost[i];
    sb_printf(b, "    {\"%s\", \"%s\", {%d, %d, %d, %d, %d}, {", k->kernel, k->set, (int)k->size.many,
              (int)k->size.once, (int)k->size.ram, (int)k->size.copy, (int)k->size.shared);
    for (int f = 0; f < WORK_COUNT; f++) sb_printf(b, "%s%.4g", f ? ", " : "", k->per[f]);
    sb_puts(b, "}},\n");
  }
}

/* "cortex_m4" */
static void print_ident(const char *name, StrBuf *b) {
  for (; *name; name++) sb_putc(b, *name == '-' ? '_' : *name);
}

static void print_table(const Calibration *c, StrBuf *b) {
  const Target *t = c->target;
  StrBuf ident = {0};
  print_ident(t->name, &ident);
  sb_printf(b, "/* What kernels cost on %s: written by mistify calibrate, not by hand. */\n", t->name);
  sb_printf(b, "#include \"backend/costs.h\"\n\nextern const TargetCosts costs_%s;\n\n", sb_str(&ident));
  sb_puts(b, "/* kernel, set, bytes of code where called several times and once, of data, of a copy, shared, "
             "cycles per call, "
             "row, output,\n * tap, MAC, rest, line, move */\nstatic const KernelCost kernels[] = {\n");
  print_rows(c, b);
  sb_printf(b, "};\n\nconst TargetCosts costs_%s = {\n", sb_str(&ident));
  sb_printf(b, "    .origin = \"%s %s\",\n", t->cc, t->cflags);
  sb_printf(b, "    .pointer = %d,\n    .base_code = %d,\n    .code_per_call = %d,\n", (int)t->costs->pointer,
            (int)c->base_code, (int)c->code_per_call);
  sb_printf(b, "    .code_per_turn = %d,\n    .code_per_io = %d,\n", (int)c->code_per_turn,
            (int)c->code_per_io);
  sb_printf(b, "    .int8_shared = %d,\n    .float_shared = %d,\n", (int)c->int8_shared,
            (int)c->float_shared);
  if (c->copies_most) sb_printf(b, "    .copies_most = %d,\n", (int)c->copies_most);
  sb_printf(b, "    .base_cycles = %.0f,\n    .cycles_per_call = %.4g,\n", c->base_cycles,
            c->cycles_per_call);
  sb_puts(b, "    .kernels = kernels,\n    .n_kernels = sizeof kernels / sizeof *kernels,\n};\n");
  sb_free(&ident);
}

/* -- driver -- */

/* gcc 12 -O3 copies kernels in programs of up to about this much code (its ipa-cp-unit-growth of large-unit-insns). */
enum { COPIES_MOST = 80000 };

/* "conv_s8", or one of its kernels: "conv_s8__armv7em_family". */
static bool is_named(const char *given, const char *kernel, const char *tag) {
  const size_t n = strlen(kernel);
  if (strncmp(given, kernel, n) != 0) return false;
  return !given[n] || (strncmp(given + n, "__", 2) == 0 && strcmp(given + n + 2, tag) == 0);
}

/* A tag is that of a kernel in some set. */
static bool is_kernel(const char *given, const char *kernel) {
  for (int s = 0; s < n_kernel_sets; s++)
    for (int k = 0; k < *kernel_sets[s].n; k++) {
      const KernelDef *def = &kernel_sets[s].kernels[k];
      if (strcmp(def->name, kernel) == 0 && is_named(given, kernel, def->tag)) return true;
    }
  return false;
}

static bool check_names(const CalibrateOptions *o, Diag *d) {
  for (size_t i = 0; i < o->n_kernels; i++) {
    bool found = false;
    for (int k = 0; k < n_families; k++) found |= is_kernel(o->kernels[i], families[k].kernel);
    if (found) continue;
    diag_error(d, NULL, "\"%s\" is no kernel that is calibrated", o->kernels[i]);
    const char *names[MAX_KERNELS + 1] = {NULL};
    for (int k = 0; k < n_families && k < MAX_KERNELS; k++) names[k] = families[k].kernel;
    const char *near = name_nearest(o->kernels[i], names);
    if (near) diag_hint(d, "did you mean %s?", near);
    return false;
  }
  return true;
}

static bool wanted(const CalibrateOptions *o, const char *kernel, const char *tag) {
  for (size_t i = 0; i < o->n_kernels; i++)
    if (is_named(o->kernels[i], kernel, tag)) return true;
  return o->n_kernels == 0;
}

/* Kernels of one name in a set are variants, told apart by their tags. */
static bool calibrate_variants(Calibration *c, const Family *f, const KernelSet *set,
                               const CalibrateOptions *o) {
  for (int i = 0; i < *set->n; i++)
    if (strcmp(set->kernels[i].name, f->kernel) == 0 && wanted(o, f->kernel, set->kernels[i].tag))
      TRY(measure_kernel(c, f, set->kernels[i].tag));
  return true;
}

static bool calibrate_set(Calibration *c, const char *name, const CalibrateOptions *o) {
  const KernelSet *set = &kernel_sets[0];
  while (strcmp(set->name, name) != 0) set++;
  if (!o->cycles_only) TRY(measure_anchors(c));
  for (int i = 0; i < n_families; i++) TRY(calibrate_variants(c, &families[i], set, o));
  return true;
}

static bool calibrate_all(Calibration *c, const Target *t, const CalibrateOptions *o) {
  static const char *const generic[] = {"generic", NULL};
  Target alone = *t;
  alone.sets = generic;
  c->target = &alone;
  c->copies_most = strstr(t->cflags, "-O3") ? COPIES_MOST : 0;
  TRY(measure_base(c));
  bool ok = o->sets_only || calibrate_set(c, "generic", o);
  c->target = t; /* `alone` ends here */
  for (const char *const *set = t->sets; ok && strcmp(*set, "generic") != 0; set++)
    ok = calibrate_set(c, *set, o);
  return ok;
}

/* Rows that stay were made with these. */
static void keep_base(Calibration *c, const TargetCosts *t) {
  c->base_code = t->base_code;
  c->code_per_call = t->code_per_call;
  c->code_per_turn = t->code_per_turn;
  c->code_per_io = t->code_per_io;
  c->copies_most = t->copies_most;
  c->base_cycles = t->base_cycles;
  c->cycles_per_call = t->cycles_per_call;
}

bool calibrate_target(const Target *t, const CalibrateOptions *o, StrBuf *table, double *worst, Diag *d) {
  Calibration *c = mem_zalloc(sizeof *c);
  *c = (Calibration){.host = o->host, .diag = d, .dir = o->dir, .cycles_only = o->cycles_only};
  for (int i = 0; (o->n_kernels || o->sets_only || o->cycles_only) && i < t->costs->n_kernels; i++)
    c->cost[c->n++] = t->costs->kernels[i];
  bool ok = check_names(o, d) && calibrate_all(c, t, o);
  if (ok) {
    if (o->cycles_only || o->n_kernels || o->sets_only) { /* rows that stay may need them */
      c->int8_shared = t->costs->int8_shared;
      c->float_shared = t->costs->float_shared;
    }
    if (o->n_kernels) keep_base(c, t->costs);
    print_table(c, table);
    *worst = c->worst;
  }
  mem_free(c);
  return ok;
}
