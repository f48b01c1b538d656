/* mistify verify: builds an emitted folder with the target's compiler, runs its self-test where the target is (in an
 * emulator where needed), and sets what was measured beside what was estimated (model.json).
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "ir/base/file.h"

typedef struct VerifyOpts {
  CommonOpts common;
  const char *dir, *target, *board;
  bool brief;
} VerifyOpts;

static const Opt opts[] = {
    {"DIR", OPT_PARAM, offsetof(VerifyOpts, dir), true, NULL, "folder that mistify wrote"},
    {"--target", OPT_STRING, offsetof(VerifyOpts, target), false, "T",
     "build for this target (default: the one it was written for)"},
    {"--board", OPT_STRING, offsetof(VerifyOpts, board), false, "B",
     "this board's target; its flash and RAM are limits"},
    {"--brief", OPT_FLAG, offsetof(VerifyOpts, brief), false, NULL,
     "no layer by layer, no stack by the compiler"},
    {0}};

/* What model.json says. -1: nothing. */
typedef struct Written {
  const char *name, *target;
  int64_t flash, ram, arena, cycles;
  const Json *layers, *variants;
} Written;

static bool read_written(Arena *a, const char *dir, Written *out, Diag *d) {
  FAIL_IF(!file_exists(dir), d, NULL, "%s: no such folder", dir);
  FAIL_IF(!file_is_dir(dir), d, NULL, "%s: is a file; want a folder that mistify wrote", dir);
  const char *path = path_join(a, dir, "model.json");
  if (!file_exists(path)) {
    diag_error(d, NULL, "%s: has no model.json: mistify did not write this folder", dir);
    diag_hint(d, "mistify compile writes such folders");
    return false;
  }
  size_t n;
  const char *text = file_read(a, path, &n, d);
  const Json *j = text ? json_parse(a, text, n, path, d) : NULL;
  if (!j) return false;
  const Json *e = json_get(j, "estimate");
  *out = (Written){.name = json_get_str(j, "name", ""),
                   .target = json_get_str(j, "target", NULL),
                   .flash = json_get_int(e, "flash", -1),
                   .ram = json_get_int(e, "ram", -1),
                   .arena = json_get_int(j, "arena", -1),
                   .cycles = json_get_int(e, "cycles", -1),
                   .layers = json_get(j, "layers"),
                   .variants = json_get(j, "variants")};
  FAIL_IF(!out->target, d, NULL, "%s: names no target", path);
  return true;
}

typedef struct Verified {
  Arena *arena;
  Written written;
  Machine machine;
  Measured got;
  Profile profile;
  VariantMeasured variant[EMIT_VARIANTS];
  int n_variants; /* of a family; 0: none */
  bool equal, fits;
} Verified;

static int64_t ram_of(const Measured *m) { return m->ram_arena + m->ram_other; }

/* Estimates are of the target that the folder was written for. */
static bool is_same_target(const Verified *v) {
  return strcmp(v->machine.target->name, v->written.target) == 0;
}

/* -- text -- */

static void cell_error(Table *t, int64_t measured, int64_t estimated) {
  const bool both = measured > 0 && estimated > 0;
  table_cell(
      t, "%s",
      both ? arena_printf(t->arena, "%+.1f %%", 100.0 * (double)(estimated - measured) / (double)measured)
           : "");
}

static void row(Table *t, const char *what, int64_t measured, int64_t estimated, int64_t limit) {
  table_cell(t, "%s", what);
  table_cell(t, "%s", cli_count(t->arena, measured));
  table_cell(t, "%s", cli_count(t->arena, estimated));
  cell_error(t, measured, estimated);
  table_cell(t, "%s", limit > 0 ? cli_count(t->arena, limit) : "");
}

static void layer_row(Table *t, int number, const Json *layer, const LayerMeasured *m, bool same) {
  const int64_t estimated = same ? json_get_int(layer, "cycles", -1) : -1;
  table_cell(t, "%d", number);
  table_cell(t, "%s", json_get_str(layer, "op", ""));
  table_cell(t, "%s", json_get_str(layer, "kernel", ""));
  table_count(t, json_get_int(layer, "macs", 0));
  table_count(t, m->calls);
  table_cell(t, "%s", cli_count(t->arena, m->instructions));
  table_cell(t, "%s", cli_count(t->arena, m->cycles));
  table_cell(t, "%s", cli_count(t->arena, estimated));
  cell_error(t, m->cycles, estimated);
}

/* What the layers do not account for: NAME_run itself, and what the marks around layers changed. */
static void rest_row(Table *t, const Verified *v) {
  int64_t instructions = v->got.instructions, cycles = v->got.cycles;
  for (int i = 0; i < v->profile.n_layers; i++) {
    instructions -= v->profile.layers[i].instructions;
    cycles -= v->profile.layers[i].cycles;
  }
  table_cell(t, "%s", "");
  table_cell(t, "the rest");
  for (int i = 0; i < 3; i++) table_cell(t, "%s", "");
  table_cell(t, "%lld", (long long)instructions);
  table_cell(t, "%lld", (long long)cycles);
  for (int i = 0; i < 2; i++) table_cell(t, "%s", "");
}

