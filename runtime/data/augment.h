/* Augmentation: what a training example may become. Everything drawn depends on (seed, stream, example) alone, so that
 * any order and any thread gives the same values.
 *
 * Items of rank 3 are images [height, width, channels] or spectrograms [time, frequency, 1]; of other items `noise` and
 * `mixup` alone have a meaning.
 */
#ifndef RUNTIME_DATA_AUGMENT_H
#define RUNTIME_DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/base/hash.h"

typedef struct Augment {
  bool flip;    /* half of the images are mirrored left to right */
  int crop;     /* a window of the image's size out of the image padded by so many pixels */
  bool reflect; /* padded with its mirror image; else with stored value 0 */
  int cutout; /* > 0: a square of this side, centred anywhere, is blanked (DeVries, Taylor 2017, 1708.04552) */
  int time_mask; /* > 0: up to so many neighbouring rows are blanked (SpecAugment, Park 2019, 1904.08779) */
  int frequency_mask; /* > 0: and columns */
  float noise;        /* > 0: normal noise of this deviation, in the unit of the model's input */
  float mixup; /* > 0: examples are mixed in pairs, share from Beta(mixup, mixup) (Zhang 2018, 1710.09412) */
  float
      cutmix; /* > 0: a box of the other's pixels, its area from Beta(cutmix, cutmix) (Yun 2019, 1905.04899) */
  uint64_t seed, stream; /* stream: epoch; with views: the epoch too, but the view decides */
  int views; /* > 0: an example is seen in so many ways only: in epoch e in view (hash(example) + e) % views */
} Augment;

/* The kinds (not seed, stream, views) as canonical text: "flip=1,crop=4,cutout=0,...". */
void augment_print(const Augment *a, char *buf, size_t n);
void augment_hash(Hasher *h, const Augment *a); /* of that text */
/* The stream that example i is drawn from: epoch or view. */
uint64_t augment_stream(const Augment *a, uint32_t i);
/* How an example is mixed with another: the whole of it (mixup), or a box of an image (cutmix). */
typedef struct Mixing {
  uint32_t partner; /* itself: not mixed */
  float share;      /* of the example: of each of its values, or of its pixels */
  bool cut;
  int64_t y0, y1, x0, x1; /* cut: the partner's pixels, rows y0 to y1, columns x0 to x1 */
} Mixing;
/* How example i of n, in items of h by w pixels, is mixed. With mixup and cutmix each example gets one of the two. */
Mixing augment_mix(const Augment *a, uint32_t n, uint32_t i, int64_t h, int64_t w);
/* The augmentation in which i's partner is seen: drawn from i's own stream, so that a view is the same in every epoch. */
Augment augment_partner(const Augment *a, uint32_t i);
/* What of it changes values in place, without moving them: noise, then what is blanked, to its channel's mean.
 *   x  [h][w][c]; items of other ranks: h = w = 1, c elements */
void augment_spoil(const Augment *a, uint32_t i, float *x, int64_t h, int64_t w, int64_t c);

#endif
