/* The keys of design.yaml: what each takes, its bounds, its default, what it means. `mistify tailor --help` and the
 * documentation print these tables (config_print_help), so that a key cannot go undocumented. Keys that belong to the
 * model's user are rows too: naming one gives an error that says where it stands.
 */
#include "frontend/config/design_keys.h"

static const char *const task_names[] = {"classification", NULL};
static const char *const metric_names[] = {"accuracy", NULL};
static const char *const layout_names[] = {"nhwc", "nchw", NULL};
static const char *const input_names[] = {"raw", "float", NULL};
static const char *const quantize_names[] = {"none", "int8", NULL};
const char *const split_kinds[] = {"npy", "cifar", "images", NULL};

static const CfgRow split_rows[] = {
    {.key = "kind",
     CFG_FIELD(RawSplit, kind),
     .type = CFG_ENUM,
     .names = split_kinds,
     .required = true,
     .doc = "npy: a pair of arrays; cifar: CIFAR-10's binary records; images: a folder of images per class"},
    {.key = "x",
     CFG_FIELD(RawSplit, x),
     .type = CFG_PATH,
     .path = CFG_FILE_OR_FOLDER,
     CFG_WHERE(RawSplit, x_loc),
     .required = true,
     .doc = "the examples: .npy file, record file (may end in .xz), or folder of folders"},
    {.key = "y",
     CFG_FIELD(RawSplit, y),
     .type = CFG_PATH,
     .path = CFG_FILE,
     CFG_WHERE(RawSplit, y_loc),
     .doc = "npy: the labels, .npy of int32 or int64"},
    {.key = "first",
     CFG_FIELD(RawSplit, first),
     .type = CFG_INT,
     CFG_FROM(0),
     CFG_WHERE(RawSplit, first_loc),
     .otherwise = "0",
     .doc = "first record to take"},
    {.key = "count",
     CFG_FIELD(RawSplit, count),
     .type = CFG_INT,
     CFG_FROM(1),
     .doc = "records to take; all when left out"},
    {.key = "width",
     CFG_FIELD(RawSplit, width),
     .type = CFG_INT,
     CFG_RANGE(1, 4096),
     CFG_WHERE(RawSplit, width_loc),
     .doc = "images: resized to this width"},
    {.key = "height",
     CFG_FIELD(RawSplit, height),
     .type = CFG_INT,
     CFG_RANGE(1, 4096),
     .doc = "images: and height"},
    {.key = "channels",
     CFG_FIELD(RawSplit, channels),
     .type = CFG_INT,
     CFG_RANGE(1, 4),
     .doc = "images: 1 grey, 3 colour"},
    {0}};
static const Schema split_schema = {"key", split_rows, sizeof(RawSplit)};

