/* Options of training: defaults, and what is refused. */
#include <math.h>

#include "runtime/engine/train/train.h"

void train_options_default(TrainOptions *o) {
  *o = (TrainOptions){.epochs = 1,
                      .batch = 128,
                      .threads = 1,
                      .lr = 0.05f,
                      .weight_decay = 1e-4f,
                      .momentum = 0.9f,
                      .nesterov = true,
                      .beta1 = 0.9f,
                      .beta2 = 0.999f,
                      .epsilon = 1e-8f,
                      .bn_images = 4096,
                      .drop = 0.1f,
                      .temperature = 4,
                      .grow_stages = 4,
                      .seed = 1,
                      .checkpoint_seconds = 60};
}

static bool check_steps(const TrainOptions *o, Diag *d) {
  FAIL_IF(!(o->lr > 0) || o->momentum < 0 || o->momentum >= 1 || o->weight_decay < 0, d, NULL,
          "learning rate %g, momentum %g, weight decay %g: want > 0, 0 to 1, >= 0", (double)o->lr,
          (double)o->momentum, (double)o->weight_decay);
  FAIL_IF(o->optimizer == OPTIMIZER_ADAMW &&
              (!(o->beta1 >= 0 && o->beta1 < 1) || !(o->beta2 >= 0 && o->beta2 < 1) || !(o->epsilon > 0)),
          d, NULL, "AdamW with beta1 %g, beta2 %g, epsilon %g: want 0 to 1, 0 to 1, > 0", (double)o->beta1,
          (double)o->beta2, (double)o->epsilon);
  FAIL_IF(!(o->clip >= 0) || !(o->average >= 0 && o->average < 1), d, NULL,
          "gradients clipped at %g, weights averaged with decay %g: want >= 0, 0 to 1", (double)o->clip,
          (double)o->average);
  return true;
}

static bool check_rate(const TrainOptions *o, Diag *d) {
  FAIL_IF(o->warmup < 0 || o->warmup >= 1, d, NULL, "warm-up over %g of all steps: want 0 or more, below 1",
          (double)o->warmup);
  FAIL_IF(o->n_drops < 0 || o->n_drops > TRAIN_MAX_DROPS, d, NULL,
          "the learning rate drops %d times: want at most %d", o->n_drops, TRAIN_MAX_DROPS);
  FAIL_IF(o->schedule == RATE_STEPS && (o->n_drops == 0 || !(o->drop > 0 && o->drop < 1)), d, NULL,
          "a learning rate in steps drops %d times by %g: want at least once, by 0 to 1", o->n_drops,
          (double)o->drop);
  for (int i = 0; i < o->n_drops; i++)
    FAIL_IF(!(o->drops[i] > (i ? o->drops[i - 1] : 0) && o->drops[i] < 1), d, NULL,
            "the learning rate drops at %g of the run: want rising shares above 0 and below 1",
            (double)o->drops[i]);
  return true;
}

static bool check_loss(const TrainOptions *o, Diag *d) {
  FAIL_IF(!(o->smoothing >= 0 && o->smoothing < 1), d, NULL, "label smoothing of %g: want 0 to 1",
          (double)o->smoothing);
  FAIL_IF(!(o->mix >= 0 && o->mix <= 1) || (o->mix > 0 && !(o->temperature > 0)), d, NULL,
          "distillation mix %g at temperature %g: want 0 to 1, > 0", (double)o->mix, (double)o->temperature);
  FAIL_IF(!(o->features >= 0) || (o->features > 0 && o->n_pairs < 1), d, NULL,
          "features matched with weight %g in %d pairs: want >= 0, and at least one pair",
          (double)o->features, o->n_pairs);
  FAIL_IF(
      o->loss == LOSS_INPUT && (o->mix > 0 || o->augment.mixup > 0 || o->augment.cutmix > 0), d, NULL,
      "the output is compared with the input: neither a teacher's logits nor mixed examples have a meaning");
  return true;
}

static bool check_examples(const TrainOptions *o, Diag *d) {
  const Augment *a = &o->augment;
  FAIL_IF(a->crop < 0 || a->cutout < 0 || a->time_mask < 0 || a->frequency_mask < 0 || !(a->noise >= 0) ||
              !(a->mixup >= 0) || !(a->cutmix >= 0),
          d, NULL, "an augmentation is negative: want 0 (off) or more");
  FAIL_IF(o->views < 0 || o->views > 65536, d, NULL, "%d views of an example: want 0 to 65536", o->views);
  FAIL_IF(!(o->grow >= 0 && o->grow <= 1) || (o->grow > 0 && (o->grow_stages < 2 || o->grow_stages > 64)), d,
          NULL, "images grow from a share of %g in %d stages: want 0 to 1, 2 to 64", (double)o->grow,
          o->grow_stages);
  FAIL_IF(o->grow > 0 && o->features > 0, d, NULL,
          "images that grow and matched features together: the model's values have another size than the "
          "teacher's");
  return true;
}

/* What needs each example's own gradient. */
static bool check_each(const TrainOptions *o, Diag *d) {
  FAIL_IF(!(o->clip_each >= 0), d, NULL, "each example's gradient clipped at %g: want >= 0",
          (double)o->clip_each);
  FAIL_IF(o->clip_each > 0 && (o->features > 0 || o->augment.mixup > 0 || o->augment.cutmix > 0), d, NULL,
          "clipping each example's gradient goes with neither matched features nor mixed examples");
  return true;
}

bool train_options_check(const TrainOptions *o, Diag *d) {
  FAIL_IF(o->batch < 1 || o->batch > 65535 || o->threads < 1, d, NULL,
          "training with batch %d on %d threads: want 1 to 65535, at least 1", o->batch, o->threads);
  FAIL_IF(o->skip < 0, d, NULL, "training that passes over %lld images: want 0 or more", (long long)o->skip);
  FAIL_IF(o->images <= 0 && o->epochs < 1, d, NULL, "training for %d epochs: want at least 1", o->epochs);
  FAIL_IF(!(o->checkpoint_seconds >= 0), d, NULL, "checkpoints every %g seconds: want 0 or more",
          o->checkpoint_seconds);
  return check_steps(o, d) && check_rate(o, d) && check_loss(o, d) && check_examples(o, d) &&
         check_each(o, d);
}
