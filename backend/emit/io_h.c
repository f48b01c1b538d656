/* model_io.h: conversions at the model's boundary, for a program that includes it: real values to and from the tensors'
 * integers, camera pixels (RGB888, RGB565, gray) to an image input. Static inline functions, which cost nothing unused.
 *
 * Codes are those of the Quantize kernel (runtime/kernels/generic/quantize.c): to nearest, halves away from zero.
 */
#include <string.h>

#include "backend/emit/emit.h"

static bool is_byte(DType t) { return t == DT_I8 || t == DT_U8; }
static bool is_coded(const Value *v) { return is_byte(v->dtype) && v->quant.n == 1; }

/* An image of 1 or 3 channels, [1,H,W,C] or [1,C,H,W]. */
typedef struct Image {
  int64_t channels, pixels;
  bool planar;
} Image;

static bool is_image(const Value *v, Image *out) {
  const Shape *s = &v->shape;
  if (s->rank != 4 || s->d[0] != 1 || !(is_coded(v) || v->dtype == DT_F32)) return false;
  const bool last = s->d[3] == 1 || s->d[3] == 3, first = s->d[1] == 1 || s->d[1] == 3;
  if (!last && !first) return false;
  *out = (Image){last ? s->d[3] : s->d[1], last ? s->d[1] * s->d[2] : s->d[2] * s->d[3], !last};
  return true;
}

static const char code[] =
    "/* The integer that stands for x: to nearest, halves away from zero, limited to lo .. hi. */\n"
    "static inline int32_t @_code(float x, float scale, int32_t zero, int32_t lo, int32_t hi) {\n"
    "  float v = x / scale, rest;\n"
    "  int32_t q;\n"
    "  if (!(v > -1048576.0f)) v = -1048576.0f;\n"
    "  if (v > 1048576.0f) v = 1048576.0f;\n"
    "  q = (int32_t)v;\n"
    "  rest = v - (float)q;\n"
    "  q += (rest >= 0.5f) - (rest <= -0.5f) + zero;\n"
    "  return q < lo ? lo : q > hi ? hi : q;\n"
    "}\n";

static const char pixels[] =
    "static inline void @_put_pixel(@U_INPUT0_TYPE *to, size_t i, uint32_t r, uint32_t g, uint32_t b) {\n"
    "#if @U_IMAGE_CHANNELS == 3\n"
    "  to[i * @U_PIXEL_STEP] = @_pixel_value(0, r);\n"
    "  to[i * @U_PIXEL_STEP + @U_CHANNEL_STEP] = @_pixel_value(1, g);\n"
    "  to[i * @U_PIXEL_STEP + 2 * @U_CHANNEL_STEP] = @_pixel_value(2, b);\n"
    "#else /* luma, ITU-R BT.601 */\n"
    "  to[i * @U_PIXEL_STEP] = @_pixel_value(0, (77 * r + 150 * g + 29 * b + 128) >> 8);\n"
    "#endif\n"
    "}\n\n"
    "/* Pixels i .. i+n-1 of the image (of a row, where `to` is one), n of them at `from`, into the input at "
    "`to`. */\n"
    "static inline void @_input_rgb888(const uint8_t *from, @U_INPUT0_TYPE *to, size_t i, size_t n) {\n"
    "  for (; n > 0; n--, from += 3) @_put_pixel(to, i++, from[0], from[1], from[2]);\n"
    "}\n\n"
    "static inline void @_input_rgb565(const uint16_t *from, @U_INPUT0_TYPE *to, size_t i, size_t n) {\n"
    "  for (; n > 0; n--, from++) {\n"
    "    const uint32_t r = *from >> 11, g = *from >> 5 & 63, b = *from & 31;\n"
    "    @_put_pixel(to, i++, r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2);\n"
    "  }\n"
    "}\n\n"
    "static inline void @_input_gray(const uint8_t *from, @U_INPUT0_TYPE *to, size_t i, size_t n) {\n"
    "  for (; n > 0; n--, from++) @_put_pixel(to, i++, from[0], from[0], from[0]);\n"
    "}\n";

static void print_limits(const Value *v, StrBuf *out) {
  sb_puts(out, v->dtype == DT_I8 ? "-128, 127" : "0, 255");
}

