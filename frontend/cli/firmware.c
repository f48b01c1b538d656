/* Several models in one program: see firmware.h. What is common to the models is made from what their folders say, so
 * that it is right after every run, whether they were compiled together or one after another.
 */
#include "frontend/cli/firmware.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

enum { MAX_MODELS = 200 };
static const char mark[] = "made by mistify for all models of this program";

bool firmware_is(Arena *a, const char *dir) {
  Diag *quiet = diag_new();
  size_t n;
  const char *path = path_join(a, dir, "models.h"),
             *text = file_exists(path) ? file_read(a, path, &n, quiet) : NULL;
  diag_free(quiet);
  return text && strstr(text, mark) != NULL;
}

/* -- what is there -- */

static const char *in_capitals(Arena *a, const char *s) {
  char *u = arena_strdup(a, s);
  for (char *p = u; *p; p++) *p = (char)toupper((unsigned char)*p);
  return u;
}

/* The model of folder dir/name; false: it holds none of this form. */
static bool read_model(Arena *a, const char *dir, const char *name, FirmwareModel *out) {
  size_t n;
  Diag *quiet = diag_new();
  const char *path = path_join(a, path_join(a, dir, name), "model.json"),
             *text = file_exists(path) ? file_read(a, path, &n, quiet) : NULL;
  const Json *j = text ? json_parse(a, text, n, path, quiet) : NULL, *list = json_get(j, "sources");
  const char *own = json_get_str(j, "name", NULL);
  diag_free(quiet);
  if (!own || strcmp(own, name) != 0 || !json_get_bool(j, "firmware", false)) return false;
  *out = (FirmwareModel){
      .name = own, .upper = in_capitals(a, own), .shares_arena = json_get_bool(j, "share_arena", false)};
  out->sources = arena_array(a, list ? list->n + 1 : 1, sizeof *out->sources);
  for (uint32_t i = 0; list && i < list->n; i++) {
    const Json *s = json_at(list, i);
    if (s->type == JSON_STRING) out->sources[out->n_sources++] = s->str;
  }
  return true;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const FirmwareModel *)a)->name, ((const FirmwareModel *)b)->name);
}

bool firmware_read(Arena *a, const char *dir, Firmware *out, Diag *d) {
  DIR *h = opendir(dir);
  FAIL_IF(!h, d, NULL, "%s: cannot be read", dir);
  *out = (Firmware){.models = arena_array(a, MAX_MODELS, sizeof *out->models)};
  bool ok = true;
  for (struct dirent *e; ok && (e = readdir(h));) {
    FirmwareModel m;
    if (e->d_name[0] == '.' || !read_model(a, dir, e->d_name, &m)) continue;
    ok = out->n < MAX_MODELS;
    if (ok) out->models[out->n++] = m;
  }
  closedir(h);
  FAIL_IF(!ok, d, NULL, "%s: more than %d models", dir, MAX_MODELS);
  if (out->n > 1) qsort(out->models, (size_t)out->n, sizeof *out->models, by_name);
  return true;
}

/* -- what they have in common -- */

/* MAX(a, MAX(b, c)) of the models that share the arena. */
static void print_largest(const Firmware *f, const char *what, StrBuf *out) {
  int left = 0;
  sb_printf(out, "#define MODELS_ARENA_%s ", what);
  for (int i = 0; i < f->n; i++) left += f->models[i].shares_arena;
  const int sharing = left;
  for (int i = 0; i < f->n; i++) {
    if (!f->models[i].shares_arena) continue;
    if (--left > 0) sb_puts(out, "MODELS_MAX(");
    sb_printf(out, "%s_ARENA_%s%s", f->models[i].upper, what, left > 0 ? ", " : "");
  }
  for (int i = 1; i < sharing; i++) sb_putc(out, ')');
  sb_putc(out, '\n');
}

static bool any_shares(const Firmware *f) {
  for (int i = 0; i < f->n; i++)
    if (f->models[i].shares_arena) return true;
  return false;
}

