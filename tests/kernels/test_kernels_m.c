/* Kernels of Cortex-M's and AArch64's sets on their own instruction sets, under QEMU: each row of their kernels.def against the generic
 * kernel, over random cases: at once, in row ranges, from and into rings, with wider weights, in place, tensors at any
 * address. One program and one file of cases for a target; backend/harness/kernel_cases.c runs them.
 *
 * Every byte of the case's memory that is not an output row asked for must be what it was.
 */
#include "backend/backend.h"
#include "tests/backend/emitted.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

Suite *suite_kernels_m(void);

enum {
  CASES = 150,
  GUARD = 0x5a,
  MAX_RANGES = 8,
  MAX_RELOCATIONS = 32,
  SMALL_BYTES = 5120,
  CASE_BYTES = 65536
};

typedef struct Image {
  Arena *a;
  Rng r;
  const KernelDef *kernel;
  uint32_t number; /* of the kernel in the program */
  KernelCase c;
  char *bytes, *want; /* CASE_BYTES each */
  uint32_t size, reloc[MAX_RELOCATIONS], range[2 * MAX_RANGES];
  uint32_t n_reloc, n_ranges, params, in, out, scratch;
  uint32_t scratch_bytes;
  uint32_t out_at, out_end; /* where the output lies */
  uint32_t pointer;         /* bytes of a pointer of the machine */
} Image;

/* n bytes at a multiple of `align`, plus `shift`; all bytes between are guards. */
static uint32_t place(Image *m, uint32_t n, uint32_t align, uint32_t shift) {
  uint32_t at = (m->size + align - 1) / align * align + shift;
  ck_assert_uint_lt(at + n + 16, CASE_BYTES);
  m->size = at + n;
  return at;
}

static void put_word(Image *m, uint32_t at, uint32_t v) { memcpy(m->bytes + at, &v, 4); }

static void put_pointer(Image *m, uint32_t at, uint32_t to) {
  memset(m->bytes + at, 0, m->pointer);
  put_word(m, at, to);
  ck_assert_uint_lt(m->n_reloc, MAX_RELOCATIONS);
  m->reloc[m->n_reloc++] = at;
}

static uint32_t put_bytes(Image *m, const void *p, uint32_t n, uint32_t align, uint32_t shift) {
  uint32_t at = place(m, n, align, shift);
  memcpy(m->bytes + at, p, n);
  return at;
}

/* Bytes from a field to the next one, padding left out: members are words and pointers, or arrays of them. */
static uint32_t field_bytes(const Image *m, const FieldDesc *d) {
  return d->kind == FIELD_I32 || d->kind == FIELD_F32 ? 4 * (uint32_t)d->count : m->pointer;
}

static uint32_t field_place(const Image *m, const FieldDesc *d, uint32_t at) {
  uint32_t align = d->kind == FIELD_I32 || d->kind == FIELD_F32 ? 4 : m->pointer;
  return (at + align - 1) / align * align;
}

/* The constant array behind pointer field f; at: the pointer's place. */
static void put_array(Image *m, const KernelPack *p, int f, uint32_t at) {
  const FieldDesc *d = &p->desc->fields[f];
  const void *data;
  int c = 0;
  memcpy(&data, (const char *)p->params + d->offset, sizeof data);
  memset(m->bytes + at, 0, m->pointer);
  if (!data) return;
  while (c < p->n_consts && p->consts[c].field != f) c++;
  ck_assert_msg(c < p->n_consts, "%s__%s: its pack function leaves %s alone: its size is not known",
                m->kernel->name, m->kernel->tag, d->name);
  uint32_t size = d->kind == FIELD_PTR_I8 ? 1 : 4, align = (uint32_t)p->consts[c].align;
  put_pointer(m, at, put_bytes(m, data, size * (uint32_t)p->consts[c].count, align > size ? align : size, 0));
}

static void put_params(Image *m, const KernelPack *p) {
  uint32_t bytes = 0, at;
  for (int f = 0; f < p->desc->n_fields; f++)
    bytes = field_place(m, &p->desc->fields[f], bytes) + field_bytes(m, &p->desc->fields[f]);
  m->params = place(m, bytes, m->pointer, 0);
  at = 0;
  for (int f = 0; f < p->desc->n_fields; f++) {
    const FieldDesc *d = &p->desc->fields[f];
    at = field_place(m, d, at);
    if (d->kind == FIELD_I32 || d->kind == FIELD_F32)
      memcpy(m->bytes + m->params + at, (const char *)p->params + d->offset, 4 * (size_t)d->count);
    else
      put_array(m, p, f, m->params + at);
    at += field_bytes(m, d);
  }
}

