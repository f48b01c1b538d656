/* Functions of custom operators on this machine: compiled, loaded. */
#ifndef IR_CUSTOM_HOST_H
#define IR_CUSTOM_HOST_H

#include "ir/custom.h"

typedef struct CustomHost {
  void *handle;      /* of the shared object; NULL: not loaded */
  mf_custom_fn **fn; /* by rule; NULL: none at hand */
} CustomHost;

typedef struct CustomSources {
  const CustomRule *rules;
  int n_rules;
  const CustomFile *files;
  int n_files;
  const char *header; /* text of runtime/kernels/custom.h */
} CustomSources;

/* See custom_build. What was loaded before goes. */
bool custom_host_build(CustomHost *h, const CustomSources *s, Diag *d);
void custom_host_free(CustomHost *h);

#endif
