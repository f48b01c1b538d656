/* Progress and log lines of the command, on stderr: a Host (ir/step.h) for everything that takes long.
 *
 * On a terminal one line is drawn over and over:   distill m4 [=======>      ]  52%  epoch 2 of 4  0:31, 0:29 left
 * Elsewhere (a log file, CI) plain lines, at most one in ten seconds.  With --quiet nothing at all.
 */
#ifndef FRONTEND_CLI_PROGRESS_H
#define FRONTEND_CLI_PROGRESS_H

#include <stdio.h>

#include "ir/step.h"

typedef struct Progress {
  FILE *to;
  bool terminal, quiet;
  bool drawn;         /* a bar stands on the current line */
  char what[64];      /* whose bar it is */
  double start, last; /* seconds: of the bar, of what was last shown of it */
  Host host;
} Progress;

/* to: stderr, or another stream in tests; whether it is a terminal is found out. p must outlive its host.
 * Call from one thread at a time. */
void progress_init(Progress *p, FILE *to, bool quiet, int threads);
const Host *progress_host(const Progress *p);

/* One line of the bar without its end, as it would be drawn: for a share done of 0..1, seconds since its start.
 * Writes at most n bytes. */
void progress_format(char *buf, size_t n, const char *what, double done, const char *detail, double seconds);

#endif
