/* YAML files as located trees: what every error about a configuration file points into.
 *
 * The subset that configuration needs: one document of scalars, lists and mappings with plain keys. Refused, at
 * their place: duplicate keys (libyaml accepts them silently), anchors, aliases, tags, further documents, keys
 * that are no scalars; and files beyond the bounds below, so that no file can cost more than it is worth.
 */
#ifndef FRONTEND_CONFIG_YAML_H
#define FRONTEND_CONFIG_YAML_H

#include <stdint.h>

#include "ir/base/arena.h"
#include "ir/base/diag.h"

enum { YAML_MAX_BYTES = 1 << 20, YAML_MAX_DEPTH = 24, YAML_MAX_NODES = 50000, YAML_MAX_KEYS = 1000 };

typedef enum YamlType { YAML_SCALAR, YAML_LIST, YAML_MAPPING } YamlType;

typedef struct Yaml {
  YamlType type;
  Loc loc;          /* of the value, from 1 */
  const char *text; /* scalar: NUL-terminated UTF-8 */
  bool quoted;      /* scalar in quotes or a block: text, never a number */
  const char *key;  /* of a member of a mapping */
  Loc key_loc;
  uint32_t n; /* members */
  struct Yaml *first, *next;
} Yaml;

typedef struct YamlFile {
  const char *path; /* as the user named it */
  const char *dir;  /* its folder: paths in the file start there */
  const char *text;
  size_t size;
  Yaml *root;
} YamlFile;

/* Read and parse; everything lives in `a`. NULL: reported. */
const YamlFile *yaml_load(Arena *a, const char *path, Diag *d);
const YamlFile *yaml_parse_text(Arena *a, const char *text, size_t n, const char *path, Diag *d);

/* Report at loc with the source line and a caret. Returns false. Add the way out with diag_hint. */
bool yaml_error(const YamlFile *f, const Loc *loc, Diag *d, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Member `key` of a mapping; NULL: none. */
const Yaml *yaml_get(const Yaml *map, const char *key);
/* "a number", "a list", ...: what v is, for messages. */
const char *yaml_what(const Yaml *v);

#endif