static void print_layers(const Verified *v) {
  const Profile *p = &v->profile;
  Table t;
  if (!p->layers) return;
  table_begin(&t, v->arena, ">layer,<op,<kernel,>MACs,>calls,>instructions,>cycles,>estimated,>error");
  for (int i = 0; i < p->n_layers; i++)
    layer_row(&t, i, json_at(v->written.layers, (uint32_t)i), &p->layers[i], is_same_target(v));
  rest_row(&t, v);
  table_print(&t);
  putchar('\n');
}

static void print_stack(const Profile *p) {
  if (p->stack >= 0)
    printf("stack by the compiler's call graph, without what assembly pushes: %s", p->stack_deepest);
  if (p->stack >= 0 && p->stack_without[0]) printf("; not counted: %s", p->stack_without);
  if (p->stack >= 0) putchar('\n');
}

static void print_variants(const Verified *v) {
  Table t;
  if (!v->n_variants) return;
  table_begin(&t, v->arena, ">variant,>MACs,>arena,>own constants,>instructions,>cycles,>stated");
  for (int i = 0; i < v->n_variants; i++) {
    const Json *j = json_at(v->written.variants, (uint32_t)i);
    table_cell(&t, "%d", i);
    table_count(&t, json_get_int(j, "macs", 0));
    table_count(&t, json_get_int(j, "arena", 0));
    table_count(&t, json_get_int(j, "own_constants", 0) + json_get_int(j, "own_params", 0));
    table_cell(&t, "%s", cli_count(t.arena, v->variant[i].instructions));
    table_cell(&t, "%s", cli_count(t.arena, v->variant[i].cycles));
    table_cell(&t, "%s", cli_count(t.arena, is_same_target(v) ? json_get_int(j, "cycles", -1) : -1));
  }
  table_print(&t);
  putchar('\n');
}

static void print_text(const Verified *v) {
  const Measured *m = &v->got;
  const Written *w = &v->written;
  const bool same = is_same_target(v);
  Table t;
  print_layers(v);
  print_variants(v);
  table_begin(&t, v->arena, "<bytes,>measured,>estimated,>error,>limit");
  row(&t, "flash", m->flash, same ? w->flash : -1, v->machine.board.flash);
  row(&t, "  code", m->flash_code, -1, 0);
  row(&t, "  weights", m->flash_weights, -1, 0);
  row(&t, "RAM", ram_of(m), same ? w->ram : -1, v->machine.board.ram);
  row(&t, "  arena", m->ram_arena, w->arena, 0);
  row(&t, "stack", m->stack, -1, 0);
  if (v->profile.stack >= 0) row(&t, "  by the compiler", v->profile.stack, -1, 0);
  row(&t, "instructions", m->instructions, -1, 0);
  row(&t, "cycles", m->cycles, same ? w->cycles : -1, 0);
  table_print(&t);
  if (m->instructions >= 0 && m->counted_by)
    printf("instructions of one inference, counted by %s; cycles: %s\n", m->counted_by, m->weighed_by);
  print_stack(&v->profile);
  printf("%s on %s: %d of %d self-test vectors pass, %d equal byte for byte\n", w->name,
         v->machine.target->name, m->vectors_passed, m->vectors, m->vectors_equal);
  if (m->second_ran) {
    printf("on %s as well\n", v->machine.target->second_machine);
  } else if (m->second_note[0]) {
    printf("%s\n", m->second_note);
  }
  if (!v->fits) printf("does NOT fit board %s\n", v->machine.board.name);
}

/* -- JSON -- */

static void json_known(JsonWriter *w, const char *key, int64_t v) {
  json_key(w, key);
  if (v < 0) {
    json_null(w);
  } else {
    json_int(w, v);
  }
}

static void json_layers(JsonWriter *w, const Verified *v) {
  json_karray(w, "layers");
  for (int i = 0; i < v->profile.n_layers; i++) {
    const Json *layer = json_at(v->written.layers, (uint32_t)i);
    const LayerMeasured *m = &v->profile.layers[i];
    json_object(w);
    json_kstr(w, "op", json_get_str(layer, "op", ""));
    json_kstr(w, "name", json_get_str(layer, "name", ""));
    json_kstr(w, "kernel", json_get_str(layer, "kernel", ""));
    json_kint(w, "macs", json_get_int(layer, "macs", 0));
    json_kint(w, "calls", m->calls);
    json_kint(w, "instructions", m->instructions);
    json_kint(w, "cycles", m->cycles);
    json_known(w, "cycles_estimated", is_same_target(v) ? json_get_int(layer, "cycles", -1) : -1);
    json_end(w);
  }
  json_end(w);
}

