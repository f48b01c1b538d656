/* ONNX files that are at fault: each gives a clear message at the right place, and no graph; damaged bytes never
 * do worse than that. */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/frontend/onnx_text.h"

/* -- what is wrong with a well-formed file -- */

typedef struct Bad {
  const char *name, *text;
  const char *want[4]; /* parts of the report; NULL: no more */
  int errors;          /* exactly so many */
} Bad;

#define CONV "input x f32 N,3,8,8\ninit w f32 4,3,3,3\noutput y\n"

static const Bad bad[] = {
    {"unknown operators, all at once",
     "input x f32 1,4\noutput y\n"
     "node Frob s1 x -> a\nnode Relu r a -> b\nnode NonMaxSuppression t b -> c\nnode Frob s2 c -> y\n",
     {"text.onnx: node 0 \"s1\" (Frob): error: operator Frob (opset 13) is not supported, here and at 1 more "
      "node",
      "node 2 \"t\" (NonMaxSuppression): error: operator NonMaxSuppression (opset 13) is not supported",
      "hint: keep"},
     2},
    {"mirrored more often than the file is worth",
     "input x f32 1,4\ninit p i64 4 = 16777216,0,0,0\noutput y\nnode Pad p x,p -> y mode=\"reflect\"\n",
     {"pads axis 0 to 16777217 elements, more than a file of"},
     1},
    {"computed weights whose places are 2^64",
     "input x f32 1,1,6143,6143,1023\ninput w f32 1,1,2048,2048,512\noutput y\nnode Conv n x,w -> y\n",
     {"has computed weights and too large an image"},
     1},
    {"windows with a divisor each, on a large image",
     "input x f32 1,1,99999,99999\noutput y\n"
     "node AveragePool p x -> y kernel_shape=[2,2] strides=[2,2] ceil_mode=1 count_include_pad=1\n",
     {"counts padding in windows of 2500000000 places and more"},
     1},
    {"another domain",
     "input x f32 1,4\noutput y\nnode FusedConv@com.microsoft f x -> y\n",
     {"node 0 \"f\" (FusedConv): error: operator FusedConv of domain \"com.microsoft\" is not supported"},
     1},
    {"a scale of 0",
     "input x f32 1,4\ninit s f32 - = 0\noutput y\nnode QuantizeLinear q x,s -> y\n",
     {"(QuantizeLinear)", "hint: supported are constant scales above 0"},
     1},
    {"a cycle",
     "input x f32 1,4\noutput y\nnode Add a x,c -> b\nnode Relu r b -> c\nnode Relu o c -> y\n",
     {"is part of a cycle of 2 nodes", "node 0 \"a\" (Add)", "\"r\" (Relu)"},
     1},
    {"a node that feeds itself",
     "input x f32 1,4\noutput y\nnode Add a x,y -> y\n",
     {"node 0 \"a\" (Add): error: reads its own output: the graph is cyclic"},
     1},
    {"nothing computes it",
     "input x f32 1,4\noutput y\nnode Add a x,missing -> y\n",
     {"node 0 \"a\" (Add): error: reads \"missing\", which nothing computes"},
     1},
    {"an output that nothing computes",
     "input x f32 1,4\noutput y\nnode Relu r x -> z\n",
     {"text.onnx: \"y\": error: reads \"y\", which nothing computes"},
     1},
    {"no output", "input x f32 1,4\nnode Relu r x -> z\n", {"text.onnx: error: has no output"}, 1},
    {"two producers",
     "input x f32 1,4\noutput y\nnode Relu a x -> y\nnode Relu b x -> y\n",
     {"\"y\" is computed twice, by nodes 0 and 1"},
     1},
    {"an initializer with too few bytes",
     "input x f32 1,4\ninit w f32 1,4 short\noutput y\nnode Add a x,w -> y\n",
     {"constant \"w\" has 12 bytes of data; its shape wants 16"},
     1},
    {"a typed initializer with too few elements",
     "input x f32 1,4\ninit w f32 1,4 typed-short\noutput y\nnode Add a x,w -> y\n",
     {"constant \"w\" has 3 elements; its shape wants 4"},
     1},
    {"external data",
     "input x f32 1,4\ninit w f32 1,4 external\noutput y\nnode Add a x,w -> y\n",
     {"constant \"w\" is kept in the file \"weights.bin\", which cannot be used: No such file", "hint: "},
     1},
    {"complex numbers",
     "input x f32 1,4\ninit w c64 1,4\noutput y\nnode Add a x,w -> y\n",
     {"constant \"w\" has elements of complex64 (type 14)"},
     1},
    {"a negative dimension",
     "input x f32 1,4\ninit w f32 -1,-4\noutput y\nnode Add a x,w -> y\n",
     {"constant \"w\": dimension 0 is -1"},
     1},
    {"an old opset",
     "opset 5\ninput x f32 1,4\noutput y\nnode Relu a x -> y\n",
     {"has opset 5; supported are 6 and later", "hint: "},
     1},
    {"a symbolic dimension that is no batch",
     "input x f32 N,3,H,W\noutput y\nnode Relu a x -> y\n",
     {"text.onnx: \"x\": error: input has a symbolic dimension 2 (\"H\")", "hint: "},
     1},
    {"weights for other channels",
     CONV "init v f32 4,5,3,3\nnode Conv c x,v -> y\n",
     {"node 0 \"c\" (Conv): error: has 1 groups of 5 input channels; the input has 3"},
     1},
    {"weights of another rank",
     CONV "init v f32 4,3,3\nnode Conv c x,v -> y\n",
     {"weights have 3 dimensions for an input of 4"},
     1},
    {"a kernel_shape that the weights contradict",
     CONV "node Conv c x,w -> y kernel_shape=[5,5]\n",
     {"\"kernel_shape\" has 5, the weights 3"},
     1},
    {"a window larger than the image",
     CONV "node Conv c x,w -> y dilations=[8,8]\n",
     {"window of 17 rows"},
     1},
    {"an attribute of the wrong type",
     CONV "node Conv c x,w -> y strides=2\n",
     {"attribute \"strides\" is int; want ints"},
     1},
    {"a pool larger than the image, padding counted",
     "input x f32 1,1,3,3\noutput y\n"
     "node AveragePool p x -> y kernel_shape=[9,9] count_include_pad=1 ceil_mode=1\n",
     {"(AveragePool): error: AveragePool: window of 9 rows"},
     1},
    {"a block size that no product holds",
     "input x i8 2,4\ninit s f32 2,2\noutput y\n"
     "node DequantizeLinear d x,s -> y block_size=9223372036854775807\n",
     {"(DequantizeLinear): error: has blocks of 9223372036854775807"},
     1},
    {"an image and a block that no product holds",
     "input x f32 1,4,4\ninit i i64 2 = 4611686018427387904,2\ninit b i64 2 = 1,2\noutput "
     "y\n"
     "node Col2Im c x,i,b -> y\n",
     {"(Col2Im): error: has an image of 4611686018427387904 and a block of 1 along axis 0"},
     1},
    {"axes of a sequence that no sum holds",
     "input x f32 2,3\ninit l i64 2 = 1,1\noutput y\n"
     "node ReverseSequence r x,l -> y batch_axis=9223372036854775807 time_axis=1\n",
     {"(ReverseSequence): error: has batch axis 9223372036854775807 and time axis 1; want 0 and 1"},
     1},
    {"a scale that asks for endless taps",
     "input x f32 1,1,4,4\ninit s f32 4 = 1,1,1e-30,1\noutput y\n"
     "node Resize r x,,s -> y mode=\"linear\" antialias=1\n",
     {"(Resize): error: resizes axis 2 to 0 places of 33554432 taps"},
     1},
    {"strides of zero", CONV "node Conv c x,w -> y strides=[0,1]\n", {"\"strides\" has 0; want 1 to"}, 1},
    {"negative paddings", CONV "node Conv c x,w -> y pads=[-1,0,0,0]\n", {"\"pads\" has -1; want 0 to"}, 1},
    {"shapes that do not broadcast",
     "input x f32 1,4\ninit w f32 3\noutput y\nnode Add a x,w -> y\n",
     {"node 0 \"a\" (Add): error:", "do not broadcast"},
     1},
    {"a reshape that does not fit",
     "input x f32 2,6\ninit s i64 2 = 5,-1\noutput y\nnode Reshape r x,s -> y\n",
     {"node 0 \"r\" (Reshape): error:", "do not fit"},
     1},
    {"a reshape that mixes the batch",
     "input x f32 N,6\ninit s i64 2 = 1,-1\noutput y\nnode Reshape r x,s -> y\n",
     {"does not keep the symbolic batch in front", "hint: "},
     1},
    {"arithmetic on the batch",
     "input x f32 N,4\noutput y\ninit two i64 1 = 2\n"
     "node Shape s x -> sh\nnode Mul m sh,two -> big\nnode Reshape r x,big -> y\n",
     {"node 1 \"m\" (Mul): error: input 0 (\"sh\") depends on the symbolic batch", "hint: "},
     1},
    {"a shape that is computed",
     "input x f32 2,6\ninput s i64 2\noutput y\nnode Reshape r x,s -> y\n",
     {"input 1 (\"s\") is computed when the model runs; want a constant"},
     1},
    {"training mode",
     "input x f32 1,4\ninit t bool - = 1\noutput y\nnode Dropout d x,,t -> y\n",
     {"is in training mode", "hint: "},
     1},
    {"a second output that is used",
     "input x f32 1,1,4,4\noutput i\nnode Relu r x -> y,i\n",
     {"output 1 (\"i\") is used; supported is output 0 alone"},
     1},
    {"pads of another kind",
     "input x f32 1,4\ninit p i64 4 = 0,1,0,1\noutput y\nnode Pad p x,p -> y mode=\"mirror\"\n",
     {"has a mode other than constant, reflect, edge and wrap"},
     1},
    {"constants that are too many together",
     "input x f32 1,4\ninit a f32 1 = 1\ninit s i64 2 = 4096,4000\noutput y\nnode Expand e1 a,s -> b\n"
     "node Add e2 b,b -> c\nnode Add e3 c,b -> d\nnode Add e4 d,c -> e\nnode Add e5 e,d -> f\n"
     "node Add e6 f,x -> y\n",
     {"folding constants here and before would take more than"},
     1},
    {"constants that take long to compute",
     "input x f32 1,4\ninit a f32 1 = 1\ninit s i64 2 = 2000,2000\noutput y\nnode Expand e1 a,s -> b\n"
     "node MatMul e2 b,b -> c\nnode ReduceMean e3 c -> d axes=[0,1]\nnode Add e6 d,x -> y\n",
     {"multiplications"},
     1},
    {"a huge constant",
     "input x f32 1,4\ninit s i64 3 = 65536,65536,65536\noutput y\nnode ConstantOfShape c s -> k\n"
     "node Add a x,k -> y\n",
     {"makes a constant of more than"},
     1},
    {"an index out of range",
     "input x f32 4,2\ninit i i64 1 = 4\noutput y\nnode Gather g x,i -> y\n",
     {"node 0 \"g\" (Gather): error:", "want -4 .. 3"},
     1},
    {"two faults and what depends on them",
     "input x f32 1,4\ninit w f32 3\noutput y\n"
     "node Add a x,w -> b\nnode Relu r b -> c\nnode Add d x,gone -> e\nnode Add f c,e -> y\n",
     {"node 0 \"a\" (Add)", "node 2 \"d\" (Add): error: reads \"gone\""},
     2},
};

