/* Datasets: the three sources, what is refused, layouts, augmentation. Files are written by the tests themselves. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/data/dataset.h"
#include "runtime/data/input_map.h"
#include "runtime/data/source.h"
#include "tests/support.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic ignored "-Wunused-function" /* reported at the end of the file */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

static const char *in_tmp(const char *name) {
  static char path[8][512];
  static int next;
  char *p = path[next++ % 8];
  snprintf(p, sizeof path[0], "%s/%s", test_tmp_dir(), name);
  return p;
}

static void save(const char *path, DType t, const Shape *s, const void *data) {
  Diag *d = diag_new();
  Tensor x = tensor_new(t, s);
  memcpy(x.data, data, tensor_bytes(&x));
  if (!npy_write(path, &x, d)) ck_abort_msg("%s", diag_text(d));
  tensor_free(&x);
  diag_free(d);
}

static Split must_open(const SplitSpec *spec) {
  Diag *d = diag_new();
  Split s;
  if (!split_open(spec, &s, d)) ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  return s;
}

static void must_fail(const SplitSpec *spec, const char *want) {
  Diag *d = diag_new();
  Split s;
  ck_assert(!split_open(spec, &s, d));
  ck_assert_msg(strstr(diag_text(d), want), "got \"%s\", want \"%s\"", diag_text(d), want);
  ck_assert_ptr_null(s.x);
  diag_free(d);
}

/* -- npy -- */

/* Six examples of 2x3x1 bytes: example i holds 10 i .. 10 i + 5; labels i % 3. */
static void write_npy(const char *x, const char *y) {
  uint8_t px[36];
  int64_t labels[6];
  for (int i = 0; i < 36; i++) px[i] = (uint8_t)(i / 6 * 10 + i % 6);
  for (int i = 0; i < 6; i++) labels[i] = i % 3;
  Shape sx = shape_of(4, (int64_t)6, (int64_t)2, (int64_t)3, (int64_t)1), sy = shape_of(1, (int64_t)6);
  save(x, DT_U8, &sx, px);
  save(y, DT_I64, &sy, labels);
}

START_TEST(npy_pairs)
{
  const char *x = in_tmp("x.npy"), *y = in_tmp("y.npy");
  write_npy(x, y);
  SplitSpec spec = {.kind = "npy", .x = x, .y = y, .first = 2, .count = 3};
  Split s = must_open(&spec);
  ck_assert_uint_eq(s.n, 3);
  ck_assert_int_eq(s.item.rank, 3);
  ck_assert_int_eq(s.item.d[1], 3);
  ck_assert_int_eq(((const uint8_t *)s.x)[6], 30);
  ck_assert_int_eq(s.y[0], 2);
  ck_assert_int_eq(s.y[1], 0);
  Hash h = split_hash(&s);
  split_close(&s);
  spec.first = 0;
  s = must_open(&spec);
  Hash other = split_hash(&s);
  ck_assert(!hash_equal(h, other));
  split_close(&s);
  spec.count = 7;
  must_fail(&spec, "records 0 to 6: the file has 6");
  spec.y = x;
  spec.count = 0;
  must_fail(&spec, "labels of type u8: want i64 or i32");
  spec.y = NULL;
  s = must_open(&spec);
  ck_assert_ptr_null(s.y);
  split_close(&s);
}
END_TEST

/* -- CIFAR -- */

enum { RECORD = 3073 };

/* Record i: label i % 10; byte b of plane c: (i + c + b) & 255. */
static uint8_t *cifar_bytes(int n) {
  uint8_t *all = mem_alloc((size_t)n * RECORD);
  for (int i = 0; i < n; i++) {
    uint8_t *r = all + (size_t)i * RECORD;
    r[0] = (uint8_t)(i % 10);
    for (int c = 0; c < 3; c++)
      for (int b = 0; b < 1024; b++) r[1 + c * 1024 + b] = (uint8_t)(i + c + b);
  }
  return all;
}

static void check_cifar(const char *path) {
  SplitSpec spec = {.kind = "cifar", .x = path, .first = 3, .count = 5};
  Split s = must_open(&spec);
  ck_assert_uint_eq(s.n, 5);
  ck_assert_int_eq(s.item.d[2], 3);
  const uint8_t *px = s.x; /* record 5, pixel 100 */
  for (int c = 0; c < 3; c++) ck_assert_int_eq(px[2 * 3072 + 3 * 100 + c], 3 + 2 + c + 100);
  ck_assert_int_eq(s.y[4], 7);
  split_close(&s);
  spec.count = 0;
  s = must_open(&spec);
  ck_assert_uint_eq(s.n, 17);
  split_close(&s);
  spec.count = 18;
  must_fail(&spec, "records 3 to 20: the file has 20");
  spec.first = 20;
  must_fail(&spec, "records from 20: the file has 20");
}

