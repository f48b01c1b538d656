/* What was learned, in storage: a power cut at every write, and within each, leaves a state that was saved.
 *
 * The storage is flash as cruel as it may be: an erase sets bits, a write can only clear them, and a cut leaves a part of either
 * done. After a cut the next start loads what is there.
 */
#include <string.h>

#include "runtime/device/adapt.h"
#include "tests/support.h"

Suite *suite_adapt_store(void);

enum { K = 3, N = 4, C = 5, WORDS = N * K + N + 2 * C, SLOT = 256 };
/* Of a slot: words lie behind 64 bytes of head, and are filled up to 32. */
enum { HEAD = 64, USED = HEAD + (4 * WORDS + 31) / 32 * 32 };

/* Power ends when `left` bytes more were erased or written; < 0: never. */
typedef struct Flash {
  unsigned char bytes[2 * SLOT];
  int left, moved, refuse_read;
  bool erases, lost; /* lost: writes report that they are done, and do nothing */
} Flash;

static int take(Flash *f, uint32_t n, uint32_t *done) {
  *done = n;
  if (f->left >= 0 && (uint32_t)f->left < n) *done = (uint32_t)f->left;
  f->moved += (int)*done;
  if (f->left >= 0) f->left -= (int)*done;
  return *done < n;
}

static int flash_read(void *ctx, uint32_t at, void *to, uint32_t n) {
  Flash *f = ctx;
  ck_assert_uint_le(at + n, sizeof f->bytes);
  if (f->refuse_read > 0 && --f->refuse_read == 0) return 1;
  memcpy(to, f->bytes + at, n);
  return 0;
}

static int flash_write(void *ctx, uint32_t at, const void *from, uint32_t n) {
  Flash *f = ctx;
  uint32_t done;
  ck_assert_uint_le(at + n, sizeof f->bytes);
  ck_assert_uint_eq(at % 32 + n % 32, 0);
  const int cut = take(f, n, &done);
  if (f->lost) return 0;
  for (uint32_t i = 0; i < done; i++) {
    const unsigned char b = ((const unsigned char *)from)[i];
    f->bytes[at + i] = f->erases ? (unsigned char)(f->bytes[at + i] & b) : b;
  }
  return cut;
}

static int flash_erase(void *ctx, uint32_t at, uint32_t n) {
  Flash *f = ctx;
  uint32_t done;
  ck_assert_uint_eq(at % SLOT + n, SLOT);
  const int cut = take(f, n, &done);
  memset(f->bytes + at, 0xff, done);
  return cut;
}

static mistify_storage storage_of(Flash *f) {
  return (mistify_storage){.ctx = f,
                           .slot = SLOT,
                           .read = flash_read,
                           .write = flash_write,
                           .erase = f->erases ? flash_erase : NULL};
}

static const int8_t weights[N * K] = {1, -2, 3, 4, 5, -6, 7, 8, 9, -10, 11, 127};
static const mf_adapt_last last = {.k = K, .n = N, .w_out = K, .w = weights};
static const mf_adapt_affine affine = {.word = N * K + N, .c = C};
static void forget(mf_adapt_state *s);
static const mf_adapt_model model = {.last = &last,
                                     .affine = &affine,
                                     .n_affine = 1,
                                     .words = WORDS,
                                     .content = {0x1234, 0x5678},
                                     .forget = forget};
static void forget(mf_adapt_state *s) { mf_adapt_reset(&model, s); }

typedef union State {
  mf_adapt_state head;
  int32_t words[sizeof(mf_adapt_state) / 4 + WORDS];
} State;

static void state_begin(State *s) {
  memset(s, 0, sizeof *s);
  mf_adapt_reset(&model, &s->head);
}

/* As if something was learned: words that tell which time. */
static void learn(State *s, int time) {
  s->head.steps = (uint32_t)time;
  for (int i = 0; i < WORDS; i++) mf_adapt_words(&s->head)[i] = time * 1000 + i;
}

static int learned(State *s) {
  const int time = mf_adapt_words(&s->head)[0] / 1000;
  for (int i = 0; i < WORDS; i++)
    if (mf_adapt_words(&s->head)[i] != time * 1000 + i) return -1;
  return s->head.steps == (uint32_t)time ? time : -1;
}

