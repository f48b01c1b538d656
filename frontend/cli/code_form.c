/* The form of emitted C: see code_form.h. */
#include "frontend/cli/code_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/config/units.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"
#include "runtime/data/dataset.h"

/* Index of the word in names; 0 for none; -1: no such word, reported. */
static int word_of(const char *what, const char *word, const char *const names[2], Diag *d) {
  for (int i = 0; i < 2; i++)
    if (!word || strcmp(word, names[i]) == 0) return i;
  diag_error(d, NULL, "%s \"%s\": want %s or %s", what, word, names[0], names[1]);
  return -1;
}

bool code_form_apply(const CodeForm *f, EmitOptions *out, Diag *d) {
  static const char *const formats[] = {"single", "split"}, *const weights[] = {"code", "blob"};
  const int split = word_of("format", f->format, formats, d),
            blob = word_of("weights", f->weights, weights, d);
  if (split < 0 || blob < 0) return false;
  out->weights = blob ? WEIGHTS_BLOB : split ? WEIGHTS_APART : WEIGHTS_IN_CODE;
  if (split && !out->kernels) out->kernels = "kernels";
  out->weights_section = f->section;
  out->weights_align = f->align;
  out->step = f->step;
  out->adapt_memory = f->adapt_memory;
  out->adapt_biases = f->adapt_k;
  out->adapt_rank = f->adapt_rank;
  return !f->adapt || strcmp(f->adapt, "none") == 0 || device_adapt_named(f->adapt, &out->adapt, d);
}

/* A number of --adapt's keys. */
static bool adapt_number(const char *text, const char *key, const char *part, int most, const char *of,
                         int *out, Diag *d) {
  char *end;
  const long n = strtol(part + strlen(key) + 1, &end, 10);
  FAIL_IF(*end || n < 1 || n > most, d, NULL, "--adapt %s: %s: want 1 to %d%s", text, key, most, of);
  *out = (int)n;
  return true;
}

/* One of "memory=SIZE", "k=N", "rank=N" of --adapt. */
static bool adapt_key(const char *text, const char *part, CodeForm *f, Diag *d) {
  if (strncmp(part, "memory=", 7) == 0) {
    const char *want = unit_bytes(part + 7, &f->adapt_memory);
    FAIL_IF(want || f->adapt_memory < 1, d, NULL, "--adapt %s: memory: want %s", text,
            want ? want : "1 byte or more");
    return true;
  }
  if (strncmp(part, "k=", 2) == 0)
    return adapt_number(text, "k", part, ADAPT_K_MAX, " layers", &f->adapt_k, d);
  if (strncmp(part, "rank=", 5) == 0)
    return adapt_number(text, "rank", part, DEVICE_ADAPT_RANK_MAX, "", &f->adapt_rank, d);
  return diag_error(d, NULL, "--adapt %s: after the comma want memory=SIZE, k=N or rank=N", text);
}

bool code_form_adapt(Arena *a, const char *text, CodeForm *f, Diag *d) {
  const char *p = text ? strchr(text, ',') : NULL;
  if (!text) return true;
  f->adapt = p ? arena_strndup(a, text, (size_t)(p - text)) : text;
  while (p) {
    const char *end = strchr(++p, ',');
    TRY(adapt_key(text, end ? arena_strndup(a, p, (size_t)(end - p)) : p, f, d));
    p = end;
  }
  return true;
}

const char *code_form_params(Arena *a, const CodeForm *f) {
  StrBuf b = {0};
  if (f->format && strcmp(f->format, "single") != 0) sb_printf(&b, ",format=%s", f->format);
  if (f->weights && strcmp(f->weights, "code") != 0) sb_printf(&b, ",weights=%s", f->weights);
  if (f->section) sb_printf(&b, ",section=%s", f->section);
  if (f->align) sb_printf(&b, ",align=%lld", (long long)f->align);
  if (f->step) sb_puts(&b, ",step=1");
  if (f->drift) sb_printf(&b, ",drift=%lld", (long long)f->drift);
  if (f->adapt && strcmp(f->adapt, "none") != 0)
    sb_printf(&b, ",adapt=%s,adapt_memory=%lld,adapt_k=%d,adapt_rank=%d", f->adapt,
              (long long)f->adapt_memory, f->adapt_k, f->adapt_rank);
  const char *text = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return text;
}

static const char *param(Arena *a, const char *params, const char *key) {
  char text[128];
  return pass_param(params, key, text, sizeof text) ? arena_strdup(a, text) : NULL;
}

bool code_form_parse(Arena *a, const char *params, CodeForm *out, Diag *d) {
  bool bad = false;
  *out = (CodeForm){.format = param(a, params, "format"),
                    .weights = param(a, params, "weights"),
                    .section = param(a, params, "section"),
                    .align = (int64_t)pass_param_num(params, "align", 0, &bad),
                    .adapt = param(a, params, "adapt"),
                    .adapt_memory = (int64_t)pass_param_num(params, "adapt_memory", 0, &bad),
                    .adapt_k = (int)pass_param_num(params, "adapt_k", 0, &bad),
                    .adapt_rank = (int)pass_param_num(params, "adapt_rank", 0, &bad),
                    .step = pass_param_num(params, "step", 0, &bad) > 0,
                    .drift = (int64_t)pass_param_num(params, "drift", 0, &bad)};
  FAIL_IF(bad, d, NULL,
          "deploy: \"%s\": want numbers for align, step, drift, adapt_memory, adapt_k, adapt_rank", params);
  return true;
}

/* -- pixels -- */

void code_pixels(const Normalize *nz, EmitOptions *out) {
  out->pixel_channels = nz->n == 1 || nz->n == 3 ? nz->n : 0;
  for (int i = 0; i < out->pixel_channels; i++) {
    out->pixel_scale[i] = nz->scale[i];
    out->pixel_offset[i] = nz->offset[i];
  }
}

const char *code_pixels_params(Arena *a, const Normalize *nz) {
  EmitOptions o = {0};
  StrBuf b = {0};
  code_pixels(nz, &o);
  if (o.pixel_channels) sb_printf(&b, ",pixels=%d", o.pixel_channels);
  for (int i = 0; i < o.pixel_channels; i++)
    sb_printf(&b, ",scale%d=%.9g,offset%d=%.9g", i, (double)o.pixel_scale[i], i, (double)o.pixel_offset[i]);
  const char *text = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return text;
}

bool code_pixels_parse(const char *params, EmitOptions *out, Diag *d) {
  char key[16];
  bool bad = false;
  const int n = (int)pass_param_num(params, "pixels", 0, &bad);
  out->pixel_channels = n == 1 || n == 3 ? n : 0;
  for (int i = 0; i < out->pixel_channels; i++) {
    snprintf(key, sizeof key, "scale%d", i);
    out->pixel_scale[i] = (float)pass_param_num(params, key, 1, &bad);
    snprintf(key, sizeof key, "offset%d", i);
    out->pixel_offset[i] = (float)pass_param_num(params, key, 0, &bad);
  }
  FAIL_IF(bad, d, NULL, "deploy: \"%s\": want pixels=N,scale0=...", params);
  return true;
}
