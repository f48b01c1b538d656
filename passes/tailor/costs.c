/* Recorded costs of training; see costs.h. */
#include "passes/tailor/costs.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { MOST = 400 };
static const char HEAD[] = "mistify costs 1\n", NAME[] = "costs";

/* Of a processor of some years ago. */
const CostRates costs_default = {40e-6, 30e-12, 0, 1};

/* ---- The file */

/* All but the checksum, when that is right; NULL: damaged. */
static char *lines_of(Arena *a, const char *path) {
  Diag *d = diag_new();
  size_t n = 0;
  char *text = file_exists(path) ? file_read(a, path, &n, d) : NULL;
  Hash sum;
  diag_free(d);
  if (!text || n < HASH_HEX + sizeof HEAD - 1 || text[n - 1] != '\n') return NULL;
  char *end = text + n - HASH_HEX;
  if (!hash_parse(end, &sum) || !hash_equal(sum, hash_bytes(text, (size_t)(end - text)))) return NULL;
  *end = 0;
  return strncmp(text, HEAD, sizeof HEAD - 1) == 0 ? text + sizeof HEAD - 1 : NULL;
}

static bool parse_line(const char *line, CostRecord *out) {
  char hex[HASH_HEX];
  if (strlen(line) < HASH_HEX) return false;
  memcpy(hex, line, HASH_HEX - 1);
  hex[HASH_HEX - 1] = 0;
  return hash_parse(hex, &out->key) &&
         sscanf(line + HASH_HEX - 1, " images %" SCNd64 " macs %lf threads %d seconds %lf", &out->images,
                &out->macs, &out->threads, &out->seconds) == 4 &&
         out->images > 0 && out->macs >= 0 && out->macs < 1e18 && out->seconds >= 0 && out->seconds < 1e12;
}

size_t costs_read(Arena *a, const char *dir, CostRecord **out) {
  const char *text = lines_of(a, path_join(a, dir, NAME));
  size_t n = 0;
  *out = arena_array(a, MOST, sizeof **out);
  while (text && *text && n < MOST) {
    const size_t len = strcspn(text, "\n");
    n += parse_line(arena_strndup(a, text, len), &(*out)[n]);
    text += len + (text[len] == '\n');
  }
  return n;
}

static void print(const CostRecord *r, StrBuf *out) {
  char hex[HASH_HEX];
  hash_hex(r->key, hex);
  sb_printf(out, "%s images %" PRId64 " macs %.17g threads %d seconds %.6f\n", hex, r->images, r->macs,
            r->threads, r->seconds);
}

static bool is_among(const CostRecord *v, size_t n, Hash key) {
  for (size_t i = 0; i < n; i++)
    if (hash_equal(v[i].key, key)) return true;
  return false;
}

bool costs_add(const char *dir, const CostRecord *v, size_t n, Diag *d) {
  if (n == 0) return true;
  Arena *a = arena_new();
  CostRecord *old;
  char hex[HASH_HEX];
  StrBuf text = {0};
  if (n > MOST) v += n - MOST, n = MOST;
  const size_t had = costs_read(a, dir, &old), first = had + n > MOST ? had + n - MOST : 0;
  sb_puts(&text, HEAD);
  for (size_t i = first; i < had; i++)
    if (!is_among(v, n, old[i].key)) print(&old[i], &text);
  for (size_t i = 0; i < n; i++)
    if (!is_among(v + i + 1, n - i - 1, v[i].key)) print(&v[i], &text);
  hash_hex(hash_bytes(text.s, text.len), hex);
  sb_printf(&text, "%s\n", hex);
  const bool ok = file_write(path_join(a, dir, NAME), text.s, text.len, d);
  sb_free(&text);
  arena_free(a);
  return ok;
}

/* ---- The fit: seconds = image * x + mac * y, x = images, y = images * MACs */

typedef struct Sums {
  double xx, xy, yy, xs, ys, ss, seconds, threads; /* threads: times seconds */
  int n;
} Sums;

static Sums sums_of(const CostRecord *v, size_t n, int threads) {
  Sums s = {0};
  for (size_t i = 0; i < n; i++) {
    if (threads && v[i].threads != threads) continue;
    const double x = (double)v[i].images, y = x * v[i].macs;
    s.xx += x * x, s.xy += x * y, s.yy += y * y;
    s.xs += x * v[i].seconds, s.ys += y * v[i].seconds, s.ss += v[i].seconds * v[i].seconds;
    s.seconds += v[i].seconds, s.threads += v[i].seconds * v[i].threads;
    s.n++;
  }
  return s;
}

static double squares(const Sums *s, double image, double mac) {
  return s->ss - 2 * (image * s->xs + mac * s->ys) + image * image * s->xx + 2 * image * mac * s->xy +
         mac * mac * s->yy;
}

/* The defaults by the factor that fits best: all there is to say of models of one size. */
static CostRates scaled(const Sums *s) {
  const double image = costs_default.image, mac = costs_default.mac;
  const double with = image * s->xs + mac * s->ys,
               self = image * image * s->xx + 2 * image * mac * s->xy + mac * mac * s->yy;
  return (CostRates){image * with / self, mac * with / self, s->n, 1};
}

/* Least squares where both rates are to be 0 or more: the free solution, or the better one with one rate alone. */
static CostRates solve(const Sums *s) {
  static const double ALIKE = 1e-4; /* of the determinant: less, and sizes hardly differ */
  const double det = s->xx * s->yy - s->xy * s->xy;
  if (det <= ALIKE * s->xx * s->yy) return scaled(s);
  const double image = (s->xs * s->yy - s->ys * s->xy) / det, mac = (s->ys * s->xx - s->xs * s->xy) / det;
  if (image >= 0 && mac >= 0) return (CostRates){image, mac, s->n, 1};
  const double image_alone = s->xs / s->xx, mac_alone = s->ys / s->yy;
  if (squares(s, image_alone, 0) < squares(s, 0, mac_alone)) return (CostRates){image_alone, 0, s->n, 1};
  return (CostRates){0, mac_alone, s->n, 1};
}

CostRates costs_fit(const CostRecord *v, size_t n, int threads) {
  Sums s = sums_of(v, n, threads);
  if (s.n == 0) s = sums_of(v, n, 0);
  if (s.n == 0 || !(s.ss > 0)) return costs_default;
  CostRates r = solve(&s);
  r.threads = fmax(1, s.threads / s.seconds);
  return r;
}

static double two_digits(double v) {
  if (!(v > 0)) return 0;
  const double unit = pow(10, floor(log10(v)) - 1);
  return round(v / unit) * unit;
}

CostRates costs_rounded(CostRates r) {
  return (CostRates){two_digits(r.image), two_digits(r.mac), r.records, two_digits(r.threads)};
}
