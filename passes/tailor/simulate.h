/* Requests out of thin air, to plan for many more targets than anybody trains: how a schedule (schedule.h) grows with their
 * number is a question of widths and MACs alone.
 *
 * MACs asked for are log-uniform over two decades below the base's. Widths follow one of two patterns, drawn for each
 * request: shares t^b with an exponent for each group, the base's own tilted by which of four resources is limited, much as
 * plans by one table of errors come out; or random proportions of the groups. Requests of one resource mostly nest, others are
 * mostly incomparable. Units go in one order, as importance has it, so that the kept units of a group are its first.
 */
#ifndef PASSES_TAILOR_SIMULATE_H
#define PASSES_TAILOR_SIMULATE_H

#include "passes/channels.h"
#include "passes/tailor/schedule.h"

/* A base: groups of units, and the MACs of a set of them. */
typedef struct SimBase {
  int n_groups, n_units, words;
  int *size, *least;                                             /* [n_groups] units; so many stay */
  double macs;                                                   /* of all */
  double (*macs_of)(void *ctx, int base, const uint64_t *units); /* ScheduleRules.macs */
  void *ctx;
} SimBase;

/* A net of 20 layers in three stages, in `a`. */
void sim_base_made_up(Arena *a, SimBase *out);
/* A graph's, in `a`; sim_base_close when done. c must outlive it. */
void sim_base_of(Arena *a, const Channels *c, SimBase *out);
void sim_base_close(SimBase *b); /* of sim_base_of */

/* n requests in `a`; the same seed gives the same ones, and the first k of n are those of k. */
ScheduleRequest *sim_requests(Arena *a, const SimBase *b, int n, uint64_t seed);

#endif
