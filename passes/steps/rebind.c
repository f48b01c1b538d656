/* Binding names again; see rebind.h. The table is JSON:
 *
 *   [{"bytes": HEX, "name": "net", "vals": ["x", null, ...], "nodes": [["net.onnx", 3, "conv1", "Conv"], ...]}, ...]
 *
 * one object per graph among the inputs, values and nodes in the order of graph_hash's walk: inputs, then what live
 * nodes read and write. Graphs of equal hash have walks of equal length, so that entry i of the old table and entry
 * i of the new one name the same thing. Outputs are renamed by text: a value called like an old one of the inputs
 * gets the new name, a location equal to an old one becomes the new one.
 */
#include "passes/steps/rebind.h"

#include <string.h>

#include "ir/base/json.h"
#include "ir/base/mem.h"

/* ---- The table */

typedef struct Walk {
  const Graph *g;
  bool *seen, *live; /* per value, per node */
  JsonWriter *w;
} Walk;

static void visit(Walk *k, ValId v) {
  if (v == NO_VAL || k->seen[v]) return;
  k->seen[v] = true;
  json_str(k->w, k->g->vals[v].name);
}

static void mark_live(Walk *k) {
  const Graph *g = k->g;
  bool *needed = mem_array(g->n_vals, sizeof *needed);
  for (uint32_t i = 0; i < g->n_outputs; i++) needed[g->outputs[i]] = true;
  for (uint32_t i = 0; i < g->n_states; i++) needed[g->states[i].next] = true;
  for (uint32_t n = g->n_nodes; n-- > 0;) {
    const Node *node = &g->nodes[n];
    for (uint32_t i = 0; i < node->n_out; i++) k->live[n] = k->live[n] || needed[node->out[i]];
    for (uint32_t i = 0; i < node->n_in && k->live[n]; i++) needed[node->in[i]] = true;
  }
  mem_free(needed);
}

static void write_values(Walk *k) {
  const Graph *g = k->g;
  for (uint32_t i = 0; i < g->n_inputs; i++) visit(k, g->inputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) {
    visit(k, g->states[i].init);
    visit(k, g->states[i].now);
  }
  for (uint32_t n = 0; n < g->n_nodes; n++) {
    const Node *node = &g->nodes[n];
    for (uint32_t i = 0; i < node->n_in && k->live[n]; i++) visit(k, node->in[i]);
    for (uint32_t i = 0; i < node->n_out && k->live[n]; i++) visit(k, node->out[i]);
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) visit(k, g->outputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) visit(k, g->states[i].next);
}

static void write_nodes(Walk *k) {
  for (uint32_t n = 0; n < k->g->n_nodes; n++) {
    const Loc *loc = &k->g->nodes[n].loc;
    if (!k->live[n]) continue;
    json_array(k->w);
    json_str(k->w, loc->file);
    json_int(k->w, loc->node);
    json_str(k->w, loc->name);
    json_str(k->w, loc->op);
    json_end(k->w);
  }
}

static bool write_graph(JsonWriter *w, const Artifact *art, Diag *d) {
  Graph *g = artifact_graph(art, d);
  TRY(g != NULL);
  Walk k = {.g = g, .w = w};
  k.seen = mem_array(g->n_vals, sizeof *k.seen);
  k.live = mem_array(g->n_nodes, sizeof *k.live);
  mark_live(&k);
  char hex[HASH_HEX];
  hash_hex(blob_hash(art->bytes), hex);
  json_object(w);
  json_kstr(w, "bytes", hex);
  json_kstr(w, "name", g->name);
  json_karray(w, "vals");
  write_values(&k);
  json_end(w);
  json_karray(w, "nodes");
  write_nodes(&k);
  json_end(w);
  json_end(w);
  mem_free(k.live);
  mem_free(k.seen);
  graph_free(g);
  return true;
}

bool names_of(const Artifact *in, int n_in, Artifact *out, Diag *d) {
  StrBuf text = {0};
  JsonWriter w;
  bool ok = true;
  json_begin(&w, &text, false);
  json_array(&w);
  for (int i = 0; i < n_in && ok; i++)
    if (in[i].type == ART_GRAPH && in[i].bytes) ok = write_graph(&w, &in[i], d);
  if (ok) {
    json_end(&w);
    *out = artifact_from_bytes(ART_DATA, text.s, text.len);
  }
  sb_free(&text);
  return ok;
}

