#!/bin/sh
# Print the C file that holds the SHA-256 of each file named on standard input, one root-relative path a line.
set -eu
LC_ALL=C
export LC_ALL

printf '/* Made by scripts/fingerprints.sh. */\n#include "ir/base/fingerprint.h"\n\n'
printf 'const SourcePrint source_prints[] = {\n'
tr '\n' '\0' | xargs -0 -r sha256sum | awk '{ printf "  {\"%s\", \"%s\"},\n", $2, $1; n++ }
  END { printf "  {NULL, NULL}};\nconst size_t source_prints_count = %d;\n", n }'
