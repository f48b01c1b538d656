#!/bin/sh
# The example from speech to firmware; `make demo-02` runs it. MISTIFY: the command, TOOLS: folder of make_data.
set -eu
here=examples/02-keyword-spotter
: "${MISTIFY:=build/release/mistify}" "${TOOLS:=build/release/$here}"

if [ ! -f $here/data/test_y.npy ]; then
  echo "== 1. The data: words said by espeak-ng's voices, in rooms and noise (some minutes)"
  "$TOOLS/make_data" --out $here/data
else
  echo "== 1. The data: $here/data is there already"
fi
for net in dscnn residual gru attention; do
  echo
  echo "== 2. $net: as it is, at a half and at a quarter of the cycles"
  status=0
  "$MISTIFY" tailor $here/deploy-$net.yaml -o $here/out-$net --cache $here/cache || status=$?
  [ $status = 0 ] || [ $status = 2 ] # 2: a target's limits were not met; the report says which
done
