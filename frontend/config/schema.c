/* Binding by schema; see schema.h.
 *
 *   bind_group:  for each member of the mapping  -> its row, or "unknown key" with the nearest
 *                for each row without a member   -> "missing", or its default
 *   bind_value:  by the row's type, checks bounds, writes through offset and width
 *
 * Rows and structs are ours: mismatches of type and width are asserted. The file is the user's: never.
 */
#include "frontend/config/schema.h"

#include <inttypes.h>
#include <string.h>

#include "frontend/config/units.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/nearest.h"
#include "ir/base/strbuf.h"

typedef struct Binder {
  const YamlFile *file;
  Arena *a;
  Diag *d;
  const char *noun;
  const Yaml *entry; /* whose value is being bound: a member of a mapping; NULL: a default */
} Binder;

static bool bind_value(Binder *b, const CfgRow *row, const Yaml *v, char *field);

/* ---- Messages */

/* Report about value v: `limit "ram: 0": want ...`. List items name their list and point at the item. */
static bool wrong(const Binder *b, const Yaml *v, const char *want, const char *extra) {
  const Yaml *e = b->entry;
  ASSERT(e); /* a default of ours that does not fit its own row */
  const char *dots = v->type == YAML_SCALAR && strlen(v->text) > 40 ? "..." : "";
  if (v->type != YAML_SCALAR)
    yaml_error(b->file, &e->key_loc, b->d, "%s \"%s\": want %s%s, got %s", b->noun, e->key, want, extra,
               yaml_what(v));
  else if (!v->text[0])
    yaml_error(b->file, v == e ? &e->key_loc : &v->loc, b->d, "%s \"%s\" has no value: want %s%s", b->noun,
               e->key, want, extra);
  else if (v == e)
    yaml_error(b->file, &e->key_loc, b->d, "%s \"%s: %.40s%s\": want %s%s", b->noun, e->key, v->text, dots,
               want, extra);
  else
    yaml_error(b->file, &v->loc, b->d, "%s \"%s\", value \"%.40s%s\": want %s%s", b->noun, e->key, v->text,
               dots, want, extra);
  return false;
}

static const char *key_list(const Schema *s, Arena *a) {
  StrBuf text = {0};
  for (const CfgRow *row = s->rows; row->key; row++)
    if (row->type != CFG_FOREIGN) sb_printf(&text, "%s%s", text.len ? ", " : "", row->key);
  const char *copy = arena_strdup(a, sb_str(&text));
  sb_free(&text);
  return copy;
}

static const char *nearest_key(const Schema *s, const char *key) {
  const char *names[128];
  size_t n = 0;
  for (const CfgRow *row = s->rows; row->key && n < 127; row++)
    if (row->type != CFG_FOREIGN) names[n++] = row->key;
  names[n] = NULL;
  return name_nearest(key, names);
}

static bool unknown_key(const Binder *b, const Schema *s, const Yaml *m) {
  yaml_error(b->file, &m->key_loc, b->d, "unknown %s \"%s\"", s->noun, m->key);
  const char *near = nearest_key(s, m->key);
  if (near) diag_hint(b->d, "did you mean \"%s\"?", near);
  diag_hint(b->d, "possible here: %s", key_list(s, b->a));
  return false;
}

static void format_bound(CfgType type, double v, char *buf, size_t n) {
  if (type == CFG_BYTES && isfinite(v)) {
    unit_format_bytes((int64_t)v, buf, n);
  } else if (type == CFG_SHARE) {
    snprintf(buf, n, "%.6g%%", v * 100);
  } else {
    snprintf(buf, n, "%.9g%s", v, type == CFG_SECONDS ? " s" : type == CFG_JOULES ? " J" : "");
  }
}

static bool check_bounds(const Binder *b, const CfgRow *row, const Yaml *v, double value) {
  if (!row->bounded) return true;
  if ((row->above ? value > row->min : value >= row->min) && value <= row->max) return true;
  char lo[64], hi[64], want[160];
  format_bound(row->type, row->min, lo, sizeof lo);
  format_bound(row->type, row->max, hi, sizeof hi);
  const char *least = row->above ? "more than" : "at least";
  if (isinf(row->max))
    snprintf(want, sizeof want, "%s %s", least, lo);
  else if (row->above)
    snprintf(want, sizeof want, "more than %s, at most %s", lo, hi);
  else
    snprintf(want, sizeof want, "%s to %s", lo, hi);
  return wrong(b, v, want, "");
}

/* ---- Scalars */

static void store_int(const CfgRow *row, char *field, int64_t v) {
  ASSERT(row->width == 4 || row->width == 8);
  int32_t narrow = (int32_t)v;
  memcpy(field, row->width == 4 ? (const void *)&narrow : (const void *)&v, row->width);
}

