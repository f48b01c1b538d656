/* Channel groups of nets whose groups are known by thought. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "passes/channels.h"
#include "tests/passes/nets.h"

Suite *suite_channels(void);

static Channels find(const Graph *g, const char *keep) {
  Diag *d = diag_new();
  Channels c;
  ck_assert_msg(channels_find(g, keep, &c, d), "%s", diag_text(d));
  diag_free(d);
  return c;
}

/* Zero-padded shortcuts tie channels of narrow stages to the middle ones of wide stages. */
START_TEST(test_padded_shortcuts)
{
  Graph *g = net_residual(2, 1);
  Channels c = find(g, NULL);
  /* trunk: 8 units through all stages, 8 from the second on, 16 in the third; and one group inside each of 6 blocks */
  uint32_t sizes[9], want[9] = {8, 8, 8, 8, 16, 16, 16, 32, 32}, n = c.n_groups;
  ck_assert_uint_eq(n, 9);
  for (uint32_t i = 0; i < n; i++) sizes[i] = c.groups[i].n;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i + 1; k < n; k++)
      if (sizes[k] < sizes[i]) {
        uint32_t t = sizes[i];
        sizes[i] = sizes[k], sizes[k] = t;
      }
  for (uint32_t i = 0; i < n; i++)
    ck_assert_msg(sizes[i] == want[i], "group of rank %u: %u units, want %u", i, sizes[i], want[i]);
  /* channel 3 of the first stage is channel 4 + 3 of the second and 8 + 4 + 3 of the third */
  ValId first = g->nodes[net_find(g, OP_conv, 0)].out[0], second = g->nodes[net_find(g, OP_add, 3)].out[0],
        third = g->nodes[net_find(g, OP_add, 5)].out[0];
  ck_assert_uint_eq(c.unit[first][3], c.unit[second][4 + 3]);
  ck_assert_uint_eq(c.unit[first][3], c.unit[third][8 + 4 + 3]);
  ck_assert_uint_ne(c.unit[first][3], c.unit[third][3]);
  channels_free(&c);
  graph_free(g);
}
END_TEST

/* The classifier's rows and the input's channels stay; the rest of the layers says nothing. */
START_TEST(test_reasons)
{
  Graph *g = net_residual(1, 1);
  Channels c = find(g, NULL);
  for (uint32_t i = 0; i < c.n_layers; i++) {
    const ChanLayer *l = &c.layers[i];
    bool last = g->nodes[l->node].op == OP_fully_connected;
    ck_assert_msg((l->prunable == 0) == last && (l->reason != NULL) == last,
                  "layer %s: %u of %u prunable, reason %s", l->name, l->prunable, l->channels,
                  l->reason ? l->reason : "none");
    if (last) ck_assert_msg(strstr(l->reason, "output"), "reason: %s", l->reason);
  }
  ck_assert_uint_eq(c.unit[g->inputs[0]][0], CHAN_FIXED);
  StrBuf text = {0};
  channels_print(&c, &text);
  ck_assert_msg(strstr(sb_str(&text), "5 of 5 channels stay"), "%s", sb_str(&text));
  sb_free(&text);
  channels_free(&c);
  graph_free(g);
}
END_TEST

START_TEST(test_keep)
{
  Graph *g = net_residual(1, 1);
  NodeId inner = net_find(g, OP_conv, 1);
  const char *name = node_label(g, &g->nodes[inner]);
  Channels all = find(g, NULL), kept = find(g, name);
  ck_assert_uint_eq(kept.n_groups + 1, all.n_groups);
  ck_assert_uint_eq(kept.unit[g->nodes[inner].out[0]][0], CHAN_FIXED);
  channels_free(&all);
  channels_free(&kept);
  Diag *d = diag_new();
  Channels c;
  ck_assert(!channels_find(g, "conv0;nonsense", &c, d));
  ck_assert_msg(strstr(diag_text(d), "no layer \"nonsense\""), "%s", diag_text(d));
  channels_free(&c);
  diag_free(d);
  graph_free(g);
}
END_TEST