static uint32_t view_bytes(const Image *m) { return m->pointer + 8; }

static void put_view(Image *m, uint32_t at, uint32_t base, int32_t row, int32_t ring) {
  put_pointer(m, at, base);
  put_word(m, at + m->pointer, (uint32_t)row);
  put_word(m, at + m->pointer + 4, (uint32_t)ring);
}

static bool is_float(const Image *m) { return strstr(m->kernel->name, "_f32") != NULL; }

/* Bytes past a multiple of 4. */
static uint32_t any_address(Image *m) { return is_float(m) ? 0 : rng_below(&m->r, 4); }

/* Input i whole, or the rows that output row y reads in a ring of as many slots. */
static void put_input(Image *m, int i, bool ring, int32_t y) {
  const CaseTensor *t = &m->c.in[i];
  uint32_t shift = any_address(m);
  int32_t lo = 0, hi = t->rows;
  if (ring && t->ring) m->c.reads(&m->c, i, y, &lo, &hi);
  if (!ring || !t->ring || hi <= lo) {
    put_view(m, m->in + view_bytes(m) * (uint32_t)i,
             put_bytes(m, t->data, (uint32_t)(t->rows * t->row), 4, shift), t->row, 0);
    return;
  }
  uint32_t at = place(m, (uint32_t)((hi - lo) * t->row), 4, shift);
  for (int32_t k = lo; k < hi; k++)
    memcpy(m->bytes + at + k % (hi - lo) * t->row, t->data + k * t->row, (size_t)t->row);
  put_view(m, m->in + view_bytes(m) * (uint32_t)i, at, t->row, hi - lo);
}

static void add_range(Image *m, int32_t y0, int32_t y1) {
  m->range[2 * m->n_ranges] = (uint32_t)y0;
  m->range[2 * m->n_ranges++ + 1] = (uint32_t)y1;
}

/* The output, where it goes and which rows are asked for; into `expect` what must be there. */
typedef struct Asked {
  uint32_t base;
  int32_t row, ring, y0, y1;
} Asked;

static Asked ask(Image *m, bool ring, bool in_place, int32_t y) {
  const KernelCase *c = &m->c;
  int32_t gap = in_place ? 0 : (int32_t)rng_below(&m->r, 9) * (is_float(m) ? 4 : 1),
          slots = 1 + (int32_t)rng_below(&m->r, 3);
  Asked q = {.row = c->out_row + gap, .ring = ring ? slots : 0, .y1 = c->out_rows};
  if (ring) {
    q.y0 = y;
    q.y1 = y + 1;
    add_range(m, q.y0, q.y1);
  } else if (in_place) {
    add_range(m, 0, c->out_rows);
  } else {
    q.y1 -= (int32_t)rng_below(&m->r, (uint32_t)(1 + c->out_rows / 2));
    for (int32_t a = 0; a < q.y1;) {
      int32_t b =
          m->n_ranges == MAX_RANGES - 1 ? q.y1 : a + 1 + (int32_t)rng_below(&m->r, (uint32_t)(q.y1 - a));
      add_range(m, a, b);
      a = b;
    }
  }
  return q;
}

static void fill_image(Image *m, const char *whole) {
  KernelCase *c = &m->c;
  KernelPack p;
  kernel_case_pack(c, m->a, &p);
  bool ring = rng_below(&m->r, 3) == 0;
  int32_t y = (int32_t)rng_below(&m->r, (uint32_t)c->out_rows);
  int place_of = -1;
  for (int i = 0; i < c->n_in && !ring; i++)
    if (c->kernel->in_place >> i & 1 && c->in[i].plain && rng_below(&m->r, 2)) place_of = i;
  put_params(m, &p);
  m->in = place(m, view_bytes(m) * CALL_MAX_IN, m->pointer, 0);
  m->out = place(m, view_bytes(m), m->pointer, 0);
  for (int i = 0; i < c->n_in; i++) put_input(m, i, ring, y);
  Asked q = ask(m, ring, place_of >= 0, y);
  if (place_of >= 0) {
    uint32_t base;
    memcpy(&base, m->bytes + m->in + view_bytes(m) * (uint32_t)place_of, 4);
    q.base = base;
  } else {
    q.base = place(m, (uint32_t)(q.row * (q.ring ? q.ring : c->out_rows)), 4, any_address(m));
  }
  put_view(m, m->out, q.base, q.row, q.ring);
  m->out_at = q.base;
  m->out_end = m->size;
  m->scratch_bytes = c->kernel->scratch ? (uint32_t)c->kernel->scratch(p.params) : 0;
  m->scratch = place(m, m->scratch_bytes, 4, 0);
  m->size = (m->size + 16 + 3) / 4 * 4;
  memcpy(m->want, m->bytes, m->size);
  for (int32_t k = q.y0; k < q.y1; k++)
    memcpy(m->want + q.base + (q.ring ? k % q.ring : k) * q.row, whole + k * c->out_row, (size_t)c->out_row);
}

