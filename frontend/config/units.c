/* Numbers with units; see units.h. A number is matched by its grammar first, then read by strtod, so that what
 * strtod takes beyond it (hexadecimal, inf, nan) is never reached.
 */
#include "frontend/config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Unit {
  const char *name;
  double factor;
} Unit;

static size_t digits(const char *p) { return strspn(p, "0123456789"); }

/* [+-] digits [. digits] [e [+-] digits]; returns what follows, spaces skipped, or NULL. */
static const char *number(const char *text, double *out) {
  const char *p = text;
  if (*p == '+' || *p == '-') p++;
  size_t whole = digits(p);
  p += whole;
  if (*p == '.') {
    size_t n = digits(p + 1);
    if (n == 0) return NULL;
    whole += n;
    p += n + 1;
  }
  if (whole == 0) return NULL;
  if (*p == 'e' || *p == 'E') {
    const char *q = p + 1;
    if (*q == '+' || *q == '-') q++;
    if (digits(q) > 0) p = q + digits(q);
  }
  char copy[64];
  size_t n = (size_t)(p - text);
  if (n >= sizeof copy) return NULL;
  memcpy(copy, text, n);
  copy[n] = 0;
  *out = strtod(copy, NULL);
  return isfinite(*out) ? p + strspn(p, " ") : NULL;
}

static bool with_unit(const char *text, const Unit *units, double *out) {
  double v;
  const char *rest = number(text, &v);
  if (!rest) return false;
  for (; units->name; units++) {
    if (strcmp(rest, units->name) != 0) continue;
    *out = v * units->factor;
    return true;
  }
  return false;
}

/* Doubles hold whole numbers exactly up to 2^53. */
static bool whole(double v, int64_t *out) {
  if (v != floor(v) || fabs(v) > 9007199254740992.0) return false;
  *out = (int64_t)v;
  return true;
}

const char *unit_int(const char *text, int64_t *out) {
  const char *p = text + (*text == '-' || *text == '+');
  if (digits(p) == 0 || p[digits(p)]) return "a whole number";
  errno = 0;
  long long v = strtoll(text, NULL, 10);
  if (errno) return "a whole number below 2^63";
  *out = v;
  return NULL;
}

const char *unit_float(const char *text, double *out) {
  double v;
  const char *rest = number(text, &v);
  if (!rest || *rest) return "a number";
  *out = v;
  return NULL;
}

const char *unit_share(const char *text, double *out) {
  static const char want[] = "a share from 0% to 100%, such as 85% or 0.85";
  double v;
  const char *rest = number(text, &v);
  if (!rest || (*rest && strcmp(rest, "%") != 0)) return want;
  if (*rest) v /= 100;
  if (!(v >= 0 && v <= 1)) return want;
  *out = v;
  return NULL;
}

const char *unit_bytes(const char *text, int64_t *out) {
  static const Unit units[] = {{"", 1},
                               {"B", 1},
                               {"byte", 1},
                               {"bytes", 1},
                               {"KiB", 1024},
                               {"MiB", 1048576},
                               {"GiB", 1073741824},
                               {"kB", 1000},
                               {"MB", 1e6},
                               {"GB", 1e9},
                               {NULL, 0}};
  static const Unit unclear[] = {{"K", 1},  {"k", 1},  {"KB", 1}, {"M", 1},  {"G", 1}, {"Kb", 1},
                                 {"kb", 1}, {"Mb", 1}, {"mb", 1}, {"Gb", 1}, {NULL, 0}};
  double v;
  if (with_unit(text, unclear, &v)) return "a clear unit: KiB (1024 bytes) or kB (1000 bytes), MiB or MB";
  if (!with_unit(text, units, &v)) return "a size such as 256KiB, 64 kB or 65536";
  return whole(v, out) ? NULL : "a whole number of bytes";
}

const char *unit_count(const char *text, int64_t *out) {
  static const Unit units[] = {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {NULL, 0}};
  double v;
  if (!with_unit(text, units, &v)) return "a count such as 2.5M, 800k or 120000";
  v = fabs(v - nearbyint(v)) < 1e-6 ? nearbyint(v) : v; /* 2.3M is not exact in binary */
  return whole(v, out) ? NULL : "a count that comes out whole";
}

const char *unit_seconds(const char *text, double *out) {
  static const Unit units[] = {{"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}, {NULL, 0}};
  static const Unit none[] = {{"", 1}, {NULL, 0}};
  double v;
  bool bare = with_unit(text, none, &v);
  if (bare ? v != 0 : !with_unit(text, units, &v))
    return "a time with its unit, such as 500ms, 90s, 5min or 2h";
  *out = v;
  return NULL;
}

const char *unit_joules(const char *text, double *out) {
  static const Unit units[] = {{"pJ", 1e-12}, {"nJ", 1e-9}, {"uJ", 1e-6}, {"mJ", 1e-3}, {"J", 1}, {NULL, 0}};
  return with_unit(text, units, out) ? NULL : "an energy with its unit, such as 250uJ or 1.5mJ";
}

static void with_commas(int64_t v, char *buf, size_t n) {
  char plain[32];
  int len = snprintf(plain, sizeof plain, "%" PRId64, v);
  size_t at = 0;
  for (int i = 0; i < len && at + 2 < n; i++) {
    if (i > 0 && (len - i) % 3 == 0 && plain[i - 1] != '-') buf[at++] = ',';
    buf[at++] = plain[i];
  }
  buf[at] = 0;
}

void unit_format_bytes(int64_t bytes, char *buf, size_t n) {
  static const Unit units[] = {{"GiB", 1073741824}, {"MiB", 1048576}, {"KiB", 1024}, {NULL, 0}};
  for (const Unit *u = units; u->name; u++) {
    int64_t factor = (int64_t)u->factor;
    if (bytes < factor || bytes % factor) continue;
    snprintf(buf, n, "%" PRId64 " %s", bytes / factor, u->name);
    return;
  }
  char count[48];
  with_commas(bytes, count, sizeof count);
  snprintf(buf, n, "%s byte%s", count, bytes == 1 ? "" : "s");
}
