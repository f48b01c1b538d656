/* The functions under fuzzing, for libFuzzer (main.c) and for the test that replays the corpus (test_fuzz.c). */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

typedef int FuzzFn(const uint8_t *bytes, size_t n);

#define FUZZ(name, max, doc) FuzzFn fuzz_##name;
#include "tests/fuzz/targets.def"
#undef FUZZ

#endif
