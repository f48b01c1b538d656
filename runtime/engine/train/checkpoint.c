/* Checkpoints: all that a run needs to go on as if it had never been interrupted, in one file that is replaced at once.
 *
 *   "MFCKPT1\n"  Head  text [text_bytes]  parameters, first, second, average [total] (those that there are), statistics
 *   hash of all of that
 *
 * The text names everything that the result depends on: graphs, data, options, numeric ABI. A file whose text is not
 * this run's is refused with the line that differs. The file is written beside, flushed and renamed (file_write): a full
 * disk or a killed process leaves the last one whole.
 *
 * Where nobody asked for it (a step's state, checkpoint_optional) a checkpoint only saves time: one that is damaged or of
 * another run is removed, one that cannot be written is done without.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/fingerprint.h"
#include "ir/base/mem.h"
#include "runtime/engine/train/trainer.h"

typedef struct Head {
  char magic[8];
  int64_t text_bytes, floats; /* floats: parameters, state and statistics */
  int64_t done, correct, seen, optimizer_steps, log_bytes;
  double loss, seconds;
  Hash program; /* sources of the engine: what another version would compute may differ in bytes */
} Head;

/* An optional checkpoint is not written after an epoch that began so shortly ago: a flush to disk takes milliseconds. */
static const double OPTIONAL_SECONDS = 2;

/* -- what a checkpoint is bound to -- */

static void put_hash(StrBuf *b, const char *what, int i, Hash h) {
  char hex[HASH_HEX];
  hash_hex(h, hex);
  sb_printf(b, "%s", what);
  if (i >= 0) sb_printf(b, " %d", i + 1);
  sb_printf(b, ": %s\n", hex);
}

static void put_options(StrBuf *b, const TrainOptions *o) {
  StrBuf text = {0};
  train_options_print(o, &text);
  for (char *p = text.s; p && *p; p++) *p = *p == ',' ? '\n' : *p;
  sb_printf(b, "%s\nseed=%llu\n", sb_str(&text), (unsigned long long)o->seed);
  sb_free(&text);
  for (int i = 0; i < o->n_pairs; i++)
    sb_printf(b, "features: %s, %s\n", o->pairs[i].student, o->pairs[i].teacher);
}

static const char *identity(Trainer *t) {
  if (t->text) return t->text;
  const Normalize *nz = &t->ds->spec.normalize;
  StrBuf b = {0};
  put_hash(&b, "model", -1, graph_hash(t->job->graph));
  for (int i = 0; i < t->job->n_teachers; i++) {
    put_hash(&b, "teacher", i, graph_hash(t->job->teachers[i]));
    if (t->job->teacher_weights)
      sb_printf(&b, "weight of teacher %d: %.9g\n", i + 1, (double)t->job->teacher_weights[i]);
  }
  put_hash(&b, "training data", -1, split_hash(&t->ds->train));
  for (int i = 0; i < nz->n; i++)
    sb_printf(&b, "normalization %d: %.9g, %.9g\n", i + 1, (double)nz->scale[i], (double)nz->offset[i]);
  if (t->teachers && t->teachers[0].bank.bytes)
    put_hash(&b, "views", -1, blob_hash(t->teachers[0].bank.bytes));
  put_options(&b, t->o);
  if (t->elastic) elastic_identity(t, &b);
  sb_printf(&b, "machine: %s\n", t->o->abi ? t->o->abi : "");
  t->mem = arena_new();
  t->text = arena_strdup(t->mem, sb_str(&b));
  sb_free(&b);
  return t->text;
}

static Hash program(void) {
  Hasher *h = hasher_new();
  for (size_t i = 0; i < source_prints_count; i++)
    if (strncmp(source_prints[i].path, "runtime/engine/", 15) == 0 ||
        strncmp(source_prints[i].path, "runtime/data/", 13) == 0)
      hasher_str(h, source_prints[i].hash);
  return hasher_done(h);
}

/* -- contents -- */

/* Every array of the run, in order. */
static void visit(const Trainer *t, VisitFn *fn, void *ctx) {
  const Session *s = t->student;
  float *const arrays[] = {s->params, t->optimizer.first, t->optimizer.second, t->optimizer.average};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (arrays[i]) fn(ctx, arrays[i], s->total);
  for (ValId v = 1; v < s->g->n_vals; v++)
    if (s->vals[v].stat && s->vals[v].root == v && s->vals[v].x) fn(ctx, s->vals[v].x, s->vals[v].item);
  if (t->elastic) elastic_visit(t, fn, ctx);
}

