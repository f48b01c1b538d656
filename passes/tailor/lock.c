/* Plans as text; see lock.h. */
#include "passes/tailor/lock.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

static const char HEAD[] = "mistify-plan 1\n";
enum { WORD_HEX = SCHEDULE_WORD_BITS / 4 };

/* ---- Printing */

static void print_hash(StrBuf *out, Hash h) {
  char hex[HASH_HEX];
  hash_hex(h, hex);
  sb_puts(out, hex);
}

static void print_model(const LockModel *m, StrBuf *out) {
  const ScheduleNode *n = &m->node;
  sb_puts(out, "model ");
  sb_json_str(out, m->name);
  sb_puts(out, " base ");
  sb_json_str(out, m->base);
  sb_printf(out, " parent %d macs %.17g images %" PRId64 " skip %" PRId64 " kin %d joint %d units ",
            n->parent, n->macs, n->images, n->skip, n->kin, n->joint);
  for (int i = 0; i < m->words; i++) sb_printf(out, "%016" PRIx64, n->units[i]);
  sb_putc(out, '\n');
}

void lock_print(const Lock *l, StrBuf *out) {
  ASSERT(out->len == 0);
  sb_puts(out, HEAD);
  sb_puts(out, "basis ");
  print_hash(out, l->basis);
  sb_printf(out, "\nrates image %.17g mac %.17g\nviews %d full %" PRId64 "\n", l->image, l->mac, l->views,
            l->full);
  if (l->share > 0)
    sb_printf(out, "shortened %.17g budget %.17g at_once %.17g\n", l->share, l->budget, l->at_once);
  for (int i = 0; i < l->n_models; i++) print_model(&l->models[i], out);
  for (int i = 0; i < l->n_targets; i++) {
    const LockTarget *t = &l->targets[i];
    sb_puts(out, "target ");
    sb_json_str(out, t->name);
    sb_puts(out, " request ");
    print_hash(out, t->request);
    sb_printf(out, " model %d int4 %d\n", t->model, t->int4);
  }
  sb_puts(out, "end ");
  print_hash(out, hash_bytes(out->s, out->len));
  sb_putc(out, '\n');
}

/* ---- Reading: a line is words and quoted names */

typedef struct Reader {
  const char *at;
  Arena *a;
  int line;
  bool bad;
} Reader;

static void word(Reader *r, const char *want) {
  const size_t n = strlen(want);
  while (*r->at == ' ') r->at++;
  r->bad = r->bad || strncmp(r->at, want, n) != 0;
  if (!r->bad) r->at += n;
}

static double number(Reader *r, const char *key, double most) {
  char *end;
  word(r, key);
  const double v = strtod(r->at, &end);
  r->bad = r->bad || end == r->at || !(v >= -1 && v <= most);
  if (!r->bad) r->at = end;
  return r->bad ? 0 : v;
}

static Hash hash_after(Reader *r, const char *key) {
  Hash h = {0};
  word(r, key);
  while (*r->at == ' ') r->at++;
  r->bad = r->bad || !hash_parse(r->at, &h);
  if (!r->bad) r->at += HASH_HEX - 1;
  return h;
}

/* Names hold letters, digits and signs that JSON does not escape. */
static const char *name_after(Reader *r, const char *key) {
  word(r, key);
  while (*r->at == ' ') r->at++;
  const size_t n = *r->at == '"' ? strcspn(r->at + 1, "\"\\\n") : 0;
  r->bad = r->bad || *r->at != '"' || r->at[1 + n] != '"';
  if (r->bad) return "";
  const char *s = arena_strndup(r->a, r->at + 1, n);
  r->at += n + 2;
  return s;
}

static void line_end(Reader *r) {
  r->bad = r->bad || *r->at != '\n';
  if (r->bad) return;
  r->at++;
  r->line++;
}

