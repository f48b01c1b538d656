/* The step cache: hit and miss, every single flipped byte and every cut noticed, several writers of one key, a full
 * disk, and what `mistify cache` does: list, shrink, verify, clear.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "passes/steps/artifact.h"
#include "passes/steps/cache.h"
#include "tests/support.h"

typedef struct Lines {
  StrBuf text;
  int n;
} Lines;

static void keep_line(void *ctx, const char *line) {
  Lines *l = ctx;
  sb_printf(&l->text, "%s\n", line);
  l->n++;
}

typedef struct Fixture {
  Arena *a;
  Diag *d;
  Lines log;
  Host host;
  Cache *c;
} Fixture;

static void begin(Fixture *f, const char *name) {
  *f = (Fixture){.a = arena_new(), .d = diag_new()};
  f->host = (Host){.ctx = &f->log, .log = keep_line, .threads = 1};
  f->c = cache_open(path_join(f->a, test_tmp_dir(), name), &f->host, f->d);
  ck_assert_msg(f->c != NULL, "%s", diag_text(f->d));
}

static void end(Fixture *f) {
  cache_close(f->c);
  sb_free(&f->log.text);
  diag_free(f->d);
  arena_free(f->a);
}

static const Hash KEY = {.hi = 0xab54a98ceb1f0ad2u, .lo = 7};

static Hash key_of(int i) { return hash_bytes(&i, sizeof i); }

static const char *entry_path(const Fixture *f, Hash key) {
  char hex[HASH_HEX];
  hash_hex(key, hex);
  return arena_printf(f->a, "%s/%.2s/%s", cache_dir(f->c), hex, hex);
}

static void put(Fixture *f, Hash key, const char *text, size_t n) {
  Artifact art = artifact_from_bytes(ART_STATS, text, n);
  ck_assert_msg(cache_put(f->c, key, "test", &art, 1, f->d), "%s", diag_text(f->d));
  artifact_unref(&art);
}

static bool have(Fixture *f, Hash key) {
  Artifact out[CACHE_MAX_ARTIFACTS];
  int n = 0;
  if (!cache_get(f->c, key, out, &n)) return false;
  for (int i = 0; i < n; i++) artifact_unref(&out[i]);
  return true;
}

/* ---- Hit and miss */

START_TEST(test_hit)
{
  Fixture f;
  begin(&f, "hit");
  Artifact in[3] = {artifact_from_bytes(ART_STATS, "hello", 5), artifact_from_hash(ART_DATA, key_of(3)),
                    artifact_from_bytes(ART_PLAN, "", 0)};
  ck_assert(!have(&f, KEY));
  ck_assert(cache_put(f.c, KEY, "a kind with a name that is longer than is kept", in, 3, f.d));
  Artifact out[CACHE_MAX_ARTIFACTS];
  int n = 0;
  ck_assert(cache_get(f.c, KEY, out, &n));
  ck_assert_int_eq(n, 3);
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(out[i].type, in[i].type);
    ck_assert(hash_equal(out[i].hash, in[i].hash));
    ck_assert_int_eq(out[i].bytes != NULL, in[i].bytes != NULL);
  }
  ck_assert_uint_eq(blob_size(out[0].bytes), 5);
  ck_assert_mem_eq(blob_raw(out[0].bytes), "hello", 5);
  ck_assert_uint_eq((uintptr_t)blob_raw(out[0].bytes) % 64, 0); /* aligned: views need no copy */
  ck_assert_uint_eq(blob_size(out[2].bytes), 0);
  /* The bytes outlive the entry and the cache. */
  ck_assert(cache_clear(f.c, f.d));
  ck_assert(!have(&f, KEY));
  ck_assert_mem_eq(blob_raw(out[0].bytes), "hello", 5);
  for (int i = 0; i < 3; i++) artifact_unref(&in[i]), artifact_unref(&out[i]);
  ck_assert_int_eq(f.log.n, 0);
  end(&f);
}
END_TEST

