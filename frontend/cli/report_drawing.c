/* The plan in the page: the tree of models as SVG, their seconds, ways of sharing, time by kind of step.
 *
 *   MACs: the original's   a half      a quarter ...     to the right: fewer (logarithmic)
 *     o-----+
 *     |     o m7 91.2 %                                  a row for each model, depth first: below its parent stand its
 *     |     +-----o m4 90.1 %                            descendants, all further to the right, so that neither labels
 *     +--------(o) joint                                 nor edges cross
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontend/cli/tailoring.h"

enum { WIDTH = 940, LEFT = 16, TOP = 34, LABEL = 260, ROW = 18, LEAST_ROW = 3, TALLEST = 4000 };

static const char TRAINED[] = "#2a7", REUSED[] = "#48c", NEITHER[] = "#bbb", MISSED[] = "#c33";

typedef struct Drawing {
  const Report *r;
  StrBuf *b;
  Arena *a;
  int *row;      /* [n_models] from 1; 0 is the original's */
  double height; /* of a row */
  double most, span;
} Drawing;

/* ---- Places */

static void number_rows(Drawing *d) {
  const TailorResult *r = d->r->result;
  int *stack = arena_array(d->a, (size_t)r->n_models + 1, sizeof *stack), top = 0, next = 1;
  d->row = arena_array(d->a, (size_t)r->n_models, sizeof *d->row);
  for (int k = r->n_models - 1; k >= 0; k--)
    if (r->models[k].parent < 0) stack[top++] = k;
  while (top > 0) {
    const int k = stack[--top];
    d->row[k] = next++;
    for (int c = r->n_models - 1; c > k; c--)
      if (r->models[c].parent == k) stack[top++] = c;
  }
}

static double x_of(const Drawing *d, int64_t macs) {
  return LEFT + (WIDTH - LEFT - LABEL) * log(d->most / fmax(1, (double)macs)) / d->span;
}

static double y_of(const Drawing *d, int row) { return TOP + d->height * (row + 0.5); }

static void place(Drawing *d) {
  const TailorResult *r = d->r->result;
  double least = d->most = fmax(1, (double)r->macs);
  for (int k = 0; k < r->n_models; k++) {
    least = fmin(least, fmax(1, (double)r->models[k].macs));
    d->most = fmax(d->most, (double)r->models[k].macs);
  }
  d->span = fmax(log(d->most / least), 0.01);
  d->height = fmin(ROW, fmax(LEAST_ROW, (double)TALLEST / (r->n_models + 1)));
  number_rows(d);
}

/* ---- Parts */

static void lines_of_halvings(const Drawing *d, double bottom) {
  const int halvings = (int)(d->span / log(2)), every = halvings > 8 ? 2 : 1;
  for (int i = 0; i <= halvings; i += every) {
    const double macs = d->most / pow(2, i), x = LEFT + (WIDTH - LEFT - LABEL) * i * log(2) / d->span;
    sb_printf(d->b,
              "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e4e4e4\"/>"
              "<text x=\"%.1f\" y=\"16\" font-size=\"11\" fill=\"#666\" text-anchor=\"%s\">%.3g M</text>\n",
              x, TOP - 10, x, bottom, x, i ? "middle" : "start", macs / 1e6);
  }
}

/* Down from the parent, then to the right. */
static void edge(const Drawing *d, int k) {
  const TailorResult *r = d->r->result;
  const TailorTrained *m = &r->models[k];
  const int64_t macs = m->parent < 0 ? r->macs : r->models[m->parent].macs;
  sb_printf(d->b, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#999\"/>\n", x_of(d, macs),
            y_of(d, m->parent < 0 ? 0 : d->row[m->parent]), y_of(d, d->row[k]), x_of(d, m->macs));
}

static void names_of(const Drawing *d, int k, StrBuf *out) {
  const TailorResult *r = d->r->result;
  for (int i = 0; i < r->n; i++) {
    const TailorOutcome *o = &r->v[i];
    if (o->model != k) continue;
    if (out->len) sb_puts(out, ", ");
    report_escape(out, o->target->name);
    if (o->proof.emitted.n) sb_printf(out, " %.1f %%", 100 * o->proof.emitted.top1);
  }
  if (!out->len) report_escape(out, d->r->result->models[k].name);
}

static bool misses(const TailorResult *r, int k) {
  for (int i = 0; i < r->n; i++)
    if (r->v[i].model == k && !r->v[i].met) return true;
  return false;
}

static void tooltip(const Drawing *d, int k, const char *names, const ReportTraining *t) {
  const TailorTrained *m = &d->r->result->models[k];
  sb_printf(d->b, "<title>%s: %.3f M MACs, %" PRId64 " images, %.1f s estimated, ", names,
            (double)m->macs / 1e6, m->images, m->seconds);
  if (t->ran)
    sb_printf(d->b, "%.1f s taken</title>", t->seconds);
  else
    sb_printf(d->b, "%s</title>", t->reused ? "taken from the cache" : "not trained");
}

