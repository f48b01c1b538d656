/* Image decoding by stb_image (Sean Barrett, public domain): the one file that holds its implementation.
 *
 * stb allocates through mem_* (out of memory is reported in one place); sizes above 8192 pixels a side are
 * refused by stb before it allocates. Its own warnings are not ours: they are off for its text alone.
 */
#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <limits.h>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_NO_PSD
#define STBI_NO_PIC
#define STBI_MAX_DIMENSIONS 8192
#define STBI_MALLOC(n)      mem_alloc(n)
#define STBI_REALLOC(p, n)  mem_realloc(p, n)
#define STBI_FREE(p)        mem_free(p)
#define STBI_ASSERT(x)      ASSERT(x)

#pragma GCC diagnostic ignored "-Wunused-function" /* reported at the end of the file */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

uint8_t *image_decode(const void *bytes, size_t n, int *h, int *w, int *channels, const char **why) {
  *why = "file too large";
  if (n > INT_MAX) return NULL;
  int have = 0, want = *channels;
  if (!want) {
    if (!stbi_info_from_memory(bytes, (int)n, w, h, &have)) {
      *why = stbi_failure_reason();
      return NULL;
    }
    want = have < 3 ? 1 : 3;
  }
  uint8_t *px = stbi_load_from_memory(bytes, (int)n, w, h, &have, want);
  *channels = want;
  *why = px ? NULL : stbi_failure_reason();
  return px;
}
