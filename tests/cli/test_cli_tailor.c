/* `mistify tailor` from design.yaml and deploy.yaml to folders of C: the group `code` of a target, the designer's
 * normalization in model_io.h, a custom operator in the model.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/blob.h"
#include "ir/base/strbuf.h"
#include "tests/frontend/onnx_text.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_tailor(void);

static const char model[] = "input x f32 N,1,4,4\noutput y\ninit w f32 4,1,3,3\ninit v f32 64,3\n"
                            "node Conv a x,w -> p pads=[1,1,1,1]\nnode Keep@my k p -> q\nnode Relu r q -> r\n"
                            "node Flatten f r -> f\nnode MatMul m f,v -> y\n",
                  source[] = "#include \"mistify_custom.h\"\n"
                             "void keep(const mf_custom *op) {\n"
                             "  for (int32_t i = 0; i < mf_tensor_count(&op->out); i++)\n"
                             "    ((float *)op->out.data)[i] = 2 * ((const float *)op->in[0].data)[i];\n"
                             "}\n",
                  list[] = "operators:\n  - {op: my:Keep, function: keep, files: keep.c}\n",
                  design[] = "name: net\nmodel: net.onnx\ncustom: list.yaml\n"
                             "data:\n  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                             "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                             "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                             "  normalize: {scale: 0.0625, offset: -3}\n  classes: 3\n  calibration: 16\n"
                             "input: {layout: nchw, type: float}\nfreedom: {quantize: int8}\n",
                  deploy[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n"
                             "  - name: split\n    target: x86-64\n    precision: float32\n"
                             "    code: {format: split, step: yes}\n"
                             "  - name: blob\n    target: x86-64\n"
                             "    code: {weights: blob, weights_section: .blob, weights_align: 64}\n"
                             "  - name: plain\n    target: x86-64\n";

static void does(const char *line) {
  StrBuf cmd = {0};
  char *out = NULL;
  sb_printf(&cmd, "cd '%s' && M='%s' && %s", test_tmp_dir(), test_mistify(), line);
  const int status = test_run_command(sb_str(&cmd), &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", line, status, out);
  sb_free(&cmd);
  free(out);
}

static void write_task(void) {
  Blob *b = onnx_text(model);
  task_write_bytes("net.onnx", blob_raw(b), blob_size(b));
  blob_unref(b);
  task_write_bytes("keep.c", source, sizeof source - 1);
  task_write_bytes("list.yaml", list, sizeof list - 1);
  task_write_bytes("design.yaml", design, sizeof design - 1);
  task_write_bytes("deploy.yaml", deploy, sizeof deploy - 1);
  task_write_columns("train", 48, 4);
  task_write_columns("val", 24, 4);
  task_write_columns("test", 24, 4);
}

/* From another folder, by other paths: the same models. */
START_TEST(same_models_from_any_folder)
{
  write_task();
  does("mkdir -p else && $M tailor deploy.yaml --graphs --quiet -o one --cache one.cache && cd else &&\n"
       "$M tailor ../deploy.yaml --graphs --quiet -o two --cache two.cache && cd .. &&\n"
       "for t in split blob plain; do cmp one/$t/model.mistify else/two/$t/model.mistify || exit 1; done");
  does("$M opt net.onnx --passes fold --custom list.yaml -o here.mistify && cd else &&\n"
       "$M opt ../net.onnx --passes fold --custom ../list.yaml -o there.mistify && cmp ../here.mistify "
       "there.mistify");
}
END_TEST

/* What was built and judged by one compiler is not taken for another's. The real one is no wrapper that looks for the next of its
 * name (ccache), which would find this one. */
START_TEST(another_compiler)
{
  write_task();
  does("$M tailor deploy.yaml --only plain -j 1 2> log && $M tailor deploy.yaml --only plain -j 1 2> log &&\n"
       "grep -q 'deploy plain: taken from the cache' log && mkdir bin && real=$(PATH=/usr/bin:/bin command "
       "-v gcc) &&\n"
       "printf '#!/bin/sh\\n[ \"$1\" = --version ] && { echo newer; exit; }\\nexec %s \"$@\"\\n' $real > "
       "bin/gcc &&\n"
       "chmod +x bin/gcc && PATH=$PWD/bin:$PATH $M tailor deploy.yaml --only plain 2> log &&\n"
       "grep -q 'deploy plain: again, because parameters changed' log && grep -q 'proof plain: again' log || "
       "{ cat log; "
       "exit 1; }");
}
END_TEST

