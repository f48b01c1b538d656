/* Included before everything in a model that is profiled: each call of a layer's kernel stands between two marks, which
 * backend/harness/weight_plugin.c sees (layers.c).
 */
#ifndef LAYERS_H
#define LAYERS_H

void selftest_layer_begin(int layer);
void selftest_layer_end(void);
#define MF_LAYER(number, call) (selftest_layer_begin(number), call, selftest_layer_end())

#endif
