/* Variants that share weights, in the report: what each costs by estimate, and how good it is. */
#include "frontend/cli/report.h"

#include <inttypes.h>
#include <stdio.h>

static bool any(const Report *r) {
  for (int i = 0; i < r->result->n; i++)
    if (r->result->v[i].n_widths) return true;
  return false;
}

void report_variants_table(const Report *r, Arena *a) {
  Table t;
  if (!any(r)) return;
  printf("\nVariants that share weights: costs estimated, cycles beside as counted on the target; int8, on "
         "the test split by the engine\n\n");
  table_begin(&t, a,
              "<target,>variant,>MACs,>est. cycles,>cycles,>est. RAM,>validation %,>test float %,>test %");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    for (int k = 0; k < o->n_widths; k++) {
      const TailorWidth *x = &o->width[k];
      table_cell(&t, "%s", o->target->name);
      table_cell(&t, "%d", k);
      table_cell(&t, "%s", cli_count(a, x->cost.macs));
      table_cell(&t, "%s", cli_count(a, x->cost.cycles));
      table_cell(&t, "%s", cli_count(a, x->cycles));
      table_cell(&t, "%s", cli_count(a, x->cost.ram));
      table_cell(&t, "%.2f", 100 * x->val_final);
      table_cell(&t, "%s", report_percent(a, &x->tailored));
      table_cell(&t, "%s", report_percent(a, &x->emitted));
    }
  }
  table_print(&t);
}

void report_variants_json(const TailorOutcome *o, JsonWriter *w) {
  json_karray(w, "variants");
  for (int k = 0; k < o->n_widths; k++) {
    const TailorWidth *x = &o->width[k];
    json_object(w);
    json_kint(w, "macs", x->cost.macs);
    json_kint(w, "params", x->cost.params);
    json_kobject(w, "estimate");
    json_kint(w, "ram", x->cost.ram);
    json_kint(w, "cycles", x->cost.cycles);
    json_end(w);
    if (x->cycles >= 0) json_kint(w, "measured_cycles", x->cycles);
    json_knum(w, "validation", x->val_final);
    if (x->floor > 0) json_knum(w, "floor", x->floor);
    json_kobject(w, "test");
    report_json_accuracy(w, "float", &x->tailored);
    report_json_accuracy(w, "final", &x->emitted);
    json_end(w);
    json_end(w);
  }
  json_end(w);
}

void report_variants_html(const Report *r, StrBuf *b) {
  if (!any(r)) return;
  Arena *a = arena_new();
  sb_puts(
      b,
      "<h2>Variants that share weights</h2><p class=\"note\">Costs are estimates; int8 on the test split is "
      "computed by the engine.</p><table><tr><th>target</th><th>variant</th><th>MACs</th><th>cycles, "
      "estimated</th><th>cycles, counted</th>"
      "<th>RAM bytes</th><th>validation int8 %</th><th>test float %</th><th>test "
      "int8 "
      "%</th></tr>\n");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    for (int k = 0; k < o->n_widths; k++) {
      const TailorWidth *x = &o->width[k];
      sb_puts(b, "<tr><td>");
      report_escape(b, o->target->name);
      sb_printf(b, "</td><td>%d</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%.2f</td>", k,
                cli_count(a, x->cost.macs), cli_count(a, x->cost.cycles), cli_count(a, x->cycles),
                cli_count(a, x->cost.ram), 100 * x->val_final);
      sb_printf(b, "<td>%s</td><td>%s</td></tr>\n", report_percent(a, &x->tailored),
                report_percent(a, &x->emitted));
    }
  }
  sb_puts(b, "</table>\n");
  arena_free(a);
}
