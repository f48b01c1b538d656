/* Writing and reading exchange files; see exchange.h. The head is coded from exchange.def, field by field, so that a field
 * which is not in that table cannot be in a file.
 */
#include "passes/adapt/exchange.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

static const char MAGIC[8] = {'M', 'I', 'S', 'T', 'E', 'X', 'C', 'H'};
static const char *const labels[] = {"no formal guarantee", "differential privacy: epsilon, delta"};
static const uint64_t most_numbers = UINT64_C(1) << 32;

enum { SIZE_u32 = 4, SIZE_u64 = 8, SIZE_f64 = 8, SIZE_hash = 16, CHECK = 16 };

const ExchangeField exchange_fields[] = {
#define FIELD(name, kind, doc) {#name, #kind, doc, SIZE_##kind},
#include "passes/adapt/exchange.def"
#undef FIELD
};
const int n_exchange_fields = sizeof exchange_fields / sizeof *exchange_fields;

static uint64_t head_bytes(void) {
  uint64_t n = sizeof MAGIC + EXCHANGE_LABEL;
  for (int i = 0; i < n_exchange_fields; i++) n += exchange_fields[i].bytes;
  return n;
}

uint64_t exchange_bytes(uint64_t rows, uint64_t columns) {
  return head_bytes() + rows * columns * sizeof(float) + CHECK;
}

const char *exchange_label(const Exchange *e) { return labels[e->guarantee == GUARANTEE_DP]; }

void exchange_describe(const Exchange *e, StrBuf *out) {
  if (e->kind == EXCHANGE_UPDATE)
    sb_printf(out, "update of %" PRIu64 " parameters", e->columns);
  else
    sb_printf(out, "outputs on %" PRIu64 " public examples", e->rows);
  sb_printf(out, ", %" PRIu64 " bytes: ", exchange_bytes(e->rows, e->columns));
  if (e->guarantee == GUARANTEE_DP)
    sb_printf(out,
              "differential privacy, epsilon %.4g at delta %.3g over all that the site has emitted, the "
              "number of records public",
              e->epsilon, e->delta);
  else
    sb_puts(out, exchange_label(e));
}

/* -- numbers, little-endian -- */

static void put_u64(StrBuf *b, uint64_t v) {
  for (int i = 0; i < 8; i++) sb_putc(b, (char)(v >> 8 * i & 255));
}
static void put_u32(StrBuf *b, uint32_t v) {
  for (int i = 0; i < 4; i++) sb_putc(b, (char)(v >> 8 * i & 255));
}
static void put_f64(StrBuf *b, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  put_u64(b, bits);
}
static void put_hash(StrBuf *b, Hash v) {
  put_u64(b, v.hi);
  put_u64(b, v.lo);
}

static uint64_t get_u64(const unsigned char **p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= (uint64_t)(*p)[i] << 8 * i;
  *p += 8;
  return v;
}
static uint32_t get_u32(const unsigned char **p) {
  uint32_t v = 0;
  for (int i = 0; i < 4; i++) v |= (uint32_t)(*p)[i] << 8 * i;
  *p += 4;
  return v;
}
static double get_f64(const unsigned char **p) {
  const uint64_t bits = get_u64(p);
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}
static Hash get_hash(const unsigned char **p) {
  const uint64_t hi = get_u64(p);
  return (Hash){hi, get_u64(p)};
}

/* -- rules that hold of every file -- */

static bool zero_hash(Hash h) { return h.hi == 0 && h.lo == 0; }

/* What a file without a promise may not say, and one with a promise must. */
static bool check_promise(const Exchange *e, const Loc *at, Diag *d) {
  const double said[] = {e->epsilon, e->delta, e->noise, e->clip, e->rate};
  for (int i = 0; i < 5; i++) {
    FAIL_IF(!isfinite(said[i]) || said[i] < 0, d, at, "a figure of privacy that is no number, or negative");
    FAIL_IF((said[i] > 0) != (e->guarantee == GUARANTEE_DP), d, at,
            "figures of privacy and the label do not agree");
  }
  FAIL_IF((e->steps > 0) != (e->guarantee == GUARANTEE_DP), d, at,
          "private steps and the label do not agree");
  return true;
}

static bool check_head(const Exchange *e, const Loc *at, Diag *d) {
  FAIL_IF(e->version != EXCHANGE_VERSION, d, at, "version %u of the format: this program knows %d",
          e->version, EXCHANGE_VERSION);
  FAIL_IF(e->kind != EXCHANGE_UPDATE && e->kind != EXCHANGE_OUTPUTS, d, at, "kind %u: want 1 or 2", e->kind);
  FAIL_IF(e->guarantee > GUARANTEE_DP, d, at, "guarantee %u: want 0 or 1", e->guarantee);
  FAIL_IF(e->layers > 3 || (e->kind == EXCHANGE_OUTPUTS && e->layers), d, at, "layers %u", e->layers);
  FAIL_IF(e->rows == 0 || e->columns == 0 || e->rows > most_numbers / e->columns, d, at,
          "%" PRIu64 " rows of %" PRIu64 " numbers", e->rows, e->columns);
  FAIL_IF(e->kind == EXCHANGE_UPDATE && e->rows != 1, d, at, "an update of %" PRIu64 " rows", e->rows);
  FAIL_IF((e->kind == EXCHANGE_UPDATE) != zero_hash(e->public_set), d, at,
          "outputs belong to a public set, updates to none");
  FAIL_IF(!(e->weight > 0 && e->weight <= 1e9), d, at, "weight %g: want more than 0, at most 1e9", e->weight);
  return check_promise(e, at, d);
}

