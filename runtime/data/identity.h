/* Identity of data without decoding it: what cache keys bind, so that a run that repeats nothing reads nothing. */
#ifndef RUNTIME_DATA_IDENTITY_H
#define RUNTIME_DATA_IDENTITY_H

#include "runtime/data/dataset.h"

/* Hash of one split: kind, record range, image size and the raw bytes of its files (compressed ones as they are;
 * image folders: relative paths and contents, sorted). A file that cannot be read is reported. Of a split
 * without a kind: the hash of nothing. */
bool split_identity(const SplitSpec *spec, Hash *out, Diag *d);

/* Hash of what searching and training see: train, val, normalisation, augmentation, calibration. Never the test split. */
bool dataset_identity(const DataSpec *spec, Hash *out, Diag *d);

#endif
