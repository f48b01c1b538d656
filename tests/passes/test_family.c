/* Variants that share weights: channels ordered without changing what a graph computes, on every construct by which channels are
 * coupled; prefixes of weights; plans; int8 with the widest's codes; a tailoring run.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/family.h"
#include "passes/elastic.h"
#include "passes/order.h"
#include "passes/quant_weights.h"
#include "passes/tailor/tailor.h"
#include "passes/prefixes.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/passes/prune_nets.h"
#include "tests/passes/pruned.h"
#include "tests/support.h"
#include "tests/tailor/fixture.h"

Suite *suite_family(void);

/* ---- order */

/* A random permutation of each group that can be ordered. Returns how many groups are. */
static int random_places(const Channels *c, uint64_t seed, uint32_t *place) {
  Rng rng;
  int n = 0;
  rng_seed(&rng, seed, 3);
  for (uint32_t u = 0; u < c->n_units; u++) place[u] = u;
  for (uint32_t i = 0; i < c->n_groups; i++) {
    const ChanGroup *g = &c->groups[i];
    if (!order_can(c, i)) continue;
    rng_shuffle(&rng, place + g->first, g->n);
    n++;
  }
  return n;
}

START_TEST(order_changes_nothing)
{
  int ordered = 0, groups = 0;
  for (uint64_t seed = 0; seed < 3 * CONSTRUCTS; seed++) {
    Graph *g = prune_net(seed);
    Diag *d = diag_new();
    Channels c;
    ck_assert_msg(channels_find(g, NULL, &c, d), "%s", diag_text(d));
    uint32_t *place = mem_array((size_t)c.n_units + 1, sizeof *place);
    ordered += random_places(&c, seed, place);
    groups += (int)c.n_groups;
    Graph *other = order_apply(&c, place, d);
    ck_assert_msg(other && graph_verify(other, d), "net %d: %s", (int)seed, diag_text(d));
    const double diff = pruned_difference(other, g, seed);
    ck_assert_msg(diff < 2e-4, "net %d (%s): ordered it differs by %g", (int)seed,
                  construct_info[seed % CONSTRUCTS].name, diff);
    graph_free(other);
    mem_free(place);
    channels_free(&c);
    diag_free(d);
    graph_free(g);
  }
  ck_assert_msg(ordered > groups * 8 / 10, "only %d of %d groups can be ordered", ordered, groups);
  printf("%d of %d groups of channels in another order\n", ordered, groups);
}
END_TEST

