/* Items to model inputs: the layouts of input_map.h. */
#include "runtime/data/input_map.h"

#include <string.h>

/* The dimensions that are not 1, from `from` on. */
static Shape squeeze(const Shape *s, int from) {
  Shape out = {0};
  for (int i = from; i < s->rank; i++)
    if (s->d[i] != 1) out.d[out.rank++] = s->d[i];
  return out;
}

bool input_map(const Shape *input, const Shape *item, InputMap *out, Diag *d) {
  Shape a = squeeze(input, 1), b = squeeze(item, 0);
  *out = (InputMap){.count = shape_count(item)};
  if (shape_equal(&a, &b)) return true;
  if (a.rank == 1 && a.d[0] == out->count) return true; /* flattened */
  if (item->rank == 3 && input->rank == 4 && input->d[1] == item->d[2] && input->d[2] == item->d[0] &&
      input->d[3] == item->d[1]) {
    out->to_chw = true;
    out->c = item->d[2];
    out->pixels = item->d[0] * item->d[1];
    return true;
  }
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

void input_item(const InputMap *map, const Split *s, const Normalize *nz, const Augment *aug, uint32_t i,
                float *out, float *scratch) {
  split_item(s, nz, aug, i, map->to_chw ? scratch : out);
  if (map->to_chw) input_move(map, scratch, out);
}