START_TEST(code_as_the_targets_ask)
{
  write_task();
  does("$M tailor deploy.yaml --quiet");
  does("test -f out/split/weights.c && test -d out/split/kernels && grep -q net_step out/split/model.h");
  does("test -f out/blob/net_weights.bin && grep -q net_bind_weights out/blob/model.h && "
       "grep -q '\"align\": 64' out/blob/model.json && grep -q 'section(\"\\.blob\")' out/blob/weights.c");
  does("test ! -e out/plain/weights.c && ! grep -q net_step out/plain/model.h");
  does("for t in split blob plain; do grep -q 0.0625 out/$t/model_io.h && test -f out/$t/custom/keep.c && "
       "$M verify out/$t | grep -q '4 of 4' || exit 1; done");
  /* the second run takes all of it from the cache, custom operators too; another form repeats emission alone */
  does("$M tailor deploy.yaml -o again --quiet && cmp out/blob/model.c again/blob/model.c");
  does("sed -i 's/step: yes/step: no/' deploy.yaml && $M tailor deploy.yaml --quiet && ! grep -q net_step "
       "out/split/model.h");
}
END_TEST

/* What a design allows beside widths: a limit that widths miss is met by smaller images, for which C is made and proved. */
static const char structures_model[] =
    "input x f32 N,1,16,16\noutput y\ninit w f32 8,1,3,3\ninit u f32 8,8,3,3\ninit v f32 8,3\n"
    "node Conv a x,w -> p pads=[1,1,1,1]\nnode Relu r p -> q\n"
    "node Conv b q,u -> s pads=[1,1,1,1]\nnode Relu t s -> m\n"
    "node GlobalAveragePool g m -> g\nnode Flatten f g -> f\nnode MatMul c f,v -> y\n",
                  structures_design[] =
                      "name: net\nmodel: net.onnx\n"
                      "data:\n  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                      "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                      "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                      "  normalize: {scale: 0.0625, offset: -3}\n  classes: 3\n  calibration: 16\n"
                      "input: {layout: nchw}\nfreedom:\n  prune: {max: 25%}\n  resolution: {min: 50%}\n"
                      "  depth: {max: 1}\n  lowrank: yes\n  equalize: best\n"
                      "  retrain: {images: 64, batch: 16, trial: 25%}\n",
                  structures_deploy[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n"
                                        "  - {name: small, target: x86-64, limits: {macs: 20%}}\n";

START_TEST(structures_as_the_design_allows)
{
  Blob *b = onnx_text(structures_model);
  task_write_bytes("net.onnx", blob_raw(b), blob_size(b));
  blob_unref(b);
  task_write_bytes("design.yaml", structures_design, sizeof structures_design - 1);
  task_write_bytes("deploy.yaml", structures_deploy, sizeof structures_deploy - 1);
  task_write_columns("train", 64, 16);
  task_write_columns("val", 24, 16);
  task_write_columns("test", 24, 16);
  does("$M tailor deploy.yaml > log 2>&1 || { cat log; exit 1; }");
  does("grep -q '1 block fewer: not for this model: depth: 1 blocks to drop, but there are 0' log || { cat "
       "log; exit 1; }");
  does("grep -q 'small: images of 50 %: taken' log || { cat log; exit 1; }");
  does("grep -q '\"structure\": \"images of 50 %\"' out/report.json && $M verify out/small | grep -q '4 of "
       "4'");
  does("cp -r out first && $M tailor deploy.yaml --quiet && cmp out/small/model.c first/small/model.c");
}
END_TEST

Suite *suite_cli_tailor(void) {
  Suite *s = suite_create("cli_tailor");
  TCase *t = tcase_create("tailor by the command");
  tcase_set_timeout(t, 240);
  tcase_add_test(t, code_as_the_targets_ask);
  tcase_add_test(t, another_compiler);
  tcase_add_test(t, same_models_from_any_folder);
  tcase_add_test(t, structures_as_the_design_allows);
  suite_add_tcase(s, t);
  return s;
}
