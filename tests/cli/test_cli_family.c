/* `mistify compile --family` and `verify` of what it writes. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "ir/text.h"
#include "tests/backend/emitted.h"
#include "tests/backend/family_nets.h"
#include "tests/support.h"

Suite *suite_cli_family(void);

/* Run the command line, in which $M is mistify and $T this test's folder; wants that status and that text. */
static void runs(int want, const char *line, const char *text) {
  StrBuf cmd = {0};
  char *out = NULL;
  sb_printf(&cmd, "T='%s'; M='%s'; %s", test_tmp_dir(), test_mistify(), line);
  const int status = test_run_command(sb_str(&cmd), &out);
  ck_assert_msg(status == want, "%s: status %d, want %d:\n%s", line, status, want, out);
  ck_assert_msg(strstr(out, text) != NULL, "%s: no \"%s\" in:\n%s", line, text, out);
  sb_free(&cmd);
  free(out);
}

static void write_variants(void) {
  static const FamilyWidth width[] = {{16, 24}, {10, 15}, {4, 8}};
  for (unsigned v = 0; v < 3; v++) {
    char path[700];
    StrBuf text = {0};
    Graph *g = family_net(width[v], false, v);
    graph_print(g, &text, SIZE_MAX);
    snprintf(path, sizeof path, "%s/%c.ir", test_tmp_dir(), "wmn"[v]);
    test_write_file(path, sb_str(&text), text.len);
    sb_free(&text);
    graph_free(g);
  }
}

START_TEST(one_image)
{
  write_variants();
  if (!have_target(__FILE__, "cortex-m4")) return;
  runs(0,
       "$M compile $T/w.ir $T/m.ir $T/n.ir --family --name fam --board nucleo-l432kc -o $T/f && "
       "grep -q 'void fam_run(fam_context .ctx, int variant);' $T/f/model.h && test ! -e $T/f/fam",
       "of the widest");
  runs(0, "$M verify $T/f", "9 of 9 self-test vectors pass, 9 equal byte for byte");
  runs(0, "$M verify $T/f --brief --json", "\"own_constants\"");
}
END_TEST

START_TEST(faults_are_told)
{
  write_variants();
  runs(1, "$M compile $T/n.ir $T/w.ir --family --target cortex-m4 -o $T/x", "want the widest first");
  runs(1, "$M compile $T/w.ir tests/data/onnx/relu.onnx --family --target cortex-m4 -o $T/x",
       "inputs or outputs");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --step --target cortex-m4 -o $T/x", "in pieces");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --weights blob --target cortex-m4 -o $T/x", "in a blob");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --input rows --target cortex-m4 -o $T/x", "row by row");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --name a,b --target cortex-m4 -o $T/x", "more names");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --adapt last --target cortex-m4 -o $T/x",
       "--adapt and --family");
  runs(1, "$M compile $T/w.ir $T/m.ir --family --exits --target cortex-m4 -o $T/x", "--family and --exits");
  runs(1, "$M compile $T/w.ir --controller --target cortex-m4 -o $T/x", "want a family");
  runs(1, "$M compile $T/w.ir --exits --target cortex-m4 -o $T/x", "the model has 1 output");
  runs(1, "$M compile $T/w.ir $T/m.ir --exits --target cortex-m4 -o $T/x", "2 models; want one");
  runs(0, "test ! -e $T/x", "");
}
END_TEST

Suite *suite_cli_family(void) {
  Suite *s = suite_create("cli_family");
  TCase *t = tcase_create("family");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, one_image);
  tcase_add_test(t, faults_are_told);
  suite_add_tcase(s, t);
  return s;
}
