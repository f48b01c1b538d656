/* The way back on the device against the engine's gradients of the float net, for every layer that it claims: residual blocks with
 * padded shortcuts, and a net of all other constructs. What it does not do it names.
 *
 * Tolerances. The device reads int8 codes, rounds gradients to 8 bits a block, and takes rounding for the identity; a net of random
 * weights has unlike gradients where a code is at a limit and its float is not. Stated below per net: cosine over all layers
 * together, and of the worst layer on the worst image.
 */
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "runtime/device/adapt.h"
#include "runtime/device/adapt_grad.h"
#include "tests/backend/adapting.h"
#include "tests/backend/emitted.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_adapt_back(void);

enum { LOOKED_AT = 6 };

static bool is_layer(OpKind op) {
  return op == OP_conv || op == OP_fully_connected || op == OP_depthwise_conv;
}

/* Output channels, from the bias. */
static int64_t outs_of(const Graph *g, const Node *n) { return shape_count(&graph_val(g, n->in[2])->shape); }

/* Whether DEVICE_ADAPT_LAST_K moves its weights, and how many. */
static int64_t weights_of(const Graph *g, const Node *n) {
  return n->op == OP_depthwise_conv ? 0 : shape_count(&graph_val(g, n->in[1])->shape);
}

/* Channels of all layers but the last, and weights. */
static int64_t count_channels(const Graph *g, int *layers, int64_t *weights) {
  int64_t channels = 0;
  *layers = -1;
  *weights = 0;
  for (uint32_t k = g->n_nodes; k-- > 0;) {
    if (!is_layer(g->nodes[k].op) || (*layers)++ < 0) continue;
    channels += outs_of(g, &g->nodes[k]);
    *weights += weights_of(g, &g->nodes[k]);
  }
  return channels;
}

/* Of each of n images one step of small rates from nothing learned: what moved, as gradients [n][words]. */
static float *moved(const AdaptNet *net, const char *dir, int n, int64_t words, float rate) {
  AdaptOrder *orders = mem_array(4 * (size_t)n, sizeof *orders);
  for (int i = 0; i < n; i++) {
    orders[4 * i] = (AdaptOrder){.what = ADAPT_RESET};
    orders[4 * i + 1] = orders[4 * i + 3] = (AdaptOrder){.what = ADAPT_WORDS};
    orders[4 * i + 2] = (AdaptOrder){net->ds.train.y[i], adapt_image(net, i)};
  }
  const AdaptRun r = {.name = "net",
                      .rates = {rate, rate, rate, 0},
                      .orders = orders,
                      .n = 4 * n,
                      .input_bytes = adapt_image_bytes(net)};
  StrBuf got = adapt_obey(dir, "x86-64", &r);
  const size_t each = 8 * (size_t)words + 4;
  ck_assert_uint_eq(got.len, ADAPT_RESULTS + (size_t)n * each);
  float *g = mem_array((size_t)n * (size_t)words, sizeof *g);
  for (int64_t k = 0; k < n * words; k++) {
    const char *from = got.s + ADAPT_RESULTS + (size_t)(k / words) * each + 4 * (size_t)(k % words);
    int32_t before, after;
    memcpy(&before, from, 4);
    memcpy(&after, from + 4 * words + 4, 4);
    g[k] = (float)((double)(before - after) / (double)rate);
  }
  mem_free(orders);
  sb_free(&got);
  return g;
}

typedef struct Gradients {
  float *last, *gain, *offset,
      *w; /* [head], [channels], [channels], weights of all layers but the last and depthwise ones */
} Gradients;

static Gradients gradients_new(int64_t head, int64_t channels, int64_t weights) {
  return (Gradients){mem_array((size_t)head, 4), mem_array((size_t)channels, 4),
                     mem_array((size_t)channels, 4), mem_array((size_t)weights + 1, 4)};
}

static void gradients_free(Gradients *g) {
  mem_free(g->last);
  mem_free(g->gain);
  mem_free(g->offset);
  mem_free(g->w);
}

