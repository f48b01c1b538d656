/* A run of training, inside: what train.c opens and the files beside it work on.
 *
 *   order of the epoch -> batch -> pixels (feed) -> teachers (beside, or from banks) -> forward -> losses -> backward
 *   -> optimizer;   report and checkpoint behind it
 */
#ifndef RUNTIME_ENGINE_TRAIN_TRAINER_H
#define RUNTIME_ENGINE_TRAIN_TRAINER_H

#include <stdio.h>

#include "runtime/engine/feed.h"
#include "runtime/engine/train/bank.h"
#include "runtime/engine/train/optimizer.h"

typedef struct Teacher {
  Session *s; /* NULL: its logits come from the bank */
  Feed feed;
  Bank bank;     /* bytes NULL: none */
  float *logits; /* [batch][classes], from the bank */
} Teacher;

typedef struct Pair {
  ValId student, teacher;
  int64_t item;
} Pair;

typedef struct Elastic Elastic;

typedef struct Trainer {
  const TrainJob *job;
  const TrainOptions *o;
  const Dataset *ds;
  const Host *host;
  Threads *pool;

  Elastic *elastic; /* elastic.c: many members learn from one set of weights; NULL: the student alone */
  Session *student; /* elastic: it holds the wide weights, and never runs */
  Feed feed;
  Graph *sized; /* the student's graph for smaller images; NULL: the job's own */
  int stage;    /* of growing images */
  Optimizer optimizer;
  double *norms; /* each example's squared norm, per range [SHARDS][SHARDS]; NULL: examples are not clipped */
  float *clipped; /* [total] sum of clipped gradients */

  Teacher *teachers;
  const float **soft; /* [n_teachers]: this batch's logits */
  float *mean;        /* [batch][classes] of several teachers */
  Pair *pairs;
  int n_pairs;

  int batch, classes;
  uint32_t *order;          /* of this epoch's examples */
  int32_t *labels, *others; /* [batch]; others, share: mixed labels */
  float *share, *dlogits;
  float *target;   /* LOSS_INPUT: [batch][item] */
  Augment augment; /* with this epoch's stream */

  int64_t steps_per_epoch, steps, done; /* done: steps taken */
  int64_t skip;                         /* steps of the epochs' order that were passed over */
  double loss;                          /* of this epoch: sum of batch means */
  int64_t correct, seen;                /* of this epoch */
  double before, start,
      saved;    /* seconds spent by runs that this one continues; when this one, the last checkpoint was */
  int64_t here; /* steps taken by this run */
  FILE *log;
  Arena *mem;       /* of `text` */
  const char *text; /* what a checkpoint of this run is bound to */
} Trainer;

double train_now(void);
OptimizerOptions train_optimizer(const TrainOptions *o);

/* -- train.c: a run from end to end; the trainer is closed in any case -- */
Trainer trainer_of(const TrainJob *job);
/* Open, go on from a checkpoint if there is one, take all steps. */
bool trainer_run(Trainer *t, TrainResult *res, Diag *d);
/* Of the epoch that the last step belongs to: steps taken by this run or one that it continues. */
int64_t trainer_epoch_steps(const Trainer *t);
/* g (freed) as it is or, where a run estimates statistics anew, with those. */
Graph *trainer_statistics(const Trainer *t, Graph *g, Diag *d);
void trainer_close(Trainer *t);

/* -- step.c: one batch -- */
bool step_open(Trainer *t, Diag *d);
void step_close(Trainer *t);
/* Examples idx[0..batch-1]; returns the mean loss. Allocates nothing. */
double step_batch(Trainer *t, const uint32_t *idx);

/* -- elastic.c: members of one set of weights instead of a student -- */
bool elastic_open(Trainer *t, Diag *d);
/* Where a step's pixels go. */
float *elastic_pixels(const Trainer *t);
double elastic_batch(Trainer *t);
void elastic_update(Trainer *t, float lr);
/* What a checkpoint is bound to, and holds, beside the wide weights; the state that follows from `done`. */
void elastic_identity(const Trainer *t, StrBuf *out);
typedef void VisitFn(void *ctx, float *x, int64_t n);
void elastic_visit(const Trainer *t, VisitFn *fn, void *ctx);
void elastic_resumed(Trainer *t);

/* -- each.c: a step whose gradient is a sum of clipped gradients of single examples -- */
bool each_open(Trainer *t, Diag *d);
void each_close(Trainer *t);
/* The loss of examples [at, at + n) of the batch, given their logits; fills the gradient of their mean. */
double step_loss(Trainer *t, int at, int n, const float *logits, float *dlogits);
double each_batch(Trainer *t);

/* -- teachers.c -- */
bool teachers_open(Trainer *t, Diag *d);
void teachers_close(Trainer *t);
/* The teachers' logits of the batch, to t->soft and t->mean. */
void teachers_batch(Trainer *t, const uint32_t *idx);

/* -- features.c: squares between values of the student and the first teacher -- */
/* Finds the pairs; their values are taps of both sessions. */
bool features_find(Trainer *t, Diag *d);
/* After both sessions are made: shapes agree, and something learns before each. */
bool features_check(Trainer *t, Diag *d);
/* After both forwards: the loss; its gradients begin at the student's taps. */
double features_batch(Trainer *t);

/* -- grow.c: the student for smaller images -- */
/* The stage of step `done`. */
int grow_stage(const TrainOptions *o, int64_t done, int64_t steps);
/* Make the student and its feed for a stage; parameters and statistics go over from the one before. */
bool grow_student(Trainer *t, int stage, Diag *d);

/* -- checkpoint.c -- */
/* Begin where the checkpoint stands, if there is one. */
bool checkpoint_resume(Trainer *t, Diag *d);
typedef enum CheckpointTime {
  CHECKPOINT_STEP,  /* after a step: when the last one is old enough */
  CHECKPOINT_EPOCH, /* after an epoch: in any case, but for an optional one that is young */
  CHECKPOINT_NOW
} CheckpointTime;
/* Write one when it is time. */
bool checkpoint_save(Trainer *t, CheckpointTime when, Diag *d);

/* -- report.c -- */
bool report_open(Trainer *t, Diag *d);
/* Bytes of the log so far; 0: none is kept. */
int64_t report_position(const Trainer *t);
/* The log goes on behind its first n bytes. */
bool report_continue(Trainer *t, int64_t n, Diag *d);
void report_step(const Trainer *t);
bool report_epoch(const Trainer *t, Diag *d);
void report_close(Trainer *t);

#endif
