/* A real board's log against estimates: how many of its cycles an estimated one takes (wait states, caches, dual issue),
 * for the board's YAML.
 *
 *   # folder that mistify wrote, cycles of one inference on the board
 *   out/m4  1834000
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

typedef struct Log {
  Arena *arena;
  const char *path;
  Diag *diag;
  JsonWriter *json; /* where results go; NULL: lines to standard output */
  double sum;       /* of the ratios' logarithms */
  int n;
} Log;

static bool estimate_of(const Log *l, const Loc *at, const char *folder, int64_t *cycles) {
  const char *path = path_join(l->arena, folder, "model.json");
  FAIL_IF(!file_exists(path), l->diag, at, "\"%s\" has no model.json: want a folder that mistify wrote",
          folder);
  size_t n;
  const char *text = file_read(l->arena, path, &n, l->diag);
  const Json *j = text ? json_parse(l->arena, text, n, path, l->diag) : NULL;
  TRY(j != NULL);
  *cycles = json_get_int(json_get(j, "estimate"), "cycles", 0);
  FAIL_IF(*cycles <= 0, l->diag, at, "%s: gives no estimate of cycles", path);
  return true;
}

/* The next word of *text, ended there; NULL: none. */
static char *next_word(char **text) {
  char *word = *text + strspn(*text, " \t\r");
  *text = word + strcspn(word, " \t\r");
  if (**text) *(*text)++ = 0;
  return *word ? word : NULL;
}

static void print_line(const Log *l, const char *folder, int64_t cycles, int64_t estimated) {
  if (!l->json) {
    printf("%s: %s cycles, estimated %s, %.3f\n", folder, cli_count(l->arena, cycles),
           cli_count(l->arena, estimated), (double)cycles / (double)estimated);
    return;
  }
  json_object(l->json);
  json_kstr(l->json, "folder", folder);
  json_kint(l->json, "cycles", cycles);
  json_kint(l->json, "estimated", estimated);
  json_end(l->json);
}

static bool add_line(Log *l, int number, char *line) {
  const Loc at = {.file = l->path, .line = number, .col = 1};
  line[strcspn(line, "#")] = 0;
  const char *folder = next_word(&line), *count = next_word(&line), *more = next_word(&line);
  if (!folder) return true;
  char *end = NULL;
  double cycles = count ? strtod(count, &end) : 0;
  FAIL_IF(!count || more || *end || !(cycles >= 1 && cycles < 1e15), l->diag, &at,
          "want a folder and the cycles of one inference: \"out/m4 1834000\"");
  int64_t estimated = 0;
  TRY(estimate_of(l, &at, folder, &estimated));
  print_line(l, folder, (int64_t)cycles, estimated);
  l->sum += log(cycles / (double)estimated);
  l->n++;
  return true;
}

static bool read_log(Log *l) {
  size_t n;
  char *text = file_read(l->arena, l->path, &n, l->diag);
  TRY(text != NULL);
  for (int number = 1; *text; number++) {
    char *end = text + strcspn(text, "\n"), *next = end + (*end == '\n');
    *end = 0;
    TRY(add_line(l, number, text));
    text = next;
  }
  FAIL_IF(l->n == 0, l->diag, NULL, "%s: holds no measurement", l->path);
  return true;
}

/* The board's YAML, its cycle_scale this one. */
static void put_board(const char *text, size_t n, double scale, StrBuf *out) {
  static const char key[] = "cycle_scale:";
  while (n > 0) {
    const char *end = memchr(text, '\n', n);
    size_t line = end ? (size_t)(end - text) + 1 : n;
    if (strncmp(text, key, sizeof key - 1) != 0) sb_write(out, text, line);
    if (!end && line) sb_putc(out, '\n');
    text += line;
    n -= line;
  }
  sb_printf(out, "%s %.3f\n", key, scale);
}

/* The log's lines, then the scale. */
static bool measured_scale(Log *l, double *scale) {
  TRY(read_log(l));
  *scale = exp(l->sum / l->n);
  if (!l->json) printf("cycle_scale: %.3f\n", *scale);
  return true;
}

static bool json_scale(Log *l, const char *board, double *scale) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  l->json = &w;
  json_object(&w);
  json_kstr(&w, "board", board);
  json_key(&w, "measurements");
  json_array(&w);
  bool ok = measured_scale(l, scale);
  if (ok) {
    json_end(&w);
    json_knum(&w, "cycle_scale", *scale);
    json_end(&w);
    cli_json_end(&w, &b);
  } else {
    sb_free(&b);
  }
  return ok;
}

bool cli_board_log(const char *board, const char *log, const char *out, bool json, Diag *d) {
  Arena *a = arena_new();
  Log l = {.arena = a, .path = log, .diag = d};
  Board b;
  size_t n;
  double scale = 1;
  const char *file, *text = NULL;
  bool ok = board_load(a, board, &b, d) && (text = board_text(a, board, &n, &file, d)) != NULL;
  ok = ok && (json ? json_scale(&l, board, &scale) : measured_scale(&l, &scale));
  if (ok && out) {
    StrBuf yaml = {0};
    put_board(text, n, scale, &yaml);
    ok = file_write(out, sb_str(&yaml), yaml.len, d);
    sb_free(&yaml);
  }
  arena_free(a);
  return ok;
}
