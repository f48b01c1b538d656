/* The targets, made from backend/targets.def.
 *
 * A row names its kernel sets, its compiler and how the harness runs its code; nothing else in the back end asks what
 * a target is called.
 */
#include "backend/backend.h"

#include <string.h>

#include "backend/costs.h"

#define SETS(...) __VA_ARGS__, NULL
#define TARGET(ident, name, sets, cc, prefix, cflags, run, machine, second, arch, packages, doc) \
  static const char *const sets_##ident[] = {sets};                                              \
  extern const TargetCosts costs_##ident;
#include "backend/targets.def"
#undef TARGET

const Target targets[] = {
#define TARGET(ident, name, sets, cc, prefix, cflags, run, machine, second, arch, packages, doc) \
  {name,    doc,    sets_##ident, cc,       cflags,         prefix "size", prefix "nm",  run,    \
   machine, second, arch,         packages, &costs_##ident, NULL,          OPT_BALANCED, false},
#include "backend/targets.def"
#undef TARGET
};

const int n_targets = (int)(sizeof targets / sizeof *targets);

const Target *target_find(const char *name) {
  for (int i = 0; i < n_targets; i++)
    if (strcmp(targets[i].name, name) == 0) return &targets[i];
  return NULL;
}
