/* The bodies of stb_truetype and stb_image_write (Debian package libstb-dev), compiled once.
 *
 * A file of its own so that the warnings we ask of our code are off for theirs, and so that
 * glyphs are drawn with every rounding where the C standard puts it: clang may otherwise fuse
 * a*b+c, and the data set would depend on the processor.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Weverything"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#endif

#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
