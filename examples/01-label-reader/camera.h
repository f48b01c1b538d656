/* What a small camera makes of a scene. */
#ifndef LABEL_READER_CAMERA_H
#define LABEL_READER_CAMERA_H

#include "glyphs.h"
#include "rng.h"
#include "scene.h"

/* True if no split shares camera settings with another (see cameras.def); otherwise says which. */
bool camera_check_table(void);

/* Photograph SCENE with a random camera of SPLIT into FRAME x FRAME grey pixels, row by row. */
void camera_expose(const Scene *scene, Split split, uint8_t out[FRAME * FRAME], Rng *rng);

#endif