START_TEST(cifar_binary)
{
  uint8_t *bytes = cifar_bytes(20);
  const char *path = in_tmp("c.bin");
  test_write_file(path, bytes, 20 * RECORD);
  check_cifar(path);
  test_write_file(path, bytes, 20 * RECORD - 1);
  must_fail(&(SplitSpec){.kind = "cifar", .x = path}, "ends inside record 19");
  must_fail(&(SplitSpec){.kind = "cifar", .x = in_tmp("absent.bin")}, "cannot read");
  mem_free(bytes);
}
END_TEST

START_TEST(cifar_through_xz)
{
  if (test_run_command("xz --version", NULL) != 0) {
    test_skip("no xz here");
    return;
  }
  uint8_t *bytes = cifar_bytes(20);
  const char *path = in_tmp("q'; $(x).bin"); /* a name that a shell would take apart */
  test_write_file(path, bytes, 20 * RECORD);
  char cmd[1200];
  snprintf(cmd, sizeof cmd, "xz -k \"%s/q'; \\$(x).bin\"", test_tmp_dir());
  ck_assert_int_eq(test_run_command(cmd, NULL), 0);
  check_cifar(in_tmp("q'; $(x).bin.xz"));
  const char *bad = in_tmp("bad.bin.xz");
  test_write_file(bad, bytes, 1000);
  must_fail(&(SplitSpec){.kind = "cifar", .x = bad}, "xz cannot unpack it");
  mem_free(bytes);
}
END_TEST

/* -- image folders -- */

static void write_png(const char *path, int w, int h, int c, int value) {
  uint8_t *px = mem_alloc((size_t)(w * h * c));
  for (int i = 0; i < w * h * c; i++) px[i] = (uint8_t)(value + i % c);
  ck_assert(stbi_write_png(path, w, h, c, px, w * c) != 0);
  mem_free(px);
}

static void make_folder(const char *name) {
  mkdir(in_tmp(name), 0777);
  char sub[64];
  for (int i = 0; i < 2; i++) {
    snprintf(sub, sizeof sub, "%s/%s", name, i ? "pear" : "apple");
    mkdir(in_tmp(sub), 0777);
  }
  snprintf(sub, sizeof sub, "%s/pear/1.png", name);
  write_png(in_tmp(sub), 6, 4, 3, 100);
  snprintf(sub, sizeof sub, "%s/apple/b.png", name);
  write_png(in_tmp(sub), 12, 8, 3, 50);
  snprintf(sub, sizeof sub, "%s/apple/a.png", name);
  write_png(in_tmp(sub), 6, 4, 1, 20);
}

START_TEST(image_folders)
{
  make_folder("img");
  SplitSpec spec = {.kind = "images", .x = in_tmp("img"), .width = 6, .height = 4, .channels = 3};
  Split s = must_open(&spec);
  ck_assert_uint_eq(s.n, 3);
  ck_assert_int_eq(s.item.d[0], 4);
  ck_assert_int_eq(s.item.d[1], 6);
  const int32_t labels[3] = {0, 0, 1};
  ck_assert_mem_eq(s.y, labels, sizeof labels);
  const uint8_t *px = s.x;
  ck_assert_int_eq(px[0], 20); /* a grey image has three equal channels */
  ck_assert_int_eq(px[2], 20);
  ck_assert_int_eq(px[72 + 1], 51); /* shrunk: the mean of equal pixels */
  ck_assert_int_eq(px[144 + 71], 102);
  split_close(&s);
  test_write_file(in_tmp("img/pear/2.png"), "no image", 8);
  must_fail(&spec, "cannot decode the image");
  must_fail(&(SplitSpec){.kind = "images", .x = in_tmp("img/pear")}, "no class folders");
}
END_TEST

