/* Passes in a shared object, for `mistify opt --plugin ./mine.so`.
 *
 *   #include "passes/plugin.h"         (headers: make install; pkg-config --cflags mistify)
 *
 *   static Graph *run(const Graph *g, const PassCtx *ctx, Diag *d) { ... }
 *   static const Pass mine[] = {{"mine", "what it does", "share=F: what it means", run, false}};
 *   MISTIFY_PLUGIN(mine)
 *
 *   cc -shared -fPIC $(pkg-config --cflags mistify) -o mine.so mine.c
 *
 * It calls what the headers declare; the command that opens it has all of it. A plugin made with headers of other
 * layouts is refused (PluginLayout), so it is compiled again with each version.
 */
#ifndef PASSES_PLUGIN_H
#define PASSES_PLUGIN_H

#include "passes/pass.h"

/* What both sides must agree on. */
typedef struct PluginLayout {
  uint32_t graph, node, value, ctx, pass, host, cost, ops;
} PluginLayout;

#define PLUGIN_LAYOUT                                                                                      \
  {                                                                                                        \
    sizeof(Graph), sizeof(Node), sizeof(Value), sizeof(PassCtx), sizeof(Pass), sizeof(Host), sizeof(Cost), \
        OP_COUNT                                                                                           \
  }

typedef struct PassPlugin {
  PluginLayout layout; /* stays in front */
  PassList passes;
} PassPlugin;

#define MISTIFY_PLUGIN(table)             \
  extern const PassPlugin mistify_plugin; \
  const PassPlugin mistify_plugin = {PLUGIN_LAYOUT, {table, (int)(sizeof(table) / sizeof((table)[0]))}};

#endif
