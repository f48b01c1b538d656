/* What is done with the bytes of a fuzzer. Whatever they are: an error report or a result, never a crash, a read out of
 * bounds, an overflow, and never time or memory beyond what a file of that size is worth (the fuzzer's limits).
 *
 * A graph that is read and passes the verifier must also survive what comes next: print and parse to the same hash,
 * lower (small ones). Configuration: everything that loading does, except that no file is read but the one.
 */
#include "tests/fuzz/targets.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "frontend/config/deploy.h"
#include "frontend/config/design.h"
#include "frontend/config/site.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "ir/lower.h"
#include "ir/tensor.h"
#include "passes/adapt/exchange.h"
#include "passes/adapt/ledger.h"

enum { SMALL = 1 << 20 /* bytes of all values of a graph that is printed and lowered */ };

static bool is_small(const Graph *g) {
  size_t sum = 0;
  for (ValId v = 1; v < g->n_vals; v++) sum += val_bytes(g, v) < SMALL ? val_bytes(g, v) : SMALL;
  return sum < SMALL;
}

static void check_text(const Graph *g) {
  Diag *d = diag_new();
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  Graph *back = graph_parse(sb_str(&text), "fuzz.ir", d);
  if (!back) fprintf(stderr, "%s\n%s", diag_text(d), sb_str(&text));
  ASSERT(back != NULL);
  ASSERT(hash_equal(graph_hash(g), graph_hash(back)));
  graph_free(back);
  sb_free(&text);
  diag_free(d);
}

static void check_lower(const Graph *g) {
  Diag *d = diag_new();
  Graph *one = graph_with_batch(g, 1, d); /* refused where the batch does not allow it */
  if (one && is_small(one)) {
    Calls calls;
    calls_init(&calls);
    graph_lower(one, &calls, d);
    calls_free(&calls);
  }
  graph_free(one);
  diag_free(d);
}

/* A reader's result; NULL: it must have said why. */
static void check_graph(Graph *g, Diag *d) {
  ASSERT(g != NULL || diag_count(d) > 0);
  if (g && graph_verify(g, d)) {
    if (is_small(g)) check_text(g);
    check_lower(g);
  }
  graph_free(g);
}

typedef Graph *ImportFn(Blob *bytes, const char *path, Diag *d);

static int import(ImportFn *f, const char *path, const uint8_t *bytes, size_t n) {
  Blob *b = blob_new(bytes, n);
  Diag *d = diag_new();
  check_graph(f(b, path, d), d);
  diag_free(d);
  blob_unref(b);
  return 0;
}

int fuzz_onnx(const uint8_t *bytes, size_t n) { return import(onnx_import_bytes, "fuzz.onnx", bytes, n); }
int fuzz_tflite(const uint8_t *bytes, size_t n) {
  return import(tflite_import_bytes, "fuzz.tflite", bytes, n);
}
int fuzz_mistify(const uint8_t *bytes, size_t n) {
  return import(graph_deserialize, "fuzz.mistify", bytes, n);
}

static char *text_of(const uint8_t *bytes, size_t n) {
  char *text = mem_alloc(n + 1);
  memcpy(text, bytes, n);
  text[n] = '\0';
  return text;
}

int fuzz_ir(const uint8_t *bytes, size_t n) {
  char *text = text_of(bytes, n);
  Diag *d = diag_new();
  check_graph(graph_parse(text, "fuzz.ir", d), d);
  diag_free(d);
  mem_free(text);
  return 0;
}

/* -- configuration -- */

static const char good_design[] = "model: m.onnx\ntask: classification\ndata:\n  classes: 2\n";

static char folder[PATH_MAX];

static void remove_folder(void) { file_remove_tree(folder); }

