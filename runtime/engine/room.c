/* Memory of sessions that run in turns: see session.h.
 *
 * A slot is a list of chunks, each larger than those before it: who asks for more than the last holds gets a new one, the
 * others keep theirs. Made from the largest session to the smallest there is one chunk a slot.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/session.h"

enum { ROOM_CHUNKS = 64 }; /* beyond that each is at least twice the last */

typedef struct Chunk {
  float *p;
  int64_t n;
} Chunk;

struct Room {
  Chunk chunk[ROOM_SLOTS][2 * ROOM_CHUNKS];
  int n[ROOM_SLOTS];
};

Room *room_new(void) { return mem_zalloc(sizeof(Room)); }

void room_free(Room *r) {
  if (!r) return;
  for (int s = 0; s < ROOM_SLOTS; s++)
    for (int i = 0; i < r->n[s]; i++) mem_free(r->chunk[s][i].p);
  mem_free(r);
}

float *room_take(Room *r, int slot, int64_t floats) {
  Chunk *c = r->chunk[slot], *last = r->n[slot] ? &c[r->n[slot] - 1] : NULL;
  if (last && last->n >= floats) return last->p;
  if (last && r->n[slot] >= ROOM_CHUNKS && floats < 2 * last->n) floats = 2 * last->n;
  ASSERT(r->n[slot] < 2 * ROOM_CHUNKS);
  const size_t bytes = (size_t)floats * sizeof(float);
  last = &c[r->n[slot]++];
  *last = (Chunk){mem_alloc_aligned(bytes, 64), floats};
  memset(last->p, 0, bytes);
  return last->p;
}

int64_t room_bytes(const Room *r) {
  int64_t sum = 0;
  for (int s = 0; s < ROOM_SLOTS; s++)
    for (int i = 0; i < r->n[s]; i++) sum += r->chunk[s][i].n * (int64_t)sizeof(float);
  return sum;
}