static bool hosted(const Target *t) { return strcmp(t->run, "qemu-aarch64") == 0; }

/* Case n of the kernel; the same for the same numbers. Draws again while it is too large for `limit`. */
static void make_image(Image *m, const Target *t, const KernelDef *k, uint32_t number, uint32_t n,
                       uint32_t limit) {
  for (uint32_t tries = 0; tries < 500; tries++) {
    *m = (Image){.a = arena_new(), .kernel = k, .number = number, .pointer = hosted(t) ? 8 : 4};
    rng_seed(&m->r, 77 + number, n + 1000 * tries);
    m->bytes = arena_alloc(m->a, CASE_BYTES);
    m->want = arena_alloc(m->a, CASE_BYTES);
    memset(m->bytes, GUARD, CASE_BYTES);
    m->c = kernel_case(k, &m->r, m->a);
    char *whole = kernel_case_reference(&m->c, m->a);
    KernelCase wide;
    if (rng_below(&m->r, 3) == 0 && kernel_case_widen(&m->c, &m->r, m->a, &wide)) m->c = wide;
    fill_image(m, whole);
    if (m->size <= limit) return;
    arena_free(m->a);
  }
  ck_abort_msg("%s__%s: no case fits %u bytes", k->name, k->tag, limit);
}

/* -- the program -- */

static const KernelSet *set_of(const Target *t) {
  for (int i = 0; i < n_kernel_sets; i++)
    if (strcmp(kernel_sets[i].name, t->sets[0]) == 0) return &kernel_sets[i];
  ck_abort_msg("%s: no set %s", t->name, t->sets[0]);
  return NULL;
}

static void print_program(const KernelSet *set, StrBuf *b) {
  for (int i = 0; i < *set->n; i++) {
    bool seen = false;
    for (int k = 0; k < i && !seen; k++) seen = strcmp(set->kernels[k].file, set->kernels[i].file) == 0;
    if (!seen) sb_printf(b, "#include \"%s\"\n", set->kernels[i].file);
  }
  sb_puts(b, "static mf_kernel_fn *const kernels[] = {\n");
  for (int i = 0; i < *set->n; i++) sb_printf(b, "  %s__%s,\n", set->kernels[i].name, set->kernels[i].tag);
  sb_puts(b, "};\n#include \"backend/harness/kernel_cases.c\"\n");
}

static void build(const Target *t, const char *machine, const char *dir, uint32_t bytes) {
  char path[700];
  StrBuf b = {0};
  print_program(set_of(t), &b);
  snprintf(path, sizeof path, "%s/program.c", dir);
  test_write_file(path, sb_str(&b), b.len);
  sb_free(&b);
  if (hosted(t)) {
    must_run("%s %s -std=gnu99 -Wall -Wextra -Werror -DCASE_BYTES=%u -I. -Ibackend/harness -static "
             "-o %s/program.elf %s/program.c backend/harness/hosted.c",
             t->cc, t->cflags, bytes, dir, dir);
    return;
  }
  must_run("%s %s %s -std=gnu99 -Wall -Wextra -Werror -DCASE_BYTES=%u -I. -Ibackend/harness "
           "-Lbackend/harness -T %s "
           "--specs=nano.specs -nostartfiles -o %s/program.elf %s/program.c backend/harness/start.c "
           "backend/harness/bare.c",
           t->cc, t->cflags, machine_flags(machine), bytes, machine_script(machine), dir, dir);
}

/* -- one target -- */

