#!/bin/sh
# The example from data to firmware; `make demo` runs it. MISTIFY: the command, TOOLS: folder of make_data.
set -eu
here=examples/01-label-reader
: "${MISTIFY:=build/release/mistify}" "${TOOLS:=build/release/$here}"

if [ ! -f $here/data/test_y.npy ]; then
  echo "== 1. The data: characters as small cameras see them, drawn here from Debian's fonts"
  "$TOOLS/make_data" --out $here/data
else
  echo "== 1. The data: $here/data is there already"
fi

echo
echo "== 2. The model: a residual network, trained by mistify train (README.md has the command)"
"$MISTIFY" inspect $here/cloud.onnx

echo
echo "== 3. Firmware for every device of deploy.yaml"
cat $here/deploy.yaml
echo
"$MISTIFY" tailor $here/deploy.yaml -o $here/out --cache $here/cache
