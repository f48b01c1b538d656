#!/bin/sh
# bench/collective.c for its other tasks: all parts of each, results in bench/results/collective-TASK.json. Whole runs begin anew
# where they were stopped, those that ended are kept: it goes on over days.
#
#   cifar   a ResNet-8 (12.5 million MACs) taught by ResNet-20; needs ../shared (CIFAR-10, resnet20_cifar10j). By the rates of
#           bench/train.c a quarter of an hour for the original, and two to four hours on two cores
#   speech  the residual network of examples/02-keyword-spotter (1.65 million MACs); needs espeak-ng. About an hour
# (Estimates: neither has been run in full.)
#
#   OPTIONS=-q make bench-collective-full      five targets, few images: does it work? minutes, no result files
#   TASKS=speech make bench-collective-full    one of them
# Nothing else may run on the machine meanwhile.
set -eu
out=$(dirname "$MISTIFY")
make --no-print-directory "$out/bench/collective"
for task in ${TASKS:-cifar speech}; do
  # shellcheck disable=SC2086 # several options
  "$out/bench/collective" -t "$task" ${OPTIONS:-}
done
