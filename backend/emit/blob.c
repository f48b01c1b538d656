/* Weights apart from the code: NAME_weights.bin, which a program binds before it runs the model, and may exchange over
 * the air. All of it is little-endian.
 *
 *   0   "MFWT"                     16  u32 size of the blob in bytes, header included
 *   4   u32 version of this form   20  u32 CRC-32 (IEEE 802.3) of all bytes from 32 on
 *   8   u64 fingerprint            24  u64 content: tells one set of weights from another
 *   32  the constants, each at a multiple of its alignment
 *
 * The layers' quantization (zero points, multipliers, limits) is among the constants, since it changes with the weights;
 * shapes, kernels and plan are code. The fingerprint is a hash of what the code takes for granted: kernels, shapes, the
 * blob's layout, types and quantization of inputs and outputs. Two models that differ in their weights alone have the
 * same one, and code emitted for one runs with the blob of the other.
 */
#include "backend/emit/emit.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

enum { BLOB_VERSION = 1, BLOB_HEADER = 32, CRC_FROM = 32 };

/* -- the layers' quantization -- */

bool field_is_tuned(const FieldDesc *f) {
  static const char *const words[] = {"in_zero",   "out_zero",   "a_zero",   "b_zero", "x_zero",  "h_zero",
                                      "w_zero",    "state_zero", "zero",     "lo",     "hi",      "mult",
                                      "a_mult",    "b_mult",     "out_mult", "shift",  "a_shift", "b_shift",
                                      "out_shift", "left_shift", "diff_min"};
  if (f->kind == FIELD_F32) return strcmp(f->name, "scale") == 0;
  if (f->kind != FIELD_I32 || f->count != 1) return false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(f->name, words[i]) == 0) return true;
  return false;
}

static const void *value_of(const KernelCall *k, const FieldDesc *f) {
  return (const char *)k->params + f->offset;
}

/* Gather the tuned fields of one kind, call after call; returns their number. */
static int collect_tuned(const Emit *e, FieldKind kind, int *first, void *to) {
  int n = 0;
  for (uint32_t c = 0; c < e->calls.n; c++) {
    const KernelCall *k = &e->calls.v[c];
    first[c] = n;
    for (int i = 0; i < k->kernel->params->n_fields; i++) {
      const FieldDesc *f = &k->kernel->params->fields[i];
      if (f->kind != kind || !field_is_tuned(f)) continue;
      if (to) memcpy((char *)to + (size_t)n * 4, value_of(k, f), 4);
      n++;
    }
  }
  return n;
}

static int add_tuned(Emit *e, FieldKind kind, int **first) {
  *first = arena_array(e->arena, (size_t)e->calls.n + 1, sizeof **first);
  const int n = collect_tuned(e, kind, *first, NULL);
  if (n == 0) return -1;
  void *v = arena_array(e->arena, (size_t)n, 4);
  collect_tuned(e, kind, *first, v);
  return pool_add(&e->pool, kind == FIELD_F32 ? DT_F32 : DT_I32, v, n, 0, 0);
}

/* -- layout and fingerprint -- */

static int64_t round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

static void lay_out(Emit *e) {
  Blob *b = &e->blob;
  b->size = BLOB_HEADER;
  b->align = 4;
  for (int i = 0; i < e->pool.n; i++) {
    PoolConst *c = &e->pool.v[i];
    int64_t align = (int64_t)dtype_size(c->dtype);
    if (c->align > align) align = c->align;
    if (e->opt->weights_align > align) align = e->opt->weights_align;
    if (align > b->align) b->align = align;
    c->offset = round_up(b->size, align);
    b->size = c->offset + c->count * (int64_t)dtype_size(c->dtype);
  }
  b->size = round_up(b->size, 4);
}

static void hash_params(const KernelCall *k, Hasher *h) {
  const ParamsDesc *p = k->kernel->params;
  for (int i = 0; i < p->n_fields; i++) {
    const FieldDesc *f = &p->fields[i];
    const bool scalar = f->kind == FIELD_I32 || f->kind == FIELD_F32;
    if (scalar && !field_is_tuned(f)) hasher_bytes(h, value_of(k, f), (size_t)f->count * 4);
    if (f->kind >= FIELD_PTR_I8) hasher_u64(h, *(void *const *)value_of(k, f) != NULL);
  }
}