static void store_float(const CfgRow *row, char *field, double v) {
  ASSERT(row->width == sizeof(float) || row->width == sizeof(double));
  float narrow = (float)v;
  memcpy(field, row->width == sizeof narrow ? (const void *)&narrow : (const void *)&v, row->width);
}

static bool bind_whole(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  int64_t value = 0;
  const char *want = row->type == CFG_INT     ? unit_int(v->text, &value)
                     : row->type == CFG_BYTES ? unit_bytes(v->text, &value)
                                              : unit_count(v->text, &value);
  if (want) return wrong(b, v, want, "");
  TRY(check_bounds(b, row, v, (double)value));
  if (row->width == 4 && (value > INT32_MAX || value < INT32_MIN))
    return wrong(b, v, "at most 2147483647", "");
  store_int(row, field, value);
  return true;
}

static bool bind_real(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  double value = 0;
  const char *want = row->type == CFG_FLOAT    ? unit_float(v->text, &value)
                     : row->type == CFG_SHARE  ? unit_share(v->text, &value)
                     : row->type == CFG_JOULES ? unit_joules(v->text, &value)
                                               : unit_seconds(v->text, &value);
  if (want) return wrong(b, v, want, "");
  TRY(check_bounds(b, row, v, value));
  store_float(row, field, value);
  return true;
}

static bool bind_amount(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  CfgAmount amount = {.share = strchr(v->text, '%') != NULL};
  int64_t count = 0;
  ASSERT(row->width == sizeof amount);
  const char *bad = amount.share ? unit_share(v->text, &amount.value) : unit_count(v->text, &count);
  if (bad) return wrong(b, v, "a count such as 2.5M, or a share such as 50%", "");
  if (!amount.share) amount.value = (double)count;
  if (amount.value <= 0) return wrong(b, v, "more than 0", "");
  memcpy(field, &amount, sizeof amount);
  return true;
}

static bool bind_bool(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  bool yes = strcmp(v->text, "yes") == 0 || strcmp(v->text, "true") == 0;
  bool no = strcmp(v->text, "no") == 0 || strcmp(v->text, "false") == 0;
  ASSERT(row->width == sizeof yes);
  if (!yes && !no) return wrong(b, v, "yes or no", "");
  memcpy(field, &yes, sizeof yes);
  return true;
}

static bool bind_enum(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  StrBuf want = {0};
  for (int i = 0; row->names[i]; i++) {
    if (strcmp(v->text, row->names[i]) == 0) {
      store_int(row, field, i);
      sb_free(&want);
      return true;
    }
    sb_printf(&want, "%s%s", i == 0 ? "" : row->names[i + 1] ? ", " : " or ", row->names[i]);
  }
  wrong(b, v, sb_str(&want), "");
  sb_free(&want);
  const char *near = name_nearest(v->text, row->names);
  if (near) diag_hint(b->d, "did you mean \"%s\"?", near);
  return false;
}

static bool check_path(Binder *b, const CfgRow *row, const Yaml *v, const char *path) {
  bool folder = file_is_dir(path), there = file_exists(path);
  static const char *const wants[] = {"", "a file", "a folder", "a file or a folder"};
  if (row->path == CFG_ANY_PATH || (there && row->path == CFG_FILE_OR_FOLDER)) return true;
  if (there && folder == (row->path == CFG_FOLDER)) return true;
  wrong(b, v, wants[row->path],
        there ? (folder ? ", this is a folder" : ", this is a file") : " that exists");
  if (!there)
    diag_hint(b->d, "looked for %s (paths start at the folder of %s)", path, path_base(b->file->path));
  return false;
}

static bool bind_text(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  const char *text = v->text;
  ASSERT(row->width == sizeof text);
  if (row->type == CFG_PATH) {
    text = strcmp(b->file->dir, ".") == 0 ? v->text : path_join(b->a, b->file->dir, v->text);
    if (b->entry) TRY(check_path(b, row, v, text));
  }
  memcpy(field, &text, sizeof text);
  return true;
}

/* ---- Groups and lists */

static Loc *row_loc(const CfgRow *row, char *base) {
  return row->loc_offset ? (Loc *)(void *)(base + row->loc_offset - 1) : NULL;
}

/* Defaults come as text and go the same way as the user's values. */
static void fill_defaults(Binder *b, const Schema *s, char *base) {
  const Yaml *entry = b->entry;
  b->entry = NULL;
  for (const CfgRow *row = s->rows; row->key; row++) {
    if (row->type == CFG_GROUP) fill_defaults(b, row->sub, base + row->offset);
    if (!row->otherwise) continue;
    Yaml text = {.type = YAML_SCALAR, .text = row->otherwise};
    ASSERT(bind_value(b, row, &text, base + row->offset));
  }
  b->entry = entry;
}

