/* ir/base: memory, strings, hashes, random numbers, blobs and files that everything else trusts. */
#include "ir/base/arena.h"
#include "ir/base/blob.h"
#include "ir/base/diag.h"
#include "ir/base/file.h"
#include "ir/base/hash.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/support.h"

#include <math.h>
#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* One assertion, not one for each byte: Check notes each of them. */
static bool all_bytes(const unsigned char *p, size_t n, unsigned char want) {
  for (size_t i = 0; i < n; i++) {
    if (p[i] != want) return false;
  }
  return true;
}

START_TEST(arena_gives_zeroed_aligned_memory)
{
  Arena *a = arena_new();
  unsigned char *p[300];
  for (size_t i = 0; i < 300; i++) {
    size_t n = i * i;
    p[i] = arena_alloc(a, n);
    ck_assert_uint_eq((uintptr_t)p[i] % alignof(max_align_t), 0);
    ck_assert_msg(all_bytes(p[i], n, 0), "block %zu is not zeroed", i);
    memset(p[i], (int)(i & 255), n);
  }
  for (size_t i = 0; i < 300; i++) {
    ck_assert_msg(all_bytes(p[i], i * i, (unsigned char)(i & 255)), "block %zu was overwritten", i);
  }
  ck_assert_uint_ge(arena_used(a), 300 * 299 * 599 / 6);
  arena_free(a);
}
END_TEST

START_TEST(arena_strings)
{
  Arena *a = arena_new();
  char text[] = "hello";
  char *copy = arena_strdup(a, text), *part = arena_strndup(a, text, 2);
  text[0] = 'j';
  ck_assert_str_eq(copy, "hello");
  ck_assert_str_eq(part, "he");
  ck_assert_ptr_null(arena_strdup(a, NULL));
  ck_assert_str_eq(arena_printf(a, "%d-%s", 7, "x"), "7-x");
  arena_free(a);
}
END_TEST

START_TEST(products_are_checked)
{
  size_t n = 0;
  ck_assert(mem_mul(3, 5, &n));
  ck_assert_uint_eq(n, 15);
  ck_assert(!mem_mul(SIZE_MAX, 2, &n));
  ck_assert(!mem_mul(SIZE_MAX / 2, 3, &n));
  ck_assert(mem_mul(0, SIZE_MAX, &n));
}
END_TEST

START_TEST(strbuf_grows)
{
  StrBuf b = {0};
  ck_assert_str_eq(sb_str(&b), "");
  for (int i = 0; i < 1000; i++) sb_printf(&b, "%d,", i % 10);
  ck_assert_uint_eq(b.len, 2000);
  ck_assert_uint_eq(strlen(sb_str(&b)), 2000);
  sb_clear(&b);
  sb_json_str(&b, "a\"b\\c\n\x01");
  ck_assert_str_eq(sb_str(&b), "\"a\\\"b\\\\c\\u000a\\u0001\"");
  sb_free(&b);
}
END_TEST

START_TEST(floats_print_shortest_and_exact)
{
  static const struct {
    float v;
    const char *text;
  } known[] = {{0.1f, "0.1"},
               {1, "1"},
               {-0.0f, "-0"},
               {16777216, "16777216"},
               {1e30f, "1e+30"},
               {0.3f, "0.3"},
               {3.4028235e38f, "3.4028235e+38"}};
  StrBuf b = {0};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    sb_clear(&b);
    sb_float(&b, known[i].v);
    ck_assert_str_eq(sb_str(&b), known[i].text);
  }
  Rng r;
  rng_seed(&r, 1, 2);
  for (int i = 0; i < 20000; i++) {
    uint32_t bits = (uint32_t)rng_u64(&r), got;
    float v, back;
    memcpy(&v, &bits, sizeof v);
    if (isnan(v)) continue;
    sb_clear(&b);
    sb_float(&b, v);
    back = strtof(sb_str(&b), NULL);
    memcpy(&got, &back, sizeof got);
    if (got != bits) ck_abort_msg("%08x prints as %s, which reads as %08x", bits, sb_str(&b), got);
  }
  sb_free(&b);
}
END_TEST

START_TEST(hash_streams_and_prints)
{
  unsigned char data[1000];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 31);
  Hash whole = hash_bytes(data, sizeof data), back;
  for (size_t cut = 0; cut <= sizeof data; cut += 37) {
    Hasher *h = hasher_new();
    hasher_bytes(h, data, cut);
    hasher_bytes(h, data + cut, sizeof data - cut);
    ck_assert_msg(hash_equal(hasher_done(h), whole), "cut at %zu", cut);
  }
  char hex[HASH_HEX];
  hash_hex(whole, hex);
  ck_assert_uint_eq(strlen(hex), 32);
  ck_assert(hash_parse(hex, &back) && hash_equal(whole, back));
  hex[5] = 'x';
  ck_assert(!hash_parse(hex, &back));
  ck_assert(!hash_parse("0123", &back));
}
END_TEST

