/* How often each variant of an image is right on a design's validation split: `compile --validate`. */
#ifndef FRONTEND_CLI_VALIDATE_H
#define FRONTEND_CLI_VALIDATE_H

#include "backend/backend.h"
#include "frontend/cli/cli.h"
#include "frontend/config/design.h"

/* accuracy_ppm of m [n]. exits: m[0].g has n outputs, the earliest exit first, and variant v ends at output n - 1 - v; else
 * each variant has a graph. A graph that takes bytes as they are gets the split's, which must be bytes; others get it
 * normalized as the design says. */
bool cli_validate(FamilyMember *m, int n, bool exits, const Design *design, const Host *host, Diag *d);
/* By the design file, on all processors, with progress. */
bool cli_validate_asked(FamilyMember *m, int n, bool exits, const char *path, const CommonOpts *common,
                        Diag *d);

#endif
