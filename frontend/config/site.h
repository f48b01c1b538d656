/* site.yaml: the data of one place, which stay there, and what belongs to them. For `mistify adapt`. */
#ifndef FRONTEND_CONFIG_SITE_H
#define FRONTEND_CONFIG_SITE_H

#include "frontend/config/schema.h"
#include "runtime/data/dataset.h"

typedef struct Site {
  SplitSpec local;      /* what is learnt from */
  SplitSpec public_set; /* kind NULL: none. What every site has: answers on it may be exchanged */
  SplitSpec others; /* kind NULL: none. Nobody's training data: the attack's non-members, never learnt from */
  Normalize normalize;
  Augment augment;
  int classes; /* 0: not said */
} Site;

/* `path`: a YAML file, a folder with a site.yaml in it, or a folder of images (their values as they are). Everything lives in
 * `a`. NULL: reported. */
const Site *site_load(Arena *a, const char *path, Diag *d);

extern const Schema site_schema;

#endif
