/* A state in the firmware's storage: two slots, of which a save writes the older one; see adapt.h.
 *
 *   slot:  | head: magic, version, content [2], save, steps, words, crc of the words, 0 [7], crc of the head | words | 0 .. |
 *
 * A save erases its slot, writes the words, and the head last: until the head is whole, its checksum is wrong and the slot
 * is empty; the other slot holds what was saved before. So a power cut at any moment loses at most this save. Head and words
 * are multiples of MF_ADAPT_UNIT bytes, the largest that flash with error correction writes at once, and only once.
 * A slot that cannot be read may hold the last save: nothing is erased then. Numbers of saves compare by their difference,
 * and wrap. A state of another model, or of the same with other parameters, is not
 * loaded: `content` differs.
 */
#include "runtime/device/adapt.h"

enum { MF_STORE_MAGIC = 0x4154464d, MF_STORE_VERSION = 1, MF_STORE_PIECE = 16 };
enum { MF_STORE_FAULT = -1, MF_STORE_EMPTY, MF_STORE_WHOLE }; /* a slot */
typedef struct mf_store_head {
  uint32_t magic, version, content[2], save, steps, words, crc, rest[7], head_crc;
} mf_store_head;

/* CRC-32 of IEEE 802.3, bit by bit, of whole words in little-endian order; begins and ends inverted. */
static uint32_t mf_store_crc(uint32_t crc, const uint32_t *words, int32_t n) {
  int32_t i;
  int bit;
  for (i = 0; i < n; i++) {
    crc ^= words[i];
    for (bit = 0; bit < 32; bit++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return crc;
}

static uint32_t mf_store_head_crc(const mf_store_head *h) {
  return ~mf_store_crc(~0u, (const uint32_t *)(const void *)h, MF_ADAPT_HEAD / 4 - 1);
}

/* What the slot at `at` holds, MF_STORE_...: where it is a whole state of this model, its head in *h. */
static int mf_store_check(const mf_adapt_model *m, const mistify_storage *from, uint32_t at,
                          mf_store_head *h) {
  uint32_t piece[MF_STORE_PIECE], crc = ~0u;
  int32_t i, n;
  if (from->read(from->ctx, at, h, sizeof *h) != 0) return MF_STORE_FAULT;
  if (h->magic != MF_STORE_MAGIC || h->version != MF_STORE_VERSION || h->head_crc != mf_store_head_crc(h))
    return MF_STORE_EMPTY;
  if (h->content[0] != m->content[0] || h->content[1] != m->content[1] || h->words != (uint32_t)m->words)
    return MF_STORE_EMPTY;
  at += (uint32_t)sizeof *h;
  for (i = 0; i < m->words; i += n) {
    n = m->words - i < MF_STORE_PIECE ? m->words - i : MF_STORE_PIECE;
    if (from->read(from->ctx, at + 4 * (uint32_t)i, piece, 4 * (uint32_t)n) != 0) return MF_STORE_FAULT;
    crc = mf_store_crc(crc, piece, n);
  }
  return h->crc == ~crc ? MF_STORE_WHOLE : MF_STORE_EMPTY;
}

/* The slot of the last whole save, 0 or 1, its head in *h; -1: there is none. *fault: whether one could not be read. */
static int mf_store_newest(const mf_adapt_model *m, const mistify_storage *from, mf_store_head *h,
                           int *fault) {
  mf_store_head other;
  const int first = mf_store_check(m, from, 0, h), second = mf_store_check(m, from, from->slot, &other);
  *fault = first == MF_STORE_FAULT || second == MF_STORE_FAULT;
  if (second == MF_STORE_WHOLE && (first != MF_STORE_WHOLE || (int32_t)(other.save - h->save) > 0)) {
    *h = other;
    return 1;
  }
  return first == MF_STORE_WHOLE ? 0 : -1;
}

static int mf_store_fits(const mf_adapt_model *m, const mistify_storage *s) {
  return s->slot >= mf_adapt_slot_bytes(m->words) && s->slot % MF_ADAPT_UNIT == 0;
}

/* The words in whole units: what lies behind them is not theirs to be written. */
static int mf_store_write(const mistify_storage *to, uint32_t at, const uint32_t *words, int32_t n) {
  enum { IN_UNIT = MF_ADAPT_UNIT / 4 };
  uint32_t last[IN_UNIT];
  const int32_t whole = n / IN_UNIT * IN_UNIT;
  int32_t i;
  if (whole && to->write(to->ctx, at, words, 4 * (uint32_t)whole) != 0) return 0;
  if (whole == n) return 1;
  for (i = 0; i < IN_UNIT; i++) last[i] = whole + i < n ? words[whole + i] : 0;
  return to->write(to->ctx, at + 4 * (uint32_t)whole, last, sizeof last) == 0;
}

MF_KERNEL int mf_adapt_save(const mf_adapt_model *m, mf_adapt_state *s, const mistify_storage *to) {
  mf_store_head h;
  const uint32_t *words = (const uint32_t *)(const void *)mf_adapt_words(s);
  uint32_t at, save = 1;
  int newest, fault, i;
  if (!mf_store_fits(m, to)) return MF_ADAPT_STORAGE;
  newest = mf_store_newest(m, to, &h, &fault);
  if (fault) return MF_ADAPT_STORAGE;
  if (newest >= 0) save = h.save + 1;
  at = newest == 0 ? to->slot : 0;
  h.magic = MF_STORE_MAGIC;
  h.version = MF_STORE_VERSION;
  h.content[0] = m->content[0];
  h.content[1] = m->content[1];
  h.save = save;
  h.steps = s->steps;
  h.words = (uint32_t)m->words;
  h.crc = ~mf_store_crc(~0u, words, m->words);
  for (i = 0; i < 7; i++) h.rest[i] = 0;
  h.head_crc = mf_store_head_crc(&h);
  if (to->erase && to->erase(to->ctx, at, to->slot) != 0) return MF_ADAPT_STORAGE;
  if (!mf_store_write(to, at + (uint32_t)sizeof h, words, m->words)) return MF_ADAPT_STORAGE;
  if (to->write(to->ctx, at, &h, sizeof h) != 0) return MF_ADAPT_STORAGE;
  if (mf_store_check(m, to, at, &h) != MF_STORE_WHOLE || h.save != save)
    return MF_ADAPT_STORAGE; /* the memory has not kept it */
  s->saves = save;
  return 0;
}

MF_KERNEL int mf_adapt_load(const mf_adapt_model *m, mf_adapt_state *s, const mistify_storage *from) {
  mf_store_head h;
  uint32_t *words = (uint32_t *)(void *)mf_adapt_words(s);
  int newest, fault;
  if (!mf_store_fits(m, from)) return MF_ADAPT_STORAGE;
  newest = mf_store_newest(m, from, &h, &fault);
  if (newest < 0) return fault ? MF_ADAPT_STORAGE : MF_ADAPT_EMPTY;
  if (from->read(from->ctx, (newest ? from->slot : 0) + (uint32_t)sizeof h, words, 4 * (uint32_t)m->words) !=
          0 ||
      h.crc != ~mf_store_crc(~0u, words, m->words)) {
    m->forget(s); /* it was whole a moment ago; half a state is none */
    return MF_ADAPT_STORAGE;
  }
  s->steps = h.steps;
  s->saves = h.save;
  return 0;
}
