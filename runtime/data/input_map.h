/* How dataset items become a model's input: the one place that knows about layouts.
 *
 * Items are HWC. A model's input may be [N,H,W,C] (or any shape whose item has the same dimensions, ones left out or
 * put in: [N,49,10] or [N,490] for items [49,10,1]), or channels-first [N,C,H,W]: then pixels are moved. An item whose
 * dimensions fit both readings (H == W == C) is taken as it is.
 * Images that are larger than the model's, with the same channels and, to a pixel, the same proportions, are resized:
 * every pixel is the mean of the area that it covers (runtime/data/resize.c), after augmentation.
 */
#ifndef RUNTIME_DATA_INPUT_MAP_H
#define RUNTIME_DATA_INPUT_MAP_H

#include "runtime/data/dataset.h"

typedef struct InputMap {
  int64_t count;     /* elements of one item */
  bool to_chw;       /* move HWC to CHW */
  int64_t pixels, c; /* of the model's image, when to_chw or resized */
  int64_t h, w;      /* resized: to this; 0: images are taken in their own size */
} InputMap;

/* Whether items of shape `item` are resized for this input, and to what. */
bool input_resized(const Shape *input, const Shape *item, int64_t *h, int64_t *w);

/* Match a graph input of shape `input` (batch outermost, symbolic or fixed) with items of shape `item`.
 * Reports at loc NULL and returns false when they do not fit. */
bool input_map(const Shape *input, const Shape *item, InputMap *out, Diag *d);

/* Example i of s as the model's input, normalised and augmented: split_item, then the layout.
 *   out  [count]  float32 (written);  scratch [count] float32, used when map->to_chw. */
void input_item(const InputMap *map, const Split *s, const Normalize *nz, const Augment *aug, uint32_t i,
                float *out, float *scratch);
/* HWC values to the model's layout; src and dst differ. */
void input_move(const InputMap *map, const float *src, float *dst);

#endif
