/* What training can do beside plain runs: teacher banks, several teachers, features, clipped examples, averages,
 * autoencoders, growing images; options as text. (test_train.c: plain runs; test_checkpoint.c: interrupted ones.)
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/train/bank.h"
#include "runtime/engine/train/half.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/support.h"

Suite *suite_train_methods(void);

static TrainOptions options(void) {
  TrainOptions o;
  train_options_default(&o);
  o.epochs = 4;
  o.batch = 32;
  o.threads = 2;
  o.augment.flip = true;
  o.augment.crop = 1;
  return o;
}

static Graph *run(const TrainJob *job, TrainResult *res) {
  Diag *d = diag_new();
  Graph *out = train_run(job, res, d);
  if (!out) ck_abort_msg("%s", diag_text(d));
  ck_assert_msg(graph_verify(out, d), "%s", diag_text(d));
  diag_free(d);
  return out;
}

static void want_refused(const TrainJob *job, const char *why) {
  Diag *d = diag_new();
  ck_assert_msg(train_run(job, NULL, d) == NULL, "not refused: %s", why);
  ck_assert_msg(strstr(diag_text(d), why) != NULL, "want \"%s\" in: %s", why, diag_text(d));
  diag_free(d);
}

/* -- banks -- */

START_TEST(half_floats)
{
  ck_assert(isnan(half_to(half_from(NAN)))); /* a teacher that diverged stays so */
  for (uint32_t h = 0; h < 0x7C00; h++) {    /* every finite value, both signs */
    ck_assert_int_eq(half_from(half_to((uint16_t)h)), (int)h);
    ck_assert_int_eq(half_from(half_to((uint16_t)(h | 0x8000))), (int)(h | 0x8000));
  }
  for (uint16_t h = 1; h < 0x7BFF; h++) { /* between neighbours: the nearer, ties to even */
    float lo = half_to(h), hi = half_to((uint16_t)(h + 1)), mid = lo + (hi - lo) / 2;
    ck_assert_int_eq(half_from(mid), h & 1 ? h + 1 : h);
    ck_assert_int_eq(half_from(nextafterf(mid, 0)), h);
    ck_assert_int_eq(half_from(nextafterf(mid, INFINITY)), h + 1);
  }
  ck_assert_int_eq(half_from(1e9f), 0x7BFF);
  ck_assert_int_eq(half_from(-INFINITY), 0xFBFF);
}
END_TEST