static void hash_tensors(const Graph *g, const ValId *ids, uint32_t n, Hasher *h) {
  hasher_u64(h, n);
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(g, ids[i]);
    hasher_str(h, dtype_name(v->dtype));
    hasher_u64(h, (uint64_t)v->shape.rank);
    for (int k = 0; k < v->shape.rank; k++) hasher_u64(h, (uint64_t)v->shape.d[k]);
    hasher_u64(h, (uint64_t)v->quant.n);
    for (int k = 0; k < v->quant.n; k++) {
      hasher_bytes(h, &v->quant.scale[k], sizeof v->quant.scale[k]);
      hasher_u64(h, (uint64_t)(int64_t)v->quant.zero[k]);
    }
  }
}

static uint64_t fingerprint(const Emit *e) {
  Hasher *h = hasher_new();
  hasher_str(h, e->target->name);
  for (uint32_t c = 0; c < e->calls.n; c++) {
    const KernelCall *k = &e->calls.v[c];
    hasher_str(h, k->kernel->name);
    hasher_str(h, k->kernel->tag);
    hash_params(k, h);
  }
  if (in_blob(e))
    for (int i = 0; i < e->pool.n; i++) hasher_u64(h, (uint64_t)e->pool.v[i].offset);
  hash_tensors(e->g, e->g->inputs, e->g->n_inputs, h);
  hash_tensors(e->g, e->g->outputs, e->g->n_outputs, h);
  return hasher_done(h).lo;
}

void blob_layout(Emit *e) {
  e->blob.words = e->blob.reals = -1;
  if (in_blob(e)) {
    e->blob.words = add_tuned(e, FIELD_I32, &e->blob.first_word);
    e->blob.reals = add_tuned(e, FIELD_F32, &e->blob.first_real);
    lay_out(e);
  }
  e->blob.fingerprint = fingerprint(e);
}

/* -- bytes -- */

