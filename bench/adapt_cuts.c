/* Part "cuts": the power goes during a save of what a model learned, at every call of the firmware's write and erase, and at every
 * byte of each; then the device starts again and loads, saves, and the power goes again. Counted are starts that did not find what
 * had been saved last: what it was before, or the new state where the save said that it is done. NOR flash: an erase sets bits, a
 * write clears them.
 */
#include "bench/adapt.h"
#include "ir/base/mem.h"
#include "runtime/device/adapt.h"

/* A last layer of 16 features and 4 classes. */
enum { K = 16, N = 4, WORDS = N * K + N, SAVES = 3 };

static const int8_t weights[N * K] = {1};
static const mf_adapt_last last = {.k = K, .n = N, .w_out = K, .w = weights};
static void forget(mf_adapt_state *s);
static const mf_adapt_model model = {.last = &last, .words = WORDS, .content = {1, 2}, .forget = forget};
static void forget(mf_adapt_state *s) { mf_adapt_reset(&model, s); }

typedef struct Flash {
  unsigned char *bytes;
  uint32_t slot;
  int64_t left; /* bytes until the power goes; < 0: it stays */
  int calls;
} Flash;

typedef union State {
  mf_adapt_state head;
  int32_t words[sizeof(mf_adapt_state) / 4 + WORDS];
} State;

static uint32_t lasts(Flash *f, uint32_t n) {
  const uint32_t done = f->left >= 0 && f->left < n ? (uint32_t)f->left : n;
  if (f->left >= 0) f->left -= done;
  f->calls++;
  return done;
}

static int flash_read(void *ctx, uint32_t at, void *to, uint32_t n) {
  memcpy(to, ((Flash *)ctx)->bytes + at, n);
  return 0;
}

static int flash_write(void *ctx, uint32_t at, const void *from, uint32_t n) {
  Flash *f = ctx;
  const uint32_t done = lasts(f, n);
  for (uint32_t i = 0; i < done; i++) f->bytes[at + i] &= ((const unsigned char *)from)[i];
  return done < n;
}

static int flash_erase(void *ctx, uint32_t at, uint32_t n) {
  Flash *f = ctx;
  const uint32_t done = lasts(f, n);
  memset(f->bytes + at, 0xff, done);
  return done < n;
}

static void learn(State *s, int time) {
  for (int i = 0; i < WORDS; i++) mf_adapt_words(&s->head)[i] = time * 10000 + i;
}

/* Which time a state is of; -1: of none, as a whole. */
static int time_of(State *s) {
  const int time = mf_adapt_words(&s->head)[0] / 10000;
  for (int i = 0; i < WORDS; i++)
    if (mf_adapt_words(&s->head)[i] != time * 10000 + i) return -1;
  return time;
}

typedef struct Count {
  int starts, wrong, calls;
} Count;

/* The device starts: does it find the state of time `want` (0: none)? */
static void start(State *s, const mistify_storage *store, int want, Count *count) {
  memset(s, 0, sizeof *s);
  mf_adapt_reset(&model, &s->head);
  const int loaded = mf_adapt_load(&model, &s->head, store);
  count->starts++;
  count->wrong += want == 0 ? loaded != MF_ADAPT_EMPTY : loaded != 0 || time_of(s) != want;
}

/* A save of time `time` that is cut after `left` bytes (< 0: is not), then a start. Which time is saved now. */
static int save_and_start(State *s, const mistify_storage *store, int time, int64_t left, int before,
                          Count *count) {
  Flash *f = store->ctx;
  learn(s, time);
  f->left = left, f->calls = 0;
  const bool done = mf_adapt_save(&model, &s->head, store) == 0;
  f->left = -1;
  if (f->calls > count->calls) count->calls = f->calls;
  start(s, store, done ? time : before, count);
  return done ? time : before;
}

/* `saves` whole ones, then one that is cut after `left` bytes, then one that is cut after `again`. False: the first was not cut. */
static bool cut(Flash *f, int saves, int64_t left, int64_t again, Count *count) {
  const mistify_storage store = {f, f->slot, flash_read, flash_write, flash_erase};
  State s;
  int now = 0;
  memset(f->bytes, 0xff, 2 * (size_t)f->slot);
  memset(&s, 0, sizeof s);
  mf_adapt_reset(&model, &s.head);
  for (int time = 1; time <= saves; time++) now = save_and_start(&s, &store, time, -1, now, count);
  now = save_and_start(&s, &store, saves + 1, left, now, count);
  const bool was_cut = now == saves;
  save_and_start(&s, &store, saves + 2, again, now, count);
  return was_cut;
}

void part_cuts(Adapt *ad) {
  Count count = {0};
  Flash f = {.slot = mf_adapt_slot_bytes(WORDS)};
  const int64_t bytes = 2 * (int64_t)f.slot; /* of a save: erased and written */
  f.bytes = mem_array(2, f.slot);
  for (int saves = 0; saves <= SAVES; saves++)
    for (int64_t again = -1; again < bytes; again += 7)
      for (int64_t left = 0; cut(&f, saves, left, again, &count); left += ad->quick ? 31 : 1) continue;
  adapt_row(ad,
            &(Row){.name = "power cuts",
                   .metric = "starts without a whole state",
                   .value = count.wrong,
                   .unit = "",
                   .better = "lower",
                   .aim = 0,
                   .how = arena_printf(ad->a,
                                       "%d starts: behind cuts of saves 1 to %d at each byte of all %d calls "
                                       "of erase and write, and of the save after at every 7th; state of "
                                       "%d words",
                                       count.starts, SAVES + 1, count.calls, WORDS)});
  mem_free(f.bytes);
}