/* A layer's sum of w * dw + b * db by channel, and db. */
static void gain_gradient(const AdaptNet *n, const Session *s, const Node *node, float *gain, float *offset) {
  const Shape *ws = &graph_val(n->f, node->in[1])->shape;
  const float *dw = session_gradient(s, node->in[1]), *db = session_gradient(s, node->in[2]);
  const float *w = val_data(n->f, node->in[1]), *b = val_data(n->f, node->in[2]);
  const bool depthwise = node->op == OP_depthwise_conv; /* [1,Kh,Kw,O] */
  const int64_t outs = outs_of(n->f, node), each = shape_count(ws) / outs;
  for (int64_t o = 0; o < outs; o++) {
    double sum = (double)b[o] * (double)db[o];
    for (int64_t j = 0; j < each; j++) {
      const int64_t at = depthwise ? j * outs + o : o * each + j;
      sum += (double)w[at] * (double)dw[at];
    }
    gain[o] = (float)sum;
    offset[o] = db[o];
  }
}

/* The engine's gradients of the float net on one image, in the words' order and units of reals, last layer first. */
static void engine_gradient(const AdaptNet *n, int i, Gradients *to) {
  Diag *d = diag_new();
  Session *s =
      session_new(n->f, &(SessionOptions){.batch = 1, .threads = 1, .training = true, .plain = true}, d);
  ck_assert_msg(s != NULL, "%s", diag_text(d));
  float dl[ADAPT_CLASSES], *gain = to->gain, *offset = to->offset, *w = to->w;
  const float *logits = session_forward(s, (const float *)n->ds.train.x + i * n->item, 1, false);
  loss_cross_entropy(logits, &n->ds.train.y[i], 1, ADAPT_CLASSES, 0, dl);
  session_backward(s, dl, 1);
  bool last = true;
  for (uint32_t k = n->f->n_nodes; k-- > 0;) {
    const Node *node = &n->f->nodes[k];
    if (!is_layer(node->op)) continue;
    if (last) {
      const int64_t count = shape_count(&graph_val(n->f, node->in[1])->shape);
      memcpy(to->last, session_gradient(s, node->in[1]), (size_t)count * sizeof(float));
      memcpy(to->last + count, session_gradient(s, node->in[2]), ADAPT_CLASSES * sizeof(float));
    } else {
      gain_gradient(n, s, node, gain, offset);
      memcpy(w, session_gradient(s, node->in[1]), (size_t)weights_of(n->f, node) * sizeof *w);
      w += weights_of(n->f, node);
      gain += outs_of(n->f, node);
      offset += outs_of(n->f, node);
    }
    last = false;
  }
  session_free(s);
  diag_free(d);
}

/* What moved on one image, in reals. */
static void device_gradient(const AdaptNet *n, const float *g, int64_t k, DeviceAdapt layers, Gradients *to) {
  const bool gains = layers == DEVICE_ADAPT_SCALE;
  const NodeId fc = net_find(n->q, OP_fully_connected, images_count(n->q, OP_fully_connected) - 1);
  const Quant *w = &graph_val(n->q, n->q->nodes[fc].in[1])->quant,
              *x = &graph_val(n->q, n->q->nodes[fc].in[0])->quant;
  const int64_t head = ADAPT_CLASSES * k + ADAPT_CLASSES;
  for (int64_t j = 0; j < head; j++) {
    const int64_t o = j < ADAPT_CLASSES * k ? j / k : j - ADAPT_CLASSES * k;
    const double scale = (double)w->scale[w->n > 1 ? o : 0];
    to->last[j] = g[j] * (float)(j < ADAPT_CLASSES * k ? scale / 65536 : scale * (double)x->scale[0] / 256);
  }
  int64_t from = 0, at = 0;
  g += head;
  for (uint32_t i = fc; i-- > 0;) {
    const Node *node = &n->q->nodes[i];
    if (!is_layer(node->op)) continue;
    const int64_t outs = outs_of(n->q, node),
                  weights = layers == DEVICE_ADAPT_LAST_K ? weights_of(n->q, node) : 0;
    const double scale = (double)graph_val(n->q, node->out[0])->quant.scale[0];
    const Quant *of = &graph_val(n->q, node->in[1])->quant;
    for (int64_t j = 0; j < weights; j++, at++)
      to->w[at] = *g++ * of->scale[of->n > 1 ? j / (weights / outs) : 0] / 65536;
    for (int64_t o = 0; o < outs; o++, from++) {
      if (gains) to->gain[from] = (float)((double)g[o] / MF_ADAPT_ONE);
      to->offset[from] = (float)((double)g[o + (gains ? outs : 0)] / MF_ADAPT_ONE * scale);
    }
    g += gains ? 2 * outs : outs;
  }
}

