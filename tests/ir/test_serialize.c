/* The binary file: comes back whole, and neither a cut nor a changed byte crashes the reader. */
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <string.h>

static Graph *read_bytes(const void *bytes, size_t n, Diag *d) {
  Blob *b = blob_new(bytes, n);
  Graph *g = graph_deserialize(b, "g.mfy", d);
  blob_unref(b); /* the graph's constants keep it alive */
  return g;
}

static void assert_comes_back(const Graph *g) {
  StrBuf file = {0}, again = {0}, text = {0}, text2 = {0};
  Diag *d = diag_new();
  graph_serialize(g, &file);
  Graph *back = read_bytes(file.s, file.len, d);
  ck_assert_msg(back != NULL, "%s", diag_text(d));
  ck_assert(hash_equal(graph_hash(g), graph_hash(back)));
  graph_print(g, &text, SIZE_MAX);
  graph_print(back, &text2, SIZE_MAX);
  ck_assert_str_eq(sb_str(&text2), sb_str(&text));
  graph_serialize(back, &again);
  ck_assert_uint_eq(again.len, file.len);
  ck_assert_mem_eq(again.s, file.s, file.len);
  graph_free(back);
  sb_free(&file);
  sb_free(&again);
  sb_free(&text);
  sb_free(&text2);
  diag_free(d);
}

START_TEST(operators_come_back)
{
  Graph *g = sample_graph(&samples[_i]);
  assert_comes_back(g);
  graph_free(g);
}
END_TEST

START_TEST(net_comes_back)
{
  Graph *g = sample_net();
  assert_comes_back(g);
  graph_free(g);
}
END_TEST

START_TEST(constants_are_views_of_an_aligned_file)
{
  Graph *g = sample_net();
  StrBuf file = {0};
  Diag *d = diag_new();
  char path[4200];
  snprintf(path, sizeof path, "%s/net.mfy", test_tmp_dir());
  graph_serialize(g, &file);
  test_write_file(path, file.s, file.len);
  Blob *b = blob_map(path);
  ck_assert_ptr_nonnull(b);
  Graph *back = graph_deserialize(b, path, d);
  ck_assert_msg(back != NULL, "%s", diag_text(d));
  int n = 0;
  for (ValId v = 1; v < back->n_vals; v++) {
    if (!val_is_const(back, v)) continue;
    const char *at = blob_raw(back->vals[v].blob), *base = blob_raw(b);
    ck_assert(at >= base && at + val_bytes(back, v) <= base + blob_size(b));
    ck_assert_uint_eq((uintptr_t)at % 64, 0);
    ck_assert_ptr_eq(val_data(back, v), at);
    n++;
  }
  ck_assert_int_gt(n, 0);
  blob_unref(b);
  ck_assert(hash_equal(graph_hash(g), graph_hash(back)));
  graph_free(back);
  graph_free(g);
  sb_free(&file);
  diag_free(d);
}
END_TEST

START_TEST(every_cut_is_an_error)
{
  Graph *g = sample_net();
  StrBuf file = {0};
  graph_serialize(g, &file);
  for (size_t n = 0; n < file.len; n++) {
    Diag *d = diag_new();
    ck_assert_msg(read_bytes(file.s, n, d) == NULL, "a cut at %zu of %zu is not noticed", n, file.len);
    ck_assert_int_eq(diag_count(d), 1);
    const char *want = n == 0 ? "the file is empty" : "truncated graph file";
    ck_assert_msg(strstr(diag_text(d), want) != NULL, "cut at %zu: %s", n, diag_text(d));
    diag_free(d);
  }
  graph_free(g);
  sb_free(&file);
}
END_TEST

START_TEST(changed_bytes_do_not_crash)
{
  static const unsigned char masks[] = {0x01, 0x80, 0xff};
  Graph *g = sample_net();
  StrBuf file = {0};
  graph_serialize(g, &file);
  for (size_t n = 0; n < file.len; n++) {
    for (size_t m = 0; m < sizeof masks; m++) {
      Diag *d = diag_new();
      file.s[n] = (char)(file.s[n] ^ masks[m]);
      Graph *back = read_bytes(file.s, file.len, d);
      ck_assert_msg((back != NULL) != (diag_count(d) > 0), "byte %zu: %s", n, diag_text(d));
      file.s[n] = (char)(file.s[n] ^ masks[m]);
      graph_free(back);
      diag_free(d);
    }
  }
  graph_free(g);
  sb_free(&file);
}
END_TEST

static void assert_refused(StrBuf *file, const char *want) {
  Diag *d = diag_new();
  ck_assert_ptr_null(read_bytes(file->s, file->len, d));
  ck_assert_msg(strstr(diag_text(d), want) != NULL, "got %swant %s", diag_text(d), want);
  diag_free(d);
}

START_TEST(damage_is_named)
{
  Graph *g = sample_net();
  StrBuf file = {0};
  graph_serialize(g, &file);
  file.s[0] = 'X';
  assert_refused(&file, "g.mfy: error: this is not a graph file of mistify");
  file.s[0] = 'M';
  sb_putc(&file, 'x');
  assert_refused(&file, "damaged graph file");
  file.len--;
  file.s[16] = (char)0xff; /* a text of other length: then it does not parse, or the table is wrong */
  file.s[23] = (char)0xff;
  assert_refused(&file, "damaged graph file: a text of");
  graph_free(g);
  sb_free(&file);
}
END_TEST

Suite *suite_serialize(void) {
  Suite *s = suite_create("serialize");
  TCase *c = tcase_create("round trip");
  tcase_add_loop_test(c, operators_come_back, 0, n_samples);
  tcase_add_test(c, net_comes_back);
  tcase_add_test(c, constants_are_views_of_an_aligned_file);
  suite_add_tcase(s, c);
  c = tcase_create("damage");
  tcase_add_test(c, every_cut_is_an_error);
  tcase_add_test(c, changed_bytes_do_not_crash);
  tcase_add_test(c, damage_is_named);
  suite_add_tcase(s, c);
  return s;
}
