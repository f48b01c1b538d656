/* Options of training as text: "epochs=1,images=0,...", which the fields' table (options.def) prints and reads. */
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/train/train.h"

typedef enum FieldKind { INT, LONG, UINT, BOOL, FLOAT, DROPS, OPTIMIZER, SCHEDULE, LOSS } FieldKind;

/* Words of the enums, in their order. */
static const char *const words[][4] = {[OPTIMIZER] = {"sgd", "adamw"},
                                       [SCHEDULE] = {"cosine", "constant", "steps"},
                                       [LOSS] = {"labels", "input"}};

typedef struct Field {
  const char *name;
  FieldKind kind;
  size_t offset;
} Field;

#define FIELD(type, name, field) {#name, type, offsetof(TrainOptions, field)},
static const Field fields[] = {
#include "runtime/engine/train/options.def"
};
#undef FIELD
enum { N_FIELDS = sizeof fields / sizeof *fields };
_Static_assert(sizeof(OptimizerKind) == sizeof(int), "enums are ints");

static void print_field(const TrainOptions *o, const Field *f, StrBuf *out) {
  const char *at = (const char *)o + f->offset;
  switch (f->kind) {
  case INT: sb_printf(out, "%d", *(const int *)(const void *)at); return;
  case LONG: sb_printf(out, "%lld", (long long)*(const int64_t *)(const void *)at); return;
  case UINT: sb_printf(out, "%u", *(const uint32_t *)(const void *)at); return;
  case BOOL: sb_printf(out, "%d", *(const bool *)at); return;
  case FLOAT: sb_printf(out, "%.9g", (double)*(const float *)(const void *)at); return;
  case DROPS:
    for (int i = 0; i < o->n_drops; i++) sb_printf(out, "%s%.9g", i ? ";" : "", (double)o->drops[i]);
    return;
  default: sb_puts(out, words[f->kind][*(const int *)(const void *)at]); return;
  }
}

void train_options_print(const TrainOptions *o, StrBuf *out) {
  for (int i = 0; i < N_FIELDS; i++) {
    sb_printf(out, "%s%s=", i ? "," : "", fields[i].name);
    print_field(o, &fields[i], out);
  }
}

/* The text behind "name=", up to its comma; NULL: not there. */
static const char *find_field(const char *text, const char *name, size_t *len) {
  size_t n = strlen(name);
  for (const char *p = text; p && *p;) {
    if (strncmp(p, name, n) == 0 && p[n] == '=') {
      *len = strcspn(p + n + 1, ",");
      return p + n + 1;
    }
    p = strchr(p, ',');
    if (p) p++;
  }
  return NULL;
}

static bool parse_drops(const char *text, size_t len, TrainOptions *o) {
  o->n_drops = 0;
  for (const char *p = text; p < text + len;) {
    char *end;
    if (o->n_drops == TRAIN_MAX_DROPS) return false;
    o->drops[o->n_drops++] = strtof(p, &end);
    if (end == p || (end < text + len && *end != ';')) return false;
    p = end + 1;
  }
  return true;
}

static bool parse_word(const char *text, size_t len, FieldKind kind, int *out) {
  for (int i = 0; i < 4 && words[kind][i]; i++) {
    *out = i;
    if (strlen(words[kind][i]) == len && memcmp(words[kind][i], text, len) == 0) return true;
  }
  return false;
}

static bool parse_field(const char *text, size_t len, const Field *f, TrainOptions *o) {
  char *at = (char *)o + f->offset, *end;
  if (f->kind == DROPS) return parse_drops(text, len, o);
  if (f->kind >= OPTIMIZER) return parse_word(text, len, f->kind, (int *)(void *)at);
  if (f->kind == FLOAT) {
    *(float *)(void *)at = strtof(text, &end);
    return len > 0 && end == text + len;
  }
  long long v = strtoll(text, &end, 10);
  bool small = v >= INT32_MIN && v <= INT32_MAX;
  switch (f->kind) {
  case LONG: *(int64_t *)(void *)at = v; break;
  case UINT: *(uint32_t *)(void *)at = (uint32_t)v; break;
  case BOOL: *(bool *)at = v != 0; break;
  default: *(int *)(void *)at = (int)v; break;
  }
  return len > 0 && end == text + len &&
         (f->kind == LONG || small || (f->kind == UINT && v >= 0 && v <= UINT32_MAX));
}

bool train_options_parse(const char *text, TrainOptions *o, Diag *d) {
  for (int i = 0; i < N_FIELDS; i++) {
    size_t len;
    const char *v = find_field(text, fields[i].name, &len);
    FAIL_IF(v && !parse_field(v, len, &fields[i], o), d, NULL, "training: \"%s=%.*s\" is malformed",
            fields[i].name, (int)len, v);
  }
  return true;
}
