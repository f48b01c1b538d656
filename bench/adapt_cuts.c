/* Part "cuts": the power goes during a save of what a model learned, at every call of the firmware's write and erase, and at every
 * byte of each; then the device starts again and loads. Counted are starts that did not find a state that had been saved whole:
 * the one before, or the new one where the save said that it is done. NOR flash: an erase sets bits, a write clears them.
 */
#include "bench/adapt.h"
#include "ir/base/mem.h"
#include "runtime/device/adapt.h"

/* A last layer of 64 features and 10 classes. */
enum { K = 64, N = 10, WORDS = N * K + N, SAVES = 3 };

static const int8_t weights[N * K] = {1};
static const mf_adapt_last last = {.k = K, .n = N, .w_out = K, .w = weights};
static const mf_adapt_model model = {.last = &last, .words = WORDS, .content = {1, 2}};

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
  int cuts, wrong, calls;
} Count;

/* `saves` whole ones, then one that is cut after `left` bytes. False: it was not cut. */
static bool cut(Flash *f, int saves, int64_t left, Count *count) {
  const mistify_storage store = {f, f->slot, flash_read, flash_write, flash_erase};
  State s;
  memset(&s, 0, sizeof s);
  memset(f->bytes, 0xff, 2 * (size_t)f->slot);
  mf_adapt_reset(&model, &s.head);
  f->left = -1;
  for (int time = 1; time <= saves; time++) {
    learn(&s, time);
    count->wrong += mf_adapt_save(&model, &s.head, &store) != 0;
  }
  learn(&s, saves + 1);
  f->left = left, f->calls = 0;
  const bool done = mf_adapt_save(&model, &s.head, &store) == 0;
  f->left = -1;
  memset(&s, 0, sizeof s);
  mf_adapt_reset(&model, &s.head);
  const int loaded = mf_adapt_load(&model, &s.head, &store), want = done ? saves + 1 : saves;
  count->wrong += want == 0 ? loaded != MF_ADAPT_EMPTY : loaded != 0 || time_of(&s) != want;
  count->cuts += !done;
  if (f->calls > count->calls) count->calls = f->calls;
  return !done;
}

void part_cuts(Adapt *ad) {
  Count count = {0};
  Flash f = {.slot = mf_adapt_slot_bytes(WORDS)};
  f.bytes = mem_array(2, f.slot);
  for (int saves = 0; saves <= SAVES; saves++)
    for (int64_t left = 0; cut(&f, saves, left, &count); left++) continue;
  adapt_row(ad, &(Row){.name = "power cuts",
                       .metric = "starts without a whole state",
                       .value = count.wrong,
                       .unit = "",
                       .better = "lower",
                       .aim = 0,
                       .how = arena_printf(ad->a,
                                           "%d cuts of saves 1 to %d: at each byte of all %d calls of erase "
                                           "and write; state of %d words",
                                           count.cuts, SAVES + 1, count.calls, WORDS)});
  mem_free(f.bytes);
}
