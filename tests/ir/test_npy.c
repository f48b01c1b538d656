/* .npy: every element type round-trips, files written by others are read, and damage is refused with its reason. */
#include "ir/base/strbuf.h"
#include "ir/tensor.h"
#include "tests/support.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const DType all_types[] = {DT_F32, DT_I8,   DT_U8,  DT_I16, DT_I32, DT_I64,
                                  DT_F64, DT_BOOL, DT_U16, DT_U32, DT_U64, DT_F16};

static Tensor counted(DType t, const Shape *s) {
  Tensor x = tensor_new(t, s);
  unsigned char *p = x.data;
  for (size_t i = 0; i < tensor_bytes(&x); i++) p[i] = (unsigned char)(t == DT_BOOL ? i & 1 : i * 37);
  return x;
}

static void assert_equal(const Tensor *a, const Tensor *b) {
  ck_assert_int_eq(a->dtype, b->dtype);
  ck_assert(shape_equal(&a->shape, &b->shape));
  if (tensor_bytes(a) > 0) ck_assert_mem_eq(a->data, b->data, tensor_bytes(a));
}

START_TEST(types_round_trip)
{
  const Shape shapes[] = {shape_of(0), shape_of(1, (int64_t)5), shape_of(1, (int64_t)0),
                          shape_of(3, (int64_t)2, (int64_t)3, (int64_t)4),
                          shape_of(2, (int64_t)3, (int64_t)0)};
  char path[4200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/a.npy", test_tmp_dir());
  for (size_t t = 0; t < sizeof all_types / sizeof all_types[0]; t++) {
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
      Tensor x = counted(all_types[t], &shapes[k]), y;
      ck_assert_msg(npy_write(path, &x, d), "%s", diag_text(d));
      ck_assert_msg(npy_read(path, &y, d), "%s", diag_text(d));
      assert_equal(&x, &y);
      ck_assert_uint_eq((uintptr_t)y.data % 64, 0);
      tensor_free(&x);
      tensor_free(&y);
    }
  }
  diag_free(d);
}
END_TEST

/* Header and elements as bytes; version 1. */
static void make_file(StrBuf *out, int major, const char *header, const void *data, size_t n) {
  size_t len = strlen(header);
  sb_clear(out);
  sb_write(out, "\x93NUMPY", 6);
  sb_putc(out, (char)major);
  sb_putc(out, 0);
  for (int i = 0; i < (major == 1 ? 2 : 4); i++) sb_putc(out, (char)(len >> (8 * i)));
  sb_puts(out, header);
  sb_write(out, data, n);
}

START_TEST(other_writers_are_read)
{
  static const char *const headers[] = {
      "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }          \n",
      "{\"shape\": (2,2), \"fortran_order\": False, \"descr\": \"<i2\"}",
      "{'descr':'<i2','fortran_order':False,'shape':(2,2,)}\n",
  };
  const int16_t data[4] = {1, -2, 3, -32768};
  StrBuf file = {0};
  Diag *d = diag_new();
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    for (int major = 1; major <= 3; major++) {
      Tensor x;
      make_file(&file, major, headers[i], data, sizeof data);
      ck_assert_msg(npy_parse(file.s, file.len, "a.npy", &x, d), "%s: %s", headers[i], diag_text(d));
      ck_assert_int_eq(x.dtype, DT_I16);
      ck_assert_int_eq(x.shape.rank, 2);
      ck_assert_mem_eq(x.data, data, sizeof data);
      tensor_free(&x);
    }
  }
  sb_free(&file);
  diag_free(d);
}
END_TEST

static const struct {
  int major;
  const char *header, *want;
} refused[] = {
    {1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "Fortran order, want C order"},
    {1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
     "big-endian ('>f4'), want little-endian"},
    {1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", "elements are '<c8', want f2, f4"},
    {1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "elements are records"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
     "truncated .npy file: the shape wants 12 bytes"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
     "damaged .npy file: the shape wants 4 bytes"},
    {1, "{'descr': '<f4', 'fortran_order': False, }", "descr, fortran_order or shape is missing"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "unknown key 'x'"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", "more than 8 dimensions"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }", "a dimension is larger"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647,2147483647,4), }",
     "the array is larger than"},
    {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "want a dimension"},
    {1, "{'descr': '<f4", "a string does not end"},
    {1, "", "want '{'"},
    {4, "{}", ".npy format 4.0, want 1.0 to 3.0"},
    {0, "{}", ".npy format 0.0, want 1.0 to 3.0"},
};

