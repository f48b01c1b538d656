/* Tailoring on a small residual net and made data, with a device of the test's own: limits are met, targets share, a
 * second run repeats nothing, and an edit of anything repeats exactly the kinds of steps that depend on it. More than 800
 * lines, since all tests share the device and the job.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/fingerprint.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/channels.h"
#include "passes/pass.h"
#include "passes/tailor/measure.h"
#include "passes/tailor/tailor.h"
#include "tests/passes/nets.h"
#include "tests/support.h"
#include "tests/tailor/fixture.h"

Suite *suite_tailor(void);

START_TEST(test_limits_and_sharing)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  fixture_run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert_msg(o->cost.macs <= o->target->limits.macs, "%s: %lld MACs", o->target->name,
                  (long long)o->cost.macs);
    ck_assert_uint_eq(o->proof.tailored.n, 128);
    ck_assert_msg(o->val_final > 0.5, "%s: accuracy %g on a task that is easy", o->target->name,
                  o->val_final);
  }
  ck_assert_str_eq(res.v[0].start, "");
  ck_assert_str_eq(res.v[1].start, "loose");
  tailor_result_free(&res);
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0 && f.steps > 10, "a second run repeated%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* Weights of 4 bits where they are allowed and 8 do not fit: nothing is pruned. */
START_TEST(test_int4)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.int4 = true;
  for (int i = 0; i < TARGETS; i++) f.target[i].limits.macs = f.target[i].limits.cycles = 0;
  f.target[1].limits.flash = f.target[1].limits.flash * 7 / 10;
  fixture_run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert_int_eq(o->int4, i == 1);
    ck_assert_int_eq(o->cost.macs, graph_macs(f.model));
    ck_assert_ptr_null(o->start);
  }
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* The model with Softmax behind it; int8: by its kernels. */
static Graph *as_form(const Fixture *f, const Graph *g, bool softmax, bool int8, TailorData *data) {
  Diag *d = diag_new();
  Graph *out = graph_clone(g);
  if (softmax) {
    const ValId last = out->outputs[0], y = graph_node1(out, OP_softmax, NULL, last, "shares", NULL, d);
    out->outputs[0] = y;
  }
  const Dataset *ds = NULL;
  ck_assert_msg(tailor_data(data, &ds, d), "%s", diag_text(d));
  PassCtx ctx = {.params = "", .data = ds, .seed = f->seed};
  Graph *done = pipeline_run(out, int8 ? "bnfuse,fuse,fold,quantize{images=64}" : "fold", &ctx, NULL, d);
  ck_assert_msg(done != NULL, "%s", diag_text(d));
  graph_free(out);
  diag_free(d);
  return done;
}

/* Divergence is one of outputs' shares, whether Softmax is in the graphs or not, and whether they are computed on codes. */
START_TEST(test_divergence_of_shares)
{
  Fixture f;
  fixture_open(&f);
  TailorData data = {.spec = &f.spec};
  TailorStepEnv env = {.data = &data};
  Graph *other = net_residual(1, 8);
  double got[2][2] = {{0}};
  for (int k = 0; k < 4; k++) {
    Graph *g = as_form(&f, other, k & 1, k & 2, &data),
          *reference = as_form(&f, f.model, k & 1, false, &data);
    Artifact in[3] = {artifact_from_graph(g), artifact_from_graph(reference),
                      artifact_from_hash(ART_DATA, f.data_identity)};
    Artifact m[STEP_MAX_OUT] = {0};
    int n = 0;
    const StepCall call = {.in = in, .n_in = 3, .params = "", .env = &env};
    ck_assert_msg(step_diverge.run(&call, m, &n, f.d), "%s", diag_text(f.d));
    got[k >> 1][k & 1] = measure_get(&m[0], "divergence", 0);
    artifact_unref(&m[0]);
    for (int i = 0; i < 2; i++) artifact_unref(&in[i]);
    graph_free(g);
    graph_free(reference);
  }
  ck_assert_msg(got[0][0] > 0.1, "%g: too alike to tell", got[0][0]);
  ck_assert_msg(fabs(got[0][1] - got[0][0]) < 1e-4 * got[0][0], "float: %g, with Softmax %g", got[0][0],
                got[0][1]);
  for (int s = 0; s < 2; s++)
    ck_assert_msg(fabs(got[1][s] - got[0][0]) < 0.1 * got[0][0], "int8, Softmax %d: %g, float %g", s,
                  got[1][s], got[0][0]);
  tailor_data_close(&data);
  graph_free(other);
  fixture_close(&f);
}
END_TEST

