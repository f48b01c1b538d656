/* The binary file of a graph: its text form with constants by number, then their bytes.
 *
 *   0   "MISTIFY1"
 *   8   u64  bytes of the whole file
 *   16  u64  bytes of the text
 *   24  u64  number of constants
 *   32  text                                 (ir/print.c; a constant is `@NUMBER`)
 *       u64 each: bytes of constant 0, 1, ...
 *       constants, each from the next multiple of 64, zeros between
 *
 * All numbers little-endian. Names and locations are in the text. The file is untrusted: every size is checked against
 * what is there before it is used, and the text goes through graph_parse. Constants of the graph are views into the
 * file's blob (aligned, as a mapped file starts at a page).
 */
#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/text.h"

enum { HEAD = 32, ALIGN = 64 };

static const char magic[8] = {'M', 'I', 'S', 'T', 'I', 'F', 'Y', '1'};

static void put_u64(unsigned char *p, uint64_t v) {
  for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_u64(const unsigned char *p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static void write_u64(StrBuf *out, uint64_t v) {
  unsigned char b[8];
  put_u64(b, v);
  sb_write(out, b, sizeof b);
}

/* The file may start anywhere in `out`: positions count from `start`. */
static void align_to(StrBuf *out, size_t start) {
  while ((out->len - start) % ALIGN != 0) sb_putc(out, '\0');
}

void graph_serialize(const Graph *g, StrBuf *out) {
  const size_t start = out->len;
  StrBuf text = {0};
  ValId *consts = mem_array(g->n_vals, sizeof *consts);
  uint32_t n = graph_print_numbered(g, &text, consts);
  sb_write(out, magic, sizeof magic);
  write_u64(out, 0); /* the whole size, set below */
  write_u64(out, text.len);
  write_u64(out, n);
  sb_write(out, sb_str(&text), text.len);
  for (uint32_t i = 0; i < n; i++) write_u64(out, blob_size(g->vals[consts[i]].blob));
  for (uint32_t i = 0; i < n; i++) {
    const Blob *b = g->vals[consts[i]].blob;
    align_to(out, start);
    sb_write(out, blob_raw(b), blob_size(b));
  }
  put_u64((unsigned char *)out->s + start + 8, out->len - start);
  mem_free(consts);
  sb_free(&text);
}

/* -- reading -- */

typedef struct ConstTable {
  Blob *file;
  uint64_t n;
  const size_t *at, *size;
} ConstTable;

static Blob *table_get(const void *ctx, uint64_t number, const Loc *loc, Diag *d) {
  const ConstTable *t = ctx;
  if (number >= t->n) {
    diag_error(d, loc, "constant %" PRIu64 " of %" PRIu64, number, t->n);
    return NULL;
  }
  return blob_view(t->file, (const unsigned char *)blob_raw(t->file) + t->at[number], t->size[number]);
}

/* Where each constant lies; all sizes checked against the file's n bytes. */
static bool read_table(const unsigned char *b, size_t n, size_t pos, uint64_t count, size_t *at, size_t *size,
                       const Loc *loc, Diag *d) {
  size_t end = pos + (size_t)count * 8;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t bytes = get_u64(b + pos + i * 8);
    size_t from = end + (ALIGN - end % ALIGN) % ALIGN;
    FAIL_IF(from > n || bytes > n - from, d, loc,
            "damaged graph file: constant %" PRIu64 " of %" PRIu64 " bytes leaves the file", i, bytes);
    at[i] = from;
    size[i] = (size_t)bytes;
    end = from + (size_t)bytes;
  }
  FAIL_IF(end != n, d, loc, "damaged graph file: %zu bytes after the last constant", n - end);
  return true;
}

static bool read_head(const unsigned char *b, size_t n, uint64_t *text, uint64_t *count, const Loc *loc,
                      Diag *d) {
  size_t have = n < sizeof magic ? n : sizeof magic;
  FAIL_IF(n == 0, d, loc, "the file is empty");
  FAIL_IF(memcmp(b, magic, have) != 0, d, loc, "this is not a graph file of mistify");
  FAIL_IF(n < HEAD, d, loc, "truncated graph file: %zu bytes", n);
  uint64_t whole = get_u64(b + 8);
  FAIL_IF(n < whole, d, loc, "truncated graph file: %zu bytes of %" PRIu64, n, whole);
  FAIL_IF(n > whole, d, loc, "damaged graph file: %zu bytes, want %" PRIu64, n, whole);
  *text = get_u64(b + 16);
  *count = get_u64(b + 24);
  FAIL_IF(*text > n - HEAD, d, loc, "damaged graph file: a text of %" PRIu64 " bytes", *text);
  FAIL_IF(*count > (n - HEAD - *text) / 8, d, loc, "damaged graph file: %" PRIu64 " constants", *count);
  FAIL_IF(memchr(b + HEAD, '\0', (size_t)*text) != NULL, d, loc,
          "damaged graph file: the text holds a zero byte");
  return true;
}

Graph *graph_deserialize(Blob *bytes, const char *file, Diag *d) {
  const unsigned char *b = blob_raw(bytes);
  const Loc loc = {.file = file};
  uint64_t text_len = 0, count = 0;
  if (!read_head(b, blob_size(bytes), &text_len, &count, &loc, d)) return NULL;
  Arena *a = arena_new();
  size_t *at = arena_array(a, (size_t)count, sizeof *at), *size = arena_array(a, (size_t)count, sizeof *size);
  Graph *g = NULL;
  if (read_table(b, blob_size(bytes), HEAD + (size_t)text_len, count, at, size, &loc, d)) {
    const ConstTable table = {bytes, count, at, size};
    const ConstSource source = {&table, table_get};
    g = graph_parse_from(arena_strndup(a, (const char *)b + HEAD, (size_t)text_len), file, &source, d);
  }
  arena_free(a);
  return g;
}
