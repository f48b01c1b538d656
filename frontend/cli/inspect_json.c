/* `mistify inspect --json`: everything that was found out, every layer. */
#include <string.h>

#include "frontend/cli/inspect.h"
#include "ir/base/mem.h"

static void json_values(JsonWriter *w, const Graph *g, const char *key, const ValId *ids, uint32_t n) {
  json_karray(w, key);
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(g, ids[i]);
    json_object(w);
    json_kstr(w, "name", v->name);
    json_kstr(w, "dtype", dtype_name(v->dtype));
    json_shape(w, "shape", &v->shape);
    if (v->quant.n == 1) {
      json_knum(w, "scale", (double)v->quant.scale[0]);
      json_kint(w, "zero", v->quant.zero[0]);
    }
    json_end(w);
  }
  json_end(w);
}

static void json_layers(JsonWriter *w, const Inspected *x) {
  const Graph *g = x->shown;
  json_karray(w, "layers");
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    json_object(w);
    json_kstr(w, "op", op_info(n->op)->name);
    json_kstr(w, "name", inspect_name(g, n));
    json_shape(w, "shape", &graph_val(g, n->out[0])->shape);
    json_kstr(w, "dtype", dtype_name(graph_val(g, n->out[0])->dtype));
    json_kint(w, "params", inspect_params(g, n));
    json_kint(w, "macs", node_macs(g, n));
    json_kint(w, "bytes", (int64_t)val_bytes(g, n->out[0]));
    if (i == x->peak) json_kbool(w, "ram_peak", true);
    json_end(w);
  }
  json_end(w);
}

static void json_estimates(JsonWriter *w, const Inspected *x) {
  json_karray(w, "estimates");
  for (int i = 0; i < x->n_estimates; i++) {
    const Estimate *e = &x->estimates[i];
    json_object(w);
    json_kstr(w, "target", e->target->name);
    if (e->ok) {
      json_kint(w, "flash", e->cost.flash);
      json_kint(w, "flash_weights", e->cost.flash_weights);
      json_kint(w, "ram", e->cost.ram);
      json_kint(w, "cycles", e->cost.cycles);
    } else {
      json_kstr(w, "unsupported", e->why);
    }
    json_end(w);
  }
  json_end(w);
}

static void json_boards(JsonWriter *w, const Inspected *x) {
  json_karray(w, "boards");
  for (int i = 0; i < x->n_boards; i++) {
    const Board *b = &x->boards[i];
    const Estimate *e = inspect_estimate(x, b->target);
    const char *why = "";
    if (!e || !e->ok) continue;
    json_object(w);
    json_kstr(w, "board", b->name);
    json_kstr(w, "target", b->target);
    json_kbool(w, "fits", inspect_fits(e, b, &why));
    if (*why) json_kstr(w, "why", why);
    if (b->flash > 0) json_kint(w, "flash", b->flash);
    if (b->ram > 0) json_kint(w, "ram", b->ram);
    if (board_hz(b) > 0) json_knum(w, "seconds", (double)e->cost.cycles / board_hz(b));
    json_end(w);
  }
  json_end(w);
}

/* Lines of a text as an array; a hint belongs to the line before it. */
static void json_lines(JsonWriter *w, const char *key, const char *text) {
  json_karray(w, key);
  while (*text) {
    size_t n = strcspn(text, "\n");
    while (text[n] && text[n + 1] == ' ') n += 1 + strcspn(text + n + 1, "\n");
    char *line = mem_alloc(n + 1);
    memcpy(line, text, n);
    line[n] = 0;
    json_str(w, line);
    mem_free(line);
    text += n + (text[n] == '\n');
  }
  json_end(w);
}

void inspect_json(const Inspected *x) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "model", x->path);
  json_kbool(&w, "complete", !x->part);
  if (x->part) json_lines(&w, "problems", x->problems);
  json_values(&w, x->file, "inputs", x->file->inputs, x->file->n_inputs);
  json_values(&w, x->file, "outputs", x->file->outputs, x->file->n_outputs);
  json_layers(&w, x);
  json_kint(&w, "params", graph_params(x->shown));
  json_kint(&w, "macs", graph_macs(x->shown));
  if (x->planned) {
    json_kint(&w, "ram", x->plan.arena);
    json_kint(&w, "ram_lower_bound", x->plan.lower_bound);
    json_estimates(&w, x);
    json_boards(&w, x);
  } else if (!x->part) {
    json_kstr(&w, "unsupported", x->why);
  }
  json_end(&w);
  cli_json_end(&w, &b);
}
