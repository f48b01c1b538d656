/* PyTorch as a process beside bench/train.c; see bench/train_torch.py for what it is told. */
#ifndef BENCH_TRAIN_PEER_H
#define BENCH_TRAIN_PEER_H

#include <stdbool.h>
#include <stdio.h>

typedef struct Peer {
  FILE *to, *from; /* NULL: there is none */
  int pid;
  char version[64];
} Peer;

/* Start it with the system's python3. Where it has no PyTorch, says how to install it and returns false. */
bool peer_start(Peer *p);
void peer_stop(Peer *p);
/* Send a line, read a line. Returns false when the process is gone. */
bool peer_ask(Peer *p, const char *line, char *answer, int n);

#endif
