/* What the parts of bench/adapt.c share: a part is a file bench/adapt_NAME.c with a row in bench/adapt/parts.def.
 *
 * A part computes and adds rows; what costs minutes it keeps in its folder (build/bench/adapt/NAME), under names that say what
 * it was made from, and takes it from there when it runs again. Rows of a part that ended are kept by the driver.
 */
#ifndef BENCH_ADAPT_H
#define BENCH_ADAPT_H

#include <math.h>

#include "bench/compress_common.h"
#include "runtime/data/corrupt.h"

typedef struct Adapt {
  Bench *b; /* diagnostics (b->d, bench_must) and host */
  Arena *a;
  const char *folder;  /* the part's; exists */
  const char *program; /* the hash of this program: for the names of what is kept */
  bool quick;          /* a fraction of the work, to see that it runs: no result file */
  JsonWriter *rows;    /* adapt_row's */
  bool skipped;        /* adapt_skip's */
} Adapt;

/* A result; printed too. */
void adapt_row(Adapt *ad, const Row *r);
/* The same, with no aim and no peer. better: "lower", "higher" or "" */
void adapt_figure(Adapt *ad, const char *name, const char *metric, double value, const char *unit,
                  const char *better, const char *how);
/* An input that is not here (data of ../shared, a compiler): printed, and the part has not ended: the next
 * run tries it again. */
void adapt_skip(Adapt *ad, const char *why);

/* The file of variant k, widest first, of the label reader's family that part "family" made: kind "variant" (int8) or "float".
 * Perhaps it is not there. */
const char *adapt_variant(const Adapt *ad, const char *kind, int k);
/* The same as a graph; NULL: it is not there, and the part is skipped. */
Graph *adapt_model(Adapt *ad, int k);
/* Where all of it is: a target's folder, as `mistify tailor` leaves it. */
const char *adapt_family_folder(const Adapt *ad);

/* n validation glyphs of the label reader from a folder of data, which no model of the bench has learnt from, through a worse
 * sensor, lens or light (ADAPT_SEVERITY); CORRUPT_KINDS: as they are. split_close. */
enum { ADAPT_SEVERITY = 4 };
Split adapt_glyphs(const Adapt *ad, const char *data, uint32_t first, uint32_t n, CorruptKind kind);

/* Of each image the distance between its best two outputs in codes, as mistify_confidence has it on the device; `scale` is the
 * outputs'. The caller's to free (mem_free). */
uint8_t *adapt_confidence(const Scores *s, float scale);

/* A part ends the program where something fails (bench_must). */
#define PART(name, doc) void part_##name(Adapt *ad);
#include "bench/adapt/parts.def"
#undef PART

#endif
