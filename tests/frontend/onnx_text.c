/* ONNX files for tests from text: see onnx_text.h. */
#include "tests/frontend/onnx_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx_model.h"
#include "frontend/onnx/writer.h"
#include "tests/support.h"

typedef struct Numbers {
  double v[64];
  int n;
} Numbers;

static int type_number(const char *t) {
  static const char *const names[] = {"none", "f32", "u8",  "i8",  "u16", "i16", "i32",  "i64", "str",
                                      "bool", "f16", "f64", "u32", "u64", "c64", "c128", "bf16"};
  for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
    if (strcmp(names[i], t) == 0) return i;
  ck_abort_msg("onnx_text: no type \"%s\"", t);
  return 0;
}

static Numbers numbers(const char *text) {
  Numbers list = {.n = 0};
  while (*text && *text != '-' ? true : text[0] == '-' && text[1] != 0) {
    char *end;
    ck_assert(list.n < 64);
    list.v[list.n++] = strtod(text, &end);
    ck_assert_msg(end != text, "onnx_text: no number: \"%s\"", text);
    text = *end == ',' ? end + 1 : end;
    if (!*end) break;
  }
  return list;
}

static void element(StrBuf *to, DType t, double v) {
  int64_t whole = (int64_t)v;
  float f = (float)v;
  unsigned char bytes[8];
  if (t == DT_F32)
    memcpy(bytes, &f, 4);
  else if (t == DT_F64)
    memcpy(bytes, &v, 8);
  else
    memcpy(bytes, &whole, 8);
  sb_write(to, bytes, dtype_size(t));
}

/* Elements of a tensor as raw data, or in the field of their type (unpacked for float32, packed for the others). */
static void tensor_data(StrBuf *m, int type, int64_t count, const Numbers *values, bool typed) {
  StrBuf data = {0};
  DType t = ox_dtype(type);
  for (int64_t i = 0; i < count; i++) {
    double v = values->n ? values->v[i % values->n] : (double)((i * 37 + 11) % 64) / 32.0 - 1.0;
    if (!typed) {
      element(&data, t == DT_NONE ? DT_I16 : t, v);
    } else if (t == DT_F32) {
      pb_float(m, 4, (float)v);
    } else if (t == DT_F64) {
      element(&data, t, v);
    } else { /* packed varints: those that pb_int writes, without their keys */
      StrBuf one = {0};
      pb_int(&one, 1, (int64_t)v);
      sb_write(&data, one.s + 1, one.len - 1);
      sb_free(&one);
    }
  }
  uint32_t id = !typed ? 9 : t == DT_F64 ? 10 : t == DT_I64 ? 7 : t == DT_U32 || t == DT_U64 ? 11 : 5;
  if (data.len || (!typed && t != DT_F32)) pb_bytes(m, id, data.s ? data.s : "", data.len);
  if (!data.len && !typed && t == DT_F32) pb_bytes(m, 9, "", 0);
  sb_free(&data);
}

/* "FILE:OFFSET:LENGTH", parts of it may be left out. */
static void external(StrBuf *m, const char *parts) {
  static const char *const keys[] = {"location", "offset", "length"};
  for (int i = 0; i < 3; i++) {
    size_t n = strcspn(parts, ":");
    StrBuf entry = {0};
    pb_str(&entry, 1, keys[i]);
    pb_bytes(&entry, 2, parts, n);
    if (n) pb_message(m, 13, &entry);
    sb_free(&entry);
    parts += n + (parts[n] == ':');
  }
  pb_int(m, 14, 1);
}

static void tensor(StrBuf *m, const char *name, const char *type, const char *dims, const char *values,
                   const char *how) {
  Numbers d = numbers(dims), v = numbers(values);
  int64_t count = 1;
  for (int i = 0; i < d.n; i++) {
    pb_int(m, 1, (int64_t)d.v[i]);
    count *= (int64_t)d.v[i];
  }
  pb_int(m, 2, type_number(type));
  if (*name) pb_str(m, 8, name);
  if (strncmp(how, "external", 8) == 0) {
    external(m, how[8] ? how + 9 : "weights.bin");
    return;
  }
  tensor_data(m, type_number(type), strstr(how, "short") ? count - 1 : count, &v,
              strncmp(how, "typed", 5) == 0);
}