static void add_count(void *ctx, float *x, int64_t n) {
  (void)x;
  *(int64_t *)ctx += n;
}

static void copy_out(void *ctx, float *x, int64_t n) {
  char **at = ctx;
  memcpy(*at, x, (size_t)n * sizeof *x);
  *at += (size_t)n * sizeof *x;
}

static void copy_in(void *ctx, float *x, int64_t n) {
  const char **at = ctx;
  memcpy(x, *at, (size_t)n * sizeof *x);
  *at += (size_t)n * sizeof *x;
}

/* -- writing -- */

static Head head_of(Trainer *t) {
  Head h = {.magic = "MFCKPT1\n",
            .text_bytes = (int64_t)strlen(identity(t)),
            .done = t->done,
            .correct = t->correct,
            .seen = t->seen,
            .optimizer_steps = t->optimizer.steps,
            .log_bytes = report_position(t),
            .loss = t->loss,
            .seconds = t->before + train_now() - t->start,
            .program = program()};
  visit(t, add_count, &h.floats);
  return h;
}

static bool write_now(Trainer *t, Diag *d) {
  Head h = head_of(t);
  size_t n = sizeof h + (size_t)h.text_bytes + (size_t)h.floats * sizeof(float);
  char *bytes = mem_alloc(n + sizeof(Hash)), *at = bytes;
  memcpy(at, &h, sizeof h);
  at += sizeof h;
  memcpy(at, t->text, (size_t)h.text_bytes);
  at += h.text_bytes;
  visit(t, copy_out, &at);
  Hash sum = hash_bytes(bytes, n);
  memcpy(bytes + n, &sum, sizeof sum);
  bool ok = file_write(t->o->checkpoint_path, bytes, n + sizeof sum, d);
  mem_free(bytes);
  return ok;
}

