#!/bin/sh
# The include order of the source tree, checked:
#
#   runtime/{kernels,device} <- ir <- runtime/{engine,data} <- {passes, backend, frontend/{onnx,tflite,config}} <- frontend/cli
#
# Passes, backend and importers never include one another. What ships in generated code (kernels, device) includes
# nothing but itself and freestanding headers. Includes are root-relative. tests, bench and examples may include anything.
# Prints each violation as file:line; exit status 1 if there is one.  --self-test proves that violations are caught.
set -eu
LC_ALL=C
export LC_ALL

check() { # in the current folder
  dirs=
  for d in ir passes backend runtime frontend; do [ ! -d $d ] || dirs="$dirs $d"; done
  [ -n "$dirs" ] || return 0
  find $dirs -name '*.[chS]' -o -name '*.def' -o -name '*.inc' | sort | tr '\n' '\0' |
    xargs -0 -r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' |
    awk '
      function layer(p) {
        if (p ~ /^runtime\/(kernels|device)\//) return "ships"
        if (p ~ /^ir\//) return "ir"
        if (p ~ /^runtime\/(engine|data)\//) return "engine"
        if (p ~ /^(passes|backend)\//) return substr(p, 1, index(p, "/") - 1)
        if (match(p, /^frontend\/[^\/]+\//)) return substr(p, 1, RLENGTH - 1)
        return ""
      }
      function bad(why) { printf "%s:%s: includes %s: %s\n", file, line, what, why; found = 1 }
      BEGIN {
        may["ships"] = " ships "
        may["ir"] = may["ships"] "ir "
        may["engine"] = may["ir"] "engine "
        n = split("stdint.h stddef.h stdbool.h stdalign.h string.h math.h float.h limits.h arm_acle.h arm_neon.h" \
                  " arm_mve.h immintrin.h riscv_vector.h", names, " ")
        for (i = 1; i <= n; i++) freestanding[names[i]] = 1
      }
      {
        split($0, part, ":"); file = part[1]; line = part[2]
        rest = substr($0, length(file) + length(line) + 3)
        match(rest, /["<][^">]*[">]/); what = substr(rest, RSTART, RLENGTH)
        path = substr(what, 2, length(what) - 2)
        from = layer(file)
        if (from == "") { bad(file " is in no layer"); next }
        if (what ~ /^</) {
          if (from == "ships" && !(path in freestanding)) bad("code that ships includes freestanding headers only")
          next
        }
        # Start-up files are built beside a generated model.h.
        if (file ~ /^backend\/harness\// && path !~ /\//) next
        to = layer(path)
        if (to == "" || path ~ /\.\.\//) { bad("want a path from the root, in a layer"); next }
        if (from == "frontend/cli") next
        allowed = (from in may) ? may[from] : may["engine"] from " "
        if (index(allowed, " " to " ") == 0) bad(from " may include only" allowed)
      }
      END { exit found }'
}

self_test() {
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  cd "$tmp"
  mkdir -p ir/base passes/steps backend/emit runtime/kernels/generic runtime/device runtime/engine frontend/onnx frontend/tflite frontend/cli
  put() { printf '#include <stdint.h>\n#include %s\n' "$2" > "$1"; }
  put ir/ok.c '"runtime/kernels/generic/a.h"'
  put runtime/device/ok.c '"runtime/kernels/a.h"'
  put passes/steps/ok.c '"passes/ok.h"'
  put backend/emit/ok.c '"runtime/engine/a.h"'
  put frontend/cli/ok.c '"passes/steps/a.h"'
  check || { echo "layers.sh: a clean tree is reported"; exit 1; }
  while read -r file what; do
    put "$file" "$what"
    if out=$(check); then echo "layers.sh: $file including $what is not caught"; exit 1; fi
    [ "${out#"$file:2: "}" != "$out" ] || { echo "layers.sh: $file:2 is not named in: $out"; exit 1; }
    rm "$file"
  done <<'END'
runtime/kernels/generic/bad.c "ir/graph.h"
runtime/kernels/generic/bad.c <stdio.h>
runtime/device/bad.c "ir/types.h"
runtime/device/bad.c <time.h>
ir/bad.h "runtime/engine/session.h"
ir/bad.def "passes/pass.h"
runtime/engine/bad.c "passes/pass.h"
passes/steps/bad.c "backend/target.h"
passes/bad.c "frontend/onnx/onnx.h"
backend/emit/bad.c "passes/pass.h"
frontend/onnx/bad.c "frontend/tflite/tflite.h"
frontend/onnx/bad.c "onnx.h"
backend/emit/bad.c "../ir/graph.h"
END
  echo "layers.sh: self-test passed"
}

if [ "${1-}" = --self-test ]; then
  self_test
else
  cd "$(dirname "$0")/.."
  check
fi
