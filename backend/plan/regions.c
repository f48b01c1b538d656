/* Regions: a plan's memory spread over a board's memories, hot values in the fast one.
 *
 *   regions, fastest first     | fast 64 KiB | main 256 KiB | external |
 *
 * Heat is bytes read and written in an inference for each byte of room: rows that windows read again count again. Values
 * go to the first region in the order of their heat as long as its packing stays within its size, what is left to the
 * next, and all that is left to the last. Values that share bytes stay together; those that may overlap do so where both
 * went to one region. Where that leaves more for the last region than it has, values go by their size instead, the largest
 * first, if the last one gets less so.
 */
#include "backend/plan/plan.h"

#include "ir/base/mem.h"

/* Bytes of value v that call k touches through `view` in all its rows; `map`: of an input. */
static int64_t touched_bytes(const Planner *p, const KernelCall *k, const CallView *view, const RowMap *map) {
  const int64_t all = p->span[p->root[view->val]].bytes, rows = k->rows;
  if (map && map->all) return all;
  if (view->row <= 0) return all;
  return rows * view->row * (map ? map->ext : 1) * k->batch;
}

void regions_heat(const Planner *p, const int32_t *storage, const PlanItem *items, int n_items,
                  int64_t *heat) {
  for (uint32_t c = 0; c < p->calls->n; c++) {
    const KernelCall *k = &p->calls->v[c];
    const ValId out = p->root[k->out.val];
    if (storage[out] >= 0) heat[storage[out]] += touched_bytes(p, k, &k->out, NULL);
    for (int i = 0; i < k->n_in; i++) {
      const ValId in = p->root[k->in[i].val];
      if (storage[in] >= 0) heat[storage[in]] += touched_bytes(p, k, &k->in[i], &p->rows[c].in[i]);
    }
  }
  for (int i = 0; i < n_items; i++) /* scratch: written and read for each row */
    if (items[i].val == NO_VAL) heat[items[i].storage] += 2 * items[i].size * p->calls->v[items[i].call].rows;
}

typedef struct Spread {
  PackBox *box;
  int n;
  const PackPair *pairs;
  int n_pairs;
  int32_t *region; /* by box; -1: none yet */
  PackBox *part;   /* the boxes of one region, and which they are */
  int *which;
  PackPair *part_pairs;
} Spread;

/* Pack the boxes of region r; their offsets are written where `keep`. Returns its bytes. */
static int64_t pack_region(Spread *s, int32_t r, bool keep) {
  int n = 0, n_pairs = 0;
  for (int i = 0; i < s->n; i++) {
    s->which[i] = s->region[i] == r ? n : -1;
    if (s->region[i] == r) s->part[n++] = s->box[i];
  }
  for (int k = 0; k < s->n_pairs; k++) {
    const PackPair *q = &s->pairs[k];
    if (s->which[q->over] >= 0 && s->which[q->under] >= 0)
      s->part_pairs[n_pairs++] = (PackPair){s->which[q->over], s->which[q->under], q->distance};
  }
  int64_t bytes = pack_boxes(s->part, n, s->part_pairs, n_pairs);
  for (int i = 0; i < s->n && keep; i++)
    if (s->which[i] >= 0) s->box[i].offset = s->part[s->which[i]].offset;
  return bytes;
}

/* Does box i come before box k: is it hotter, or (heat NULL) larger? */
static bool comes_first(const Spread *s, const int64_t *heat, int i, int k) {
  if (!heat) return s->box[i].size > s->box[k].size;
  return (double)heat[i] * (double)s->box[k].size > (double)heat[k] * (double)s->box[i].size;
}

/* The first box that region r has not been asked to take. */
static int next_box(const Spread *s, const int64_t *heat, const bool *asked) {
  int best = -1;
  for (int i = 0; i < s->n; i++) {
    if (s->region[i] >= 0 || asked[i]) continue;
    if (best < 0 || comes_first(s, heat, i, best)) best = i;
  }
  return best;
}

static void fill_region(Spread *s, const int64_t *heat, int32_t r, int64_t limit) {
  bool *asked = mem_array((size_t)s->n + 1, sizeof *asked);
  for (int i; (i = next_box(s, heat, asked)) >= 0;) {
    asked[i] = true;
    if (limit && s->box[i].size > limit) continue;
    s->region[i] = r;
    if (limit && pack_region(s, r, false) > limit) s->region[i] = -1;
  }
  mem_free(asked);
}

/* Fill all regions. Returns the bytes of the last one. */
static int64_t fill_all(Spread *s, const PlanOptions *o, const int64_t *heat) {
  const int32_t last = o->n_regions - 1;
  for (int i = 0; i < s->n; i++) s->region[i] = -1;
  for (int32_t r = 0; r <= last; r++) fill_region(s, heat, r, r < last ? o->region[r].bytes : 0);
  return pack_region(s, last, false);
}

void regions_spread(const PlanOptions *o, PackBox *box, int n, const PackPair *pairs, int n_pairs,
                    const int64_t *heat, int32_t *region, int64_t *bytes) {
  Spread s = {.box = box, .n = n, .pairs = pairs, .n_pairs = n_pairs, .region = region};
  s.part = mem_array((size_t)n + 1, sizeof *s.part);
  s.which = mem_array((size_t)n + 1, sizeof *s.which);
  s.part_pairs = mem_array((size_t)n_pairs + 1, sizeof *s.part_pairs);
  const int64_t most = o->region[o->n_regions - 1].bytes, hot = fill_all(&s, o, heat);
  if (most && hot > most && fill_all(&s, o, NULL) >= hot) fill_all(&s, o, heat);
  for (int32_t r = 0; r < o->n_regions; r++) bytes[r] = pack_region(&s, r, true);
  mem_free(s.part);
  mem_free(s.which);
  mem_free(s.part_pairs);
}