typedef struct Tolerance {
  double last, all, layer; /* least cosines */
} Tolerance;

static void near(const char *what, int image, const float *a, const float *b, int64_t n, double least) {
  double cosine, ratio;
  adapt_compare(a, b, n, &cosine, &ratio);
  ck_assert_msg(cosine > least && ratio > 0.8 && ratio < 1.25, "image %d, %s: cosine %.4f, ratio %.4f", image,
                what, cosine, ratio);
}

/* The worst layer's cosine of offsets; a layer that hardly moves is noise. */
static double worst_layer(const AdaptNet *n, const Gradients *got, const Gradients *want, int64_t channels) {
  double worst = 1, cosine, ratio, whole = 0;
  int64_t from = 0;
  bool last = true;
  for (int64_t i = 0; i < channels; i++) whole += (double)want->offset[i] * (double)want->offset[i];
  for (uint32_t k = n->f->n_nodes; k-- > 0;) {
    if (!is_layer(n->f->nodes[k].op)) continue;
    if (last) {
      last = false;
      continue;
    }
    const int64_t outs = outs_of(n->f, &n->f->nodes[k]);
    double part = 0;
    for (int64_t i = from; i < from + outs; i++) part += (double)want->offset[i] * (double)want->offset[i];
    adapt_compare(got->offset + from, want->offset + from, outs, &cosine, &ratio);
    if (part > 1e-3 * whole && cosine < worst) worst = cosine;
    from += outs;
  }
  return worst;
}

static void are_the_engines(AdaptNet *n, DeviceAdapt layers, Tolerance t) {
  const bool gains = layers == DEVICE_ADAPT_SCALE;
  AdaptSizes sizes;
  int count;
  const char *dir = adapt_emitted(n->q, "x86-64", "net", layers, 0, &sizes);
  int64_t weights;
  const int64_t channels = count_channels(n->q, &count, &weights);
  ck_assert_int_eq(sizes.biases, count);
  ck_assert_int_eq(sizes.layers, count);
  const NodeId fc = net_find(n->q, OP_fully_connected, images_count(n->q, OP_fully_connected) - 1);
  const int64_t k = graph_val(n->q, n->q->nodes[fc].in[1])->shape.d[1],
                head = ADAPT_CLASSES * k + ADAPT_CLASSES;
  const int64_t words = head + (gains ? 2 : 1) * channels + (layers == DEVICE_ADAPT_LAST_K ? weights : 0);
  Gradients got = gradients_new(head, channels, weights), want = gradients_new(head, channels, weights);
  float *all = moved(n, dir, LOOKED_AT, words, 1e-3f);
  for (int i = 0; i < LOOKED_AT; i++) {
    engine_gradient(n, i, &want);
    device_gradient(n, all + i * words, k, layers, &got);
    near("last layer", i, got.last, want.last, head, t.last);
    near("offsets", i, got.offset, want.offset, channels, t.all);
    if (gains) near("gains", i, got.gain, want.gain, channels, t.all);
    if (layers == DEVICE_ADAPT_LAST_K) near("weights", i, got.w, want.w, weights, t.all);
    const double worst = worst_layer(n, &got, &want, channels);
    ck_assert_msg(worst > t.layer, "image %d, worst layer: cosine %.4f", i, worst);
  }
  mem_free(all);
  gradients_free(&got);
  gradients_free(&want);
}

START_TEST(of_a_residual_net)
{
  AdaptNet n = adapt_net(7);
  are_the_engines(&n, DEVICE_ADAPT_BIAS, (Tolerance){0.97, 0.95, 0.8});
  are_the_engines(&n, DEVICE_ADAPT_SCALE, (Tolerance){0.97, 0.95, 0.8});
  are_the_engines(&n, DEVICE_ADAPT_LAST_K, (Tolerance){0.97, 0.95, 0.8});
  adapt_net_free(&n);
}
END_TEST

START_TEST(of_all_constructs)
{
  AdaptNet n = adapt_net_of(graph_of(adapt_constructs), 3);
  are_the_engines(&n, DEVICE_ADAPT_BIAS, (Tolerance){0.97, 0.95, 0.8});
  are_the_engines(&n, DEVICE_ADAPT_SCALE, (Tolerance){0.97, 0.95, 0.8});
  are_the_engines(&n, DEVICE_ADAPT_LAST_K, (Tolerance){0.97, 0.95, 0.8});
  adapt_net_free(&n);
}
END_TEST

