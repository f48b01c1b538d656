/* JSON (RFC 8259): a streaming writer over StrBuf, and a bounds-checked reader into an arena tree.
 *
 *   JsonWriter w; json_begin(&w, &sb, true);
 *   json_object(&w); json_kstr(&w, "name", "m4"); json_key(&w, "sizes"); json_array(&w); json_int(&w, 3);
 *   json_end(&w); json_end(&w);  ASSERT(json_finished(&w));
 */
#ifndef IR_BASE_JSON_H
#define IR_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/strbuf.h"

enum { JSON_MAX_DEPTH = 64 };

/* -- writing -- */

/* Treat as opaque. Misuse (a value without its key in an object, json_end too often) is our fault and asserted. */
typedef struct JsonWriter {
  StrBuf *out;
  bool pretty, keyed, done;
  int depth;
  char close[JSON_MAX_DEPTH]; /* '}' or ']' of each open container */
  bool has_items[JSON_MAX_DEPTH];
} JsonWriter;

/* Start one JSON text, appended to `out`, which the caller owns. pretty: a line per item, two spaces a level;
 * otherwise all on one line (for logs of one record a line). */
void json_begin(JsonWriter *w, StrBuf *out, bool pretty);
void json_object(JsonWriter *w);
void json_array(JsonWriter *w);
void json_end(JsonWriter *w); /* closes the innermost object or array; the last one ends the line */
bool json_finished(const JsonWriter *w);

void json_key(JsonWriter *w, const char *key); /* the next call writes its value */
void json_str(JsonWriter *w, const char *s);   /* UTF-8; NULL gives null */
void json_int(JsonWriter *w, int64_t v);
void json_uint(JsonWriter *w, uint64_t v);
void json_num(JsonWriter *w, double v); /* shortest text that reads back the same; not finite gives null */
void json_bool(JsonWriter *w, bool v);
void json_null(JsonWriter *w);

/* key and value in one */
void json_kstr(JsonWriter *w, const char *key, const char *s);
void json_kint(JsonWriter *w, const char *key, int64_t v);
void json_knum(JsonWriter *w, const char *key, double v);
void json_kbool(JsonWriter *w, const char *key, bool v);
void json_kobject(JsonWriter *w, const char *key);
void json_karray(JsonWriter *w, const char *key);

/* -- reading -- */

typedef enum JsonType { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;

typedef struct Json {
  JsonType type;
  bool boolean;
  bool is_int;     /* number without fraction and exponent that fits int64 */
  int64_t integer; /* valid when is_int */
  double number;
  const char *str; /* NUL-terminated UTF-8; holds no NUL byte */
  const char *key; /* of a member of an object */
  uint32_t n;      /* members of an array or object */
  struct Json *first, *next;
} Json;

/* Parse n bytes of text (not trusted; need not be NUL-terminated). The tree lives in `a`. NULL: reported at
 * file:line:col with the line. Refused: more than JSON_MAX_DEPTH levels, \u0000 in strings, text after the value. */
Json *json_parse(Arena *a, const char *text, size_t n, const char *file, Diag *d);

/* NULL where there is no such member, or v is NULL or of another type, so that calls nest. First of equal keys. */
const Json *json_get(const Json *v, const char *key);
const Json *json_at(const Json *v, uint32_t i);
/* Member `key` of object v as the type asked for, `otherwise` where it is missing or of another type. */
const char *json_get_str(const Json *v, const char *key, const char *otherwise);
int64_t json_get_int(const Json *v, const char *key, int64_t otherwise);
double json_get_num(const Json *v, const char *key, double otherwise);
bool json_get_bool(const Json *v, const char *key, bool otherwise);

#endif