static ValId named(const Graph *g, const char *name) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].name && strcmp(g->vals[v].name, name) == 0) return v;
  ck_abort_msg("no value %s", name);
  return NO_VAL;
}

/* What mixes channels without weights freezes those that reach it. */
START_TEST(test_frozen)
{
  static const struct {
    OpKind op;
    const char *reason;
  } cases[] = {{OP_softmax, "mixes channels"},
               {OP_reduce_mean, "averages over channels"},
               {OP_relu, NULL},
               {OP_tanh, NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Graph *g = graph_new("frozen");
    Diag *d = diag_new();
    Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)4, (int64_t)4, (int64_t)2),
          ws = shape_of(4, (int64_t)6, (int64_t)1, (int64_t)1, (int64_t)2);
    Shape ws2 = ws;
    float w[36] = {0};
    ValId x = graph_input(g, "x", DT_F32, &s);
    ValId y = graph_node2(g, OP_conv, NULL, x, graph_const_data(g, "w", DT_F32, &ws, w), "y", NULL, d);
    reduce_mean_attrs m = {.axes = {1, {3}}, .keepdims = 1};
    ValId z = graph_node1(g, cases[i].op, cases[i].op == OP_reduce_mean ? &m : NULL, y, "z", NULL, d);
    ws2.d[3] = graph_val(g, z)->shape.d[3];
    graph_output(g,
                 graph_node2(g, OP_conv, NULL, z, graph_const_data(g, "v", DT_F32, &ws2, w), "o", NULL, d));
    Channels c = find(g, NULL);
    const char *why = c.layers[0].reason;
    ck_assert_msg((why != NULL) == (cases[i].reason != NULL), "%s: %s", op_info(cases[i].op)->name,
                  why ? why : "can be pruned");
    if (why)
      ck_assert_msg(strstr(why, cases[i].reason), "%s: got \"%s\", want \"%s\"", op_info(cases[i].op)->name,
                    why, cases[i].reason);
    ck_assert_uint_eq(c.unit[named(g, "y")][5] == CHAN_FIXED, cases[i].reason != NULL);
    channels_free(&c);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

/* After flattening each channel owns one column of the classifier per pixel. */
START_TEST(test_flatten)
{
  Graph *g = graph_new("flat");
  Diag *d = diag_new();
  Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)2, (int64_t)3, (int64_t)2),
        ws = shape_of(4, (int64_t)5, (int64_t)1, (int64_t)1, (int64_t)2),
        fs = shape_of(2, (int64_t)3, (int64_t)30);
  float w[90] = {0};
  ValId x = graph_input(g, "x", DT_F32, &s);
  ValId y = graph_node2(g, OP_conv, NULL, x, graph_const_data(g, "w", DT_F32, &ws, w), "y", NULL, d);
  reshape_attrs r = {.shape = {2, {-1, 30}}};
  ValId z = graph_node1(g, OP_reshape, &r, y, "z", NULL, d);
  graph_output(
      g, graph_node2(g, OP_fully_connected, NULL, z, graph_const_data(g, "f", DT_F32, &fs, w), "o", NULL, d));
  Channels c = find(g, NULL);
  ck_assert_uint_eq(c.n_units, 5);
  ck_assert_int_eq(c.axis[z], 1);
  for (uint32_t i = 0; i < 30; i++) ck_assert_uint_eq(c.unit[z][i], c.unit[y][i % 5]);
  channels_free(&c);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_channels(void) {
  Suite *s = suite_create("channels");
  TCase *t = tcase_create("channels");
  tcase_add_test(t, test_padded_shortcuts);
  tcase_add_test(t, test_reasons);
  tcase_add_test(t, test_keep);
  tcase_add_test(t, test_frozen);
  tcase_add_test(t, test_flatten);
  suite_add_tcase(s, t);
  return s;
}