START_TEST(damage_is_named)
{
  const float data[2] = {1, 2};
  StrBuf file = {0};
  Diag *d = diag_new();
  Tensor x;
  make_file(&file, refused[_i].major, refused[_i].header, data, sizeof data);
  ck_assert(!npy_parse(file.s, file.len, "a.npy", &x, d));
  ck_assert_ptr_null(x.data);
  ck_assert_msg(strstr(diag_text(d), refused[_i].want) != NULL, "got %swant %s", diag_text(d),
                refused[_i].want);
  ck_assert_msg(strncmp(diag_text(d), "a.npy: error: ", 14) == 0, "%s", diag_text(d));
  sb_free(&file);
  diag_free(d);
}
END_TEST

START_TEST(every_cut_is_an_error)
{
  Shape s = shape_of(2, (int64_t)2, (int64_t)3);
  Tensor x = counted(DT_F32, &s);
  StrBuf file = {0};
  npy_format(&x, &file);
  for (size_t n = 0; n < file.len; n++) {
    Diag *d = diag_new();
    Tensor y;
    ck_assert_msg(!npy_parse(file.s, n, "a.npy", &y, d) && diag_count(d) == 1, "a cut at %zu is not noticed",
                  n);
    diag_free(d);
  }
  for (size_t n = 0; n < file.len; n++) { /* a changed byte gives a tensor or an error */
    Diag *d = diag_new();
    Tensor y;
    file.s[n] = (char)(file.s[n] ^ 0x55);
    bool ok = npy_parse(file.s, file.len, "a.npy", &y, d);
    ck_assert_msg(ok == (diag_count(d) == 0), "byte %zu", n);
    file.s[n] = (char)(file.s[n] ^ 0x55);
    tensor_free(&y);
    diag_free(d);
  }
  tensor_free(&x);
  sb_free(&file);
}
END_TEST

START_TEST(missing_file_is_named)
{
  Diag *d = diag_new();
  Tensor x;
  ck_assert(!npy_read("/nowhere/x.npy", &x, d));
  ck_assert_str_eq(diag_text(d), "/nowhere/x.npy: error: cannot be read: No such file or directory\n");
  diag_free(d);
}
END_TEST

/* The test data's files, which another program wrote: read, written and read again they are equal. */
START_TEST(test_data_is_read)
{
  DIR *dir = opendir("tests/data/onnx");
  ck_assert_ptr_nonnull(dir);
  int n = 0;
  Diag *d = diag_new();
  for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
    size_t len = strlen(e->d_name);
    if (len < 4 || strcmp(e->d_name + len - 4, ".npy") != 0) continue;
    char path[600];
    StrBuf file = {0};
    Tensor x, y;
    snprintf(path, sizeof path, "tests/data/onnx/%s", e->d_name);
    ck_assert_msg(npy_read(path, &x, d), "%s", diag_text(d));
    npy_format(&x, &file);
    ck_assert_msg(npy_parse(file.s, file.len, path, &y, d), "%s", diag_text(d));
    assert_equal(&x, &y);
    tensor_free(&x);
    tensor_free(&y);
    sb_free(&file);
    n++;
  }
  closedir(dir);
  diag_free(d);
  ck_assert_int_gt(n, 0);
}
END_TEST

Suite *suite_npy(void) {
  Suite *s = suite_create("npy");
  TCase *c = tcase_create("npy");
  tcase_add_test(c, types_round_trip);
  tcase_add_test(c, other_writers_are_read);
  tcase_add_loop_test(c, damage_is_named, 0, (int)(sizeof refused / sizeof refused[0]));
  tcase_add_test(c, every_cut_is_an_error);
  tcase_add_test(c, missing_file_is_named);
  tcase_add_test(c, test_data_is_read);
  suite_add_tcase(s, c);
  return s;
}