START_TEST(hash_of_strings_is_unambiguous)
{
  static const char *const pairs[][2] = {{"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"abc", NULL}, {"", "abc"}};
  Hash seen[5];
  for (size_t i = 0; i < 5; i++) {
    Hasher *h = hasher_new();
    hasher_str(h, pairs[i][0]);
    hasher_str(h, pairs[i][1]);
    seen[i] = hasher_done(h);
    for (size_t k = 0; k < i; k++) ck_assert_msg(!hash_equal(seen[i], seen[k]), "%zu and %zu", i, k);
  }
}
END_TEST

START_TEST(rng_repeats_and_streams_differ)
{
  Rng a, b, c;
  rng_seed(&a, 42, 0);
  rng_seed(&b, 42, 0);
  rng_seed(&c, 42, 1);
  int repeated = 0, same = 0;
  for (int i = 0; i < 1000; i++) {
    uint64_t x = rng_u64(&a);
    repeated += x == rng_u64(&b);
    same += x == rng_u64(&c);
  }
  ck_assert_int_eq(repeated, 1000);
  ck_assert_int_eq(same, 0);
}
END_TEST

/* Means and counts within 5 standard deviations. */
START_TEST(rng_is_uniform)
{
  enum { N = 100000, K = 7 };
  Rng r;
  int count[K] = {0};
  double sum = 0, sum2 = 0;
  bool inside = true;
  rng_seed(&r, 3, 0);
  for (int i = 0; i < N; i++) {
    uint32_t k = rng_below(&r, K);
    inside = inside && k < K;
    if (k < K) count[k]++;
    float u = rng_uniform(&r);
    inside = inside && u >= 0 && u < 1;
    double z = (double)rng_normal(&r);
    sum += z;
    sum2 += z * z;
  }
  ck_assert(inside);
  for (int k = 0; k < K; k++) ck_assert_int_le(abs(count[k] - N / K), 5 * 111); /* sqrt(N/7 * 6/7) = 111 */
  ck_assert_msg(fabs(sum / N) < 5 / sqrt(N), "mean %g", sum / N);
  ck_assert_msg(fabs(sum2 / N - 1) < 5 * sqrt(2.0 / N), "variance %g", sum2 / N);
}
END_TEST

START_TEST(shuffle_is_a_permutation)
{
  Rng r;
  uint32_t idx[100], moved = 0;
  unsigned char seen[100] = {0};
  rng_seed(&r, 5, 0);
  for (uint32_t i = 0; i < 100; i++) idx[i] = i;
  rng_shuffle(&r, idx, 100);
  for (uint32_t i = 0; i < 100; i++) {
    ck_assert_uint_lt(idx[i], 100);
    ck_assert_uint_eq(seen[idx[i]], 0);
    seen[idx[i]] = 1;
    moved += idx[i] != i;
  }
  ck_assert_uint_gt(moved, 80);
}
END_TEST

START_TEST(blobs_share_and_align)
{
  char bytes[100];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)i;
  Blob *b = blob_new(bytes, sizeof bytes);
  const char *raw = blob_raw(b);
  Blob *view = blob_view(b, raw + 3, 50);
  blob_unref(b); /* the view keeps it */
  ck_assert_uint_eq(blob_size(view), 50);
  ck_assert_mem_eq(blob_raw(view), bytes + 3, 50);
  ck_assert_uint_eq((uintptr_t)blob_data(view) % 64, 0);
  ck_assert_mem_eq(blob_data(view), bytes + 3, 50);
  ck_assert(hash_equal(blob_hash(view), hash_bytes(bytes + 3, 50)));
  blob_unref(view);
}
END_TEST

static int files_in(const char *dir) {
  char cmd[4300], *out;
  snprintf(cmd, sizeof cmd, "ls -A '%s' | wc -l", dir);
  ck_assert_int_eq(test_run_command(cmd, &out), 0);
  int n = (int)strtol(out, NULL, 10);
  free(out);
  return n;
}

START_TEST(file_is_written_whole)
{
  char path[4200];
  const char *dir = test_tmp_dir();
  Diag *d = diag_new();
  Arena *a = arena_new();
  snprintf(path, sizeof path, "%s/f", dir);
  ck_assert(file_write(path, "first", 5, d));
  ck_assert(file_write(path, "second\0x", 8, d));
  size_t n = 0;
  const char *got = file_read(a, path, &n, d);
  ck_assert_uint_eq(n, 8);
  ck_assert_mem_eq(got, "second\0x", 9); /* and a NUL behind */
  ck_assert_int_eq(files_in(dir), 1);
  ck_assert_str_eq(diag_text(d), "");
  arena_free(a);
  diag_free(d);
}
END_TEST

START_TEST(failed_write_leaves_the_old_file)
{
  char path[4200], dir[4100];
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s", test_tmp_dir());
  snprintf(path, sizeof path, "%s/sub", dir);
  ck_assert_int_eq(mkdir(path, 0700), 0);
  ck_assert(!file_write(path, "x", 1, d)); /* a folder cannot be renamed over */
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_ptr_nonnull(strstr(diag_text(d), path));
  ck_assert_int_eq(files_in(dir), 1);
  diag_clear(d);
  snprintf(path, sizeof path, "%s/none/f", dir);
  ck_assert(!file_write(path, "x", 1, d));
  ck_assert_int_eq(diag_count(d), 1);
  diag_free(d);
}
END_TEST

/* A write beyond the file size limit fails half-way, as on a full disk: the old file stays, the partial one goes. */
START_TEST(half_a_write_leaves_the_old_file)
{
  char path[4200];
  const char *dir = test_tmp_dir();
  const size_t n = 100000;
  char *bytes = mem_zalloc(n);
  struct rlimit all, small;
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/f", dir);
  test_write_file(path, "old", 3);
  signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
  small = all;
  small.rlim_cur = 5000;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool ok = file_write(path, bytes, n, d);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
  ck_assert(!ok);
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_int_eq(files_in(dir), 1);
  size_t size = 0;
  char *now = test_read_file(path, &size);
  ck_assert_uint_eq(size, 3);
  ck_assert_str_eq(now, "old");
  free(now);
  mem_free(bytes);
  diag_free(d);
}
END_TEST

START_TEST(paths)
{
  Arena *a = arena_new();
  ck_assert_str_eq(path_join(a, "d", "f"), "d/f");
  ck_assert_str_eq(path_join(a, "d", "/f"), "/f");
  ck_assert_str_eq(path_join(a, "", "f"), "f");
  ck_assert_str_eq(path_dir(a, "a/b/c.x"), "a/b");
  ck_assert_str_eq(path_dir(a, "c.x"), ".");
  ck_assert_str_eq(path_base("a/b/c.x"), "c.x");
  ck_assert_str_eq(path_ext("a.b/c.x"), ".x");
  ck_assert_str_eq(path_ext("a.b/c"), "");
  arena_free(a);
}
END_TEST

START_TEST(folders_come_and_go)
{
  char path[4200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/a/b/c", test_tmp_dir());
  ck_assert_msg(file_make_dirs(path, d), "%s", diag_text(d));
  ck_assert(file_is_dir(path) && file_make_dirs(path, d));
  path[strlen(path) - 4] = '\0';
  ck_assert(file_remove_tree(path) && !file_exists(path) && file_remove_tree(path));
  diag_free(d);
}
END_TEST

START_TEST(diag_counts_and_points)
{
  Diag *d = diag_new();
  const Loc loc = {.file = "a.yaml", .line = 3, .col = 5};
  ck_assert(!diag_error(d, &loc, "got %d", 7));
  diag_source(d, "ram: x\nnext", 6);
  diag_hint(d, "want a number");
  diag_warn(d, NULL, "careful");
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_str_eq(diag_text(d), "a.yaml:3:5: error: got 7\n  ram: x\n       ^\n  hint: want a number\n"
                                 "warning: careful\n");
  for (int i = 0; i < 100; i++) diag_error(d, NULL, "more");
  ck_assert_int_eq(diag_count(d), 101);
  int lines = 0;
  for (const char *p = diag_text(d); (p = strstr(p, "more")) != NULL; p++) lines++;
  ck_assert_int_eq(lines, DIAG_MAX - 1);
  diag_free(d);
}
END_TEST

Suite *suite_base(void) {
  Suite *s = suite_create("base");
  TCase *c = tcase_create("memory and text");
  tcase_add_test(c, arena_gives_zeroed_aligned_memory);
  tcase_add_test(c, arena_strings);
  tcase_add_test(c, products_are_checked);
  tcase_add_test(c, strbuf_grows);
  tcase_add_test(c, floats_print_shortest_and_exact);
  tcase_add_test(c, diag_counts_and_points);
  suite_add_tcase(s, c);
  c = tcase_create("hash and rng");
  tcase_add_test(c, hash_streams_and_prints);
  tcase_add_test(c, hash_of_strings_is_unambiguous);
  tcase_add_test(c, rng_repeats_and_streams_differ);
  tcase_add_test(c, rng_is_uniform);
  tcase_add_test(c, shuffle_is_a_permutation);
  suite_add_tcase(s, c);
  c = tcase_create("files");
  tcase_add_test(c, blobs_share_and_align);
  tcase_add_test(c, file_is_written_whole);
  tcase_add_test(c, failed_write_leaves_the_old_file);
  tcase_add_test(c, half_a_write_leaves_the_old_file);
  tcase_add_test(c, paths);
  tcase_add_test(c, folders_come_and_go);
  suite_add_tcase(s, c);
  return s;
}
