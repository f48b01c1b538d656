/* Names: see names.h. FNV-1a, linear probing, at most half full. */
#include "frontend/onnx/names.h"

#include <string.h>

#include "ir/base/mem.h"

static NameSlot *find(const Names *t, const char *key) {
  uint32_t h = 2166136261u;
  for (const char *c = key; *c; c++) h = (h ^ (unsigned char)*c) * 16777619u;
  uint32_t i = h & (t->n_slots - 1);
  while (t->slots[i].key && strcmp(t->slots[i].key, key) != 0) i = (i + 1) & (t->n_slots - 1);
  return &t->slots[i];
}

static void grow(Names *t) {
  Names old = *t;
  t->n_slots = old.n_slots ? old.n_slots * 2 : 64;
  t->slots = mem_array(t->n_slots, sizeof *t->slots);
  for (uint32_t i = 0; i < old.n_slots; i++)
    if (old.slots[i].key) *find(t, old.slots[i].key) = old.slots[i];
  mem_free(old.slots);
}

uint32_t *names_at(Names *t, const char *key) {
  if ((t->n + 1) * 2 > t->n_slots) grow(t);
  NameSlot *s = find(t, key);
  if (!s->key) {
    *s = (NameSlot){key, 0};
    t->n++;
  }
  return &s->value;
}

uint32_t names_get(const Names *t, const char *key) { return t->n ? find(t, key)->value : 0; }

void names_free(Names *t) {
  mem_free(t->slots);
  *t = (Names){0};
}
