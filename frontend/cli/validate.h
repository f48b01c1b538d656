/* How often each variant of an image is right on a design's validation split: `compile --validate`. */
#ifndef FRONTEND_CLI_VALIDATE_H
#define FRONTEND_CLI_VALIDATE_H

#include "backend/backend.h"
#include "frontend/config/design.h"

/* accuracy_ppm of m [n]. exits: m[0].g has n outputs, the earliest exit first, and variant v ends at output n - 1 - v; else
 * each variant has a graph. */
bool cli_validate(FamilyMember *m, int n, bool exits, const Design *design, Diag *d);

#endif