static void value_info(StrBuf *to, uint32_t id, const char *name, const char *type, char *dims) {
  StrBuf info = {0}, t = {0}, tensor_type = {0}, shape = {0};
  for (char *d = strcmp(dims, "-") == 0 ? NULL : strtok(dims, ","); d; d = strtok(NULL, ",")) {
    StrBuf dim = {0};
    if ((*d >= '0' && *d <= '9') || *d == '-')
      pb_int(&dim, 1, atoll(d));
    else
      pb_str(&dim, 2, d);
    pb_message(&shape, 1, &dim);
  }
  pb_int(&tensor_type, 1, type_number(type));
  pb_message(&tensor_type, 2, &shape);
  pb_message(&t, 1, &tensor_type);
  pb_str(&info, 1, name);
  pb_message(&info, 2, &t);
  pb_message(to, id, &info);
}

enum { MAX_GRAPHS = 8 };

typedef struct File {
  StrBuf graph, functions;
  StrBuf named[MAX_GRAPHS]; /* graphs for attributes */
  char name[MAX_GRAPHS][32];
  int n_named;
  StrBuf around; /* the graph, while something inside of it is written */
  bool in_function;
  int64_t opset, ir;
} File;

/* NAME=VALUE as an AttributeProto, in field `id`. */
static void attribute(const File *f, StrBuf *node, uint32_t id, char *text) {
  StrBuf a = {0}, t = {0};
  char *value = strchr(text, '='), *colon, *second;
  ck_assert_msg(value != NULL, "onnx_text: no attribute: \"%s\"", text);
  *value++ = 0;
  pb_str(&a, 1, text);
  if (*value == '"') {
    pb_bytes(&a, 4, value + 1, strlen(value) - 2);
    pb_int(&a, 20, OX_ATTR_STRING);
  } else if (*value == '$') {
    pb_str(&a, 21, value + 1);
  } else if (*value == '&') {
    int k = 0;
    while (k < f->n_named && strcmp(f->name[k], value + 1) != 0) k++;
    ck_assert_msg(k < f->n_named, "onnx_text: no graph %s", value);
    pb_bytes(&a, 6, f->named[k].s, f->named[k].len);
    pb_int(&a, 20, OX_ATTR_GRAPH);
  } else if (*value == '[') {
    value[strlen(value) - 1] = 0;
    bool floats = strchr(value, '.') != NULL;
    Numbers v = numbers(value + 1);
    for (int i = 0; i < v.n; i++) {
      if (floats)
        pb_float(&a, 7, (float)v.v[i]);
      else
        pb_int(&a, 8, (int64_t)v.v[i]);
    }
    pb_int(&a, 20, floats ? OX_ATTR_FLOATS : OX_ATTR_INTS);
  } else if ((colon = strchr(value, ':')) && (second = strchr(colon + 1, ':'))) {
    *colon = *second = 0;
    tensor(&t, "", value, colon + 1, second + 1, "");
    pb_message(&a, 5, &t);
    pb_int(&a, 20, OX_ATTR_TENSOR);
  } else if (strchr(value, '.')) {
    pb_float(&a, 2, (float)atof(value));
    pb_int(&a, 20, OX_ATTR_FLOAT);
  } else {
    pb_int(&a, 3, atoll(value));
    pb_int(&a, 20, OX_ATTR_INT);
  }
  pb_message(node, id, &a);
}

/* "a,,b" as strings in field `id`; empty ones count. */
static void name_list(StrBuf *node, uint32_t id, const char *list) {
  if (strcmp(list, "-") == 0) return;
  for (const char *end; list; list = *end ? end + 1 : NULL) {
    end = list + strcspn(list, ",");
    pb_bytes(node, id, list, (size_t)(end - list));
  }
}

