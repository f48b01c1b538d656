/* Early exits in the report: what an inference that ends there costs, and how often it is right. */
#include "frontend/cli/report.h"

#include <stdio.h>

static bool any(const Report *r) {
  for (int i = 0; i < r->result->n; i++)
    if (r->result->v[i].n_exits) return true;
  return false;
}

static const char *place(const TailorExit *x) { return x->behind ? x->behind : "(the whole model)"; }

void report_exits_table(const Report *r, Arena *a) {
  Table t;
  if (!any(r)) return;
  printf("\nEarly exits: what runs until there, cycles beside as counted on the target; int8, by the "
         "engine (the whole on the test split as emitted, where it was)\n\n");
  table_begin(&t, a, "<target,>variant,<ends behind,>MACs,>est. cycles,>cycles,>validation %,>test %");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    for (int v = 0; v < o->n_exits; v++) {
      const TailorExit *x = &o->exit[v];
      table_cell(&t, "%s", o->target->name);
      table_cell(&t, "%d", v);
      table_cell(&t, "%s", place(x));
      table_cell(&t, "%s", cli_count(a, x->cost.macs));
      table_cell(&t, "%s", cli_count(a, x->cost.cycles));
      table_cell(&t, "%s", cli_count(a, x->cycles));
      table_cell(&t, "%.2f", 100 * x->val_final);
      table_cell(&t, "%s", report_percent(a, &x->emitted));
    }
  }
  table_print(&t);
}

void report_exits_json(const TailorOutcome *o, JsonWriter *w) {
  json_karray(w, "exits");
  for (int v = 0; v < o->n_exits; v++) {
    const TailorExit *x = &o->exit[v];
    json_object(w);
    json_kstr(w, "behind", x->behind);
    json_kint(w, "macs", x->cost.macs);
    json_kint(w, "params", x->cost.params);
    json_kint(w, "estimated_cycles", x->cost.cycles);
    if (x->cycles >= 0) json_kint(w, "measured_cycles", x->cycles);
    json_knum(w, "validation", x->val_final);
    report_json_accuracy(w, "test", &x->emitted);
    json_end(w);
  }
  json_end(w);
}

void report_exits_html(const Report *r, StrBuf *b) {
  if (!any(r)) return;
  Arena *a = arena_new();
  sb_puts(
      b,
      "<h2>Early exits</h2><p class=\"note\">What runs until there; int8, computed by the "
      "engine (the whole on the test split as "
      "emitted, where it was).</p><table><tr><th>target</th><th>variant</th><th>ends behind</th><th>MACs</th>"
      "<th>cycles, estimated</th><th>cycles, counted</th><th>validation %</th><th>test %</th></tr>\n");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    for (int v = 0; v < o->n_exits; v++) {
      const TailorExit *x = &o->exit[v];
      sb_puts(b, "<tr><td>");
      report_escape(b, o->target->name);
      sb_printf(b, "</td><td>%d</td><td>", v);
      report_escape(b, place(x));
      sb_printf(b, "</td><td>%s</td><td>%s</td><td>%s</td><td>%.2f</td><td>%s</td></tr>\n",
                cli_count(a, x->cost.macs), cli_count(a, x->cost.cycles), cli_count(a, x->cycles),
                100 * x->val_final, report_percent(a, &x->emitted));
    }
  }
  sb_puts(b, "</table>\n");
  arena_free(a);
}