static void log_line(const Trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void log_line(const Trainer *t, const char *format, ...) {
  char line[512];
  va_list args;
  if (!t->host || !t->host->log) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  t->host->log(t->host->ctx, line);
}

/* An epoch may be over in a moment, and a flush to disk takes longer than that. */
static bool is_due(const Trainer *t, CheckpointTime when) {
  const double age = train_now() - t->saved, every = t->o->checkpoint_seconds;
  if (when == CHECKPOINT_STEP) return age >= every;
  return when == CHECKPOINT_NOW || !t->o->checkpoint_optional || age >= fmin(every, OPTIONAL_SECONDS);
}

static bool save_optional(Trainer *t) {
  Diag *d = diag_new();
  if (!write_now(t, d))
    log_line(t, "training goes on without a checkpoint, and would begin anew: %s", diag_text(d));
  diag_free(d);
  return true;
}

bool checkpoint_save(Trainer *t, CheckpointTime when, Diag *d) {
  if (!t->o->checkpoint_path || !is_due(t, when)) return true;
  bool ok = t->o->checkpoint_optional ? save_optional(t) : write_now(t, d);
  t->saved = train_now();
  if (!ok && file_exists(t->o->checkpoint_path))
    diag_hint(d, "the last checkpoint is whole: training goes on from it when it can be written again");
  return ok;
}

/* -- resuming -- */

static bool damaged(const Loc *at, Diag *d) {
  diag_error(d, at, "is no checkpoint, or a damaged one");
  diag_hint(d, "remove it to train from the beginning");
  return false;
}

/* Names the first line that differs. */
static bool check_text(const char *got, size_t n, const char *want, const Loc *at, Diag *d) {
  if (strlen(want) == n && memcmp(got, want, n) == 0) return true;
  size_t line = 0;
  for (size_t i = 0; i < n && got[i] == want[i]; i++)
    if (got[i] == '\n') line = i + 1;
  diag_error(d, at, "is of another run: it was made with \"%.*s\", this one has \"%.*s\"",
             (int)strcspn(got + line, "\n"), got + line, (int)strcspn(want + line, "\n"), want + line);
  diag_hint(d, "give what it was made with to go on, or remove it to train from the beginning");
  return false;
}

static void tell(const Trainer *t, bool same) {
  if (!same)
    log_line(t, "the checkpoint was made by another version of this program: the result may differ in "
                "some bits from that of one version alone");
  log_line(t, "%s: going on behind %lld of %lld images", t->o->checkpoint_path,
           (long long)(t->done * t->batch), (long long)(t->steps * t->batch));
}

/* Is it whole, and this run's? Nothing of t is changed. */
static bool check(Trainer *t, const char *bytes, size_t size, Head *head, const Loc *at, Diag *d) {
  Head h;
  Hash sum;
  int64_t floats = 0;
  if (size < sizeof h + sizeof sum) return damaged(at, d);
  memcpy(&h, bytes, sizeof h);
  memcpy(&sum, bytes + size - sizeof sum, sizeof sum);
  size_t room = size - sizeof h - sizeof sum;
  if (memcmp(h.magic, "MFCKPT1\n", sizeof h.magic) != 0 || h.text_bytes < 0 ||
      (uint64_t)h.text_bytes > room || !hash_equal(sum, hash_bytes(bytes, size - sizeof sum)))
    return damaged(at, d);
  TRY(check_text(bytes + sizeof h, (size_t)h.text_bytes, identity(t), at, d));
  visit(t, add_count, &floats);
  if (floats != h.floats || (room - (size_t)h.text_bytes) / sizeof(float) != (size_t)floats || h.done < 0 ||
      h.done > t->steps)
    return damaged(at, d);
  *head = h;
  return true;
}

static bool restore(Trainer *t, const char *bytes, Head h, Diag *d) {
  int stage = grow_stage(t->o, h.done, t->steps);
  if (stage != t->stage && !t->elastic) TRY(grow_student(t, stage, d));
  const char *from = bytes + sizeof h + h.text_bytes;
  visit(t, copy_in, &from);
  t->done = h.done;
  t->correct = h.correct;
  t->seen = h.seen;
  t->optimizer.steps = h.optimizer_steps;
  t->loss = h.loss;
  t->before = h.seconds;
  if (t->elastic) elastic_resumed(t);
  tell(t, hash_equal(h.program, program()));
  return report_continue(t, h.log_bytes, d);
}

/* What a process that was killed while it wrote has left beside the checkpoint. */
static void remove_leftovers(const char *path) {
  Arena *a = arena_new();
  const char *prefix = arena_printf(a, "%s.tmp.", path_base(path)), *folder = path_dir(a, path);
  DIR *dir = opendir(folder);
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) unlink(path_join(a, folder, e->d_name));
  if (dir) closedir(dir);
  arena_free(a);
}

/* Said before the training, not an hour later. */
static bool can_write(const char *path, Diag *d) {
  Arena *a = arena_new();
  bool ok = access(path_dir(a, path), W_OK) == 0;
  if (!ok) {
    diag_error(d, &(Loc){.file = path}, "cannot be written: %s", strerror(errno));
    diag_hint(d, "give a checkpoint in a folder that can be written");
  }
  arena_free(a);
  return ok;
}

/* true, with nothing done: the run begins anew. */
static bool drop(const Trainer *t, const Diag *why) {
  unlink(t->o->checkpoint_path);
  log_line(t, "training begins anew, its state is removed: %s", diag_text(why));
  return true;
}

static bool resume(Trainer *t, Diag *d) {
  Arena *a = arena_new();
  Diag *why = diag_new();
  Head h;
  size_t n;
  const bool optional = t->o->checkpoint_optional;
  Diag *to = optional ? why : d;
  const char *bytes = file_read(a, t->o->checkpoint_path, &n, to);
  bool usable = bytes && check(t, bytes, n, &h, &(Loc){.file = t->o->checkpoint_path}, to), ok = usable;
  if (usable) ok = restore(t, bytes, h, d);
  if (!usable && optional) ok = drop(t, why);
  diag_free(why);
  arena_free(a);
  return ok;
}

bool checkpoint_resume(Trainer *t, Diag *d) {
  if (!t->o->checkpoint_path) return report_continue(t, 0, d);
  identity(t);
  remove_leftovers(t->o->checkpoint_path);
  if (file_exists(t->o->checkpoint_path)) return resume(t, d);
  return (t->o->checkpoint_optional || can_write(t->o->checkpoint_path, d)) && report_continue(t, 0, d);
}
