/* See adapt_retailor.h. */
#include "bench/adapt_retailor.h"

Graph *kept_graph(const Adapt *ad, const char *path) {
  Blob *bytes = file_exists(path) ? blob_map(path) : NULL;
  Graph *out = bytes ? graph_deserialize(bytes, path, ad->b->d) : NULL;
  blob_unref(bytes);
  return out;
}

static void keep(const Adapt *ad, const char *path, const Graph *made) {
  StrBuf b = {0};
  graph_serialize(made, &b);
  bench_must(ad->b, file_write(path, b.s, b.len, ad->b->d));
  sb_free(&b);
}

static const char *place(const Adapt *ad, const char *name, const Graph *g, const Graph *const *larger, int n,
                         const Dataset *local, const RetailorOptions *o) {
  char hex[HASH_HEX], augment[300];
  Hasher *h = hasher_new();
  hasher_hash(h, graph_hash(g));
  for (int i = 0; i < n; i++) hasher_hash(h, graph_hash(larger[i]));
  hasher_hash(h, split_hash(&local->train));
  augment_print(&local->spec.augment, augment, sizeof augment);
  hasher_str(h, augment);
  hasher_bytes(h, local->spec.normalize.scale, sizeof local->spec.normalize.scale);
  hasher_bytes(h, local->spec.normalize.offset, sizeof local->spec.normalize.offset);
  hasher_str(h, arena_printf(ad->a, "%s %d %g %d %g %g %g %d %llu", ad->program, local->train.y != NULL,
                             o->epochs, o->batch, (double)o->lr, (double)o->temperature, (double)o->mix,
                             o->views, (unsigned long long)o->seed));
  hash_hex(hasher_done(h), hex);
  return arena_printf(ad->a, "%s/%s-%.16s.mistify", ad->folder, name, hex);
}

Graph *retailored(const Adapt *ad, const char *name, const Graph *g, const Graph *const *larger, int n,
                  const Dataset *local, const RetailorOptions *o) {
  const char *path = place(ad, name, g, larger, n, local, o);
  Graph *out = kept_graph(ad, path);
  Retailored made;
  if (out) return out;
  out = retailor(g, larger, n, local, o, &ad->b->host, &made, ad->b->d);
  bench_must(ad->b, out != NULL);
  printf("  %s: %u images, %.0f s of training\n", name, local->train.n, made.train.seconds);
  fflush(stdout);
  keep(ad, path, out);
  return out;
}
