#!/bin/bash
# What the build can check about the source beyond compiling it.  Prints each finding; exit status 1 if there is one.
# `scripts/lint.sh NAME...` runs only the checks named: format layers calls size headers clang scripts docs spills
set -u
cd "$(dirname "$0")/.."
export LC_ALL=C
found=0
mapfile -t sources < <(git ls-files -co --exclude-standard '*.c' '*.h' | sort -u | while read -r f; do
  [ ! -f "$f" ] || echo "$f"; done)
report() { found=1; sed "s/^/lint: /" <<< "$1"; } # not in a pipe: FOUND would be a subshell's

# Versions of clang-format differ in what they print: 14 decides.
check_format() {
  local tool
  for tool in clang-format-14 clang-format; do
    command -v $tool >/dev/null && case $($tool --version) in *"version 14."*) break ;; esac
    tool=
  done
  if [ -z "$tool" ]; then
    echo "lint: format NOT checked: there is no clang-format 14 here"
    return
  fi
  local out
  out=$($tool --dry-run -Werror "${sources[@]}" 2>&1) && return
  report "$(grep 'error:' <<< "$out" | sed 's/error: .*/not formatted (make format mends it)/')"
}

check_layers() {
  local out
  out=$(tests/layers.sh) || report "$out"
  out=$(tests/layers.sh --self-test) || report "$out"
}

# Memory and strings go through ir/base, which checks sizes and reports once when memory is out.  strndup and the like
# come back as plain memory, so they count too.  Tests and the examples' tools are not part of the product.
check_calls() {
  local out
  out=$(printf '%s\n' "${sources[@]}" | grep -E '^(ir|passes|backend|runtime|frontend)/' |
    grep -vE '^(ir/base|backend/harness)/' | xargs -r awk '
      { line = $0
        gsub(/"([^"\\]|\\.)*"/, "\"\"", line)            # calls in text that we emit are not ours
        sub(/\/\/.*/, "", line); gsub(/\/\*[^*]*\*\//, "", line)
        if (line ~ /^[[:space:]]*(\*|\/\*)/) next          # inside a comment
        if (match(line, /(^|[^A-Za-z0-9_>.])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|alloca|sprintf|vsprintf|strcpy|strcat|gets|atoi|atol|atof|strtok)[[:space:]]*\(/))
          printf "%s:%d: %s: use ir/base\n", FILENAME, FNR, substr(line, RSTART, RLENGTH) ")"
      }')
  [ -z "$out" ] || report "$out"
}

# Above 800 lines a file is split, or the comment at its top says why not: a line there with "lines" or "long" in it.
check_size() {
  local f n
  for f in "${sources[@]}"; do
    n=$(wc -l < "$f")
    [ "$n" -le 800 ] || sed -n '1,20p' "$f" | grep -qiE '\b(lines|long|one file)\b' ||
      report "$f: $n lines: split it, or say in its top comment why not"
  done
}

# Each header compiles alone.
check_headers() {
  local f out cflags
  cflags=$(pkg-config --cflags check yaml-0.1 openblas 2>/dev/null)
  for f in "${sources[@]}"; do
    case $f in
      backend/harness/*|examples/*) continue ;;
      runtime/kernels/generic/*.h) ;;
      runtime/kernels/*/*) continue ;; # other machines' instruction sets
      *.h) ;;
      *) continue ;;
    esac
    # shellcheck disable=SC2086
    out=$(${CC:-gcc} -std=c11 -D_POSIX_C_SOURCE=200809L -I. -Wall -Wextra -Werror $cflags -fsyntax-only -x c - \
      <<< "#include \"$f\"" 2>&1) ||
      report "$f does not compile alone: $(grep -m1 error <<< "$out")"
  done
}

# The build is gcc's; clang's warnings are kept clean too.
check_clang() {
  local flags out
  command -v clang >/dev/null || { echo "lint: clang's warnings NOT checked: there is no clang here"; return; }
  flags=$(MAKEFLAGS='' make -s --no-print-directory CC=clang flags)
  # shellcheck disable=SC2086
  out=$(printf '%s\n' "${sources[@]}" | grep '\.c$' | grep -vE '^(backend/harness/|bench/effort/|tests/fuzz/main\.c)' |
    grep -vE '^runtime/kernels/([^g]|g[^e])[^/]*/' |
    xargs -r -P2 -n8 ${flags/-MMD -MP/} -Werror -fsyntax-only 2>&1 | grep -E '(error|warning):')
  [ -z "$out" ] || report "$out"
}

# Scripts parse; no path of somebody's machine is in the tree.
check_scripts() {
  local f out
  while read -r f; do
    [ -f "$f" ] || continue
    case $(head -1 "$f") in
      *bash*) out=$(bash -n "$f" 2>&1) || report "$out" ;;
      '#!'*sh*) out=$(sh -n "$f" 2>&1) || report "$out" ;;
    esac
  done < <(git ls-files -co --exclude-standard '*.sh' 'scripts/*' .ci/run)
  out=$(git grep -nIE '(^|[^A-Za-z0-9_.$}])/(home|root|Users)/[A-Za-z]' -- . ':!scripts/lint.sh' | head)
  [ -z "$out" ] || report "$(sed 's/$/  (a path of one machine)/' <<< "$out")"
}

# docs/operators.md is what the tables say (its figures: `make docs`).  Needs the command: `make` first.
check_docs() {
  local bin=${MISTIFY:-build/release/mistify}
  [ -x "$bin" ] || { echo "lint: docs/operators.md NOT checked: there is no $bin"; return; }
  "$bin" ops --markdown --conformance docs/conformance.tsv | cmp -s - docs/operators.md ||
    report "docs/operators.md is not what the tables say (make docs mends it)"
}

# Spills in the kernel sets' inner loops, beyond those that are known.
check_spills() {
  local out
  if ! command -v gcc > /dev/null || ! command -v clang > /dev/null; then
    echo "lint: spills NOT checked: gcc or clang is not here"
    return
  fi
  out=$(scripts/check-spills 2>&1) || report "$out"
}

for check in ${@:-format layers calls size headers clang scripts docs spills}; do
  check_$check
done
[ $found = 0 ] && echo "lint: ${#sources[@]} files, nothing found"
exit $found
