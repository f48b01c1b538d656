/* AArch64: the NEON kernels with and without dot product beside the generic kernels (bench/sets.h), under qemu-user.
 *
 *   make bench-aarch64      a table, and bench/results/aarch64.json
 *   build/release/bench/aarch64 IC      one model
 *
 * Instructions: a plugin of QEMU's (backend/harness/count_plugin.c). Peer: onnx2c, gcc -O3, its figures from
 * ../shared/TARGETS.md.
 */
#include "bench/sets.h"

static const Bench aarch64 = {
    .name = "aarch64",
    .compiler = "aarch64-linux-gnu-gcc --version",
    .machine = "echo $(uname -m), $(qemu-aarch64 --version | head -1)",
    .peer = "onnx2c, gcc -O3",
    .peers = {105.0e6, 7.94e6, 21.3e6, 0.873e6},
    .ways = {{"generic", "aarch64", true, 1e-4},
             {"neon", "aarch64", false, 1e-4},
             {"neon, dot product", "aarch64-dotprod", false, 1e-4}},
};

int main(int argc, char **argv) { return sets_main(&aarch64, argc < 2 ? NULL : argv[1]); }