static void print_header(const Firmware *f, StrBuf *out) {
  sb_printf(out, "/* The neural networks of this program, %s.\n", mark);
  sb_puts(out, " * Kernels are files of their own (kernels/), which models share.\n */\n"
               "#ifndef MISTIFY_MODELS_H\n#define MISTIFY_MODELS_H\n\n");
  for (int i = 0; i < f->n; i++) sb_printf(out, "#include \"%s/model.h\"\n", f->models[i].name);
  if (any_shares(f)) {
    sb_puts(out, "\n/* One arena for all that share it: as large as the largest wants. NAME_init(&ctx, NULL, "
                 "0) takes it.\n"
                 " * Models take turns: a run destroys what another one left there. */\n"
                 "#define MODELS_MAX(a, b) ((a) > (b) ? (a) : (b))\n");
    print_largest(f, "SIZE", out);
    print_largest(f, "ALIGN", out);
    sb_puts(out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                 "extern unsigned char models_arena[MODELS_ARENA_SIZE];\n"
                 "#ifdef __cplusplus\n}\n#endif\n");
  }
  sb_puts(out, "\n#endif\n");
}

static void print_arena(const Firmware *f, StrBuf *out) {
  sb_printf(out, "/* The arena that models share, %s. */\n#include \"models.h\"\n", mark);
  if (!any_shares(f)) return;
  sb_puts(
      out,
      "\n#ifdef __GNUC__\n__attribute__((aligned(MODELS_ARENA_ALIGN)))\n#else\n_Alignas(MODELS_ARENA_ALIGN)\n"
      "#endif\nunsigned char models_arena[MODELS_ARENA_SIZE];\n");
}

/* "kernels/x.c" for "../kernels/x.c", "net/model.c" for "model.c"; NULL: listed already (or models.c, which always is). */
static const char *source_path(Arena *a, const Firmware *f, int model, int source) {
  const char *s = f->models[model].sources[source];
  if (strncmp(s, "../", 3) != 0) return path_join(a, f->models[model].name, s);
  if (strcmp(s, "../models.c") == 0) return NULL;
  for (int i = 0; i < model; i++)
    for (int k = 0; k < f->models[i].n_sources; k++)
      if (strcmp(f->models[i].sources[k], s) == 0) return NULL;
  return s + 3;
}

static void print_cmake(Arena *a, const Firmware *f, StrBuf *out) {
  sb_printf(out, "# Library \"models\", %s.\ncmake_minimum_required(VERSION 3.13)\nproject(models C)\n\n",
            mark);
  sb_puts(out, "add_library(models STATIC models.c");
  for (int i = 0; i < f->n; i++)
    for (int k = 0; k < f->models[i].n_sources; k++) {
      const char *path = source_path(a, f, i, k);
      if (path) sb_printf(out, "\n  %s", path);
    }
  sb_puts(
      out,
      ")\ntarget_include_directories(models PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
      "set_target_properties(models PROPERTIES C_STANDARD 99)\n"
      "find_library(models_MATH m)\nif(models_MATH)\n  target_link_libraries(models PUBLIC ${models_MATH})\n"
      "endif()\n");
}

static bool write_text(Arena *a, const char *dir, const char *name, StrBuf *text, Diag *d) {
  bool ok = file_write(path_join(a, dir, name), sb_str(text), text->len, d);
  sb_free(text);
  return ok;
}

bool firmware_write(Arena *a, const char *dir, Diag *d) {
  Firmware f;
  StrBuf header = {0}, arena = {0}, cmake = {0};
  TRY(firmware_read(a, dir, &f, d));
  print_header(&f, &header);
  print_arena(&f, &arena);
  print_cmake(a, &f, &cmake);
  bool ok = write_text(a, dir, "models.h", &header, d);
  ok = write_text(a, dir, "models.c", &arena, d) && ok;
  return write_text(a, dir, "CMakeLists.txt", &cmake, d) && ok;
}
