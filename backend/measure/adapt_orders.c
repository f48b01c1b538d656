/* harness_adapt: emitted C that learns, on its target: orders in, results out (backend/harness/adapt_body.c). */
#include "backend/measure/measure.h"

#include <string.h>

#include "backend/emit/emit.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

static const char names[] =
    "#define adapt_context      @_context\n#define adapt_init         @_init\n#define adapt_adapt_init   "
    "@_adapt_init\n"
    "#define adapt_run          @_run\n#define adapt_input        @_input\n#define adapt_output       "
    "@_output\n"
    "#define adapt_step         @_adapt_step\n#define adapt_rates        @_adapt_rates\n"
    "#define adapt_reset        @_adapt_reset\n#define adapt_features     @_adapt_features\n"
    "#define adapt_step_features @_adapt_step_features\n"
    "#define ADAPT_ARENA_BYTES    $_ARENA_SIZE\n#define ADAPT_STATE_BYTES    $_ADAPT_STATE_SIZE\n"
    "#define ADAPT_FEATURES_BYTES $_ADAPT_FEATURES\n#define ADAPT_WORDS_BYTES    (4 * $_ADAPT_WORDS)\n"
    "#define ADAPT_INPUT_BYTES    $_INPUT0_BYTES\n#define ADAPT_OUTPUT_BYTES   $_OUTPUT0_BYTES\n";

static bool write_program(Work *w, const char *name) {
  StrBuf b = {0};
  const char *body = embedded_text("backend/harness/adapt_body.c");
  for (const char *p = names; *p; p++) {
    if (*p == '@')
      sb_puts(&b, name);
    else if (*p != '$')
      sb_putc(&b, *p);
    else
      for (const char *q = name; *q; q++) sb_putc(&b, *q >= 'a' && *q <= 'z' ? (char)(*q - 'a' + 'A') : *q);
  }
  ASSERT(body != NULL);
  sb_puts(&b, body);
  const bool ok = file_write(path_join(w->arena, w->tmp, "adapt.c"), sb_str(&b), b.len, w->diag);
  sb_free(&b);
  return ok;
}

static bool write_orders(Work *w, const AdaptRun *r) {
  StrBuf b = {0};
  const uint32_t head[2] = {r->count, (uint32_t)r->n};
  sb_write(&b, r->rates, sizeof r->rates);
  sb_write(&b, head, sizeof head);
  for (int i = 0; i < r->n; i++) {
    const AdaptOrder *o = &r->orders[i];
    sb_write(&b, &o->what, sizeof o->what);
    if (o->what >= ADAPT_RUN) sb_write(&b, o->input, r->input_bytes);
    if (o->what == ADAPT_RATES) sb_write(&b, o->input, sizeof r->rates);
  }
  const bool ok = file_write(path_join(w->arena, w->tmp, "vectors.bin"), sb_str(&b), b.len, w->diag);
  sb_free(&b);
  return ok;
}

static bool run(Work *w, const AdaptRun *r, StrBuf *out) {
  const char *program, *output;
  size_t n = 0;
  int status;
  TRY(write_program(w, r->name) && write_orders(w, r));
  TRY(build_with(w, path_join(w->arena, w->tmp, "adapt.c"),
                 w->bare ? machine_script(w->target->machine) : NULL, &program));
  TRY(run_selftest(w, program, w->target->machine, w->bare && r->count, &status, &output));
  FAIL_IF(status != 0, w->diag, NULL, "the program on %s ended with status %d:\n%s", w->target->run, status,
          output);
  const char *bytes = file_read(w->arena, path_join(w->arena, w->tmp, "outputs.bin"), &n, w->diag);
  if (bytes) sb_write(out, bytes, n);
  return bytes != NULL;
}

bool harness_adapt(const char *dir, const Target *t, const AdaptRun *r, StrBuf *out, Diag *d) {
  Work w;
  bool ok = work_begin(&w, dir, t, NULL, d) && run(&w, r, out);
  work_end(&w);
  return ok;
}
