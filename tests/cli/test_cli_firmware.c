/* `mistify compile` of several models into one program, together and one after another; the forms of code by option.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/code_form.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "tests/support.h"

Suite *suite_cli_firmware(void);

#define NET   "tests/data/onnx/net_residual.onnx"
#define OTHER "tests/data/onnx/net_autoencoder.onnx"
#define RELU  "tests/data/onnx/relu.onnx"

/* Run the command line, in which $M is mistify and $T this test's folder; wants that status. */
static char *sh(int want, const char *line) {
  StrBuf cmd = {0};
  char *out = NULL;
  sb_printf(&cmd, "T='%s'; M='%s'; %s", test_tmp_dir(), test_mistify(), line);
  int status = test_run_command(sb_str(&cmd), &out);
  ck_assert_msg(status == want, "%s: status %d, want %d:\n%s", line, status, want, out);
  sb_free(&cmd);
  return out;
}

static void does(const char *line) { free(sh(0, line)); }

static void refuses(const char *line, const char *why) {
  char *out = sh(1, line);
  ck_assert_msg(strstr(out, why) != NULL, "%s: no \"%s\" in:\n%s", line, why, out);
  free(out);
}

static const char program[] =
    "#include \"fw/models.h\"\n"
    "#include <string.h>\n"
    "int main(void) {\n"
    "  a_context a;\n"
    "  b_context b;\n"
    "  unsigned char first[A_OUTPUT0_BYTES];\n"
    "  if (MODELS_ARENA_SIZE < A_ARENA_SIZE || MODELS_ARENA_SIZE < B_ARENA_SIZE) return 1;\n"
    "  if (MODELS_ARENA_SIZE != A_ARENA_SIZE && MODELS_ARENA_SIZE != B_ARENA_SIZE) return 2;\n"
    "  if (a_init(&a, NULL, 0) || b_init(&b, NULL, 0) || a.arena != models_arena || b.arena != models_arena) "
    "return 3;\n"
    "  for (int round = 0; round < 2; round++) {\n"
    "    memset(a_input(&a, 0), 0, A_INPUT0_BYTES);\n"
    "    a_run(&a);\n"
    "    if (round && memcmp(first, a_output(&a, 0), sizeof first)) return 4;\n"
    "    memcpy(first, a_output(&a, 0), sizeof first);\n"
    "    memset(b_input(&b, 0), 0, B_INPUT0_BYTES);\n"
    "    b_run(&b);\n"
    "  }\n"
    "  return 0;\n"
    "}\n";

#define BUILD                                                                                    \
  "cd $T && gcc -std=c99 -Wall -Wextra -Werror -fsanitize=address,undefined main.c fw/models.c " \
  "fw/a/model.c fw/b/model.c fw/kernels/*.c -o main -lm && ./main"

START_TEST(models_of_one_program)
{
  char path[700];
  snprintf(path, sizeof path, "%s/main.c", test_tmp_dir());
  test_write_file(path, program, sizeof program - 1);
  does("$M compile " NET " " OTHER " --name a,b --target x86-64 --share-arena -o $T/fw");
  does(BUILD);
  does("$M verify $T/fw/a && $M verify $T/fw/b");
  /* the same, one after another */
  does("cd $T && cp fw/models.h fw/CMakeLists.txt . && rm -r fw");
  does("$M compile " OTHER " --name b --target x86-64 --share-arena -o $T/fw");
  does("$M compile " NET " --name a --target x86-64 --share-arena -o $T/fw");
  does("cd $T && cmp models.h fw/models.h && cmp CMakeLists.txt fw/CMakeLists.txt");
  does(BUILD);
  if (test_run_command("command -v cmake", NULL) == 0)
    does("cd $T/fw && mkdir build && cd build && cmake .. && cmake --build . && cd .. && rm -r build");
  else
    test_skip("cmake is not installed");
  /* a third one without the common arena; then again over what is there */
  does("$M compile " RELU
       " --target x86-64 --kernels shared -o $T/fw && grep -q relu/model.h $T/fw/models.h");
  does(BUILD);
  does("$M compile " NET " " OTHER " " RELU " --name a,b --target x86-64 --share-arena -o $T/fw");
}
END_TEST

