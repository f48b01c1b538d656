/* Fonts, and their 62 characters drawn once at a fixed capital height. */
#ifndef LABEL_READER_GLYPHS_H
#define LABEL_READER_GLYPHS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum Split { TRAIN, VAL, TEST, SPLITS } Split;

enum {
  CLASSES = 62,   /* 0-9, A-Z, a-z, in this order: class_chars[] */
  CAP = 40,       /* height of a drawn 'H', in pixels of a glyph */
  FONTS_MAX = 128 /* rows of fonts.def */
};

extern const char class_chars[CLASSES + 1];

/* Coverage 0..255, h rows of w bytes; left and top (rows grow downwards, top is mostly negative)
 * place the bitmap relative to the pen on the baseline. */
typedef struct Glyph {
  const uint8_t *bits;
  int w, h, left, top, advance;
} Glyph;

typedef struct Font {
  Glyph glyph[CLASSES];
} Font;

/* Font i of split s is font[s][i], i < count[s].  Bitmaps live until the process ends. */
typedef struct GlyphSet {
  Font font[SPLITS][FONTS_MAX];
  int count[SPLITS];
} GlyphSet;

/* True if no family of fonts.def is used by two splits; otherwise says which. */
bool glyphs_check_table(void);

/* Draw every font of fonts.def.  ROOT is the font folder, mostly /usr/share/fonts.
 * Returns false after telling stderr which files are missing or damaged, and which Debian
 * packages bring them. */
bool glyphs_load(GlyphSet *set, const char *root);

#endif
