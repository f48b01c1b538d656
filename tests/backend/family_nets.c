/* See family_nets.h. A weight's code is a hash of its layer and place. */
#include "tests/backend/family_nets.h"

#include <check.h>
#include <stdio.h>

#include "ir/base/strbuf.h"
#include "tests/backend/emitted.h"

static unsigned mix(unsigned a, unsigned b) {
  unsigned h = (a + 1) * 2654435761u ^ (b + 7) * 40503u;
  h ^= h >> 15;
  h *= 2246822519u;
  return h ^ h >> 13;
}

static void put_weights(StrBuf *t, unsigned layer, int outs, int taps, int ins) {
  sb_putc(t, '{');
  for (int o = 0; o < outs; o++)
    for (int k = 0; k < taps; k++)
      for (int i = 0; i < ins; i++)
        sb_printf(t, "%s%d", o + k + i ? ", " : "",
                  (int)(mix(mix(layer, (unsigned)o), mix((unsigned)k, (unsigned)i)) % 255) - 127);
  sb_puts(t, "}\n");
}

static void put_bias(StrBuf *t, const char *name, unsigned layer, int outs, double scale) {
  sb_printf(t, "%%%s = const : i32[%d] q(%.9g, 0) {", name, outs, scale);
  for (int o = 0; o < outs; o++)
    sb_printf(t, "%s%d", o ? ", " : "", (int)(mix(layer, (unsigned)o) % 4000) - 2000);
  sb_puts(t, "}\n");
}

/* The weights of a depthwise convolution lie [tap][channel]. */
static void put_depthwise(StrBuf *t, unsigned layer, int channels) {
  sb_putc(t, '{');
  for (int k = 0; k < 9; k++)
    for (int c = 0; c < channels; c++)
      sb_printf(t, "%s%d", k + c ? ", " : "", (int)(mix(mix(layer, (unsigned)k), (unsigned)c) % 255) - 127);
  sb_puts(t, "}\n");
}

Graph *family_net(FamilyWidth w, bool pooled, unsigned salt) {
  const int a = w.first, b = w.second;
  const double s1 = 0.1 + 0.013 * salt, s2 = 0.3 + 0.02 * salt, s3 = 0.7 + 0.05 * salt,
               s4 = 0.9 + 0.07 * salt;
  StrBuf t = {0};
  sb_puts(&t, "graph \"family\"\n%x = input : i8[1,9,8,3] q(0.05, -3) \"image\"\n");
  sb_printf(&t, "%%w1 = const : i8[%d,3,3,3] q(0.01, 0) ", a);
  put_weights(&t, 1, a, 9, 3);
  put_bias(&t, "b1", 11 + salt, a, 0.0005);
  sb_printf(
      &t, "%%c1 = Conv(%%x, %%w1, %%b1) {pads=[1,1,1,1], act=relu} : i8[1,9,8,%d] q(%.9g, -128) \"conv1\"\n",
      a, s1);
  sb_printf(&t, "%%w2 = const : i8[1,3,3,%d] q(0.02, 0) ", a);
  put_depthwise(&t, 2, a);
  sb_printf(&t,
            "%%c2 = DepthwiseConv(%%c1, %%w2) {pads=[1,1,1,1]} : i8[1,9,8,%d] q(%.9g, %d) \"depthwise\"\n", a,
            s2, (int)(salt % 5));
  sb_printf(&t, "%%w3 = const : i8[%d,3,3,%d] q(0.01, 0) ", b, a);
  put_weights(&t, 3, b, 9, a);
  put_bias(&t, "b3", 31 + salt, b, s2 * 0.01);
  sb_printf(&t,
            "%%c3 = Conv(%%c2, %%w3, %%b3) {strides=[2,2], pads=[1,1,1,1], act=relu} : i8[1,5,4,%d] q(%.9g, "
            "-128) \"conv3\"\n",
            b, s3);
  sb_printf(&t, "%%w4 = const : i8[%d,1,1,%d] q(0.01, 0) ", b, b);
  put_weights(&t, 4, b, 1, b);
  put_bias(&t, "b4", 41 + salt, b, s3 * 0.01);
  sb_printf(&t, "%%c4 = Conv(%%c3, %%w4, %%b4) : i8[1,5,4,%d] q(%.9g, 7) \"conv4\"\n", b, s4);
  sb_printf(&t, "%%s = Add(%%c4, %%c3) {act=relu} : i8[1,5,4,%d] q(%.9g, -128) \"sum\"\n", b, s4);
  const int pixels = pooled ? 1 : 20;
  if (pooled)
    sb_printf(&t, "%%p = AveragePool(%%s) {kernel=[5,4]} : i8[1,1,1,%d] q(%.9g, -128) \"mean\"\n", b, s4);
  sb_printf(&t, "%%r = Reshape(%%%s) {shape=[1,%d]}\n", pooled ? "p" : "s", pixels * b);
  sb_printf(&t, "%%w5 = const : i8[5,%d] q(0.01, 0) ", pixels * b);
  put_weights(&t, 5, 5, pixels, b);
  put_bias(&t, "b5", 51 + salt, 5, s4 * 0.01);
  sb_puts(&t, "%f = FullyConnected(%r, %w5, %b5) : i8[1,5] q(3.5, 7) \"logits\"\noutput %f\n");
  Graph *g = graph_of(sb_str(&t));
  sb_free(&t);
  return g;
}

