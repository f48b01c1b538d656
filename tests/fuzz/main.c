/* libFuzzer's entry point of one target: compiled once for each, with -DFUZZ_TARGET=fuzz_NAME. An input may take no more
 * than MOST_SECONDS of processor time under the sanitizers, some ten times of what it takes without: libFuzzer's own limit
 * counts the time of the clock, which on a busy machine says nothing.
 */
#include <time.h>

#include "ir/base/diag.h"
#include "tests/fuzz/targets.h"

enum { MOST_SECONDS = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  const clock_t begin = clock();
  FUZZ_TARGET(bytes, n);
  const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
  if (seconds > MOST_SECONDS) fprintf(stderr, "%.1f seconds of processor time\n", seconds);
  ASSERT(seconds <= MOST_SECONDS);
  return 0;
}
