/* TFLite files for tests from text: see tflite_text.h.
 *
 * FlatBuffers' offsets lead forward, so that a table is written before what it refers to: its fields are zero at
 * first, and set when their targets are there.
 */
#include "tests/frontend/tflite_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tflite/tfl.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/strbuf.h"
#include "tests/support.h"

enum { MAX_GRAPHS = 2, MAX_TENSORS = 32, MAX_OPS = 16, MAX_VALUES = 512, MAX_FIELDS = 12 };

typedef struct TextTensor {
  char name[40], type[12];
  int32_t dims[8], n_dims;
  float scale[16];
  int64_t zero[16];
  int n_scales, axis, n_values, variable;
  double values[MAX_VALUES];
} TextTensor;

typedef struct TextOp {
  int32_t code, in[24], out[8];
  char custom[40];
  int n_in, n_out, n_fields;
  int field[MAX_FIELDS];
  char kind[MAX_FIELDS]; /* 'u', 'i', 'f', 's' */
  double value[MAX_FIELDS];
  char string[MAX_FIELDS][20];
} TextOp;

typedef struct TextGraph {
  TextTensor t[MAX_TENSORS];
  TextOp op[MAX_OPS];
  int32_t in[8], out[8];
  int n_t, n_op, n_in, n_out;
} TextGraph;

typedef struct Text {
  TextGraph g[MAX_GRAPHS];
  int n_g;
} Text;

/* -- reading the text -- */

static int32_t find_tensor(const TextGraph *x, const char *name, size_t n) {
  if (n == 0) return -1;
  for (int i = 0; i < x->n_t; i++)
    if (strlen(x->t[i].name) == n && strncmp(x->t[i].name, name, n) == 0) return i;
  ck_abort_msg("tflite_text: no tensor \"%.*s\"", (int)n, name);
  return -1;
}

static int find_list(const TextGraph *x, const char *list, int32_t *out, int most) {
  int n = 0;
  for (const char *end; list; list = *end ? end + 1 : NULL) {
    end = list + strcspn(list, ",");
    ck_assert(n < most);
    out[n++] = find_tensor(x, list, (size_t)(end - list));
  }
  return n;
}

static void read_quant(TextTensor *t, char *text) {
  char *at = strchr(text, '@');
  if (at) {
    *at = 0;
    t->axis = atoi(at + 1);
  }
  for (char *p = text; p && *p;) {
    char *colon, *end;
    t->scale[t->n_scales] = strtof(p, &colon);
    ck_assert(*colon == ':' && t->n_scales < 16);
    t->zero[t->n_scales++] = strtoll(colon + 1, &end, 10);
    p = *end == ',' ? end + 1 : NULL;
  }
}

static void read_tensor(TextGraph *x, char *words[], int n) {
  ck_assert(x->n_t < MAX_TENSORS && n >= 4);
  TextTensor *t = &x->t[x->n_t++];
  snprintf(t->name, sizeof t->name, "%s", words[1]);
  snprintf(t->type, sizeof t->type, "%s", words[2]);
  for (char *p = words[3]; *p != '-' || p[1] != 0;) {
    char *end;
    t->dims[t->n_dims++] = (int32_t)strtol(p, &end, 10);
    if (*end == 0) break;
    p = end + 1;
  }
  for (int i = 4; i < n; i++) {
    if (strncmp(words[i], "q=", 2) == 0) read_quant(t, words[i] + 2);
    if (strcmp(words[i], "variable") == 0) t->variable = 1;
    if (strcmp(words[i], "=") != 0) continue;
    for (char *p = words[i + 1]; *p;) {
      char *end;
      ck_assert(t->n_values < MAX_VALUES);
      t->values[t->n_values++] = strtod(p, &end);
      p = *end == ',' ? end + 1 : end;
    }
    break;
  }
}