START_TEST(order_refuses)
{
  Graph *g = net_residual(1, 3);
  Diag *d = diag_new();
  Channels c;
  ck_assert(channels_find(g, NULL, &c, d) && c.n_groups > 1);
  uint32_t *place = mem_array((size_t)c.n_units, sizeof *place);
  for (uint32_t u = 0; u < c.n_units; u++) place[u] = u;
  place[0] = c.n_units - 1, place[c.n_units - 1] = 0; /* of another group */
  ck_assert(!order_apply(&c, place, d));
  place[0] = 1, place[c.n_units - 1] = c.n_units - 1; /* twice */
  ck_assert(!order_apply(&c, place, d));
  mem_free(place);
  channels_free(&c);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* Any number of first channels of each group that allows it: all weights are prefixes. */
START_TEST(prefixes_of_weights)
{
  int slices = 0, free_groups = 0;
  for (uint64_t seed = 0; seed < 3 * CONSTRUCTS; seed++) {
    Graph *g = prune_net(seed);
    Diag *d = diag_new();
    Channels c;
    PrunePlan p;
    Family f = {0};
    Rng rng;
    rng_seed(&rng, seed, 4);
    ck_assert_msg(channels_find(g, NULL, &c, d), "%s", diag_text(d));
    prune_plan_all(&c, &p);
    for (uint32_t i = 0; i < c.n_groups; i++) {
      const ChanGroup *x = &c.groups[i];
      if (!order_is_prefix(&c, i)) continue;
      p.kept[i] = x->least + rng_below(&rng, x->n - x->least + 1);
      memset(p.keep + x->first + p.kept[i], 0, x->n - p.kept[i]);
      free_groups++;
    }
    Graph *small = prune_apply(&c, &p, d);
    ck_assert_msg(small != NULL, "net %d: %s", (int)seed, diag_text(d));
    if (!g->n_states) {
      ck_assert_msg(family_check((const Graph *const[]){g, small}, 2, &f, d), "net %d (%s): %s", (int)seed,
                    construct_info[seed % CONSTRUCTS].name, diag_text(d));
      for (NodeId k = 0; k < g->n_nodes; k++) {
        const OpKind op = g->nodes[k].op;
        if (op != OP_conv && op != OP_depthwise_conv && op != OP_fully_connected) continue;
        if (!val_is_const(g, g->nodes[k].in[1])) continue;
        ck_assert_msg(family_slice(&f, 1, k, 1)->shared, "net %d (%s): weights of node %u are no prefix",
                      (int)seed, construct_info[seed % CONSTRUCTS].name, k);
        slices++;
      }
      family_free(&f);
    }
    graph_free(small);
    prune_plan_free(&p);
    channels_free(&c);
    diag_free(d);
    graph_free(g);
  }
  ck_assert_int_gt(free_groups, 50);
  printf("%d groups cut to prefixes, %d weights found in the wider one's\n", free_groups, slices);
}
END_TEST

/* ---- flattened images */

START_TEST(unflattened)
{
  int made = 0;
  for (uint64_t seed = 0; seed < 3 * CONSTRUCTS; seed++) {
    Graph *g = prune_net(seed);
    Diag *d = diag_new();
    Graph *other = order_unflatten(g, d);
    ck_assert_msg(other && graph_verify(other, d), "net %d: %s", (int)seed, diag_text(d));
    const double diff = pruned_difference(other, g, seed);
    ck_assert_msg(diff < 2e-4, "net %d (%s): unflattened it differs by %g", (int)seed,
                  construct_info[seed % CONSTRUCTS].name, diff);
    made += images_count(g, OP_fully_connected) - images_count(other, OP_fully_connected);
    graph_free(other);
    diag_free(d);
    graph_free(g);
  }
  ck_assert_int_gt(made, 3);
  printf("%d layers on flattened images as Conv\n", made);
}
END_TEST

/* BatchNormalization and activation behind it are fused as before, and its input's channels are free. */
START_TEST(unflattened_fuses)
{
  static const char net[] =
      "%1 = input : f32[N,4,4,2]\n%2 = const : f32[8,3,3,2] {~}\n%3 = Conv(%1, %2) {pads=[1,1,1,1], "
      "act=relu}\n"
      "%4 = Reshape(%3) {shape=[-1,128]}\n%5 = const : f32[6,128] {~}\n%6 = FullyConnected(%4, %5)\n"
      "%g = const : f32[6] {?}\n%b = const : f32[6] {?}\n%m = const : f32[6] {?}\n%v = const : f32[6] {?}\n"
      "%7 = BatchNormalization(%6, %g, %b, %m, %v) {axis=1}\n%8 = Relu(%7)\n%9 = const : f32[3,6] {~}\n"
      "%z = FullyConnected(%8, %9)\noutput %z\n";
  Graph *g = net_parse(net, 5);
  Diag *d = diag_new();
  Channels c, before;
  Graph *other = order_unflatten(g, d), *fused = other ? images_pass(other, NULL, "bnfuse,fuse") : NULL;
  ck_assert_msg(fused != NULL, "%s", diag_text(d));
  ck_assert_int_eq(images_count(fused, OP_conv), 2);
  ck_assert_int_eq(images_count(fused, OP_batch_normalization) + images_count(fused, OP_relu), 0);
  ck_assert(pruned_difference(other, g, 1) < 1e-5 && pruned_difference(fused, g, 1) < 1e-4);
  ck_assert(channels_find(other, NULL, &c, d) && c.n_groups == 2 && order_is_prefix(&c, 0));
  ck_assert(channels_find(g, NULL, &before, d) && before.n_groups == 2 && !order_is_prefix(&before, 0));
  channels_free(&c);
  channels_free(&before);
  graph_free(fused);
  graph_free(other);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* ---- plans */

static void plan_widths_by(const Graph *g, const Dataset *ds, const char *by, int n, double share,
                           Prefixes *w) {
  Diag *d = diag_new();
  Arena *a = arena_new();
  PrefixesOptions o;
  char params[120];
  snprintf(params, sizeof params, "n=%d,share=%.6g,by=%s,images=64,trials=16", n, share, by);
  ck_assert_msg(prefixes_options_parse(params, a, &o, d), "%s", diag_text(d));
  const PassCtx ctx = {.params = "", .data = ds};
  ck_assert_msg(prefixes_plan(g, &o, &ctx, w, d), "%s", diag_text(d));
  arena_free(a);
  diag_free(d);
}

static void plan_widths(const Graph *g, const Dataset *ds, int n, double share, Prefixes *w) {
  plan_widths_by(g, ds, "taylor", n, share, w);
}

static void check_widths(const Graph *g, const Prefixes *w, double share, uint64_t seed) {
  Diag *d = diag_new();
  Channels c;
  const double diff = pruned_difference(w->graph, g, seed), all = (double)graph_macs(g);
  ck_assert_msg(diff < 2e-4, "ordered for its widths it differs by %g", diff);
  ck_assert(channels_find(w->graph, NULL, &c, d));
  for (int k = 0; k < w->n; k++) {
    const PrunePlan *p = &w->plans[k];
    Graph *cut = prune_apply(&c, p, d);
    ck_assert_msg(cut != NULL, "%s", diag_text(d));
    ck_assert_double_le((double)graph_macs(cut), all * pow(share, k / (w->n - 1.0)));
    if (k == 0) ck_assert_int_eq(graph_macs(cut), graph_macs(g));
    for (uint32_t u = 0; u < p->n_units; u++) {
      if (k > 0) ck_assert(w->plans[k - 1].keep[u] || !p->keep[u]); /* inside the one before */
      if (u > 0 && c.group_of[u] == c.group_of[u - 1]) ck_assert(p->keep[u - 1] || !p->keep[u]);
    }
    graph_free(cut);
  }
  channels_free(&c);
  diag_free(d);
}

START_TEST(plans_nest)
{
  for (uint64_t seed = 1; seed < 4; seed++) {
    Graph *g = net_residual(2, seed);
    Dataset ds = images_random(g, 64, 5, seed);
    Prefixes w;
    plan_widths(g, &ds, 4, 0.5, &w);
    ck_assert_int_eq(w.n, 4);
    check_widths(g, &w, 0.5, seed);
    prefixes_free(&w);
    plan_widths_by(g, &ds, "reconstruction", 4, 0.5, &w);
    check_widths(g, &w, 0.5, seed);
    prefixes_free(&w);
    images_free(&ds);
    graph_free(g);
  }
}
END_TEST

START_TEST(too_narrow)
{
  Graph *g = net_residual(1, 5);
  Dataset ds = images_random(g, 64, 5, 5);
  Diag *d = diag_new();
  Arena *a = arena_new();
  static const char *const by[] = {"by=taylor", "by=reconstruction,trials=16"};
  for (int i = 0; i < 2; i++) {
    PrefixesOptions o;
    Prefixes w;
    diag_clear(d);
    ck_assert(prefixes_options_parse(arena_printf(a, "n=3,share=0.001,images=64,%s", by[i]), a, &o, d));
    ck_assert(!prefixes_plan(g, &o, &(PassCtx){.params = "", .data = &ds}, &w, d));
    ck_assert_msg(strstr(diag_text(d), "no variant of") && strstr(diag_text(d), "a larger `least`"), "%s",
                  diag_text(d));
    prefixes_free(&w);
  }
  arena_free(a);
  diag_free(d);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* ---- int8 */

/* BatchNormalization of a member's own: factors of 0.5 .. 2 on each channel. */
static Graph *with_own_norms(const Graph *g, uint64_t seed) {
  Graph *out = graph_clone(g);
  Rng rng;
  rng_seed(&rng, seed, 5);
  for (NodeId k = 0; k < out->n_nodes; k++) {
    if (out->nodes[k].op != OP_batch_normalization) continue;
    for (uint32_t i = 1; i < 5; i += 3) {
      Value *v = graph_val(out, out->nodes[k].in[i]);
      const int64_t n = shape_count(&v->shape);
      float *x = mem_array((size_t)n, sizeof *x);
      for (int64_t j = 0; j < n; j++)
        x[j] = ((const float *)blob_data(v->blob))[j] * exp2f(2 * rng_uniform(&rng) - 1);
      blob_unref(v->blob);
      v->blob = blob_new(x, (size_t)n * sizeof *x);
      mem_free(x);
    }
  }
  return out;
}

static Graph *finished(const Graph *g, const Graph *like, const Dataset *ds) {
  Diag *d = diag_new();
  const PassCtx ctx = {.params = "", .data = ds, .like = like};
  Graph *q = pipeline_run(g, "bnfuse,fuse,fold,quantize{io=float,images=64}", &ctx,
                          &(PipelineOptions){.verify_each = true}, d);
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  diag_free(d);
  return q;
}

static Graph *cut_width(const Prefixes *w, int k) {
  Diag *d = diag_new();
  Channels c;
  ck_assert(channels_find(w->graph, NULL, &c, d));
  Graph *g = prune_apply(&c, &w->plans[k], d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  channels_free(&c);
  diag_free(d);
  return g;
}

START_TEST(shared_codes)
{
  for (uint64_t seed = 1; seed < 4; seed++) {
    Graph *g = net_residual(1, seed), *q[3] = {0};
    Dataset ds = images_random(g, 64, 5, seed);
    Diag *d = diag_new();
    Prefixes w;
    Family f = {0};
    double worst = 0, alone = 0;
    plan_widths(g, &ds, 3, 0.5, &w);
    for (int k = 0; k < 3; k++) {
      Graph *cut = cut_width(&w, k), *own = k ? with_own_norms(cut, seed) : graph_clone(cut);
      q[k] = finished(own, k ? q[0] : NULL, &ds);
      Graph *free_codes = finished(own, NULL, &ds);
      if (k) {
        worst = fmax(worst, images_difference(own, q[k], &ds, 32));
        alone = fmax(alone, images_difference(own, free_codes, &ds, 32));
      }
      graph_free(free_codes);
      graph_free(own);
      graph_free(cut);
    }
    ck_assert_msg(family_check((const Graph *const *)q, 3, &f, d), "%s", diag_text(d));
    ck_assert_msg(worst < 2 * alone + 0.02, "net %d: %g with the widest's codes, %g with its own", (int)seed,
                  worst, alone);
    printf("net %d: int8 differs from float by %.4f with the widest's codes, by %.4f with codes of its own\n",
           (int)seed, worst, alone);
    family_free(&f);
    for (int k = 0; k < 3; k++) graph_free(q[k]);
    prefixes_free(&w);
    diag_free(d);
    images_free(&ds);
    graph_free(g);
  }
}
END_TEST

/* Other numbers in a constant. */
static void set_const(Value *v, const float *x) {
  blob_unref(v->blob);
  v->blob = blob_new(x, (size_t)shape_count(&v->shape) * sizeof *x);
}

/* The first n channels of the first BatchNormalization with the other sign; or those channels their bias alone. */
static Graph *with_turned(const Graph *from, int n, bool bias_alone) {
  enum { WIDTH = 64 };
  Graph *g = graph_clone(from);
  const Node *bn = &g->nodes[net_find(g, OP_batch_normalization, 0)];
  const double eps = (double)CATTRS(bn, batch_normalization)->epsilon;
  float v[5][WIDTH];
  for (int k = 1; k < 5; k++) {
    const Value *c = graph_val(g, bn->in[k]);
    ck_assert(shape_count(&c->shape) <= WIDTH);
    memcpy(v[k], blob_data(c->blob), blob_size(c->blob));
  }
  for (int i = 0; i < n; i++) {
    v[1][i] = -v[1][i];
    if (!bias_alone) continue;
    v[2][i] -= (float)((double)v[1][i] * (double)v[3][i] / sqrt((double)v[4][i] + eps));
    v[1][i] = 0;
  }
  set_const(graph_val(g, bn->in[1]), v[1]);
  set_const(graph_val(g, bn->in[2]), v[2]);
  return g;
}

/* Weights that are others are refused. */
START_TEST(other_weights)
{
  Graph *g = net_residual(1, 4), *other = net_residual(1, 9);
  Dataset ds = images_random(g, 64, 5, 4);
  Diag *d = diag_new();
  Graph *q = finished(g, NULL, &ds);
  const PassCtx ctx = {.params = "", .data = &ds, .like = q};
  ck_assert(!pipeline_run(other, "bnfuse,fuse,fold,quantize{io=float,images=64}", &ctx, NULL, d));
  ck_assert_msg(strstr(diag_text(d), "are not the widest variant's") != NULL, "%s", diag_text(d));
  diag_clear(d);
  Graph *all = with_turned(g, 8, false);
  ck_assert(!pipeline_run(all, "bnfuse,fuse,fold,quantize{io=float,images=64}", &ctx, NULL, d));
  ck_assert_msg(strstr(diag_text(d), "all have another sign") != NULL, "%s", diag_text(d));
  graph_free(all);
  graph_free(q);
  graph_free(other);
  graph_free(g);
  diag_free(d);
  images_free(&ds);
}
END_TEST

/* A channel whose sign is another one's keeps the widest's codes and gives its bias, which is told, however many there are. */
START_TEST(turned_channels)
{
  Graph *g = net_residual(1, 4);
  Dataset ds = images_random(g, 64, 5, 4);
  Graph *q = finished(g, NULL, &ds);
  /* Corrected biases would be the means of what the channels were. */
  const char *plain = "bnfuse,fuse,fold,quantize{io=float,images=64,bias=plain}";
  for (int n = 1; n <= 5; n += 4) {
    Graph *turned = with_turned(g, n, false), *flat = with_turned(g, n, true);
    Diag *d = diag_new();
    const PassCtx ctx = {.params = "", .data = &ds, .like = q};
    Graph *r = pipeline_run(turned, plain, &ctx, NULL, d);
    ck_assert_msg(r && strstr(diag_text(d), n == 1 ? "1 of 8 channels" : "5 of 8 channels"), "%s",
                  diag_text(d));
    Graph *own = pipeline_run(flat, plain, &(PassCtx){.params = "", .data = &ds}, NULL, d);
    Family f = {0};
    ck_assert(own != NULL);
    ck_assert_msg(family_check((const Graph *const[]){q, r}, 2, &f, d), "%s", diag_text(d));
    const double as_bias = images_difference(flat, r, &ds, 32), alone = images_difference(flat, own, &ds, 32),
                 as_was = images_difference(turned, r, &ds, 32);
    printf("%d turned: int8 differs by %.4f from its bias alone (%.4f with codes of its own), by %.4f from "
           "what it was\n",
           n, as_bias, alone, as_was);
    ck_assert_msg(as_bias < 2 * alone + 0.02, "%d turned: %g from its bias alone, %g with codes of its own",
                  n, as_bias, alone);
    ck_assert(as_was > 2 * as_bias);
    family_free(&f);
    graph_free(r);
    graph_free(own);
    graph_free(flat);
    graph_free(turned);
    diag_free(d);
  }
  graph_free(q);
  graph_free(g);
  images_free(&ds);
}
END_TEST

/* Codes that are fixed have no other scale: where a bias wants one, that is told. */
START_TEST(a_bias_beyond_fixed_codes)
{
  const float w[2] = {1, -0.5f}, small[1] = {3}, large[1] = {1e8f};
  float scale[1];
  int8_t codes[2] = {100, -50}, q[2];
  int32_t b[1];
  const Codes c = {.most = 127, .scale = (float[]){0.01f}, .q = codes, .fixed = true};
  const WeightView v = {.w = w, .outs = 1, .each = 2, .step_out = 2, .step_in = 1};
  ck_assert(codes_put(&c, &v, true, small, 0.02f, q, scale, b) && q[0] == 100 && scale[0] == 0.01f);
  ck_assert(!codes_put(&c, &v, true, large, 0.02f, q, scale, b));
}
END_TEST

/* ---- a run */

static int count_of(const char *text, const char *what) {
  int n = 0;
  for (; (text = strstr(text, what)) != NULL; text += strlen(what)) n++;
  return n;
}

START_TEST(tailored_family)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.target[0].widths = 3, f.target[0].narrowest = 0.4;
  f.target[0].limits.flash += 65536; /* room is kept for variants' code and parameters */
  fixture_run(&f, &res);
  const TailorOutcome *o = &res.v[0];
  ck_assert_msg(o->met && o->delivered, "%s", o->why);
  ck_assert_int_eq(o->n_widths, 3);
  ck_assert_int_eq(res.v[1].n_widths, 0);
  for (int k = 0; k < 3; k++) {
    const TailorWidth *x = &o->width[k];
    ck_assert_msg((double)x->cost.macs <= (double)o->cost.macs * pow(0.4, k / 2.0), "variant %d: %lld MACs",
                  k, (long long)x->cost.macs);
    ck_assert_msg(x->val_final > 0.4, "variant %d: %g on a task that is easy", k, x->val_final);
    ck_assert_uint_eq(x->emitted.n, 128);
  }
  ck_assert(hash_equal(o->width[0].final.hash, o->final.hash));
  tailor_result_free(&res);
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  f.target[0].widths = 2;
  fixture_run(&f, &res);
  fixture_expect(&f, "another number of variants",
                 " widths elastic cut finish finish_like score deploy proof test ");
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* A floor of the narrower ones that they miss: as long again for all, and then what was missed is said. */
START_TEST(floors_of_variants)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.target[0].widths = 3, f.target[0].narrowest = 0.4, f.target[0].width_min = 1.01;
  f.target[0].limits.flash += 65536;
  f.n = 1;
  fixture_run(&f, &res);
  const TailorOutcome *o = &res.v[0];
  ck_assert(o->delivered && !o->met && o->val_final >= o->floor);
  ck_assert_msg(strstr(o->why, "variant 1: accuracy on validation") && strstr(o->why, "variant 2: accuracy"),
                "%s", o->why);
  ck_assert_msg(!strstr(o->why, "variant 0"), "%s", o->why);
  ck_assert(o->width[1].floor == 1.01 && o->width[1].val_float > 0.4 && o->width[0].val_float < 0);
  ck_assert_msg(strstr(sb_str(&f.said), "a tail for all, of "), "%s", sb_str(&f.said));
  ck_assert_int_eq(count_of(sb_str(&f.ran), ":elastic"), 2);
  for (int k = 0; k < 3; k++)
    ck_assert_msg(o->width[k].val_final > 0.4, "variant %d: %g", k, o->width[k].val_final);
  tailor_result_free(&res);
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  f.target[0].width_min = 0.2; /* within reach: no tail, and what was trained stands */
  fixture_run(&f, &res);
  ck_assert_msg(res.v[0].met, "%s", res.v[0].why);
  ck_assert_int_eq(count_of(sb_str(&f.ran), ":elastic"), 0);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

Suite *suite_family(void) {
  Suite *s = suite_create("family");
  TCase *tc = tcase_create("order");
  tcase_add_test(tc, order_changes_nothing);
  tcase_add_test(tc, order_refuses);
  tcase_add_test(tc, prefixes_of_weights);
  tcase_add_test(tc, unflattened);
  tcase_add_test(tc, unflattened_fuses);
  tcase_set_timeout(tc, 120);
  suite_add_tcase(s, tc);
  tc = tcase_create("widths");
  tcase_add_test(tc, plans_nest);
  tcase_add_test(tc, too_narrow);
  tcase_add_test(tc, shared_codes);
  tcase_add_test(tc, other_weights);
  tcase_add_test(tc, turned_channels);
  tcase_add_test(tc, a_bias_beyond_fixed_codes);
  tcase_add_test(tc, tailored_family);
  tcase_add_test(tc, floors_of_variants);
  tcase_set_timeout(tc, 120);
  suite_add_tcase(s, tc);
  return s;
}
