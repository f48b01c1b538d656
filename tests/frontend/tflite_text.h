/* TFLite files for tests, from a few lines of text. One statement per line:
 *
 *   tensor NAME TYPE DIMS [q=SCALE:ZERO[,SCALE:ZERO...][@AXIS]] [= VALUES]
 *            TYPE f32, i8, i32, i64, u8, f16, i4 (constants), ...; DIMS "1,8,8,3" ("-" for a scalar); VALUES "1,2,3", repeated: a constant
 *   tensor NAME TYPE DIMS [q=...] variable: it lives from one run to the next
 *   op NAME INPUTS -> OUTPUTS [FIELD:KIND=VALUE ...]   NAME as in builtins.def; "a,,b": the second one is left out, "-": none;
 *            fields of the options' table by number, KIND u8, i32, f32, str
 *            CUSTOM:CODE is a custom operator
 *   input NAME | output NAME
 *   graph    what follows belongs to the next graph of the file
 */
#ifndef TESTS_FRONTEND_TFLITE_TEXT_H
#define TESTS_FRONTEND_TFLITE_TEXT_H

#include "ir/base/blob.h"
#include "ir/base/diag.h"
#include "ir/graph.h"

/* The file's bytes; the caller's reference. Fails the test where the text is not understood. */
Blob *tflite_text(const char *text);
/* Imported as "text.tflite"; NULL where that reports. */
Graph *tflite_text_import(const char *text, Diag *d);

#endif
