/* Boards: a flat YAML mapping of what the tool must know about a device, read with libyaml's event parser.
 *
 *   name: nucleo-l432kc        doc: free text         target: a name of backend/targets.def
 *   flash: 256KiB              ram: 64KiB             clock: 80MHz            cycle_scale: 1.3     energy_per_cycle: 120pJ
 *   fast: 16KiB                external: 8MiB
 *
 * The second and the third line may be left out. fast: of ram the part that is tightly coupled; external: beyond ram. cycle_scale: cycles the board takes for an estimated one (`mistify calibrate`).
 *
 * Sizes: bytes, or with KiB, MiB, GiB, or kB, MB, GB (1000). Unknown and duplicate keys are refused (libyaml itself
 * accepts duplicates silently), nested values too. Shipped boards are embedded in the binary (scripts/embed.sh).
 */
#include "backend/backend.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <yaml.h>

#include "backend/emit/embedded.h"
#include "ir/base/file.h"

static const char BOARD_DIR[] = "backend/boards/";

enum {
  KEY_NAME,
  KEY_DOC,
  KEY_TARGET,
  KEY_FLASH,
  KEY_RAM,
  KEY_CLOCK,
  KEY_SCALE,
  KEY_ENERGY,
  KEY_FAST,
  KEY_EXTERNAL,
  KEY_COUNT
};
static const char *const key_names[KEY_COUNT] = {
    "name", "doc", "target", "flash", "ram", "clock", "cycle_scale", "energy_per_cycle", "fast", "external"};

typedef struct Reader {
  Arena *arena;
  const char *file, *text;
  size_t size;
  Diag *diag;
  yaml_parser_t parser;
  bool seen[KEY_COUNT];
} Reader;

static Loc loc_at(const Reader *r, yaml_mark_t at) {
  Loc loc = {.file = r->file, .line = (int)at.line + 1, .col = (int)at.column + 1};
  return loc;
}

/* Attach line number `line` (from 0) of the text with a caret. */
static void show_source(const Reader *r, size_t line, int col) {
  const char *p = r->text, *end = r->text + r->size;
  while (line > 0 && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) p++, line--;
  if (!p) return;
  const char *stop = memchr(p, '\n', (size_t)(end - p));
  diag_source(r->diag, arena_strndup(r->arena, p, (size_t)((stop ? stop : end) - p)), col);
}

