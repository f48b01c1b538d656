/* NAME_info: what a program can ask about the model at run time, as a constant. The types are the same in every model's
 * header, so that one driver handles any model.
 */
#include <inttypes.h>
#include <string.h>

#include "backend/emit/emit.h"

static const char types[] =
    "/* What NAME_info tells; the same types for every model. */\n"
    "#ifndef MISTIFY_MODEL_INFO\n"
    "#define MISTIFY_MODEL_INFO 1 /* version of these types */\n"
    "typedef struct mistify_tensor_info {\n"
    "  const char *name;\n"
    "  const char *dtype; /* \"int8\", \"uint8\", \"float32\", ... */\n"
    "  int32_t rank, dims[8];\n"
    "  uint32_t count, bytes; /* elements, and bytes of all of them */\n"
    "  int32_t quantized;     /* 1: real = scale * (q - zero) */\n"
    "  int32_t zero;\n"
    "  float scale;\n"
    "} mistify_tensor_info;\n"
    "\n"
    "typedef struct mistify_model_info {\n"
    "  const char *name, *target;\n"
    "  const char *content;  /* hash of the model, weights included */\n"
    "  uint64_t fingerprint; /* of what the code takes for granted of its weights (NAME_weights.bin) */\n"
    "  uint64_t macs;        /* multiply-accumulates of a run */\n"
    "  uint32_t arena_size, arena_align, weights_size;\n"
    "  uint32_t layers, steps; /* steps: calls of NAME_step for a run; 0: there is no such function */\n"
    "  uint32_t inputs, outputs;\n"
    "  const mistify_tensor_info *input, *output;\n"
    "} mistify_model_info;\n"
    "#endif\n";

void print_info_types(StrBuf *out) { sb_puts(out, types); }

static const char *type_name(DType t) {
  switch (t) {
  case DT_F32: return "float32";
  case DT_F64: return "float64";
  case DT_I8: return "int8";
  case DT_U8: return "uint8";
  case DT_I16: return "int16";
  case DT_U16: return "uint16";
  case DT_I32: return "int32";
  case DT_U32: return "uint32";
  case DT_I64: return "int64";
  case DT_U64: return "uint64";
  default: return dtype_name(t);
  }
}

/* A C string of printable characters; the others become '_'. */
static void print_string(const char *s, StrBuf *out) {
  sb_putc(out, '"');
  for (; s && *s; s++) {
    const unsigned char c = (unsigned char)*s;
    sb_putc(out, c < 0x20 || c >= 0x7f || strchr("\"\\?", c) ? '_' : (char)c);
  }
  sb_putc(out, '"');
}

static void print_tensor(const Emit *e, ValId id, StrBuf *out) {
  const Value *v = graph_val(e->g, id);
  const bool quantized = v->quant.n == 1;
  sb_puts(out, "    {");
  print_string(v->name, out);
  sb_printf(out, ", \"%s\", %d, {", type_name(v->dtype), (int)v->shape.rank);
  for (int i = 0; i < v->shape.rank; i++) sb_printf(out, "%s%lld", i ? ", " : "", (long long)v->shape.d[i]);
  sb_printf(out, "%s}, %lld, %zu, %d, ", v->shape.rank ? "" : "0", (long long)shape_count(&v->shape),
            val_bytes(e->g, id), quantized);
  print_int(out, quantized ? v->quant.zero[0] : 0);
  sb_puts(out, ", ");
  print_float(out, quantized ? v->quant.scale[0] : 0);
  sb_putc(out, '}');
}

static void print_tensors(const Emit *e, const char *what, const ValId *ids, uint32_t n, StrBuf *out) {
  if (n == 0) return;
  sb_printf(out, "static const mistify_tensor_info %s_%s_info[] = {\n", e->opt->name, what);
  for (uint32_t i = 0; i < n; i++) {
    if (i) sb_puts(out, ",\n");
    print_tensor(e, ids[i], out);
  }
  sb_puts(out, "};\n");
}

static void print_model(const Emit *e, StrBuf *out) {
  const Graph *g = e->g;
  const char *n = e->opt->name;
  char hex[HASH_HEX];
  hash_hex(graph_hash(g), hex);
  sb_printf(out, "{\n    \"%s\", \"%s\", \"%s\", 0x%016" PRIx64 "u, %lluu,\n    ", n, e->target->name, hex,
            e->blob.fingerprint, (unsigned long long)graph_macs(g));
  sb_printf(out, "%s_ARENA_SIZE, %s_ARENA_ALIGN, %lld, %u, %lld, %u, %u, ", e->upper, e->upper,
            (long long)(in_blob(e) ? e->blob.size : pool_bytes(e->joint ? &e->joint->pool : &e->pool)),
            e->calls.n, (long long)(e->opt->step ? step_count(e) : 0), g->n_inputs, g->n_outputs);
  sb_printf(out, g->n_inputs ? "%s_input_info, " : "NULL, ", n);
  sb_printf(out, "%s_output_info}", n);
}

/* Of a family a row for each variant, all with the same tensors and memory. */
void print_info(const Emit *e, StrBuf *out) {
  const Graph *g = e->g;
  const char *n = e->opt->name;
  sb_puts(out, "\n/* -- what the model tells of itself -- */\n\n");
  print_tensors(e, "input", g->inputs, g->n_inputs, out);
  print_tensors(e, "output", g->outputs, g->n_outputs, out);
  if (!e->variants) {
    sb_printf(out, "const mistify_model_info %s_info = ", n);
    print_model(e, out);
    sb_puts(out, ";\n");
    return;
  }
  sb_printf(out, "const mistify_model_info %s_info[%s_VARIANTS] = {", n, e->upper);
  for (int v = 0; v < e->n_variants; v++) {
    if (v) sb_puts(out, ", ");
    print_model(&e->variants[v], out);
  }
  sb_puts(out, "};\n");
}
