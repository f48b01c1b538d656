/* The command's side of Host: log lines and progress on standard error, Ctrl-C as cancellation.
 *
 * On a terminal, progress is one line that is drawn over; otherwise a line now and then, so that a log file
 * stays short. Standard output is never touched: it carries results.
 */
#ifndef FRONTEND_CLI_PROGRESS_H
#define FRONTEND_CLI_PROGRESS_H

#include <stdbool.h>

#include "ir/step.h"

/* quiet: nothing is shown. threads: for Host.threads; 0: as many as there are processors. Callbacks may be called
 * from any thread. The caller frees it by cli_host_free, which ends an unfinished progress line. */
Host *cli_host(bool quiet, int threads);
void cli_host_free(Host *h); /* NULL is allowed */

int cli_processors(void);

/* The first Ctrl-C asks running work to stop (Host.cancelled); a second one ends the program at once. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);

#endif