static void write_cases(const Target *t, const char *dir, uint32_t limit) {
  const KernelSet *set = set_of(t);
  StrBuf b = {0};
  char path[700];
  for (int k = 0; k < *set->n; k++)
    for (uint32_t n = 0; n < CASES; n++) {
      Image m;
      make_image(&m, t, &set->kernels[k], (uint32_t)k, n, limit);
      const uint32_t head[8] = {m.number, m.size, m.n_reloc, m.n_ranges,
                                m.params, m.in,   m.out,     m.scratch_bytes ? m.scratch : ~0u};
      sb_write(&b, head, sizeof head);
      sb_write(&b, m.reloc, 4 * m.n_reloc);
      sb_write(&b, m.range, 8 * m.n_ranges);
      sb_write(&b, m.bytes, m.size);
      arena_free(m.a);
    }
  snprintf(path, sizeof path, "%s/cases.bin", dir);
  test_write_file(path, sb_str(&b), b.len);
  sb_free(&b);
}

/* Floats, whose sums may be in another order: within 1e-4 of the generic ones. */
static bool near(const char *got, const char *want) {
  float g, w;
  memcpy(&g, got, sizeof g);
  memcpy(&w, want, sizeof w);
  return memcmp(got, want, 4) == 0 || fabsf(g - w) <= 1e-4f * (1 + fabsf(w));
}

static bool same_output(const Image *m, uint32_t i, const char *got) {
  if (!is_float(m) || i < m->out_at || i >= m->out_end) return false;
  uint32_t word = m->out_at + (i - m->out_at) / 4 * 4;
  return near(got + word, m->want + word);
}

static void compare(const Image *m, const char *machine, const char *got) {
  for (uint32_t i = 0; i < m->size; i++) {
    if (i >= m->scratch && i < m->scratch + m->scratch_bytes) continue;
    WANT(
        got[i] == m->want[i] || same_output(m, i, got),
        "%s__%s on %s (%s): byte %u of its memory is %d, want %d (output begins at %u; scratch %u, %u bytes)",
        m->kernel->name, m->kernel->tag, machine, m->c.text, i, got[i], m->want[i], m->out, m->scratch,
        m->scratch_bytes);
  }
}

static void check_results(const Target *t, const char *machine, const char *dir, uint32_t limit) {
  const KernelSet *set = set_of(t);
  char path[700];
  size_t n, at = 0;
  snprintf(path, sizeof path, "%s/results.bin", dir);
  char *got = test_read_file(path, &n);
  for (int k = 0; k < *set->n; k++)
    for (uint32_t i = 0; i < CASES; i++) {
      Image m;
      make_image(&m, t, &set->kernels[k], (uint32_t)k, i, limit);
      WANT(at + m.size <= n, "%s__%s on %s (%s): the program ended here", set->kernels[k].name,
           set->kernels[k].tag, machine, m.c.text);
      compare(&m, machine, got + at);
      at += m.size;
      arena_free(m.a);
    }
  ck_assert_uint_eq(at, n);
  free(got);
}

static void emulator(const Target *t, const char *machine, char *cmd, size_t n) {
  if (hosted(t))
    snprintf(cmd, n, "timeout 120 %s -cpu max ./program.elf", t->run);
  else
    snprintf(cmd, n,
             "timeout 120 qemu-system-arm -M %s -nographic -monitor none -serial none "
             "-semihosting-config enable=on,target=native -kernel program.elf",
             machine);
}

/* machine: of a target under Linux its name. */
static void check(const Target *t, const char *machine, uint32_t limit) {
  char dir[600], run[600], cmd[1500], *output = NULL;
  snprintf(dir, sizeof dir, "%s/kernels-%s", test_tmp_dir(), machine);
  must_run("mkdir -p %s", dir);
  build(t, machine, dir, limit);
  write_cases(t, dir, limit);
  emulator(t, machine, run, sizeof run);
  snprintf(cmd, sizeof cmd, "cd %s && %s </dev/null", dir, run);
  int status = test_run_command(cmd, &output);
  check_results(t, machine, dir, limit); /* says which case ended it */
  ck_assert_msg(status == 0, "%s: status %d: %s", machine, status, output ? output : "");
  free(output);
}

START_TEST(kernels_are_the_generic_ones)
{
  const Target *t = &targets[_i];
  if ((strcmp(t->run, "qemu-m") != 0 && !hosted(t)) || strcmp(t->sets[0], "generic") == 0) return;
  if (!have_target(__FILE__, t->name)) return;
  check(t, hosted(t) ? t->name : t->machine, CASE_BYTES);
  if (t->second_machine) check(t, t->second_machine, SMALL_BYTES);
}
END_TEST

Suite *suite_kernels_m(void) {
  Suite *s = suite_create("kernels_m");
  TCase *t = tcase_create("kernels_m");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, kernels_are_the_generic_ones, 0, n_targets);
  suite_add_tcase(s, t);
  return s;
}
