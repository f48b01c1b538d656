/* Random graphs of images: chains, branches and joins of what runs by rows, and of what does not. */
#ifndef TESTS_BACKEND_RANDOM_IMAGES_H
#define TESTS_BACKEND_RANDOM_IMAGES_H

#include "ir/base/rng.h"
#include "ir/graph.h"

Graph *random_images(Rng *r, Diag *d);

#endif