/* Of two ways to int8 the one that is nearer to float is delivered, whichever it is. */
START_TEST(test_other_way)
{
  static const char good[] = "bnfuse,fuse,fold,quantize{images=64}",
                    bad[] = "bnfuse,fuse,fold,quantize{images=1,method=percentile,percentile=51}";
  static const char *const ways[][2] = {{good, NULL}, {good, bad}, {bad, good}};
  Hash final[TARGETS];
  Fixture f;
  fixture_open(&f);
  for (int k = 0; k < 3; k++) {
    TailorResult res;
    f.int8 = ways[k][0], f.other = ways[k][1];
    fixture_run(&f, &res);
    if (k == 1) fixture_expect(&f, "another way", " finish diverge ");
    for (int i = 0; i < TARGETS; i++) {
      if (k == 0) final[i] = res.v[i].final.hash;
      ck_assert_str_eq(res.v[i].finish, good);
      ck_assert(hash_equal(res.v[i].final.hash, final[i]));
    }
    tailor_result_free(&res);
  }
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* By an error table: one for both targets, layers solved anew where training begins with the original. */
START_TEST(test_by_table)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.prune = "by=reconstruction,least=2,images=128";
  fixture_run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert(o->val_final > 0.5);
  }
  ck_assert_str_eq(res.v[1].start, "loose");
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:table") && strstr(sb_str(&f.ran), " loose:rebuild"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_msg(!strstr(sb_str(&f.ran), " tight:rebuild"), "ran:%s", sb_str(&f.ran));
  tailor_result_free(&res);
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0 && f.steps > 10, "a second run repeated%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* Layers that stay whole do, through plans, pruning, warm starts. */
START_TEST(test_keep)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  NodeId first = net_find(f.model, OP_conv, 0);
  f.keep = node_label(f.model, &f.model->nodes[first]);
  fixture_run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(res.v[i].met, "%s: %s", res.v[i].target->name, res.v[i].why);
    Graph *g = artifact_graph(&res.v[i].final, f.d);
    ck_assert_msg(g != NULL, "%s", diag_text(f.d));
    const Node *conv = &g->nodes[net_find(g, OP_conv, 0)];
    ck_assert_int_eq(graph_val(g, conv->in[1])->shape.d[0], 8);
    graph_free(g);
  }
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* All students share the teacher's bank, which is made once. */
START_TEST(test_bank)
{
  Fixture f;
  fixture_open(&f);
  f.views = 2;
  fixture_run_and_drop(&f);
  const char *made = strstr(sb_str(&f.ran), " teacher:bank");
  ck_assert_msg(made && !strstr(made + strlen(" teacher:bank"), ":bank"), "ran%s", sb_str(&f.ran));
  ck_assert_msg(strstr(made, " loose:retrain") && strstr(made, " tight:retrain"), "ran%s", sb_str(&f.ran));
  f.target[1].limits.macs -= 1; /* another student, later */
  fixture_run_and_drop(&f);
  ck_assert_msg(!strstr(sb_str(&f.ran), ":bank"), "ran again%s", sb_str(&f.ran));
  f.views = 3;
  fixture_run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.ran), " teacher:bank loose:retrain"), "ran%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* A larger teacher beside the original: prepared once, with a bank of its own. */
START_TEST(test_teachers)
{
  Fixture f;
  TailorResult alone, both;
  fixture_open(&f);
  f.views = 2;
  fixture_run(&f, &alone);
  Graph *larger = net_residual(2, 9);
  f.teacher = larger;
  fixture_run(&f, &both);
  fixture_expect(&f, "another teacher", " prepare bank retrain finish score deploy test proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), " teacher:prepare teacher:bank loose:retrain"), "ran%s",
                sb_str(&f.ran));
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(both.v[i].met && both.v[i].val_final > 0.5, "%s", both.v[i].why);
    ck_assert(!hash_equal(alone.v[i].final.hash, both.v[i].final.hash));
  }
  tailor_result_free(&both);
  f.views = 0; /* nobody is followed without a share of the loss */
  fixture_run_and_drop(&f);
  ck_assert_msg(!strstr(sb_str(&f.ran), ":bank"), "ran%s", sb_str(&f.ran));
  tailor_result_free(&alone);
  graph_free(larger);
  fixture_close(&f);
}
END_TEST

/* A model that was folded before it came here is pruned and retrained with BatchNormalization; what is delivered has none,
 * and the original is measured as it is. */
