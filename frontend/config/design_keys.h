/* design.yaml as its tables bind it, before the rules beyond single keys (design.c) make a Design of it. */
#ifndef FRONTEND_CONFIG_DESIGN_KEYS_H
#define FRONTEND_CONFIG_DESIGN_KEYS_H

#include "frontend/config/design.h"

/* Indices in split_kinds: SplitSpec.kind. */
enum { KIND_NPY, KIND_CIFAR, KIND_IMAGES };

typedef struct RawSplit {
  int kind;
  const char *x, *y;
  Loc x_loc, y_loc, first_loc, width_loc;
  uint32_t first, count;
  int width, height, channels;
} RawSplit;

typedef struct RawNormalize {
  CfgList mean, std, scale, offset; /* float */
  Loc mean_loc, std_loc, scale_loc, offset_loc;
} RawNormalize;

typedef struct RawData {
  RawSplit train, val, test;
  RawNormalize normalize;
  Loc normalize_loc, classes_loc, labels_loc;
  Augment augment;
  int classes;
  const char *labels;
  uint32_t calibration;
} RawData;

typedef struct RawFreedom {
  PruneFreedom prune;
  DepthFreedom depth;
  ResolutionFreedom resolution;
  int quantize, equalize;
  bool lowrank;
  CfgList exits; /* const char * */
  Training retrain;
  Loc equalize_loc, depth_loc, resolution_loc, prune_loc, quantize_loc, retrain_loc;
} RawFreedom;

typedef struct RawInput {
  int layout, type;
} RawInput;

typedef struct RawDesign {
  const char *model, *name, *custom;
  Loc model_loc, name_loc, data_loc, train_loc, metric_loc;
  int task, metric;
  RawData data;
  RawInput input;
  RawFreedom freedom;
  Training train;
} RawDesign;

extern const char *const split_kinds[];
/* train_keys.c */
extern const Schema retrain_schema, train_schema;
/* design_keys.c */
extern const Schema augment_schema, split_schema, normalize_schema;

/* design.c: the rules of these groups, for other files that have them. */
bool config_split(const YamlFile *f, const RawSplit *raw, SplitSpec *out, Arena *a,
                  Diag *d); /* labels may be missing */
bool config_disjoint(const YamlFile *f, const char *name_a, const RawSplit *a, const char *name_b,
                     const RawSplit *b, Diag *d);
bool config_normalize(const YamlFile *f, const RawNormalize *raw, const Loc *loc, Normalize *out, Diag *d);

#endif
