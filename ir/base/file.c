/* Files: see file.h. Publication is write-beside, fsync, rename (POSIX rename is atomic in a file system). */
#include "ir/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/strbuf.h"

char *file_read(Arena *a, const char *path, size_t *n, Diag *d) {
  Loc loc = {.file = path};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    diag_error(d, &loc, "cannot be read: %s", strerror(errno));
    if (fd >= 0) close(fd);
    return NULL;
  }
  if (!S_ISREG(st.st_mode)) {
    diag_error(d, &loc, "is not a regular file");
    close(fd);
    return NULL;
  }
  size_t want = (size_t)st.st_size, got = 0;
  char *text = arena_alloc(a, want + 1);
  while (got < want) {
    ssize_t k = read(fd, text + got, want - got);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    got += (size_t)k;
  }
  close(fd);
  if (got != want) {
    diag_error(d, &loc, "read %zu bytes of %zu: %s", got, want, strerror(errno));
    return NULL;
  }
  if (n) *n = got;
  return text;
}

static bool write_all(int fd, const unsigned char *p, size_t n) {
  while (n) {
    ssize_t k = write(fd, p, n);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return false;
    p += k;
    n -= (size_t)k;
  }
  return true;
}

/* A name that was moved is on disk when its folder is. File systems that know no such thing say so (EINVAL). */
static bool flush_folder(const char *path) {
  StrBuf dir = {0};
  const char *slash = strrchr(path, '/');
  if (slash)
    sb_write(&dir, path, (size_t)(slash - path) + 1);
  else
    sb_putc(&dir, '.');
  const int fd = open(sb_str(&dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
  const int why = errno;
  if (fd >= 0) close(fd);
  errno = why;
  sb_free(&dir);
  return ok;
}

static bool replace(const char *path, const void *bytes, size_t n, bool flush, Diag *d) {
  Loc loc = {.file = path};
  StrBuf tmp = {0};
  int fd = -1;
  /* A name of its own: other threads, and processes on other machines with the same id, may write this path too. */
  for (int i = 0; fd < 0 && i < 1000 && (i == 0 || errno == EEXIST); i++) {
    sb_clear(&tmp);
    sb_printf(&tmp, "%s.tmp.%ld.%d", path, (long)getpid(), i);
    fd = open(sb_str(&tmp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  bool ok = fd >= 0;
  if (ok) ok = write_all(fd, bytes, n) && (!flush || fsync(fd) == 0);
  if (fd >= 0) ok = close(fd) == 0 && ok;
  ok = ok && rename(sb_str(&tmp), path) == 0 && (!flush || flush_folder(path));
  if (!ok) {
    int why = errno;
    if (fd >= 0) unlink(sb_str(&tmp));
    diag_error(d, &loc, "cannot be written: %s", strerror(why));
  }
  sb_free(&tmp);
  return ok;
}

bool file_write(const char *path, const void *bytes, size_t n, Diag *d) {
  return replace(path, bytes, n, true, d);
}

bool file_write_quick(const char *path, const void *bytes, size_t n, Diag *d) {
  return replace(path, bytes, n, false, d);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_same(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool file_is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool file_make_dirs(const char *path, Diag *d) {
  StrBuf part = {0};
  bool ok = true;
  for (const char *p = path; ok && *p;) {
    const char *slash = strchr(p + 1, '/');
    size_t n = slash ? (size_t)(slash - path) : strlen(path);
    sb_clear(&part);
    sb_write(&part, path, n);
    ok = mkdir(sb_str(&part), 0777) == 0 || (errno == EEXIST && file_is_dir(sb_str(&part)));
    if (!slash) break;
    p = slash;
  }
  if (!ok) diag_error(d, &(Loc){.file = path}, "folder cannot be made: %s", strerror(errno));
  sb_free(&part);
  return ok;
}

bool file_remove_tree(const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0) return errno == ENOENT;
  if (!S_ISDIR(st.st_mode)) return unlink(path) == 0;
  DIR *dir = opendir(path);
  if (!dir) return false;
  bool ok = true;
  for (struct dirent *e; (e = readdir(dir));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    StrBuf sub = {0};
    sb_printf(&sub, "%s/%s", path, e->d_name);
    ok = file_remove_tree(sb_str(&sub)) && ok;
    sb_free(&sub);
  }
  closedir(dir);
  return rmdir(path) == 0 && ok;
}

char *file_temp_dir(Arena *a, Diag *d) {
  const char *root = getenv("TMPDIR");
  char *dir =
      arena_printf(a, "%s/mistify-XXXXXX", root && *root ? root : "/tmp"); /* mkdtemp puts letters there */
  if (mkdtemp(dir)) return dir;
  diag_error(d, NULL, "%s: cannot be made: %s", dir, strerror(errno));
  diag_hint(d, "set TMPDIR to a folder that can be written to");
  return NULL;
}

char *path_join(Arena *a, const char *dir, const char *name) {
  if (!dir || !*dir || name[0] == '/') return arena_strdup(a, name);
  size_t n = strlen(dir);
  return arena_printf(a, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}

char *path_dir(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return arena_strdup(a, ".");
  return arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path));
}

const char *path_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

const char *path_ext(const char *path) {
  const char *base = path_base(path), *dot = strrchr(base, '.');
  return dot && dot != base ? dot : base + strlen(base);
}