START_TEST(faults_are_reported)
{
  const Bad *b = &bad[_i];
  Diag *d = diag_new();
  Graph *g = onnx_text_import(b->text, d);
  ck_assert_msg(g == NULL, "%s: imported", b->name);
  for (int i = 0; i < 4 && b->want[i]; i++)
    ck_assert_msg(strstr(diag_text(d), b->want[i]) != NULL, "%s: want \"%s\", got:\n%s", b->name, b->want[i],
                  diag_text(d));
  ck_assert_msg(diag_count(d) == b->errors, "%s: %d errors, want %d:\n%s", b->name, diag_count(d), b->errors,
                diag_text(d));
  diag_free(d);
}
END_TEST

/* What no output needs is not looked at. */
START_TEST(unused_nodes_do_no_harm)
{
  Diag *d = diag_new();
  Graph *g = onnx_text_import("input x f32 1,4\noutput y\nnode Frob s x -> unused\nnode Relu r x -> y\n", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  ck_assert_uint_eq(g->n_nodes, 1);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(missing_files_are_reported)
{
  Diag *d = diag_new();
  ck_assert(onnx_import("no/such/file.onnx", d) == NULL);
  ck_assert_msg(strstr(diag_text(d), "no/such/file.onnx: error: cannot be read: No such file"), "%s",
                diag_text(d));
  diag_clear(d);
  ck_assert(onnx_import("tests", d) == NULL);
  ck_assert_msg(strstr(diag_text(d), "tests: error: cannot be read"), "%s", diag_text(d));
  diag_free(d);
}
END_TEST

/* -- damaged bytes -- */

static bool import_damaged(const void *bytes, size_t n, const char *how) {
  Diag *d = diag_new();
  Blob *b = blob_new(bytes, n);
  Graph *g = onnx_import_bytes(b, "damaged.onnx", d);
  blob_unref(b);
  ck_assert_msg((g == NULL) == (diag_count(d) > 0), "%s: %s with %d errors:\n%s", how,
                g ? "a graph" : "no graph", diag_count(d), diag_text(d));
  if (!g)
    ck_assert_msg(strstr(diag_text(d), "damaged.onnx") != NULL, "%s: no file name in: %s", how, diag_text(d));
  if (g) ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", how, diag_text(d));
  bool made = g != NULL;
  graph_free(g);
  diag_free(d);
  return made;
}

static const char *const victims[] = {"chain_pad", "net_autoencoder", "net_depthwise"};
enum { N_VICTIMS = sizeof victims / sizeof victims[0] };

static char *read_model(const char *name, size_t *n) {
  char path[512];
  snprintf(path, sizeof path, "tests/data/onnx/%s.onnx", name);
  char *bytes = test_read_file(path, n);
  ck_assert_msg(bytes != NULL, "%s cannot be read", path);
  return bytes;
}

START_TEST(cut_off_files_are_reported)
{
  size_t n;
  char how[128], *bytes = read_model(victims[_i], &n);
  for (size_t len = 0; len < n; len += len < 200 ? 1 : 1 + n / 300) {
    snprintf(how, sizeof how, "%s: first %zu of %zu bytes", victims[_i], len, n);
    ck_assert_msg(!import_damaged(bytes, len, how), "%s was imported", how);
  }
  free(bytes);
}
END_TEST

START_TEST(changed_bytes_are_survived)
{
  size_t n;
  int broken = 0;
  char how[128], *bytes = read_model(victims[_i], &n);
  Rng r;
  rng_seed(&r, 1, (uint64_t)_i);
  for (int round = 0; round < 1500; round++) {
    char was[4];
    size_t at[4], changes = 1 + rng_below(&r, 4);
    for (size_t k = 0; k < changes; k++) {
      at[k] = rng_below(&r, (uint32_t)n);
      was[k] = bytes[at[k]];
      bytes[at[k]] = (char)rng_u64(&r);
    }
    snprintf(how, sizeof how, "%s: round %d", victims[_i], round);
    broken += !import_damaged(bytes, n, how);
    for (size_t k = changes; k-- > 0;) bytes[at[k]] = was[k];
  }
  ck_assert_int_gt(broken, 10);
  free(bytes);
}
END_TEST

/* 25 operators that nobody knows: 20 are told, and how many there were more. */
START_TEST(many_faults_are_counted)
{
  StrBuf text = {0}, printed = {0};
  sb_puts(&text, "input x f32 1\n");
  for (int i = 0; i < 25; i++) sb_printf(&text, "node Unknown%d n%d x -> y%d\noutput y%d\n", i, i, i, i);
  Diag *d = diag_new();
  Graph *g = onnx_text_import(text.s, d);
  ck_assert(!g && diag_count(d) == 25);
  FILE *f = tmpfile();
  ck_assert_ptr_nonnull(f);
  diag_print(d, f);
  rewind(f);
  for (int c; (c = fgetc(f)) != EOF;) sb_putc(&printed, (char)c);
  fclose(f);
  ck_assert_msg(strstr(sb_str(&printed), "Unknown19") && !strstr(sb_str(&printed), "Unknown20") &&
                    strstr(sb_str(&printed), "... and 5 more errors"),
                "%s", sb_str(&printed));
  sb_free(&printed);
  sb_free(&text);
  diag_free(d);
}
END_TEST

Suite *suite_onnx_bad(void);
Suite *suite_onnx_bad(void) {
  Suite *s = suite_create("onnx_bad");
  TCase *t = tcase_create("faults");
  tcase_add_test(t, many_faults_are_counted);
  tcase_add_loop_test(t, faults_are_reported, 0, (int)(sizeof bad / sizeof bad[0]));
  tcase_add_test(t, unused_nodes_do_no_harm);
  tcase_add_test(t, missing_files_are_reported);
  suite_add_tcase(s, t);
  t = tcase_create("damage");
  tcase_add_loop_test(t, cut_off_files_are_reported, 0, N_VICTIMS);
  tcase_add_loop_test(t, changed_bytes_are_survived, 0, N_VICTIMS);
  suite_add_tcase(s, t);
  return s;
}
