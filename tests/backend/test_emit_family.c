/* Families in one image: every variant's outputs are the engine's, whichever ran before; weights are there once; options
 * that families do not have, and graphs that are none, are refused. Layouts that hold slices, kernel by kernel.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/kernels/kernels.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "tests/backend/emitted.h"
#include "tests/backend/family_nets.h"
#include "tests/ir/custom_sample.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

Suite *suite_emit_family(void);

enum { N = 4 };

/* Multiples of the kernels' blocks, and widths that are none. */
static const FamilyWidth even[N] = {{16, 32}, {12, 24}, {8, 16}, {4, 8}},
                         odd[N] = {{13, 22}, {10, 17}, {7, 9}, {3, 5}},
                         large[N] = {{32, 96}, {24, 72}, {16, 48}, {8, 24}};

typedef struct Fixture {
  Graph *g[N];
  FamilyMember m[N];
  FamilyCost cost;
  char dir[600];
} Fixture;

static Fixture fixture_of(Graph *const *g) {
  Fixture f = {.dir = ""};
  for (int v = 0; v < N; v++) {
    f.g[v] = g[v];
    f.m[v] = (FamilyMember){.g = f.g[v], .accuracy_ppm = 900000 - 20000 * v};
  }
  return f;
}

static Fixture fixture(const FamilyWidth *w, bool pooled) {
  Graph *g[N];
  for (int v = 0; v < N; v++) g[v] = family_net(w[v], pooled, (unsigned)v);
  return fixture_of(g);
}

static Fixture separable_fixture(const FamilyWidth *w) {
  Graph *g[N];
  for (int v = 0; v < N; v++) g[v] = family_separable_net(w[v], (unsigned)v);
  return fixture_of(g);
}

static void done(Fixture *f) {
  for (int v = 0; v < N; v++) graph_free(f->g[v]);
}

static bool try_emit(Fixture *f, const char *target, const char *name, EmitOptions o, Diag *d) {
  snprintf(f->dir, sizeof f->dir, "%s/%s-%s", test_tmp_dir(), name, target);
  o.out_dir = f->dir;
  o.name = "net";
  return emit_family(f->m, N, target_find(target), &o, &f->cost, d);
}

static void emit(Fixture *f, const char *target, const char *name, EmitOptions o) {
  Diag *d = diag_new();
  ck_assert_msg(try_emit(f, target, name, o, d), "%s", diag_text(d));
  diag_free(d);
}

/* -- on this machine -- */

/* Plans and forms that families have. */
static const PlanOptions whole = {.level = PLAN_WHOLE}, stream = {.level = PLAN_STREAM};
static const EmitOptions forms[] = {{.plan = &whole, .controller = true},
                                    {.plan = &stream},
                                    {.plan = &stream, .optimize = OPT_SPEED},
                                    {.weights = WEIGHTS_APART, .kernels = "kernels"}};
enum { N_FORMS = sizeof forms / sizeof *forms };

START_TEST(every_form)
{
  for (int k = 0; k < 2; k++) {
    char name[40];
    Fixture f = fixture(_i % 2 ? odd : even, k);
    snprintf(name, sizeof name, "form%d-%d", _i, k);
    emit(&f, "x86-64", name, forms[_i]);
    must_run("cd '%s' && for f in model.c $(ls weights.c kernels/*.c 2>/dev/null); do gcc " STRICT
             " -Wmissing-prototypes -O1 -c $f -o strict.o || exit 1; done; "
             "gcc -std=c99 -DSELFTEST_MINIMAL -O1 -c selftest.c -o minimal.o && "
             "%s nm minimal.o | grep -q ' U .*_controller_end' && "
             "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined "
             "-fno-sanitize-recover=all selftest.c model.c $(ls weights.c kernels/*.c 2>/dev/null) -o "
             "selftest -lm "
             "&& ./selftest | grep -q 'vectors 16 passed 16 equal 16'",
             f.dir, forms[_i].controller ? "" : "!");
    done(&f);
  }
}
END_TEST

