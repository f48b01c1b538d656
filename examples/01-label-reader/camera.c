/* From reflected light to the grey values of a cheap camera, in the order in which it happens:
 *
 *   light       the lamp's unevenness multiplies what the paper reflects
 *   blur        of the lens or of motion: convolution by a 7 x 7 kernel
 *   noise       of the sensor, in grey levels
 *   tone        a curve that lightens or darkens the middle greys
 *   sharpening  unsharp masking by a 3 x 3 box
 *   JPEG        8 x 8 cosine transform, quantised by the standard luminance table
 *
 * The view is 40 x 40 pixels, five JPEG blocks; the 32 x 32 frame lies anywhere in it, so that block
 * edges cross the character at any place, as they do when a character is cut out of a large picture.
 *
 * Source: the table and its scaling by quality: ITU-T T.81 (1992), table K.1, and libjpeg's
 * jpeg_set_quality; noise kinds: EMVA 1288, release 3.1, section 2.
 */
#include "camera.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum Blur { GAUSS, DISK, MOTION } Blur;
typedef enum Light { FLAT, GRADIENT, VIGNETTE, SHADOW, SPOT, STRIPES } Light;
typedef enum Noise { WHITE, SHOT, ROWS, COLUMNS, SPECKLE, HOT } Noise;

typedef struct Range {
  float lo, hi;
} Range;

typedef struct Camera {
  Split split;
  const char *name;
  Blur blur;
  Range blur_size;
  Light light;
  Range light_loss;
  Noise noise;
  Range noise_level;
  Range tone;
  int sharpen, quality_lo, quality_hi;
} Camera;

static const Camera cameras[] = {
#define CAMERA(split, name, blur, b0, b1, light, l0, l1, noise, n0, n1, t0, t1, sharpen, q0, q1) \
  {split,                                                                                        \
   name,                                                                                         \
   blur,                                                                                         \
   {(float)b0, (float)b1},                                                                       \
   light,                                                                                        \
   {(float)l0, (float)l1},                                                                       \
   noise,                                                                                        \
   {(float)n0, (float)n1},                                                                       \
   {(float)(t0), (float)(t1)},                                                                   \
   sharpen,                                                                                      \
   q0,                                                                                           \
   q1},
#include "cameras.def"
#undef CAMERA
};

enum { CAMERAS = sizeof cameras / sizeof cameras[0], RADIUS = 3, TAPS = 2 * RADIUS + 1 };

bool camera_check_table(void) {
  for (int i = 0; i < CAMERAS; i++)
    for (int j = 0; j < i; j++) {
      const Camera *a = &cameras[i], *b = &cameras[j];
      bool same = a->blur == b->blur && a->light == b->light && a->noise == b->noise;
      bool overlap = a->quality_lo <= b->quality_hi && b->quality_lo <= a->quality_hi;

      if (a->split != b->split && (same || overlap)) {
        fprintf(stderr, "cameras.def: \"%s\" and \"%s\" are in two splits with the same %s\n", a->name,
                b->name, same ? "blur, light and noise" : "JPEG quality");
        return false;
      }
    }
  return true;
}

static float pick(Range r, Rng *rng) { return rng_range(rng, r.lo, r.hi); }

