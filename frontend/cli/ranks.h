/* Ranks: `mpirun -n N mistify tailor deploy.yaml`, on one machine or on several that share the cache's folder.
 *
 *   rank 0    a run as ever: prints, writes the results
 *   others    masters of the same plan that say and write nothing: each takes steps that no other is at work on (leases,
 *             passes/steps/lease.h), so that what rank 0 asks for is there
 *
 * They need nothing of one another but the folder, so that MPI is asked only at the end, to wait for all: before that no
 * MPI library has been started, and a run may fork its workers. A rank that dies ends the job (mpirun's doing); the same
 * command goes on from the cache. Without MPI (`make MPI=1` builds it in) there is one rank, and more are refused.
 */
#ifndef FRONTEND_CLI_RANKS_H
#define FRONTEND_CLI_RANKS_H

#include "frontend/cli/args.h"

bool ranks_built_in(void);
/* Which of how many this process is: 0 of 1 where mpirun did not start it. local: how many are on this machine. */
int ranks_rank(void);
int ranks_count(void);
int ranks_local(void);

/* This command is run by all ranks together: from here on those behind the first are silent. false: reported. */
bool ranks_join(CommonOpts *o, Diag *d);
/* Did this one join, behind the first? It writes no results, then, and says nothing. */
bool ranks_silent(void);
/* At the program's end; d: what went wrong. The first rank's failure ends the job; that of another is told when all are
 * done, and harms nobody. Returns the exit status. */
int ranks_end(int status, Diag *d);

#endif
