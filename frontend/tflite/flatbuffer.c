/* FlatBuffers reader: see flatbuffer.h. Loads are byte by byte, so that neither the file's alignment nor the
 * host's byte order matters; every range test is written as "length <= size - place" after "place <= size", so
 * that no sum can wrap.
 */
#include "frontend/tflite/flatbuffer.h"

#include <string.h>

#include "ir/base/diag.h"

static uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t load32(const uint8_t *p) { return (uint32_t)load16(p) | (uint32_t)load16(p + 2) << 16; }
static uint64_t load64(const uint8_t *p) { return (uint64_t)load32(p) | (uint64_t)load32(p + 4) << 32; }

static float as_f32(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static bool fail(Fb *fb, const char *what, size_t at) {
  if (!fb->what) {
    fb->what = what;
    fb->at = at;
  }
  return false;
}

static bool inside(const Fb *fb, size_t at, size_t n) { return at <= fb->n && n <= fb->n - at; }

/* The place that the offset stored at `at` leads to. */
static bool follow(Fb *fb, size_t at, size_t *to) {
  if (!inside(fb, at, 4)) return fail(fb, "an offset outside of the file", at);
  uint32_t off = load32(fb->p + at);
  if (off == 0 || !inside(fb, at, off)) return fail(fb, "an offset that leads out of the file", at);
  *to = at + off;
  return true;
}

static FbTable absent_table(Fb *fb) { return (FbTable){.fb = fb}; }

static FbTable table_at(Fb *fb, size_t at) {
  FbTable none = absent_table(fb);
  if (fb->what || !inside(fb, at, 4)) {
    fail(fb, "a table outside of the file", at);
    return none;
  }
  int64_t vt = (int64_t)at - (int32_t)load32(fb->p + at);
  if (vt < 0 || !inside(fb, (size_t)vt, 4)) {
    fail(fb, "a table whose field list is outside of the file", at);
    return none;
  }
  const uint8_t *v = fb->p + vt;
  uint32_t bytes = load16(v), size = load16(v + 2);
  if (bytes < 4 || bytes % 2 != 0 || !inside(fb, (size_t)vt, bytes)) {
    fail(fb, "a damaged field list", (size_t)vt);
    return none;
  }
  if (size < 4 || !inside(fb, at, size)) {
    fail(fb, "a table that ends outside of the file", at);
    return none;
  }
  return (FbTable){.fb = fb, .at = at, .vtable = (size_t)vt + 4, .n_fields = (bytes - 4) / 2, .size = size};
}

/* Place of field `id` of `size` bytes; 0 where it is absent. */
static size_t field(const FbTable *t, uint32_t id, size_t size) {
  if (t->at == 0 || t->fb->what || id >= t->n_fields) return 0;
  uint32_t off = load16(t->fb->p + t->vtable + 2 * (size_t)id);
  if (off == 0) return 0;
  if (off < 4 || off > t->size || size > t->size - off) {
    fail(t->fb, "a field outside of its table", t->at);
    return 0;
  }
  return t->at + off;
}

bool fb_identifier(const Fb *fb, const char *id) { return fb->n >= 8 && memcmp(fb->p + 4, id, 4) == 0; }

FbTable fb_root(Fb *fb) {
  size_t to;
  return follow(fb, 0, &to) ? table_at(fb, to) : absent_table(fb);
}

uint8_t fb_u8(const FbTable *t, uint32_t id, uint8_t otherwise) {
  size_t at = field(t, id, 1);
  return at ? t->fb->p[at] : otherwise;
}

uint32_t fb_u32(const FbTable *t, uint32_t id, uint32_t otherwise) {
  size_t at = field(t, id, 4);
  return at ? load32(t->fb->p + at) : otherwise;
}

int32_t fb_i32(const FbTable *t, uint32_t id, int32_t otherwise) {
  return (int32_t)fb_u32(t, id, (uint32_t)otherwise);
}

uint64_t fb_u64(const FbTable *t, uint32_t id, uint64_t otherwise) {
  size_t at = field(t, id, 8);
  return at ? load64(t->fb->p + at) : otherwise;
}

float fb_f32(const FbTable *t, uint32_t id, float otherwise) {
  size_t at = field(t, id, 4);
  return at ? as_f32(load32(t->fb->p + at)) : otherwise;
}

FbTable fb_table(const FbTable *t, uint32_t id) {
  size_t at = field(t, id, 4), to;
  return at && follow(t->fb, at, &to) ? table_at(t->fb, to) : absent_table(t->fb);
}

FbVec fb_vec(const FbTable *t, uint32_t id, size_t size) {
  FbVec none = {.fb = t->fb};
  size_t at = field(t, id, 4), to;
  if (!at || !follow(t->fb, at, &to)) return none;
  if (!inside(t->fb, to, 4)) {
    fail(t->fb, "a vector outside of the file", to);
    return none;
  }
  uint32_t n = load32(t->fb->p + to);
  if (n > (t->fb->n - to - 4) / size) {
    fail(t->fb, "a vector that ends outside of the file", to);
    return none;
  }
  return (FbVec){.fb = t->fb, .at = to + 4, .n = n, .present = true};
}

const char *fb_string(const FbTable *t, uint32_t id, size_t *n) {
  FbVec v = fb_vec(t, id, 1);
  *n = v.n;
  return v.present ? (const char *)t->fb->p + v.at : NULL;
}

FbTable fb_vec_table(const FbVec *v, uint32_t i) {
  size_t to;
  ASSERT(i < v->n);
  if (v->fb->what || !follow(v->fb, v->at + 4 * (size_t)i, &to)) return absent_table(v->fb);
  return table_at(v->fb, to);
}

int32_t fb_vec_i32(const FbVec *v, uint32_t i) {
  ASSERT(i < v->n);
  return (int32_t)load32(v->fb->p + v->at + 4 * (size_t)i);
}

int64_t fb_vec_i64(const FbVec *v, uint32_t i) {
  ASSERT(i < v->n);
  return (int64_t)load64(v->fb->p + v->at + 8 * (size_t)i);
}

float fb_vec_f32(const FbVec *v, uint32_t i) {
  ASSERT(i < v->n);
  return as_f32(load32(v->fb->p + v->at + 4 * (size_t)i));
}
