/* Channels of every kind of operator, by nets in the text form whose units are known by thought. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "passes/channels.h"
#include "tests/passes/nets.h"

Suite *suite_channels_whole(void);

static ValId named(const Graph *g, const char *name) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].name && strcmp(g->vals[v].name, name) == 0) return v;
  ck_abort_msg("no value %s", name);
  return NO_VAL;
}

typedef struct Found {
  Graph *g;
  Channels c;
} Found;

/* "zeros" behind a constant's type is its elements. */
static void with_zeros(const char *text, StrBuf *out) {
  sb_puts(out, "graph \"test\"\n");
  for (const char *at; (at = strstr(text, " zeros")) != NULL; text = at + 6) {
    sb_write(out, text, (size_t)(at - text));
    const char *dim = at;
    while (*dim != '[') dim--;
    long n = 1;
    for (char *end; *dim != ']'; dim = end) n *= strtol(dim + 1, &end, 10);
    for (long i = 0; i < n; i++) sb_puts(out, i ? ",0" : " {0");
    sb_puts(out, "}");
  }
  sb_puts(out, text);
}

static Found find(const char *text) {
  Diag *d = diag_new();
  StrBuf whole = {0};
  with_zeros(text, &whole);
  Found f = {.g = graph_parse(sb_str(&whole), "test", d)};
  sb_free(&whole);
  ck_assert_msg(f.g && graph_verify(f.g, d), "%s", diag_text(d));
  ck_assert_msg(channels_find(f.g, NULL, &f.c, d), "%s", diag_text(d));
  diag_free(d);
  return f;
}

static void done(Found *f) {
  channels_free(&f->c);
  graph_free(f->g);
}

/* Entry i along that axis of the value; a negative axis counts from the end. */
static uint32_t unit(const Found *f, const char *name, int axis, uint32_t i) {
  const ValId v = named(f->g, name);
  if (axis < 0) axis += graph_val(f->g, v)->shape.rank;
  return f->c.along[v].axis[axis] ? f->c.along[v].axis[axis][i] : CHAN_FIXED;
}

static const char *reason(const Found *f, const char *name) {
  for (uint32_t i = 0; i < f->c.n_layers; i++)
    if (strcmp(f->c.layers[i].name, name) == 0) return f->c.layers[i].reason;
  ck_abort_msg("no layer %s", name);
  return NULL;
}

static void want_reason(const Found *f, const char *layer, const char *want) {
  const char *got = reason(f, layer);
  ck_assert_msg(got && strstr(got, want), "layer %s: got \"%s\", want \"%s\"", layer,
                got ? got : "can be pruned", want);
}

/* Few groups: the same channels of each, of input and output apart. Many: whole groups, input and output together. */
START_TEST(test_groups)
{
  Found f = find("%1 = input : f32[N,2,2,3]\n"
                 "%2 = const : f32[8,1,1,3] zeros\n"
                 "%3 = Conv(%1, %2) : f32[N,2,2,8] \"a\"\n"
                 "%4 = const : f32[4,1,1,4] zeros\n"
                 "%5 = Conv(%3, %4) {group=2} : f32[N,2,2,4] \"b\"\n"
                 "%6 = const : f32[6,1,1,4] zeros\n"
                 "%7 = Conv(%5, %6) : f32[N,2,2,6] \"c\"\n"
                 "%8 = const : f32[12,1,1,1] zeros\n"
                 "%9 = Conv(%7, %8) {group=6} : f32[N,2,2,12] \"d\"\n"
                 "%10 = const : f32[1,1,1,12] zeros\n"
                 "%11 = Conv(%9, %10) : f32[N,2,2,1] \"e\"\n"
                 "output %11\n");
  ck_assert_uint_eq(f.c.n_groups, 3);
  ck_assert_uint_eq(f.c.groups[0].n, 4);
  ck_assert_uint_eq(f.c.groups[0].least, 2);
  ck_assert_uint_eq(unit(&f, "a", 3, 1), unit(&f, "a", 3, 5));
  ck_assert_uint_ne(unit(&f, "a", 3, 1), unit(&f, "a", 3, 2));
  ck_assert_uint_eq(f.c.groups[1].n, 2);
  ck_assert_uint_eq(unit(&f, "b", 3, 1), unit(&f, "b", 3, 3));
  ck_assert_uint_eq(f.c.groups[2].n, 6);
  ck_assert_uint_eq(unit(&f, "c", 3, 4), unit(&f, "d", 3, 8));
  ck_assert_uint_eq(unit(&f, "c", 3, 4), unit(&f, "d", 3, 9));
  done(&f);
}
END_TEST

