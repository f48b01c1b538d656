/* Graphs inside of ONNX nodes: local functions, If, Loop; values are checked by hand, refusals by their message. */
#include "tests/support.h"

#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "tests/frontend/onnx_text.h"
#include "tests/frontend/oracle.h"

Suite *suite_onnx_bodies(void);

typedef struct Good {
  const char *name, *text;
  int n;         /* elements of the output; the input x is 1, 2, 3 */
  float want[8]; /* of it */
  int nodes;     /* of the graph; -1: not checked */
} Good;

#define X "input x f32 3\n"
#define ADD1                                                                      \
  "function my Shift x -> y amount\nnode Constant k - -> k value_float=$amount\n" \
  "node Add a x,k -> y\nend\n"

static const Good good[] = {
    {"a function",
     "function my Twice a -> b\nnode Add n a,a -> t\nnode Relu r t -> b\nend\n" X
     "output y\nnode Twice@my f x -> y\n",
     3,
     {2, 4, 6},
     2},
    {"an attribute of a function",
     ADD1 X "output y\nnode Shift@my f x -> y amount=2.5\n",
     3,
     {3.5f, 4.5f, 5.5f},
     1},
    {"an attribute's default",
     "function my Shift x -> y\ndefault amount=1.5\nnode Constant k - -> k value_float=$amount\n"
     "node Add a x,k -> y\nend\n" X "output y\nnode Shift@my f x -> y\n",
     3,
     {2.5f, 3.5f, 4.5f},
     1},
    {"a function in a function",
     ADD1 "function my Both x -> y amount\nnode Shift@my a x -> t amount=$amount\nnode Shift@my b t -> y "
          "amount=10.\nend\n" X "output y\nnode Both@my f x -> y amount=0.5\n",
     3,
     {11.5f, 12.5f, 13.5f},
     2},
    {"an optional input of a function",
     "function my Limit x,lo,hi -> y\nnode Clip c x,lo,hi -> y\nend\n" X
     "init hi f32 - = 2\noutput y\nnode Limit@my f x,,hi -> y\n",
     3,
     {1, 2, 2},
     1},
    {"a function used twice, its names its own",
     "function my Twice a -> y\nnode Add n a,a -> y\nend\n" X
     "output z\nnode Twice@my f x -> a\nnode Twice@my g a -> b\nnode Add s a,b -> z\n",
     3,
     {6, 12, 18},
     3},
    {"an output of a function that nobody wants",
     "function my Two x -> y,z\nnode Relu r x -> y\nnode Sin s x -> t\nnode FusedConv@other o t -> z\nend\n" X
     "output y\nnode Two@my f x -> y,z\n",
     3,
     {1, 2, 3},
     1},
    {"If that is true",
     "begin yes\nnode Add a x,x -> b\noutput b\nend\nbegin no\nnode Relu r x -> b\noutput b\nend\n" X
     "init c bool - = 1\noutput y\nnode If i c -> y then_branch=&yes else_branch=&no\n",
     3,
     {2, 4, 6},
     1},
    {"If on a folded shape, a branch that hands on",
     "begin yes\noutput x\nend\nbegin no\nnode Neg r x -> b\noutput b\nend\n" X
     "node Shape s x -> s\nnode Cast k s -> c1 to=9\nnode Squeeze q c1 -> c\n"
     "output y\nnode If i c -> y then_branch=&yes else_branch=&no\n",
     3,
     {1, 2, 3},
     -1},
    {"If in If, a name of the outermost graph",
     "begin in\nnode Add a t,x -> d\noutput d\nend\nbegin yes\nnode If i c -> b then_branch=&in "
     "else_branch=&in\noutput "
     "b\nend\n" X "init c bool - = 1\nnode Neg n x -> t0\nnode Neg m t0 -> t\n"
     "output y\nnode If i c -> y then_branch=&yes else_branch=&yes\n",
     3,
     {2, 4, 6},
     -1},
    {"If in a function, its attribute in the branch",
     "begin yes\nnode Constant k - -> k value_float=$amount\nnode Add a v,k -> b\noutput b\nend\n"
     "function my F v,c -> y amount\nnode If i c -> y then_branch=&yes else_branch=&yes\nend\n" X
     "init c bool - = 1\noutput y\nnode F@my f x,c -> y amount=4.\n",
     3,
     {5, 6, 7},
     1},
    {"Loop by count",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\nnode Identity k c -> c2\nnode Add a v,x -> "
     "w\n"
     "output c2\noutput w\nend\n" X "init n i64 - = 3\noutput y\nnode Loop l n,,x -> y body=&body\n",
     3,
     {4, 8, 12},
     3},
    {"Loop until a condition folds",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\nnode Constant k - -> two value_int=2\n"
     "node Sub s two,i -> left\nnode Cast k left -> c2 to=9\nnode Add a v,v -> w\noutput c2\noutput "
     "w\nend\n" X
     "init n i64 - = 9000000000000000\ninit t bool - = 1\noutput y\nnode Loop l n,t,x -> y body=&body\n",
     3,
     {8, 16, 24},
     3},
    {"Loop that does not run",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\nnode Identity k c -> c2\nnode Sin a v -> w\n"
     "output c2\noutput w\nend\n" X "init n i64 - = 0\noutput y\nnode Loop l n,,x -> y body=&body\n",
     3,
     {1, 2, 3},
     -1},
    {"scan outputs",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\nnode Identity k c -> c2\nnode Add a v,x -> "
     "w\n"
     "output c2\noutput w\noutput v\nend\n" X
     "init n i64 - = 2\noutput y\nnode Loop l n,,x -> z,y body=&body\n",
     6,
     {1, 2, 3, 2, 4, 6},
     -1},
    {"Scan: sums so far",
     "begin body\ninput s f32 -\ninput e f32 -\nnode Add a s,e -> t\noutput t\noutput t\nend\n" X
     "init z f32 - = 10\noutput y\nnode Scan c z,x -> last,y body=&body num_scan_inputs=1\n",
     3,
     {11, 13, 16},
     -1},
    {"Scan from the end, with a constant beside",
     "begin body\ninput e f32 -\ninput f f32 -\nnode Mul a e,f -> t\noutput t\nend\n" X
     "init z f32 3 = 10,20,30\noutput y\n"
     "node Scan c x,z -> y body=&body num_scan_inputs=2 scan_input_directions=[1,0]\n",
     3,
     {30, 40, 30},
     -1},
    {"Scan stacked from the end",
     "begin body\ninput e f32 -\nnode Neg a e -> t\noutput t\nend\n" X
     "output y\nnode Scan c x -> y body=&body num_scan_inputs=1 scan_output_directions=[1]\n",
     3,
     {-3, -2, -1},
     -1},
    {"scan outputs that are constant",
     "begin body\ninput i i64 -\ninput c bool -\nnode Identity k c -> c2\nnode Cast f i -> r to=1\noutput "
     "c2\noutput r\nend\n" X
     "init n i64 - = 3\nnode Loop l n, -> s body=&body\noutput y\nnode Add a x,s -> y\n",
     3,
     {1, 3, 5},
     1},
};

