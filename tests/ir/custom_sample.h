/* Functions for Custom nodes of tests: `sample_mix`. */
#ifndef TESTS_IR_CUSTOM_SAMPLE_H
#define TESTS_IR_CUSTOM_SAMPLE_H

#include "ir/custom.h"

/* Borrowed. */
CustomLibrary *custom_sample(void);
/* Its source without what it includes: string.h, and mf_custom, mf_tensor_count, MF_TENSOR_F32 of custom.h. */
const char *custom_sample_body(void);

#endif
