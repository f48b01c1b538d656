/* ONNX files for tests, from a few lines of text. One statement per line:
 *
 *   opset 13 | ir 8                                   (13 and 8 unless said)
 *   input NAME TYPE DIMS                              TYPE f32, i64, i32, f16, ...; DIMS "N,3,8,8" ("-" for a scalar)
 *   init NAME TYPE DIMS [= VALUES] [short|typed|typed-short|external[:FILE:OFFSET:LENGTH]]   VALUES "1,2,3", repeated; without: made up, in [-1, 1)
 *   node OP[@DOMAIN] NAME INPUTS -> OUTPUTS [ATTR...] INPUTS "a,,b" ("-" for none); ATTR axis=1 alpha=0.5 pads=[0,1]
 *                                                     mode="edge" value=TYPE:DIMS:VALUES value_ints=[1,2] floats=[.5]
 *   output NAME
 *   begin NAME ... end                                statements of a graph, for attributes: then_branch=&NAME
 *   function DOMAIN NAME INPUTS -> OUTPUTS [ATTR...]   up to `end`, a local function: nodes, and `default ATTR=VALUE`;
 *                                                     its attributes: alpha=$ATTR
 */
#ifndef TESTS_FRONTEND_ONNX_TEXT_H
#define TESTS_FRONTEND_ONNX_TEXT_H

#include "ir/base/blob.h"
#include "ir/base/diag.h"
#include "ir/graph.h"

/* The file's bytes; the caller's reference. Fails the test where the text is not understood. */
Blob *onnx_text(const char *text);
/* Imported as "text.onnx"; NULL where that reports. */
Graph *onnx_text_import(const char *text, Diag *d);

#endif
