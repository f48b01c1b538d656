/* TensorFlow Lite: import of float and full-integer models (schema version 3). */
#ifndef FRONTEND_TFLITE_TFLITE_H
#define FRONTEND_TFLITE_TFLITE_H

#include "ir/graph.h"

Graph *tflite_import(const char *path, Diag *d);
Graph *tflite_import_bytes(Blob *bytes, const char *path, Diag *d);

#endif
