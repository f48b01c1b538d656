/* See folder.h. */
#include "frontend/cli/folder.h"

#include <dirent.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"

static bool is_empty_dir(const char *dir) {
  DIR *h = opendir(dir);
  if (!h) return false;
  int n = 0;
  for (struct dirent *e; (e = readdir(h));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(h);
  return n == 0;
}

/* Emission leaves a model.json that names its target and the content of the graph. */
bool folder_is_emitted(Arena *a, const char *dir) {
  Diag *quiet = diag_new();
  size_t n;
  const char *path = path_join(a, dir, "model.json"),
             *text = file_exists(path) ? file_read(a, path, &n, quiet) : NULL;
  const Json *j = text ? json_parse(a, text, n, path, quiet) : NULL;
  diag_free(quiet);
  return json_get_str(j, "target", NULL) && json_get_str(j, "content", NULL);
}

bool folder_check(const char *dir, bool force, bool ours, Diag *d) {
  if (!file_exists(dir)) return true;
  FAIL_IF(!file_is_dir(dir), d, NULL, "%s: is a file; want a folder to write into", dir);
  if (force || is_empty_dir(dir) || ours) return true;
  diag_error(d, NULL, "%s: holds files that mistify did not write", dir);
  diag_hint(d, "name another folder, or give --force to write beside them");
  return false;
}
