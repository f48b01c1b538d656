/* Elastic training: many networks that are slices of one set of wide weights learn together (Cai et al. 2020,
 * arXiv:1908.09791, its channels alone).
 *
 *   wide weights --slices--> member's weights, its own BatchNormalization --> forward, loss, backward   (each on its own graph)
 *        ^------- sum of the members' gradients, each element where it came from <--------'
 *
 * A step runs the widest member, the narrowest and some at random (the sandwich rule; Yu, Huang 2019, arXiv:1903.05134).
 * Members need not nest in one another. What is promised of train_run holds: it is the same run, with another step.
 */
#ifndef RUNTIME_ENGINE_TRAIN_ELASTIC_H
#define RUNTIME_ENGINE_TRAIN_ELASTIC_H

#include "runtime/engine/train/train.h"

/* A constant of a member whose elements are elements of one of the wide graph's. */
typedef struct ElasticSlice {
  ValId member, wide;    /* float constants */
  const uint32_t *index; /* [elements of the member's]: which of the wide one's */
} ElasticSlice;

/* Constants without a slice are the member's own and begin as they stand: they learn by its own gradient, in the steps in
 * which it runs. So are those that learn in one of the two graphs only (a scalar), and do not there. */
typedef struct ElasticMember {
  const Graph *graph;
  const ElasticSlice *slices;
  int n_slices;
} ElasticMember;

typedef struct ElasticJob {
  TrainJob
      train; /* graph: the wide one; options without growing images, features, gradients clipped one by one; clip: of each member's gradients, before they are summed */
  const ElasticMember *members; /* same input and outputs as the wide graph */
  int n_members;
  int drawn; /* members at random in each step, beside the widest and the narrowest (by MACs) */
} ElasticJob;

typedef struct ElasticResult {
  TrainResult train; /* loss: mean over the members of a step; accuracy: the widest's */
  Graph *
      wide; /* the weights; its statistics are as they were, what no member has a slice of has decayed only */
  Graph *
      *members; /* [n_members] trained; statistics estimated on options->bn_images images (0: running ones) */
  int n_members;
  int64_t room, own; /* bytes of memory: shared by the members in turns; all that is each one's own */
} ElasticResult;

/* false: reported, and nothing is in res. elastic_result_free otherwise. */
bool elastic_run(const ElasticJob *job, ElasticResult *res, Diag *d);
void elastic_result_free(ElasticResult *res);

/* The members of step `step`, to out [n_members]: widest, narrowest, then `drawn` others in the order drawn. Returns their
 * number. */
int elastic_draw(int n_members, int widest, int narrowest, int drawn, uint64_t seed, int64_t step, int *out);

#endif
