/* How sure an output is: what the controller's cascade and the monitor of drift go by. This text ships in generated code. */
#ifndef MF_CONFIDENCE_H
#define MF_CONFIDENCE_H

#include "runtime/kernels/kernel.h"

/* How far the largest of n codes is above the next one, 0 .. 255; flip 128: int8, 0: uint8. n < 2: 255. */
MF_KERNEL uint32_t mistify_confidence(const void *codes, int32_t n, int32_t flip);

#endif