/* The functions as a program sees them. */
static const char program[] =
    "#include \"model.h\"\n#include <stdio.h>\n#include <string.h>\n"
    "static union { unsigned char bytes[NET_ARENA_SIZE]; double align; } memory[2];\n"
    "int main(void) {\n"
    "  net_context c[2];\n  signed char first[NET_VARIANTS][NET_OUTPUT0_BYTES];\n  int v, w, i;\n"
    "  mistify_budget all = {0, 0, 0, 0}, few = {0, 0, 0, 0}, none = {1, 0, 0, 0};\n"
    "  for (i = 0; i < 2; i++) if (net_init(&c[i], memory[i].bytes, sizeof memory[i])) return 1;\n"
    "  for (v = 0; v < NET_VARIANTS; v++) {\n"
    "    memset(net_input(&c[0], 0), 17, NET_INPUT0_BYTES);\n    net_run(&c[0], v);\n"
    "    memcpy(first[v], net_output(&c[0], 0), NET_OUTPUT0_BYTES);\n"
    "    if (v && !memcmp(first[v], first[v - 1], NET_OUTPUT0_BYTES)) return 2;\n"
    "  }\n"
    /* two contexts at once, each with a variant of its own, whatever ran before */
    "  for (v = 0; v < NET_VARIANTS; v++)\n    for (w = 0; w < NET_VARIANTS; w++) {\n"
    "      for (i = 0; i < 2; i++) memset(net_input(&c[i], 0), 17, NET_INPUT0_BYTES);\n"
    "      net_run(&c[0], v);\n      net_run(&c[1], w);\n"
    "      if (memcmp(net_output(&c[0], 0), first[v], NET_OUTPUT0_BYTES)) return 3;\n"
    "      if (memcmp(net_output(&c[1], 0), first[w], NET_OUTPUT0_BYTES)) return 4;\n    }\n"
    /* a number that is no variant does nothing */
    "  net_run(&c[0], NET_VARIANTS);\n  net_run(&c[0], -1);\n"
    "  if (memcmp(net_output(&c[0], 0), first[NET_VARIANTS - 1], NET_OUTPUT0_BYTES)) return 5;\n"
    "  if (net_output(&c[0], 1) || net_input(&c[0], 1)) return 6;\n"
    "  few.time = net_variants[1].cycles;\n"
    "  if (net_select(&all) != 0 || net_select(&few) != 1 || net_select(&none) != -1) return 7;\n"
    "  for (v = 0; v < NET_VARIANTS; v++)\n"
    "    if (net_info[v].arena_size != NET_ARENA_SIZE || net_variants[v].ram > NET_ARENA_SIZE) return 8;\n"
    "  return net_info[0].macs > net_info[3].macs ? 0 : 9;\n}\n";

START_TEST(a_program)
{
  char path[700];
  Fixture f = fixture(odd, true);
  for (int v = 0; v < N; v++) f.m[v].cycles = 1000 * (N - v);
  emit(&f, "x86-64", "program", (EmitOptions){.plan = &stream});
  snprintf(path, sizeof path, "%s/main.c", f.dir);
  test_write_file(path, program, strlen(program));
  must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined main.c "
           "model.c -o "
           "main -lm && ./main",
           f.dir);
  done(&f);
}
END_TEST

/* -- on the targets -- */

static const char *const on[] = {"cortex-m4", "aarch64", "cortex-m0"};
enum { N_TARGETS = sizeof on / sizeof *on };

static void check_variants(const Fixture *f, const char *target) {
  Measured m;
  VariantMeasured v[EMIT_VARIANTS];
  int n;
  Diag *d = diag_new();
  ck_assert_msg(harness_verify_family(f->dir, target_find(target), NULL, &m, v, &n, d), "%s: %s", target,
                diag_text(d));
  ck_assert_int_eq(n, N);
  ck_assert_int_eq(m.vectors, N * N);
  ck_assert_int_eq(m.vectors_equal, N * N);
  for (int i = 0; i < N && v[0].instructions >= 0; i++) {
    ck_assert_int_gt(v[i].instructions, 1000);
    if (i && strcmp(target, "cortex-m4") == 0) ck_assert_int_lt(v[i].cycles, v[i - 1].cycles);
  }
  if (v[0].cycles >= 0) ck_assert_int_lt(v[N - 1].cycles, v[0].cycles);
  diag_free(d);
}

