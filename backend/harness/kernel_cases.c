/* Kernels on a bare machine (or, with hosted.c, under Linux), on cases from a file: the body of a program whose first lines include the kernels' sources
 * and list them as `kernels`. tests/kernels/test_kernels_m.c makes both, and compares.
 *
 *   cases.bin:    per case 8 words: kernel, bytes, relocations, ranges, and the offsets of params, input views,
 *                 output view, scratch (none: ~0); then the relocations, the ranges (y0, y1), the bytes
 *   results.bin:  the bytes of every case after its kernel was called for each range
 *
 * The bytes are the memory image of one case; a relocation is the offset of a pointer in it, which holds an offset.
 */
#include "bare.h"

#ifndef CASE_BYTES
#define CASE_BYTES 65536
#endif

enum { CASE_LISTS = 256 };

static union {
  uintptr_t word[CASE_BYTES / sizeof(uintptr_t)];
  unsigned char byte[CASE_BYTES];
  double align;
} image;
static uint32_t list[CASE_LISTS];

/* Every pointer in the image moved by `by`. */
static void relocate(uint32_t n, uintptr_t by) {
  uint32_t i;
  for (i = 0; i < n; i++) *(uintptr_t *)(void *)(image.byte + list[i]) += by;
}

static int run_case(int in, int out, const uint32_t *head) {
  const uint32_t bytes = head[1], relocations = head[2], ranges = head[3];
  const uint32_t *range = list + relocations;
  uint32_t i;
  if (bytes > CASE_BYTES || relocations + 2 * ranges > CASE_LISTS) return 2;
  i = (relocations + 2 * ranges) * 4;
  if (bare_read(in, list, i) != i || bare_read(in, image.byte, bytes) != bytes) return 3;
  relocate(relocations, (uintptr_t)image.byte);
  for (i = 0; i < ranges; i++)
    kernels[head[0]](image.byte + head[4], (const mf_view *)(const void *)(image.byte + head[5]),
                     (const mf_view *)(const void *)(image.byte + head[6]), (int32_t)range[2 * i],
                     (int32_t)range[2 * i + 1], head[7] == ~0u ? 0 : image.byte + head[7]);
  relocate(relocations, (uintptr_t)0 - (uintptr_t)image.byte);
  return bare_write(out, image.byte, bytes) == bytes ? 0 : 4;
}

int main(void) {
  uint32_t head[8];
  int status = 0;
  const int in = bare_open("cases.bin", 0), out = bare_open("results.bin", 1);
  if (in == -1 || out == -1) return 5;
  while (status == 0 && bare_read(in, head, sizeof head) == sizeof head) status = run_case(in, out, head);
  bare_close(out);
  return status;
}
