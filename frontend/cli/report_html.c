/* The report as one self-contained page: no script, no file beside it. Drawings are SVG: the plan
 * (report_drawing.c), accuracy against MACs (report_chart.c).
 */
#include "frontend/cli/report.h"

#include <inttypes.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>mistify report</title><style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}\n"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .8em;border-bottom:1px solid "
    "#ddd;text-align:right}\n"
    "th{border-bottom:2px solid #888}td:first-child,th:first-child{text-align:left}\n"
    ".no{color:#b00;font-weight:600}.yes{color:#070}.note{color:#666}svg{background:#fafafa;border:1px solid "
    "#ddd}\n"
    "</style></head><body>\n";

void report_escape(StrBuf *b, const char *s) {
  for (; s && *s; s++) {
    if (*s == '<')
      sb_puts(b, "&lt;");
    else if (*s == '&')
      sb_puts(b, "&amp;");
    else
      sb_putc(b, *s);
  }
}

static void cell(StrBuf *b, const char *s) {
  sb_puts(b, "<td>");
  report_escape(b, s);
  sb_puts(b, "</td>");
}

static void accuracy(StrBuf *b, const Accuracy *x) {
  if (x->n)
    sb_printf(b, "<td>%.2f &plusmn; %.2f</td>", 100 * x->top1, 100 * x->stderr_);
  else
    sb_puts(b, "<td>-</td>");
}

static void used(StrBuf *b, Arena *a, int64_t have, int64_t limit, int64_t estimate, const char *where) {
  sb_printf(b, "<td>%s%s%s<br><span class=\"note\">estimate %s%s%s</span></td>", cli_count(a, have),
            limit ? " of " : "", limit ? cli_count(a, limit) : "", cli_count(a, estimate), *where ? "; " : "",
            where);
}

static void targets_table(const Report *r, Arena *a, StrBuf *b) {
  sb_puts(
      b,
      "<h2>Targets</h2><table><tr><th>target</th><th>machine</th><th>original %</th><th>tailored float %</th>"
      "<th>emitted C %</th><th>MACs</th><th>flash bytes</th><th>RAM bytes</th><th>instructions</th>"
      "<th>bytes equal</th><th>limits</th></tr>\n");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    sb_puts(b, "<tr>");
    cell(b, o->target->name);
    cell(b, r->machines[i]);
    accuracy(b, &o->proof.original);
    accuracy(b, &o->proof.tailored);
    accuracy(b, &o->proof.emitted);
    cell(b, o->delivered ? cli_count(a, o->cost.macs) : "-");
    used(b, a, o->measured.flash, o->target->limits.flash, o->cost.flash, "");
    used(b, a, o->measured.ram, tailor_ram_linked(&o->target->limits), o->cost.ram, report_regions(o, a));
    cell(b, cli_count(a, o->measured.instructions));
    sb_printf(b, "<td>%" PRId64 "/%" PRId64 "</td>", o->proof.vectors_equal, o->proof.vectors);
    sb_printf(b, "<td class=\"%s\">%s</td></tr>\n", o->met ? "yes" : "no",
              o->met    ? "met"
              : o->late ? "no time"
                        : "missed");
  }
  sb_puts(b, "</table>\n");
  for (int i = 0; i < r->result->n; i++) {
    const TailorOutcome *o = &r->result->v[i];
    if (o->met) continue;
    sb_puts(b, "<p class=\"no\">");
    report_escape(b, o->target->name);
    sb_puts(b, ": ");
    report_escape(b, o->why);
    sb_puts(b, "</p>\n");
  }
}

static void steps_table(const Report *r, StrBuf *b) {
  sb_puts(b, "<h2>Steps</h2><details><summary>All of "
             "them</summary><table><tr><th>for</th><th>step</th><th>seconds</th><th>why it ran</th></tr>\n");
  for (size_t i = 0; i < r->steps->n; i++) {
    const StepLog *s = &r->steps->v[i];
    sb_puts(b, "<tr>");
    cell(b, s->slot);
    cell(b, s->kind);
    sb_printf(b, "<td>%.2f</td>", s->seconds);
    cell(b, s->hit ? "cached" : s->why);
    sb_puts(b, "</tr>\n");
  }
  sb_puts(b, "</table></details>\n");
}

void report_html(const Report *r, StrBuf *b) {
  Arena *a = arena_new();
  sb_puts(b, head);
  sb_puts(b, "<h1>");
  report_escape(b, r->model);
  sb_printf(b,
            "</h1><p>%d targets, %.1f seconds. Original: %s MACs, %s parameters. %s of the "
            "test split, "
            "with standard error; flash and RAM as linked; instructions as counted by the emulator.</p>\n",
            r->result->n, r->seconds, cli_count(a, r->result->macs), cli_count(a, r->result->params),
            r->result->n && r->result->v[0].proof.original.auc ? "AUC (in %) is that"
                                                               : "Accuracies are those");
  if (tailor_shortened(r->result))
    sb_printf(b,
              "<p class=\"note\">Trainings were shortened to %.0f %% of their lengths, for a time budget of "
              "%s.</p>\n",
              100 * r->result->kept, tailor_duration(a, r->result->shortened_for));
  targets_table(r, a, b);
  report_variants_html(r, b);
  report_exits_html(r, b);
  report_plan_html(r, b);
  report_chart(r, b);
  steps_table(r, b);
  sb_puts(b, "</body></html>\n");
  arena_free(a);
}