START_TEST(byte_equal)
{
  const char *target = on[_i % N_TARGETS];
  const bool flat = _i >= N_TARGETS;
  char name[40];
  if (!have_target(__FILE__, target)) return;
  Fixture f = fixture(flat ? even : odd, !flat);
  snprintf(name, sizeof name, "on%d", _i);
  emit(&f, target, name, (EmitOptions){.optimize = OPT_BALANCED});
  check_variants(&f, target);
  if (strcmp(target, "cortex-m4") == 0) must_run("grep -q conv_s8__armv7em_family '%s/model.c'", f.dir);
  if (strcmp(target, "aarch64") == 0) must_run("grep -q conv_s8__neon_family '%s/model.c'", f.dir);
  done(&f);
}
END_TEST

static int64_t json_number(const char *dir, const char *key, int variant) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  const char *path = path_join(a, dir, "model.json"), *text = file_read(a, path, &n, d);
  const Json *j = text ? json_parse(a, text, n, path, d) : NULL;
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  if (variant >= 0) j = json_at(json_get(j, "variants"), (uint32_t)variant);
  const int64_t v = json_get_int(j, key, -1);
  diag_free(d);
  arena_free(a);
  return v;
}

/* -- depthwise convolutions of 3x3, pointwise ones -- */

static const struct {
  const char *target, *depthwise, *none;
  FamilyWidth width[N];
} separables[] = {
    {"cortex-m4",
     "depthwise_s8__armv7em_3x3_family",
     "conv_s8__generic|depthwise_s8__generic",
     {{32, 64}, {24, 48}, {12, 28}, {8, 16}}},
    {"aarch64",
     "depthwise_s8__neon",
     "conv_s8__generic|depthwise_s8__generic",
     {{32, 64}, {24, 48}, {16, 32}, {8, 16}}},
    {"cortex-m0", "depthwise_s8__armv6m", "depthwise_s8__generic", {{32, 64}, {24, 48}, {16, 32}, {8, 16}}},
    {"cortex-m55",
     "depthwise_s8__mve",
     "conv_s8__generic|depthwise_s8__generic",
     {{32, 64}, {32, 48}, {16, 32}, {16, 16}}}, /* Helium: sixteen */
};
enum { N_SEPARABLES = sizeof separables / sizeof *separables };

/* They keep kernels of the target's own in every variant. */
START_TEST(separable)
{
  const char *target = separables[_i].target;
  if (!have_target(__FILE__, target)) return;
  Fixture f = separable_fixture(separables[_i].width);
  emit(&f, target, "separable", (EmitOptions){.optimize = OPT_BALANCED});
  check_variants(&f, target);
  must_run("cd '%s' && grep -q %s model.c && ! grep -qE '%s' model.c", f.dir, separables[_i].depthwise,
           separables[_i].none);
  done(&f);
}
END_TEST

/* -- estimates, against the emulator and the linker -- */

static void near(const char *target, const char *what, int64_t estimate, int64_t got, double share,
                 int64_t bytes) {
  const int64_t off = llabs(estimate - got), may = (int64_t)((double)got * share) + bytes;
  printf("%s: %s estimated %lld, counted %lld\n", target, what, (long long)estimate, (long long)got);
  ck_assert_msg(off <= may, "%s: %s estimated %lld, counted %lld", target, what, (long long)estimate,
                (long long)got);
}

/* Cortex-M4 is within 4 %. Elsewhere rows of the plain kernels were measured where the compiler specializes and (at -O3) copies
 * them, which it does less in a family. */