static float clamp(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

/* e^-x for 0 <= x < 100: (1 - x/1024)^1024, 0.5 per cent off at worst where it matters. */
static float decay(float x) {
  float y = 1.0f - x * (1.0f / 1024.0f);

  for (int i = 0; i < 10; i++) y *= y;
  return y;
}

static float smooth_step(float x) {
  x = clamp(x, 0.0f, 1.0f);
  return x * x * (3.0f - 2.0f * x);
}

/* A direction, uniform over the circle, without a cosine: a point of the disk, scaled. */
static void pick_direction(float *dx, float *dy, Rng *rng) {
  float x, y, r2;

  do {
    x = rng_range(rng, -1.0f, 1.0f);
    y = rng_range(rng, -1.0f, 1.0f);
    r2 = x * x + y * y;
  } while (r2 > 1.0f || r2 < 0.01f);
  r2 = sqrtf(r2);
  *dx = x / r2;
  *dy = y / r2;
}

/* Positions are relative to the frame's middle, in pixels. */
static void apply_light(float *v, const Camera *cam, int x0, int y0, Rng *rng) {
  float loss = pick(cam->light_loss, rng), dx, dy, px, py, size, gain;

  pick_direction(&dx, &dy, rng);
  px = rng_range(rng, -14.0f, 14.0f);
  py = rng_range(rng, -14.0f, 14.0f);
  size = rng_range(rng, 0.0f, 1.0f);
  gain = rng_range(rng, 0.75f, 1.05f);
  for (int i = 0; i < VIEW * VIEW; i++) {
    float x = (float)(i % VIEW - x0 - FRAME / 2) - px, y = (float)(i / VIEW - y0 - FRAME / 2) - py;
    float along = x * dx + y * dy, r2 = x * x + y * y, dark = 0.5f, wave;

    switch (cam->light) {
    case FLAT: break;
    case GRADIENT: dark = clamp(0.5f + along * (1.0f / 44.0f), 0.0f, 1.0f); break;
    case VIGNETTE: dark = clamp(r2 * (1.0f / 900.0f), 0.0f, 1.0f); break;
    case SHADOW: dark = smooth_step(0.5f + along / (2.0f + 10.0f * size)); break;
    case SPOT: dark = 1.0f - 1.0f / (1.0f + r2 / (60.0f + 240.0f * size)); break;
    case STRIPES:
      wave = along / (16.0f + 24.0f * size) + 8.0f;
      wave -= (float)(int)wave;
      dark = smooth_step(2.0f * (wave < 0.5f ? wave : 1.0f - wave) * 1.6f - 0.3f);
      break;
    }
    v[i] *= gain * (1.0f - loss * dark);
  }
}

static void normalise(float *kernel) {
  float sum = 0;

  for (int i = 0; i < TAPS * TAPS; i++) sum += kernel[i];
  for (int i = 0; i < TAPS * TAPS; i++) kernel[i] /= sum;
}

/* Spread one sample of the path over the four taps around (x, y). */
static void splat(float *kernel, float x, float y) {
  int ix = (int)(x + (float)RADIUS), iy = (int)(y + (float)RADIUS);
  float fx = x + (float)RADIUS - (float)ix, fy = y + (float)RADIUS - (float)iy;
  float *k = kernel + iy * TAPS + ix;

  k[0] += (1 - fx) * (1 - fy);
  k[1] += fx * (1 - fy);
  k[TAPS] += (1 - fx) * fy;
  k[TAPS + 1] += fx * fy;
}

static void make_kernel(float *kernel, const Camera *cam, Rng *rng) {
  float size = pick(cam->blur_size, rng), dx, dy;

  pick_direction(&dx, &dy, rng);
  memset(kernel, 0, TAPS * TAPS * sizeof *kernel);
  if (cam->blur == MOTION) {
    for (int i = -8; i <= 8; i++) splat(kernel, dx * size * (float)i / 16.0f, dy * size * (float)i / 16.0f);
  } else {
    for (int i = 0; i < TAPS * TAPS; i++) {
      float x = (float)(i % TAPS - RADIUS), y = (float)(i / TAPS - RADIUS), r2 = x * x + y * y;

      kernel[i] =
          cam->blur == GAUSS ? decay(r2 / (2.0f * size * size)) : clamp(size + 0.5f - sqrtf(r2), 0.0f, 1.0f);
    }
  }
  normalise(kernel);
}

static void convolve(float *v, const float *kernel) {
  enum { WIDE = VIEW + 2 * RADIUS };
  float wide[WIDE * WIDE];

  for (int i = 0; i < WIDE * WIDE; i++) {
    int x = i % WIDE - RADIUS, y = i / WIDE - RADIUS;

    x = x < 0 ? 0 : x >= VIEW ? VIEW - 1 : x;
    y = y < 0 ? 0 : y >= VIEW ? VIEW - 1 : y;
    wide[i] = v[y * VIEW + x];
  }
  memset(v, 0, VIEW * VIEW * sizeof *v);
  for (int k = 0; k < TAPS * TAPS; k++)
    if (kernel[k] > 0)
      for (int y = 0; y < VIEW; y++) {
        const float *in = wide + (y + k / TAPS) * WIDE + k % TAPS;

        for (int x = 0; x < VIEW; x++) v[y * VIEW + x] += kernel[k] * in[x];
      }
}

static void add_noise(float *v, const Camera *cam, Rng *rng) {
  float level = pick(cam->noise_level, rng) * (1.0f / 255.0f), line[VIEW];

  for (int i = 0; i < VIEW; i++) line[i] = 0.7f * level * rng_normal(rng);
  for (int i = 0; i < VIEW * VIEW; i++) {
    float n = level * rng_normal(rng);

    switch (cam->noise) {
    case WHITE: v[i] += n; break;
    case SHOT: v[i] += n * (0.3f + sqrtf(clamp(v[i], 0.0f, 1.0f))); break;
    case SPECKLE: v[i] += n * (0.3f + 1.6f * v[i]); break;
    case ROWS: v[i] += 0.7f * n + line[i / VIEW]; break;
    case COLUMNS: v[i] += 0.7f * n + line[i % VIEW]; break;
    case HOT: v[i] += rng_below(rng, 1000) < 12 ? 0.4f : 0.7f * n; break;
    }
  }
}

static void apply_tone(float *v, const Camera *cam, Rng *rng) {
  float bend = pick(cam->tone, rng);

  for (int i = 0; i < VIEW * VIEW; i++) {
    float x = clamp(v[i], 0.0f, 1.0f);

    v[i] = x + bend * x * (1.0f - x);
  }
}

static void sharpen(float *v, const Camera *cam) {
  float old[VIEW * VIEW], amount = (float)cam->sharpen * 0.01f;

  if (cam->sharpen == 0) return;
  memcpy(old, v, sizeof old);
  for (int y = 1; y < VIEW - 1; y++)
    for (int x = 1; x < VIEW - 1; x++) {
      const float *p = old + y * VIEW + x;
      float box =
          p[-VIEW - 1] + p[-VIEW] + p[-VIEW + 1] + p[-1] + p[0] + p[1] + p[VIEW - 1] + p[VIEW] + p[VIEW + 1];

      v[y * VIEW + x] = p[0] + amount * (p[0] - box * (1.0f / 9.0f));
    }
}

static const uint8_t jpeg_luma[64] = {
    16, 11,  10,  16, 24, 40, 51, 61, 12,  12,  14,  19,  26, 58, 60, 55,  14,  13,  16,  24, 40, 57,
    69, 56,  14,  17, 22, 29, 51, 87, 80,  62,  18,  22,  37, 56, 68, 109, 103, 77,  24,  35, 55, 64,
    81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,  112, 100, 103, 99,
};

/* Row k: the k-th orthonormal cosine, cos((2x + 1) k pi / 16) / 2, or sqrt(1/8) for k = 0. */
#define C0 0.353553391f
#define C1 0.490392640f
#define C2 0.461939766f
#define C3 0.415734806f
#define C5 0.277785117f
#define C6 0.191341716f
#define C7 0.097545161f
static const float cosines[8][8] = {
    {C0, C0, C0, C0, C0, C0, C0, C0},     {C1, C3, C5, C7, -C7, -C5, -C3, -C1},
    {C2, C6, -C6, -C2, -C2, -C6, C6, C2}, {C3, -C7, -C1, -C5, C5, C1, C7, -C3},
    {C0, -C0, -C0, C0, C0, -C0, -C0, C0}, {C5, -C1, C7, C3, -C3, -C7, C1, -C5},
    {C6, -C2, C2, -C6, -C6, C2, -C2, C6}, {C7, -C5, C3, -C1, C1, -C3, C5, -C7},
};

/* out = m in, or its transpose's product: one side of the two-dimensional transform, which turns the
 * block over, so that doing it twice transforms both sides. */
static void turn_block(float in[8][8], float out[8][8], bool inverse) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) {
      float sum = 0;

      for (int k = 0; k < 8; k++) sum += inverse ? cosines[k][j] * in[k][i] : cosines[j][k] * in[k][i];
      out[i][j] = sum;
    }
}