static bool fail_at(const Reader *r, yaml_mark_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail_at(const Reader *r, yaml_mark_t at, const char *fmt, ...) {
  char msg[400];
  va_list args;
  va_start(args, fmt);
  vsnprintf(msg, sizeof msg, fmt, args);
  va_end(args);
  Loc loc = loc_at(r, at);
  diag_error(r->diag, &loc, "%s", msg);
  show_source(r, at.line, loc.col);
  return false;
}

static bool next_event(Reader *r, yaml_event_t *e) {
  if (yaml_parser_parse(&r->parser, e)) return true;
  return fail_at(r, r->parser.problem_mark, "%s", r->parser.problem ? r->parser.problem : "not YAML");
}

typedef struct Unit {
  const char *name;
  double factor;
} Unit;

static const Unit size_units[] = {
    {"", 1},      {"B", 1},    {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824.0},
    {"kB", 1000}, {"MB", 1e6}, {"GB", 1e9},   {NULL, 0}};
static const Unit clock_units[] = {{"", 1}, {"Hz", 1}, {"kHz", 1e3}, {"MHz", 1e6}, {"GHz", 1e9}, {NULL, 0}};

/* "64KiB" or "64 KiB"; false when it is no positive number with one of the units. */
static bool parse_quantity(const char *s, const Unit *units, double *out) {
  char *end;
  errno = 0;
  double v = strtod(s, &end);
  if (end == s || errno || !isfinite(v) || v <= 0 || !strchr("0123456789", *s)) return false;
  while (*end == ' ') end++;
  for (; units->name; units++) {
    if (strcmp(end, units->name) != 0) continue;
    *out = v * units->factor;
    return *out >= 1 && *out < 9e15;
  }
  return false;
}

static bool set_size(const Reader *r, const char *key, const char *text, yaml_mark_t at, int64_t *out) {
  double v;
  if (!parse_quantity(text, size_units, &v))
    return fail_at(r, at, "%s: got \"%s\", want a size such as 65536, 64KiB or 1MiB", key, text);
  if (v != floor(v)) return fail_at(r, at, "%s: got \"%s\", want whole bytes", key, text);
  *out = (int64_t)v;
  return true;
}

static bool set_target(const Reader *r, const char *text, yaml_mark_t at, Board *b) {
  b->target = arena_strdup(r->arena, text);
  if (target_find(text)) return true;
  fail_at(r, at, "target: got \"%s\", which is no target", text);
  char names[300] = "";
  for (int i = 0; i < n_targets; i++) {
    size_t len = strlen(names);
    snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", targets[i].name);
  }
  diag_hint(r->diag, "targets are: %s", names);
  return false;
}

static bool set_scale(const Reader *r, const char *text, yaml_mark_t at, Board *b) {
  char *end;
  b->cycle_scale = strtod(text, &end);
  if (end != text && !*end && b->cycle_scale >= 0.1 && b->cycle_scale <= 100) return true;
  return fail_at(r, at, "cycle_scale: got \"%s\", want a number from 0.1 to 100", text);
}

/* In picojoules: parse_quantity takes nothing below one. */
static bool set_energy(const Reader *r, const char *text, yaml_mark_t at, Board *b) {
  static const Unit units[] = {{"pJ", 1}, {"nJ", 1e3}, {"uJ", 1e6}, {NULL, 0}};
  double v;
  if (!parse_quantity(text, units, &v))
    return fail_at(
        r, at, "energy_per_cycle: got \"%s\", want an energy of 1 pJ or more, such as 120pJ or 0.2nJ", text);
  b->joules_per_cycle = 1e-12 * v;
  return true;
}

static bool set_value(const Reader *r, int key, const char *text, yaml_mark_t at, Board *b) {
  switch (key) {
  case KEY_NAME:
    if (!*text) return fail_at(r, at, "name: is empty");
    b->name = arena_strdup(r->arena, text);
    return true;
  case KEY_DOC: b->doc = arena_strdup(r->arena, text); return true;
  case KEY_TARGET: return set_target(r, text, at, b);
  case KEY_FLASH: return set_size(r, "flash", text, at, &b->flash);
  case KEY_RAM: return set_size(r, "ram", text, at, &b->ram);
  case KEY_FAST: return set_size(r, "fast", text, at, &b->fast);
  case KEY_EXTERNAL: return set_size(r, "external", text, at, &b->external);
  case KEY_SCALE: return set_scale(r, text, at, b);
  case KEY_ENERGY: return set_energy(r, text, at, b);
  default:
    if (parse_quantity(text, clock_units, &b->clock_hz)) return true;
    return fail_at(r, at, "clock: got \"%s\", want a frequency such as 80MHz", text);
  }
}

static bool find_key(Reader *r, const char *text, yaml_mark_t at, int *out) {
  for (int k = 0; k < KEY_COUNT; k++) {
    if (strcmp(text, key_names[k]) != 0) continue;
    if (r->seen[k]) return fail_at(r, at, "key \"%s\" stands here for the second time", text);
    r->seen[k] = true;
    *out = k;
    return true;
  }
  fail_at(r, at, "unknown key \"%s\"", text);
  diag_hint(
      r->diag,
      "keys of a board: name, doc, target, flash, ram, clock, cycle_scale, energy_per_cycle, fast, external");
  return false;
}

static const char *scalar_text(const yaml_event_t *e) { return (const char *)e->data.scalar.value; }

static bool read_pair(Reader *r, const yaml_event_t *key, Board *b) {
  int k = 0;
  if (key->type != YAML_SCALAR_EVENT) return fail_at(r, key->start_mark, "want a key such as \"flash\"");
  TRY(find_key(r, scalar_text(key), key->start_mark, &k));
  yaml_event_t e;
  TRY(next_event(r, &e));
  bool ok = e.type == YAML_SCALAR_EVENT ? set_value(r, k, scalar_text(&e), e.start_mark, b)
                                        : fail_at(r, e.start_mark, "%s: want a plain value", key_names[k]);
  yaml_event_delete(&e);
  return ok;
}

/* Pairs until the mapping ends. */
static bool read_pairs(Reader *r, Board *b) {
  for (;;) {
    yaml_event_t e;
    TRY(next_event(r, &e));
    bool end = e.type == YAML_MAPPING_END_EVENT;
    bool ok = end || read_pair(r, &e, b);
    yaml_event_delete(&e);
    if (end || !ok) return ok;
  }
}

/* One event of the kind wanted, dropped. */
static bool expect(Reader *r, yaml_event_type_t want, const char *what) {
  yaml_event_t e;
  TRY(next_event(r, &e));
  bool ok = e.type == want || fail_at(r, e.start_mark, "want %s", what);
  yaml_event_delete(&e);
  return ok;
}

static bool read_board(Reader *r, Board *b) {
  TRY(expect(r, YAML_STREAM_START_EVENT, "a board"));
  TRY(expect(r, YAML_DOCUMENT_START_EVENT, "a board: \"name: ...\", \"target: ...\""));
  TRY(expect(r, YAML_MAPPING_START_EVENT, "a mapping: \"name: ...\", \"target: ...\""));
  TRY(read_pairs(r, b));
  TRY(expect(r, YAML_DOCUMENT_END_EVENT, "the end of the board"));
  TRY(expect(r, YAML_STREAM_END_EVENT, "the end of the file: one board a file"));
  Loc whole = {.file = r->file};
  FAIL_IF(!b->name, r->diag, &whole, "a board needs a \"name\"");
  FAIL_IF(!b->target, r->diag, &whole, "a board needs a \"target\"");
  FAIL_IF(b->fast && b->fast >= b->ram, r->diag, &whole,
          "fast: is a part of ram; want less than its %lld bytes", (long long)b->ram);
  return true;
}

bool board_parse(Arena *a, const char *text, size_t n, const char *file, Board *out, Diag *d) {
  Reader r = {.arena = a, .file = file, .text = text, .size = n, .diag = d};
  *out = (Board){.doc = "", .cycle_scale = 1};
  ASSERT(yaml_parser_initialize(&r.parser));
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  bool ok = read_board(&r, out);
  yaml_parser_delete(&r.parser);
  return ok;
}

/* "backend/boards/NAME.yaml" gives NAME in `a`; NULL for other files. */
static const char *embedded_board(Arena *a, const EmbeddedFile *f) {
  size_t dir = sizeof BOARD_DIR - 1;
  if (strncmp(f->path, BOARD_DIR, dir) != 0) return NULL;
  return arena_strndup(a, f->path + dir, strlen(f->path) - dir - strlen(".yaml"));
}

const char **board_names(Arena *a) {
  const char **names = arena_array(a, embedded_files_count + 1, sizeof *names);
  int n = 0;
  for (size_t i = 0; i < embedded_files_count; i++) {
    const char *name = embedded_board(a, &embedded_files[i]);
    if (name) names[n++] = name;
  }
  return names;
}

int board_regions(const Board *b, PlanRegion out[PLAN_REGIONS_MAX]) {
  int n = 0;
  if (b->fast) out[n++] = (PlanRegion){"fast", b->fast};
  out[n++] = (PlanRegion){NULL, b->ram - b->fast};
  if (b->external) out[n++] = (PlanRegion){"external", b->external};
  return n > 1 ? n : 0;
}

static bool is_path(const char *s) {
  const char *ext = path_ext(s);
  return strchr(s, '/') || strcmp(ext, ".yaml") == 0 || strcmp(ext, ".yml") == 0;
}

const char *board_text(Arena *a, const char *name_or_path, size_t *n, const char **file, Diag *d) {
  *file = name_or_path;
  if (is_path(name_or_path)) return file_read(a, name_or_path, n, d);
  char list[600] = "";
  for (size_t i = 0; i < embedded_files_count; i++) {
    const EmbeddedFile *f = &embedded_files[i];
    const char *name = embedded_board(a, f);
    if (!name) continue;
    if (strcmp(name, name_or_path) == 0) {
      *n = f->size;
      *file = f->path;
      return (const char *)f->text;
    }
    size_t len = strlen(list);
    snprintf(list + len, sizeof list - len, "%s%s", *list ? ", " : "", name);
  }
  diag_error(d, NULL, "no board \"%s\"", name_or_path);
  diag_hint(d, "shipped boards: %s; or give the path of a board's .yaml file", list);
  return NULL;
}

bool board_load(Arena *a, const char *name_or_path, Board *out, Diag *d) {
  size_t n;
  const char *file, *text = board_text(a, name_or_path, &n, &file, d);
  return text && board_parse(a, text, n, file, out, d);
}

double board_hz(const Board *b) { return b->clock_hz / b->cycle_scale; }

double board_joules(const Board *b) { return b->joules_per_cycle * b->cycle_scale; }