static void save_and_load(bool erases) {
  Flash f = {.left = -1, .erases = erases};
  const mistify_storage store = storage_of(&f);
  State s, t;
  memset(f.bytes, 0xff, sizeof f.bytes);
  state_begin(&s);
  state_begin(&t);
  ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), MF_ADAPT_EMPTY);
  ck_assert_mem_eq(&s, &t, sizeof s);
  for (int time = 1; time <= 5; time++) {
    learn(&s, time);
    ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), 0);
    state_begin(&t);
    ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), 0);
    ck_assert_int_eq(learned(&t), time);
    ck_assert_uint_eq(t.head.saves, (uint32_t)time);
  }
}

/* An empty memory, and the first save in it, of a state that has learned once. */
static void save_first(Flash *f, State *s, const mistify_storage *store) {
  memset(f->bytes, 0xff, sizeof f->bytes);
  state_begin(s);
  learn(s, 1);
  ck_assert_int_eq(mf_adapt_save(&model, &s->head, store), 0);
}

START_TEST(what_is_saved_is_loaded)
{
  save_and_load(true);
  save_and_load(false);
}
END_TEST

/* `before` whole saves, then one that is cut after `left` bytes: the load gives the one before, or this one if it said 0. */
static bool cut_at(int before, int left, bool erases) {
  Flash f = {.left = -1, .erases = erases};
  const mistify_storage store = storage_of(&f);
  State s, t;
  memset(f.bytes, 0xff, sizeof f.bytes);
  state_begin(&s);
  for (int time = 1; time <= before; time++) {
    learn(&s, time);
    ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), 0);
  }
  learn(&s, before + 1);
  f.left = left;
  const int status = mf_adapt_save(&model, &s.head, &store);
  const bool cut = f.left == 0 && status != 0;
  f.left = -1;
  state_begin(&t);
  const int loaded = mf_adapt_load(&model, &t.head, &store), want = status == 0 ? before + 1 : before;
  if (want == 0) {
    ck_assert_int_eq(loaded, MF_ADAPT_EMPTY);
  } else {
    ck_assert_msg(loaded == 0 && learned(&t) == want,
                  "%d saves, cut at byte %d: loaded %d, state %d, want %d", before, left, loaded, learned(&t),
                  want);
  }
  /* And life goes on. */
  learn(&t, before + 2);
  ck_assert_int_eq(mf_adapt_save(&model, &t.head, &store), 0);
  state_begin(&s);
  ck_assert_int_eq(mf_adapt_load(&model, &s.head, &store), 0);
  ck_assert_int_eq(learned(&s), before + 2);
  return cut;
}

START_TEST(power_may_go_at_any_byte)
{
  for (int erases = 0; erases < 2; erases++)
    for (int before = 0; before < 4; before++) {
      int left = 0;
      while (cut_at(before, left, erases)) left++;
      ck_assert_msg(left == (erases ? SLOT : 0) + USED, "%d saves: %d places to cut", before, left);
    }
}
END_TEST

START_TEST(numbers_of_saves_wrap)
{
  Flash f = {.left = -1, .erases = true};
  const mistify_storage store = storage_of(&f);
  State s, t;
  save_first(&f, &s, &store);
  uint32_t head[HEAD / 4], crc = ~0u;
  memcpy(head, f.bytes, sizeof head);
  head[4] = 0xffffffffu; /* the number, and the head's checksum */
  for (int i = 0; i < HEAD / 4 - 1; i++) {
    crc ^= head[i];
    for (int bit = 0; bit < 32; bit++) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  head[HEAD / 4 - 1] = ~crc;
  memcpy(f.bytes, head, sizeof head);
  learn(&s, 2);
  ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), 0);
  ck_assert_uint_eq(s.head.saves, 0);
  state_begin(&t);
  ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), 0);
  ck_assert_int_eq(learned(&t), 2);
}
END_TEST

START_TEST(what_is_not_the_models_is_not_loaded)
{
  Flash f = {.left = -1, .erases = true};
  mistify_storage store = storage_of(&f);
  State s, t;
  mf_adapt_model other = model;
  save_first(&f, &s, &store);
  other.content[1]++;
  ck_assert_int_eq(mf_adapt_load(&other, &t.head, &store), MF_ADAPT_EMPTY);
  for (uint32_t bit = 0; bit < 8 * (HEAD + 4 * WORDS); bit++) {
    f.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    state_begin(&t);
    ck_assert_msg(mf_adapt_load(&model, &t.head, &store) == MF_ADAPT_EMPTY, "bit %u is not noticed", bit);
    f.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
  }
  ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), 0);
  store.slot = USED - 32;
  ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), MF_ADAPT_STORAGE);
  ck_assert_int_eq(mf_adapt_save(&model, &t.head, &store), MF_ADAPT_STORAGE);
}
END_TEST

