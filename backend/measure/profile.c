/* harness_profile: what each layer took, and the stack by the compiler, of an emitted folder.
 *
 * The model is compiled with marks around the calls of its kernels (backend/harness/layers.h), which QEMU's plugin sees:
 * layers that take turns row by row are told apart. Natively callgrind writes its counts down at each mark; they tell
 * layers apart by their order alone, so that each must be one call. The marks keep the compiler from moving work over them, so that the
 * sum differs a little from what the model takes without.
 */
#include <stdio.h>
#include <string.h>

#include "backend/measure/measure.h"
#include "ir/base/file.h"
#include "ir/base/json.h"

enum { PLAIN = 8 /* selftest_body.c */, NATIVE_SECONDS = 900 };

/* Name and number of layers, by model.json. */
static bool read_model(Work *w, const char **name, int *layers) {
  size_t n;
  const char *path = path_join(w->arena, w->dir, "model.json"),
             *text = file_read(w->arena, path, &n, w->diag);
  const Json *j = text ? json_parse(w->arena, text, n, path, w->diag) : NULL, *list = json_get(j, "layers");
  if (!j) return false;
  *name = json_get_str(j, "name", "");
  *layers = list ? (int)list->n : 0;
  return true;
}

/* "layer 3 calls 16 executed 1234 weighted 1500" */
static void read_layers(const char *output, Profile *p) {
  for (const char *at = output; (at = strstr(at, "layer ")); at++) {
    int layer;
    long long calls, executed, weighted;
    if (sscanf(at, "layer %d calls %lld executed %lld weighted %lld", &layer, &calls, &executed, &weighted) ==
            4 &&
        layer >= 0 && layer < p->n_layers)
      p->layers[layer] = (LayerMeasured){calls, executed, weighted};
  }
}

/* "totals: 1234" of the file that callgrind wrote at the end of a layer. */
static bool read_dump(Work *w, int number, LayerMeasured *out) {
  size_t n;
  const char *path = arena_printf(w->arena, "%s/marks.%d", w->tmp, number);
  const char *text = file_exists(path) ? file_read(w->arena, path, &n, w->diag) : NULL;
  const char *totals = text ? strstr(text, "\ntotals: ") : NULL;
  long long executed;
  if (!totals || sscanf(totals, "\ntotals: %lld", &executed) != 1) return false;
  *out = (LayerMeasured){1, executed, executed};
  return true;
}

static bool profile_native(Work *w, const Vectors *v, const char *program, Arena *a, int layers,
                           Profile *out) {
  Args args = {.n = 0};
  int status, i = 0;
  const char *output;
  if (!program_exists("valgrind")) return true;
  TRY(write_vectors(w, v, 1, PLAIN));
  args_words(&args, w->arena,
             "valgrind --tool=callgrind --callgrind-out-file=marks --toggle-collect=selftest_run "
             "--zero-before=selftest_layer_begin --dump-before=selftest_layer_end");
  args_add(&args, program);
  TRY(process_run(w, args.v, w->tmp, NATIVE_SECONDS, &status, &output));
  LayerMeasured *list = arena_array(a, (size_t)layers + 2, sizeof *list);
  while (i <= layers && read_dump(w, i + 1, &list[i])) i++;
  if (status != 0 || i != layers) return true;
  out->n_layers = layers;
  out->layers = list;
  return true;
}

static bool profile(Work *w, Arena *a, Profile *out) {
  Vectors v = {0};
  const char *name, *program, *output;
  int layers;
  TRY(read_model(w, &name, &layers) && read_vectors(w, &v) && build_profile(w, &program));
  TRY(stack_by_compiler(w, name, &out->stack, &out->stack_deepest, &out->stack_without));
  out->stack_deepest = arena_strdup(a, out->stack_deepest);
  out->stack_without = arena_strdup(a, out->stack_without);
  if (strcmp(w->target->run, "native") == 0) return profile_native(w, &v, program, a, layers, out);
  TRY(weigh_output(w, &v, program, PLAIN, &output));
  if (!output) return true;
  out->n_layers = layers;
  out->layers = arena_array(a, (size_t)layers + 1, sizeof *out->layers);
  read_layers(output, out);
  return true;
}

bool harness_profile(const char *dir, const Target *t, const Host *host, Arena *a, Profile *out, Diag *d) {
  Work w;
  *out = (Profile){.stack = -1, .stack_deepest = "", .stack_without = ""};
  bool ok = work_begin(&w, dir, t, host, d) && profile(&w, a, out);
  work_end(&w);
  return ok;
}
