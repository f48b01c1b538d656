/* What the benchmarks of compression share: rows of results, scores image by image with paired intervals, the CIFAR-10 splits
 * of ../shared/data/README.md, nets of ../shared, pipelines of passes. */
#ifndef BENCH_COMPRESS_COMMON_H
#define BENCH_COMPRESS_COMMON_H

#include "bench/support.h"
#include "passes/pass.h"
#include "runtime/engine/engine.h"

enum { CIFAR_VALIDATION = 2000, CIFAR_TEST = 8000 };

typedef struct Bench {
  const char *name; /* bench/results/NAME.json */
  Diag *d;
  Host host;
  JsonWriter w;
  StrBuf text;
} Bench;

/* Threads for the host; the result file is begun. */
void bench_open(Bench *b, const char *name, int threads);
/* Write bench/results/NAME.json (not where write is false) and free everything. */
void bench_close(Bench *b, bool write);
/* Print the report and end the program, unless ok. */
void bench_must(const Bench *b, bool ok);
/* Path of a file of ../shared/data; two live at a time. */
const char *bench_data(const char *rel);

typedef struct Row {
  const char *name, *metric, *unit, *better, *how;
  double value, aim; /* aim NAN: none */
  const char *peer;  /* NULL: none */
  double peer_value;
} Row;
/* Print the row, and put it into the result file. */
void bench_row(Bench *b, const Row *r);

/* Of each image: the net's outputs, and whether it is right. */
typedef struct Scores {
  uint32_t n, classes;
  float *out; /* [n][classes] */
  bool *right;
} Scores;
Scores scores_of(const Bench *b, const Graph *g, const Split *s, const Normalize *nz);
void scores_free(Scores *s);
double scores_percent(const Scores *s);
/* 95 % interval of a minus b in points, by bootstrap over the images, the same for both. */
void scores_interval(const Scores *a, const Scores *b, double *lo, double *hi);
/* The same of what each of n images gained (1: right now, wrong before; or a mean over draws). */
void gains_interval(const double *gain, uint32_t n, double *lo, double *hi);

/* The graph after passes; teacher NULL: g itself. */
Graph *bench_passes(const Bench *b, const Graph *g, const char *text, const Dataset *ds,
                    const Graph *teacher);

/* Makes the label reader's data where they are not there; NULL: they are, otherwise why not. */
const char *bench_no_glyphs(Arena *a);

/* Of the mean and deviation that the ResNets were trained with. */
Normalize bench_imagenet(void);
/* The first `train` training images (0: all), the validation images; *test is read apart, once for a final result. */
void cifar_open(const Bench *b, uint32_t train, Dataset *ds);
void cifar_test(const Bench *b, Split *test);

#endif
