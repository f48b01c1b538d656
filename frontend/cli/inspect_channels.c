/* `mistify inspect --channels`: which channels go together when a model is pruned, and what cannot be, and why. */
#include <stdio.h>

#include "frontend/cli/inspect.h"
#include "passes/channels.h"
#include "passes/pass.h"

static void channels_json(const Channels *c, StrBuf *out) {
  JsonWriter w;
  json_begin(&w, out, true);
  json_object(&w);
  json_karray(&w, "groups");
  for (uint32_t i = 0; i < c->n_groups; i++) {
    json_object(&w);
    json_kstr(&w, "name", c->groups[i].name);
    json_kint(&w, "units", c->groups[i].n);
    json_kint(&w, "least", c->groups[i].least);
    json_end(&w);
  }
  json_end(&w);
  json_karray(&w, "layers");
  for (uint32_t i = 0; i < c->n_layers; i++) {
    json_object(&w);
    json_kstr(&w, "name", c->layers[i].name);
    json_kint(&w, "channels", c->layers[i].channels);
    json_kint(&w, "prunable", c->layers[i].prunable);
    if (c->layers[i].reason) json_kstr(&w, "reason", c->layers[i].reason);
    json_end(&w);
  }
  json_end(&w);
  json_end(&w);
}

bool inspect_channels(const Graph *file, bool json, Diag *d) {
  const PassCtx ctx = {.params = ""};
  Graph *g = pipeline_run(file, "fold,layout,fold,dce", &ctx, NULL, d); /* as before `prune` */
  Channels c = {0};
  const bool ok = g && channels_find(g, NULL, &c, d);
  if (ok) {
    StrBuf text = {0};
    if (json)
      channels_json(&c, &text);
    else
      channels_print(&c, &text);
    fputs(sb_str(&text), stdout);
    sb_free(&text);
  }
  channels_free(&c);
  graph_free(g);
  return ok;
}
