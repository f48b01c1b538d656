/* The report as a table and as JSON; see report.h. The page is in report_html.c. */
#include "frontend/cli/report.h"

#include <inttypes.h>
#include <stdio.h>

const char *report_percent(Arena *a, const Accuracy *x) {
  return x->n ? arena_printf(a, "%.2f±%.2f", 100 * x->top1, 100 * x->stderr_) : "-";
}

/* "41,234 of 65,536 (est 40,100)" */
static const char *against(Arena *a, int64_t have, int64_t limit, int64_t estimate) {
  const char *of = limit ? arena_printf(a, " of %s", cli_count(a, limit)) : "";
  return arena_printf(a, "%s%s, est %s", cli_count(a, have), of, cli_count(a, estimate));
}

const char *report_regions(const TailorOutcome *o, Arena *a) {
  const char *text = "";
  for (int i = 0; i < o->n_regions; i++) {
    const TailorRegion *m = &o->region[i];
    text = arena_printf(a, "%s%s%s %s%s%s", text, i ? ", " : "", m->name, cli_count(a, m->bytes),
                        m->limit ? " of " : "", m->limit ? cli_count(a, m->limit) : "");
  }
  return text;
}

static void accuracy_table(const Report *r, Arena *a) {
  Table t;
  table_begin(
      &t, a,
      "<target,<machine,>original %,>tailored float %,>emitted C %,>MACs,>params,<bytes equal,<limits");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    table_cell(&t, "%s", o->target->name);
    table_cell(&t, "%s", r->machines[i]);
    table_cell(&t, "%s", report_percent(a, &o->proof.original));
    table_cell(&t, "%s", report_percent(a, &o->proof.tailored));
    table_cell(&t, "%s", report_percent(a, &o->proof.emitted));
    table_cell(&t, "%s", o->delivered ? cli_count(a, o->cost.macs) : "-");
    table_cell(&t, "%s", o->delivered ? cli_count(a, o->cost.params) : "-");
    table_cell(&t, "%" PRId64 "/%" PRId64, o->proof.vectors_equal, o->proof.vectors);
    table_cell(&t, "%s", o->met ? "met" : o->late ? "NO TIME" : "MISSED");
  }
  table_print(&t);
}

static void size_table(const Report *r, Arena *a) {
  Table t;
  table_begin(&t, a, "<target,<flash bytes,<RAM bytes,>stack,>instructions,>est. cycles");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    if (!o->delivered) continue;
    const TailorLimits *l = &o->target->limits;
    table_cell(&t, "%s", o->target->name);
    table_cell(&t, "%s", against(a, o->measured.flash, l->flash, o->cost.flash));
    table_cell(&t, o->n_regions ? "%s: %s" : "%s%s",
               against(a, o->measured.ram, tailor_ram_linked(l), o->cost.ram), report_regions(o, a));
    table_cell(&t, "%s", cli_count(a, o->measured.stack));
    table_cell(&t, "%s", cli_count(a, o->measured.instructions));
    table_cell(&t, "%s", cli_count(a, o->cost.cycles));
  }
  table_print(&t);
}

void report_table(const Report *r, Arena *a) {
  const Accuracy *first = r->result->n ? &r->result->v[0].proof.original : &(Accuracy){0};
  printf("\n%s on the test split (%u examples), with its standard error; original: %s MACs, %s "
         "parameters\n\n",
         first->auc ? "AUC (in %)" : "Accuracy", first->n, cli_count(a, r->result->macs),
         cli_count(a, r->result->params));
  accuracy_table(r, a);
  if (r->graphs)
    printf("\nFlash, RAM and cycles are estimates: nothing was built or run (--graphs)\n\n");
  else
    printf("\nFlash and RAM as linked by the target's compiler, the limit and the estimate beside; "
           "instructions of one\n"
           "inference counted by the emulator; cycles estimated: on Cortex-M instructions weighted by their "
           "class, no wait "
           "states\n\n");
  size_table(r, a);
  report_variants_table(r, a);
  report_exits_table(r, a);
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    if (!o->met)
      printf("\n%s: %s%s\n", o->target->name, o->why, o->delivered ? " (delivered all the same)" : "");
  }
  printf("\n");
  report_plan_line(r);
}

/* ---- JSON */

void report_json_accuracy(JsonWriter *w, const char *key, const Accuracy *x) {
  json_kobject(w, key);
  json_kint(w, "n", x->n);
  if (!x->auc) json_kint(w, "correct", x->correct);
  json_knum(w, x->auc ? "auc" : "top1", x->top1);
  json_knum(w, "stderr", x->stderr_);
  json_end(w);
}