#define CHANNEL_LIST(f)                                                                         \
  CFG_FIELD(RawNormalize, f), .type = CFG_LIST, .item = CFG_FLOAT, .item_width = sizeof(float), \
                              .one_ok = true, .min_items = 1, .max_items = DATA_MAX_CHANNELS,   \
                              CFG_WHERE(RawNormalize, f##_loc)
static const CfgRow normalize_rows[] = {
    {.key = "mean", CHANNEL_LIST(mean), .doc = "of x/255, per channel or one for all"},
    {.key = "std", CHANNEL_LIST(std), CFG_ABOVE(0), .doc = "of x/255"},
    {.key = "scale", CHANNEL_LIST(scale), .doc = "instead of mean and std: x * scale + offset"},
    {.key = "offset", CHANNEL_LIST(offset), .doc = "with scale; 0 when left out"},
    {0}};
static const Schema normalize_schema = {"key", normalize_rows, sizeof(RawNormalize)};

static const CfgRow augment_rows[] = {
    {.key = "flip",
     CFG_FIELD(Augment, flip),
     .type = CFG_BOOL,
     .otherwise = "no",
     .doc = "training images may be mirrored left to right"},
    {.key = "crop",
     CFG_FIELD(Augment, crop),
     .type = CFG_INT,
     CFG_RANGE(0, 64),
     .otherwise = "0",
     .doc = "training images are shifted by up to so many pixels"},
    {.key = "cutout",
     CFG_FIELD(Augment, cutout),
     .type = CFG_INT,
     CFG_RANGE(0, 4096),
     .otherwise = "0",
     .doc = "a square of so many pixels is blanked"},
    {.key = "time_mask",
     CFG_FIELD(Augment, time_mask),
     .type = CFG_INT,
     CFG_RANGE(0, 4096),
     .otherwise = "0",
     .doc = "of spectrograms [time, frequency, 1]: up to so many rows are blanked"},
    {.key = "frequency_mask",
     CFG_FIELD(Augment, frequency_mask),
     .type = CFG_INT,
     CFG_RANGE(0, 4096),
     .otherwise = "0",
     .doc = "and up to so many columns"},
    {.key = "noise",
     CFG_FIELD(Augment, noise),
     .type = CFG_FLOAT,
     CFG_RANGE(0, 1000),
     .otherwise = "0",
     .doc = "deviation of normal noise on the normalized input"},
    {.key = "mixup",
     CFG_FIELD(Augment, mixup),
     .type = CFG_FLOAT,
     CFG_RANGE(0, 10),
     .otherwise = "0",
     .doc = "examples are mixed in pairs, with a share from Beta(mixup, mixup); 0.2 is usual"},
    {0}};
static const Schema augment_schema = {"key", augment_rows, sizeof(Augment)};

static const CfgRow data_rows[] = {
    {.key = "train",
     CFG_FIELD(RawData, train),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .required = true,
     .doc = "retraining, statistics, calibration"},
    {.key = "val",
     CFG_FIELD(RawData, val),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .required = true,
     .doc = "search, accuracy floors, stopping"},
    {.key = "test",
     CFG_FIELD(RawData, test),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .required = true,
     .doc = "read once, for what is reported"},
    {.key = "normalize",
     CFG_FIELD(RawData, normalize),
     .type = CFG_GROUP,
     .sub = &normalize_schema,
     CFG_WHERE(RawData, normalize_loc),
     .doc = "from stored values to the model's input; as stored when left out"},
    {.key = "classes",
     CFG_FIELD(RawData, classes),
     .type = CFG_INT,
     CFG_RANGE(2, 100000),
     CFG_WHERE(RawData, classes_loc),
     .doc = "number of classes; may be left out when labels is given"},
    {.key = "labels",
     CFG_FIELD(RawData, labels),
     .type = CFG_PATH,
     .path = CFG_FILE,
     CFG_WHERE(RawData, labels_loc),
     .doc = "text file with the name of a class on each line"},
    {.key = "augment",
     CFG_FIELD(RawData, augment),
     .type = CFG_GROUP,
     .sub = &augment_schema,
     .doc = "changes to training images that leave their class as it is"},
    {.key = "calibration",
     CFG_FIELD(RawData, calibration),
     .type = CFG_INT,
     CFG_RANGE(1, 100000),
     .otherwise = "500",
     .doc = "examples from the front of train that set the ranges of int8 values"},
    {0}};
static const Schema data_schema = {"key", data_rows, sizeof(RawData)};

static const CfgRow input_rows[] = {
    {.key = "layout",
     CFG_FIELD(RawInput, layout),
     .type = CFG_ENUM,
     .names = layout_names,
     .otherwise = "nhwc",
     .doc = "order of the values that the device hands over"},
    {.key = "type",
     CFG_FIELD(RawInput, type),
     .type = CFG_ENUM,
     .names = input_names,
     .otherwise = "raw",
     .doc = "raw: values as stored, normalization is folded into the model; float: normalized by the caller"},
    {0}};
static const Schema input_schema = {"key", input_rows, sizeof(RawInput)};

#define TRAINING_ROWS(n_epochs, rate)                                                   \
  {.key = "epochs",                                                                     \
   CFG_FIELD(Training, epochs),                                                         \
   .type = CFG_INT,                                                                     \
   CFG_RANGE(1, 10000),                                                                 \
   CFG_WHERE(Training, epochs_loc),                                                     \
   .otherwise = n_epochs,                                                               \
   .doc = "passes over the training split"},                                            \
      {.key = "images",                                                                 \
       CFG_FIELD(Training, images),                                                     \
       .type = CFG_COUNT,                                                               \
       CFG_FROM(1),                                                                     \
       CFG_WHERE(Training, images_loc),                                                 \
       .doc = "instead of epochs: training images to see"},                             \
      {.key = "batch",                                                                  \
       CFG_FIELD(Training, batch),                                                      \
       .type = CFG_INT,                                                                 \
       CFG_RANGE(1, 4096),                                                              \
       .otherwise = "64",                                                               \
       .doc = "examples per step"},                                                     \
      {.key = "lr",                                                                     \
       CFG_FIELD(Training, lr),                                                         \
       .type = CFG_FLOAT,                                                               \
       CFG_ABOVE(0),                                                                    \
       .otherwise = rate,                                                               \
       .doc = "learning rate at the start; falls to 0 along a cosine"},                 \
      {.key = "momentum",                                                               \
       CFG_FIELD(Training, momentum),                                                   \
       .type = CFG_FLOAT,                                                               \
       CFG_RANGE(0, 0.9999),                                                            \
       .otherwise = "0.9",                                                              \
       .doc = "of stochastic gradient descent (Nesterov)"},                             \
      {.key = "weight_decay",                                                           \
       CFG_FIELD(Training, weight_decay),                                               \
       .type = CFG_FLOAT,                                                               \
       CFG_RANGE(0, 1),                                                                 \
       .otherwise = "1e-4",                                                             \
       .doc = "not applied to biases and normalization"},                               \
  {                                                                                     \
    .key = "warmup", CFG_FIELD(Training, warmup), .type = CFG_SHARE, .otherwise = "0%", \
    .doc = "share of the steps in which the rate rises to lr"                           \
  }
static const CfgRow retrain_rows[] = {
    TRAINING_ROWS("2", "0.02"),
    {.key = "temperature",
     CFG_FIELD(Training, temperature),
     .type = CFG_FLOAT,
     CFG_RANGE(0.1, 100),
     .otherwise = "4",
     .doc = "of distillation against the original model"},
    {.key = "mix",
     CFG_FIELD(Training, mix),
     .type = CFG_SHARE,
     .otherwise = "0.7",
     .doc = "share of the loss that follows the original; the rest follows the labels"},
    {0}};
static const Schema retrain_schema = {"key", retrain_rows, sizeof(Training)};
static const CfgRow train_rows[] = {TRAINING_ROWS("20", "0.1"), {0}};
static const Schema train_schema = {"key", train_rows, sizeof(Training)};

static const CfgRow prune_rows[] = {{.key = "max",
                                     CFG_FIELD(PruneFreedom, max),
                                     .type = CFG_SHARE,
                                     CFG_RANGE(0, 0.99),
                                     .otherwise = "0.9",
                                     .doc = "largest share of a layer's channels that may be removed"},
                                    {.key = "min_channels",
                                     CFG_FIELD(PruneFreedom, min_channels),
                                     .type = CFG_INT,
                                     CFG_FROM(1),
                                     .otherwise = "4",
                                     .doc = "channels that every layer keeps at least"},
                                    {.key = "keep",
                                     CFG_FIELD(PruneFreedom, keep),
                                     .type = CFG_LIST,
                                     .item = CFG_STRING,
                                     .item_width = sizeof(const char *),
                                     .one_ok = true,
                                     .doc = "layers that stay as they are, by name"},
                                    {0}};
static const Schema prune_schema = {"key", prune_rows, sizeof(PruneFreedom)};

static const CfgRow freedom_rows[] = {{.key = "prune",
                                       CFG_FIELD(RawFreedom, prune),
                                       .type = CFG_GROUP,
                                       .sub = &prune_schema,
                                       CFG_WHERE(RawFreedom, prune_loc),
                                       .doc = "channels may be removed; not when left out"},
                                      {.key = "quantize",
                                       CFG_FIELD(RawFreedom, quantize),
                                       .type = CFG_ENUM,
                                       .names = quantize_names,
                                       CFG_WHERE(RawFreedom, quantize_loc),
                                       .otherwise = "int8",
                                       .doc = "whether values may become 8-bit integers"},
                                      {.key = "retrain",
                                       CFG_FIELD(RawFreedom, retrain),
                                       .type = CFG_GROUP,
                                       .sub = &retrain_schema,
                                       CFG_WHERE(RawFreedom, retrain_loc),
                                       .doc = "weights may be retrained on train; not when left out"},
                                      {0}};
static const Schema freedom_schema = {"key", freedom_rows, sizeof(RawFreedom)};

#define USERS "the model's user decides this: it stands in deploy.yaml"
static const CfgRow design_rows[] = {
    {.key = "model",
     CFG_FIELD(RawDesign, model),
     .type = CFG_PATH,
     .path = CFG_FILE,
     CFG_WHERE(RawDesign, model_loc),
     .required = true,
     .doc = "the trained network: .onnx, .tflite or .ir"},
    {.key = "name",
     CFG_FIELD(RawDesign, name),
     .type = CFG_STRING,
     CFG_WHERE(RawDesign, name_loc),
     .doc = "begins the names of the generated C functions; the model file's name when left out"},
    {.key = "custom",
     CFG_FIELD(RawDesign, custom),
     .type = CFG_PATH,
     .path = CFG_FILE,
     .doc = "list of custom operators: C functions for operators that are none of mistify's own"},
    {.key = "task",
     CFG_FIELD(RawDesign, task),
     .type = CFG_ENUM,
     .names = task_names,
     .otherwise = "classification",
     .doc = "what the outputs mean"},
    {.key = "metric",
     CFG_FIELD(RawDesign, metric),
     .type = CFG_ENUM,
     .names = metric_names,
     .otherwise = "accuracy",
     .doc = "how good a model is: share of examples whose class comes out right"},
    {.key = "data",
     CFG_FIELD(RawDesign, data),
     CFG_WHERE(RawDesign, data_loc),
     .type = CFG_GROUP,
     .sub = &data_schema,
     .required = true,
     .doc = "labelled examples, in three splits that share none"},
    {.key = "input",
     CFG_FIELD(RawDesign, input),
     .type = CFG_GROUP,
     .sub = &input_schema,
     .doc = "what the device hands to the model"},
    {.key = "freedom",
     CFG_FIELD(RawDesign, freedom),
     .type = CFG_GROUP,
     .sub = &freedom_schema,
     .doc = "what tailoring may change"},
    {.key = "train",
     CFG_FIELD(RawDesign, train),
     .type = CFG_GROUP,
     .sub = &train_schema,
     CFG_WHERE(RawDesign, train_loc),
     .doc = "for `mistify train`: training from the weights in the model file"},
    {.key = "design", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "targets", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "target", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "board", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "limits", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "seed", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "threads", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "cache", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "out", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "precision", .type = CFG_FOREIGN, .doc = USERS},
    {.key = "accuracy", .type = CFG_FOREIGN, .doc = USERS},
    {0}};
const Schema design_schema = {"key", design_rows, sizeof(RawDesign)};