START_TEST(estimates)
{
  const bool apart = _i >= N_TARGETS;
  const bool bare = strcmp(on[_i % N_TARGETS], "aarch64") != 0;
  const char *target = on[_i % N_TARGETS];
  if (!have_target(__FILE__, target)) return;
  Fixture f = apart ? separable_fixture(separables[1].width) : fixture(large, true);
  Measured m;
  VariantMeasured v[EMIT_VARIANTS];
  int n;
  Diag *d = diag_new();
  emit(&f, target, apart ? "estimates-apart" : "estimates", (EmitOptions){.optimize = OPT_BALANCED});
  ck_assert_msg(harness_verify_family(f.dir, target_find(target), NULL, &m, v, &n, d), "%s: %s", target,
                diag_text(d));
  for (int i = 0; i < n && v[i].cycles > 0; i++) {
    char what[24];
    snprintf(what, sizeof what, "cycles of %d", i);
    near(target, what, f.cost.cycles[i], v[i].cycles, strcmp(target, "cortex-m4") == 0 ? 0.05 : 0.18, 0);
    ck_assert_int_eq(json_number(f.dir, "cycles", i), f.cost.cycles[i]);
  }
  ck_assert_int_eq(f.cost.image.cycles, f.cost.cycles[0]);
  near(target, "flash", f.cost.image.flash, m.flash, bare ? 0.04 : 0.25, 300);
  near(target, "constants", f.cost.image.flash_weights, m.flash_weights, 0.01, 700);
  near(target, "RAM", f.cost.image.ram, m.ram_arena + m.ram_other, 0.01, 0);
  diag_free(d);
  done(&f);
}
END_TEST

/* The image is the widest alone, what each variant has of its own, and little more. */
START_TEST(flash)
{
  const char *target = on[_i];
  if (!have_target(__FILE__, target)) return;
  Fixture f = fixture(large, true);
  Measured all, alone;
  Diag *d = diag_new();
  emit(&f, target, "flash", (EmitOptions){.optimize = OPT_BALANCED});
  ck_assert_msg(harness_sizes(f.dir, target_find(target), NULL, &all, d), "%s", diag_text(d));
  int64_t own = 0, weights = json_number(f.dir, "shared_constants", -1);
  for (int v = 1; v < N; v++)
    own += json_number(f.dir, "own_constants", v) + json_number(f.dir, "own_params", v);
  const char *dir = emit_to_tmp(f.g[0], target, "alone");
  ck_assert_msg(harness_sizes(dir, target_find(target), NULL, &alone, d), "%s", diag_text(d));
  printf("%s: %lld bytes, the widest alone %lld, shared %lld, own %lld\n", target, (long long)all.flash,
         (long long)alone.flash, (long long)weights, (long long)own);
  ck_assert_int_ge(weights, 32 * 27 + 32 * 9 + 96 * 9 * 32 + 96 * 96 + 5 * 96);
  ck_assert_int_gt(own, 0);
  ck_assert_int_le(all.flash, alone.flash * 115 / 100 + own);
  diag_free(d);
  done(&f);
}
END_TEST

/* -- refused -- */

static void refused(Fixture *f, EmitOptions o, const char *why) {
  Diag *d = diag_new();
  ck_assert(!try_emit(f, "cortex-m4", "refused", o, d));
  ck_assert_msg(strstr(diag_text(d), why) != NULL, "\"%s\" is not in: %s", why, diag_text(d));
  ck_assert(!file_exists(f->dir));
  diag_free(d);
}

/* Every option and every form of graph that families do not have, each with its message. */
START_TEST(options_without)
{
  Fixture f = fixture(even, true);
  const PlanOptions rows = {.input_rows = true},
                    regions = {.region = {{.name = "fast", .bytes = 1000}, {.name = NULL}}, .n_regions = 2};
  refused(&f, (EmitOptions){.weights = WEIGHTS_BLOB}, "in a blob");
  refused(&f, (EmitOptions){.step = true}, "in pieces");
  refused(&f, (EmitOptions){.plan = &rows}, "row by row");
  refused(&f, (EmitOptions){.plan = &regions}, "in several regions");
  refused(&f, (EmitOptions){.adapt = DEVICE_ADAPT_LAST}, "training on the device");
  done(&f);
}
END_TEST

static void refused_graphs(const char *wide, const char *narrow, const char *why) {
  Fixture f = {.dir = ""};
  for (int v = 0; v < N; v++) {
    f.g[v] = graph_of(v ? narrow : wide);
    if (strstr(narrow, "Custom(")) custom_attach(f.g[v], custom_sample());
    f.m[v].g = f.g[v];
  }
  refused(&f, (EmitOptions){.step = false}, why);
  done(&f);
}

