/* model.json (sizes, tensors, layers and memory plan for programs) and CMakeLists.txt (a library and its self-test). */
#include "backend/emit/emit.h"

#include <inttypes.h>
#include <string.h>

#include "backend/costs.h"
#include "backend/emit/adapt_c.h"
#include "ir/base/file.h"

static bool is_source(const OutFile *f) {
  return strcmp(path_ext(f->name), ".c") == 0 && strcmp(f->name, "selftest.c") != 0;
}

void print_cmake(const Emit *e, const OutFiles *f, StrBuf *out) {
  const char *n = e->opt->name;
  sb_printf(out, "# Library \"%s\" and its self-test, made by mistify.\n", n);
  sb_printf(out, "cmake_minimum_required(VERSION 3.13)\nproject(%s C)\n\n", n);
  sb_printf(out, "add_library(%s STATIC", n);
  for (int i = 0; i < f->n; i++)
    if (is_source(&f->v[i])) sb_printf(out, " %s", f->v[i].name);
  sb_puts(out, e->opt->share_arena ? " ../models.c)\n" : ")\n");
  sb_printf(out, "target_include_directories(%s PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n", n);
  sb_printf(out, "set_target_properties(%s PROPERTIES C_STANDARD 99)\n", n);
  sb_printf(out, "target_compile_options(%s PRIVATE %s)\n", n, e->target->cflags);
  sb_printf(
      out, "find_library(%s_MATH m)\nif(%s_MATH)\n  target_link_libraries(%s PUBLIC ${%s_MATH})\nendif()\n\n",
      n, n, n, n);
  sb_puts(out, "enable_testing()\n");
  sb_printf(out, "add_executable(%s_selftest selftest.c)\n", n);
  sb_printf(out, "target_link_libraries(%s_selftest PRIVATE %s)\n", n, n);
  sb_printf(out, "add_test(NAME %s COMMAND %s_selftest ${CMAKE_CURRENT_SOURCE_DIR}/vectors.bin)\n", n, n);
}

static void json_shape(const Shape *s, StrBuf *out) {
  sb_putc(out, '[');
  for (int i = 0; i < s->rank; i++) sb_printf(out, "%s%lld", i ? ", " : "", (long long)s->d[i]);
  sb_putc(out, ']');
}

static void json_float(float v, StrBuf *out) {
  StrBuf t = {0};
  sb_float(&t, v);
  bool finite = strcspn(t.s, "ni") == t.len; /* "nan", "inf" have no place in JSON */
  sb_puts(out, finite ? t.s : "null");
  sb_free(&t);
}

static void json_tensor(const Emit *e, ValId id, StrBuf *out) {
  const Value *v = graph_val(e->g, id);
  sb_puts(out, "{\"name\": ");
  sb_json_str(out, v->name ? v->name : "");
  sb_printf(out, ", \"dtype\": \"%s\", \"shape\": ", dtype_name(v->dtype));
  json_shape(&v->shape, out);
  sb_printf(out, ", \"bytes\": %lld, \"offset\": %lld", (long long)val_bytes(e->g, id),
            (long long)(e->plan.offset[id] + e->shift));
  if (v->quant.n == 1) {
    sb_puts(out, ", \"scale\": ");
    json_float(v->quant.scale[0], out);
    sb_printf(out, ", \"zero\": %d", (int)v->quant.zero[0]);
  }
  sb_putc(out, '}');
}

static void json_tensors(const Emit *e, const char *key, const ValId *ids, uint32_t n, StrBuf *out) {
  sb_printf(out, "  \"%s\": [", key);
  for (uint32_t i = 0; i < n; i++) {
    sb_puts(out, i ? ",\n    " : "\n    ");
    json_tensor(e, ids[i], out);
  }
  sb_puts(out, "\n  ],\n");
}

static void json_layers(const Emit *e, StrBuf *out) {
  sb_puts(out, "  \"layers\": [");
  for (uint32_t c = 0; c < e->calls.n; c++) {
    const KernelCall *k = &e->calls.v[c];
    const Node *n = &e->g->nodes[k->node];
    sb_printf(out, "%s\n    {\"op\": \"%s\", \"name\": ", c ? "," : "", op_info(n->op)->name);
    sb_json_str(out, n->loc.name ? n->loc.name : "");
    sb_printf(out,
              ", \"kernel\": \"%s__%s\", \"macs\": %lld, \"cycles\": %lld, \"output\": ", k->kernel->name,
              k->kernel->tag, (long long)k->macs,
              (long long)(call_cycles(e->target->costs, e->g, k, e->plan.stage[c].step > 0) + 0.5));
    json_shape(&graph_val(e->g, n->out[0])->shape, out);
    sb_putc(out, '}');
  }
  sb_puts(out, "\n  ],\n");
}