static uint32_t crc32(const unsigned char *p, size_t n) {
  uint32_t crc = ~0u;
  for (; n > 0; n--) {
    crc ^= *p++;
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

static void put(unsigned char *at, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(v >> (8 * i));
}

void blob_bytes(const Emit *e, StrBuf *out) {
  const size_t n = (size_t)e->blob.size;
  unsigned char *b = arena_array(e->arena, n, 1);
  for (int i = 0; i < e->pool.n; i++) {
    const PoolConst *c = &e->pool.v[i];
    if (c->count > 0) memcpy(b + c->offset, c->data, (size_t)c->count * dtype_size(c->dtype));
  }
  memcpy(b, "MFWT", 4);
  put(b + 4, BLOB_VERSION, 4);
  put(b + 8, e->blob.fingerprint, 8);
  put(b + 16, n, 4);
  put(b + 20, crc32(b + CRC_FROM, n - CRC_FROM), 4);
  put(b + 24, hash_bytes(b + CRC_FROM, n - CRC_FROM).lo, 8);
  sb_write(out, b, n);
}

/* -- code -- */

static const char checks[] =
    "/* CRC-32 (IEEE 802.3), four bits at a time. */\n"
    "static uint32_t crc32(const unsigned char *p, uint32_t n) {\n"
    "  static const uint32_t table[16] = {\n"
    "    0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, "
    "0x5005713cu,\n"
    "    0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, "
    "0xbdbdf21cu};\n"
    "  uint32_t crc = 0xffffffffu;\n"
    "  for (; n > 0; n--) {\n"
    "    crc ^= *p++;\n"
    "    crc = crc >> 4 ^ table[crc & 15];\n"
    "    crc = crc >> 4 ^ table[crc & 15];\n"
    "  }\n"
    "  return crc ^ 0xffffffffu;\n"
    "}\n\n"
    "static uint32_t word_at(const unsigned char *p) {\n"
    "  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;\n"
    "}\n\n";

void print_bind_weights(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name, *u = e->upper;
  if (!in_blob(e)) return;
  sb_puts(out, checks);
  sb_printf(out, "int %s_bind_weights(%s_context *ctx, const void *blob, size_t size) {\n", n, n);
  sb_puts(out, "  const unsigned char *const b = (const unsigned char *)blob;\n  ctx->weights = NULL;\n");
  sb_printf(out, "  if (!b || size < %d) return %s_WEIGHTS_LENGTH;\n", BLOB_HEADER, u);
  sb_printf(out, "  if ((uintptr_t)b %% %s_WEIGHTS_ALIGN) return %s_WEIGHTS_MISALIGNED;\n", u, u);
  sb_printf(out, "  if (b[0] != 'M' || b[1] != 'F' || b[2] != 'W' || b[3] != 'T') return %s_WEIGHTS_MAGIC;\n",
            u);
  sb_printf(out, "  if (word_at(b + 4) != %d) return %s_WEIGHTS_VERSION;\n", BLOB_VERSION, u);
  sb_printf(out,
            "  if (word_at(b + 8) != 0x%08" PRIx32 "u || word_at(b + 12) != 0x%08" PRIx32
            "u) return %s_WEIGHTS_FINGERPRINT;\n",
            (uint32_t)e->blob.fingerprint, (uint32_t)(e->blob.fingerprint >> 32), u);
  sb_printf(out,
            "  if (word_at(b + 16) != %s_WEIGHTS_SIZE || size < %s_WEIGHTS_SIZE) return %s_WEIGHTS_LENGTH;\n",
            u, u, u);
  sb_printf(out,
            "  if (crc32(b + %d, %s_WEIGHTS_SIZE - %d) != word_at(b + 20)) return %s_WEIGHTS_CHECKSUM;\n",
            CRC_FROM, u, CRC_FROM, u);
  sb_puts(out, "  ctx->weights = b;\n");
  if (e->g->n_states > 0) sb_printf(out, "  %s_reset(ctx);\n", n);
  sb_puts(out, "  return 0;\n}\n\n");
}

bool has_bound_params(const Emit *e, uint32_t call) {
  const KernelCall *k = &e->calls.v[call];
  if (!in_blob(e)) return false;
  bool any = k->n_consts > 0;
  for (int i = 0; i < k->kernel->params->n_fields; i++)
    any = any || field_is_tuned(&k->kernel->params->fields[i]);
  return any;
}

static void print_tuned(const Emit *e, const FieldDesc *f, int constant, int index, const char *indent,
                        StrBuf *out) {
  sb_printf(out, "%sp.%s = ((const %s *)(const void *)", indent, f->name,
            f->kind == FIELD_F32 ? "float" : "int32_t");
  print_const(e, constant, out);
  sb_printf(out, ")[%d];\n", index);
}

bool print_bound_params(const Emit *e, uint32_t call, const char *indent, StrBuf *out) {
  const KernelCall *k = &e->calls.v[call];
  const ParamsDesc *d = k->kernel->params;
  if (!has_bound_params(e, call)) return false;
  sb_printf(out, "%s%s p = layer%u;\n", indent, d->c_type, call);
  for (int i = 0; i < k->n_consts; i++) {
    const int c = e->names[call].field[i];
    sb_printf(out, "%sp.%s = (const %s *)(const void *)", indent, d->fields[k->consts[i].field].name,
              c_type_of(e->pool.v[c].dtype));
    print_const(e, c, out);
    sb_puts(out, ";\n");
  }
  int word = e->blob.first_word[call], real = e->blob.first_real[call];
  for (int i = 0; i < d->n_fields; i++) {
    const FieldDesc *f = &d->fields[i];
    if (!field_is_tuned(f)) continue;
    const bool is_real = f->kind == FIELD_F32;
    print_tuned(e, f, is_real ? e->blob.reals : e->blob.words, is_real ? real++ : word++, indent, out);
  }
  return true;
}
