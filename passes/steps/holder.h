/* Who holds something in a shared folder (a step, by its lease; entries, by its run), and whether that process still lives.
 *
 * A holder is one line of text with a checksum. On one machine a process is told apart from a later one of the same
 * number by the time it started; what "one machine" is, is told by its boot and its namespace of process numbers, so that
 * two containers of the same host name are two machines. Of a process on another machine nothing is known but when it
 * last touched its file, which it does every few seconds.
 */
#ifndef PASSES_STEPS_HOLDER_H
#define PASSES_STEPS_HOLDER_H

#include "ir/base/hash.h"
#include "ir/base/strbuf.h"

typedef struct Holder {
  char host[65]; /* for people */
  Hash machine;
  int64_t pid, started; /* started: clock ticks after boot; 0: not known */
  Hash nonce;           /* of this one file: two of one process differ */
} Holder;

/* This process, with a nonce of its own at each call. */
Holder holder_self(void);
void holder_print(const Holder *h, StrBuf *out);
/* false: damaged, or not a holder's line. */
bool holder_parse(const char *text, size_t n, Holder *out);

typedef enum HolderState {
  HOLDER_LIVES,
  HOLDER_DEAD,
  HOLDER_AWAY /* on another machine: its file's age decides */
} HolderState;
HolderState holder_state(const Holder *h);

/* Does process pid, that started then, still run? One that is dead and waits for its parent does not. */
bool process_lives(int64_t pid, int64_t started);
/* When it started; -1: it does not run; 0: not known. */
int64_t process_started(int64_t pid);

#endif
