/* The keys of training in design.yaml: `train` (`mistify train`) and `freedom: retrain` (after pruning), which share most.
 * Defaults of keys that are not here: train_options_default (runtime/engine/train/train.h).
 */
#include "frontend/config/design_keys.h"

static const char *const optimizer_names[] = {"sgd", "adamw", NULL};               /* OptimizerKind */
static const char *const schedule_names[] = {"cosine", "constant", "steps", NULL}; /* RateSchedule */

#define NUMBER(name, field, lo, hi, value, text)                                                         \
  {                                                                                                      \
    .key = name, CFG_FIELD(Training, o.field), .type = CFG_FLOAT, CFG_RANGE(lo, hi), .otherwise = value, \
    .doc = text                                                                                          \
  }
#define SHARE(name, field, value, text) \
  { .key = name, CFG_FIELD(Training, o.field), .type = CFG_SHARE, .otherwise = value, .doc = text }
#define WHOLE(name, field, lo, hi, value, text)                                                        \
  {                                                                                                    \
    .key = name, CFG_FIELD(Training, o.field), .type = CFG_INT, CFG_RANGE(lo, hi), .otherwise = value, \
    .doc = text                                                                                        \
  }

#define LENGTH_ROWS(n_epochs)                               \
  {.key = "epochs",                                         \
   CFG_FIELD(Training, o.epochs),                           \
   .type = CFG_INT,                                         \
   CFG_RANGE(1, 10000),                                     \
   CFG_WHERE(Training, epochs_loc),                         \
   .otherwise = n_epochs,                                   \
   .doc = "passes over the training split"},                \
      {.key = "images",                                     \
       CFG_FIELD(Training, o.images),                       \
       .type = CFG_COUNT,                                   \
       CFG_FROM(1),                                         \
       CFG_WHERE(Training, images_loc),                     \
       .doc = "instead of epochs: training images to see"}, \
      WHOLE("batch", batch, 1, 4096, "64", "examples per step")

#define STEP_ROWS(rate)                                                                                \
  {.key = "optimizer",                                                                                 \
   CFG_FIELD(Training, o.optimizer),                                                                   \
   .type = CFG_ENUM,                                                                                   \
   .names = optimizer_names,                                                                           \
   .otherwise = "sgd",                                                                                 \
   .doc = "sgd: with Nesterov momentum; adamw: with decoupled weight decay"},                          \
      {.key = "lr",                                                                                    \
       CFG_FIELD(Training, o.lr),                                                                      \
       .type = CFG_FLOAT,                                                                              \
       CFG_ABOVE(0),                                                                                   \
       .otherwise = rate,                                                                              \
       .doc = "highest learning rate"},                                                                \
      {.key = "schedule",                                                                              \
       CFG_FIELD(Training, o.schedule),                                                                \
       .type = CFG_ENUM,                                                                               \
       .names = schedule_names,                                                                        \
       CFG_WHERE(Training, schedule_loc),                                                              \
       .otherwise = "cosine",                                                                          \
       .doc = "how the rate falls: along a cosine to 0, not, or in steps"},                            \
      {.key = "drops",                                                                                 \
       CFG_FIELD(Training, drops),                                                                     \
       CFG_WHERE(Training, drops_loc),                                                                 \
       .type = CFG_LIST,                                                                               \
       .item = CFG_SHARE,                                                                              \
       .item_width = sizeof(float),                                                                    \
       .one_ok = true,                                                                                 \
       .max_items = TRAIN_MAX_DROPS,                                                                   \
       .doc = "schedule steps: shares of the run at which the rate is multiplied by `drop`"},          \
      NUMBER("drop", drop, 0.0001, 0.9999, "0.1", "schedule steps: what the rate is multiplied by"),   \
      SHARE("warmup", warmup, "0%", "share of the steps in which the rate rises to lr"),               \
      NUMBER("momentum", momentum, 0, 0.9999, "0.9", "sgd: of its velocity"),                          \
      NUMBER("beta1", beta1, 0, 0.9999, "0.9", "adamw: memory of gradients"),                          \
      NUMBER("beta2", beta2, 0, 0.999999, "0.999", "adamw: memory of their squares"),                  \
      NUMBER("weight_decay", weight_decay, 0, 1, "1e-4", "not applied to biases and normalization"),   \
      NUMBER("clip", clip, 0, 1e9, "0", "largest norm of a step's gradients; 0: any"),                 \
      NUMBER("clip_each", clip_each, 0, 1e9, "0",                                                      \
             "largest norm of each example's gradient; 0: any (models without BatchNormalization, or " \
             "fixed_statistics)"),                                                                     \
      {.key = "fixed_statistics",                                                                      \
       CFG_FIELD(Training, o.fixed_statistics),                                                        \
       .type = CFG_BOOL,                                                                               \
       .otherwise = "no",                                                                              \
       .doc = "BatchNormalization keeps its statistics"},                                              \
      NUMBER("average", average, 0, 0.999999, "0",                                                     \
             "decay of a moving average of the weights, which is then the result; 0: none, 0.999 is usual")