/* The kernels of a Cortex-M program are there once. */
START_TEST(kernels_are_linked_once)
{
  if (test_run_command("command -v arm-none-eabi-gcc", NULL) != 0) {
    test_skip("arm-none-eabi-gcc is not installed");
    return;
  }
  does("$M compile " NET " " NET " --name a,b --target cortex-m0 --format split -o $T/fw");
  does("cd $T/fw && for f in a/*.c b/*.c kernels/*.c models.c; do case $f in */selftest.c) continue ;; esac; "
       "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -Os -c $f -o $(echo $f | tr / _).o || exit 1; done; "
       "arm-none-eabi-ld -r *.o -o all.o && "
       "test \"$(arm-none-eabi-nm all.o | grep -c ' [Tt] conv_f32__')\" -eq "
       "\"$(ls kernels | grep -c '^conv_f32__')\"");
}
END_TEST

START_TEST(faults_are_told)
{
  refuses("$M compile " NET " " NET " --target x86-64 -o $T/x", "would both be called net_residual");
  refuses("$M compile " NET " " OTHER " --name a,A --target x86-64 -o $T/x", "would both be called");
  refuses("$M compile " NET " --name a,b --target x86-64 -o $T/x", "more names than models");
  refuses("$M compile " NET " " OTHER " --kernels own --target x86-64 -o $T/x", "share their kernels");
  refuses("$M compile " NET " --kernels mine --target x86-64 -o $T/x", "want own or shared");
  refuses("$M compile " NET " --format many --target x86-64 -o $T/x", "want single or split");
  refuses("$M compile " NET " --weights where --target x86-64 -o $T/x", "want code or blob");
  refuses("$M compile " NET " --weights-align 3 --target x86-64 -o $T/x", "power of 2");
  refuses("$M compile " NET " --weights-section 'a b' --target x86-64 -o $T/x", "section");
  refuses("printf 'graph\\n%%x = input : f32[2] %%c = const : f32[2] {1, 2} %%s = state(%%c) : f32[2]\\n"
          "%%y = Add(%%s, %%x)\\nnext %%s = %%y output %%y\\n' > $T/s.ir && $M compile $T/s.ir --share-arena "
          "--target "
          "x86-64 -o $T/x",
          "cannot share");
  does("mkdir $T/mine && touch $T/mine/x.c");
  refuses("$M compile " NET " " OTHER " --target x86-64 -o $T/mine", "did not write");
}
END_TEST

START_TEST(forms_by_option)
{
  does("$M compile " NET " --format split --step --target x86-64 -o $T/s && test -f $T/s/weights.c && "
       "test -d $T/s/kernels && $M verify $T/s");
  does("$M compile " NET
       " --weights blob --weights-section .blob --weights-align 64 --target x86-64 -o $T/b && "
       "test -f $T/b/net_residual_weights.bin && $M verify $T/b");
}
END_TEST

/* What a step's params say is the form again. */
START_TEST(form_as_params)
{
  const CodeForm forms[] = {{0},
                            {.format = "split", .step = true},
                            {.weights = "blob", .section = ".xip", .align = 64},
                            {.format = "single", .weights = "code"}};
  Arena *a = arena_new();
  Diag *d = diag_new();
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    CodeForm back;
    EmitOptions want = {0}, got = {0};
    const char *params = arena_printf(a, "target=x,name=y%s", code_form_params(a, &forms[i]));
    ck_assert(code_form_parse(a, params, &back, d));
    ck_assert(code_form_apply(&forms[i], &want, d) && code_form_apply(&back, &got, d));
    ck_assert(want.step == got.step && want.weights == got.weights &&
              want.weights_align == got.weights_align);
    ck_assert_pstr_eq(want.weights_section, got.weights_section);
    ck_assert_pstr_eq(want.kernels, got.kernels);
  }
  ck_assert_str_eq(code_form_params(a, &forms[0]), "");
  ck_assert_str_eq(code_form_params(a, &forms[3]), "");
  arena_free(a);
  diag_free(d);
}
END_TEST

Suite *suite_cli_firmware(void) {
  Suite *s = suite_create("cli_firmware");
  TCase *t = tcase_create("cli_firmware");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, models_of_one_program);
  tcase_add_test(t, kernels_are_linked_once);
  tcase_add_test(t, faults_are_told);
  tcase_add_test(t, forms_by_option);
  tcase_add_test(t, form_as_params);
  suite_add_tcase(s, t);
  return s;
}
