/* Random constants in the text form of graphs; see nets.h. */
#include "tests/engine/nets.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"

Session *net_session(const Graph *g, SessionOptions so) {
  Diag *d = diag_new();
  Session *s = session_new(g, &so, d);
  if (!s) ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  return s;
}

void net_grid(float *x, int64_t n, uint64_t seed) {
  Rng r;
  rng_seed(&r, seed, 77);
  uint32_t *order = mem_array((size_t)n, sizeof *order);
  for (uint32_t i = 0; i < n; i++) order[i] = i;
  rng_shuffle(&r, order, (uint32_t)n);
  for (int64_t i = 0; i < n; i++) x[i] = ((float)order[i] - (float)(n / 2)) * 0.06f + 0.03f;
  mem_free(order);
}

/* Product of the dimensions between the last '[' before `at` and its ']'; *fan: of all but the first. */
static int64_t elements_before(const char *text, const char *at, int64_t *fan) {
  const char *p = at;
  while (p > text && *p != '[') p--;
  int64_t n = 1, first = 0;
  while (*p && *p != ']') {
    char *end;
    int64_t d = strtol(p + 1, &end, 10);
    n *= d;
    if (!first) first = d;
    p = end;
  }
  *fan = n / first;
  return n;
}

/* "{?}" gives 0.2 to 1.2, fit for a divisor or a variance too; "{~}" weights of mean 0 and variance 2 / fan-in. */
static float element(Rng *r, char kind, int64_t fan) {
  float u = rng_uniform(r);
  return kind == '?' ? 0.2f + u : (2 * u - 1) * sqrtf(6.0f / (float)fan);
}

static const char *next_random(const char *p) {
  for (; *p; p++)
    if (p[0] == '{' && (p[1] == '?' || p[1] == '~') && p[2] == '}') return p;
  return NULL;
}

Graph *net_parse(const char *text, uint64_t seed) {
  StrBuf b = {0};
  Rng r;
  rng_seed(&r, seed, 1);
  const char *p = text;
  sb_puts(&b, "graph ");
  for (const char *q; (q = next_random(p)); p = q + 3) {
    sb_write(&b, p, (size_t)(q - p));
    sb_putc(&b, '{');
    int64_t fan, n = elements_before(text, q, &fan);
    for (int64_t i = 0; i < n; i++) {
      if (i) sb_putc(&b, ',');
      sb_float(&b, element(&r, q[1], fan));
    }
    sb_putc(&b, '}');
  }
  sb_puts(&b, p);
  Diag *d = diag_new();
  Graph *g = graph_parse(sb_str(&b), "test", d);
  if (!g || !graph_verify(g, d)) ck_abort_msg("%s\n%s", diag_text(d), text);
  diag_free(d);
  sb_free(&b);
  return g;
}

bool watch_allocations(void *ctx) {
  AllocationWatch *w = ctx;
  const uint64_t now = mem_allocations();
  if (w->steps > 0 && now != w->last) w->allocating++;
  w->steps++;
  w->last = mem_allocations();
  return false;
}