/* The bank's logits are those of the pixels that the student is fed, in every epoch. */
START_TEST(bank_holds_what_the_student_sees)
{
  Dataset ds = stripes_data();
  Graph *teacher = net_parse(stripes_net, 3);
  TrainOptions o = options();
  o.views = 3;
  o.augment.noise = 0.2f;
  o.augment.mixup = 0.5f;
  o.augment.cutmix = 1;
  Diag *d = diag_new();
  Blob *blob = teacher_bank(teacher, &ds, &o, NULL, d), *again;
  ck_assert_msg(blob != NULL, "%s", diag_text(d));
  o.threads = 1;
  again = teacher_bank(teacher, &ds, &o, NULL, d);
  Hash one = blob_hash(blob), two = blob_hash(again);
  ck_assert_msg(hash_equal(one, two), "one and two threads make different banks");
  Bank b;
  ck_assert_msg(bank_open(&b, blob, teacher, &ds, &o, d), "%s", diag_text(d));
  Session *s = session_new(teacher, &(SessionOptions){.batch = 16, .threads = 1}, d);
  Feed f;
  ck_assert(feed_new(&f, s, &ds.train, &ds.spec.normalize, d));
  Augment a = o.augment;
  a.seed = o.seed;
  a.views = o.views;
  int seen[8][3] = {{0}};
  for (a.stream = 0; a.stream < 6; a.stream++) {
    feed_batch(&f, &a, NULL, 40, 8, session_input(s));
    const float *z = session_forward(s, session_input(s), 8, false);
    for (uint32_t i = 0; i < 8; i++) {
      float got[STRIPES_CLASSES];
      bank_read(&b, &a, 40 + i, got);
      seen[i][augment_stream(&a, 40 + i)]++;
      for (int c = 0; c < STRIPES_CLASSES; c++) {
        float want = z[(int)i * STRIPES_CLASSES + c];
        ck_assert_msg(fabsf(got[c] - want) <= 6e-4f * fmaxf(1, fabsf(want)),
                      "epoch %d, example %u, class %d: %g in the bank, want %g", (int)a.stream, i, c,
                      (double)got[c], (double)want);
      }
    }
  }
  for (int i = 0; i < 8; i++)
    for (int v = 0; v < 3; v++) ck_assert_int_eq(seen[i][v], 2);
  feed_free(&f);
  session_free(s);
  bank_close(&b);
  blob_unref(blob);
  blob_unref(again);
  graph_free(teacher);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

START_TEST(banks_are_checked)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7), *teacher = net_parse(stripes_net, 3),
        *other = net_parse(stripes_net, 4);
  TrainOptions o = options();
  o.views = 2;
  o.mix = 0.9f;
  o.images = 64;
  Diag *d = diag_new();
  Blob *bank = teacher_bank(teacher, &ds, &o, NULL, d);
  const Graph *teachers[1] = {teacher};
  TrainJob job = {
      .graph = g, .teachers = teachers, .n_teachers = 1, .banks = &bank, .data = &ds, .options = &o};
  Graph *given = run(&job, NULL);
  job.banks = NULL;
  Graph *made = run(&job, NULL); /* makes the same one itself */
  Hash x = graph_hash(given), y = graph_hash(made);
  ck_assert_msg(hash_equal(x, y), "a bank from outside gives other bytes");
  job.banks = &bank;
  teachers[0] = other;
  want_refused(&job, "another teacher");
  teachers[0] = teacher;
  o.augment.crop = 2;
  want_refused(&job, "another augmentation");
  o.augment.crop = 1;
  o.views = 4;
  want_refused(&job, "number of views (2, want 4)");
  o.views = 2;
  ds.train.n--;
  want_refused(&job, "other training examples");
  ds.train.n++;
  o.augment.mixup = 0.2f;
  want_refused(&job, "another augmentation");
  o.augment.mixup = 0;
  o.views = 60000;
  ds.train.n = 1u << 31;
  ck_assert_ptr_null(teacher_bank(teacher, &ds, &o, NULL, d));
  ck_assert_msg(strstr(diag_text(d), "want at most 4 GiB") != NULL, "%s", diag_text(d));
  ds.train.n = 512;
  graph_free(given);
  graph_free(made);
  blob_unref(bank);
  graph_free(g);
  graph_free(teacher);
  graph_free(other);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

START_TEST(when_a_bank_pays)
{
  ck_assert_int_eq(teacher_bank_views(8, 1000, 8000, 1), 8);
  ck_assert_int_eq(teacher_bank_views(8, 1000, 7999, 1), 0);
  ck_assert_int_eq(teacher_bank_views(8, 1000, 2000, 4), 8);
  ck_assert_int_eq(teacher_bank_views(0, 1000, 100000, 4), 0);
}
END_TEST

/* -- several teachers -- */

START_TEST(several_teachers)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7), *a = net_parse(stripes_net, 3);
  TrainOptions o = options();
  o.epochs = 1;
  o.mix = 1;
  const Graph *teachers[2] = {a, a};
  const float weights[2] = {2, 1};
  TrainJob job = {.graph = g, .teachers = teachers, .n_teachers = 1, .data = &ds, .options = &o};
  TrainResult one, two;
  Graph *x = run(&job, &one);
  job.n_teachers = 2;
  job.teacher_weights = weights;
  Graph *y = run(&job, &two);
  ck_assert_msg(fabs(one.loss - two.loss) < 1e-4 * fabs(one.loss), "the same teacher twice: loss %g, once %g",
                two.loss, one.loss);
  job.teacher_weights = (const float[]){1, 0};
  want_refused(&job, "teacher 2 has weight 0");
  job.n_teachers = 0;
  want_refused(&job, "there is no teacher");
  graph_free(x);
  graph_free(y);
  graph_free(a);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* -- features -- */