START_TEST(resizing)
{
  const uint8_t src[4] = {0, 100, 200, 40};
  uint8_t half[1], twice[8];
  image_resize(src, 2, 2, half, 1, 1, 1);
  ck_assert_int_eq(half[0], 85);
  image_resize(src, 1, 4, twice, 1, 8, 1);
  const uint8_t want[8] = {0, 25, 75, 125, 175, 160, 80, 40};
  ck_assert_mem_eq(twice, want, 8);
  uint8_t third[2];
  const uint8_t line[3] = {0, 90, 180};
  image_resize(line, 1, 3, third, 1, 2, 1); /* each covers one pixel and half of the middle one */
  ck_assert_int_eq(third[0], 30);
  ck_assert_int_eq(third[1], 150);
}
END_TEST

/* -- datasets -- */

static void overlap(const DataSpec *spec, const char *want) {
  Diag *d = diag_new();
  Dataset ds;
  Split s;
  ck_assert(!dataset_open(spec, &ds, d));
  ck_assert_msg(strstr(diag_text(d), want), "got \"%s\", want \"%s\"", diag_text(d), want);
  ck_assert_ptr_null(ds.train.x);
  diag_clear(d);
  ck_assert(!dataset_open_test(spec, &s, d));
  diag_free(d);
}

START_TEST(overlap_is_refused)
{
  const char *x = in_tmp("ox.npy"), *y = in_tmp("oy.npy"), *link = in_tmp("link.npy");
  write_npy(x, y);
  unlink(link);
  ck_assert_int_eq(symlink(x, link), 0);
  DataSpec spec = {.train = {.kind = "npy", .x = x, .y = y, .count = 3},
                   .val = {.kind = "npy", .x = x, .y = y, .first = 3, .count = 2},
                   .test = {.kind = "npy", .x = x, .y = y, .first = 5},
                   .classes = 3};
  Diag *d = diag_new();
  Dataset ds;
  Split test;
  ck_assert_msg(dataset_open(&spec, &ds, d), "%s", diag_text(d));
  ck_assert_msg(dataset_open_test(&spec, &test, d), "%s", diag_text(d));
  ck_assert_uint_eq(test.n, 1);
  split_close(&test);
  Hash h = ds.hash;
  dataset_close(&ds);
  spec.augment.flip = true;
  ck_assert(dataset_open(&spec, &ds, d));
  ck_assert(!hash_equal(h, ds.hash));
  dataset_close(&ds);
  DataSpec bad = spec;
  bad.val.first = 2;
  overlap(&bad, "train and val overlap: both take record 2");
  bad = spec;
  bad.val.x = link; /* another name of the same file */
  bad.val.first = 0;
  overlap(&bad, "train and val overlap");
  bad = spec;
  bad.test.first = 4;
  overlap(&bad, "val and test overlap: both take record 4");
  bad = spec;
  bad.train.count = 0;
  overlap(&bad, "train and val overlap");
  make_folder("ofold");
  bad = (DataSpec){.train = {.kind = "images", .x = in_tmp("ofold")},
                   .test = {.kind = "images", .x = in_tmp("ofold/pear")}};
  overlap(&bad, "one folder lies inside the other");
  diag_free(d);
}
END_TEST

START_TEST(labels_and_classes_are_checked)
{
  const char *x = in_tmp("lx.npy"), *y = in_tmp("ly.npy");
  write_npy(x, y);
  DataSpec spec = {.train = {.kind = "npy", .x = x, .y = y}, .classes = 2};
  overlap(&spec, "label 2 of example 2: want 0 to 1");
  spec.classes = 3;
  spec.normalize.n = 3;
  overlap(&spec, "normalization of 3 channels: the examples have 1");
  make_folder("one");
  make_folder("two");
  ck_assert_int_eq(rename(in_tmp("two/pear"), in_tmp("two/plum")), 0);
  DataSpec folders = {.train = {.kind = "images", .x = in_tmp("one")},
                      .val = {.kind = "images", .x = in_tmp("two")}};
  overlap(&folders, "class folder \"plum\"");
}
END_TEST

/* -- examples as inputs -- */

static Split ramp(uint8_t *px, int h, int w, int c) {
  for (int i = 0; i < h * w * c; i++) px[i] = (uint8_t)(i + 1);
  return (Split){.n = 1, .item = {3, {h, w, c}}, .dtype = DT_U8, .x = px};
}

START_TEST(normalization)
{
  uint8_t px[12];
  float out[12];
  Split s = ramp(px, 2, 2, 3);
  Normalize nz = {.n = 3, .scale = {1, 2, 3}, .offset = {0, 10, 20}};
  split_item(&s, &nz, NULL, 0, out);
  ck_assert(out[0] == 1 && out[1] == 14 && out[2] == 29 && out[9] == 10);
  nz.n = 0;
  split_item(&s, &nz, NULL, 0, out);
  ck_assert(out[11] == 12);
}
END_TEST

