/* Emission: a graph becomes a folder of C for one target.
 *
 *   bind batch 1 -> lower -> select kernels -> plan memory -> collect constants -> print -> publish
 *
 * The same graph, target and options give the same bytes on every machine.
 */
#include "backend/emit/adapt_c.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 60 };

static bool check_name(const char *name, Diag *d) {
  bool ok = name && (isalpha((unsigned char)*name) || *name == '_') && strlen(name) <= NAME_MAX_LEN;
  for (const char *p = name; ok && *p; p++) ok = isalnum((unsigned char)*p) || *p == '_';
  if (ok) return true;
  diag_error(d, NULL, "name \"%s\": want a C identifier of at most %d letters", name ? name : "",
             NAME_MAX_LEN);
  diag_hint(d, "it becomes the prefix of the model's functions: NAME_run, ...");
  return false;
}

static const char *in_capitals(Arena *a, const char *s) {
  char *u = arena_strdup(a, s);
  for (char *p = u; *p; p++) *p = (char)toupper((unsigned char)*p);
  return u;
}

/* -- constants -- */

/* Into `pool`; `first`: the number of the first layer. */
void collect_constants(Emit *e, ConstPool *pool, int first) {
  e->names = arena_array(e->arena, (size_t)e->calls.n + 1, sizeof *e->names);
  e->out_const = arena_array(e->arena, (size_t)e->g->n_outputs + 1, sizeof *e->out_const);
  for (uint32_t c = 0; c < e->calls.n; c++)
    pool_add_call(pool, e->g, &e->calls.v[c], first + (int)c, &e->names[c]);
  for (uint32_t i = 0; i < e->g->n_outputs; i++) {
    ValId root = value_root(e->g, e->g->outputs[i]);
    e->out_const[i] =
        val_is_const(e->g, root) ? pool_add_value(pool, e->g, root, first + (int)e->calls.n) : -1;
  }
}

/* -- options -- */