/* A file NAME with these bytes in a folder of our own, which has nothing else but a design; its path. */
static const char *file_of(Arena *a, const char *name, const void *bytes, size_t n) {
  if (!*folder) {
    Diag *d = diag_new();
    const char *made = file_temp_dir(a, d);
    ASSERT(made);
    snprintf(folder, sizeof folder, "%s", made);
    diag_free(d);
    atexit(remove_folder);
    file_of(a, "design.yaml", good_design, sizeof good_design - 1);
  }
  const char *path = path_join(a, folder, name);
  FILE *f = fopen(path, "wb");
  ASSERT(f != NULL && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
  return path;
}

typedef const void *LoadFn(Arena *a, const char *path, Diag *d);

/* Paths out of the folder are not followed: the fuzzer would find devices. */
static int load(LoadFn *f, const char *name, const uint8_t *bytes, size_t n) {
  if (memchr(bytes, '/', n)) return 0;
  Arena *a = arena_new();
  Diag *d = diag_new();
  ASSERT(f(a, file_of(a, name, bytes, n), d) != NULL || diag_count(d) > 0);
  diag_free(d);
  arena_free(a);
  return 0;
}

static const void *load_design(Arena *a, const char *path, Diag *d) { return design_load(a, path, d); }
static const void *load_deploy(Arena *a, const char *path, Diag *d) { return deploy_load(a, path, d); }
static const void *load_site(Arena *a, const char *path, Diag *d) { return site_load(a, path, d); }

int fuzz_design(const uint8_t *bytes, size_t n) { return load(load_design, "fuzzed.yaml", bytes, n); }
int fuzz_deploy(const uint8_t *bytes, size_t n) { return load(load_deploy, "deploy.yaml", bytes, n); }
int fuzz_site(const uint8_t *bytes, size_t n) { return load(load_site, "fuzzed_site.yaml", bytes, n); }

int fuzz_board(const uint8_t *bytes, size_t n) {
  char *text = text_of(bytes, n);
  Arena *a = arena_new();
  Diag *d = diag_new();
  Board b;
  ASSERT(board_parse(a, text, n, "fuzz.yaml", &b, d) || diag_count(d) > 0);
  diag_free(d);
  arena_free(a);
  mem_free(text);
  return 0;
}

/* -- tensors -- */

int fuzz_npy(const uint8_t *bytes, size_t n) {
  Diag *d = diag_new();
  Tensor t, again;
  bool ok = npy_parse(bytes, n, "fuzz.npy", &t, d);
  ASSERT(ok || diag_count(d) > 0);
  if (ok) {
    StrBuf b = {0};
    npy_format(&t, &b);
    ASSERT(npy_parse(b.s, b.len, "again.npy", &again, d));
    ASSERT(again.dtype == t.dtype && shape_equal(&again.shape, &t.shape));
    ASSERT(memcmp(again.data, t.data, tensor_bytes(&t)) == 0);
    tensor_free(&again);
    tensor_free(&t);
    sb_free(&b);
  }
  diag_free(d);
  return 0;
}

/* -- what sites hand to one another, and what they have spent -- */

/* What is taken is what a writer writes, byte for byte. */
static void check_exchange(const uint8_t *bytes, size_t n) {
  const ExchangeWant any = {0};
  Diag *d = diag_new();
  Exchange e;
  const bool ok = exchange_parse(bytes, n, "fuzz.exchange", &any, &e, d);
  ASSERT(ok || diag_count(d) > 0);
  if (ok) {
    StrBuf b = {0}, line = {0};
    exchange_describe(&e, &line);
    ASSERT(exchange_format(&e, "fuzz.exchange", &b, d));
    ASSERT(b.len == n && memcmp(b.s, bytes, n) == 0);
    sb_free(&b);
    sb_free(&line);
    exchange_free(&e);
  }
  diag_free(d);
}

int fuzz_exchange(const uint8_t *bytes, size_t n) {
  enum { SUM = 16 };
  check_exchange(bytes, n);
  if (n < SUM) return 0;
  uint8_t *sealed = mem_alloc(n);
  const Hash h = hash_bytes(bytes, n - SUM);
  memcpy(sealed, bytes, n - SUM);
  for (int i = 0; i < 8; i++) {
    sealed[n - SUM + (size_t)i] = (uint8_t)(h.hi >> 8 * i);
    sealed[n - 8 + (size_t)i] = (uint8_t)(h.lo >> 8 * i);
  }
  check_exchange(sealed, n);
  mem_free(sealed);
  return 0;
}

static void check_ledger(const char *text, size_t n) {
  Diag *d = diag_new();
  Ledger *l = ledger_parse(text, n, "fuzz.ledger", d);
  ASSERT(l || diag_count(d) > 0);
  if (l) {
    ASSERT(ledger_budget(l) > 0 && ledger_delta(l) > 0 && ledger_delta(l) < 1);
    ASSERT(ledger_runs(l) >= 0 && ledger_epsilon(l) >= 0);
  }
  ledger_close(l);
  diag_free(d);
}

int fuzz_ledger(const uint8_t *bytes, size_t n) {
  char *text = text_of(bytes, n);
  StrBuf sealed = {0};
  int64_t lines;
  check_ledger(text, n);
  ledger_seal(text, &sealed);
  check_ledger(sb_str(&sealed), sealed.len);
  ASSERT(!ledger_parse_counter(text, n, &lines) || lines >= 0);
  sb_free(&sealed);
  mem_free(text);
  return 0;
}
