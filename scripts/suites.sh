#!/bin/sh
# Print the C file that lists the test suites: tests/**/test_NAME.c, named on standard input, defines suite_NAME().
set -eu
awk '{ f = $0; sub(/.*\/test_/, "", f); sub(/\.c$/, "", f); name[n++] = f }
  END {
    print "/* Made by scripts/suites.sh. */\n#include \"tests/suites.h\"\n"
    for (i = 0; i < n; i++) printf "Suite *suite_%s(void);\n", name[i]
    print "\nconst TestSuite test_suites[] = {"
    for (i = 0; i < n; i++) printf "  {\"%s\", suite_%s},\n", name[i], name[i]
    printf "  {NULL, NULL}};\nconst size_t test_suites_count = %d;\n", n
  }'
