/* Dataset: labelled examples in memory, split so that no example is in two splits.
 *
 * Sources: .npy pairs (x [N,...] uint8, int8 or float32; y [N] int64 or int32), CIFAR binary (records of 1
 * label byte and 3072 bytes CHW), image folders (one folder per class, stb_image). Images are kept as read,
 * uint8 NHWC; CHW is turned to HWC on reading. `normalize` gives the model's real input: x * scale[c] + offset[c].
 * The test split is read by dataset_open_test alone, once per final result (Dataset never holds it).
 */
#ifndef RUNTIME_DATA_DATASET_H
#define RUNTIME_DATA_DATASET_H

#include "ir/base/hash.h"
#include "ir/graph.h"
#include "ir/tensor.h"
#include "runtime/data/augment.h"

enum { DATA_MAX_CHANNELS = 16 };

typedef struct Normalize {
  int n; /* channels; 0: identity; 1: the same for all */
  float scale[DATA_MAX_CHANNELS], offset[DATA_MAX_CHANNELS];
} Normalize;

typedef struct Split {
  uint32_t n;       /* examples */
  Shape item;       /* shape of one example, images HWC */
  DType dtype;      /* DT_U8, DT_I8 or DT_F32, as stored */
  const void *x;    /* [n][item] */
  const int32_t *y; /* [n] labels; NULL: none (autoencoders) */
  bool anomaly;     /* labels: 0 normal, 1 anomalous; a model gives its input back (SplitSpec) */
  Blob *xb, *yb;    /* what x and y point into */
} Split;

typedef struct SplitSpec {
  const char *kind; /* "npy", "cifar", "images" */
  const char *x,
      *y; /* files (npy), file (cifar: x; may end in .xz: read through `xz -dc`), folder (images: x) */
  uint32_t first, count;       /* records to take; count 0: all from first */
  int width, height, channels; /* images: resized to this */
  bool anomaly;    /* judged by AUC (engine/judge.h), not by classes; training compares output and input */
  bool unlabelled; /* labels that are there are not kept: a model that has no use for them */
} SplitSpec;

typedef struct DataSpec {
  SplitSpec train, val, test;
  Normalize normalize;
  int classes;
  Augment augment;      /* kinds alone; who trains gives seed and stream */
  uint32_t calibration; /* examples taken from the front of train for calibration; they stay in train only */
} DataSpec;

typedef struct Dataset {
  DataSpec spec; /* strings owned by the caller of dataset_open */
  Split train, val;
  Hash hash; /* content of train and val, and the spec without file names */
} Dataset;

/* Reads train and val (a split whose kind is NULL is left empty); refuses overlap of any two of the three specs (same
 * file and overlapping records, or one image folder inside another). On failure *out is empty. */
bool dataset_open(const DataSpec *spec, Dataset *out, Diag *d);
void dataset_close(Dataset *ds);
/* The test split, for a final result alone: `mistify eval --split test` and the report of a finished tailoring call
 * this, code that searches or trains never does. */
bool dataset_open_test(const DataSpec *spec, Split *out, Diag *d);
bool split_open(const SplitSpec *spec, Split *out, Diag *d);
void split_close(Split *s);
/* Whether its labels are classes that a model's outputs stand for: not those of anomalies. */
bool split_has_classes(const Split *s);
/* Content of a split: examples, labels, shape and type. */
Hash split_hash(const Split *s);

/* Example i as the model's real-valued input (float32, HWC; runtime/data/input_map.h for other layouts): normalised,
 * augmented when aug != NULL (but not mixed with another). Depends on (seed, stream, i) alone. */
void split_item(const Split *s, const Normalize *nz, const Augment *aug, uint32_t i, float *out);

#endif
