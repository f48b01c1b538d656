/* x86-64: the kernels with SSE4.1 and with AVX2 beside the generic kernels (bench/sets.h); bench-cpu has times.
 *
 *   make bench-x86      a table, and bench/results/x86.json
 *   build/release/bench/x86 IC      one model
 *
 * Instructions: callgrind's count. Float convolutions by Winograd's method lie within 1e-3 of the range. Peer: ONNX
 * Runtime with AVX2, its figures from ../shared/TARGETS.md.
 */
#include "bench/sets.h"

static const Bench x86 = {
    .name = "x86",
    .compiler = "gcc --version",
    .machine = "grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ *//'",
    .peer = "ONNX Runtime",
    .peers = {3.32e6, 0.99e6, 3.60e6, 0.144e6, 3.11e6, 1.15e6, 5.02e6, 0.144e6},
    .ways = {{"generic", "x86-64", true, 1e-4},
             {"sse41", "x86-64-v2", false, 1e-3},
             {"avx2", "x86-64-v3", false, 1e-3}},
};

int main(int argc, char **argv) { return sets_main(&x86, argc < 2 ? NULL : argv[1]); }