START_TEST(augmentation_is_a_mirrored_window)
{
  enum { H = 4, W = 5, C = 2, N = H * W * C, CROP = 2 };
  uint8_t px[N];
  Split s = ramp(px, H, W, C);
  Normalize nz = {.n = 1, .scale = {1}, .offset = {0}};
  bool flips[2] = {false}, moved = false;
  for (uint64_t stream = 0; stream < 64; stream++) {
    float out[N], again[N];
    Augment a = {.flip = true, .crop = CROP, .seed = 5, .stream = stream};
    split_item(&s, &nz, &a, 0, out);
    split_item(&s, &nz, &a, 0, again);
    ck_assert_mem_eq(out, again, sizeof out);
    /* Which mirror image and which window it was. */
    int found = 0;
    for (int flip = 0; flip < 2; flip++)
      for (int dy = -CROP; dy <= CROP; dy++)
        for (int dx = -CROP; dx <= CROP; dx++) {
          bool same = true;
          for (int i = 0; i < N && same; i++) {
            int y = i / (W * C) + dy, x = i / C % W, c = i % C;
            x = (flip ? W - 1 - x : x) + dx;
            float want = y < 0 || y >= H || x < 0 || x >= W ? 0 : (float)px[(y * W + x) * C + c];
            same = out[i] == want;
          }
          if (!same) continue;
          found++;
          flips[flip] = true;
          moved |= dx || dy;
        }
    ck_assert_int_eq(found, 1);
  }
  ck_assert(flips[0] && flips[1] && moved);
}
END_TEST

START_TEST(layouts)
{
  uint8_t px[24];
  Split s = ramp(px, 2, 4, 3);
  Diag *d = diag_new();
  InputMap m;
  Shape nhwc = shape_of(4, (int64_t)DIM_BATCH, (int64_t)2, (int64_t)4, (int64_t)3);
  Shape nchw = shape_of(4, (int64_t)1, (int64_t)3, (int64_t)2, (int64_t)4);
  Shape flat = shape_of(2, (int64_t)DIM_BATCH, (int64_t)24),
        wrong = shape_of(2, (int64_t)DIM_BATCH, (int64_t)25);
  float out[24], tmp[24];
  ck_assert(input_map(&nhwc, &s.item, &m, d) && !m.to_chw);
  ck_assert(input_map(&flat, &s.item, &m, d) && !m.to_chw);
  ck_assert(input_map(&nchw, &s.item, &m, d) && m.to_chw);
  input_item(&m, &s, NULL, NULL, 0, out, tmp);
  ck_assert(out[0] == 1 && out[1] == 4 && out[8] == 2 && out[23] == 24);
  ck_assert(!input_map(&wrong, &s.item, &m, d));
  ck_assert_ptr_nonnull(
      strstr(diag_text(d), "the model's input is [N,25], but the data's examples are [2,4,3]"));
  diag_free(d);
}
END_TEST

START_TEST(shared_cifar)
{
  char path[512];
  if (!test_shared_path(path, sizeof path, "data/cifar10/test.bin.xz")) return;
  Split s = must_open(&(SplitSpec){.kind = "cifar", .x = path, .first = 10, .count = 50});
  ck_assert_uint_eq(s.n, 50);
  int seen = 0;
  for (int i = 0; i < 50; i++) seen |= 1 << s.y[i];
  ck_assert_int_eq(seen & ~1023, 0);
  ck_assert_int_gt(__builtin_popcount((unsigned)seen), 5);
  split_close(&s);
}
END_TEST

Suite *suite_data(void) {
  Suite *s = suite_create("data");
  TCase *t = tcase_create("data");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, npy_pairs);
  tcase_add_test(t, cifar_binary);
  tcase_add_test(t, cifar_through_xz);
  tcase_add_test(t, image_folders);
  tcase_add_test(t, resizing);
  tcase_add_test(t, overlap_is_refused);
  tcase_add_test(t, labels_and_classes_are_checked);
  tcase_add_test(t, normalization);
  tcase_add_test(t, augmentation_is_a_mirrored_window);
  tcase_add_test(t, layouts);
  tcase_add_test(t, shared_cifar);
  suite_add_tcase(s, t);
  return s;
}
