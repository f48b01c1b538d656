#!/bin/sh
# All benchmarks of compression, one after the other; each resumes where it was stopped and writes its own results.
#   make bench-compress        about an hour on two cores
#   make bench-compress-full   three seeds and ResNet-56: some 7 hours by the times of single nets; the parts beside pruning are the same
set -eu
for part in prune int8 int4 tasks; do
  echo "== bench-compress-$part"
  make --no-print-directory "bench-compress-$part"
done
