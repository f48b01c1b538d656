/* Sets a line of text around the wanted character and looks at it from the camera's place.
 *
 *   text    what stands beside it: a meter's number, a part code, capitals, a title, a word.
 *           Neighbours come from the same kind of text, which is a hint at 0 against O.
 *   strip   the line in one bitmap at the size of the drawn glyphs, baseline at BASE,
 *           the wanted character's box centred at MID; rules, specks and print faults on it
 *   view    a projective map (turn, slant, stretch, perspective) from samples to the strip
 *   light   coverage to greys: paper and ink, either of them the lighter one
 *
 * Whoever cut the frame out had found the line of text: capitals are 16 to 21 pixels high and the
 * baseline lies within about 1.5 pixels of row 23.  Size and place therefore tell the case of c, o, s ...
 *
 *        0 . . . . . . . . 31
 *      5 | |  ####   #  ...     capital height
 *        | |  #      # #
 *     23 |_|__####___#__#_____  baseline
 *     31 |
 */
#include "scene.h"

#include <string.h>

enum {
  STRIP_W = 192,
  STRIP_H = 128,
  MID = STRIP_W / 2,
  BASE = 84,
  ROOM = 2 /* zero rows and columns around, so that sampling needs no test */
};

typedef struct Strip {
  uint8_t at[STRIP_H + 2 * ROOM][STRIP_W + 2 * ROOM];
} Strip;

typedef enum Group { DIGIT = 1, UPPER = 2, LOWER = 4 } Group;

/* A kind of text: in how many of 100 pictures of a digit, a capital, a small letter it is used,
 * and which groups (sums of Group) stand to the left and to the right. */
typedef struct TextKind {
  int percent[3];
  unsigned left, right;
} TextKind;

static const TextKind text_kinds[] = {
    {{62, 0, 0}, DIGIT, DIGIT},                                   /* a meter */
    {{28, 34, 0}, DIGIT | UPPER, DIGIT | UPPER},                  /* a part code */
    {{0, 30, 0}, UPPER, UPPER},                                   /* a heading */
    {{0, 24, 0}, 0, LOWER},                                       /* the first letter of a title */
    {{0, 0, 72}, LOWER, LOWER},                                   /* a word */
    {{0, 0, 14}, UPPER, LOWER},                                   /* its second letter */
    {{10, 12, 14}, DIGIT | UPPER | LOWER, DIGIT | UPPER | LOWER}, /* anything */
};

static int group_of(int label) { return label < 10 ? 0 : label < 36 ? 1 : 2; }

static const TextKind *pick_text(int label, Rng *rng) {
  int left = rng_below(rng, 100), g = group_of(label);
  const TextKind *kind = text_kinds;

  while (left >= kind->percent[g]) left -= kind++->percent[g];
  return kind;
}

/* A character of the groups in MASK: the group first, so that digits are as frequent as letters. */
static int pick_neighbour(unsigned mask, Rng *rng) {
  static const int first[3] = {0, 10, 36}, size[3] = {10, 26, 26};
  int g;

  do g = rng_below(rng, 3);
  while (!(mask & (1u << g)));
  return first[g] + rng_below(rng, size[g]);
}

static void stamp(Strip *strip, const Glyph *g, int pen) {
  for (int y = 0; y < g->h; y++) {
    int row = BASE + g->top + y;

    if (row < 0 || row >= STRIP_H) continue;
    for (int x = 0; x < g->w; x++) {
      int col = pen + g->left + x;
      uint8_t v = g->bits[y * g->w + x];

      if (col >= 0 && col < STRIP_W && strip->at[row + ROOM][col + ROOM] < v)
        strip->at[row + ROOM][col + ROOM] = v;
    }
  }
}

static void set_text(Strip *strip, const Font *font, int label, Rng *rng) {
  const TextKind *kind = pick_text(label, rng);
  const Glyph *target = &font->glyph[label];
  int spacing = rng_below(rng, 6) - 1; /* letter spacing, -1 .. 4 of a CAP of 40 */
  int pen = MID - target->left - target->w / 2, right = pen + target->advance + spacing;
  bool first = kind->left == 0 || rng_percent(rng, 15), last = rng_percent(rng, 15);

  stamp(strip, target, pen);
  while (!first && pen > 0) {
    const Glyph *g = &font->glyph[pick_neighbour(kind->left, rng)];

    pen -= g->advance + spacing;
    stamp(strip, g, pen);
    first = rng_percent(rng, 15);
  }
  while (!last && right < STRIP_W) {
    const Glyph *g = &font->glyph[pick_neighbour(kind->right, rng)];

    stamp(strip, g, right);
    right += g->advance + spacing;
    last = rng_percent(rng, 15);
  }
}

static void fill(Strip *strip, int x, int y, int w, int h, uint8_t value) {
  for (int row = y < 0 ? 0 : y; row < y + h && row < STRIP_H; row++)
    for (int col = x < 0 ? 0 : x; col < x + w && col < STRIP_W; col++)
      strip->at[row + ROOM][col + ROOM] = value;
}

static uint8_t pick_ink(Rng *rng) { return (uint8_t)(100 + rng_below(rng, 156)); }

/* Rules of a form or a meter's window, dirt, and rows that a label printer left out.
 * One random number per statement: C leaves the order within a call's arguments open. */
