/* The list of custom operators (custom.yaml): operators of model files that functions of the user's in C compute.
 *
 *   operators:
 *     - op: acme:Swish              domain and operator of ONNX; a custom code of TensorFlow Lite
 *       function: acme_swish        void acme_swish(const mf_custom *op)
 *       files: [swish.c, swish.h]   beside this list
 *       floats: [beta=1]            attributes, in the order in which the function gets them
 */
#ifndef FRONTEND_CONFIG_CUSTOM_H
#define FRONTEND_CONFIG_CUSTOM_H

#include "frontend/config/schema.h"
#include "ir/custom.h"

/* Read, bind, check; sources are read, not compiled (custom_build). NULL: reported. */
CustomLibrary *custom_load(const char *path, Diag *d);

extern const Schema custom_schema;

#endif
