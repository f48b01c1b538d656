/* Folders to write into: what stands there is not written over unasked. */
#ifndef FRONTEND_CLI_FOLDER_H
#define FRONTEND_CLI_FOLDER_H

#include "frontend/cli/cli.h"

/* Does it hold what emission wrote? */
bool folder_is_emitted(Arena *a, const char *dir);
/* There is none yet, or an empty one, or it is `ours`; or it is forced. false: reported. */
bool folder_check(const char *dir, bool force, bool ours, Diag *d);

#endif