START_TEST(test_cannot_open)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const char *file = path_join(a, test_tmp_dir(), "a-file");
  test_write_file(file, "x", 1);
  ck_assert_ptr_null(cache_open(path_join(a, file, "cache"), NULL, d));
  ck_assert_msg(strstr(diag_text(d), "a-file/cache") != NULL, "got %s", diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

/* ---- Damage */

START_TEST(test_every_flipped_byte)
{
  Fixture f;
  begin(&f, "flip");
  put(&f, KEY, "statistics", 10);
  size_t size;
  char *good = test_read_file(entry_path(&f, KEY), &size);
  ck_assert_ptr_nonnull(good);
  for (size_t i = 0; i < size; i++) {
    good[i] = (char)(good[i] ^ 0x10);
    test_write_file(entry_path(&f, KEY), good, size);
    good[i] = (char)(good[i] ^ 0x10);
    ck_assert_msg(!have(&f, KEY), "byte %zu of %zu flipped: not noticed", i, size);
    ck_assert_msg(!file_exists(entry_path(&f, KEY)), "byte %zu flipped: the entry is still there", i);
    ck_assert_int_eq(f.log.n, (int)i + 1);
  }
  ck_assert_msg(strstr(f.log.text.s, "is damaged (wrong checksum): removed") != NULL, "got %s", f.log.text.s);
  test_write_file(entry_path(&f, KEY), good, size);
  ck_assert(have(&f, KEY));
  free(good);
  end(&f);
}
END_TEST

START_TEST(test_every_cut)
{
  Fixture f;
  begin(&f, "cut");
  put(&f, KEY, "statistics", 10);
  size_t size;
  char *good = test_read_file(entry_path(&f, KEY), &size);
  char *longer = malloc(size + 1);
  memcpy(longer, good, size);
  longer[size] = 0;
  for (size_t n = 0; n <= size + 1; n++) {
    test_write_file(entry_path(&f, KEY), longer, n);
    ck_assert_msg(have(&f, KEY) == (n == size), "%zu bytes of %zu: %s", n, size,
                  n == size ? "refused" : "taken");
  }
  free(longer);
  free(good);
  end(&f);
}
END_TEST

START_TEST(test_another_keys_entry)
{
  Fixture f;
  begin(&f, "moved");
  put(&f, KEY, "x", 1);
  put(&f, key_of(1), "y", 1);
  ck_assert_int_eq(rename(entry_path(&f, KEY), entry_path(&f, key_of(1))), 0);
  ck_assert(!have(&f, key_of(1)));
  ck_assert_msg(strstr(f.log.text.s, "another key") != NULL, "got %s", f.log.text.s);
  end(&f);
}
END_TEST

/* ---- Several writers */

/* Child i writes all keys over and over while it reads them: whatever it finds must be whole. */
static int writer(Cache *c, int rounds) {
  enum { KEYS = 3, BYTES = 40000 };
  static char bytes[BYTES];
  Diag *d = diag_new();
  for (int r = 0; r < rounds; r++)
    for (int k = 0; k < KEYS; k++) {
      memset(bytes, 'a' + k, sizeof bytes);
      Artifact art = artifact_from_bytes(ART_STATS, bytes, sizeof bytes), out[CACHE_MAX_ARTIFACTS];
      int n = 0;
      bool ok = cache_put(c, key_of(k), "test", &art, 1, d) && cache_get(c, key_of(k), out, &n) && n == 1 &&
                memcmp(blob_raw(out[0].bytes), bytes, sizeof bytes) == 0;
      if (!ok) return 1;
      artifact_unref(&out[0]);
      artifact_unref(&art);
    }
  diag_free(d);
  return 0;
}

START_TEST(test_two_processes)
{
  Fixture f;
  begin(&f, "two");
  pid_t child[3];
  for (int i = 0; i < 3; i++) {
    child[i] = fork();
    ck_assert_int_ge(child[i], 0);
    if (child[i] == 0) _exit(writer(f.c, 15) || f.log.n > 0);
  }
  for (int i = 0; i < 3; i++) {
    int status;
    ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "writer %d: status %d", i, status);
  }
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.entries, 3);
  ck_assert_int_eq(s.leftovers, 0);
  end(&f);
}
END_TEST