/* Weights that two layers read tie their rows and their columns. */
START_TEST(test_shared_weights)
{
  Found f = find("%1 = input : f32[N,3]\n"
                 "%2 = const : f32[4,3] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[N,4] \"a\"\n"
                 "%4 = const : f32[5,4] zeros\n"
                 "%5 = FullyConnected(%3, %4) : f32[N,5] \"b\"\n"
                 "%6 = const : f32[4,5] zeros\n"
                 "%7 = FullyConnected(%5, %6) : f32[N,4] \"c\"\n"
                 "%8 = FullyConnected(%7, %4) : f32[N,5] \"d\"\n"
                 "%9 = const : f32[1,5] zeros\n"
                 "%10 = FullyConnected(%8, %9) : f32[N,1] \"e\"\n"
                 "output %10\n");
  ck_assert_uint_eq(f.c.n_groups, 2);
  for (uint32_t i = 0; i < 4; i++) ck_assert_uint_eq(unit(&f, "a", 1, i), unit(&f, "c", 1, i));
  for (uint32_t i = 0; i < 5; i++) ck_assert_uint_eq(unit(&f, "b", 1, i), unit(&f, "d", 1, i));
  done(&f);
}
END_TEST

/* Entry d of each head is a unit, of queries with keys, of values alone. */
START_TEST(test_attention)
{
  Found f = find("%1 = input : f32[N,3,5]\n"
                 "%2 = const : f32[8,5] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[N,3,8] \"q\"\n"
                 "%5 = const : f32[8,5] zeros\n"
                 "%7 = const : f32[8,5] zeros\n"
                 "%4 = FullyConnected(%1, %5) : f32[N,3,8] \"k\"\n"
                 "%6 = FullyConnected(%1, %7) : f32[N,3,8] \"v\"\n"
                 "%8 = Reshape(%3) {shape=[-1,3,2,4]} : f32[N,3,2,4]\n"
                 "%9 = Reshape(%4) {shape=[-1,3,2,4]} : f32[N,3,2,4]\n"
                 "%10 = Reshape(%6) {shape=[-1,3,2,4]} : f32[N,3,2,4]\n"
                 "%11 = Transpose(%8) {perm=[0,2,1,3]} : f32[N,2,3,4]\n"
                 "%12 = Transpose(%9) {perm=[0,2,3,1]} : f32[N,2,4,3]\n"
                 "%13 = Transpose(%10) {perm=[0,2,1,3]} : f32[N,2,3,4]\n"
                 "%14 = MatMul(%11, %12) : f32[N,2,3,3] \"score\"\n"
                 "%15 = Softmax(%14) : f32[N,2,3,3]\n"
                 "%16 = MatMul(%15, %13) : f32[N,2,3,4]\n"
                 "%17 = Transpose(%16) {perm=[0,2,1,3]} : f32[N,3,2,4]\n"
                 "%18 = Reshape(%17) {shape=[-1,3,8]} : f32[N,3,8] \"joined\"\n"
                 "%19 = const : f32[1,8] zeros\n"
                 "%20 = FullyConnected(%18, %19) : f32[N,3,1] \"o\"\n"
                 "output %20\n");
  ck_assert_uint_eq(f.c.n_groups, 2);
  ck_assert_uint_eq(f.c.n_units, 8);
  for (uint32_t i = 0; i < 8; i++) {
    ck_assert_uint_eq(unit(&f, "q", 2, i), unit(&f, "k", 2, i));
    ck_assert_uint_eq(unit(&f, "q", 2, i), unit(&f, "q", 2, i % 4));
    ck_assert_uint_eq(unit(&f, "v", 2, i), unit(&f, "joined", 2, i));
    ck_assert_uint_ne(unit(&f, "v", 2, i), unit(&f, "q", 2, i));
  }
  ck_assert_uint_eq(unit(&f, "score", 1, 0), CHAN_FIXED);
  done(&f);
}
END_TEST