static void node(const Drawing *d, int k) {
  const TailorTrained *m = &d->r->result->models[k];
  const ReportTraining t = report_training(d->r, k);
  const char *colour = t.ran ? TRAINED : t.reused ? REUSED : NEITHER;
  const double x = x_of(d, m->macs), y = y_of(d, d->row[k]), radius = fmin(5, d->height / 2);
  const bool missed = misses(d->r->result, k);
  StrBuf names = {0};
  names_of(d, k, &names);
  sb_printf(d->b,
            "<g><circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"%s\" stroke-width=\"2\"/>", x,
            y, radius, m->joint ? "#fff" : colour, missed ? MISSED : colour);
  tooltip(d, k, sb_str(&names), &t);
  if (d->height >= 11)
    sb_printf(d->b, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\">%s</text>", x + 9, y + 4, sb_str(&names));
  sb_puts(d->b, "</g>\n");
  sb_free(&names);
}

static void drawing(Drawing *d) {
  const TailorResult *r = d->r->result;
  place(d);
  const double bottom = y_of(d, r->n_models + 1);
  sb_printf(d->b,
            "<p class=\"note\">From left to right: fewer MACs. Each model below the one whose weights it "
            "started from; green: trained in this run, blue: taken from the cache, hollow: a joint ancestor "
            "that no target asked for, red rim: a target's limits are missed. Point at one for its "
            "figures.</p>\n<svg width=\"%d\" height=\"%.0f\" role=\"img\">\n",
            WIDTH, bottom + 4);
  lines_of_halvings(d, bottom);
  for (int k = 0; k < r->n_models; k++) edge(d, k);
  sb_printf(d->b,
            "<circle cx=\"%d\" cy=\"%.1f\" r=\"5\" fill=\"#444\"/><text x=\"%d\" y=\"%.1f\" "
            "font-size=\"11\">the original</text>\n",
            LEFT, y_of(d, 0), LEFT + 9, y_of(d, 0) + 4);
  for (int k = 0; k < r->n_models; k++) node(d, k);
  sb_puts(d->b, "</svg>\n");
}

/* ---- Tables */

static void model_table(const Report *r, StrBuf *b) {
  double estimated = 0, actual = 0;
  sb_puts(b, "<details><summary>Seconds of training, estimated and taken</summary><table><tr><th>model</th>"
             "<th>from</th><th>M MACs</th><th>images</th><th>estimated</th><th>taken</th></tr>\n");
  for (int k = 0; k < r->result->n_models; k++) {
    const TailorTrained *m = &r->result->models[k];
    const ReportTraining t = report_training(r, k);
    sb_puts(b, "<tr><td>");
    report_escape(b, m->name);
    sb_puts(b, "</td><td>");
    report_escape(b, m->parent < 0 ? "the original" : r->result->models[m->parent].name);
    sb_printf(b, "</td><td>%.3f</td><td>%" PRId64 "</td><td>%.1f</td>", (double)m->macs / 1e6, m->images,
              m->seconds);
    if (t.ran)
      sb_printf(b, "<td>%.1f</td></tr>\n", t.seconds);
    else
      sb_printf(b, "<td>%s</td></tr>\n", t.reused ? "cached" : "-");
    if (t.ran) estimated += m->seconds, actual += t.seconds;
  }
  sb_printf(b,
            "<tr><td>those trained in this run</td><td></td><td></td><td></td><td>%.1f</td><td>%.1f</td></tr>"
            "</table></details>\n",
            estimated, actual);
}

static void ways_table(const Report *r, StrBuf *b) {
  sb_puts(b, "<table><tr><th>way of sharing, planned anew</th><th>images</th><th>estimated s of "
             "training</th></tr>\n");
  for (int i = 0; i <= SHARE_TREE; i++)
    sb_printf(b, "<tr><td>%s%s</td><td>%" PRId64 "</td><td>%.1f</td></tr>\n",
              tailoring_sharing_name((TailorSharing)i), (int)r->sharing == i ? " (this run)" : "",
              r->result->ways[i].images, r->result->ways[i].seconds);
  sb_puts(b, "</table>\n");
}

static void kinds_table(const Report *r, StrBuf *b) {
  enum { BAR = 240 };
  ReportKind kinds[REPORT_KINDS];
  const int n = report_kinds(r, kinds);
  const double most = n ? fmax(kinds[0].seconds, 1e-9) : 1;
  int ran = 0, reused = 0;
  sb_puts(b, "<h2>Time by kind of step</h2><table><tr><th>step</th><th>ran</th><th>reused</th>"
             "<th>seconds</th><th></th></tr>\n");
  for (int k = 0; k < n; k++) {
    ran += kinds[k].ran, reused += kinds[k].reused;
    sb_printf(b,
              "<tr><td>%s</td><td>%d</td><td>%d</td><td>%.1f</td><td style=\"text-align:left\"><div "
              "style=\"background:#48c;height:.8em;width:%.0fpx\"></div></td></tr>\n",
              kinds[k].kind, kinds[k].ran, kinds[k].reused, kinds[k].seconds, BAR * kinds[k].seconds / most);
  }
  sb_printf(b, "</table><p>%d of %d steps were reused (%.0f %%).</p>\n", reused, ran + reused,
            ran + reused ? 100.0 * reused / (ran + reused) : 0);
}

void report_plan_html(const Report *r, StrBuf *b) {
  if (r->result->n_models) {
    Drawing d = {.r = r, .b = b, .a = arena_new()};
    sb_puts(b, "<h2>Who was trained from whom</h2>\n");
    drawing(&d);
    model_table(r, b);
    ways_table(r, b);
    arena_free(d.a);
  }
  kinds_table(r, b);
}
