/* Ranks; see ranks.h. Who it is a process knows from its environment, which mpirun sets (Open MPI's names, then those of
 * PMI, which MPICH and Slurm use).
 */
#include "frontend/cli/ranks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frontend/cli/cli.h"

#ifdef MISTIFY_MPI
#include <mpi.h>
#endif

static int number(const char *const *names, int otherwise) {
  for (; *names; names++) {
    const char *text = getenv(*names);
    char *end;
    if (!text || !*text) continue;
    long n = strtol(text, &end, 10);
    if (*end == 0 && n >= 0 && n < 1000000) return (int)n;
  }
  return otherwise;
}

int ranks_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", NULL};
  return number(names, 0);
}

int ranks_count(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL};
  int n = number(names, 1);
  return n > 0 ? n : 1;
}

int ranks_local(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", NULL};
  int n = number(names, 1);
  return n > 0 ? n : 1;
}

#ifdef MISTIFY_MPI
bool ranks_built_in(void) { return true; }

/* Wait for all without keeping a core busy, as MPI_Barrier would. */
static void wait_for_all(void) {
  MPI_Request all;
  int done = 0;
  MPI_Init(NULL, NULL);
  MPI_Ibarrier(MPI_COMM_WORLD, &all);
  while (MPI_Test(&all, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done) {
    struct timespec t = {.tv_nsec = 10000000};
    nanosleep(&t, NULL);
  }
  MPI_Finalize();
}
#else
bool ranks_built_in(void) { return false; }

static void wait_for_all(void) {}
#endif

static bool joined; /* and more than one: once, before the command runs */

bool ranks_silent(void) { return joined && ranks_rank() > 0; }

bool ranks_join(CommonOpts *o, Diag *d) {
  if (ranks_count() == 1) return true;
  if (!ranks_built_in()) {
    diag_error(d, NULL, "%d ranks were started, but this program was built without MPI", ranks_count());
    diag_hint(d, "`make MPI=1` builds it in; without mpirun, -j uses the cores of one machine");
    return false;
  }
  joined = true;
  if (ranks_rank() == 0) return true;
  o->quiet = true;
  FAIL_IF(!freopen("/dev/null", "w", stdout), d, NULL, "/dev/null cannot be opened: %s", strerror(errno));
  return true;
}

int ranks_end(int status, Diag *d) {
  const int rank = ranks_rank();
  const bool failed = status != EXIT_DONE && status != EXIT_LIMITS;
  if (!joined) return status;
  if (rank == 0 && failed) return status; /* mpirun ends the others */
  wait_for_all();
  if (rank == 0) return status;
  if (failed) {
    fprintf(stderr, "mistify: rank %d of %d gave up, others did its part:\n", rank, ranks_count());
    diag_print(d, stderr);
  }
  return EXIT_DONE;
}