static float round_half_up(float x) {
  int i = (int)(x + 16384.5f); /* |x| < 16384, so that the cast rounds down */

  return (float)(i - 16384);
}

static void quantise_block(float *v, const float *steps) {
  float a[8][8], b[8][8];

  for (int i = 0; i < 64; i++)
    a[i / 8][i % 8] = round_half_up(clamp(255.0f * v[(i / 8) * VIEW + i % 8], 0.0f, 255.0f)) - 128.0f;
  turn_block(a, b, false);
  turn_block(b, a, false);
  for (int i = 0; i < 64; i++) a[i / 8][i % 8] = round_half_up(a[i / 8][i % 8] / steps[i]) * steps[i];
  turn_block(a, b, true);
  turn_block(b, a, true);
  for (int i = 0; i < 64; i++) v[(i / 8) * VIEW + i % 8] = clamp(a[i / 8][i % 8] + 128.0f, 0.0f, 255.0f);
}

/* Greys 0..1 become 0..255 on the way. */
static void compress(float *v, const Camera *cam, Rng *rng) {
  int quality = cam->quality_lo + rng_below(rng, cam->quality_hi - cam->quality_lo + 1);
  int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  float steps[64];

  for (int i = 0; i < 64; i++) steps[i] = clamp((float)((jpeg_luma[i] * scale + 50) / 100), 1.0f, 255.0f);
  for (int y = 0; y < VIEW; y += 8)
    for (int x = 0; x < VIEW; x += 8) quantise_block(v + y * VIEW + x, steps);
}

static const Camera *pick_camera(Split split, Rng *rng) {
  int first = 0, count = 0;

  for (int i = CAMERAS - 1; i >= 0; i--)
    if (cameras[i].split == split) {
      first = i;
      count++;
    }
  return &cameras[first + rng_below(rng, count)]; /* cameras.def keeps a split's rows together */
}

void camera_expose(const Scene *scene, Split split, uint8_t out[FRAME * FRAME], Rng *rng) {
  const Camera *cam = pick_camera(split, rng);
  float v[VIEW * VIEW], kernel[TAPS * TAPS];

  memcpy(v, scene->light, sizeof v);
  apply_light(v, cam, scene->x0, scene->y0, rng);
  make_kernel(kernel, cam, rng);
  convolve(v, kernel);
  add_noise(v, cam, rng);
  apply_tone(v, cam, rng);
  sharpen(v, cam);
  compress(v, cam, rng);
  for (int i = 0; i < FRAME * FRAME; i++)
    out[i] = (uint8_t)(v[(scene->y0 + i / FRAME) * VIEW + scene->x0 + i % FRAME] + 0.5f);
}