#define LOSS_ROWS                                                                                         \
  NUMBER("smoothing", smoothing, 0, 0.9999, "0", "share of each label that is spread over all classes"),  \
      NUMBER("temperature", temperature, 0.1, 100, "4", "of distillation"), {                             \
    .key = "views", CFG_FIELD(Training, o.views), .type = CFG_INT, CFG_RANGE(0, 4096),                    \
    CFG_WHERE(Training, views_loc),                                                                       \
    .doc = "augmented views of each image that a teacher sees once and for all; 0: it runs beside; left " \
           "out: 8 where "                                                                                \
           "a run sees as many of each"                                                                   \
  }

#define GROW_ROWS                                                                                           \
  SHARE("grow", grow, "0%", "share of the images' side at which training begins; 0: full size throughout"), \
      WHOLE("grow_stages", grow_stages, 2, 64, "4", "sizes until the full one")

#define TEACHERS                                                                        \
  .key = "teachers", CFG_FIELD(Training, teachers), .type = CFG_LIST, .item = CFG_PATH, \
  .item_width = sizeof(const char *), .path = CFG_FILE, .one_ok = true

static const CfgRow retrain_rows[] = {
    LENGTH_ROWS("2"),
    STEP_ROWS("0.02"),
    LOSS_ROWS,
    {TEACHERS, .max_items = DESIGN_MORE_TEACHERS,
     .doc = "further models, larger ones say, whose outputs are followed beside the original's: the mean of "
            "all"},
    {.key = "mix",
     CFG_FIELD(Training, o.mix),
     .type = CFG_SHARE,
     CFG_WHERE(Training, mix_loc),
     .otherwise = "0.7",
     .doc = "share of the loss that follows the original (and `teachers`); the rest follows the labels"},
    {.key = "trial",
     CFG_FIELD(Training, trial),
     .type = CFG_SHARE,
     CFG_RANGE(0, 1),
     .otherwise = "10%",
     .doc = "share of this length for which each other structure (depth, resolution, lowrank) is retrained "
            "before its widths are found, and then candidates that are about as good as the best; 0: none"},
    GROW_ROWS,
    {0}};
const Schema retrain_schema = {"key", retrain_rows, sizeof(Training)};

static const CfgRow train_rows[] = {
    LENGTH_ROWS("20"),
    STEP_ROWS("0.1"),
    {TEACHERS, .doc = "models whose outputs are followed; of several, the mean of their shares"},
    {.key = "teacher_weights",
     CFG_FIELD(Training, teacher_weights),
     CFG_WHERE(Training, weights_loc),
     .type = CFG_LIST,
     .item = CFG_FLOAT,
     .item_width = sizeof(float),
     CFG_ABOVE(0),
     .doc = "of that mean; all the same when left out"},
    {.key = "mix",
     CFG_FIELD(Training, o.mix),
     .type = CFG_SHARE,
     CFG_WHERE(Training, mix_loc),
     .otherwise = "0.7",
     .doc = "share of the loss that follows the teachers; the rest follows the labels"},
    LOSS_ROWS,
    {.key = "features",
     CFG_FIELD(Training, features),
     CFG_WHERE(Training, features_loc),
     .type = CFG_LIST,
     .item = CFG_STRING,
     .item_width = sizeof(const char *),
     .one_ok = true,
     .doc = "values of the model that follow the teacher's of the same name and shape, or \"name=teacher's "
            "name\""},
    NUMBER("feature_weight", features, 0, 1e9, "1", "of the mean squares between them"),
    GROW_ROWS,
    {0}};
const Schema train_schema = {"key", train_rows, sizeof(Training)};