/* A hidden unit is one of each gate, of the state, and a column of the recurrent weights. */
START_TEST(test_recurrent)
{
  Found f = find("%1 = input : f32[2,3,4]\n"
                 "%2 = const : f32[9,4] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[2,3,9] \"gates\"\n"
                 "%4 = const : f32[9,3] zeros\n"
                 "%5 = Gru(%3, %4) {hidden=3, acts=[0,1,0]} : f32[3,3,3] \"gru\"\n"
                 "%6 = const : f32[1,3] zeros\n"
                 "%7 = FullyConnected(%5, %6) : f32[3,3,1] \"o\"\n"
                 "output %7\n");
  ck_assert_uint_eq(f.c.n_groups, 1);
  ck_assert_uint_eq(f.c.groups[0].n, 3);
  for (uint32_t i = 0; i < 9; i++) ck_assert_uint_eq(unit(&f, "gates", 2, i), unit(&f, "gru", 2, i % 3));
  const ChanUnits *r = &f.c.operand[net_find(f.g, OP_gru, 0)][1];
  for (uint32_t i = 0; i < 3; i++) {
    ck_assert_uint_eq(r->axis[1][i], unit(&f, "gru", 2, i));
    ck_assert_uint_eq(r->axis[0][6 + i], unit(&f, "gru", 2, i));
  }
  done(&f);
}
END_TEST

/* One of each two channels is taken: the two go together. */
START_TEST(test_steps)
{
  Found f = find("%1 = input : f32[N,3]\n"
                 "%2 = const : f32[6,3] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[N,6] \"a\"\n"
                 "%4 = Slice(%3) {starts=[0,1], counts=[-1,3], steps=[1,2]} : f32[N,3] \"odd\"\n"
                 "%5 = const : f32[1,3] zeros\n"
                 "%6 = FullyConnected(%4, %5) : f32[N,1]\n"
                 "output %6\n");
  ck_assert_uint_eq(f.c.n_units, 3);
  ck_assert_uint_eq(unit(&f, "a", 1, 2), unit(&f, "a", 1, 3));
  ck_assert_uint_eq(unit(&f, "a", 1, 3), unit(&f, "odd", 1, 1));
  done(&f);
}
END_TEST

/* Two axes of one value may both have channels; axis is the innermost. */
START_TEST(test_two_axes)
{
  Found f = find("%1 = input : f32[N,3]\n"
                 "%2 = const : f32[5,3] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[N,5] \"a\"\n"
                 "%4 = const : f32[4,3] zeros\n"
                 "%5 = FullyConnected(%1, %4) : f32[N,4] \"b\"\n"
                 "%6 = Reshape(%3) {shape=[-1,5,1]} : f32[N,5,1]\n"
                 "%7 = Reshape(%5) {shape=[-1,1,4]} : f32[N,1,4]\n"
                 "%8 = Mul(%6, %7) : f32[N,5,4] \"outer\"\n"
                 "%9 = const : f32[1,4] zeros\n"
                 "%10 = FullyConnected(%8, %9) : f32[N,5,1]\n"
                 "%11 = Transpose(%10) {perm=[0,2,1]} : f32[N,1,5]\n"
                 "%12 = const : f32[1,5] zeros\n"
                 "%13 = FullyConnected(%11, %12) : f32[N,1,1]\n"
                 "output %13\n");
  for (uint32_t i = 0; i < 5; i++) ck_assert_uint_eq(unit(&f, "outer", 1, i), unit(&f, "a", 1, i));
  for (uint32_t i = 0; i < 4; i++) ck_assert_uint_eq(unit(&f, "outer", 2, i), unit(&f, "b", 1, i));
  ck_assert_int_eq(f.c.axis[named(f.g, "outer")], 2);
  ck_assert_uint_eq(f.c.n_units, 9);
  done(&f);
}
END_TEST

/* Groups of channels before a GroupNormalization go whole; the channels of a LayerNormalization stay. */
START_TEST(test_norms)
{
  Found f = find("%1 = input : f32[N,3]\n"
                 "%2 = const : f32[6,3] zeros\n"
                 "%3 = FullyConnected(%1, %2) : f32[N,6] \"a\"\n"
                 "%4 = Reshape(%3) {shape=[-1,3,2]} : f32[N,3,2]\n"
                 "%5 = ReduceMean(%4) {axes=[2]} : f32[N,3,1] \"mean\"\n"
                 "%6 = Sub(%4, %5) : f32[N,3,2]\n"
                 "%7 = Reshape(%6) {shape=[-1,6]} : f32[N,6]\n"
                 "%8 = const : f32[5,6] zeros\n"
                 "%9 = FullyConnected(%7, %8) : f32[N,5] \"b\"\n"
                 "%10 = ReduceMean(%9) {axes=[1]} : f32[N,1] \"all\"\n"
                 "%11 = Sub(%9, %10) : f32[N,5]\n"
                 "%12 = const : f32[2,5] zeros\n"
                 "%13 = FullyConnected(%11, %12) : f32[N,2] \"o\"\n"
                 "output %13\n");
  ck_assert_uint_eq(f.c.n_units, 3);
  ck_assert_uint_eq(unit(&f, "a", 1, 2), unit(&f, "a", 1, 3));
  ck_assert_uint_ne(unit(&f, "a", 1, 3), unit(&f, "a", 1, 4));
  want_reason(&f, "b", "ReduceMean \"all\" averages over channels");
  want_reason(&f, "o", "they are the graph's output");
  done(&f);
}
END_TEST

