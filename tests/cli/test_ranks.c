/* `mistify tailor` by several processes on one cache, and killed: the files are those that one undisturbed run gives. Two
 * that know nothing of each other; one that is killed again and again; three ranks that mpirun starts, of which one is
 * killed.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/ranks.h"
#include "ir/base/blob.h"
#include "ir/base/strbuf.h"
#include "tests/frontend/onnx_text.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_ranks(void);

enum { SIDE = 8 };

static const char model[] =
    "input x f32 N,1,8,8\noutput y\ninit w f32 8,1,3,3\ninit u f32 8,8,3,3\ninit v f32 8,3\n"
    "node Conv a x,w -> p pads=[1,1,1,1]\nnode Relu r p -> q\n"
    "node Conv b q,u -> s pads=[1,1,1,1]\nnode Relu t s -> m\n"
    "node GlobalAveragePool g m -> g\nnode Flatten f g -> f\nnode MatMul c f,v -> y\n",
                  design[] = "name: net\nmodel: net.onnx\n"
                             "data:\n  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                             "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                             "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                             "  normalize: {scale: 0.0625, offset: -3}\n  classes: 3\n  calibration: 16\n"
                             "input: {layout: nchw}\nfreedom:\n  prune: {max: 75%}\n"
                             "  retrain: {images: 960, batch: 16}\n",
                  deploy[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n"
                             "  - {name: large, target: x86-64, limits: {macs: 70%}}\n"
                             "  - {name: small, target: x86-64, limits: {macs: 30%}}\n";

static void does(const char *line) {
  StrBuf cmd = {0};
  char *out = NULL;
  sb_printf(&cmd,
            "cd '%s' && M='%s' && export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 && "
            "R='mpirun --oversubscribe -n 3' && lives() { grep -q '^[0-9]* (.*) [^ZX]' /proc/$1/stat "
            "2>/dev/null; } && %s",
            test_tmp_dir(), test_mistify(), line);
  const int status = test_run_command(sb_str(&cmd), &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", line, status, out);
  sb_free(&cmd);
  free(out);
}

static bool have_mpi(void) {
  if (!ranks_built_in()) {
    test_skip("ranks: built without MPI (make MPI=1)");
    return false;
  }
  if (test_run_command("command -v mpirun", NULL) == 0) return true;
  test_skip("ranks: there is no mpirun");
  return false;
}

static void write_job(void) {
  Blob *b = onnx_text(model);
  task_write_bytes("net.onnx", blob_raw(b), blob_size(b));
  blob_unref(b);
  task_write_bytes("design.yaml", design, sizeof design - 1);
  task_write_bytes("deploy.yaml", deploy, sizeof deploy - 1);
  task_write_columns("train", 192, SIDE);
  task_write_columns("val", 24, SIDE);
  task_write_columns("test", 24, SIDE);
}

static void is_same(const char *folder, const char *targets) {
  char line[400];
  snprintf(line, sizeof line,
           "for t in %s; do for f in model.c model.h model.json; do "
           "cmp %s/$t/$f alone/$t/$f || exit 1; done; done",
           targets, folder);
  does(line);
}

/* What an undisturbed run gives. */
static void run_alone(const char *only) {
  char line[200];
  write_job();
  snprintf(line, sizeof line,
           "$M tailor deploy.yaml %s -o alone --cache alone.cache > alone.log 2>&1 || { tail -20 alone.log; "
           "exit 1; }",
           only);
  does(line);
}

START_TEST(two_at_once)
{
  run_alone("");
  does("true; $M tailor deploy.yaml -o one --cache both.cache > one.log 2>&1 & job=$!; "
       "$M tailor deploy.yaml -o two --cache both.cache > two.log 2>&1; wait $job || { cat one.log; exit 1; "
       "}");
  is_same("one", "large small");
  is_same("two", "large small");
}
END_TEST

START_TEST(killed_again_and_again)
{
  run_alone("--only small");
  does("for s in 0.1 0.4 0.2 0.5; do $M tailor deploy.yaml --only small -o killed --cache killed.cache > log "
       "2>&1 "
       "& "
       "sleep $s; kill -9 $!; wait $!; done; $M tailor deploy.yaml --only small -o killed --cache "
       "killed.cache > log 2>&1 "
       "|| "
       "{ tail -20 log; exit 1; }");
  is_same("killed", "small");
  does("$M cache verify --cache killed.cache");
}
END_TEST

START_TEST(ranks_give_the_same_files)
{
  if (!have_mpi()) return;
  run_alone("");
  does("$R $M tailor deploy.yaml -o ranks --cache ranks.cache > ranks.log 2>ranks.err || { cat ranks.err; "
       "exit 1; }");
  is_same("ranks", "large small");
  does("test $(grep -c 'report: ranks/report.html' ranks.log) = 1");
  does("test $(ls -d alone.cache/[0-9a-f][0-9a-f]/* | wc -l) = $(ls -d ranks.cache/[0-9a-f][0-9a-f]/* | wc "
       "-l)");
  /* Rank 1 is killed when the first steps are there. */
  does("rm -f pid.*; $R sh -c 'echo $$ > pid.$OMPI_COMM_WORLD_RANK; exec '$M' tailor deploy.yaml -o killed "
       "--cache "
       "killed.cache' > killed.log 2>&1 & job=$!; "
       "for i in $(seq 200); do ls -d killed.cache/[0-9a-f][0-9a-f]/* > /dev/null 2>&1 && break; sleep 0.02; "
       "done; "
       "kill -9 $(cat pid.1); wait $job && { echo 'the job went on'; exit 1; }; "
       "for r in 0 2; do for i in $(seq 200); do lives $(cat pid.$r) || continue 2; sleep 0.02; done; "
       "echo rank $r lives; exit 1; done; true");
  does("$R $M tailor deploy.yaml -o killed --cache killed.cache --quiet");
  is_same("killed", "large small");
}
END_TEST

/* Many, where none can be: not one result, printed or written. */
START_TEST(ranks_that_cannot_be)
{
  if (ranks_built_in()) return;
  does("OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 $M tailor deploy.yaml > log 2>&1; test $? = 1 && "
       "grep -q 'built without MPI' log && OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 $M targets | grep "
       "-q x86-64");
}
END_TEST

Suite *suite_ranks(void) {
  Suite *s = suite_create("ranks");
  TCase *t = tcase_create("ranks");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, two_at_once);
  tcase_add_test(t, killed_again_and_again);
  tcase_add_test(t, ranks_give_the_same_files);
  tcase_add_test(t, ranks_that_cannot_be);
  suite_add_tcase(s, t);
  return s;
}
