/* See adapt_shift.h. */
#include "bench/adapt_shift.h"

#include "frontend/onnx/onnx.h"

#define TEST_BIN "cifar10/test.bin.xz"

bool shift_there(void) { return file_exists(bench_data(TEST_BIN)); }

Graph *shift_net(const Adapt *ad, const char *file) {
  Graph *read = onnx_import(bench_data(arena_printf(ad->a, "models/onnx/%s", file)), ad->b->d);
  bench_must(ad->b, read != NULL);
  Graph *out = bench_passes(ad->b, read, "fold,layout,fold,dce", NULL, NULL);
  graph_free(read);
  return out;
}

Split shift_images(const Adapt *ad, uint32_t first, uint32_t count) {
  const SplitSpec spec = {.kind = "cifar", .x = bench_data(TEST_BIN), .first = first, .count = count};
  Split out;
  bench_must(ad->b, split_open(&spec, &out, ad->b->d));
  return out;
}

uint32_t shift_local(const Adapt *ad) { return ad->quick ? 2000 : SHIFT_LOCAL; }

Split shift_evaluation(const Adapt *ad) {
  return ad->quick ? shift_images(ad, 4000, 1000) : shift_images(ad, SHIFT_LOCAL, 5000);
}
