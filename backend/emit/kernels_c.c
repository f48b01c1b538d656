/* Kernels as C text: in model.c, or each in a file of its own that several models of one program share.
 *
 *   kernels/conv_s8__generic_1f6a0c52.c    void conv_s8__generic_1f6a0c52(params, in, out, y0, y1, scratch)
 *
 * A file's name, and its function's, end in the hash of its text. So the same kernel of two models, or of two runs of
 * mistify, is one file; another version of it is another file with another symbol, and both link into one program.
 * Kernels that are specialised by a layer's shapes stay in model.c, where they are inlined.
 */
#include <inttypes.h>
#include <string.h>

#include "backend/emit/emit.h"

static const char signature[] =
    "(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,\n"
    "    void *scratch)";

static bool is_apart(const Emit *e, uint32_t c) { return e->opt->kernels && special_of(e, c) < 0; }

/* Whether an earlier call calls the same function. */
static bool is_repeated(const Emit *e, uint32_t c) {
  for (uint32_t b = 0; b < c; b++)
    if (e->calls.v[b].kernel == e->calls.v[c].kernel && is_apart(e, b) == is_apart(e, c)) return true;
  return false;
}

static const char *function_of(Arena *a, const KernelDef *k) {
  return arena_printf(a, "%s__%s", k->name, k->tag);
}

static bool kernel_file(Emit *e, const KernelDef *k, OutFiles *f, const char **symbol) {
  const char *function = function_of(e->arena, k), *const roots[] = {"mf_view", function};
  StrBuf text = {0};
  bool ok = shake_kernels(&k->file, 1, roots, 2, &text, e->diag);
  if (ok) {
    const uint32_t id = (uint32_t)hash_bytes(sb_str(&text), text.len).lo;
    *symbol = arena_printf(e->arena, "%s_%08" PRIx32, function, id);
    StrBuf *out = files_add(f, arena_printf(e->arena, "%s/%s.c", e->opt->kernels, *symbol));
    sb_puts(
        out,
        "/* A kernel that models share, made by mistify; named by its content. This code carries no licence "
        "condition. */\n");
    sb_puts(out, sb_str(&text));
    sb_printf(out, "\nvoid %s%s;\nvoid %s%s {\n  %s(params, in, out, y0, y1, scratch);\n}\n", *symbol,
              signature, *symbol, signature, function);
  }
  sb_free(&text);
  return ok;
}

bool add_kernel_files(Emit *e, OutFiles *f) {
  e->symbols = arena_array(e->arena, (size_t)e->calls.n + 1, sizeof *e->symbols);
  for (uint32_t c = 0; c < e->calls.n; c++) {
    if (!is_apart(e, c)) continue;
    for (uint32_t b = 0; b < c; b++)
      if (e->calls.v[b].kernel == e->calls.v[c].kernel) e->symbols[c] = e->symbols[b];
    if (!e->symbols[c]) TRY(kernel_file(e, e->calls.v[c].kernel, f, &e->symbols[c]));
  }
  return true;
}

void print_kernel_name(const Emit *e, uint32_t c, StrBuf *out) {
  if (e->joint) {
    print_kernel_name(e->joint, e->first_layer + c, out);
    return;
  }
  const int special = special_of(e, c);
  const KernelDef *k = e->calls.v[c].kernel;
  if (special >= 0)
    sb_printf(out, "special%d", special);
  else if (is_apart(e, c))
    sb_puts(out, e->symbols[c]);
  else
    sb_printf(out, "%s__%s", k->name, k->tag);
}

/* At -O3 gcc copies kernels for each of their calls, as long as the program is small. A family has so many calls that these
 * would be larger than its weights. */
static void keep_kernels_whole(const Emit *e, StrBuf *out, size_t begin) {
  static const char line[] = "#define MF_KERNEL static\n",
                    whole[] = "#if defined(__GNUC__) && !defined(__clang__)\n"
                              "#define MF_KERNEL static __attribute__((noinline, noclone))\n"
                              "#elif defined(__GNUC__)\n"
                              "#define MF_KERNEL static __attribute__((noinline))\n"
                              "#else\n#define MF_KERNEL static\n#endif\n";
  const char *text = arena_strdup(e->arena, sb_str(out) + begin), *at = strstr(text, line);
  ASSERT(at != NULL);
  out->len = begin;
  sb_write(out, text, (size_t)(at - text));
  sb_puts(out, whole);
  sb_puts(out, at + sizeof line - 1);
}

/* Sources and entry points, each once; of kernels apart only what the params need. Device code behind the kernels. */
bool print_kernels(const Emit *e, StrBuf *out) {
  const uint32_t n = e->calls.n;
  const char **files = arena_array(e->arena, n + 2 + DEVICE_MAX, sizeof *files);
  const char **roots = arena_array(e->arena, 2 * (size_t)n + 3 + DEVICE_MAX, sizeof *roots);
  int n_files = 0, n_roots = 0;
  if (n == 0 && e->device.n_files == 0) return true;
  roots[n_roots++] = "mf_view";
  roots[n_roots++] = "MF_ALIGN";
  roots[n_roots++] = "MF_SPECIAL";
  if (e->opt->kernels || n == 0) files[n_files++] = "runtime/kernels/kernel.h";
  for (uint32_t c = 0; c < n; c++) {
    const KernelDef *k = e->calls.v[c].kernel;
    if (is_repeated(e, c)) continue;
    roots[n_roots++] = k->params->c_type;
    if (is_apart(e, c)) continue;
    files[n_files++] = k->file;
    roots[n_roots++] = function_of(e->arena, k);
  }
  for (int i = 0; i < e->device.n_files; i++) files[n_files++] = e->device.file[i];
  for (int i = 0; i < e->device.n_functions; i++) roots[n_roots++] = e->device.function[i];
  const size_t begin = out->len;
  TRY(shake_kernels(files, n_files, roots, n_roots, out, e->diag));
  const bool family = (e->variants && !e->exits) || e->target->families; /* or one is measured */
  if (family && strstr(e->target->cflags, "-O3") && e->opt->optimize != OPT_SPEED)
    keep_kernels_whole(e, out, begin);
  print_custom(e, out);
  if (e->opt->kernels) sb_puts(out, "\n/* -- kernels, in files of their own -- */\n");
  for (uint32_t c = 0; c < n; c++)
    if (is_apart(e, c) && !is_repeated(e, c)) sb_printf(out, "\nvoid %s%s;\n", e->symbols[c], signature);
  return true;
}
