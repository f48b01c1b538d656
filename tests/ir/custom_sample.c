/* The library of custom operators behind samples and random graphs, compiled once in a process. */
#include "tests/ir/custom_sample.h"

#include <string.h>

#include "backend/emit/emit.h"
#include "ir/graph.h"
#include "tests/support.h"

/* Of f32: floats[0] * x + y (where it is given, repeated) + ints[0], through scratch where it is lent some. Of others:
 * each byte of x with its bits turned. */
static const char text[] =
    "#include <string.h>\n"
    "#include \"mistify_custom.h\"\n"
    "\n"
    "void sample_mix(const mf_custom *op);\n"
    "void sample_mix(const mf_custom *op) {\n"
    "  const mf_tensor *x = &op->in[0], *y = op->n_in > 1 ? &op->in[1] : 0;\n"
    "  int32_t i, n = mf_tensor_count(&op->out);\n"
    "  for (i = 0; i < n; i++) {\n"
    "    if (op->out.type == MF_TENSOR_F32) {\n"
    "      float v = (op->n_floats ? op->floats[0] : 1) * ((const float *)x->data)[i];\n"
    "      if (op->n_ints) v += (float)op->ints[0];\n"
    "      if (y && y->data) v += ((const float *)y->data)[i % mf_tensor_count(y)];\n"
    "      if (op->scratch) {\n"
    "        memcpy(op->scratch, &v, sizeof v);\n"
    "        memcpy(&v, op->scratch, sizeof v);\n"
    "      }\n"
    "      ((float *)op->out.data)[i] = v;\n"
    "    } else {\n"
    "      ((unsigned char *)op->out.data)[i] = (unsigned char)~((const unsigned char *)x->data)[i];\n"
    "    }\n"
    "  }\n"
    "}\n";

const char *custom_sample_body(void) { return strstr(text, "void sample_mix"); }

CustomLibrary *custom_sample(void) {
  static CustomLibrary *library; /* the process's own reference */
  if (library) return library;
  Diag *d = diag_new();
  library = custom_new();
  CustomFile f = {.path = "mix.c", .name = "mix.c", .text = text, .size = strlen(text), .source = true};
  CustomRule r = {.op = "test:Mix", .domain = "test", .name = "Mix", .function = "sample_mix", .n_files = 1};
  r.files[0] = custom_add_file(library, &f, NULL, d);
  custom_add_rule(library, &r);
  ck_assert_msg(custom_build(library, embedded_text("runtime/kernels/custom.h"), d), "%s", diag_text(d));
  diag_free(d);
  return library;
}