/* No file of this process may exceed 10,000 bytes: writing fails in the middle, as on a full disk. */
START_TEST(test_full_disk)
{
  Fixture f;
  begin(&f, "full");
  char *bytes = calloc(1, 50000);
  Artifact art = artifact_from_bytes(ART_STATS, bytes, 50000);
  struct rlimit old, small;
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 10000;
  signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool ok = cache_put(f.c, KEY, "test", &art, 1, f.d);
  setrlimit(RLIMIT_FSIZE, &old);
  ck_assert(!ok);
  ck_assert_msg(strstr(diag_text(f.d), "cannot be written: ") && strstr(diag_text(f.d), "mistify cache gc"),
                "got %s", diag_text(f.d));
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.entries, 0);
  ck_assert_int_eq(s.leftovers, 0);
  artifact_unref(&art);
  free(bytes);
  end(&f);
}
END_TEST

/* ---- Maintenance */

static void set_used(const Fixture *f, Hash key, time_t when) {
  struct timespec t[2] = {{.tv_sec = when}, {.tv_sec = when}};
  ck_assert_int_eq(utimensat(AT_FDCWD, entry_path(f, key), t, 0), 0);
}

START_TEST(test_list_and_gc)
{
  Fixture f;
  begin(&f, "gc");
  char bytes[1000] = {0};
  for (int i = 0; i < 5; i++) {
    put(&f, key_of(i), bytes, sizeof bytes);
    set_used(&f, key_of(i), 1000 + i);
  }
  ck_assert(have(&f, key_of(0))); /* used again: now the newest */
  CacheEntry *list;
  size_t n;
  ck_assert(cache_list(f.c, f.a, &list, &n, f.d));
  ck_assert_uint_eq(n, 5);
  ck_assert(hash_equal(list[0].key, key_of(1)) && hash_equal(list[4].key, key_of(0)));
  ck_assert_str_eq(list[0].kind, "test");
  ck_assert_int_eq(list[0].artifacts, 1);
  CacheStats removed;
  ck_assert(cache_gc(f.c, 2 * list[0].bytes, &removed, f.d));
  ck_assert_int_eq(removed.entries, 3);
  ck_assert(have(&f, key_of(0)) && have(&f, key_of(4)));
  ck_assert(!have(&f, key_of(1)) && !have(&f, key_of(3)));
  end(&f);
}
END_TEST

START_TEST(test_leftovers)
{
  Fixture f;
  begin(&f, "left");
  put(&f, KEY, "x", 1);
  const char *fresh = arena_printf(f.a, "%s.tmp.1.0", entry_path(&f, KEY));
  const char *stale = arena_printf(f.a, "%s.tmp.2.0", entry_path(&f, KEY));
  test_write_file(fresh, "half", 4);
  test_write_file(stale, "half", 4);
  struct timespec t[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  ck_assert_int_eq(utimensat(AT_FDCWD, stale, t, 0), 0);
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.entries, 1);
  ck_assert_int_eq(s.leftovers, 2);
  ck_assert(cache_gc(f.c, 1 << 20, &s, f.d));
  ck_assert_int_eq(s.leftovers, 1);
  ck_assert_int_eq(s.entries, 0);
  ck_assert(file_exists(fresh) && !file_exists(stale)); /* the fresh one may still be written to */
  end(&f);
}
END_TEST

START_TEST(test_verify_and_clear)
{
  Fixture f;
  begin(&f, "verify");
  for (int i = 0; i < 3; i++) put(&f, key_of(i), "x", 1);
  test_write_file(entry_path(&f, key_of(1)), "nonsense", 8);
  const char *other = path_join(f.a, cache_dir(f.c), "notes.txt");
  test_write_file(other, "mine", 4);
  CacheStats good, damaged;
  ck_assert(cache_verify(f.c, &good, &damaged, f.d));
  ck_assert_int_eq(good.entries, 2);
  ck_assert_int_eq(damaged.entries, 1);
  ck_assert(cache_clear(f.c, f.d));
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.entries, 0);
  ck_assert(file_exists(other)); /* what is not ours stays */
  end(&f);
}
END_TEST

