#!/bin/sh
# The example from vibration to firmware; `make demo-03` runs it. MISTIFY: the command, TOOLS: folder of make_data.
set -eu
here=examples/03-bearing-monitor
: "${MISTIFY:=build/release/mistify}" "${TOOLS:=build/release/$here}"

if [ ! -f $here/data/test_y.npy ]; then
  echo "== 1. The data: vibration of healthy and faulty bearings"
  "$TOOLS/make_data" --out $here/data
else
  echo "== 1. The data: $here/data is there already"
fi

echo
echo "== 2. The model: an autoencoder, trained by mistify train (README.md has the commands)"
"$MISTIFY" inspect $here/monitor.onnx

echo
echo "== 3. Firmware: the monitor as it is, at a half and at a quarter of the cycles"
"$MISTIFY" tailor $here/deploy.yaml -o $here/out --cache $here/cache