static int32_t code_of(const char *name) {
#define YES(code, op, import) \
  if (strcmp(name, #op) == 0) return code;
#define NO(code, op, advice) \
  if (strcmp(name, #op) == 0) return code;
#include "frontend/tflite/builtins.def"
#undef YES
#undef NO
  return atoi(name);
}

static void read_op(TextGraph *x, char *words[], int n) {
  ck_assert(x->n_op < MAX_OPS && n >= 5 && strcmp(words[3], "->") == 0);
  TextOp *op = &x->op[x->n_op++];
  const char *custom = strchr(words[1], ':');
  op->code = custom ? 32 : code_of(words[1]);
  if (custom) snprintf(op->custom, sizeof op->custom, "%s", custom + 1);
  op->n_in = strcmp(words[2], "-") == 0 ? 0 : find_list(x, words[2], op->in, 24);
  op->n_out = strcmp(words[4], "-") == 0 ? 0 : find_list(x, words[4], op->out, 8);
  for (int i = 5; i < n; i++) {
    char *end;
    int k = op->n_fields++;
    ck_assert(k < MAX_FIELDS);
    op->field[k] = (int)strtol(words[i], &end, 10);
    op->kind[k] = end[1];
    op->value[k] = atof(strchr(end, '=') + 1);
    snprintf(op->string[k], sizeof op->string[k], "%s", strchr(end, '=') + 1);
  }
}

static void statement(Text *text, char *line) {
  TextGraph *x = &text->g[text->n_g - 1];
  char *words[32];
  int n = 0;
  for (char *p = line; *p && n < 32;) {
    while (*p == ' ') *p++ = 0;
    if (*p) words[n++] = p;
    while (*p && *p != ' ') p++;
  }
  if (n == 0) return;
  if (strcmp(words[0], "graph") == 0)
    ck_assert(text->n_g++ < MAX_GRAPHS);
  else if (strcmp(words[0], "tensor") == 0)
    read_tensor(x, words, n);
  else if (strcmp(words[0], "op") == 0)
    read_op(x, words, n);
  else if (strcmp(words[0], "input") == 0)
    x->in[x->n_in++] = find_tensor(x, words[1], strlen(words[1]));
  else if (strcmp(words[0], "output") == 0)
    x->out[x->n_out++] = find_tensor(x, words[1], strlen(words[1]));
  else
    ck_abort_msg("tflite_text: \"%s\"", words[0]);
}

/* -- writing the file -- */

static void put(StrBuf *f, uint64_t v, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) sb_putc(f, (char)(v >> 8 * i));
}

static void set(StrBuf *f, size_t at, uint64_t v, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) f->s[at + i] = (char)(v >> 8 * i);
}

static void align(StrBuf *f) {
  while (f->len % 4) sb_putc(f, 0);
}

/* A table with `n` fields of 8 bytes each, all present and zero; returns the place of the table. */
static size_t table(StrBuf *f, int n) {
  align(f);
  size_t vt = f->len;
  put(f, (uint64_t)(4 + 2 * n), 2);
  put(f, (uint64_t)(4 + 8 * n), 2);
  for (int i = 0; i < n; i++) put(f, (uint64_t)(4 + 8 * i), 2);
  align(f);
  size_t at = f->len;
  put(f, at - vt, 4);
  for (int i = 0; i < n; i++) put(f, 0, 8);
  return at;
}

static size_t field(size_t t, int id) { return t + 4 + 8 * (size_t)id; }

/* A field that is left out. */
static void absent(StrBuf *f, size_t t, int id, int n) {
  size_t vt = t - (size_t)(unsigned char)f->s[t];
  ck_assert(id < n);
  set(f, vt + 4 + 2 * (size_t)id, 0, 2);
}

/* The offset at `at` leads to the end of the file, where its target comes next. */
static void here(StrBuf *f, size_t at) {
  align(f);
  set(f, at, f->len - at, 4);
}

static void here_table(StrBuf *f, size_t at, size_t t) { set(f, at, t - at, 4); }

static void vector(StrBuf *f, size_t at, const void *p, size_t n, size_t size) {
  here(f, at);
  put(f, n, 4);
  sb_write(f, p, n * size);
}

/* A vector of n offsets to be set; returns the place of the first. */
static size_t offsets(StrBuf *f, size_t at, int n) {
  here(f, at);
  put(f, (uint64_t)n, 4);
  size_t first = f->len;
  for (int i = 0; i < n; i++) put(f, 0, 4);
  return first;
}

static uint8_t type_code(const char *t) {
  static const char *const names[] = {"f32", "f16", "i32", "u8",  "i64",  "str", "bool",
                                      "i16", "c64", "i8",  "f64", "c128", "u64", "resource"};
  for (uint8_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(names[i], t) == 0) return i;
  if (strcmp(t, "i4") == 0) return TFL_INT4;
  ck_abort_msg("tflite_text: no type \"%s\"", t);
  return 0;
}

static size_t element_size(const char *type) {
  if (strcmp(type, "i64") == 0) return 8;
  if (strcmp(type, "i32") == 0) return 4;
  return strcmp(type, "i16") == 0 || strcmp(type, "f16") == 0 ? 2 : 1;
}

static int64_t tensor_count(const TextTensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->n_dims; i++) n *= t->dims[i];
  return n;
}

static void write_quant(StrBuf *f, size_t at, const TextTensor *t) {
  size_t q = table(f, 7);
  here_table(f, at, q);
  for (int id = 0; id < 6; id++)
    if (id != 2 && id != 3) absent(f, q, id, 7);
  set(f, field(q, 6), (uint64_t)t->axis, 4);
  vector(f, field(q, 2), t->scale, (size_t)t->n_scales, 4);
  vector(f, field(q, 3), t->zero, (size_t)t->n_scales, 8);
}

static void write_tensor(StrBuf *f, size_t at, const TextTensor *t, int buffer) {
  size_t x = table(f, 6);
  here_table(f, at, x);
  set(f, field(x, 5), (uint64_t)t->variable, 1);
  set(f, field(x, 1), type_code(t->type), 1);
  set(f, field(x, 2), t->n_values ? (uint64_t)buffer : 0, 4);
  vector(f, field(x, 0), t->dims, (size_t)t->n_dims, 4);
  vector(f, field(x, 3), t->name, strlen(t->name), 1);
  sb_putc(f, 0);
  if (t->n_scales)
    write_quant(f, field(x, 4), t);
  else
    absent(f, x, 4, 6);
}

static void write_buffer(StrBuf *f, size_t at, const TextTensor *t) {
  size_t b = table(f, 1);
  here_table(f, at, b);
  if (!t || !t->n_values) {
    absent(f, b, 0, 1);
    return;
  }
  StrBuf data = {0};
  for (int64_t i = 0; i < tensor_count(t); i++) {
    double v = t->values[i % t->n_values];
    float real = (float)v;
    uint32_t bits;
    memcpy(&bits, &real, 4);
    if (strcmp(t->type, "f32") == 0)
      put(&data, bits, 4);
    else if (strcmp(t->type, "i4") == 0 && i % 2) /* two to a byte, the lower half first */
      data.s[data.len - 1] = (char)((data.s[data.len - 1] & 15) | (int)v * 16);
    else
      put(&data, (uint64_t)(int64_t)v, element_size(t->type));
  }
  vector(f, field(b, 0), data.s, data.len, 1);
  sb_free(&data);
}

static void write_strings(StrBuf *f, size_t options, const TextOp *op) {
  for (int k = 0; k < op->n_fields; k++) {
    if (op->kind[k] != 's') continue;
    vector(f, field(options, op->field[k]), op->string[k], strlen(op->string[k]), 1);
    sb_putc(f, 0);
  }
}

static void write_op(StrBuf *f, size_t at, const TextOp *op, int index) {
  size_t o = table(f, 5);
  here_table(f, at, o);
  set(f, field(o, 0), (uint64_t)index, 4);
  vector(f, field(o, 1), op->in, (size_t)op->n_in, 4);
  vector(f, field(o, 2), op->out, (size_t)op->n_out, 4);
  size_t options = table(f, MAX_FIELDS);
  here_table(f, field(o, 4), options);
  for (int id = 0; id < MAX_FIELDS; id++) {
    int k = 0;
    while (k < op->n_fields && op->field[k] != id) k++;
    if (k == op->n_fields) {
      absent(f, options, id, MAX_FIELDS);
      continue;
    }
    if (op->kind[k] == 's') continue;
    float real = (float)op->value[k];
    uint32_t bits;
    memcpy(&bits, &real, 4);
    set(f, field(options, id), op->kind[k] == 'f' ? bits : (uint64_t)(int64_t)op->value[k], 4);
  }
  write_strings(f, options, op);
}

/* first_op, first_buffer: numbers of the graph's first operator code and buffer. */
static void write_graph(const TextGraph *x, StrBuf *f, size_t at, int first_op, int first_buffer) {
  size_t g = table(f, 4);
  here_table(f, at, g);
  vector(f, field(g, SUBGRAPH_INPUTS), x->in, (size_t)x->n_in, 4);
  vector(f, field(g, SUBGRAPH_OUTPUTS), x->out, (size_t)x->n_out, 4);
  size_t tensors = offsets(f, field(g, SUBGRAPH_TENSORS), x->n_t);
  for (int i = 0; i < x->n_t; i++) write_tensor(f, tensors + 4 * (size_t)i, &x->t[i], first_buffer + i);
  size_t ops = offsets(f, field(g, SUBGRAPH_OPERATORS), x->n_op);
  for (int i = 0; i < x->n_op; i++) write_op(f, ops + 4 * (size_t)i, &x->op[i], first_op + i);
}

static void write_code(StrBuf *f, size_t at, int32_t code, const char *custom) {
  size_t c = table(f, 4);
  here_table(f, at, c);
  if (!*custom) absent(f, c, 1, 4);
  if (*custom) {
    vector(f, field(c, 1), custom, strlen(custom), 1);
    sb_putc(f, 0);
  }
  set(f, field(c, 0), (uint64_t)(code < 127 ? code : 127), 1);
  set(f, field(c, 3), (uint64_t)code, 4);
}

/* One code per operator; narrow codes in both fields, as converters do. */
static void write_file(const Text *x, StrBuf *f) {
  int n_op = 0, n_t = 0;
  for (int k = 0; k < x->n_g; k++) {
    n_op += x->g[k].n_op;
    n_t += x->g[k].n_t;
  }
  put(f, 0, 4);
  sb_write(f, "TFL3", 4);
  size_t model = table(f, 5);
  here_table(f, 0, model);
  set(f, field(model, MODEL_VERSION), 3, 4);
  absent(f, model, MODEL_DESCRIPTION, 5);
  size_t codes = offsets(f, field(model, MODEL_CODES), n_op);
  for (int k = 0; k < x->n_g; k++)
    for (int i = 0; i < x->g[k].n_op; i++, codes += 4)
      write_code(f, codes, x->g[k].op[i].code, x->g[k].op[i].custom);
  size_t buffers = offsets(f, field(model, MODEL_BUFFERS), n_t + 1);
  write_buffer(f, buffers, NULL);
  for (int k = 0; k < x->n_g; k++)
    for (int i = 0; i < x->g[k].n_t; i++) write_buffer(f, buffers += 4, &x->g[k].t[i]);
  size_t graphs = offsets(f, field(model, MODEL_SUBGRAPHS), x->n_g);
  for (int k = 0, op = 0, t = 1; k < x->n_g; op += x->g[k].n_op, t += x->g[k].n_t, k++)
    write_graph(&x->g[k], f, graphs + 4 * (size_t)k, op, t);
}

Blob *tflite_text(const char *text) {
  Text *x = calloc(1, sizeof *x);
  StrBuf f = {0};
  char line[4096];
  ck_assert(x != NULL);
  x->n_g = 1;
  while (*text) {
    size_t n = strcspn(text, "\n");
    ck_assert(n < sizeof line);
    memcpy(line, text, n);
    line[n] = 0;
    statement(x, line);
    text += n + (text[n] == '\n');
  }
  write_file(x, &f);
  Blob *b = blob_new(f.s, f.len);
  sb_free(&f);
  free(x);
  return b;
}

Graph *tflite_text_import(const char *text, Diag *d) {
  Blob *b = tflite_text(text);
  Graph *g = tflite_import_bytes(b, "text.tflite", d);
  blob_unref(b);
  return g;
}