/* ---- Renaming */

typedef struct Tables {
  const Json *was, *is; /* arrays of graphs */
} Tables;

static const char *text_of(const Json *v) { return v && v->type == JSON_STRING ? v->str : NULL; }

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* The new name of what was called `name`; `name` itself when no input was. */
static const char *new_name(const Tables *t, const char *name) {
  const Json *is = t->is->first;
  for (const Json *was = t->was->first; was && is && name; was = was->next, is = is->next) {
    const Json *n = json_get(is, "vals") ? json_get(is, "vals")->first : NULL;
    const Json *o = json_get(was, "vals") ? json_get(was, "vals")->first : NULL;
    for (; o && n; o = o->next, n = n->next)
      if (same_text(text_of(o), name)) return text_of(n);
  }
  return name;
}

static bool is_loc(const Json *v, const Loc *loc) {
  const Json *node = json_at(v, 1);
  return node && node->is_int && node->integer == loc->node && same_text(text_of(json_at(v, 0)), loc->file) &&
         same_text(text_of(json_at(v, 2)), loc->name) && same_text(text_of(json_at(v, 3)), loc->op);
}

static void new_loc(const Tables *t, Arena *a, Loc *loc) {
  const Json *is = t->is->first;
  for (const Json *was = t->was->first; was && is; was = was->next, is = is->next) {
    const Json *n = json_get(is, "nodes") ? json_get(is, "nodes")->first : NULL;
    const Json *o = json_get(was, "nodes") ? json_get(was, "nodes")->first : NULL;
    for (; o && n; o = o->next, n = n->next) {
      if (!is_loc(o, loc)) continue;
      loc->file = arena_strdup(a, text_of(json_at(n, 0)));
      loc->node = json_at(n, 1) ? (int)json_at(n, 1)->integer : 0;
      loc->name = arena_strdup(a, text_of(json_at(n, 2)));
      loc->op = arena_strdup(a, text_of(json_at(n, 3)));
      return;
    }
  }
}

static bool rename_graph(const Tables *t, Artifact *art, Diag *d) {
  Graph *g = artifact_graph(art, d);
  TRY(g != NULL);
  for (uint32_t v = 1; v < g->n_vals; v++) {
    const char *name = new_name(t, g->vals[v].name);
    if (name != g->vals[v].name) g->vals[v].name = arena_strdup(g->arena, name);
  }
  for (uint32_t n = 0; n < g->n_nodes; n++) new_loc(t, g->arena, &g->nodes[n].loc);
  if (same_text(g->name, json_get_str(t->was->first, "name", NULL)))
    g->name = arena_strdup(g->arena, json_get_str(t->is->first, "name", NULL));
  Artifact renamed = artifact_from_graph(g);
  graph_free(g);
  ASSERT(hash_equal(renamed.hash, art->hash));
  artifact_unref(art);
  *art = renamed;
  return true;
}

static bool same_names(const Json *table, const Artifact *in, int n_in) {
  const Json *entry = table->first;
  for (int i = 0; i < n_in; i++) {
    if (in[i].type != ART_GRAPH || !in[i].bytes) continue;
    char hex[HASH_HEX];
    hash_hex(blob_hash(in[i].bytes), hex);
    if (!entry || strcmp(json_get_str(entry, "bytes", ""), hex) != 0) return false;
    entry = entry->next;
  }
  return true;
}

static const Json *parse_table(Arena *a, const Artifact *art, Diag *d) {
  return json_parse(a, blob_raw(art->bytes), blob_size(art->bytes), "names of a cache entry", d);
}

bool names_rebind(const Artifact *recorded, const Artifact *in, int n_in, Artifact *out, int n_out, Diag *d) {
  Arena *a = arena_new();
  Artifact names = {0};
  Tables t = {.was = parse_table(a, recorded, d)};
  bool ok = t.was != NULL;
  if (ok && !same_names(t.was, in, n_in)) {
    ok = names_of(in, n_in, &names, d);
    if (ok) t.is = parse_table(a, &names, d);
    ok = ok && t.is;
    for (int i = 0; i < n_out && ok; i++)
      if (out[i].type == ART_GRAPH) ok = rename_graph(&t, &out[i], d);
  }
  artifact_unref(&names);
  arena_free(a);
  return ok;
}