/* A unit of flash with error correction takes one write between two erases. */
START_TEST(nothing_is_written_twice)
{
  ck_assert_uint_eq(mf_adapt_slot_bytes(WORDS), USED);
  Flash f = {.left = -1, .erases = true};
  const mistify_storage store = storage_of(&f);
  State s;
  save_first(&f, &s, &store);
  ck_assert_int_eq(f.moved, SLOT + USED);
  for (int i = HEAD + 4 * WORDS; i < USED; i++) ck_assert_uint_eq(f.bytes[i], 0);
  for (int i = USED; i < 2 * SLOT; i++) ck_assert_uint_eq(f.bytes[i], 0xff);
}
END_TEST

START_TEST(a_memory_that_keeps_nothing_is_noticed)
{
  Flash f = {.left = -1};
  const mistify_storage store = storage_of(&f);
  State s;
  state_begin(&s);
  for (int time = 1; time <= 2; time++) {
    learn(&s, time);
    ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), 0);
  }
  f.lost = true; /* what lies there is whole, of an earlier save */
  learn(&s, 3);
  ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), MF_ADAPT_STORAGE);
  ck_assert_uint_eq(s.head.saves, 2);
}
END_TEST

/* Two saves; a third of which read number `at` fails: it says so, and what was saved last is still there. */
static bool save_unread(int at) {
  Flash f = {.left = -1, .erases = true};
  const mistify_storage store = storage_of(&f);
  State s, t;
  memset(f.bytes, 0xff, sizeof f.bytes);
  state_begin(&s);
  for (int time = 1; time <= 2; time++) {
    learn(&s, time);
    ck_assert_int_eq(mf_adapt_save(&model, &s.head, &store), 0);
  }
  learn(&s, 3);
  f.refuse_read = at;
  const int status = mf_adapt_save(&model, &s.head, &store);
  const bool failed = f.refuse_read == 0;
  ck_assert_int_eq(status, failed ? MF_ADAPT_STORAGE : 0);
  f.refuse_read = 0;
  state_begin(&t);
  ck_assert_int_eq(mf_adapt_load(&model, &t.head, &store), 0);
  ck_assert_msg(learned(&t) >= 2, "read %d of a save fails: %d is loaded", at, learned(&t));
  return failed;
}

START_TEST(saves_may_fail_to_read)
{
  int at = 1;
  while (save_unread(at)) at++;
  ck_assert_int_gt(at, 6);
  Flash f = {.left = -1, .erases = true, .refuse_read = 1};
  const mistify_storage store = storage_of(&f);
  State s;
  memset(f.bytes, 0xff, sizeof f.bytes);
  state_begin(&s);
  ck_assert_int_eq(mf_adapt_load(&model, &s.head, &store), MF_ADAPT_STORAGE); /* not: there is none */
}
END_TEST

START_TEST(reads_may_fail)
{
  Flash f = {.left = -1, .erases = true};
  const mistify_storage store = storage_of(&f);
  State s, t;
  save_first(&f, &s, &store);
  int at = 1, status;
  for (;; at++) {
    state_begin(&s);
    state_begin(&t);
    f.refuse_read = at;
    status = mf_adapt_load(&model, &t.head, &store);
    if (f.refuse_read > 0) break;
    if (status != 0) ck_assert_mem_eq(mf_adapt_words(&s.head), mf_adapt_words(&t.head), 4 * WORDS);
  }
  ck_assert_int_eq(status, 0);
  ck_assert_int_gt(at, 4);
}
END_TEST

Suite *suite_adapt_store(void) {
  Suite *s = suite_create("adapt_store");
  TCase *t = tcase_create("adapt_store");
  tcase_add_test(t, what_is_saved_is_loaded);
  tcase_add_test(t, power_may_go_at_any_byte);
  tcase_add_test(t, numbers_of_saves_wrap);
  tcase_add_test(t, what_is_not_the_models_is_not_loaded);
  tcase_add_test(t, reads_may_fail);
  tcase_add_test(t, saves_may_fail_to_read);
  tcase_add_test(t, nothing_is_written_twice);
  tcase_add_test(t, a_memory_that_keeps_nothing_is_noticed);
  suite_add_tcase(s, t);
  return s;
}
