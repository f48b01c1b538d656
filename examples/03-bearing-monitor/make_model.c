/* Writes init.onnx: the bearing monitor's autoencoder with random weights, where training starts.
 *
 *   32 x 16 = 512 -> 64 -> 12 -> 64 -> 512, relu between; weights normal with variance 2 / fan-in (He 2015,
 *   arXiv:1502.01852), fixed seed. Use: make_model OUT.onnx
 */
#include <math.h>
#include <stdio.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/rng.h"

typedef struct Net {
  Graph *g;
  Diag *d;
  Rng rng;
  int layer;
} Net;

static ValId weights(Net *n, const char *what, Shape s, float scale) {
  float *w = arena_array(n->g->arena, (size_t)shape_count(&s), sizeof *w);
  for (int64_t i = 0; i < shape_count(&s); i++) w[i] = scale * rng_normal(&n->rng);
  return graph_const_data(n->g, arena_printf(n->g->arena, "layer%d.%s", n->layer, what), DT_F32, &s, w);
}

static ValId node(Net *n, OpKind op, const ValId *in, uint32_t n_in, const char *what) {
  char *name = arena_printf(n->g->arena, "layer%d.%s", n->layer, what);
  Loc loc = {.file = "make_model", .name = name, .op = op_info(op)->name};
  return graph_node(n->g, op, NULL, in, n_in, name, &loc, n->d);
}

static ValId layer(Net *n, ValId x, int64_t out, bool relu) {
  int64_t in = graph_val(n->g, x)->shape.d[1];
  n->layer++;
  ValId w = weights(n, "weight", shape_of(2, out, in), sqrtf(2.0f / (float)in)),
        b = weights(n, "bias", shape_of(1, out), 0);
  ValId y = node(n, OP_fully_connected, (ValId[]){x, w, b}, 3, "fc");
  return relu ? node(n, OP_relu, &y, 1, "relu") : y;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr,
            "usage: make_model OUT.onnx    writes the bearing monitor's autoencoder with random weights\n");
    return 1;
  }
  Net n = {.g = graph_new("bearing-monitor"), .d = diag_new()};
  rng_seed(&n.rng, 1, 0);
  Shape in = shape_of(2, (int64_t)DIM_BATCH, (int64_t)512);
  ValId x = graph_input(n.g, "spectrogram", DT_F32, &in);
  x = layer(&n, layer(&n, layer(&n, x, 64, true), 12, true), 64, true);
  graph_output(n.g, layer(&n, x, 512, false));
  bool ok = graph_verify(n.g, n.d) && onnx_export(n.g, argv[1], n.d);
  diag_print(n.d, stderr);
  graph_free(n.g);
  diag_free(n.d);
  return ok ? 0 : 1;
}
