#!/bin/sh
# Print the C file that embeds the files named on standard input, one root-relative path a line, in that order.
# Byte arrays rather than strings: ISO C promises string literals of 4095 characters only.  Needs od, sed and awk.
set -eu
LC_ALL=C
export LC_ALL

printf '/* Made by scripts/embed.sh from the files it names. */\n#include "backend/emit/embedded.h"\n\n'
n=0
rows=
while IFS= read -r path; do
  printf 'static const unsigned char file_%d[] = {\n' "$n"
  od -An -v -tu1 "$path" | sed 's/  */,/g; s/^,//; s/$/,/'
  printf '0};\n'
  rows="$rows  {\"$path\", file_$n, sizeof file_$n - 1},
"
  n=$((n + 1))
done
printf '\nconst EmbeddedFile embedded_files[] = {\n%s  {NULL, NULL, 0}};\n' "$rows"
printf 'const size_t embedded_files_count = %d;\n' "$n"
