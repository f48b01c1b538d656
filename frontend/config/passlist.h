/* A pipeline of passes in a YAML file, as the text that pipelines take:
 *
 *   passes:
 *     - fold
 *     - layout: {input: nhwc}          "fold,layout{input=nhwc},prune{macs=0.5,keep=conv1;fc},quantize"
 *     - prune: {macs: 50%, keep: [conv1, fc]}
 *     - quantize
 */
#ifndef FRONTEND_CONFIG_PASSLIST_H
#define FRONTEND_CONFIG_PASSLIST_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"

typedef struct PassText {
  const char *text;
  const Loc *locs; /* [n] where each pass is named */
  int n;
} PassText;

/* Names and parameters are checked by who runs them. Everything lives in `a`. false: reported. */
bool passlist_load(Arena *a, const char *path, PassText *out, Diag *d);

#endif