/* States: those inside a model lose units, those that are its inputs and outputs keep them. */
START_TEST(test_states)
{
  static const char *const body = "%2 = const : f32[4,3] zeros\n"
                                  "%3 = FullyConnected(%1, %2) : f32[1,4] \"a\"\n"
                                  "%4 = const : f32[4,4] zeros\n"
                                  "%6 = FullyConnected(%5, %4) : f32[1,4] \"r\"\n"
                                  "%7 = Add(%3, %6) : f32[1,4]\n"
                                  "%8 = Tanh(%7) : f32[1,4] \"h\"\n"
                                  "%9 = const : f32[1,4] zeros\n"
                                  "%10 = FullyConnected(%8, %9) : f32[1,1]\n";
  char text[2000];
  snprintf(text, sizeof text, "%%1 = input : f32[1,3]\n%%5 = input : f32[1,4]\n%soutput %%10, %%8\n", body);
  Found f = find(text);
  ck_assert_uint_eq(f.c.n_units, 0);
  want_reason(&f, "r", "they are the graph's output");
  done(&f);
  snprintf(text, sizeof text,
           "%%1 = input : f32[1,3]\n%%11 = const : f32[1,4] zeros\n%%5 = state(%%11) : f32[1,4] "
           "\"s\"\n%snext %%5 = %%8\noutput %%10\n",
           body);
  f = find(text);
  ck_assert_uint_eq(f.c.n_units, 4);
  ck_assert_uint_eq(unit(&f, "s", 1, 2), unit(&f, "h", 1, 2));
  done(&f);
}
END_TEST

/* What else keeps a layer whole is said of it. */
START_TEST(test_reasons)
{
  static const struct {
    const char *name, *op, *reason;
  } cases[] = {
      {"softmax", "%4 = Softmax(%3) : f32[N,4] \"x\"\n", "Softmax \"x\" mixes channels"},
      {"cumsum", "%4 = CumSum(%3) {axis=1} : f32[N,4] \"x\"\n", "CumSum \"x\" mixes channels"},
      {"argmin", "%5 = ArgMin(%3) {axis=1} : i64[N,1] \"x\"\n%4 = Cast(%5) : f32[N,1]\n",
       "ArgMin \"x\" mixes channels"},
      {"weights", "%5 = FullyConnected(%1, %2) : f32[N,4] \"x\"\n%4 = Mul(%3, %5) : f32[N,4]\n", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[1000];
    snprintf(
        text, sizeof text,
        "%%1 = input : f32[N,3]\n%%2 = const : f32[4,3] zeros\n%%3 = FullyConnected(%%1, %%2) : f32[N,4] "
        "\"a\"\n%s%%8 = const : f32[1,%d] zeros\n%%9 = FullyConnected(%%4, %%8) : f32[N,1]\noutput %%9\n",
        cases[i].op, strcmp(cases[i].name, "argmin") == 0 ? 1 : 4);
    Found f = find(text);
    if (cases[i].reason)
      want_reason(&f, "a", cases[i].reason);
    else
      ck_assert_msg(!reason(&f, "a"), "%s: %s", cases[i].name, reason(&f, "a"));
    done(&f);
  }
}
END_TEST

Suite *suite_channels_whole(void) {
  Suite *s = suite_create("channels_whole");
  TCase *t = tcase_create("channels_whole");
  tcase_add_test(t, test_groups);
  tcase_add_test(t, test_shared_weights);
  tcase_add_test(t, test_attention);
  tcase_add_test(t, test_recurrent);
  tcase_add_test(t, test_steps);
  tcase_add_test(t, test_two_axes);
  tcase_add_test(t, test_norms);
  tcase_add_test(t, test_states);
  tcase_add_test(t, test_reasons);
  suite_add_tcase(s, t);
  return s;
}
