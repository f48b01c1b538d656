#!/bin/sh
# What bench-compress leaves out: pruning with three seeds, and ResNet-56.
set -eu
out=$(dirname "$MISTIFY")
make --no-print-directory "$out/bench/compress-prune"
exec "$out/bench/compress-prune" -f