static const CfgRow *find_row(const Schema *s, const char *key) {
  const CfgRow *row = s->rows;
  while (row->key && strcmp(row->key, key) != 0) row++;
  return row->key ? row : NULL;
}

/* A misspelt key has been reported already. */
static bool misspelt(const Schema *s, const Yaml *v, const char *key) {
  for (const Yaml *m = v->first; m; m = m->next) {
    const char *near = find_row(s, m->key) ? NULL : nearest_key(s, m->key);
    if (near && strcmp(near, key) == 0) return true;
  }
  return false;
}

static bool missing_keys(Binder *b, const Schema *s, const Yaml *v) {
  bool ok = true;
  const Loc *at = v->key ? &v->key_loc : &v->loc;
  for (const CfgRow *row = s->rows; row->key; row++) {
    if (!row->required || yaml_get(v, row->key) || misspelt(s, v, row->key)) continue;
    ok = yaml_error(b->file, at, b->d, "%s \"%s\" is missing%s%s", s->noun, row->key, v->key ? " in " : "",
                    v->key ? v->key : "");
    diag_hint(b->d, "%s: %s", row->key, row->doc);
  }
  return ok;
}

static bool bind_member(Binder *b, const Schema *s, const Yaml *m, char *base) {
  const CfgRow *row = find_row(s, m->key);
  if (!row) return unknown_key(b, s, m);
  if (row->type == CFG_FOREIGN) {
    yaml_error(b->file, &m->key_loc, b->d, "%s \"%s\" cannot stand in this file", s->noun, m->key);
    diag_hint(b->d, "%s", row->doc);
    return false;
  }
  Loc *loc = row_loc(row, base);
  if (loc) *loc = m->key_loc;
  b->entry = m;
  b->noun = s->noun;
  return bind_value(b, row, m, base + row->offset);
}

/* base: the struct, cleared and with its defaults. */
static bool bind_group(Binder *b, const Schema *s, const Yaml *v, char *base) {
  Binder outer = *b;
  if (v->type != YAML_MAPPING) {
    if (b->entry)
      wrong(b, v, "a group of keys", "");
    else
      yaml_error(b->file, &v->loc, b->d, "want a group of keys (\"key: value\"), got %s", yaml_what(v));
    diag_hint(b->d, "possible here: %s", key_list(s, b->a));
    return false;
  }
  bool ok = true;
  for (const Yaml *m = v->first; m; m = m->next) ok = bind_member(b, s, m, base) && ok;
  ok = missing_keys(b, s, v) && ok;
  b->entry = outer.entry;
  b->noun = outer.noun;
  return ok;
}

static bool check_items(const Binder *b, const CfgRow *row, const Yaml *v, uint32_t n) {
  char want[80];
  if (row->min_items && n < (uint32_t)row->min_items)
    snprintf(want, sizeof want, "at least %d item%s", row->min_items, row->min_items == 1 ? "" : "s");
  else if (row->max_items && n > (uint32_t)row->max_items)
    snprintf(want, sizeof want, "at most %d items", row->max_items);
  else
    return true;
  return yaml_error(b->file, v == b->entry ? &b->entry->key_loc : &v->loc, b->d, "%s \"%s\": want %s, got %u",
                    b->noun, b->entry->key, want, n);
}

static bool bind_list(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  bool groups = row->type == CFG_GROUPS, one = row->one_ok && v->type == YAML_SCALAR && v->text[0];
  ASSERT(row->width == sizeof(CfgList) && b->entry);
  if (v->type != YAML_LIST && !one) {
    wrong(b, v, row->one_ok ? "a value or a list" : "a list",
          groups ? " (\"- key: value\")" : " (\"[a, b]\")");
    return false;
  }
  uint32_t n = one ? 1 : v->n;
  TRY(check_items(b, row, v, n));
  CfgRow item = *row;
  item.type = groups ? CFG_GROUP : row->item;
  item.width = groups ? row->sub->size : row->item_width;
  char *items = arena_array(b->a, n, item.width);
  Loc *locs = arena_array(b->a, n, sizeof *locs);
  const Yaml *at = one ? v : v->first;
  bool ok = true;
  for (uint32_t i = 0; i < n; i++, at = at->next) {
    locs[i] = at->loc;
    ok = bind_value(b, &item, at, items + i * item.width) && ok;
  }
  CfgList list = {.items = items, .locs = locs, .n = (int)n};
  memcpy(field, &list, sizeof list);
  return ok;
}

/* The key of the group that a plain value is the value of; NULL: this is none. */
static const CfgRow *plain_row(const CfgRow *row, const Yaml *v) {
  return row->plain && v->type != YAML_MAPPING ? find_row(row->sub, row->plain) : NULL;
}

