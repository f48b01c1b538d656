/* Schemas: a table of rows binds a part of a YAML file to a struct, checks it, and documents it.
 *
 *   static const CfgRow limit_rows[] = {
 *     {.key = "ram", CFG_FIELD(Limits, ram), .type = CFG_BYTES, CFG_FROM(1), CFG_WHERE(Limits, ram_loc),
 *      .doc = "memory for the model's values"},
 *     {0}};
 *   static const Schema limits = {"limit", limit_rows, sizeof(Limits)};
 *
 * Binding goes on after an error, so that a file's faults are told at once. Every message has file:line:col, the
 * source line, a caret, and the way out: the nearest key, the keys there are, what is wanted.
 */
#ifndef FRONTEND_CONFIG_SCHEMA_H
#define FRONTEND_CONFIG_SCHEMA_H

#include <math.h>

#include "frontend/config/yaml.h"
#include "ir/base/strbuf.h"

typedef enum CfgType {
  CFG_STRING,  /* const char *, not empty */
  CFG_INT,     /* int32_t, uint32_t or int64_t, uint64_t (at most 2^31-1 or 2^63-1) */
  CFG_FLOAT,   /* float or double */
  CFG_SHARE,   /* float or double in 0..1: 85% or 0.85 */
  CFG_BYTES,   /* int64_t: 256KiB, 64 kB */
  CFG_COUNT,   /* int64_t: 2.5M */
  CFG_AMOUNT,  /* CfgAmount: a count, or a share of something */
  CFG_SECONDS, /* double: 90s, 5min */
  CFG_JOULES,  /* double: 250uJ, 1.5mJ */
  CFG_ENUM,    /* an enum: the index in `names` */
  CFG_BOOL,    /* bool: yes, no, true, false */
  CFG_PATH,    /* const char *: relative to the folder of the YAML file */
  CFG_GROUP,   /* a struct inside the struct, bound by `sub` */
  CFG_GROUPS,  /* CfgList of such structs */
  CFG_LIST,    /* CfgList of values of type `item` */
  CFG_FOREIGN  /* nothing: the key belongs into another file, which `doc` says */
} CfgType;

typedef struct CfgAmount {
  double value; /* count, or 0..1 */
  bool share;
} CfgAmount;

typedef struct CfgList {
  void *items;     /* n of item_width bytes (CFG_LIST) or sub->size bytes (CFG_GROUPS); in the arena */
  const Loc *locs; /* n */
  int n;
} CfgList;

typedef enum CfgPath { CFG_ANY_PATH, CFG_FILE, CFG_FOLDER, CFG_FILE_OR_FOLDER } CfgPath; /* what must exist */

typedef struct CfgRow {
  const char *key;
  CfgType type, item;
  size_t offset, width, loc_offset; /* of the field; of its Loc, plus 1 (0: none) */
  bool required;
  bool one_ok;         /* list: a single value counts as a list of one */
  bool bounded, above; /* min <= value <= max; above: min < value */
  double min, max; /* of values; of the number of items of CFG_GROUPS and CFG_LIST: min_items, max_items */
  int min_items, max_items; /* 0: any */
  size_t item_width;
  const char *otherwise;    /* default, as text; NULL: the field stays zero */
  const char *const *names; /* CFG_ENUM, NULL-terminated */
  const struct Schema *sub;
  const char *plain; /* CFG_GROUP: a value that is no group counts as that of this key of it */
  CfgPath path;
  const char *doc;
} CfgRow;

typedef struct Schema {
  const char *noun;   /* of an entry in messages: "key", "limit" */
  const CfgRow *rows; /* ended by a row without key */
  size_t size;        /* of the struct */
} Schema;

#define CFG_FIELD(S, field) .offset = offsetof(S, field), .width = sizeof(((S *)0)->field)
#define CFG_WHERE(S, field) .loc_offset = offsetof(S, field) + 1
#define CFG_FROM(lo)        .bounded = true, .min = (lo), .max = INFINITY
#define CFG_RANGE(lo, hi)   .bounded = true, .min = (lo), .max = (hi)
#define CFG_ABOVE(lo)       .bounded = true, .above = true, .min = (lo), .max = INFINITY

/* Bind mapping v (of file f) to *out (schema->size bytes, cleared first). Defaults are filled in, those of groups
 * that are absent too; a Loc field tells whether the key was given (line > 0). Strings and lists live in `a`.
 * false: reported; *out then holds what could be bound. */
bool config_bind(const YamlFile *f, const Yaml *v, const Schema *schema, void *out, Arena *a, Diag *d);

/* All keys as an annotated YAML skeleton: key, what it takes, whether required, default, meaning. */
void config_print_help(const Schema *schema, StrBuf *out);

#endif
