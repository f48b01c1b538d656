/* A plan put to the test, twice: by a machine that knows of every byte of the arena who wrote it last, and by the real
 * kernels in an arena of garbage. */
#ifndef TESTS_BACKEND_PLAN_MACHINE_H
#define TESTS_BACKEND_PLAN_MACHINE_H

#include "backend/backend.h"

/* Walk the plan: every byte that a kernel reads must be the one that was written for it, rows in rings included, and
 * nothing may be written that the same call still reads. NULL, or what is wrong. */
const char *machine_check(const Graph *g, const Calls *calls, const MemoryPlan *p);

/* Run the plan with its kernels on these inputs, each of which spoils its rows before it writes them; the outputs must be reference evaluation's bytes. NULL, or what is
 * wrong. */
const char *machine_run(const Graph *g, const Calls *calls, const MemoryPlan *p, const void *const *inputs);

/* Both, on random inputs. Fails the test. */
void machine_test(const Graph *g, const Calls *calls, const MemoryPlan *p, uint64_t seed);

#endif