static bool check_values(const Exchange *e, const Loc *at, Diag *d) {
  for (uint64_t i = 0; i < e->rows * e->columns; i++)
    FAIL_IF(!isfinite(e->values[i]), d, at, "number %" PRIu64 " is not finite", i);
  return true;
}

/* -- files -- */

bool exchange_format(const Exchange *e, const char *path, StrBuf *b, Diag *d) {
  const Loc at = {.file = path};
  const size_t begin = b->len;
  TRY(check_head(e, &at, d) && check_values(e, &at, d));
  sb_write(b, MAGIC, sizeof MAGIC);
#define FIELD(name, kind, doc) put_##kind(b, e->name);
#include "passes/adapt/exchange.def"
#undef FIELD
  char label[EXCHANGE_LABEL] = {0};
  memcpy(label, exchange_label(e), strlen(exchange_label(e)));
  sb_write(b, label, sizeof label);
  for (uint64_t i = 0; i < e->rows * e->columns; i++) {
    uint32_t bits;
    memcpy(&bits, &e->values[i], sizeof bits);
    put_u32(b, bits);
  }
  put_hash(b, hash_bytes(b->s + begin, b->len - begin));
  ASSERT(b->len - begin == exchange_bytes(e->rows, e->columns));
  return true;
}

bool exchange_write(const char *path, const Exchange *e, Diag *d) {
  StrBuf b = {0};
  const bool ok = exchange_format(e, path, &b, d) && file_write(path, b.s, b.len, d);
  sb_free(&b);
  return ok;
}

static bool check_want(const Exchange *e, const ExchangeWant *want, const Loc *at, Diag *d) {
  FAIL_IF(want->kind && e->kind != want->kind, d, at, "this is %s: want %s",
          e->kind == EXCHANGE_UPDATE ? "an update" : "outputs on a public set",
          want->kind == EXCHANGE_UPDATE ? "an update" : "outputs on a public set");
  FAIL_IF(want->model && !hash_equal(*want->model, e->model), d, at, "it belongs to another model");
  FAIL_IF(want->public_set && !hash_equal(*want->public_set, e->public_set), d, at,
          "its outputs are on another public set");
  return true;
}

static bool parse(const unsigned char *bytes, size_t n, const ExchangeWant *want, Exchange *e, const Loc *at,
                  Diag *d) {
  FAIL_IF(n < sizeof MAGIC || memcmp(bytes, MAGIC, sizeof MAGIC) != 0, d, at, "no exchange file");
  FAIL_IF(n < head_bytes() + CHECK, d, at, "%zu bytes: it ends within its head", n);
  const unsigned char *p = bytes + sizeof MAGIC;
#define FIELD(name, kind, doc) e->name = get_##kind(&p);
#include "passes/adapt/exchange.def"
#undef FIELD
  TRY(check_head(e, at, d));
  FAIL_IF(n != exchange_bytes(e->rows, e->columns), d, at, "%zu bytes: its head says %" PRIu64, n,
          exchange_bytes(e->rows, e->columns));
  const unsigned char *sum = bytes + n - CHECK;
  FAIL_IF(!hash_equal(get_hash(&sum), hash_bytes(bytes, n - CHECK)), d, at, "it is damaged");
  char label[EXCHANGE_LABEL] = {0};
  memcpy(label, exchange_label(e), strlen(exchange_label(e)));
  FAIL_IF(memcmp(p, label, sizeof label) != 0, d, at, "its label is not that of its guarantee");
  p += sizeof label;
  TRY(check_want(e, want, at, d));
  e->values = mem_array((size_t)(e->rows * e->columns), sizeof(float));
  for (uint64_t i = 0; i < e->rows * e->columns; i++) {
    const uint32_t bits = get_u32(&p);
    memcpy(&e->values[i], &bits, sizeof bits);
  }
  return check_values(e, at, d);
}

bool exchange_parse(const void *bytes, size_t n, const char *path, const ExchangeWant *want, Exchange *out,
                    Diag *d) {
  const Loc at = {.file = path};
  *out = (Exchange){0};
  const bool ok = parse(bytes, n, want, out, &at, d);
  if (!ok) exchange_free(out);
  return ok;
}

bool exchange_read(const char *path, const ExchangeWant *want, Exchange *out, Diag *d) {
  Arena *a = arena_new();
  size_t n = 0;
  const char *bytes = file_read(a, path, &n, d);
  *out = (Exchange){0};
  const bool ok = bytes && exchange_parse(bytes, n, path, want, out, d);
  arena_free(a);
  return ok;
}

void exchange_free(Exchange *e) {
  mem_free(e->values);
  e->values = NULL;
}
