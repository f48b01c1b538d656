/* Device code (runtime/device) in a model's files: the program's types in model.h, the functions in model.c.
 *
 * A part of emission names what it wants with need_device before anything is printed; kernels_c.c hands the sources to
 * the shaker together with those of the kernels, so that a helper which both use is there once. Types for the program stand
 * in a header's "#ifndef MISTIFY_X ... #endif", which the shaker leaves out and print_device_types prints.
 */
#include <string.h>

#include "backend/emit/emit.h"

static void add_once(const char **list, int *n, const char *s) {
  for (int i = 0; i < *n; i++)
    if (strcmp(list[i], s) == 0) return;
  ASSERT(*n < DEVICE_MAX);
  list[(*n)++] = s;
}

void need_device(Emit *e, const char *file, const char *function) {
  add_once(e->device.file, &e->device.n_files, file);
  add_once(e->device.function, &e->device.n_functions, function);
}

void print_device_types(const char *header, StrBuf *out) {
  static const char begin[] = "\n#ifndef MISTIFY_", end[] = "\n#endif\n";
  const char *p = embedded_text(header);
  while (p && (p = strstr(p, begin)) != NULL) {
    const char *e = strstr(++p, end);
    if (!e) return;
    e += sizeof end - 1;
    sb_write(out, p, (size_t)(e - p));
    p = e - 1;
  }
}