static uint64_t *units_after(Reader *r, const char *key, int *words) {
  word(r, key);
  while (*r->at == ' ') r->at++;
  const size_t n = strspn(r->at, "0123456789abcdef");
  *words = (int)(n / WORD_HEX);
  r->bad = r->bad || n == 0 || n % WORD_HEX != 0;
  uint64_t *units = arena_array(r->a, (size_t)*words + 1, sizeof *units);
  for (int i = 0; i < *words && !r->bad; i++) {
    char hex[WORD_HEX + 1] = {0};
    memcpy(hex, r->at + i * WORD_HEX, WORD_HEX);
    units[i] = strtoull(hex, NULL, 16);
  }
  if (!r->bad) r->at += n;
  return units;
}

static void read_shortened(Reader *r, Lock *l) {
  l->share = number(r, "shortened", 1);
  l->budget = number(r, "budget", 1e18);
  l->at_once = number(r, "at_once", 1e6);
  r->bad = r->bad || !(l->share > 0) || !(l->budget > 0) || l->at_once < 1;
  line_end(r);
}

static void read_model(Reader *r, Lock *l) {
  LockModel *m = &l->models[l->n_models];
  m->name = name_after(r, "model");
  m->base = name_after(r, "base");
  m->node.parent = (int)number(r, "parent", INT_MAX);
  m->node.macs = number(r, "macs", 1e18);
  m->node.images = (int64_t)number(r, "images", 1e15);
  m->node.skip = (int64_t)number(r, "skip", 1e15);
  m->node.kin = number(r, "kin", 1) > 0;
  m->node.joint = number(r, "joint", 1) > 0;
  m->node.units = units_after(r, "units", &m->words);
  r->bad = r->bad || m->node.parent >= l->n_models || m->node.images < 0 || m->node.skip < 0;
  l->n_models++;
}

static void read_target(Reader *r, Lock *l) {
  LockTarget *t = &l->targets[l->n_targets++];
  t->name = name_after(r, "target");
  t->request = hash_after(r, "request");
  t->model = (int)number(r, "model", INT_MAX);
  t->int4 = number(r, "int4", 1) > 0;
  r->bad = r->bad || t->model >= l->n_models;
}

static size_t lines_of(const char *text) {
  size_t n = 0;
  for (; *text; text++) n += *text == '\n';
  return n;
}

bool lock_parse(const char *text, Arena *a, Lock *out, Diag *d) {
  *out = (Lock){0};
  FAIL_IF(strncmp(text, HEAD, sizeof HEAD - 1) != 0, d, NULL, "line 1: want \"%.*s\"", (int)sizeof HEAD - 2,
          HEAD);
  Reader r = {text + sizeof HEAD - 1, a, 2, false};
  out->models = arena_array(a, lines_of(text), sizeof *out->models);
  out->targets = arena_array(a, lines_of(text), sizeof *out->targets);
  out->basis = hash_after(&r, "basis");
  line_end(&r);
  word(&r, "rates");
  out->image = number(&r, "image", 1e18);
  out->mac = number(&r, "mac", 1e18);
  line_end(&r);
  out->views = (int)number(&r, "views", 65536);
  out->full = (int64_t)number(&r, "full", 1e15);
  line_end(&r);
  if (*r.at == 's') read_shortened(&r, out);
  r.bad = r.bad || out->views < 0 || out->full < 0;
  for (; !r.bad && *r.at == 'm'; line_end(&r)) read_model(&r, out);
  for (; !r.bad && *r.at == 't'; line_end(&r)) read_target(&r, out);
  const char *last = r.at;
  const Hash sum = hash_after(&r, "end ");
  line_end(&r);
  FAIL_IF(r.bad || *r.at, d, NULL, "line %d is damaged", r.line);
  FAIL_IF(!hash_equal(sum, hash_bytes(text, (size_t)(last - text) + 4)), d, NULL,
          "it is damaged, or was edited");
  return true;
}

const LockTarget *lock_find(const Lock *l, Hash request) {
  for (int i = 0; i < l->n_targets; i++)
    if (hash_equal(l->targets[i].request, request)) return &l->targets[i];
  return NULL;
}
