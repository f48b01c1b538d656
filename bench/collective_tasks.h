/* What bench/collective.c can be asked to tailor: `-t TASK` (collective_tasks.c). */
#ifndef BENCH_COLLECTIVE_TASKS_H
#define BENCH_COLLECTIVE_TASKS_H

#include "bench/command.h"
#include "bench/compress_common.h"

enum { TARGETS = 40, ADDED_TARGET = TARGETS };

/* Limits; 0: none but the board's. */
typedef struct Request {
  const char *board;
  long long macs, flash, ram, cycles;
} Request;

/* Images: of the training split, validation, what stands in for the test split in all runs, calibration, the test split. */
typedef struct Images {
  int train, val, stand_in, calibration, test;
} Images;

/* Where a bench's data are: `dir` as a design in its folder names it, `here` as this program does. */
typedef struct TaskData {
  const char *dir, *here;
  Images images;
  bool quick;
} TaskData;

typedef struct Task {
  const char *name, *result; /* bench/results/RESULT.json; runs are in build/bench/RESULT */
  const char *design;        /* template: LENGTH, DATA, SHARED and the numbers of images are filled in */
  const char *cloud; /* template of the design by which `make` trains the original; NULL: it is there */
  int epochs;        /* of the collective's retraining */
  Images images, quick;
  const char *data;  /* folder that make_data fills; NULL: its own, below where runs are kept */
  const char *model; /* the original: a path from the root, or a name in the folder of the data */
  Normalize normalize;
  double macs; /* of the original, for requests by rule; 0: bench/collective/targets.def */
  const char *boards[4];
  /* Why it cannot be done here; NULL: it can. */
  const char *(*missing)(Arena *a);
  /* Data and model, where they are not there. */
  void (*make)(const Bench *b, Arena *a, const TaskData *data);
  /* The test split, which is read last and once. */
  void (*test)(Arena *a, const TaskData *data, SplitSpec *spec);
} Task;

/* NULL: no such task. */
const Task *task_find(const char *name);
/* Names, separated by spaces. */
const char *task_names(Arena *a);
/* All requests, from the largest to the smallest, and one more that nobody planned for. */
void task_requests(const Task *t, Request out[TARGETS + 1]);
/* ../shared, as a design in a folder two below build/ names it. */
const char *task_shared(void);

#endif