static void add_faults(Strip *strip, Rng *rng) {
  if (rng_percent(rng, 18)) {
    int y = BASE + 15 + rng_below(rng, 10), thick = 2 + rng_below(rng, 4);

    fill(strip, 0, y, STRIP_W, thick, pick_ink(rng));
  }
  if (rng_percent(rng, 12)) {
    int y = BASE - CAP - 14 - rng_below(rng, 8), thick = 2 + rng_below(rng, 4);

    fill(strip, 0, y, STRIP_W, thick, pick_ink(rng));
  }
  for (int n = rng_percent(rng, 25) ? 1 + rng_below(rng, 4) : 0; n > 0; n--) {
    int side = 2 + rng_below(rng, 4), x = MID - 40 + rng_below(rng, 80), y = BASE - 55 + rng_below(rng, 70);
    bool white = rng_percent(rng, 50);

    fill(strip, x, y, side, side, white ? 0 : pick_ink(rng));
  }
  if (rng_percent(rng, 8)) {
    int y = BASE - rng_below(rng, CAP);

    fill(strip, 0, y, STRIP_W, 1 + rng_below(rng, 2), 0);
  }
}

/* Strip position (x, y) of sample (u, v), measured from the character's middle:
 * x = (a u + b v) / (1 + g u + h v), y = (c u + d v) / (the same). */
typedef struct View {
  float a, b, c, d, g, h, u0, v0, y0;
} View;

static View pick_view(Scene *scene, Rng *rng) {
  View view;
  float cap = rng_range(rng, 15.8f, 20.8f), scale = (float)CAP / (2.0f * cap);
  float turn = rng_range(rng, -0.16f, 0.16f), slant = rng_range(rng, -0.16f, 0.16f);
  float stretch = rng_range(rng, 0.88f, 1.14f);
  /* Taylor series: at most 0.17 radians, so the error is below one unit in the last place. */
  float t2 = turn * turn, sine = turn * (1.0f - t2 / 6.0f * (1.0f - t2 / 20.0f));
  float cosine = 1.0f - t2 / 2.0f * (1.0f - t2 / 12.0f * (1.0f - t2 / 30.0f));

  view.a = scale * stretch * (cosine + slant * sine);
  view.b = scale * stretch * (sine + slant * cosine);
  view.c = -scale * sine;
  view.d = scale * cosine;
  view.g = rng_range(rng, -0.0022f, 0.0022f);
  view.h = rng_range(rng, -0.0022f, 0.0022f);
  scene->x0 = rng_below(rng, VIEW - FRAME + 1);
  scene->y0 = rng_below(rng, VIEW - FRAME + 1);
  view.u0 = 2.0f * ((float)(scene->x0 + FRAME / 2) + rng_range(rng, -1.8f, 1.8f));
  view.v0 = 2.0f * ((float)(scene->y0 + FRAME / 2) + rng_range(rng, -1.4f, 1.4f));
  view.y0 = (float)BASE - 0.39f * (float)CAP; /* row 16 of the frame lies 7 of 18 pixels above the line */
  return view;
}

static float sample(const Strip *strip, float x, float y) {
  int ix, iy;
  const uint8_t *p, *q;
  float fx, fy, top, bottom;

  if (!(x > -1.0f && x < (float)STRIP_W && y > -1.0f && y < (float)STRIP_H)) return 0;
  x += (float)ROOM;
  y += (float)ROOM;
  ix = (int)x;
  iy = (int)y;
  fx = x - (float)ix;
  fy = y - (float)iy;
  p = &strip->at[iy][ix];
  q = &strip->at[iy + 1][ix];
  top = (float)p[0] + fx * (float)(p[1] - p[0]);
  bottom = (float)q[0] + fx * (float)(q[1] - q[0]);
  return (top + fy * (bottom - top)) * (1.0f / 255.0f);
}

static float look(const Strip *strip, const View *view, int u, int v) {
  float du = (float)u + 0.5f - view->u0, dv = (float)v + 0.5f - view->v0;
  float z = 1.0f / (1.0f + view->g * du + view->h * dv);

  return sample(strip, (float)MID + (view->a * du + view->b * dv) * z,
                view->y0 + (view->c * du + view->d * dv) * z);
}

/* Paper and ink, at least 0.25 apart; one picture in three is light on dark. */
static void pick_greys(float *paper, float *ink, Rng *rng) {
  float light = rng_range(rng, 0.42f, 0.97f), dark = rng_range(rng, 0.03f, light - 0.25f);
  bool inverted = rng_percent(rng, 33);

  *paper = inverted ? dark : light;
  *ink = inverted ? light : dark;
}

void scene_make(Scene *scene, const GlyphSet *set, Split split, int label, Rng *rng) {
  Strip strip;
  View view;
  float paper, ink;

  memset(&strip, 0, sizeof strip);
  set_text(&strip, &set->font[split][rng_below(rng, set->count[split])], label, rng);
  add_faults(&strip, rng);
  view = pick_view(scene, rng);
  pick_greys(&paper, &ink, rng);
  for (int y = 0; y < VIEW; y++)
    for (int x = 0; x < VIEW; x++) {
      float sum = look(&strip, &view, 2 * x, 2 * y) + look(&strip, &view, 2 * x + 1, 2 * y) +
                  look(&strip, &view, 2 * x, 2 * y + 1) + look(&strip, &view, 2 * x + 1, 2 * y + 1);

      scene->light[y * VIEW + x] = paper + (ink - paper) * (sum * 0.25f);
    }
}