/* A layer's weights, its bias, itself: %cN = op(%c(N-1), %wN, %bN), N from 1. */
static void put_layer(StrBuf *t, unsigned n, const char *op, const char *attrs, int size, int outs,
                      double in_scale, double scale, unsigned salt) {
  char bias[8];
  snprintf(bias, sizeof bias, "b%u", n);
  put_bias(t, bias, 10 * n + salt, outs, in_scale * 0.01);
  sb_printf(t, "%%c%u = %s(%%c%u, %%w%u, %%b%u) {%s, act=relu} : i8[1,%d,%d,%d] q(%.9g, -128) \"%s%u\"\n", n,
            op, n - 1, n, n, attrs, size, size, outs, scale, op, n);
}

static void put_3x3(StrBuf *t, unsigned n, int stride, int size, int channels, double in_scale, double scale,
                    unsigned salt) {
  char attrs[48];
  snprintf(attrs, sizeof attrs, "pads=[1,1,1,1], strides=[%d,%d]", stride, stride);
  sb_printf(t, "%%w%u = const : i8[1,3,3,%d] q(0.01, 0) ", n, channels);
  put_depthwise(t, n, channels);
  put_layer(t, n, "DepthwiseConv", attrs, size, channels, in_scale, scale, salt);
}

static void put_1x1(StrBuf *t, unsigned n, int size, int outs, int ins, double in_scale, double scale,
                    unsigned salt) {
  sb_printf(t, "%%w%u = const : i8[%d,1,1,%d] q(0.01, 0) ", n, outs, ins);
  put_weights(t, n, outs, 1, ins);
  put_layer(t, n, "Conv", "pads=[0,0,0,0]", size, outs, in_scale, scale, salt);
}

Graph *family_separable_net(FamilyWidth w, unsigned salt) {
  const int a = w.first, b = w.second;
  const double k = 1 + 0.02 * salt, s1 = 0.2 * k, s2 = 0.5 * k, s3 = k, s4 = 2 * k, s5 = 8 * k;
  StrBuf t = {0};
  sb_puts(&t, "graph \"separable\"\n%c0 = input : i8[1,17,17,3] q(0.05, -3) \"image\"\n");
  sb_printf(&t, "%%w1 = const : i8[%d,3,3,3] q(0.01, 0) ", a);
  put_weights(&t, 1, a, 9, 3);
  put_layer(&t, 1, "Conv", "pads=[1,1,1,1], strides=[2,2]", 9, a, 0.05, s1, salt);
  put_3x3(&t, 2, 1, 9, a, s1, s2, salt);
  put_1x1(&t, 3, 9, b, a, s2, s3, salt);
  put_3x3(&t, 4, 2, 5, b, s3, s4, salt);
  put_1x1(&t, 5, 5, b, b, s4, s5, salt);
  sb_printf(&t, "%%p = AveragePool(%%c5) {kernel=[5,5]} : i8[1,1,1,%d] q(%.9g, -128)\n", b, s5);
  sb_printf(&t, "%%r = Reshape(%%p) {shape=[1,%d]}\n%%w6 = const : i8[5,%d] q(0.01, 0) ", b, b);
  put_weights(&t, 6, 5, 1, b);
  put_bias(&t, "b6", 60 + salt, 5, s5 * 0.01);
  sb_puts(&t, "%f = FullyConnected(%r, %w6, %b6) : i8[1,5] q(20, 7) \"logits\"\noutput %f\n");
  Graph *g = graph_of(sb_str(&t));
  sb_free(&t);
  return g;
}