/* ---- Folders as artifacts */

START_TEST(test_folders)
{
  Fixture f;
  begin(&f, "folders");
  const char *from = path_join(f.a, test_tmp_dir(), "from"), *to = path_join(f.a, test_tmp_dir(), "to");
  ck_assert(file_make_dirs(path_join(f.a, from, "sub/deep"), f.d));
  test_write_file(path_join(f.a, from, "model.c"), "int x;\n", 7);
  test_write_file(path_join(f.a, from, "sub/deep/empty"), "", 0);
  test_write_file(path_join(f.a, from, "sub/a"), "\0b", 2);
  Artifact one, two;
  ck_assert_msg(artifact_from_dir(from, &one, f.d), "%s", diag_text(f.d));
  ck_assert(artifact_to_dir(&one, to, f.d));
  ck_assert(artifact_from_dir(to, &two, f.d));
  ck_assert(hash_equal(one.hash, two.hash));
  size_t n;
  char *text = test_read_file(path_join(f.a, to, "sub/a"), &n);
  ck_assert_uint_eq(n, 2);
  ck_assert_mem_eq(text, "\0b", 2);
  free(text);
  /* Every cut of the packed form is refused or, cut between files, leaves only whole files. */
  const char *raw = blob_raw(one.bytes);
  for (size_t k = 0; k < blob_size(one.bytes); k++) {
    Artifact cut = artifact_from_bytes(ART_FILES, raw, k);
    diag_clear(f.d);
    ck_assert_msg(!artifact_to_dir(&cut, to, f.d) && diag_count(f.d) == 1, "cut at %zu: taken", k);
    artifact_unref(&cut);
  }
  artifact_unref(&one);
  artifact_unref(&two);
  end(&f);
}
END_TEST

START_TEST(test_folders_stay_inside)
{
  static const char *const names[] = {"../x", "/x", "a/../../x", "a//b", "", ".", "a/.."};
  Fixture f;
  begin(&f, "inside");
  const char *to = path_join(f.a, test_tmp_dir(), "inside-to");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    StrBuf packed = {0};
    sb_write(&packed, "MFILES1", 8);
    sb_write(&packed, "\1\0\0\0\0\0\0\0", 8);
    sb_putc(&packed, (char)strlen(names[i]));
    sb_write(&packed, "\0\0\0\0\0\0\0", 7);
    sb_write(&packed, "\1\0\0\0\0\0\0\0", 8);
    sb_puts(&packed, names[i]);
    sb_putc(&packed, '!');
    Artifact art = artifact_from_bytes(ART_FILES, packed.s, packed.len);
    diag_clear(f.d);
    ck_assert_msg(!artifact_to_dir(&art, to, f.d), "\"%s\" was written", names[i]);
    artifact_unref(&art);
    sb_free(&packed);
  }
  end(&f);
}
END_TEST

Suite *suite_cache(void) {
  Suite *s = suite_create("cache");
  TCase *t = tcase_create("cache");
  tcase_add_test(t, test_hit);
  tcase_add_test(t, test_cannot_open);
  tcase_add_test(t, test_every_flipped_byte);
  tcase_add_test(t, test_every_cut);
  tcase_add_test(t, test_another_keys_entry);
  tcase_add_test(t, test_two_processes);
  tcase_add_test(t, test_full_disk);
  tcase_add_test(t, test_list_and_gc);
  tcase_add_test(t, test_leftovers);
  tcase_add_test(t, test_verify_and_clear);
  tcase_add_test(t, test_folders);
  tcase_add_test(t, test_folders_stay_inside);
  suite_add_tcase(s, t);
  return s;
}
