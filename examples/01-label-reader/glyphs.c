/* Reads the fonts of fonts.def and draws 62 glyphs of each at one capital height.
 *
 * A font is scaled so that its 'H' is CAP pixels high, not so that every glyph fills its box:
 * 'o' stays lower than 'O', 'p' hangs below the line, and that is how a reader tells them apart.
 * The bitmaps are somewhat finer than the sampling of the camera (2 samples per pixel, capitals of
 * 16 to 21 pixels), so that bilinear sampling neither blurs nor aliases visibly.
 *
 *           left  w
 *          |----|---|
 *      top      # #          top < 0 for what stands above the baseline
 *               ###   h
 *      pen o----#-#---------> advance      baseline
 */
#include "glyphs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stb/stb_truetype.h>

#include "rng.h"

const char class_chars[CLASSES + 1] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

typedef struct FontRow {
  Split split;
  const char *family, *package, *path;
} FontRow;

static const FontRow font_rows[] = {
#define FONT(split, family, package, path) {split, family, package, path},
#include "fonts.def"
#undef FONT
};

enum { FONT_ROWS = sizeof font_rows / sizeof font_rows[0], SHOWN = 6 /* faulty files named */ };

_Static_assert((int)FONT_ROWS <= (int)FONTS_MAX, "fonts.def has more rows than FONTS_MAX");

bool glyphs_check_table(void) {
  for (int i = 0; i < FONT_ROWS; i++)
    for (int j = 0; j < i; j++)
      if (font_rows[i].split != font_rows[j].split && strcmp(font_rows[i].family, font_rows[j].family) == 0) {
        fprintf(stderr, "fonts.def: family \"%s\" is in two splits (%s, %s)\n", font_rows[i].family,
                font_rows[j].path, font_rows[i].path);
        return false;
      }
  return true;
}

/* The file stays mapped: stb_truetype reads from it whenever it draws.
 * stb_truetype does not check a file against its length: the fonts, from Debian, are trusted. */
static const uint8_t *map_file(const char *path) {
  struct stat st;
  void *p = MAP_FAILED;
  int fd = open(path, O_RDONLY);

  if (fd < 0) return NULL;
  errno = EINVAL; /* for an empty file */
  if (fstat(fd, &st) == 0 && st.st_size > 0)
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  return p == MAP_FAILED ? NULL : p;
}

static int round_to_int(float x) { return x < 0 ? -(int)(0.5f - x) : (int)(x + 0.5f); }

static const char *draw_glyphs(Font *font, const uint8_t *file) {
  stbtt_fontinfo info;
  int x0, y0, x1, cap, offset = stbtt_GetFontOffsetForIndex(file, 0);
  float scale;

  if (offset < 0 || !stbtt_InitFont(&info, file, offset)) return "this is not a TrueType or OpenType font";
  if (!stbtt_GetCodepointBox(&info, 'H', &x0, &y0, &x1, &cap) || cap <= 0)
    return "it has no 'H' to take the size from";
  scale = (float)CAP / (float)cap;
  for (int c = 0; c < CLASSES; c++) {
    Glyph *g = &font->glyph[c];
    int advance, bearing;

    if (stbtt_FindGlyphIndex(&info, class_chars[c]) == 0) return "it lacks one of 0-9, A-Z, a-z";
    stbtt_GetCodepointHMetrics(&info, class_chars[c], &advance, &bearing);
    g->advance = round_to_int((float)advance * scale);
    g->bits = stbtt_GetCodepointBitmap(&info, scale, scale, class_chars[c], &g->w, &g->h, &g->left, &g->top);
    if (g->bits == NULL) return "one of its glyphs is empty, or memory ran out";
  }
  return NULL;
}

/* Print the command that brings what the rows marked MISSING need, each package once. */
static void advise(const bool missing[FONT_ROWS]) {
  fprintf(stderr, "make_data: to install them on Debian or Ubuntu:\n  apt-get install");
  for (int i = 0; i < FONT_ROWS; i++) {
    bool told = !missing[i];

    for (int j = 0; j < i && !told; j++)
      told = missing[j] && strcmp(font_rows[i].package, font_rows[j].package) == 0;
    if (!told) fprintf(stderr, " %s", font_rows[i].package);
  }
  fprintf(stderr, "\n");
}

bool glyphs_load(GlyphSet *set, const char *root) {
  bool missing[FONT_ROWS] = {false};
  int bad = 0;

  memset(set, 0, sizeof *set);
  for (int i = 0; i < FONT_ROWS; i++) {
    const FontRow *row = &font_rows[i];
    char path[1024];
    const uint8_t *file;
    const char *why;

    if (snprintf(path, sizeof path, "%s/%s", root, row->path) >= (int)sizeof path) {
      fprintf(stderr, "make_data: --fonts: the folder's name is longer than %zu bytes\n", sizeof path);
      return false;
    }
    file = map_file(path);
    why = file == NULL ? strerror(errno) : draw_glyphs(&set->font[row->split][set->count[row->split]], file);
    if (why != NULL) {
      if (bad++ < SHOWN) fprintf(stderr, "make_data: font %s (package %s): %s\n", path, row->package, why);
      missing[i] = true;
    }
    set->count[row->split]++;
  }
  if (bad > SHOWN) fprintf(stderr, "make_data: and %d more fonts\n", bad - SHOWN);
  if (bad > 0) advise(missing);
  return bad == 0;
}
