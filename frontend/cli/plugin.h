/* Plugins: shared objects with passes (passes/plugin.h). */
#ifndef FRONTEND_CLI_PLUGIN_H
#define FRONTEND_CLI_PLUGIN_H

#include "frontend/cli/cli.h"
#include "passes/plugin.h"

/* Open the files of `paths`, in order; they stay open until the program ends, since graphs may refer to their
 * strings. *lists [paths->n] in `a`. false: reported (no such file, no plugin, other layouts, a name that is taken). */
bool plugins_open(Arena *a, const ArgList *paths, const PassList **lists, Diag *d);

#define PLUGIN_OPT(type)                                                 \
  {                                                                      \
    "--plugin", OPT_LIST, offsetof(type, plugins), false, "FILE",        \
        "shared object with further passes (may be given several times)" \
  }

#endif