/* Random nets of all that there is: emitted, or refused with the name of a kernel. */
START_TEST(of_random_nets)
{
  int learned = 0;
  for (uint64_t seed = 1; seed <= 12; seed++) {
    Graph *g = net_random_plain(seed);
    Dataset ds = images_random(g, ADAPT_IMAGES, 4, seed);
    Graph *q = images_pass(g, &ds, "bnfuse,fuse,fold,quantize{images=60,method=minmax}");
    AdaptSizes sizes = {0};
    char dir[600];
    snprintf(dir, sizeof dir, "%s/random%d", test_tmp_dir(), (int)seed);
    Diag *d = diag_new();
    const EmitOptions o = {.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_BIAS, .adapt_sizes = &sizes};
    if (emit_c(q, target_find("x86-64"), &o, d)) {
      learned++;
      ck_assert(sizes.beyond == 0 || strlen(sizes.ends) > 0);
    } else {
      ck_assert_msg(strstr(diag_text(d), "the way back ends at kernel"), "seed %d: %s", (int)seed,
                    diag_text(d));
    }
    diag_free(d);
    images_free(&ds);
    graph_free(q);
    graph_free(g);
  }
  ck_assert_int_gt(learned, 3);
}
END_TEST

/* -- blocks -- */

/* Sums of blocks against doubles: an error of half a unit for each addition, and one where the block is made coarser. */
START_TEST(blocks_add_up)
{
  enum { C = 5, ADDITIONS = 40 };
  int8_t m[C], e[1];
  const mf_grad g = {m, e, 1, C};
  double want[C] = {0}, largest = 0;
  uint32_t random = 1;
  mf_grad_clear(&g);
  for (int i = 0; i < ADDITIONS; i++) {
    int32_t acc[C];
    const int exponent = (int)(random >> 8) % 12 - 20;
    for (int c = 0; c < C; c++) {
      random = random * 1664525u + 1013904223u;
      acc[c] = (int32_t)(random >> 12) - (1 << 19);
      if (i % 2) acc[c] >>= 6;
    }
    for (int c = 0; c < C; c++) want[c] += (i % 3 ? 1 : c == i % C) * ldexp(acc[c], exponent);
    if (i % 3)
      mf_grad_add(&g, 0, acc, exponent);
    else
      mf_grad_add_one(&g, i % C, acc[i % C], exponent);
    for (int c = 0; c < C; c++) largest = fmax(largest, fabs(want[c]));
  }
  for (int c = 0; c < C; c++) {
    const double got = ldexp(m[c], e[0]);
    ck_assert_msg(fabs(got - want[c]) < ADDITIONS * ldexp(largest, -MF_GRAD_BITS), "element %d: %g for %g", c,
                  got, want[c]);
  }
}
END_TEST

START_TEST(blocks_have_limits)
{
  int8_t m[2], e[1];
  const mf_grad g = {m, e, 1, 2};
  int32_t acc[2] = {255, -255}; /* 127.5 of two */
  mf_grad_clear(&g);
  ck_assert_int_eq(e[0], MF_GRAD_ZERO);
  mf_grad_add(&g, 0, acc, 3);
  ck_assert(m[0] == 127 && m[1] == -127 && e[0] == 4);
  mf_grad_add_one(&g, 0, 1, 4);
  ck_assert(m[0] == 65 && m[1] == -64 && e[0] == 5); /* 63.5 and 0.5 rounded */
  mf_grad_clear(&g);
  mf_grad_add_one(&g, 1, -3, 0); /* fills its bits */
  ck_assert(m[0] == 0 && m[1] == -96 && e[0] == -5);
  acc[0] = 1, acc[1] = 0;
  mf_grad_put(&g, 0, acc, -200);
  ck_assert(m[0] == 0 && e[0] == MF_GRAD_ZERO);
  for (int32_t x = 0; x < 1 << 20; x = 2 * x + 1)
    ck_assert(mf_bits(x) == (x ? mf_bits(x >> 1) + 1 : 0) && mf_bits(x + 1) == mf_bits(x) + 1);
}
END_TEST

/* -- limits -- */

/* The arena of one layer or two: a gradient of 2 channels and its exponent, the mask. */
enum { DY = 0, MASK = 8 };

/* Codes at a limit of which the mask says that they have no gradient: a ReLU whose offset lifts it has one, a ReLU6 has none, since
 * they may have been at 6. */
