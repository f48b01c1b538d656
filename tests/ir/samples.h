/* Graphs for tests: one sample of every operator, from a table that must cover ops.def. */
#ifndef TESTS_IR_SAMPLES_H
#define TESTS_IR_SAMPLES_H

#include "ir/graph.h"

typedef struct Sample {
  OpKind op;
  /* Inputs, separated by blanks: "f32[N,8,8,4]" is a graph input; "=f32[4]" a constant with arbitrary elements;
   * "=i64[2]:0,3" one with these. An int8 type gets a quantization. */
  const char *inputs;
  const char *attrs; /* "strides=2,1 act=relu"; the rest have their defaults */
} Sample;

extern const Sample samples[];
extern const int n_samples;

/* A graph of that one node, verified; fails the test where it cannot be built. */
Graph *sample_graph(const Sample *s);
/* A small net with most kinds of things in it: branches, int8, names, locations, an unused constant. */
Graph *sample_net(void);

#endif