START_TEST(graphs_without)
{
  static const char kept[] = "%x = input : i8[1,4] q(0.1, 0)\n%c = const : i8[1,4] q(0.1, 0) {0, 0, 0, 0}\n"
                             "%s = state(%c) : i8[1,4] q(0.1, 0)\n%n = Add(%x, %s) : i8[1,4] q(0.1, 0)\n"
                             "next %s = %n\noutput %n\n",
                    own[] = "%x = input : i8[2,5] q(0.1, 0)\n%y = Custom(%x) {function=sample_mix} : i8[2,5] "
                            "q(0.1, 0)\noutput %y\n",
                    floats[] = "%x = input : f32[1,4]\n%y = Relu(%x)\noutput %y\n",
                    constant[] = "%x = input : i8[1,4] q(0.1, 0)\n%w = const : i8[4,4] q(0.01, 0) @i8:16\n"
                                 "%y = FullyConnected(%x, %w) : i8[1,4] q(0.1, 0)\n"
                                 "%z = const : i8[2] {1, 2}\noutput %y, %z\n";
  refused_graphs(kept, kept, "keeps values from one run to the next");
  refused_graphs(own, own, "custom operators");
  refused_graphs(floats, floats, "share no weights");
  refused_graphs(constant, constant, "is a constant");
  Fixture f = fixture(even, true);
  Diag *d = diag_new();
  EmitOptions o = {.out_dir = "none", .name = "net"};
  ck_assert(!emit_family(f.m, EMIT_VARIANTS + 1, target_find("cortex-m4"), &o, NULL, d));
  ck_assert(strstr(diag_text(d), "want 1 to 16") != NULL);
  diag_free(d);
  done(&f);
}
END_TEST

/* Variants are not equally sure: the reference's confidence is no limit for them. */
START_TEST(drift_of_a_family)
{
  Fixture f = fixture(even, true);
  const Value *in = graph_val(f.m[0].g, f.m[0].g->inputs[0]);
  const DriftReference drift = {.reference = {.mean = {1, 2, 3, 4},
                                              .inverse = {91, 92, 93, 94},
                                              .piece = (uint32_t)shape_count(&in->shape),
                                              .step = 1,
                                              .next = 1},
                                .interval = 1000};
  emit(&f, "x86-64", "drift", (EmitOptions){.drift = &drift});
  must_run("cd '%s' && grep -q '{91u, 92u, 93u, 0u}' model.c", f.dir);
  done(&f);
}
END_TEST

START_TEST(no_family)
{
  Fixture f = fixture(even, true), flat = fixture(even, false);
  const FamilyMember m0 = f.m[0], m1 = f.m[1];
  f.m[0] = m1, f.m[1] = m0;
  refused(&f, (EmitOptions){.step = false}, "want the widest first");
  f.m[0] = m0, f.m[1] = flat.m[1];
  refused(&f, (EmitOptions){.step = false}, "want variants of one model");
  Graph *other = graph_of(small_int8_net);
  f.m[1].g = other;
  refused(&f, (EmitOptions){.step = false}, "other inputs or outputs");
  graph_free(other);
  done(&f);
  done(&flat);
}
END_TEST

/* -- layouts -- */

/* A narrower case of `c`: fewer channels of output and input, the input's bytes new. */
static bool narrow_case(const KernelCase *c, Rng *r, Arena *a, KernelCase *out) {
  *out = *c;
  out->params = arena_dup(a, c->params, c->kernel->params->size);
  if (strcmp(c->kernel->name, "fc_s8") == 0) {
    mf_fc_s8 *p = out->params;
    p->n = 1 + (int32_t)rng_below(r, (uint32_t)p->n);
    p->k = 1 + (int32_t)rng_below(r, (uint32_t)p->k);
    out->in[0].row = p->k;
    out->out_row = p->n;
  } else {
    mf_conv_s8 *p = out->params;
    const bool depthwise = strcmp(c->kernel->name, "depthwise_s8") == 0;
    p->g.out_c = 1 + (int32_t)rng_below(r, (uint32_t)p->g.out_c);
    p->g.in_c = depthwise ? p->g.out_c : 1 + (int32_t)rng_below(r, (uint32_t)p->g.in_c);
    if (!depthwise && rng_below(r, 4) == 0) p->g.in_c = ((const mf_conv_s8 *)c->params)->g.in_c;
    if (p->groups > 1 && !depthwise) return false;
    if (depthwise) p->groups = p->g.out_c;
    out->in[0].row = p->g.in_w * p->g.in_c;
    out->out_row = p->g.out_w * p->g.out_c;
  }
  out->in[0].data = arena_alloc(a, (size_t)(out->in[0].row * out->in[0].rows));
  fill_random(r, out->in[0].data, (size_t)(out->in[0].row * out->in[0].rows), 'b');
  return true;
}

