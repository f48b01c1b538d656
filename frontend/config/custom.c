/* The list of custom operators: its keys, the rules among them; see custom.h.
 *
 *   YAML -> RawCustom (by the tables) -> CustomLibrary: rules, texts of the files
 */
#include "frontend/config/custom.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontend/config/units.h"
#include "ir/base/file.h"

typedef struct RawOperator {
  const char *op, *function, *type;
  CfgList files, shape, ints, floats, ignore; /* const char * */
  int64_t scratch;
  Loc op_loc, function_loc, files_loc, type_loc, shape_loc;
} RawOperator;

typedef struct RawCustom {
  CfgList operators;
} RawCustom;

#define STRINGS(f)                                                                                     \
  CFG_FIELD(RawOperator, f), .type = CFG_LIST, .item = CFG_STRING, .item_width = sizeof(const char *), \
                             .one_ok = true

static const CfgRow operator_rows[] = {
    {.key = "op",
     CFG_FIELD(RawOperator, op),
     .type = CFG_STRING,
     CFG_WHERE(RawOperator, op_loc),
     .required = true,
     .doc = "the operator: DOMAIN:NAME of ONNX, a custom code of TensorFlow Lite"},
    {.key = "function",
     CFG_FIELD(RawOperator, function),
     .type = CFG_STRING,
     CFG_WHERE(RawOperator, function_loc),
     .required = true,
     .doc = "the C function: void FUNCTION(const mf_custom *op)"},
    {.key = "files",
     CFG_FIELD(RawOperator, files),
     .type = CFG_LIST,
     .item = CFG_PATH,
     .item_width = sizeof(const char *),
     .one_ok = true,
     .path = CFG_FILE,
     CFG_WHERE(RawOperator, files_loc),
     .required = true,
     .min_items = 1,
     .max_items = CUSTOM_MAX_FILES,
     .doc = "sources (.c) that define it, and headers that they include (mistify_custom.h is there)"},
    {.key = "type",
     CFG_FIELD(RawOperator, type),
     .type = CFG_STRING,
     CFG_WHERE(RawOperator, type_loc),
     .doc = "element type of the output: f32, i8, i32, ...; input 0's when left out"},
    {.key = "shape",
     STRINGS(shape),
     .max_items = MAX_RANK,
     CFG_WHERE(RawOperator, shape_loc),
     .doc = "shape of the output, N in front for the batch: [N, 10]; input 0's when left out"},
    {.key = "ints",
     STRINGS(ints),
     .max_items = CUSTOM_MAX_PARAMS,
     .doc = "attributes that the function gets as integers, by name; NAME=VALUE where the model gives none"},
    {.key = "floats",
     STRINGS(floats),
     .max_items = CUSTOM_MAX_PARAMS,
     .doc = "attributes that the function gets as numbers"},
    {.key = "ignore",
     STRINGS(ignore),
     .max_items = CUSTOM_MAX_PARAMS,
     .doc = "attributes that mean nothing to the function"},
    {.key = "scratch",
     CFG_FIELD(RawOperator, scratch),
     .type = CFG_BYTES,
     CFG_RANGE(0, INT32_MAX),
     .doc = "memory that the function is lent while it runs"},
    {0}};
static const Schema operator_schema = {"key", operator_rows, sizeof(RawOperator)};

static const CfgRow custom_rows[] = {{.key = "operators",
                                      CFG_FIELD(RawCustom, operators),
                                      .type = CFG_GROUPS,
                                      .sub = &operator_schema,
                                      .required = true,
                                      .min_items = 1,
                                      .max_items = 200,
                                      .doc = "one entry for each operator"},
                                     {0}};
const Schema custom_schema = {"key", custom_rows, sizeof(RawCustom)};

/* ---- Rules beyond single keys */

typedef struct Reader {
  const YamlFile *file;
  CustomLibrary *l;
  Arena *a; /* the library's */
  Diag *d;
} Reader;

static const char *string_at(const CfgList *list, int i) { return ((const char *const *)list->items)[i]; }

/* A Loc of the library's own. */
static Loc own_loc(const Reader *r, const Loc *loc) {
  Loc own = *loc;
  own.file = arena_strdup(r->a, loc->file);
  return own;
}

static bool read_function(const Reader *r, const RawOperator *raw, CustomRule *out) {
  const char *s = raw->function;
  bool ok = isalpha((unsigned char)*s) || *s == '_';
  for (const char *p = s; *p; p++) ok = ok && (isalnum((unsigned char)*p) || *p == '_');
  if (!ok || strlen(s) >= sizeof(Word))
    return yaml_error(r->file, &raw->function_loc, r->d,
                      "function \"%.80s\": want a C identifier of at most %zu letters", s, sizeof(Word) - 1);
  out->function = arena_strdup(r->a, s);
  return true;
}

static bool read_op(const Reader *r, const RawOperator *raw, CustomRule *out) {
  const char *colon = strrchr(raw->op, ':');
  out->op = arena_strdup(r->a, raw->op);
  out->name = colon ? arena_strdup(r->a, colon + 1) : out->op;
  out->domain = colon ? arena_strndup(r->a, raw->op, (size_t)(colon - raw->op)) : "";
  if (strcmp(out->domain, "ai.onnx") == 0) out->domain = "";
  if (!*out->name)
    return yaml_error(r->file, &raw->op_loc, r->d, "op \"%s\" has no operator behind its domain", raw->op);
  for (int i = 0; i < custom_n_rules(r->l); i++)
    if (strcmp(custom_rule_at(r->l, i)->op, out->op) == 0)
      return yaml_error(r->file, &raw->op_loc, r->d, "op \"%s\" is listed twice", raw->op);
  return true;
}

