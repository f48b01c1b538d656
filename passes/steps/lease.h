/* Leases: who runs a step (or works on a target, where time is limited) at this moment, so that no other process begins it
 * too.
 *
 *   DIR/lease/KEY   one line, the holder (holder.h); written beside and linked, so that it is there whole or not at all
 *
 * A lease ends when it is given back, or when its holder is dead: on this machine that is seen at once, of another
 * machine's when the file has not been touched for LEASE_EXPIRES seconds by the clock of the folder itself; while it is
 * held, a thread touches it every few seconds. One that nobody can read (it is damaged) ends LEASE_UNREADABLE seconds after
 * it was written.
 *
 * Leases save work; nothing rests on them. Two processes that both think they hold one (a machine that slept, a folder
 * that many cannot share) run the step twice, make the same bytes and publish them whole.
 */
#ifndef PASSES_STEPS_LEASE_H
#define PASSES_STEPS_LEASE_H

#include "passes/steps/cache.h"
#include "passes/steps/holder.h"

enum { LEASE_EXPIRES = 60, LEASE_UNREADABLE = 2, LEASE_BEAT = 10 };

typedef struct Lease Lease;

typedef enum LeaseState {
  LEASE_TAKEN,
  LEASE_BUSY, /* *other holds it */
  LEASE_NONE /* the folder allows none (it cannot be written to, is full, has no hard links): go on without */
} LeaseState;

/* Take the lease of key; does not wait. beat: seconds between touches. Processes forked while it is held do not hold it. */
LeaseState lease_take(Cache *c, Hash key, double beat, Lease **out, Holder *other);
/* Give it back: the file is removed, if it is still this one's. NULL is allowed. */
void lease_release(Lease *l);

/* Of the file at `path`: does somebody hold it? *other: who, when that can be read (else pid is 0). expires: seconds
 * without a touch after which one of another machine does not. */
bool lease_lives(const Cache *c, const char *path, int expires, Holder *other);

#endif
