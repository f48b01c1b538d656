/* The tensor engine: float32 forward and backward over a Graph, on the host, on our own threads over OpenBLAS.
 *
 * A Session holds activation and gradient buffers beside the graph (decision 9), train/ the optimizer's state. Images are
 * NHWC; the graph has been through `layout` (no Transpose around convolutions) and keeps BatchNormalization.
 * Training mode: BatchNormalization uses batch statistics and updates running ones.
 * Determinism: the batch is split into a fixed number of shards (independent of the number of threads), each
 * shard reduces into its own gradient, shards are summed in order: same bytes at any thread count.
 */
#ifndef RUNTIME_ENGINE_ENGINE_H
#define RUNTIME_ENGINE_ENGINE_H

#include "ir/graph.h"
#include "ir/step.h"
#include "runtime/data/dataset.h"
#include "runtime/engine/judge.h"
#include "runtime/engine/loss.h"
#include "runtime/engine/train/train.h"

typedef struct Session Session;

/* How a convolution is computed: by the table of measurements (ops/conv_table.def), or always one way where it can be. */
typedef enum ConvWay { CONV_BY_TABLE, CONV_GEMM, CONV_DIRECT, CONV_WINOGRAD } ConvWay;

typedef struct SessionOptions {
  int batch; /* examples per step */
  int threads;
  bool training; /* allocate gradients */
  bool keep;     /* keep every activation and gradient, run all nodes, fuse nothing (statistics, tests) */
  bool input_gradient; /* the input's gradient too */
  const ValId *taps;   /* values that the caller reads, and whose gradient it may begin (session_tap); */
  int n_taps;          /* the list is read while the session is made */
  bool
      plain; /* neither Winograd's convolutions nor BatchNormalization folded into weights: both round otherwise */
  ConvWay way;                         /* for measuring, as is */
  const struct EngineKernels *kernels; /* NULL: the best for this processor */
  bool portable;                       /* the kernels that every machine has, not this processor's */
  struct Room *room;                   /* memory of sessions that run in turns (session.h); NULL: its own */
} SessionOptions;

/* g: symbolic or fixed batch; f32. A final Softmax over all outputs is cut off: they
 * are then logits (with opt->keep it is computed too). One input; the last output counts.
 * NULL: reported (an operator that is not differentiable, with its location). g must outlive the session. */
Session *session_new(const Graph *g, const SessionOptions *opt, Diag *d);
void session_free(Session *s);

/* x [n][item] float32, n <= batch. Returns logits [n][classes], owned by the session, valid until the next call. */
const float *session_forward(Session *s, const float *x, int n, bool train_mode);
/* Value v's activations of the last forward ([n][...]); NULL when the session does not keep it. */
const float *session_activation(const Session *s, ValId v);
/* dlogits [n][classes]: gradient of the mean loss. Fills parameter gradients (and activation gradients). */
void session_backward(Session *s, const float *dlogits, int n);
/* Gradient of parameter (constant) v after backward, or of a kept activation; NULL: none. */
const float *session_gradient(const Session *s, ValId v);
/* Parameter v's current values, writable by optimizers and tests; NULL when v is no trainable constant. */
float *session_param(Session *s, ValId v);

/* A new graph with the session's parameters as new blobs. */
Graph *session_graph(const Session *s);

/* -- evaluation (engine/accuracy.c) -- */
/* Float graphs by the engine, int8 graphs by kernels (ir/eval; the host's, or generic ones) on threads; the input is
 * quantized as the graph's input asks. Judged (engine/judge.h) by the last output: the largest element's place, first wins
 * on ties; of splits of anomalies by its distance from the input, quantized or not.
 * logits, when not NULL: receives [n][classes] float. */
bool graph_accuracy(const Graph *g, const Split *s, const Normalize *nz, int threads, const Host *host,
                    Accuracy *out, float *logits, Diag *d);

/* -- importance and statistics for passes (engine/stats.c) -- */
/* Per-value ranges on calibration data: lo, hi of each f32 value over the first n training images, n_vals entries. */
bool collect_ranges(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, float *lo, float *hi,
                    Diag *d);
/* Mean and variance of a value's channels (its innermost axis) over all positions of all examples. */
typedef struct Moments {
  int64_t channels;
  double *mean, *variance; /* [channels] (written), the caller's */
} Moments;
/* Of `count` values vals on the first n training images. */
bool collect_moments(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, const ValId *vals,
                     int count, const Moments *out, Diag *d);
/* What `count` values vals are for each of the first n examples, and the logits: out[k] [n][item], logits [n][classes], the
 * caller's; n at most the split's. */
bool collect_values(const Graph *g, const Split *split, const Normalize *nz, uint32_t n, const Host *host,
                    const ValId *vals, int count, float *const *out, float *logits, Diag *d);
/* Taylor importance: for each value v of two or more dimensions with importance[v] != NULL, adds sum over images of
 * (sum over positions of activation * gradient)^2 per channel (innermost axis), on n training images. */
bool collect_taylor(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, double **importance,
                    Diag *d);

#endif
