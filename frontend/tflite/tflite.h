/* TensorFlow Lite: import and export of float and integer models (schema version 3). */
#ifndef FRONTEND_TFLITE_TFLITE_H
#define FRONTEND_TFLITE_TFLITE_H

#include "ir/custom.h"
#include "ir/graph.h"

Graph *tflite_import(const char *path, Diag *d);
Graph *tflite_import_bytes(Blob *bytes, const char *path, Diag *d);
/* The same with functions of custom operators, which the graph refers to. */
Graph *tflite_import_with(Blob *bytes, const char *path, CustomLibrary *custom, Diag *d);

/* The graph as a .tflite file, a symbolic batch bound to 1; importing it gives the same outputs byte for byte. Reports,
 * at its node, every operator that TensorFlow Lite does not have. */
bool tflite_export(const Graph *g, const char *path, Diag *d);
struct StrBuf;
bool tflite_write(const Graph *g, struct StrBuf *out, Diag *d);

#endif