static void json_plan(const Emit *e, StrBuf *out) {
  sb_puts(out, "  \"plan\": [");
  for (int i = 0; i < e->plan.n_items; i++) {
    const PlanItem *it = &e->plan.items[i];
    const char *name = it->val == NO_VAL ? "scratch" : graph_val(e->g, it->val)->name;
    sb_printf(out, "%s\n    {\"offset\": %lld, \"bytes\": %lld, \"first\": %d, \"last\": %d, ", i ? "," : "",
              (long long)(it->offset + e->shift), (long long)it->size, (int)it->first, (int)it->last);
    if (it->rows) sb_printf(out, "\"rows\": %d, ", (int)it->rows);
    if (e->plan.regions[it->region].name)
      sb_printf(out, "\"region\": \"%s\", ", e->plan.regions[it->region].name);
    sb_puts(out, "\"name\": ");
    sb_json_str(out, name ? name : "");
    sb_putc(out, '}');
  }
  sb_puts(out, "\n  ]\n");
}

/* What the cost model says, for whoever measures later (mistify verify). */
static void json_estimate(const Emit *e, StrBuf *out) {
  FamilyCost of_all;
  Cost *c = &of_all.image;
  PlanOptions plan = e->plan_options;
  plan.turns &= !e->adapt || !e->adapt->turns; /* inference alone, but for cycles: as `compile` prints */
  if (e->variants)
    family_estimate(e, &of_all);
  else if (!backend_cost_planned(e->g, e->target, &plan, c, e->diag))
    return; /* reported; the same graph was lowered just now */
  if (e->adapt) c->cycles = emit_adapt_cycles(e);
  sb_printf(out,
            "  \"estimate\": {\"flash\": %lld, \"flash_weights\": %lld, \"ram\": %lld, \"cycles\": %lld},\n",
            (long long)c->flash, (long long)c->flash_weights, (long long)c->ram, (long long)c->cycles);
}

/* What is compiled for the model, seen from its folder. */
static void json_sources(const Emit *e, const OutFiles *f, StrBuf *out) {
  bool any = false;
  sb_puts(out, "  \"sources\": [");
  for (int i = 0; i < f->n; i++) {
    if (!is_source(&f->v[i])) continue;
    sb_printf(out, "%s\"%s\"", any ? ", " : "", f->v[i].name);
    any = true;
  }
  sb_puts(out, e->opt->share_arena ? ", \"../models.c\"],\n" : "],\n");
}

void print_json(const Emit *e, const OutFiles *f, StrBuf *out) {
  char hex[HASH_HEX];
  hash_hex(graph_hash(e->g), hex);
  sb_puts(out, "{\n  \"name\": ");
  sb_json_str(out, e->opt->name);
  sb_printf(out, ",\n  \"target\": \"%s\",\n  \"content\": \"%s\",\n", e->target->name, hex);
  sb_printf(out, "  \"fingerprint\": \"%016" PRIx64 "\",\n", e->blob.fingerprint);
  json_sources(e, f, out);
  if (e->opt->kernels && strncmp(e->opt->kernels, "../", 3) == 0)
    sb_printf(out, "  \"firmware\": true,\n  \"share_arena\": %s,\n", e->opt->share_arena ? "true" : "false");
  sb_printf(out, "  \"macs\": %lld,\n  \"params\": %lld,\n", (long long)graph_macs(e->g),
            (long long)graph_params(e->g));
  sb_printf(out, "  \"constants\": %lld,\n  \"arena\": %lld,\n",
            (long long)pool_bytes(e->joint ? &e->joint->pool : &e->pool), (long long)e->plan.arena);
  print_adapt_json(e, out);
  sb_printf(out, "  \"arena_lower_bound\": %lld,\n", (long long)e->plan.lower_bound);
  sb_printf(out, "  \"plan_level\": \"%s\",\n  \"kernel_calls\": %lld,\n", plan_level_name(e->plan.level),
            (long long)e->plan.pieces);
  if (in_blob(e))
    sb_printf(out, "  \"weights\": {\"file\": \"%s_weights.bin\", \"bytes\": %lld, \"align\": %lld},\n",
              e->opt->name, (long long)e->blob.size, (long long)e->blob.align);
  if (e->plan_options.bands) sb_printf(out, "  \"bands\": %d,\n", e->plan_options.bands);
  if (e->plan.input_rows) sb_printf(out, "  \"input_rows\": %d,\n", (int)e->plan.input_rows);
  if (e->plan.hop) sb_printf(out, "  \"hop\": %d,\n", (int)e->plan.hop);
  json_estimate(e, out);
  if (e->variants) json_variants(e, out);
  json_tensors(e, "inputs", e->g->inputs, e->g->n_inputs, out);
  json_tensors(e, "outputs", e->g->outputs, e->g->n_outputs, out);
  json_layers(e, out);
  json_plan(e, out);
  sb_puts(out, "}\n");
}
