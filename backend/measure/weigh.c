/* Cycles of one inference on a bare machine: instructions weighted by the documented cycles of their classes. Of AArch64
 * instructions.
 *
 * A plugin of QEMU's (backend/harness/weight_plugin.c) classifies what the self-test executes, once with an inference and
 * once without; the difference is the inference's.
 */
#include "backend/measure/measure.h"

#include <string.h>

enum { SKIP = 4, PLAIN = 8, WEIGH_SECONDS = 900 }; /* flags: selftest_body.c */

bool weigh_output(Work *w, const Vectors *v, const char *program, unsigned flags, const char **output) {
  Args a = {.n = 0};
  int status;
  *output = NULL;
  if (!build_plugin(w, "weight_plugin.c")) return true;
  TRY(write_vectors(w, v, 1, flags));
  if (w->bare) {
    args_words(&a, w->arena, "qemu-system-arm -M");
    args_add(&a, w->target->machine);
    args_words(&a, w->arena,
               "-nographic -monitor none -serial none -semihosting-config enable=on,target=native -plugin");
    args_add(&a, arena_printf(w->arena, "./count.so,core=%s", w->target->name));
    args_add(&a, "-kernel");
  } else {
    args_words(&a, w->arena, "qemu-aarch64 -L /usr/aarch64-linux-gnu -plugin ./count.so,core=aarch64");
  }
  args_add(&a, program);
  TRY(process_run(w, a.v, w->tmp, WEIGH_SECONDS, &status, output));
  FAIL_IF(!strstr(*output, "weighted "), w->diag, NULL,
          "the instructions could not be weighed (status %d):\n%s", status, *output);
  return true;
}

static bool weigh_run(Work *w, const Vectors *v, const char *program, unsigned flags, long long *weighted,
                      bool *known) {
  const char *output;
  TRY(weigh_output(w, v, program, flags, &output));
  *known = output && sscanf(strstr(output, "weighted "), "weighted %lld", weighted) == 1;
  return true;
}

bool weigh_selftest(Work *w, const Vectors *v, const char *program, int64_t *cycles) {
  long long with, without;
  bool known;
  TRY(weigh_run(w, v, program, PLAIN, &with, &known));
  if (!known) return true;
  TRY(weigh_run(w, v, program, SKIP, &without, &known));
  if (known) *cycles = with - without;
  return true;
}
