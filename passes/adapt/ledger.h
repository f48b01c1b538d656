/* The ledger of privacy spent by a site: what was emitted, what it cost, and what is left.
 *
 *   LEDGER          mistify-ledger 1 SITE BUDGET DELTA            each line ends in the hash of the line before it and
 *                   1 update MODEL RATE NOISE STEPS               of itself: a chain
 *                   ...
 *   COUNTER/NAME    mistify-counter 1 SITE LINES LAST-HASH        beside, in another folder; NAME: hash of the ledger's path
 *
 * A run is written down before it reads the data, so that what a crash leaves is spent, never forgotten. Refused: a chain
 * that is broken, a ledger that has fewer lines than the counter says or others, a ledger that is gone while its counter is
 * there. What that defends against, and what it cannot, is in docs/privacy.md.
 */
#ifndef PASSES_ADAPT_LEDGER_H
#define PASSES_ADAPT_LEDGER_H

#include "ir/base/diag.h"
#include "ir/base/hash.h"
#include "ir/base/strbuf.h"
#include "runtime/engine/privacy/accountant.h"

typedef struct Ledger Ledger;

typedef struct LedgerWhere {
  const char *path;    /* of the ledger */
  const char *counter; /* folder of counters; NULL: $XDG_STATE_HOME/mistify, or ~/.local/state/mistify */
} LedgerWhere;

/* What a run will do. */
typedef struct LedgerRun {
  const char *what; /* "update", "outputs": a word */
  Hash model;
  bool
      independent; /* said of a model that no earlier run was of: it holds nothing of the data that was not emitted */
  double rate, noise;
  int64_t steps;
} LedgerRun;

/* Open, or begin one where there is none. budget > 0: epsilon over everything, needed to begin one; a ledger that is there
 * keeps its own, and another budget or delta is refused (0: not said). records: of the data at hand; delta must be at most
 * 1 / (10 records). One process at a time. NULL: reported. */
Ledger *ledger_open(const LedgerWhere *where, double budget, double delta, uint64_t records, Diag *d);
void ledger_close(Ledger *l);
/* At most 1 / (10 records)? records 0: not known. Reported. */
bool ledger_delta_fits(double delta, uint64_t records, Diag *d);

const RdpCurve *ledger_curve(const Ledger *l);
double ledger_budget(const Ledger *l);
double ledger_delta(const Ledger *l);
double ledger_epsilon(const Ledger *l); /* spent so far, at its delta */
int ledger_runs(const Ledger *l);

/* Has no run been written down yet, or one of this model? Another model may have learnt the data openly: reported. */
bool ledger_knows(const Ledger *l, Hash model, Diag *d);
/* Write a run down, on disk when this returns true; *after: epsilon spent with it. A run that would go beyond the budget, or
 * of a model that is neither known nor independent, is refused and leaves no trace. */
bool ledger_spend(Ledger *l, const LedgerRun *run, double *after, Diag *d);

/* -- texts alone, for tests and fuzzers -- */
/* A ledger's text as ledger_open reads it, without counter and lock: it can be asked, not spent from. NULL: reported. */
Ledger *ledger_parse(const char *text, size_t n, const char *path, Diag *d);
/* A counter's text; *lines: how many it has seen. */
bool ledger_parse_counter(const char *text, size_t n, int64_t *lines);
/* Lines without their hashes, as a ledger has them: appended to out. */
void ledger_seal(const char *lines, StrBuf *out);

#endif