START_TEST(test_folded_model)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  PassCtx ctx = {.params = ""};
  Graph *folded = pipeline_run(f.model, "bnfuse,fuse", &ctx, NULL, f.d);
  graph_free(f.model);
  f.model = folded;
  fixture_run(&f, &res);
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:insert shared:importance"), "ran%s", sb_str(&f.ran));
  ck_assert_int_eq(res.params, graph_params(folded));
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(res.v[i].met, "%s", res.v[i].why ? res.v[i].why : "");
    Graph *g = artifact_graph(&res.v[i].final, f.d);
    ck_assert(g && net_find(g, OP_batch_normalization, 0) == NO_NODE);
    ck_assert_int_le(graph_macs(g), f.target[i].limits.macs);
    graph_free(g);
  }
  tailor_result_free(&res);
  f.target[0].limits = f.target[1].limits = (TailorLimits){0};
  fixture_run_and_drop(&f); /* nothing to prune, nothing put in */
  ck_assert_msg(!strstr(sb_str(&f.ran), ":insert"), "ran%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

START_TEST(test_unreachable)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.target[1].limits = (TailorLimits){.flash = 10};
  fixture_run(&f, &res);
  ck_assert(res.v[0].met && res.v[0].delivered);
  ck_assert(!res.v[1].met && !res.v[1].delivered);
  ck_assert_msg(strstr(res.v[1].why, "flash") && strstr(res.v[1].why, "smallest that can be had"), "%s",
                res.v[1].why);
  tailor_result_free(&res);

  f.target[1].limits = (TailorLimits){.min_accuracy = 1.01};
  fixture_run(&f, &res);
  ck_assert(!res.v[1].met && res.v[1].delivered);
  ck_assert_msg(strstr(res.v[1].why, "floor 101.00 %") != NULL, "%s", res.v[1].why);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

static void expect_said(const Fixture *f, const char *what) {
  const char *said = sb_str(&f->said);
  ck_assert_msg(strstr(said, what) != NULL, "want \"%s\" in the log, which ends\n%s", what,
                said + (f->said.len > 3000 ? f->said.len - 3000 : 0));
}

/* A target that widths alone do not serve gets another structure; what the model does not allow is said. */
START_TEST(test_structures)
{
  static const TailorVariant v[] = {{"half", "resolution{share=0.5}"},
                                    {"whole", "resolution{size=8}"},
                                    {"twice half", "resolution{size=4}"},
                                    {"shallow", "depth{blocks=9}"}};
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.variants = v, f.n_variants = 4;
  f.prune = "by=reconstruction,least=2,min=0.8,images=128";
  f.target[0].limits.macs = graph_macs(f.model) * 8 / 10;
  fixture_run(&f, &res);
  ck_assert_msg(res.v[0].met && res.v[1].met, "%s; %s", res.v[0].why, res.v[1].why);
  ck_assert_str_eq(res.v[1].variant, "half");
  ck_assert_msg(res.v[1].val_final > 0.5, "accuracy %g", res.v[1].val_final);
  ck_assert_int_le(res.v[1].cost.macs, f.target[1].limits.macs);
  Graph *g = artifact_graph(&res.v[1].final, f.d);
  ck_assert_int_eq(graph_val(g, g->inputs[0])->shape.d[1], SIDE / 2);
  graph_free(g);
  expect_said(&f, "whole: as the original");
  expect_said(&f, "twice half: as half");
  expect_said(&f, "shallow: not for this model: depth: 9 blocks to drop, but there are");
  expect_said(&f, "half: retrained for 128 images (25 % of a retraining) before widths are found");
  expect_said(&f, "tight: half: taken, the nearest to the original of 1");
  tailor_result_free(&res);
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  fixture_edit_source(&f, "passes/resolution.c");
  fixture_run_and_drop(&f);
  fixture_expect(&f, "passes/resolution.c", " vary ");
  fixture_close(&f);
}
END_TEST

/* Candidates that are close are retrained shortly; of two targets the second finds the variants made. */
START_TEST(test_close_candidates)
{
  static const TailorVariant v[] = {{"half", "resolution{share=0.5}"}, {"thin", "lowrank{energy=0.9}"}};
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.variants = v, f.n_variants = 2, f.close = 1e9;
  fixture_run(&f, &res);
  for (int i = 0; i < TARGETS; i++)
    ck_assert_msg(res.v[i].met && res.v[i].val_final > 0.5, "%g %s", res.v[i].val_final, res.v[i].why);
  expect_said(&f, "tight: 3 candidates are close: each is retrained for 128 images (25 % of a retraining)");
  expect_said(&f, "tight: widths alone: accuracy on validation");
  expect_said(&f, "tight: thin: accuracy on validation");
  const char *once = strstr(sb_str(&f.ran), " half:vary");
  ck_assert_msg(once && !strstr(strstr(once + 1, " tight:"), " half:vary"), "ran%s", sb_str(&f.ran));
  tailor_result_free(&res);
  f.close = 0;
  f.prune = "by=reconstruction,least=2,images=128";
  f.target[0].limits.macs = graph_macs(f.model) * 99 / 100;
  fixture_run_and_drop(&f);
  expect_said(&f, "loose: widths alone lose little: no other structure is tried");
  fixture_close(&f);
}
END_TEST

START_TEST(test_early_test_split)
{
  Fixture f;
  fixture_open(&f);
  TailorData data = {.spec = &f.spec};
  const Split *test = NULL;
  ck_assert(!tailor_test_data(&data, &test, f.d));
  ck_assert_msg(strstr(diag_text(f.d), "before searching was over") != NULL, "%s", diag_text(f.d));
  fixture_close(&f);
}
END_TEST

/* ---- What an edit repeats */

START_TEST(test_source_edits)
{
  /* An edit that leaves results as they are stops there: what follows is found by content. */
  static const struct {
    const char *path, *want;
  } cases[] = {{"passes/layout.c", " prepare "},
               {"passes/prune_score.c", " importance "},
               {"passes/prune_plan.c", " plan "},
               {"passes/prune_apply.c", " plan prune retrain "},
               {"passes/bnfuse.c", " plan finish "},
               {"passes/calibrate.c", " finish "},
               {"passes/fold.c", " prepare plan finish "},
               {"backend/cost.c", " plan deploy proof "},
               {"runtime/engine/train/train.c", " importance retrain finish score test "},
               {"ir/graph.c", " prepare importance plan prune retrain finish score test "}};
  Fixture f;
  fixture_open(&f);
  fixture_run_and_drop(&f);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    memcpy(f.prints, source_prints, source_prints_count * sizeof *source_prints);
    fixture_edit_source(&f, cases[i].path);
    fixture_run_and_drop(&f);
    fixture_expect(&f, cases[i].path, cases[i].want);
  }
  fixture_close(&f);
}
END_TEST