static void node(File *f, char *words[], int n) {
  StrBuf m = {0};
  ck_assert_msg(n >= 6 && strcmp(words[4], "->") == 0, "onnx_text: node %s", words[1]);
  char *domain = strchr(words[1], '@');
  if (domain) *domain++ = 0;
  name_list(&m, 1, words[3]);
  name_list(&m, 2, words[5]);
  pb_str(&m, 3, words[2]);
  pb_str(&m, 4, words[1]);
  for (int i = 6; i < n; i++) attribute(f, &m, 5, words[i]);
  if (domain) pb_str(&m, 7, domain);
  pb_message(&f->graph, f->in_function ? 7 : 1, &m);
}

static void begin(File *f) {
  f->around = f->graph;
  f->graph = (StrBuf){0};
}

static void begin_function(File *f, char *words[], int n) {
  StrBuf opset = {0};
  begin(f);
  ck_assert(n >= 6);
  f->in_function = true;
  pb_str(&f->graph, 1, words[2]);
  name_list(&f->graph, 4, words[3]);
  name_list(&f->graph, 5, words[5]);
  for (int i = 6; i < n; i++) pb_str(&f->graph, 6, words[i]);
  pb_int(&opset, 2, 13);
  pb_message(&f->graph, 9, &opset);
  pb_str(&f->graph, 10, words[1]);
}

static void end(File *f) {
  if (f->in_function)
    pb_message(&f->functions, 25, &f->graph);
  else
    f->named[f->n_named - 1] = f->graph;
  f->graph = f->around;
  f->in_function = false;
}

static void statement(File *f, char *line) {
  char *words[32];
  int n = 0;
  for (char *p = line; *p && n < 32;) {
    while (*p == ' ') *p++ = 0;
    if (*p) words[n++] = p;
    while (*p && *p != ' ') p++;
  }
  if (n == 0) return;
  const char *w = words[0];
  if (strcmp(w, "opset") == 0) {
    f->opset = atoll(words[1]);
  } else if (strcmp(w, "ir") == 0) {
    f->ir = atoll(words[1]);
  } else if (strcmp(w, "input") == 0) {
    value_info(&f->graph, 11, words[1], words[2], words[3]);
  } else if (strcmp(w, "output") == 0) {
    char scalar[] = "-";
    value_info(&f->graph, 12, words[1], "f32", scalar);
  } else if (strcmp(w, "init") == 0) {
    StrBuf m = {0};
    bool values = n > 5 && strcmp(words[4], "=") == 0;
    const char *how = n > (values ? 6 : 4) ? words[values ? 6 : 4] : "";
    tensor(&m, words[1], words[2], words[3], values ? words[5] : "", how);
    pb_message(&f->graph, 5, &m);
  } else if (strcmp(w, "node") == 0) {
    node(f, words, n);
  } else if (strcmp(w, "begin") == 0) {
    ck_assert(f->n_named < MAX_GRAPHS);
    snprintf(f->name[f->n_named++], sizeof f->name[0], "%s", words[1]);
    begin(f);
  } else if (strcmp(w, "function") == 0) {
    begin_function(f, words, n);
  } else if (strcmp(w, "default") == 0) {
    attribute(f, &f->graph, 11, words[1]);
  } else if (strcmp(w, "end") == 0) {
    end(f);
  } else {
    ck_abort_msg("onnx_text: \"%s\"", w);
  }
}

Blob *onnx_text(const char *text) {
  File f = {.opset = 13, .ir = 8};
  StrBuf model = {0}, opset = {0};
  char line[1024];
  while (*text) {
    size_t n = strcspn(text, "\n");
    ck_assert(n < sizeof line);
    memcpy(line, text, n);
    line[n] = 0;
    statement(&f, line);
    text += n + (text[n] == '\n');
  }
  pb_int(&model, 1, f.ir);
  pb_message(&model, 7, &f.graph);
  sb_write(&model, sb_str(&f.functions), f.functions.len);
  sb_free(&f.functions);
  for (int i = 0; i < f.n_named; i++) sb_free(&f.named[i]);
  pb_int(&opset, 2, f.opset);
  pb_message(&model, 8, &opset);
  Blob *b = blob_new(model.s, model.len);
  sb_free(&model);
  return b;
}

Graph *onnx_text_import(const char *text, Diag *d) {
  Blob *b = onnx_text(text);
  Graph *g = onnx_import_bytes(b, "text.onnx", d);
  blob_unref(b);
  return g;
}
