/* A piece of printed text as it lies before the camera. */
#ifndef LABEL_READER_SCENE_H
#define LABEL_READER_SCENE_H

#include "glyphs.h"
#include "rng.h"

enum {
  FRAME = 32, /* side of the picture that is kept */
  VIEW = 40   /* side of what the camera takes: five JPEG blocks */
};

typedef struct Scene {
  float light[VIEW * VIEW]; /* reflected light, 0..1, row by row */
  int x0, y0;               /* where the FRAME lies in the VIEW, 0 .. VIEW-FRAME */
} Scene;

/* Print class LABEL in a font of SET's split SPLIT among random neighbours, and look at it. */
void scene_make(Scene *scene, const GlyphSet *set, Split split, int label, Rng *rng);

#endif
