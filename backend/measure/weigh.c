/* harness_weigh: instructions of one inference on a bare machine, weighted by the documented cycles of their classes.
 *
 * A plugin of QEMU's (backend/harness/weight_plugin.c) classifies what the self-test executes, once with an inference and
 * once without; the difference is the inference's.
 */
#include "backend/measure/measure.h"

#include <string.h>

enum { SKIP = 4, WEIGH_SECONDS = 900 }; /* SKIP: selftest_body.c */

typedef struct Weight {
  long long executed, weighted;
} Weight;

static bool weigh_run(Work *w, const Vectors *v, const char *program, unsigned flags, Weight *out) {
  Args a = {.n = 0};
  int status;
  const char *output, *p;
  TRY(write_vectors(w, v, 1, flags));
  args_words(&a, w->arena, "qemu-system-arm -M");
  args_add(&a, w->target->machine);
  args_words(&a, w->arena,
             "-nographic -monitor none -serial none -semihosting-config enable=on,target=native -plugin");
  args_add(&a, arena_printf(w->arena, "./count.so,core=%s", w->target->name));
  args_add(&a, "-kernel");
  args_add(&a, program);
  TRY(process_run(w, a.v, w->tmp, WEIGH_SECONDS, &status, &output));
  p = strstr(output, "executed ");
  FAIL_IF(!p || sscanf(p, "executed %lld weighted %lld", &out->executed, &out->weighted) != 2, w->diag, NULL,
          "the instructions could not be weighed (status %d):\n%s", status, output);
  return true;
}

static bool weigh(Work *w, int64_t *instructions, int64_t *weighted) {
  Vectors v = {0};
  const char *program;
  Weight with, without;
  FAIL_IF(!w->bare, w->diag, NULL, "%s: only code for bare Cortex-M is weighed", w->target->name);
  TRY(read_vectors(w, &v));
  TRY(build_objects(w));
  TRY(build_selftest(w, machine_script(w->target->machine), &program));
  FAIL_IF(!build_plugin(w, "weight_plugin.c"), w->diag, NULL, "weighing needs gcc for this machine");
  TRY(weigh_run(w, &v, program, 0, &with));
  TRY(weigh_run(w, &v, program, SKIP, &without));
  *instructions = with.executed - without.executed;
  *weighted = with.weighted - without.weighted;
  return true;
}

bool harness_weigh(const char *dir, const Target *t, int64_t *instructions, int64_t *weighted, Diag *d) {
  Work w;
  bool ok = work_begin(&w, dir, t, NULL, d) && weigh(&w, instructions, weighted);
  work_end(&w);
  return ok;
}