/* Packed with the widest one's weights: they are its bytes, and the outputs the generic kernel's. */
static void check_slice(const KernelDef *k, const KernelCase *wide, const KernelCase *c, Arena *a) {
  KernelPack w = {.desc = k->params, .params = arena_dup(a, wide->params, k->params->size), .arena = a};
  KernelPack p = {.desc = k->params,
                  .params = arena_dup(a, c->params, k->params->size),
                  .arena = a,
                  .widest = wide->params};
  if (k->pack) k->pack(&w), k->pack(&p);
  for (int i = 0; i < p.n_consts; i++)
    for (int j = 0; j < w.n_consts; j++)
      if (strcmp(k->params->fields[p.consts[i].field].name, "w") == 0 &&
          w.consts[j].field == p.consts[i].field)
        WANT(p.consts[i].count == w.consts[j].count &&
                 memcmp(p.consts[i].data, w.consts[j].data, (size_t)w.consts[j].count) == 0,
             "%s__%s: the arrays of weights differ (%s)", k->name, k->tag, wide->text);
  const char *want = kernel_case_reference(c, a);
  const size_t n = (size_t)(c->out_rows * c->out_row), need = k->scratch ? k->scratch(c->params) : 0;
  char *got = arena_alloc(a, n);
  const mf_view in = {c->in[0].data, c->in[0].row, 0}, out = {got, c->out_row, 0};
  k->fn(p.params, &in, &out, 0, c->out_rows, need ? arena_alloc(a, need) : NULL);
  for (size_t i = 0; i < n; i++)
    WANT(got[i] == want[i], "%s__%s: slice of (%s): byte %zu is %d, want %d", k->name, k->tag, wide->text, i,
         got[i], want[i]);
}

START_TEST(slices)
{
  enum { CASES = 300 };
  int tested = 0, kernels = 0;
  for (int s = 0; s < n_kernel_sets; s++)
    for (int i = 0; i < *kernel_sets[s].n; i++) {
      const KernelDef *k = &kernel_sets[s].kernels[i];
      const bool weighted = strcmp(k->name, "conv_s8") == 0 || strcmp(k->name, "fc_s8") == 0 ||
                            strcmp(k->name, "depthwise_s8") == 0;
      if (!weighted || !k->fn) continue;
      int here = 0;
      for (uint64_t n = 0; n < CASES; n++) {
        Arena *a = arena_new();
        Rng r;
        rng_seed(&r, 77 + (uint64_t)i, n);
        KernelCase wide = kernel_case(k, &r, a), c;
        if (narrow_case(&wide, &r, a, &c) && (!k->accepts || k->accepts(c.params)) &&
            kernel_shares(k, wide.params, c.params)) {
          check_slice(k, &wide, &c, a);
          here++;
        }
        arena_free(a);
      }
      tested += here;
      kernels += here > 0;
    }
  ck_assert_int_ge(kernels, 18); /* six of Armv7E-M, three each: generic, Armv7-M, Armv6-M, Helium */
  ck_assert_int_gt(tested, 500);
}
END_TEST

Suite *suite_emit_family(void) {
  Suite *s = suite_create("emit_family");
  TCase *t = tcase_create("family");
  tcase_set_timeout(t, 300);
  tcase_add_loop_test(t, every_form, 0, N_FORMS);
  tcase_add_test(t, a_program);
  tcase_add_loop_test(t, byte_equal, 0, N_TARGETS + 1); /* the flat one on the first alone */
  tcase_add_loop_test(t, flash, 0, 2);
  tcase_add_loop_test(t, separable, 0, N_SEPARABLES);
  tcase_add_loop_test(t, estimates, 0, 2 * N_TARGETS);
  tcase_add_test(t, options_without);
  tcase_add_test(t, graphs_without);
  tcase_add_test(t, drift_of_a_family);
  tcase_add_test(t, no_family);
  tcase_add_test(t, slices);
  suite_add_tcase(s, t);
  return s;
}