START_TEST(test_other_edits)
{
  Fixture f;
  fixture_open(&f);
  fixture_run_and_drop(&f);

  f.data_identity = hash_bytes("other", 5);
  fixture_run_and_drop(&f);
  fixture_expect(&f, "training data", " importance retrain finish score ");

  f.test_identity = hash_bytes("other", 5);
  fixture_run_and_drop(&f);
  fixture_expect(&f, "test data", " test proof ");

  f.cost[1].key = hash_bytes("board", 5);
  fixture_run_and_drop(&f);
  fixture_expect(&f, "board", " plan deploy proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), "loose:") == NULL, "another target's board: ran%s", sb_str(&f.ran));

  f.target[1].limits.macs = f.target[1].limits.macs * 9 / 10;
  fixture_run_and_drop(&f);
  fixture_expect(&f, "limit", " plan prune retrain finish score deploy test proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), "loose:") == NULL, "another target's limit: ran%s", sb_str(&f.ran));

  graph_free(f.model);
  f.model = net_residual(1, 8);
  fixture_run_and_drop(&f);
  fixture_expect(&f, "model", " prepare importance plan prune retrain finish score deploy test proof ");
  fixture_close(&f);
}
END_TEST

Suite *suite_tailor(void) {
  Suite *s = suite_create("tailor");
  TCase *t = tcase_create("tailor");
  tcase_add_test(t, test_limits_and_sharing);
  tcase_add_test(t, test_by_table);
  tcase_add_test(t, test_int4);
  tcase_add_test(t, test_divergence_of_shares);
  tcase_add_test(t, test_other_way);
  tcase_add_test(t, test_keep);
  tcase_add_test(t, test_bank);
  tcase_add_test(t, test_teachers);
  tcase_add_test(t, test_folded_model);
  tcase_add_test(t, test_unreachable);
  tcase_add_test(t, test_structures);
  tcase_add_test(t, test_close_candidates);
  tcase_add_test(t, test_early_test_split);
  tcase_add_test(t, test_source_edits);
  tcase_add_test(t, test_other_edits);
  suite_add_tcase(s, t);
  return s;
}
