/* Plugins; see plugin.h.  A path without a slash means the file in this folder, never one that the loader looks for. */
#include "frontend/cli/plugin.h"

#include <dlfcn.h>
#include <string.h>

static bool name_taken(const PassList *lists, size_t n, const char *name) {
  if (pass_find(name)) return true;
  for (size_t i = 0; i < n; i++)
    for (int k = 0; k < lists[i].n; k++)
      if (strcmp(lists[i].v[k].name, name) == 0) return true;
  return false;
}

static bool layout_same(const PluginLayout *theirs) {
  const PluginLayout ours = PLUGIN_LAYOUT;
  return memcmp(&ours, theirs, sizeof ours) == 0;
}

static bool open_one(Arena *a, const char *path, const PassList *before, size_t n, PassList *out, Diag *d) {
  void *handle = dlopen(strchr(path, '/') ? path : arena_printf(a, "./%s", path), RTLD_NOW | RTLD_LOCAL);
  FAIL_IF(!handle, d, NULL, "plugin %s: %s", path, dlerror());
  const PassPlugin *p = dlsym(handle, "mistify_plugin");
  if (!p) {
    diag_error(d, NULL, "plugin %s: no symbol mistify_plugin", path);
    diag_hint(d, "it needs one line MISTIFY_PLUGIN(table): passes/plugin.h has an example");
    return false;
  }
  if (!layout_same(&p->layout)) {
    diag_error(d, NULL, "plugin %s was compiled with the headers of another version", path);
    diag_hint(d, "compile it again with this version's: pkg-config --cflags mistify");
    return false;
  }
  for (int k = 0; k < p->passes.n; k++) {
    const char *name = p->passes.v[k].name;
    FAIL_IF(name_taken(before, n, name), d, NULL, "plugin %s: there is a pass \"%s\" already", path, name);
  }
  *out = p->passes;
  return true;
}

bool plugins_open(Arena *a, const ArgList *paths, const PassList **lists, Diag *d) {
  PassList *v = arena_array(a, paths->n + 1, sizeof *v);
  for (size_t i = 0; i < paths->n; i++) TRY(open_one(a, paths->v[i], v, i, &v[i], d));
  *lists = v;
  return true;
}
