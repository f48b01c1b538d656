/* Items to model inputs: the layouts of input_map.h. */
#include "runtime/data/input_map.h"

#include <string.h>

#include "ir/base/mem.h"
#include "runtime/data/resize.h"

/* The dimensions that are not 1, from `from` on. */
static Shape squeeze(const Shape *s, int from) {
  Shape out = {0};
  for (int i = from; i < s->rank; i++)
    if (s->d[i] != 1) out.d[out.rank++] = s->d[i];
  return out;
}

/* In its own size. */
static bool fits(const Shape *input, const Shape *item, InputMap *out) {
  Shape a = squeeze(input, 1), b = squeeze(item, 0);
  *out = (InputMap){.count = shape_count(item)};
  if (item->rank == 3) {
    out->c = item->d[2];
    out->pixels = item->d[0] * item->d[1];
  }
  if (shape_equal(&a, &b)) return true;
  if (a.rank == 1 && a.d[0] == out->count) return true; /* flattened */
  out->to_chw = item->rank == 3 && input->rank == 4 && input->d[1] == item->d[2] &&
                input->d[2] == item->d[0] && input->d[3] == item->d[1];
  return out->to_chw;
}

bool input_resized(const Shape *input, const Shape *item, int64_t *h, int64_t *w) {
  InputMap own;
  if (input->rank != 4 || item->rank != 3 || fits(input, item, &own)) return false;
  for (int axis = 1; axis <= 2; axis++) {
    int64_t most = item->d[0] > item->d[1] ? item->d[0] : item->d[1];
    *h = input->d[axis], *w = input->d[axis + 1];
    int64_t skew = *h * item->d[1] - *w * item->d[0];
    if (input->d[axis == 1 ? 3 : 1] == item->d[2] && *h > 0 && *w > 0 && *h <= item->d[0] &&
        *w <= item->d[1] && -most < skew && skew < most)
      return true;
  }
  return false;
}

bool input_map(const Shape *input, const Shape *item, InputMap *out, Diag *d) {
  Shape small = *item;
  if (input_resized(input, item, &small.d[0], &small.d[1])) {
    bool fit = fits(input, &small, out);
    ASSERT(fit);
    out->h = small.d[0], out->w = small.d[1];
    return true;
  }
  if (fits(input, item, out)) return true;
  char want[96], got[96];
  shape_format(input, want, sizeof want);
  shape_format(item, got, sizeof got);
  diag_error(d, NULL, "the model's input is %s, but the data's examples are %s", want, got);
  if (item->rank == 3)
    diag_hint(d, "images are [height, width, channels]; the model may want them or channels first");
  return false;
}

void input_move(const InputMap *map, const float *src, float *dst) {
  if (!map->to_chw) {
    memcpy(dst, src, (size_t)map->count * sizeof *dst);
    return;
  }
  for (int64_t c = 0; c < map->c; c++)
    for (int64_t p = 0; p < map->pixels; p++) dst[c * map->pixels + p] = src[p * map->c + c];
}

static void resized_item(const InputMap *map, const Split *s, const Normalize *nz, const Augment *aug,
                         uint32_t i, float *out) {
  const int64_t *from = s->item.d;
  Resizer *r = resizer_new((int)from[0], (int)from[1], (int)map->h, (int)map->w);
  size_t item = (size_t)shape_count(&s->item);
  float *x = mem_array(item + (size_t)map->count + resizer_scratch(r, (int)map->c), sizeof *x);
  split_item(s, nz, aug, i, x);
  resizer_run(r, x, x + item, (int)map->c, x + item + map->count);
  input_move(map, x + item, out);
  mem_free(x);
  resizer_free(r);
}

void input_item(const InputMap *map, const Split *s, const Normalize *nz, const Augment *aug, uint32_t i,
                float *out, float *scratch) {
  if (map->h > 0) {
    resized_item(map, s, nz, aug, i, out);
    return;
  }
  split_item(s, nz, aug, i, map->to_chw ? scratch : out);
  if (map->to_chw) input_move(map, scratch, out);
}
