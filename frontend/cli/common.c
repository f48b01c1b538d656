/* What the commands share: machines, numbers, notes, tables, temporary folders. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "frontend/cli/cli.h"
#include "frontend/cli/ranks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/base/nearest.h"

/* -- machines -- */

const Target *cli_target(const char *name, Diag *d) {
  const Target *t = target_find(name);
  if (t) return t;
  const char *names[65];
  int n = 0;
  for (; n < n_targets && n < 64; n++) names[n] = targets[n].name;
  names[n] = NULL;
  diag_error(d, NULL, "unknown target \"%s\"", name);
  const char *near = name_nearest(name, names);
  if (near) diag_hint(d, "did you mean %s?", near);
  diag_hint(d, "mistify targets lists them all");
  return NULL;
}

bool cli_machine(Arena *a, const char *target, const char *board, Machine *out, Diag *d) {
  *out = (Machine){0};
  FAIL_IF(target && board, d, NULL, "--target %s and --board %s: give one of them", target, board);
  if (board) {
    TRY(board_load(a, board, &out->board, d));
    out->has_board = true;
    target = out->board.target;
  }
  if (!target) return true;
  out->target = cli_target(target, d);
  return out->target != NULL;
}

/* -- progress -- */

static volatile sig_atomic_t interrupted; /* set by the signal handler: there is no other way to hear of it */

static void on_interrupt(int sig) {
  interrupted = 1;
  signal(sig, SIG_DFL);
}

/* Who started us with the signal ignored (a job in the background) wants it to stay so. */
static void catch_unless_ignored(int sig) {
  struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
  sigemptyset(&a.sa_mask);
  if (sigaction(sig, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(sig, &a, NULL);
}

void cli_catch_interrupt(void) {
  catch_unless_ignored(SIGINT);
  catch_unless_ignored(SIGTERM);
}

bool cli_interrupted(void) { return interrupted != 0; }

static bool on_cancelled(void *ctx) {
  (void)ctx;
  return interrupted != 0;
}

void cli_progress(Progress *p, const CommonOpts *o, int64_t threads) {
  if (threads <= 0) threads = sysconf(_SC_NPROCESSORS_ONLN) / ranks_local();
  if (threads <= 0) threads = 1;
  progress_init(p, stderr, o->quiet, threads < 256 ? (int)threads : 256);
  p->host.cancelled = on_cancelled;
}

/* -- text -- */

void cli_note(const CommonOpts *o, const char *fmt, ...) {
  if (o->quiet) return;
  va_list ap;
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
}

const char *cli_count(Arena *a, int64_t v) {
  char digits[24], text[32];
  if (v < 0) return "-";
  int n = snprintf(digits, sizeof digits, "%lld", (long long)v), k = 0;
  for (int i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0) text[k++] = ',';
    text[k++] = digits[i];
  }
  return arena_strndup(a, text, (size_t)k);
}

const char *cli_shape(Arena *a, const Shape *s) {
  char text[160];
  shape_format(s, text, sizeof text);
  return arena_strdup(a, text);
}

/* -- JSON -- */

void cli_json_begin(JsonWriter *w, StrBuf *b) {
  *b = (StrBuf){0};
  json_begin(w, b, true);
}

void cli_json_end(JsonWriter *w, StrBuf *b) {
  ASSERT(json_finished(w));
  fwrite(sb_str(b), 1, b->len, stdout);
  sb_free(b);
}

void json_shape(JsonWriter *w, const char *key, const Shape *s) {
  json_karray(w, key);
  for (int i = 0; i < s->rank; i++) {
    if (s->d[i] == DIM_BATCH) {
      json_str(w, "N");
    } else {
      json_int(w, s->d[i]);
    }
  }
  json_end(w);
}

/* -- tables -- */

void table_begin(Table *t, Arena *a, const char *columns) {
  *t = (Table){.arena = a};
  while (*columns) {
    ASSERT(t->n_columns < TABLE_MAX_COLUMNS && (*columns == '<' || *columns == '>'));
    size_t len = strcspn(columns, ",");
    t->right[t->n_columns] = *columns == '>';
    t->titles[t->n_columns++] = arena_strndup(a, columns + 1, len - 1);
    columns += len + (columns[len] == ',');
  }
}

static void add_cell(Table *t, const char *text) {
  if (t->n == t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 64;
    const char **more = arena_array(t->arena, cap, sizeof *more);
    if (t->n) memcpy(more, t->cells, t->n * sizeof *more);
    t->cells = more;
    t->cap = cap;
  }
  t->cells[t->n++] = text;
}

void table_cell(Table *t, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  add_cell(t, arena_strdup(t->arena, text));
}

void table_count(Table *t, int64_t v) { add_cell(t, v ? cli_count(t->arena, v) : ""); }

/* Letters, not bytes: names may hold UTF-8. */
static int letters(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static void print_row(const Table *t, const char *const *cells, const int *width) {
  StrBuf line = {0};
  for (int c = 0; c < t->n_columns; c++) {
    int gap = width[c] - letters(cells[c]);
    if (c) sb_puts(&line, "  ");
    if (t->right[c]) sb_printf(&line, "%*s", gap, "");
    sb_puts(&line, cells[c]);
    if (!t->right[c]) sb_printf(&line, "%*s", gap, "");
  }
  while (line.len && line.s[line.len - 1] == ' ') line.s[--line.len] = 0;
  puts(sb_str(&line));
  sb_free(&line);
}

void table_print(const Table *t) {
  int width[TABLE_MAX_COLUMNS];
  size_t columns = (size_t)t->n_columns;
  ASSERT(columns && t->n % columns == 0);
  for (size_t c = 0; c < columns; c++) {
    width[c] = letters(t->titles[c]);
    for (size_t i = c; i < t->n; i += columns) {
      int n = letters(t->cells[i]);
      if (n > width[c]) width[c] = n;
    }
  }
  print_row(t, t->titles, width);
  for (size_t i = 0; i < t->n; i += columns) print_row(t, t->cells + i, width);
}
