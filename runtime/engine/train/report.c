/* Reports of a run: progress after every step, one line of JSON per epoch. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/engine/train/rate.h"
#include "runtime/engine/train/trainer.h"

/* Bytes go to the file at once: a killed run's log ends with a whole line. */
static bool log_failed(const Trainer *t, Diag *d) {
  return diag_error(d, &(Loc){.file = t->o->log_path}, "cannot write the training log: %s", strerror(errno));
}

bool report_open(Trainer *t, Diag *d) {
  if (!t->o->log_path) return true;
  t->log = fopen(t->o->log_path, "ab"); /* what an interrupted run wrote is still there */
  return t->log || log_failed(t, d);
}

int64_t report_position(const Trainer *t) {
  long at = t->log ? ftell(t->log) : 0;
  return at > 0 ? at : 0; /* a pipe has no position */
}

bool report_continue(Trainer *t, int64_t n, Diag *d) {
  if (!t->log) return true;
  bool longer = fseek(t->log, 0, SEEK_END) == 0 && ftell(t->log) > n;
  if (longer && (ftruncate(fileno(t->log), (off_t)n) != 0 || fseek(t->log, 0, SEEK_END) != 0))
    return log_failed(t, d);
  return true;
}

static double images_per_second(const Trainer *t) {
  double s = train_now() - t->start;
  return s > 0 ? (double)t->here * t->batch / s : 0;
}

static double accuracy(const Trainer *t) { return t->labels ? (double)t->correct / (double)t->seen : 0; }

void report_step(const Trainer *t) {
  if (!t->host || !t->host->progress) return;
  char detail[128], right[32] = "";
  if (t->labels) snprintf(right, sizeof right, ", accuracy %.1f %%", 100 * accuracy(t));
  snprintf(detail, sizeof detail, "epoch %lld of %lld, loss %.4f%s, %.0f images/s",
           (long long)((t->done - 1) / t->steps_per_epoch + 1),
           (long long)((t->steps - 1) / t->steps_per_epoch + 1), t->loss / (double)trainer_epoch_steps(t),
           right, images_per_second(t));
  t->host->progress(t->host->ctx, "train", (double)t->done / (double)t->steps, detail);
}

bool report_epoch(const Trainer *t, Diag *d) {
  if (!t->log) return true;
  double speed = images_per_second(t), left = (double)(t->steps - t->done) * t->batch;
  fprintf(t->log,
          "{\"epoch\": %lld, \"images\": %lld, \"loss\": %.6f, \"train_accuracy\": %.6f, \"learning_rate\": "
          "%.8g, "
          "\"images_per_second\": %.1f, \"seconds\": %.3f, \"seconds_left\": %.1f}\n",
          (long long)((t->done - 1) / t->steps_per_epoch + 1), (long long)(t->done * t->batch),
          t->loss / (double)trainer_epoch_steps(t), accuracy(t), (double)train_rate(t->o, t->done, t->steps),
          speed, t->before + train_now() - t->start, speed > 0 ? left / speed : 0);
  return fflush(t->log) == 0 || log_failed(t, d);
}

void report_close(Trainer *t) {
  if (t->log) fclose(t->log);
}
