/* design.yaml: what the model's designer knows and decides. The network, what it is for, its data, and how far
 * tailoring may go. It names no board, no limit and no folder for results: those are the user's (deploy.yaml).
 */
#ifndef FRONTEND_CONFIG_DESIGN_H
#define FRONTEND_CONFIG_DESIGN_H

#include "frontend/config/schema.h"
#include "ir/graph.h"
#include "runtime/data/dataset.h"
#include "runtime/engine/engine.h"

typedef enum DesignTask { TASK_CLASSIFICATION, TASK_AUTOENCODER } DesignTask;
typedef enum DesignMetric { METRIC_ACCURACY, METRIC_AUC } DesignMetric;
typedef enum InputLayout { INPUT_NHWC, INPUT_NCHW } InputLayout;
typedef enum InputType { INPUT_RAW, INPUT_FLOAT } InputType;
/* int4: int8 too; weights of 4 bits where flash is too small for 8. */
typedef enum QuantizeFreedom { QUANTIZE_NONE, QUANTIZE_INT8, QUANTIZE_INT4 } QuantizeFreedom;

/* Channels of unlike size made alike before quantization; best: done and not, the nearer to float is taken. */
typedef enum EqualizeFreedom { EQUALIZE_NO, EQUALIZE_YES, EQUALIZE_BEST } EqualizeFreedom;

enum { DESIGN_MORE_TEACHERS = 4 }; /* of retrain, at most */

/* How to train: `train` (from the start, `mistify train`) and `freedom: retrain` (after pruning). */
typedef struct Training {
  TrainOptions o; /* what the keys say; design_train_options completes it */
  Loc epochs_loc, images_loc, schedule_loc, drops_loc, views_loc, mix_loc, weights_loc, features_loc;
  double trial;  /* retrain: share of its length that structures and close candidates are tried for */
  CfgList drops; /* float */
  CfgList teachers, teacher_weights; /* const char *; float: train alone. retrain: beside the original */
  CfgList features;                  /* const char * "name" or "name=teacher's" */
  FeaturePair *pairs;                /* [features.n] */
} Training;

typedef enum PruneChoice { PRUNE_BY_RECONSTRUCTION, PRUNE_BY_TAYLOR } PruneChoice;

typedef struct PruneFreedom {
  double max;       /* largest share of a layer's channels that may go */
  int min_channels; /* every layer keeps at least so many */
  PruneChoice by;
  CfgList keep; /* const char *: layers that stay as they are */
} PruneFreedom;

typedef struct DepthFreedom {
  int max; /* most residual blocks that may be dropped */
} DepthFreedom;

typedef struct ResolutionFreedom {
  double min; /* least share of the images' side */
} ResolutionFreedom;

typedef struct Design {
  const YamlFile *file;
  const char *model;  /* path of the .onnx, .tflite or .ir file */
  const char *name;   /* a C identifier */
  const char *custom; /* list of custom operators; NULL: none */
  Loc model_loc, name_loc;
  DesignTask task;
  DesignMetric metric;

  DataSpec data;
  const char **labels; /* names of the classes, data.classes of them; NULL: not given */
  Loc classes_loc;     /* of `classes` or `labels` */

  InputLayout layout; /* of the data on the device, and of the model's own input */
  InputType input;    /* raw: the device hands over stored values; normalization is folded into the model */

  PruneFreedom prune;
  DepthFreedom depth;           /* max 0: not allowed */
  ResolutionFreedom resolution; /* min 1: not allowed */
  bool lowrank;                 /* layers may become two or three thinner ones */
  CfgList exits;                /* const char *: layers or values behind which the model may end early */
  QuantizeFreedom quantize;
  EqualizeFreedom equalize;
  Training retrain, train;
  Loc prune_loc, quantize_loc, retrain_loc,
      train_loc; /* line 0: not given, so not allowed (quantize: the default) */
} Design;

/* Read, bind, check (files exist, splits are disjoint, keys agree). Everything lives in `a`. NULL: reported. */
const Design *design_load(Arena *a, const char *path, Diag *d);

/* Check against the model: layers named in `keep`, number of classes, calibration. Before any work starts. */
bool design_check_model(const Design *design, const Graph *g, Diag *d);
/* Check teacher i of t, a part of the design, in the same way. */
bool design_check_teacher(const Design *design, const Training *t, int i, const Graph *g, Diag *d);

/* Fill *o (all fields but threads, seed, paths and abi, which keep their defaults). Views that the design leaves open are
 * TRAIN_VIEWS where a run of this length on n examples (0: not known) sees as many of each, else 0. */
enum { TRAIN_VIEWS = 8 };
void design_train_options(const Design *design, const Training *t, uint32_t n, TrainOptions *o);

extern const Schema design_schema;

#endif
