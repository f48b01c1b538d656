/* Readers of the dataset sources: each fills a Split from a SplitSpec, or reports and leaves it empty. */
#ifndef RUNTIME_DATA_SOURCE_H
#define RUNTIME_DATA_SOURCE_H

#include "ir/base/arena.h"
#include "runtime/data/dataset.h"
#include "runtime/data/resize.h"

/* data/npy_pair.c: x.npy [N,...] uint8, int8 or float32, y.npy [N] int64 or int32 (y NULL: no labels). */
bool source_npy(const SplitSpec *spec, Split *out, Diag *d);

/* data/cifar.c: records of 1 label byte + 3072 bytes CHW, plain or .xz. Items [32,32,3]. */
bool source_cifar(const SplitSpec *spec, Split *out, Diag *d);

/* data/images.c: one folder per class. Items [height,width,channels] uint8. */
bool source_images(const SplitSpec *spec, Split *out, Diag *d);

/* The class folders of an image folder, sorted by name (byte order); in `a`. NULL: reported. */
char **image_classes(const char *folder, Arena *a, int *n, Diag *d);

/* Give a split `n` examples of `item` elements of dtype t: takes over xb and yb (yb may be NULL; int32 [n]). */
void split_set(Split *s, uint32_t n, const Shape *item, DType t, Blob *xb, Blob *yb);

/* Check spec->first and spec->count against `have` records; *count is what will be taken. */
bool split_range(const SplitSpec *spec, uint64_t have, uint32_t *count, Diag *d);

/* data/resize.c: u8 image [sh][sw][c] to [dh][dw][c], as a Resizer does it, rounded to nearest once. */
void image_resize(const uint8_t *src, int sh, int sw, uint8_t *dst, int dh, int dw, int c);

/* data/decode.c: a compressed image (PNG, JPEG, BMP, PNM, TGA, GIF) in memory as [h][w][channels]; channels 0: as the
 * file has them, 1 or 3. Free with mem_free. NULL: *why says why. */
uint8_t *image_decode(const void *bytes, size_t n, int *h, int *w, int *channels, const char **why);

#endif