static void json_variants(JsonWriter *w, const Verified *v) {
  json_karray(w, "variants");
  for (int i = 0; i < v->n_variants; i++) {
    const Json *j = json_at(v->written.variants, (uint32_t)i);
    json_object(w);
    json_kint(w, "macs", json_get_int(j, "macs", 0));
    json_kint(w, "arena", json_get_int(j, "arena", 0));
    json_kint(w, "own_constants", json_get_int(j, "own_constants", 0));
    json_kint(w, "own_params", json_get_int(j, "own_params", 0));
    json_known(w, "instructions", v->variant[i].instructions);
    json_known(w, "cycles", v->variant[i].cycles);
    json_end(w);
  }
  json_end(w);
}

static void print_json(const Verified *v, const char *dir) {
  const Measured *m = &v->got;
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "folder", dir);
  json_kstr(&w, "name", v->written.name);
  json_kstr(&w, "target", v->machine.target->name);
  json_kint(&w, "flash", m->flash);
  json_kint(&w, "flash_code", m->flash_code);
  json_kint(&w, "flash_weights", m->flash_weights);
  json_kint(&w, "ram", ram_of(m));
  json_kint(&w, "ram_arena", m->ram_arena);
  json_known(&w, "stack", m->stack);
  json_known(&w, "stack_by_compiler", v->profile.stack);
  json_kstr(&w, "stack_deepest", v->profile.stack >= 0 ? v->profile.stack_deepest : NULL);
  json_kstr(&w, "stack_not_counted", v->profile.stack >= 0 ? v->profile.stack_without : NULL);
  json_known(&w, "instructions", m->instructions);
  json_kstr(&w, "counted_by", m->counted_by);
  json_known(&w, "cycles", m->cycles);
  json_kstr(&w, "weighed_by", m->weighed_by);
  json_known(&w, "flash_estimated", v->written.flash);
  json_known(&w, "ram_estimated", v->written.ram);
  json_known(&w, "cycles_estimated", v->written.cycles);
  json_kint(&w, "vectors", m->vectors);
  json_kint(&w, "vectors_passed", m->vectors_passed);
  json_kint(&w, "vectors_equal", m->vectors_equal);
  json_kbool(&w, "second_ran", m->second_ran);
  json_kstr(&w, "second_note", m->second_note);
  json_kbool(&w, "equal", v->equal);
  json_kbool(&w, "fits", v->fits);
  if (v->profile.layers) json_layers(&w, v);
  if (v->n_variants) json_variants(&w, v);
  json_end(&w);
  cli_json_end(&w, &b);
}

static int verify(Verified *v, const VerifyOpts *o, Diag *d) {
  if (!read_written(v->arena, o->dir, &v->written, d)) return EXIT_USER;
  const char *target = o->target || o->board ? o->target : v->written.target;
  if (!cli_machine(v->arena, target, o->board, &v->machine, d)) return EXIT_USER;
  Progress progress;
  cli_progress(&progress, &o->common, 1);
  bool ok = harness_verify_family(o->dir, v->machine.target, progress_host(&progress), &v->got, v->variant,
                                  &v->n_variants, d);
  v->equal = v->got.ran && v->got.vectors > 0 && v->got.vectors_passed == v->got.vectors;
  /* A vector that fails is a result; everything else that fails left none. */
  if (!ok && (!v->got.ran || v->equal)) return EXIT_USER;
  v->profile = (Profile){.stack = -1};
  if (ok && !o->brief &&
      !harness_profile(o->dir, v->machine.target, progress_host(&progress), v->arena, &v->profile, d))
    return EXIT_USER;
  const Board *b = &v->machine.board;
  v->fits = (!b->flash || v->got.flash <= b->flash) && (!b->ram || ram_of(&v->got) <= b->ram);
  if (o->common.json) {
    print_json(v, o->dir);
  } else {
    print_text(v);
  }
  return v->equal && v->fits ? EXIT_DONE : EXIT_LIMITS;
}

static int run(void *opts_, Diag *d) {
  Verified v = {.arena = arena_new()};
  int status = verify(&v, opts_, d);
  arena_free(v.arena);
  return status;
}

extern const Command cmd_verify;
const Command cmd_verify = {
    "verify",
    "Build emitted C with the target's compiler, run it, compare, measure",
    "Integers are to be equal, floats within 1e-5 of the output's range (1e-3 where Winograd's method is\n"
    "used). Measured: flash and RAM\n"
    "that the model adds to a program, by the linker; stack, painted (without the test's own) and\n"
    "by the compiler's call graph; instructions of one inference and, on Cortex-M, cycles by the\n"
    "documented classes, layer by layer beside the estimates.\n"
    "Exit status 2: a vector fails, or a board's memory is too small.",
    "  mistify verify out\n"
    "  mistify verify out --board nucleo-l432kc --json\n",
    opts,
    sizeof(VerifyOpts),
    run};