START_TEST(a_mask_has_one_side)
{
  struct {
    mf_adapt_state s;
    int32_t words[2], work[8];
  } state;
  for (int lifts = 0; lifts < 2; lifts++) {
    const mf_adapt_affine affine = {.c = 2, .zero = -128, .lo = -128, .hi = 127, .lifts = lifts, .scale = 1};
    const mf_adapt_back b = {.kind = MF_BACK_CLIP,
                             .dy = {DY, 1, 2, 0},
                             .dx = {-1, 1, 2, 0},
                             .dx2 = {-1, 1, 2, 0},
                             .y = -1,
                             .bits = MASK,
                             .x = -1,
                             .affine = &affine};
    const mf_adapt_model m = {.words = 2, .most = 2, .work = 4};
    unsigned char a[16] = {64, 64, 0}; /* 64 * 2^0 in both channels; no bit of the mask is set */
    memset(&state, 0, sizeof state);
    state.s.rates.offset = 1.0f / 128;
    state.words[0] = 3 * MF_ADAPT_ONE;
    mf_adapt_back_layer(&b, &m, &state.s, a);
    ck_assert_int_eq(state.words[0], 3 * MF_ADAPT_ONE - lifts * MF_ADAPT_ONE / 2);
    ck_assert_int_eq(state.words[1], 0);
  }
}
END_TEST

/* Gradients that are almost nothing: exponents that a float does not have are 0, not an infinity. */
START_TEST(small_blocks_are_no_infinity)
{
  struct {
    mf_adapt_state s;
    int32_t words[4], work[8];
  } state;
  const float scale[2] = {1, 1};
  const mf_adapt_conv conv = {.g = {.in_h = 1,
                                    .in_w = 1,
                                    .in_c = 2,
                                    .out_h = 1,
                                    .out_w = 1,
                                    .out_c = 1,
                                    .k_h = 1,
                                    .k_w = 1,
                                    .stride_h = 1,
                                    .stride_w = 1,
                                    .dil_h = 1,
                                    .dil_w = 1},
                              .groups = 1};
  const mf_adapt_weights weights = {.conv = &conv, .w_scale = scale, .in_scale = 1};
  const int8_t x[2] = {100, -100};
  int8_t mantissa[2] = {100, 0}, e[1] = {-MF_GRAD_MOST};
  const mf_grad dy = {mantissa, e, 1, 1};
  for (int clip = 0; clip < 2; clip++) {
    int32_t acc[2];
    memset(&state, 0, sizeof state);
    state.s.rates = (mistify_rates){1, 1, 1, (float)clip};
    mf_adapt_step_weights(&weights, &state.s, &dy, x, acc);
    ck_assert(state.words[0] == 0 && state.words[1] == 0);
  }
  const mf_adapt_last last = {.k = 2, .n = 1, .w_scale = scale};
  const mf_adapt_model m = {.last = &last, .dx = {DY, 1, 2, 1}, .words = 3, .most = 2, .work = 3};
  static const float dl[] = {1.2e-30f, 2e-29f};
  for (int i = 0; i < 2; i++) {
    unsigned char a[16];
    memset(&state, 0, sizeof state);
    state.words[0] = 65536;
    mf_adapt_back_last(&m, &state.s, a, &dl[i]);
    ck_assert_int_eq((int8_t)a[2], i ? mf_adapt_exponent(dl[1]) - 6 : MF_GRAD_ZERO);
    ck_assert_int_eq((int8_t)a[1], 0);
  }
  ck_assert(mf_adapt_power(-127) == 0 && mf_adapt_power(-300) == 0 &&
            mf_adapt_power(300) == mf_adapt_power(127));
  ck_assert(mf_adapt_power(-126) == ldexpf(1, -126) && mf_adapt_power(127) == ldexpf(1, 127));
}
END_TEST

Suite *suite_adapt_back(void) {
  Suite *s = suite_create("adapt_back");
  TCase *t = tcase_create("adapt_back");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, blocks_add_up);
  tcase_add_test(t, blocks_have_limits);
  tcase_add_test(t, a_mask_has_one_side);
  tcase_add_test(t, small_blocks_are_no_infinity);
  tcase_add_test(t, of_a_residual_net);
  tcase_add_test(t, of_all_constructs);
  tcase_add_test(t, of_random_nets);
  suite_add_tcase(s, t);
  return s;
}
