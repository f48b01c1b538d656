/* Accuracy of all targets against their MACs, as SVG. With many of them labels would lie on one another: one is written where
 * there is room for it, the others are tooltips.
 */
#include <math.h>
#include <string.h>

#include "frontend/cli/report.h"
#include "ir/base/mem.h"

enum { WIDTH = 940, HEIGHT = 380, LEFT = 56, RIGHT = 190, TOP = 24, BOTTOM = 44, LINE = 13 };
static const double LETTER = 6.2; /* width of one, about */

typedef struct Box {
  double x, y, width;
} Box;

typedef struct Chart {
  const Report *r;
  StrBuf *b;
  double low, high, few, many; /* accuracies; MACs */
  Box *taken;                  /* by labels, and by points */
  int n_taken;
} Chart;

static bool is_shown(const TailorOutcome *o) { return o->delivered && o->proof.emitted.n; }

static bool set_ranges(Chart *c) {
  c->low = 1, c->high = 0, c->few = INFINITY, c->many = 0;
  for (int i = 0; i < c->r->result->n; i++) {
    const TailorOutcome *o = &c->r->result->v[i];
    if (!is_shown(o)) continue;
    c->low = fmin(c->low, o->proof.emitted.top1);
    c->high = fmax(c->high, fmax(o->proof.emitted.top1, o->proof.original.top1));
    c->few = fmin(c->few, fmax(1, (double)o->cost.macs));
    c->many = fmax(c->many, (double)o->cost.macs);
  }
  return c->high > 0;
}

static double x_of(const Chart *c, double macs) {
  return LEFT + (WIDTH - LEFT - RIGHT) * log(fmax(1, macs) / c->few) / fmax(log(c->many / c->few), 0.01);
}

static double y_of(const Chart *c, double accuracy) {
  return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (accuracy - c->low) / fmax(c->high - c->low, 0.005);
}

static bool take(Chart *c, Box x) {
  for (int i = 0; i < c->n_taken; i++) {
    const Box *t = &c->taken[i];
    if (x.x < t->x + t->width && t->x < x.x + x.width && fabs(x.y - t->y) < LINE) return false;
  }
  c->taken[c->n_taken++] = x;
  return true;
}

static void axes(const Chart *c) {
  enum { LINES = 5 };
  for (int i = 0; i < LINES; i++) {
    const double accuracy = c->low + (c->high - c->low) * i / (LINES - 1), y = y_of(c, accuracy);
    sb_printf(c->b,
              "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#e4e4e4\"/><text x=\"%d\" "
              "y=\"%.1f\" font-size=\"11\" fill=\"#666\" text-anchor=\"end\">%.1f %%</text>\n",
              LEFT - 8, y, WIDTH - RIGHT + 8, y, LEFT - 12, y + 4, 100 * accuracy);
    const double macs = c->few * pow(c->many / c->few, (double)i / (LINES - 1));
    sb_printf(
        c->b,
        "<text x=\"%.1f\" y=\"%d\" font-size=\"11\" fill=\"#666\" text-anchor=\"middle\">%.3g M</text>\n",
        x_of(c, macs), HEIGHT - 22, macs / 1e6);
  }
  sb_printf(c->b, "<text x=\"%d\" y=\"%d\" font-size=\"11\" fill=\"#666\">MACs, logarithmic</text>\n",
            WIDTH / 2 - 80, HEIGHT - 6);
}

static void point(const Chart *c, const TailorOutcome *o) {
  sb_printf(c->b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" fill-opacity=\".8\"><title>",
            x_of(c, (double)o->cost.macs), y_of(c, o->proof.emitted.top1), o->met ? "#2a7" : "#c33");
  report_escape(c->b, o->target->name);
  sb_printf(c->b, ": %.2f %%, %.3f M MACs%s</title></circle>\n", 100 * o->proof.emitted.top1,
            (double)o->cost.macs / 1e6, o->met ? "" : ", limits missed");
}

static void label(Chart *c, const TailorOutcome *o) {
  const double x = x_of(c, (double)o->cost.macs), y = y_of(c, o->proof.emitted.top1),
               width = LETTER * (double)strlen(o->target->name);
  /* Beside the point; or where a curve that rises leaves room: below to the right, above to the left. */
  const Box boxes[] = {{x + 7, y + 4, width},
                       {x + 5, y + 17, width},
                       {x - 7 - width, y + 4, width},
                       {x - 5 - width, y - 9, width}};
  for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
    if (boxes[i].x < LEFT || boxes[i].y > HEIGHT - BOTTOM + 8 || !take(c, boxes[i])) continue;
    sb_printf(c->b, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\">", boxes[i].x, boxes[i].y);
    report_escape(c->b, o->target->name);
    sb_puts(c->b, "</text>\n");
    return;
  }
}

void report_chart(const Report *r, StrBuf *b) {
  Chart c = {.r = r, .b = b};
  const TailorResult *res = r->result;
  if (!set_ranges(&c)) return;
  c.taken = mem_array(2 * (size_t)res->n, sizeof *c.taken);
  sb_printf(b, "<h2>Accuracy against cost</h2><svg width=\"%d\" height=\"%d\" role=\"img\">\n", WIDTH,
            HEIGHT);
  axes(&c);
  for (int i = 0; i < res->n; i++) {
    const TailorOutcome *o = &res->v[i];
    if (!is_shown(o)) continue;
    point(&c, o);
    c.taken[c.n_taken++] = (Box){x_of(&c, (double)o->cost.macs) - 4, y_of(&c, o->proof.emitted.top1) + 4, 8};
  }
  for (int i = 0; i < res->n; i++)
    if (is_shown(&res->v[i])) label(&c, &res->v[i]);
  sb_puts(b, "</svg>\n");
  mem_free(c.taken);
}
