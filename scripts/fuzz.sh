#!/bin/bash
# Run the fuzzers one after the other and write bench/results/fuzz.json.
#
#   scripts/fuzz.sh OUT SECONDS [TARGET...]     OUT/fuzz/TARGET are the programs (make fuzz); SECONDS for each
#
# New inputs gather in OUT/corpus/TARGET, findings in OUT/findings; the committed corpus is only read.
# FUZZ_MINIMIZE=1: no fuzzing; the committed corpus becomes the smallest set of inputs that covers as much as all there are.
# Limits: 2 GB in all, 1 GB in one allocation, and for one input 5 seconds of
# processor time under the sanitizers (tests/fuzz/main.c).
set -u
cd "$(dirname "$0")/.."
export LC_ALL=C ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
out=$1 seconds=$2
shift 2
def=tests/fuzz/targets.def
names=$(sed -n 's/^FUZZ(\([a-z_]*\),.*/\1/p' $def)
results= found=0 all=0
mkdir -p "$out/findings" bench/results

for name in ${*:-$names}; do
  corpus=tests/fuzz/corpus/$name own=$out/corpus/$name log=$out/fuzz-$name.log
  max=$(sed -n "s/^FUZZ($name, *\([0-9]*\),.*/\1/p" $def)
  mkdir -p "$own" "$corpus"
  if [ "${FUZZ_MINIMIZE:-0}" = 1 ]; then
    mkdir -p "$out/merge"
    nice -n 19 "$out/fuzz/$name" -merge=1 -max_len="$max" "$out/merge" "$corpus" "$own" > "$log" 2>&1 || found=1
    rm -f "$corpus"/* && mv "$out/merge"/* "$corpus" && rmdir "$out/merge"
    echo "$name: $(ls "$corpus" | wc -l) inputs, $(du -sb "$corpus" | cut -f1) bytes"
    continue
  fi
  nice -n 19 "$out/fuzz/$name" -max_total_time="$seconds" -max_len="$max" -rss_limit_mb=2048 -malloc_limit_mb=1024 \
    -timeout=300 -print_final_stats=1 -artifact_prefix="$out/findings/$name-" "$own" "$corpus" > "$log" 2>&1
  status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6-)
  all=$((all + ${runs:-0}))
  echo "$name: ${runs:-0} executions, ${coverage:-0} edges covered, $([ $status = 0 ] && echo no finding || echo "A FINDING: $log")"
  [ $status = 0 ] || found=1
  results="$results${results:+,}
    {\"case\": \"$name\", \"metric\": \"executions\", \"value\": ${runs:-0}, \"unit\": \"inputs\", \"better\": \"higher\"},
    {\"case\": \"$name\", \"metric\": \"findings\", \"value\": $([ $status = 0 ] && echo 0 || echo 1), \"unit\": \"inputs\", \"better\": \"lower\"},
    {\"case\": \"$name\", \"metric\": \"edges covered\", \"value\": ${coverage:-0}, \"unit\": \"edges\", \"better\": \"higher\"}"
done
[ -n "$results" ] || exit $found
echo "$all executions in all"
cat > bench/results/fuzz.json <<JSON
{
  "machine": "$(uname -m)",
  "date": "$(date -u +%Y-%m-%d)",
  "compiler": "$(clang --version | head -1)",
  "commit": "$(git rev-parse --short HEAD 2>/dev/null)",
  "how": "libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer, $seconds seconds for each target",
  "results": [$results,
    {"case": "all", "metric": "executions", "value": $all, "unit": "inputs", "better": "higher", "aim": 2000000}
  ]
}
JSON
exit $found