START_TEST(features_are_matched)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7), *teacher = net_parse(stripes_net, 3),
        *plain = net_parse(stripes_plain_net, 3);
  TrainOptions o = options();
  const FeaturePair good = {"before", "before"}, typo = {"befor", "before"};
  o.features = 10;
  o.pairs = &good;
  o.n_pairs = 1;
  o.lr = 0.01f;
  const Graph *teachers[1] = {teacher};
  TrainJob job = {.graph = g, .teachers = teachers, .n_teachers = 1, .data = &ds, .options = &o};
  TrainResult early, late;
  o.epochs = 1;
  Graph *x = run(&job, &early);
  o.epochs = 8;
  Graph *y = run(&job, &late);
  ck_assert_msg(late.loss < 0.5 * early.loss, "loss %g after one epoch, %g after eight", early.loss,
                late.loss);
  o.pairs = &typo;
  want_refused(&job, "did you mean \"before\"");
  Graph *narrow = net_parse("%1 = input : f32[N,8,8,2]\n%2 = const : f32[4,3,3,2] {~}\n"
                            "%3 = Conv(%1, %2) {pads=[1,1,1,1]} : f32[N,8,8,4] \"before\"\n"
                            "%9 = ReduceMean(%3) {axes=[1,2], keepdims=0}\n%10 = const : f32[3,4] {~}\n"
                            "%12 = FullyConnected(%9, %10)\noutput %12\n",
                            1);
  job.graph = narrow;
  o.pairs = &good;
  want_refused(&job, "only values of the same shape can be matched");
  graph_free(x);
  graph_free(y);
  graph_free(g);
  graph_free(narrow);
  graph_free(plain);
  graph_free(teacher);
  dataset_close(&ds);
}
END_TEST

/* -- clipped examples -- */

/* One step against gradients of single examples, clipped and summed here. */
START_TEST(each_example_is_clipped)
{
  enum { BATCH = 21, FLAT = 4096 };
  Dataset ds = stripes_data();
  ds.train.n = BATCH;
  Graph *g = net_parse(stripes_plain_net, 7);
  TrainOptions o = options();
  o.augment = (Augment){0};
  o.epochs = 1;
  o.batch = BATCH;
  o.schedule = RATE_CONSTANT;
  o.lr = 1;
  o.weight_decay = o.momentum = 0;
  o.nesterov = false;
  o.clip_each = 4;
  TrainJob job = {.graph = g, .data = &ds, .options = &o};
  Graph *out = run(&job, NULL);

  Diag *d = diag_new();
  Session *s = session_new(g, &(SessionOptions){.batch = 1, .threads = 1, .training = true}, d);
  Feed f;
  ck_assert(feed_new(&f, s, &ds.train, &ds.spec.normalize, d));
  double *sum = mem_array(FLAT, sizeof *sum);
  int clipped = 0;
  for (uint32_t i = 0; i < BATCH; i++) {
    float dz[STRIPES_CLASSES];
    feed_batch(&f, NULL, NULL, i, 1, session_input(s));
    loss_cross_entropy(session_forward(s, session_input(s), 1, true), ds.train.y + i, 1, STRIPES_CLASSES, 0,
                       dz);
    session_backward(s, dz, 1);
    double norm = 0;
    for (int64_t k = 0; k < s->total; k++) norm += (double)s->grads[k] * (double)s->grads[k];
    norm = sqrt(norm);
    clipped += norm > 4;
    for (int64_t k = 0; k < s->total; k++) sum[k] += (double)s->grads[k] * fmin(1, 4 / norm) / BATCH;
  }
  ck_assert_msg(clipped > 0 && clipped < BATCH, "%d of %d examples are beyond the limit", clipped, BATCH);
  for (int k = 0; k < s->n_segments; k++) {
    const Segment *seg = &s->segments[k];
    const float *was = s->params + seg->offset, *is = NULL;
    for (uint32_t i = 0; i < out->n_nodes; i++) /* the same parameter: same place in the same node */
      for (uint32_t j = 0; j < out->nodes[i].n_in; j++)
        if (g->nodes[i].in[j] == seg->val) is = val_data(out, out->nodes[i].in[j]);
    ck_assert_ptr_nonnull(is);
    for (int64_t i = 0; i < seg->count; i++) {
      double want = (double)was[i] - sum[seg->offset + i];
      ck_assert_msg(fabs((double)is[i] - want) < 1e-5, "parameter %u, element %d: %g, want %g", seg->val,
                    (int)i, (double)is[i], want);
    }
  }
  o.threads = 1;
  Graph *again = run(&job, NULL);
  Hash x = graph_hash(out), y = graph_hash(again);
  ck_assert(hash_equal(x, y));
  Graph *bn = net_parse(stripes_net, 7);
  job.graph = bn;
  want_refused(&job, "mixes the examples");
  o.fixed_statistics = true;
  Graph *fixed = run(&job, NULL);
  mem_free(sum);
  feed_free(&f);
  session_free(s);
  graph_free(fixed);
  graph_free(bn);
  graph_free(out);
  graph_free(again);
  graph_free(g);
  diag_free(d);
  dataset_close(&ds);
}
END_TEST

