/* The suites that the build found: each test_NAME.c below tests defines `Suite *suite_NAME(void)`. */
#ifndef TESTS_SUITES_H
#define TESTS_SUITES_H

#include <check.h>
#include <stddef.h>

typedef struct TestSuite {
  const char *name;
  Suite *(*make)(void);
} TestSuite;

extern const TestSuite test_suites[];
extern const size_t test_suites_count;

#endif