static bool read_file(const Reader *r, const char *path, const Loc *loc, CustomRule *out) {
  CustomFile f = {.path = arena_strdup(r->a, path)};
  f.name = path_base(f.path);
  const char *ext = path_ext(f.name);
  f.source = strcmp(ext, ".c") == 0;
  if (!f.source && strcmp(ext, ".h") != 0)
    return yaml_error(r->file, loc, r->d, "file %s: want a source (.c) or a header (.h)", f.name);
  if (strcmp(f.name, CUSTOM_HEADER) == 0)
    return yaml_error(r->file, loc, r->d, "%s is there by itself: leave it out", CUSTOM_HEADER);
  if (strncmp(f.name, "mistify_", 8) == 0)
    return yaml_error(r->file, loc, r->d, "file \"%s\": names that begin with mistify_ are taken", f.name);
  if (f.name[strspn(f.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")])
    return yaml_error(r->file, loc, r->d, "file \"%s\": want letters, digits, . _ + - in its name", f.name);
  f.text = file_read(r->a, path, &f.size, r->d);
  TRY(f.text != NULL);
  const int i = custom_add_file(r->l, &f, loc, r->d);
  if (i >= 0) out->files[out->n_files++] = i;
  return i >= 0;
}

static bool read_files(const Reader *r, const RawOperator *raw, CustomRule *out) {
  bool source = false;
  for (int i = 0; i < raw->files.n; i++) {
    TRY(read_file(r, string_at(&raw->files, i), &raw->files.locs[i], out));
    source = source || custom_file(r->l, out->files[i])->source;
  }
  if (source) return true;
  return yaml_error(r->file, &raw->files_loc, r->d, "files of \"%s\": none is a source (.c)", raw->op);
}

static bool read_output(const Reader *r, const RawOperator *raw, CustomRule *out) {
  if (raw->type && !dtype_parse(raw->type, &out->type)) {
    yaml_error(r->file, &raw->type_loc, r->d, "type \"%s\" is no element type", raw->type);
    diag_hint(r->d, "there are f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool");
    return false;
  }
  out->shaped = raw->shape_loc.line > 0;
  out->shape.rank = raw->shape.n;
  for (int i = 0; i < raw->shape.n; i++) {
    const char *s = string_at(&raw->shape, i);
    const bool batch = i == 0 && strcmp(s, "N") == 0;
    if (!batch && (unit_int(s, &out->shape.d[i]) || out->shape.d[i] < 1 || out->shape.d[i] > INT32_MAX))
      return yaml_error(r->file, &raw->shape.locs[i], r->d,
                        "shape: \"%s\": want an extent, or N in front for the batch", s);
    if (batch) out->shape.d[i] = DIM_BATCH;
  }
  return true;
}

/* "axis" or "axis=1". */
static bool read_params(const Reader *r, const CfgList *list, bool whole, CustomParam *out, int *n) {
  for (int i = 0; i < list->n; i++) {
    const char *s = string_at(list, i), *equals = strchr(s, '=');
    CustomParam *p = &out[(*n)++];
    *p = (CustomParam){.name = arena_strndup(r->a, s, equals ? (size_t)(equals - s) : strlen(s)),
                       .has_value = equals != NULL,
                       .loc = own_loc(r, &list->locs[i])};
    const bool bad = !*p->name || (equals && unit_float(equals + 1, &p->value) != NULL) ||
                     (whole && (p->value != floor(p->value) || fabs(p->value) > INT32_MAX));
    if (bad)
      return yaml_error(r->file, &list->locs[i], r->d, "attribute \"%s\": want NAME or NAME=%s", s,
                        whole ? "INTEGER" : "NUMBER");
  }
  return true;
}

static bool read_operator(const Reader *r, const RawOperator *raw) {
  CustomRule rule = {.loc = own_loc(r, &raw->op_loc), .scratch = (int32_t)raw->scratch};
  TRY(read_op(r, raw, &rule) && read_function(r, raw, &rule) && read_files(r, raw, &rule) &&
      read_output(r, raw, &rule) && read_params(r, &raw->ints, true, rule.ints, &rule.n_ints) &&
      read_params(r, &raw->floats, false, rule.floats, &rule.n_floats));
  for (int i = 0; i < raw->ignore.n; i++)
    rule.ignore[rule.n_ignore++] = arena_strdup(r->a, string_at(&raw->ignore, i));
  custom_add_rule(r->l, &rule);
  return true;
}

CustomLibrary *custom_load(const char *path, Diag *d) {
  Arena *a = arena_new();
  RawCustom raw;
  Reader r = {.file = yaml_load(a, path, d), .l = custom_new(), .d = d};
  r.a = custom_arena(r.l);
  bool ok = r.file && config_bind(r.file, r.file->root, &custom_schema, &raw, a, d);
  for (int i = 0; ok && i < raw.operators.n; i++)
    ok = read_operator(&r, &((const RawOperator *)raw.operators.items)[i]);
  arena_free(a);
  if (ok) return r.l;
  custom_unref(r.l);
  return NULL;
}