/* -- average, autoencoder, growing images -- */

START_TEST(the_average_is_the_result)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  TrainOptions o = options();
  o.schedule = RATE_CONSTANT;
  o.average = 0.95f;
  o.epochs = 6;
  TrainJob job = {.graph = g, .data = &ds, .options = &o};
  Graph *mean = run(&job, NULL);
  o.average = 0;
  Graph *last = run(&job, NULL);
  Hash x = graph_hash(mean), y = graph_hash(last);
  ck_assert(!hash_equal(x, y));
  double got = stripes_accuracy(mean, &ds);
  ck_assert_msg(got > 0.95, "accuracy of the average is %.3f", got);
  graph_free(mean);
  graph_free(last);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

START_TEST(autoencoders_learn_their_input)
{
  Dataset ds = stripes_data();
  ds.train.y = NULL;
  Graph *g = net_parse("%1 = input : f32[N,8,8,2]\n%2 = const : f32[8,3,3,2] {~}\n"
                       "%3 = Conv(%1, %2) {pads=[1,1,1,1], act=relu}\n%4 = const : f32[2,3,3,8] {~}\n"
                       "%5 = const : f32[2] {?}\n%6 = Conv(%3, %4, %5) {pads=[1,1,1,1]}\noutput %6\n",
                       1);
  TrainOptions o = options();
  o.loss = LOSS_INPUT;
  o.optimizer = OPTIMIZER_ADAMW;
  o.lr = 0.01f;
  o.augment.noise = 0.1f;
  TrainJob job = {.graph = g, .data = &ds, .options = &o};
  TrainResult early, late;
  o.epochs = 1;
  Graph *x = run(&job, &early);
  o.epochs = 12;
  Graph *y = run(&job, &late);
  ck_assert_msg(late.loss < 0.3 * early.loss, "squares %g after one epoch, %g after twelve", early.loss,
                late.loss);
  Graph *classes = net_parse(stripes_net, 1);
  job.graph = classes;
  want_refused(&job, "has 3 outputs, 128 inputs");
  graph_free(x);
  graph_free(y);
  graph_free(classes);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

START_TEST(images_grow)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  TrainOptions o = options();
  o.epochs = 8;
  o.grow = 0.75f;
  o.grow_stages = 3;
  TrainJob job = {.graph = g, .data = &ds, .options = &o};
  Graph *out = run(&job, NULL);
  ck_assert_int_eq(out->vals[out->inputs[0]].shape.d[1], 8);
  double got = stripes_accuracy(out, &ds);
  ck_assert_msg(got > 0.9, "accuracy %.3f", got);
  o.threads = 1;
  Graph *again = run(&job, NULL);
  Hash x = graph_hash(out), y = graph_hash(again);
  ck_assert(hash_equal(x, y));
  Graph *flat = net_parse("%1 = input : f32[N,8,8,2]\n%2 = Reshape(%1) {shape=[-1,128]}\n"
                          "%3 = const : f32[3,128] {~}\n%4 = FullyConnected(%2, %3)\noutput %4\n",
                          1);
  job.graph = flat;
  want_refused(&job, "does not allow images of 6 x 6");
  graph_free(out);
  graph_free(again);
  graph_free(flat);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* Pools and strided shortcuts as exporters write them, with the sizes of one resolution. */
START_TEST(fixed_windows_follow)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse("%1 = input : f32[N,8,8,2]\n%2 = const : f32[4,3,3,2] {~}\n"
                       "%3 = Conv(%1, %2) {pads=[1,1,1,1], strides=[2,2], act=relu}\n"
                       "%4 = Slice(%1) {starts=[0,0,0,0], counts=[-1,4,4,2], steps=[1,2,2,1]}\n"
                       "%5 = Pad(%4) {pads=[0,0,0,1,0,0,0,1]}\n%6 = Add(%3, %5)\n"
                       "%7 = AveragePool(%6) {kernel=[4,4], strides=[4,4]}\n%8 = Reshape(%7) {shape=[-1,4]}\n"
                       "%9 = const : f32[3,4] {~}\n%10 = FullyConnected(%8, %9)\noutput %10\n",
                       1);
  TrainOptions o = options();
  o.epochs = 2;
  o.grow = 0.6f;
  o.grow_stages = 2;
  TrainJob job = {.graph = g, .data = &ds, .options = &o};
  graph_free(run(&job, NULL));
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* -- options -- */

START_TEST(options_as_text)
{
  TrainOptions o = options(), back;
  o.optimizer = OPTIMIZER_ADAMW;
  o.schedule = RATE_STEPS;
  o.n_drops = 2;
  o.drops[0] = 0.5f;
  o.drops[1] = 0.7f;
  o.lr = 0.3f;
  o.images = INT64_C(10000000000);
  o.nesterov = false;
  o.augment = (Augment){.cutout = 8, .noise = 0.25f};
  o.views = 8;
  StrBuf a = {0}, b = {0};
  Diag *d = diag_new();
  train_options_print(&o, &a);
  train_options_default(&back);
  ck_assert_msg(train_options_parse(sb_str(&a), &back, d), "%s", diag_text(d));
  train_options_print(&back, &b);
  ck_assert_str_eq(sb_str(&a), sb_str(&b));
  ck_assert(train_options_parse("keep=a b,lr=0.25", &back, d));
  ck_assert(back.lr == 0.25f && back.views == 8);
  const char *bad[] = {"lr=fast",        "epochs=",  "batch=1x", "drops=0.1;;2", "epochs=99999999999",
                       "optimizer=adam", "schedule="};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!train_options_parse(bad[i], &back, d), "%s is taken", bad[i]);
  sb_free(&a);
  sb_free(&b);
  diag_free(d);
}
END_TEST

Suite *suite_train_methods(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("train_methods");
  TCase *t = tcase_create("train_methods");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, half_floats);
  tcase_add_test(t, bank_holds_what_the_student_sees);
  tcase_add_test(t, banks_are_checked);
  tcase_add_test(t, when_a_bank_pays);
  tcase_add_test(t, several_teachers);
  tcase_add_test(t, features_are_matched);
  tcase_add_test(t, each_example_is_clipped);
  tcase_add_test(t, the_average_is_the_result);
  tcase_add_test(t, autoencoders_learn_their_input);
  tcase_add_test(t, images_grow);
  tcase_add_test(t, fixed_windows_follow);
  tcase_add_test(t, options_as_text);
  suite_add_tcase(s, t);
  return s;
}
