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
} VerifyOpts;

static const Opt opts[] = {
    {"DIR", OPT_PARAM, offsetof(VerifyOpts, dir), true, NULL, "folder that mistify wrote"},
    {"--target", OPT_STRING, offsetof(VerifyOpts, target), false, "T",
     "build for this target (default: the one it was written for)"},
    {"--board", OPT_STRING, offsetof(VerifyOpts, board), false, "B",
     "this board's target; its flash and RAM are limits"},
    {0}};

/* What model.json says. -1: nothing. */
typedef struct Written {
  const char *name, *target;
  int64_t flash, ram, arena, cycles;
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
  *out =
      (Written){json_get_str(j, "name", ""), json_get_str(j, "target", NULL), json_get_int(e, "flash", -1),
                json_get_int(e, "ram", -1),  json_get_int(j, "arena", -1),    json_get_int(e, "cycles", -1)};
  FAIL_IF(!out->target, d, NULL, "%s: names no target", path);
  return true;
}

typedef struct Verified {
  Arena *arena;
  Written written;
  Machine machine;
  Measured got;
  bool equal, fits;
} Verified;

static int64_t ram_of(const Measured *m) { return m->ram_arena + m->ram_other; }

/* -- text -- */

static void row(Table *t, const char *what, int64_t measured, int64_t estimated, int64_t limit) {
  table_cell(t, "%s", what);
  table_cell(t, "%s", cli_count(t->arena, measured));
  table_cell(t, "%s", cli_count(t->arena, estimated));
  table_cell(
      t, "%s",
      measured > 0 && estimated > 0
          ? arena_printf(t->arena, "%+.1f %%", 100.0 * (double)(estimated - measured) / (double)measured)
          : "");
  table_cell(t, "%s", limit > 0 ? cli_count(t->arena, limit) : "");
}

static void print_text(const Verified *v) {
  const Measured *m = &v->got;
  const Written *w = &v->written;
  bool same =
      strcmp(v->machine.target->name, w->target) == 0; /* estimates are of the target it was written for */
  Table t;
  table_begin(&t, v->arena, "<bytes,>measured,>estimated,>error,>limit");
  row(&t, "flash", m->flash, same ? w->flash : -1, v->machine.board.flash);
  row(&t, "  code", m->flash_code, -1, 0);
  row(&t, "  weights", m->flash_weights, -1, 0);
  row(&t, "RAM", ram_of(m), same ? w->ram : -1, v->machine.board.ram);
  row(&t, "  arena", m->ram_arena, w->arena, 0);
  row(&t, "stack", m->stack, -1, 0);
  row(&t, "instructions", m->instructions, -1, 0);
  row(&t, "cycles", m->cycles, same ? w->cycles : -1, 0);
  table_print(&t);
  if (m->instructions >= 0 && m->counted_by)
    printf("instructions of one inference, counted by %s; cycles: %s\n", m->counted_by, m->weighed_by);
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
  json_end(&w);
  cli_json_end(&w, &b);
}

static int verify(Verified *v, const VerifyOpts *o, Diag *d) {
  if (!read_written(v->arena, o->dir, &v->written, d)) return EXIT_USER;
  const char *target = o->target || o->board ? o->target : v->written.target;
  if (!cli_machine(v->arena, target, o->board, &v->machine, d)) return EXIT_USER;
  Progress progress;
  cli_progress(&progress, &o->common, 1);
  bool ok = harness_verify(o->dir, v->machine.target, progress_host(&progress), &v->got, d);
  v->equal = v->got.ran && v->got.vectors > 0 && v->got.vectors_passed == v->got.vectors;
  /* A vector that fails is a result; everything else that fails left none. */
  if (!ok && (!v->got.ran || v->equal)) return EXIT_USER;
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
    "that the model adds to a program, by the linker; stack; instructions of one inference.\n"
    "Exit status 2: a vector fails, or a board's memory is too small.",
    "  mistify verify out\n"
    "  mistify verify out --board nucleo-l432kc --json\n",
    opts,
    sizeof(VerifyOpts),
    run};