static void print_quantize(const Emit *e, uint32_t i, StrBuf *out) {
  const Value *v = graph_val(e->g, e->g->inputs[i]);
  const char *n = e->opt->name, *u = e->upper;
  if (!is_coded(v)) return;
  sb_printf(out,
            "\nstatic inline void %s_quantize_input%u(const float *from, %s_INPUT%u_TYPE *to, size_t n) {\n",
            n, i, u, i);
  sb_printf(
      out,
      "  for (; n > 0; n--) *to++ = (%s_INPUT%u_TYPE)%s_code(*from++, %s_INPUT%u_SCALE, %s_INPUT%u_ZERO, ", u,
      i, n, u, i, u, i);
  print_limits(v, out);
  sb_puts(out, ");\n}\n");
}

static void print_dequantize(const Emit *e, uint32_t i, StrBuf *out) {
  const Value *v = graph_val(e->g, e->g->outputs[i]);
  const char *n = e->opt->name, *u = e->upper;
  if (!is_coded(v)) return;
  sb_printf(
      out,
      "\nstatic inline void %s_dequantize_output%u(const %s_OUTPUT%u_TYPE *from, float *to, size_t n) {\n", n,
      i, u, i);
  sb_printf(out, "  for (; n > 0; n--) *to++ = %s_OUTPUT%u_SCALE * (float)(*from++ - %s_OUTPUT%u_ZERO);\n}\n",
            u, i, u, i);
}

static void print_list(const float *v, int n, float otherwise, StrBuf *out) {
  sb_putc(out, '{');
  for (int i = 0; i < 3; i++) {
    if (i) sb_puts(out, ", ");
    print_float(out, n == 0 ? otherwise : v[n == 1 ? 0 : i]);
  }
  sb_putc(out, '}');
}

static void print_pixel_value(const Emit *e, const Value *v, StrBuf *out) {
  const EmitOptions *o = e->opt;
  const char *n = o->name, *u = e->upper;
  sb_puts(out, "\n/* What a pixel's byte is to the model: byte * scale + offset, by channel");
  sb_puts(out, o->pixel_channels ? ", as design.yaml normalizes. */\n"
                                 : " (define these two where it is not the byte itself). */\n");
  sb_printf(out, "#ifndef %s_PIXEL_SCALE\n#define %s_PIXEL_SCALE ", u, u);
  print_list(o->pixel_scale, o->pixel_channels, 1, out);
  sb_printf(out, "\n#define %s_PIXEL_OFFSET ", u);
  print_list(o->pixel_offset, o->pixel_channels, 0, out);
  sb_printf(out,
            "\n#endif\nstatic inline %s_INPUT0_TYPE %s_pixel_value(int channel, uint32_t byte) {\n"
            "  static const float scale[] = %s_PIXEL_SCALE, offset[] = %s_PIXEL_OFFSET;\n"
            "  const float x = (float)byte * scale[channel] + offset[channel];\n",
            u, n, u, u);
  if (is_coded(v)) {
    sb_printf(out, "  return (%s_INPUT0_TYPE)%s_code(x, %s_INPUT0_SCALE, %s_INPUT0_ZERO, ", u, n, u, u);
    print_limits(v, out);
    sb_puts(out, ");\n}\n\n");
  } else {
    sb_puts(out, "  return x;\n}\n\n");
  }
}

static void print_image(const Emit *e, StrBuf *out) {
  const char *u = e->upper;
  Image im;
  if (e->g->n_inputs == 0) return;
  const Value *v = graph_val(e->g, e->g->inputs[0]);
  if (!is_image(v, &im) || (e->plan.input_rows && im.planar)) return;
  sb_printf(out,
            "\n#define %s_IMAGE_CHANNELS %lld\n#define %s_PIXEL_STEP %lld\n#define %s_CHANNEL_STEP %lld\n", u,
            (long long)im.channels, u, (long long)(im.planar ? 1 : im.channels), u,
            (long long)(im.planar ? im.pixels : 1));
  print_pixel_value(e, v, out);
  print_template(e, pixels, out);
}

void print_io_h(const Emit *e, StrBuf *out) {
  sb_printf(
      out,
      "/* Conversions at the boundary of \"%s\", made by mistify. Unused, they cost nothing. Compile with\n",
      e->opt->name);
  sb_printf(out,
            " * -ffp-contract=off for the same codes everywhere.\n */\n#ifndef MODEL_%s_IO_H\n#define "
            "MODEL_%s_IO_H\n\n",
            e->upper, e->upper);
  sb_puts(out, "#include \"model.h\"\n\n");
  print_template(e, code, out);
  for (uint32_t i = 0; i < e->g->n_inputs; i++) print_quantize(e, i, out);
  for (uint32_t i = 0; i < e->g->n_outputs; i++) print_dequantize(e, i, out);
  print_image(e, out);
  sb_puts(out, "\n#endif\n");
}
