/* Resizing of float images: area average where an axis shrinks, linear interpolation where it grows; each axis apart. */
#ifndef RUNTIME_DATA_RESIZE_H
#define RUNTIME_DATA_RESIZE_H

#include <stddef.h>

typedef struct Resizer Resizer;

/* From [sh][sw] to [dh][dw], for any number of channels and images; only read while it runs. */
Resizer *resizer_new(int sh, int sw, int dh, int dw);
void resizer_free(Resizer *r); /* NULL is allowed */
/* Floats of scratch that running needs. */
size_t resizer_scratch(const Resizer *r, int c);
/* src [sh][sw][c], dst [dh][dw][c] (written); they do not overlap. Allocates nothing. */
void resizer_run(const Resizer *r, const float *src, float *dst, int c, float *scratch);

#endif
