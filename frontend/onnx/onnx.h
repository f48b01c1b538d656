/* ONNX: import into a Graph, export from one. */
#ifndef FRONTEND_ONNX_ONNX_H
#define FRONTEND_ONNX_ONNX_H

#include "ir/custom.h"
#include "ir/graph.h"

/* Import. Interface (names, order, layouts of inputs and outputs) stays the file's; NHWC convolutions stand
 * between Transposes, which `layout` removes. A symbolic first dimension becomes DIM_BATCH. Constant chains are
 * folded on the way (by the generic kernels). Quantize/Dequantize and QLinear forms become int8 operators (qdq.h). All that is unsupported is reported at once; NULL then. */
Graph *onnx_import(const char *path, Diag *d);
/* The same from bytes, which the graph keeps alive; `path` for messages. */
Graph *onnx_import_bytes(Blob *bytes, const char *path, Diag *d);

/* What int8 operators keep: ONNX's rounding (float scales, halves to even); that of TFLite's reference kernels (twice, halves
 * away from zero); or TFLite's arithmetic with one rounding, which is nearer to ONNX: for files that don't say. */
typedef enum OnnxRounding { ONNX_ROUND_AUTO, ONNX_ROUND_TFLITE, ONNX_ROUND_ONNX } OnnxRounding;
typedef struct OnnxOptions {
  OnnxRounding rounding;
  CustomLibrary *custom; /* functions of custom operators, which the graph refers to; NULL: none */
} OnnxOptions;
Graph *onnx_import_with(Blob *bytes, const char *path, const OnnxOptions *o, Diag *d);

/* Of a model that cannot be imported, what can: the nodes that do not depend on those at fault, with all values that
 * nothing reads as outputs. The faults are reported. NULL: nothing. */
Graph *onnx_import_part(Blob *bytes, const char *path, const OnnxOptions *o, Diag *d);

/* Export a float graph (opset 13); atomic. Transposes are added where ONNX wants NCHW. */
bool onnx_export(const Graph *g, const char *path, Diag *d);

#endif