bool emit_options_check(const EmitOptions *o, Diag *d) {
  const int64_t align = o->weights_align;
  const char *s = o->weights_section;
  FAIL_IF(align < 0 || align > 4096 || (align & (align - 1)) != 0, d, NULL,
          "weights aligned to %lld: want a power of 2 of at most 4096", (long long)align);
  FAIL_IF(s && (!*s || strlen(s) > 60 ||
                strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._$") != strlen(s)),
          d, NULL, "section \"%s\" of the weights: want a section's name", s);
  FAIL_IF(o->adapt_rank && o->adapt != DEVICE_ADAPT_ADAPTERS, d, NULL,
          "adapt: rank %d is of adapters: %s has none", o->adapt_rank, device_adapt_name(o->adapt));
  FAIL_IF(o->adapt_rank < 0 || o->adapt_rank > DEVICE_ADAPT_RANK_MAX, d, NULL, "adapt: rank %d: want 1 to %d",
          o->adapt_rank, DEVICE_ADAPT_RANK_MAX);
  return true;
}

/* -- files -- */

static bool print_files(Emit *e, OutFiles *f) {
  TRY(add_kernel_files(e, f) && add_custom_files(e, f));
  TRY(print_model_c(e, files_add(f, "model.c")));
  if (e->opt->weights != WEIGHTS_IN_CODE) print_weights_c(e, files_add(f, "weights.c"));
  if (in_blob(e)) blob_bytes(e, files_add(f, arena_printf(e->arena, "%s_weights.bin", e->opt->name)));
  return print_other_files(e, f);
}

bool print_other_files(Emit *e, OutFiles *f) {
  print_model_h(e, files_add(f, "model.h"));
  print_io_h(e, files_add(f, "model_io.h"));
  TRY(print_selftest(e, files_add(f, "selftest.c"), e->diag));
  TRY(make_vectors(e, files_add(f, "vectors.bin"), e->diag));
  StrBuf cmake = {0}, json = {0};
  print_cmake(e, f, &cmake);
  print_json(e, f, &json);
  sb_write(files_add(f, "CMakeLists.txt"), sb_str(&cmake), cmake.len);
  sb_write(files_add(f, "model.json"), sb_str(&json), json.len);
  sb_free(&cmake);
  sb_free(&json);
  return true;
}

/* -- driver -- */

/* In patches, where the limit of memory asks for them. */
static void patch(Emit *e) {
  e->plan_options = e->opt->plan ? *e->opt->plan : target_plan(e->target);
  e->plan_options.whole |=
      e->opt->adapt != DEVICE_ADAPT_NONE; /* a layer in bands would learn in each of them */
  Graph *patched = plan_patches(e->g, e->target, &e->plan_options);
  if (!patched) return;
  graph_free(e->bound);
  e->g = e->bound = patched;
}

bool emit_lower_and_plan(Emit *e, const Graph *planned) {
  calls_free(&e->calls);
  calls_init(&e->calls);
  TRY(graph_lower(e->g, &e->calls, e->diag));
  TRY(select_kernels(e->g, e->target, &e->calls, e->diag));
  return plan_memory(planned, &e->calls, &e->plan_options, e->arena, &e->plan, e->diag);
}

/* -- adaptation -- */

static const char *const adapt_names[] = {"none", "last", "bias", "scale", "last-k", "adapters"};
const char *device_adapt_name(DeviceAdapt a) { return adapt_names[a]; }

bool device_adapt_named(const char *name, DeviceAdapt *out, Diag *d) {
  for (int i = DEVICE_ADAPT_LAST; i <= DEVICE_ADAPT_ADAPTERS; i++)
    if (strcmp(name, adapt_names[i]) == 0) {
      *out = (DeviceAdapt)i;
      return true;
    }
  diag_error(d, NULL, "adapt: layers \"%s\"; want last, bias, scale, adapters or last-k", name);
  diag_hint(d, "bias with memory=SIZE takes the fewest bytes for a layer; docs/adaptation.md");
  return false;
}

static bool plan_adaptation(Emit *e) {
  const EmitOptions *o = e->opt;
  FAIL_IF(in_blob(e), e->diag, NULL,
          "weights of their own (blob) and adapt do not go together: states fit one set of weights");
  FAIL_IF(o->step || e->plan_options.input_rows, e->diag, NULL,
          "adapt goes with whole runs: not with pieces (step), nor with an input by rows");
  FAIL_IF(
      e->g->n_states > 0, e->diag, NULL,
      "adapt: the model keeps values in its arena from one run to the next: gradients would lie over them");
  AdaptEmit *ad = arena_array(e->arena, 1, sizeof *ad);
  calls_init(&ad->calls);
  e->adapt = ad;
  TRY(emit_adapt_plan(e));
  if (!o->adapt_sizes) return true;
  *o->adapt_sizes = (AdaptSizes){.state = emit_adapt_state_bytes(ad),
                                 .arena = e->plan.arena - ad->arena_without,
                                 .inference = ad->arena_without,
                                 .biases = ad->chosen,
                                 .layers = ad->n_affines,
                                 .beyond = ad->beyond,
                                 .form = o->adapt,
                                 .learning = ad->learning,
                                 .rank = ad->rank,
                                 .adapters = ad->adapters,
                                 .narrow = ad->narrow,
                                 .turns = ad->turns,
                                 .cycles = emit_adapt_cycles(e),
                                 .learned = emit_adapt_learned(e)};
  if (ad->ends) snprintf(o->adapt_sizes->ends, sizeof o->adapt_sizes->ends, "%s", ad->ends);
  return true;
}

static bool prepare(Emit *e) {
  FAIL_IF(!e->g->n_outputs, e->diag, NULL, "the model has no output; want one at least");
  patch(e);
  TRY(e->opt->adapt ? plan_adaptation(e) : emit_lower_and_plan(e, e->g));
  e->pool.apart = in_blob(e);
  collect_constants(e, &e->pool, 0);
  TRY(collect_states(e));
  if (e->adapt) emit_adapt_collect(e);
  FAIL_IF(
      e->opt->share_arena && e->g->n_states > 0, e->diag, NULL,
      "the model keeps values in its arena from one run to the next: it cannot share it with other models");
  FAIL_IF(e->opt->step && e->plan.hop, e->diag, NULL,
          "windows that overlap (hop) and a run in pieces (step) do not go together");
  blob_layout(e);
  return need_control(e);
}

static bool emit_bound(Emit *e) {
  OutFiles files = {0};
  bool ok = prepare(e) && print_files(e, &files) && files_publish(e->arena, e->opt->out_dir, &files, e->diag);
  files_free(&files);
  return ok;
}

Graph *bind_batch(const Graph *g, Diag *d) {
  for (uint32_t i = 0; i < g->n_inputs; i++)
    if (!shape_is_static(&graph_val(g, g->inputs[i])->shape)) return graph_with_batch(g, 1, d);
  return graph_clone(g);
}

bool emit_begin(Emit *e, const Graph *g, const Target *t, const EmitOptions *o, Diag *d) {
  TRY(check_name(o->name, d) && emit_options_check(o, d));
  Graph *bound = bind_batch(g, d);
  if (!bound) return false;
  *e = (Emit){.g = bound, .bound = bound, .target = t, .opt = o, .arena = arena_new(), .diag = d};
  e->upper = in_capitals(e->arena, o->name);
  calls_init(&e->calls);
  return true;
}

void emit_end(Emit *e) {
  calls_free(&e->calls);
  if (e->adapt) calls_free(&e->adapt->calls);
  pool_free(&e->pool);
  arena_free(e->arena);
  graph_free(e->bound);
}

bool emit_c(const Graph *g, const Target *t, const EmitOptions *o, Diag *d) {
  Emit e;
  FAIL_IF(o->controller, d, NULL,
          "a controller chooses among variants: this model has one (want a family, or exits)");
  TRY(emit_begin(&e, g, t, o, d));
  bool ok = emit_bound(&e);
  emit_end(&e);
  return ok;
}

bool emit_text(const Graph *g, const Target *t, const EmitOptions *o, StrBuf *model_h, StrBuf *model_c,
               Diag *d) {
  Emit e;
  TRY(emit_begin(&e, g, t, o, d));
  bool ok = prepare(&e) && print_model_c(&e, model_c);
  if (ok) print_model_h(&e, model_h);
  emit_end(&e);
  return ok;
}