START_TEST(values)
{
  const Good *f = &good[_i];
  Diag *d = diag_new();
  Graph *g = onnx_text_import(f->text, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", f->name, diag_text(d));
  ck_assert_msg(f->nodes < 0 || g->n_nodes == (uint32_t)f->nodes, "%s: %u nodes, want %d", f->name,
                g->n_nodes, f->nodes);
  Shape three = {1, {3}};
  Tensor in = tensor_new(DT_F32, &three), out;
  for (int i = 0; i < 3; i++) ((float *)in.data)[i] = (float)(i + 1);
  oracle_eval(f->name, g, &in, 1, &out);
  ck_assert_msg(shape_count(&out.shape) == f->n, "%s: %d elements", f->name, (int)shape_count(&out.shape));
  for (int i = 0; i < f->n; i++)
    ck_assert_msg(((float *)out.data)[i] == f->want[i], "%s: element %d is %g, want %g", f->name, i,
                  (double)((float *)out.data)[i], (double)f->want[i]);
  tensor_free(&in);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

typedef struct Refused {
  const char *name, *text, *want;
} Refused;

static const Refused refused[] = {
    {"a function that calls itself",
     "function my F a -> b\nnode F@my f a -> b\nend\n" X "output y\nnode F@my f x -> y\n",
     "(F): error: is the 25th function or graph inside of another one"},
    {"functions that grow",
     "function my A a -> b\nnode B@my f a -> c\nnode B@my g c -> d\nnode B@my h d -> e\nnode B@my i e -> "
     "b\nend\n"
     "function my B a -> b\nnode C@my f a -> c\nnode C@my g c -> d\nnode C@my h d -> e\nnode C@my i e -> "
     "b\nend\n"
     "function my C a -> b\nnode D@my f a -> c\nnode D@my g c -> d\nnode D@my h d -> e\nnode D@my i e -> "
     "b\nend\n"
     "function my D a -> b\nnode E@my f a -> c\nnode E@my g c -> d\nnode E@my h d -> e\nnode E@my i e -> "
     "b\nend\n"
     "function my E a -> b\nnode F@my f a -> c\nnode F@my g c -> d\nnode F@my h d -> e\nnode F@my i e -> "
     "b\nend\n"
     "function my F a -> b\nnode G@my f a -> c\nnode G@my g c -> d\nnode G@my h d -> e\nnode G@my i e -> "
     "b\nend\n"
     "function my G a -> b\nnode H@my f a -> c\nnode H@my g c -> d\nnode H@my h d -> e\nnode H@my i e -> "
     "b\nend\n"
     "function my H a -> b\nnode I@my f a -> c\nnode I@my g c -> d\nnode I@my h d -> e\nnode I@my i e -> "
     "b\nend\n"
     "function my I a -> b\nnode Relu f a -> c\nnode Relu g c -> d\nnode Relu h d -> e\nnode Relu i e -> "
     "b\nend\n" X "output y\nnode A@my f x -> y\n",
     "expand to more than 200000 nodes"},
    {"too many inputs",
     "function my F a -> b\nnode Relu f a -> b\nend\n" X "output y\nnode F@my f x,x -> y\n",
     "has 2 inputs and 1 outputs; the function has 1 and 1"},
    {"a condition that is computed",
     "begin yes\noutput x\nend\n" X
     "input c bool -\noutput y\nnode If i c -> y then_branch=&yes else_branch=&yes\n",
     "(If): error: its condition is computed when the model runs"},
    {"no branch",
     "begin yes\noutput x\nend\n" X "init c bool - = 0\noutput y\nnode If i c -> y then_branch=&yes\n",
     "has no else_branch"},
    {"a count that is computed",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\noutput c\noutput v\nend\n" X
     "input n i64 -\noutput y\nnode Loop l n,,x -> y body=&body\n",
     "(Loop): error: its count is computed when the model runs"},
    {"a condition that a loop computes",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 1\nnode Cast k v -> c2 to=9\nnode Add a v,v -> "
     "w\n"
     "output c2\noutput w\nend\ninput x f32 1\ninit n i64 - = 3\noutput y\nnode Loop l n,,x -> y "
     "body=&body\n",
     "its condition is computed when the model runs (iteration 0)"},
    {"a condition of no element",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\ninit none bool 0\nnode Identity k none -> "
     "c2\noutput c2\noutput v\nend\n" X "init n i64 - = 3\noutput y\nnode Loop l n,,x -> y body=&body\n",
     "its condition is 0 elements of bool (iteration 0); want one bool"},
    {"a loop without end",
     "begin body\ninput i i64 -\ninput c bool -\ninput v f32 3\nnode Identity k c -> c2\noutput c2\noutput "
     "v\nend\n" X "output y\nnode Loop l ,,x -> y body=&body\n",
     "does not end within 4096 iterations"},
    {"a body of another form",
     "begin body\ninput i i64 -\noutput i\nend\n" X
     "init n i64 - = 3\noutput y\nnode Loop l n,,x -> y body=&body\n",
     "its body has 1 inputs and 1 outputs; want 3 and 2"},
    {"an unsupported operator in a branch",
     "begin yes\nnode FusedConv@other f x -> b\noutput b\nend\n" X
     "init c bool - = 1\noutput y\nnode If i c -> y then_branch=&yes else_branch=&yes\n",
     "operator FusedConv of domain \"other\" is not supported"},
};

START_TEST(refusals)
{
  const Refused *r = &refused[_i];
  Diag *d = diag_new();
  Graph *g = onnx_text_import(r->text, d);
  ck_assert_msg(g == NULL && diag_count(d) == 1, "%s: imported, or %d errors: %s", r->name, diag_count(d),
                diag_text(d));
  ck_assert_msg(strstr(diag_text(d), r->want) != NULL, "%s: want \"%s\" in %s", r->name, r->want,
                diag_text(d));
  diag_free(d);
}
END_TEST

/* Any bytes may change: no crash, no endless work; what is imported after all is a valid graph. */
START_TEST(damage)
{
  Blob *whole = onnx_text(good[_i].text);
  const size_t n = blob_size(whole);
  Rng r;
  rng_seed(&r, 3, (uint64_t)_i);
  for (int round = 0; round < 400; round++) {
    unsigned char *bytes = mem_alloc(n);
    memcpy(bytes, blob_raw(whole), n);
    for (uint32_t k = rng_below(&r, 3) + 1; k > 0; k--)
      bytes[rng_below(&r, (uint32_t)n)] = (unsigned char)rng_u64(&r);
    Blob *b = blob_adopt(bytes, n);
    Diag *d = diag_new();
    Graph *g = onnx_import_bytes(b, "damaged.onnx", d);
    ck_assert_msg(g != NULL || diag_count(d) > 0, "%s: refused without a message", good[_i].name);
    graph_free(g);
    diag_free(d);
    blob_unref(b);
  }
  blob_unref(whole);
}
END_TEST

Suite *suite_onnx_bodies(void) {
  Suite *s = suite_create("onnx_bodies");
  TCase *t = tcase_create("bodies");
  tcase_add_loop_test(t, values, 0, (int)(sizeof good / sizeof good[0]));
  tcase_add_loop_test(t, damage, 0, (int)(sizeof good / sizeof good[0]));
  tcase_add_loop_test(t, refusals, 0, (int)(sizeof refused / sizeof refused[0]));
  suite_add_tcase(s, t);
  return s;
}