static bool bind_sub(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  const CfgRow *plain = plain_row(row, v);
  fill_defaults(b, row->sub, field);
  if (!plain) return bind_group(b, row->sub, v, field);
  Loc *loc = row_loc(plain, field);
  if (loc) *loc = b->entry->key_loc;
  return bind_value(b, plain, v, field + plain->offset);
}

static bool bind_value(Binder *b, const CfgRow *row, const Yaml *v, char *field) {
  static const char *const wants[] = {"a text",    "a number", "a number",         "a share",
                                      "a size",    "a count",  "a count or share", "a time",
                                      "an energy", "a name",   "yes or no",        "a path"};
  switch (row->type) {
  case CFG_GROUP: return bind_sub(b, row, v, field);
  case CFG_GROUPS:
  case CFG_LIST: return bind_list(b, row, v, field);
  case CFG_FOREIGN: return true;
  default: break;
  }
  if (v->type != YAML_SCALAR || !v->text[0]) return wrong(b, v, wants[row->type], "");
  switch (row->type) {
  case CFG_STRING:
  case CFG_PATH: return bind_text(b, row, v, field);
  case CFG_INT:
  case CFG_BYTES:
  case CFG_COUNT: return bind_whole(b, row, v, field);
  case CFG_FLOAT:
  case CFG_SHARE:
  case CFG_SECONDS:
  case CFG_JOULES: return bind_real(b, row, v, field);
  case CFG_AMOUNT: return bind_amount(b, row, v, field);
  case CFG_ENUM: return bind_enum(b, row, v, field);
  default: return bind_bool(b, row, v, field);
  }
}

bool config_bind(const YamlFile *f, const Yaml *v, const Schema *schema, void *out, Arena *a, Diag *d) {
  Binder b = {.file = f, .a = a, .d = d, .noun = schema->noun};
  memset(out, 0, schema->size);
  fill_defaults(&b, schema, out);
  return bind_group(&b, schema, v, out);
}

/* ---- Help */

static const char *takes(const CfgRow *row, CfgType type) {
  switch (type) {
  case CFG_STRING: return "TEXT";
  case CFG_INT:
  case CFG_FLOAT: return "NUMBER";
  case CFG_SHARE: return "SHARE";
  case CFG_BYTES: return "SIZE";
  case CFG_COUNT: return "COUNT";
  case CFG_AMOUNT: return "COUNT or SHARE";
  case CFG_SECONDS: return "TIME";
  case CFG_JOULES: return "ENERGY";
  case CFG_BOOL: return "yes or no";
  case CFG_PATH: return row->path == CFG_FOLDER ? "FOLDER" : row->path == CFG_FILE ? "FILE" : "PATH";
  default: return "";
  }
}

static void print_names(const CfgRow *row, StrBuf *out) {
  for (int i = 0; row->names[i]; i++) sb_printf(out, "%s%s", i ? " or " : "", row->names[i]);
}

static void print_rows(const Schema *s, StrBuf *out, int indent, bool item);

static void print_row(const CfgRow *row, StrBuf *out, int indent, bool dash) {
  enum { DOC_COLUMN = 38 };
  size_t start = out->len;
  sb_printf(out, "%*s%s%s:", dash ? indent - 2 : indent, "", dash ? "- " : "", row->key);
  CfgType type = row->type == CFG_LIST ? row->item : row->type;
  const CfgRow *plain = row->plain ? find_row(row->sub, row->plain) : NULL;
  if (plain) sb_printf(out, " %s, or", takes(plain, plain->type));
  if (type != CFG_GROUP && type != CFG_GROUPS) sb_putc(out, ' ');
  if (row->type == CFG_LIST) sb_putc(out, '[');
  if (type == CFG_ENUM)
    print_names(row, out);
  else
    sb_puts(out, takes(row, type));
  if (row->type == CFG_LIST) sb_puts(out, ", ...]");
  size_t used = out->len - start;
  sb_printf(out, "%*s# ", used < DOC_COLUMN ? (int)(DOC_COLUMN - used) : 1, "");
  if (row->required) sb_puts(out, "(required) ");
  sb_puts(out, row->doc);
  if (row->otherwise) sb_printf(out, " (default: %s)", row->otherwise);
  sb_putc(out, '\n');
  if (row->sub)
    print_rows(row->sub, out, indent + (row->type == CFG_GROUPS ? 4 : 2), row->type == CFG_GROUPS);
}

static void print_rows(const Schema *s, StrBuf *out, int indent, bool item) {
  for (const CfgRow *row = s->rows; row->key; row++) {
    if (row->type == CFG_FOREIGN) continue;
    print_row(row, out, indent, item);
    item = false;
  }
}

void config_print_help(const Schema *schema, StrBuf *out) { print_rows(schema, out, 0, false); }