static void json_limits(JsonWriter *w, const TailorLimits *l) {
  json_kobject(w, "limits");
  json_kint(w, "flash", l->flash);
  json_kint(w, "ram", tailor_ram_linked(l));
  json_kint(w, "macs", l->macs);
  json_kint(w, "cycles", l->cycles);
  json_knum(w, "min_accuracy", l->min_accuracy);
  json_knum(w, "max_drop", l->max_drop);
  json_end(w);
}

static void json_regions(JsonWriter *w, const TailorOutcome *o) {
  json_karray(w, "ram_by_region");
  for (int i = 0; i < o->n_regions; i++) {
    json_object(w);
    json_kstr(w, "region", o->region[i].name);
    json_kint(w, "bytes", o->region[i].bytes);
    json_kint(w, "limit", o->region[i].limit);
    json_end(w);
  }
  json_end(w);
}

static void json_target(JsonWriter *w, const Report *r, int i) {
  const TailorOutcome *o = &r->result->v[i];
  json_object(w);
  json_kstr(w, "target", o->target->name);
  json_kstr(w, "machine", r->machines[i]);
  json_kstr(w, "precision", o->target->precision != DT_I8 ? "float32" : o->int4 ? "int4" : "int8");
  json_kstr(w, "structure", o->variant);
  json_kstr(w, "finish", o->finish);
  json_kbool(w, "met", o->met);
  json_kbool(w, "delivered", o->delivered);
  json_kbool(w, "out_of_time", o->late);
  json_kint(w, "priority", o->target->priority);
  json_kstr(w, "why", o->why);
  json_kstr(w, "retrained_from", o->start ? (o->start[0] ? o->start : "original") : NULL);
  json_limits(w, &o->target->limits);
  json_kint(w, "macs", o->cost.macs);
  json_kint(w, "params", o->cost.params);
  json_kobject(w, "estimate");
  json_kint(w, "flash", o->cost.flash);
  json_kint(w, "ram", o->cost.ram);
  json_kint(w, "cycles", o->cost.cycles);
  json_end(w);
  json_kobject(w, "measured");
  json_kint(w, "flash", o->measured.flash);
  json_kint(w, "ram", o->measured.ram);
  if (o->n_regions) json_regions(w, o);
  json_kint(w, "stack", o->measured.stack);
  json_kint(w, "instructions", o->measured.instructions);
  json_end(w);
  json_kobject(w, "validation");
  if (o->val_float >= 0) json_knum(w, "float", o->val_float);
  json_knum(w, "final", o->val_final);
  json_knum(w, "floor", o->floor);
  json_end(w);
  json_kobject(w, "test");
  report_json_accuracy(w, "original", &o->proof.original);
  report_json_accuracy(w, "tailored_float", &o->proof.tailored);
  report_json_accuracy(w, "emitted", &o->proof.emitted);
  json_kint(w, "vectors", o->proof.vectors);
  json_kint(w, "vectors_equal", o->proof.vectors_equal);
  json_end(w);
  if (o->n_widths) report_variants_json(o, w);
  if (o->n_exits) report_exits_json(o, w);
  json_end(w);
}

void report_json(const Report *r, StrBuf *out) {
  JsonWriter w;
  json_begin(&w, out, true);
  json_object(&w);
  json_kstr(&w, "model", r->model);
  json_kstr(&w, "deploy", r->deploy);
  json_knum(&w, "seconds", r->seconds);
  json_kint(&w, "original_macs", r->result->macs);
  json_kint(&w, "original_params", r->result->params);
  json_karray(&w, "targets");
  for (int i = 0; i < r->result->n; i++) json_target(&w, r, i);
  json_end(&w);
  report_plan_json(r, &w);
  json_karray(&w, "steps");
  for (size_t i = 0; i < r->steps->n; i++) {
    const StepLog *s = &r->steps->v[i];
    char key[HASH_HEX];
    hash_hex(s->key, key);
    json_object(&w);
    json_kstr(&w, "step", s->kind);
    json_kstr(&w, "for", s->slot);
    json_kbool(&w, "cached", s->hit);
    json_knum(&w, "seconds", s->seconds);
    json_kstr(&w, "why", s->why);
    json_kstr(&w, "key", key);
    json_end(&w);
  }
  json_end(&w);
  json_end(&w);
}
