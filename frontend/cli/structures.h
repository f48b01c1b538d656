/* What a design's freedom of depth, resolution and rank means for tailoring. */
#ifndef FRONTEND_CLI_STRUCTURES_H
#define FRONTEND_CLI_STRUCTURES_H

#include "frontend/config/design.h"
#include "passes/tailor/tailor.h"

/* The structures to try, in `a`; keep: layers that stay whole, "a;b". */
const TailorVariant *cli_structures(Arena *a, const Design *design, const char *keep, int *n);

#endif
