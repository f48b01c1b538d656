/* See plan_machine.h. What a kernel call reads and writes is enumerated here byte by byte from its params, apart from
 * the planner's own view of it: taps inside the image, elements of strided copies, rows of the rest.
 */
#include "tests/backend/plan_machine.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "tests/support.h"

typedef struct Byte { /* of the arena */
  ValId val;          /* its owner; SCRATCH + call */
  int64_t at;         /* which byte of the value */
  int64_t event;      /* when it was last read by an input that must stay */
} Byte;

enum { SCRATCH = 0x40000000, HOPS = 3 };

typedef struct Machine {
  const Graph *g;
  const Calls *calls;
  const MemoryPlan *plan;
  Byte *byte;
  int64_t event;
  char fault[300];
} Machine;

static void fault(Machine *m, const char *what, int32_t call, int32_t row, ValId v, int64_t at) {
  if (m->fault[0]) return;
  snprintf(m->fault, sizeof m->fault, "call %d (%s) row %d %s byte %lld of value %u", (int)call,
           call < 0 ? "input" : m->calls->v[call].kernel->name, (int)row, what, (long long)at, v);
}

/* Regions one behind the other. */
static int64_t region_base(const MemoryPlan *p, int32_t region) {
  int64_t sum = 0;
  for (int32_t r = 0; r < region; r++) sum += p->regions[r].bytes;
  return sum;
}

/* Where byte `at` of a value lies whose rows are `row` bytes, during row y of a call. */
static Byte *locate(Machine *m, ValId root, int64_t at, int64_t row, int32_t y) {
  int64_t ring = m->plan->ring[root], offset = m->plan->offset[root];
  if (ring) at = at / row % ring * row + at % row;
  if (offset >= 0) offset += plan_slot_at(&m->plan->slot[root], y);
  const int32_t r = m->plan->region[root];
  if (offset < 0 || offset + at >= m->plan->regions[r].bytes) return NULL;
  return &m->byte[region_base(m->plan, r) + offset + at];
}

typedef struct Touch { /* one view of one call, during the enumeration of its bytes */
  Machine *m;
  int32_t call, row;
  const CallView *view;
  ValId root;
  bool write, stays;
} Touch;

static void touch(const Touch *t, int64_t at, int64_t n) {
  for (int64_t i = at; i < at + n; i++) {
    Byte *b = locate(t->m, t->root, i, t->view->row, t->row);
    if (!b) {
      fault(t->m, "leaves the arena at", t->call, t->row, t->root, i);
    } else if (t->write) {
      if (b->event == t->m->event) fault(t->m, "overwrites what it reads at", t->call, t->row, t->root, i);
      b->val = t->root;
      b->at = i;
    } else {
      if (b->val != t->root || b->at != i) fault(t->m, "does not find", t->call, t->row, t->root, i);
      if (t->stays) b->event = t->m->event;
    }
  }
}

static const mf_window *window_of(const KernelCall *k) {
  const char *type = k->kernel->params->c_type;
  if (strstr(k->kernel->name, "_rows_")) return NULL;
  if (strncmp(type, "mf_conv_", 8) == 0 || strncmp(type, "mf_pool_", 8) == 0) return k->params;
  return NULL;
}

static void touch_taps(const Touch *t, const mf_window *g) {
  int64_t pixel = t->view->row / g->in_w;
  for (int32_t x = 0; x < g->out_w; x++)
    for (int32_t ky = 0; ky < g->k_h; ky++)
      for (int32_t kx = 0; kx < g->k_w; kx++) {
        int32_t iy = t->row * g->stride_h - g->pad_top + ky * g->dil_h;
        int32_t ix = x * g->stride_w - g->pad_left + kx * g->dil_w;
        if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w)
          touch(t, t->view->offset + iy * t->view->row + ix * pixel, pixel);
      }
}

static void touch_elements(const Touch *t, const mf_copy *p, const int32_t *stride) {
  int32_t index[MF_MAX_DIMS] = {0};
  do
    touch(t, t->view->offset + (int64_t)t->row * stride[0] + mf_offset(index, stride, 1, p->rank - 1),
          p->elem);
  while (mf_next(index, p->dims, 1, p->rank - 1));
}

static bool is_copy(const KernelCall *k) { return strcmp(k->kernel->name, "copy") == 0; }

/* An operand that does not run along the rows. */
static bool is_repeated(const KernelCall *k, int input) {
  const char *type = k->kernel->params->c_type;
  if (strcmp(type, "mf_binary") != 0 && strcmp(type, "mf_add_s8") != 0 && strcmp(type, "mf_mul_s8") != 0)
    return input > 0;
  const mf_binary *p = k->params;
  return input == 0 ? p->a[0] == 0 : p->b[0] == 0;
}

static void read_input(Machine *m, int32_t c, int i, int32_t row) {
  const KernelCall *k = &m->calls->v[c];
  ValId root = value_root(m->g, k->in[i].val);
  const mf_window *g = window_of(k);
  bool pieces = m->plan->stage[c].step > 0;
  if (val_is_const(m->g, root)) return;
  Touch t = {m, c, row, &k->in[i], root, false, i >= 2 || !(k->kernel->in_place & (1 << i))};
  if (g && k->batch == 1)
    touch_taps(&t, g);
  else if (is_copy(k) && k->batch == 1)
    touch_elements(&t, k->params, ((const mf_copy *)k->params)->src);
  else if (pieces && !is_repeated(k, i))
    touch(&t, k->in[i].offset + row * k->in[i].row, k->in[i].row);
  else
    touch(&t, 0, (int64_t)val_bytes(m->g, root));
}

static void write_output(Machine *m, int32_t c, int32_t row) {
  const KernelCall *k = &m->calls->v[c];
  ValId root = value_root(m->g, k->out.val);
  Touch t = {m, c, row, &k->out, root, true, false};
  if (strstr(k->kernel->name, "_rows_"))
    touch(&t, 0, (int64_t)val_bytes(m->g, root));
  else if (is_copy(k) && k->batch == 1)
    touch_elements(&t, k->params, ((const mf_copy *)k->params)->dst);
  else if (m->plan->stage[c].step > 0 || (k->rows > 0 && k->batch == 1 && k->out.row > 0))
    touch(&t, k->out.offset + row * k->out.row, k->out.row);
  else
    touch(&t, 0, (int64_t)val_bytes(m->g, root));
}

static int64_t scratch_at(const MemoryPlan *p, int32_t c, int32_t y) {
  return region_base(p, p->scratch_region[c]) + p->scratch[c] + plan_slot_at(&p->scratch_slot[c], y);
}

/* Sums of rows stay in scratch from the first row on. */
static void use_scratch(Machine *m, int32_t c, int32_t y0) {
  const KernelCall *k = &m->calls->v[c];
  int64_t n = k->kernel->scratch ? (int64_t)k->kernel->scratch(k->params) : 0;
  bool stays = strstr(k->kernel->name, "_rows_") && y0 > 0;
  for (int64_t i = 0; i < n; i++) {
    Byte *b = &m->byte[scratch_at(m->plan, c, y0) + i];
    if (stays && b->val != SCRATCH + (ValId)c) fault(m, "lost its scratch,", c, y0, NO_VAL, i);
    if (b->event == m->event) fault(m, "has scratch on its input,", c, y0, NO_VAL, i);
    *b = (Byte){SCRATCH + (ValId)c, i, b->event};
  }
}

static void keep_scratch(Machine *m, int32_t c, int32_t y0) {
  const KernelCall *k = &m->calls->v[c];
  int64_t n = k->kernel->scratch ? (int64_t)k->kernel->scratch(k->params) : 0;
  for (int64_t i = 0; i < n; i++)
    if (m->byte[scratch_at(m->plan, c, y0) + i].val != SCRATCH + (ValId)c)
      fault(m, "writes over its scratch,", c, 0, NO_VAL, i);
}

static void give_row(Machine *m, int32_t y0, int32_t y1) {
  ValId v = value_root(m->g, m->g->inputs[0]);
  int64_t row = (int64_t)val_bytes(m->g, v) / m->plan->input_rows;
  const CallView view = {v, 0, row, 0};
  Touch t = {m, -1, y0, &view, v, true, false};
  touch(&t, y0 * row, (y1 - y0) * row);
}

static void step(void *ctx, int32_t group, int32_t time, int32_t c, int32_t y0, int32_t y1) {
  Machine *m = ctx;
  (void)group;
  (void)time;
  m->event++;
  if (c < 0) {
    give_row(m, y0, y1);
    return;
  }
  for (int i = 0; i < m->calls->v[c].n_in; i++)
    for (int32_t y = y0; y < y1; y++) read_input(m, c, i, y);
  use_scratch(m, c, y0);
  for (int32_t y = y0; y < y1; y++) write_output(m, c, y);
  keep_scratch(m, c, y0);
}

static const CallView dense = {.row = 1};

/* Bytes move from `from` to `to` of a list of n. */
static void slide(const MemoryPlan *p, const PlanSlide *s, void *bytes, size_t size) {
  char *old = mem_alloc((size_t)p->arena * size), *now = bytes;
  memcpy(old, bytes, (size_t)p->arena * size);
  const int64_t begin = region_base(p, p->region[s->val]) + s->offset;
  for (int32_t i = 0; i < s->rows; i++) {
    int32_t from = s->ring ? (i + s->by) % s->rows : i + s->by;
    if (from < s->rows)
      memcpy(now + (size_t)(begin + i * s->row) * size, old + (size_t)(begin + from * s->row) * size,
             (size_t)s->row * size);
  }
  mem_free(old);
}

static bool shares_place(const Machine *m, ValId v, const PlanSlide *s) {
  return m->plan->offset[v] == s->offset && m->plan->region[v] == m->plan->region[s->val] &&
         (m->plan->ring[v] > 0) == s->ring;
}

/* What a value's bytes are called in the next window. */
static void rename_bytes(Machine *m) {
  for (int k = 0; k < m->plan->n_slides; k++) {
    const PlanSlide *s = &m->plan->slides[k];
    slide(m->plan, s, m->byte, sizeof *m->byte);
    for (int64_t i = 0; i < s->rows * s->row; i++) {
      Byte *b = &m->byte[region_base(m->plan, m->plan->region[s->val]) + s->offset + i];
      if (b->val < m->g->n_vals && shares_place(m, b->val, s)) b->at -= s->by * s->row;
    }
  }
}

static void read_outputs(Machine *m) {
  for (uint32_t i = 0; i < m->g->n_outputs; i++) {
    Touch t = {m, -1, 0, &dense, value_root(m->g, m->g->outputs[i]), false, false};
    if (!val_is_const(m->g, t.root)) touch(&t, 0, (int64_t)val_bytes(m->g, t.root));
  }
}

const char *machine_check(const Graph *g, const Calls *calls, const MemoryPlan *p) {
  static Machine m;
  m = (Machine){.g = g, .calls = calls, .plan = p, .byte = mem_array((size_t)p->arena + 1, sizeof(Byte))};
  for (uint32_t i = 0; i < g->n_inputs && !p->input_rows; i++) {
    Touch t = {&m, -1, 0, &dense, value_root(g, g->inputs[i]), true, false};
    m.event++;
    touch(&t, 0, (int64_t)val_bytes(g, t.root));
  }
  plan_walk(calls, p, step, &m);
  read_outputs(&m);
  for (int k = 0; p->hop && k < HOPS; k++) {
    rename_bytes(&m);
    plan_walk_hop(calls, p, step, &m);
    read_outputs(&m);
  }
  mem_free(m.byte);
  return m.fault[0] ? m.fault : NULL;
}

/* -- the real kernels -- */

typedef struct Runner {
  const Graph *g;
  const Calls *calls;
  const MemoryPlan *plan;
  const void *const *inputs;
  char *arena;
} Runner;

static void *readable(const void *p) {
  void *q;
  memcpy(&q, &p, sizeof q);
  return q;
}

static char *place_of(const Runner *r, ValId v) {
  return r->arena + region_base(r->plan, r->plan->region[v]) + r->plan->offset[v];
}

static mf_view view_of(const Runner *r, const CallView *v, int32_t item, int32_t y) {
  ValId root = value_root(r->g, v->val);
  char *base = val_is_const(r->g, root) ? readable(val_data(r->g, root))
                                        : place_of(r, root) + plan_slot_at(&r->plan->slot[root], y);
  return (mf_view){base + v->offset + item * v->step, (int32_t)v->row, r->plan->ring[v->val]};
}

static void copy_rows(const Runner *r, int32_t y0, int32_t y1) {
  ValId v = value_root(r->g, r->g->inputs[0]);
  size_t row = val_bytes(r->g, v) / (size_t)r->plan->input_rows;
  mf_view view = {place_of(r, v), (int32_t)row, r->plan->ring[v]};
  for (int32_t y = y0; y < y1; y++)
    memcpy(mf_row(&view, y), (const char *)r->inputs[0] + (size_t)y * row, row);
}

/* The worst that a kernel may do: spoil the rows that it is about to write. Not where it works in place, adds to what
 * is there, or writes a part of a row. */
static void spoil(const KernelCall *k, const mf_view *out, int32_t y0, int32_t y1) {
  if (k->kernel->in_place || is_copy(k) || strstr(k->kernel->name, "_rows_")) return;
  for (int32_t y = y0; y < y1 && k->out.row > 0; y++) {
    unsigned char *row = mf_row(out, y);
    for (int64_t i = 0; i < k->out.row; i++) row[i] = (unsigned char)(row[i] ^ 0xa5);
  }
}

static void run_call(void *ctx, int32_t group, int32_t t, int32_t c, int32_t y0, int32_t y1) {
  const Runner *r = ctx;
  (void)group;
  (void)t;
  if (c < 0) {
    copy_rows(r, y0, y1);
    return;
  }
  const KernelCall *k = &r->calls->v[c];
  for (int32_t n = 0; n < k->batch; n++) {
    mf_view in[CALL_MAX_IN] = {{0}}, out = view_of(r, &k->out, n, y0);
    for (int i = 0; i < k->n_in; i++) in[i] = view_of(r, &k->in[i], n, y0);
    if (k->batch == 1) spoil(k, &out, y0, y1);
    k->kernel->fn(k->params, in, &out, y0, y1,
                  r->plan->scratch[c] < 0 ? NULL : r->arena + scratch_at(r->plan, c, y0));
  }
}

static void compare_outputs(const Runner *r, const Evaluator *e, char *text, size_t size) {
  for (uint32_t i = 0; i < r->g->n_outputs; i++) {
    ValId v = r->g->outputs[i];
    if (val_is_const(r->g, value_root(r->g, v))) continue;
    if (memcmp(place_of(r, v), evaluator_value(e, v), val_bytes(r->g, v)) != 0)
      snprintf(text, size, "output %u is not reference evaluation's", i);
  }
}

const char *machine_run(const Graph *g, const Calls *calls, const MemoryPlan *p, const void *const *inputs) {
  static char text[200];
  Diag *d = diag_new();
  Evaluator *e = evaluator_new(g, d);
  Runner r = {g, calls, p, inputs, mem_alloc_aligned((size_t)p->arena + 64, 64)};
  Rng rng;
  rng_seed(&rng, 99, 0);
  text[0] = 0;
  ck_assert_msg(e != NULL, "%s", diag_text(d));
  for (int64_t i = 0; i < p->arena; i++) r.arena[i] = (char)rng_below(&rng, 256);
  for (uint32_t i = 0; i < g->n_inputs && !p->input_rows; i++)
    memcpy(place_of(&r, g->inputs[i]), inputs[i], val_bytes(g, g->inputs[i]));
  plan_walk(calls, p, run_call, &r);
  evaluator_run(e, inputs);
  compare_outputs(&r, e, text, sizeof text);
  for (int k = 0; p->hop && k < HOPS && !text[0]; k++) {
    size_t n = val_bytes(g, g->inputs[0]) / (size_t)p->input_rows * (size_t)p->hop * (size_t)(k + 1);
    const void *window[] = {(const char *)inputs[0] + n};
    r.inputs = window;
    for (int i = 0; i < p->n_slides; i++) slide(p, &p->slides[i], r.arena, 1);
    plan_walk_hop(calls, p, run_call, &r);
    evaluator_run(e, window);
    compare_outputs(&r, e, text, sizeof text);
  }
  mem_free(r.arena);
  evaluator_free(e);
  diag_free(d);
  return text[0] ? text : NULL;
}

void machine_test(const Graph *g, const Calls *calls, const MemoryPlan *p, uint64_t seed) {
  Arena *a = arena_new();
  Rng rng;
  rng_seed(&rng, 17, seed);
  const void **inputs = arena_array(a, g->n_inputs, sizeof *inputs);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    size_t n = val_bytes(g, g->inputs[i]);
    if (p->hop) n += n / (size_t)p->input_rows * (size_t)p->hop * HOPS; /* more windows */
    char *bytes = arena_alloc(a, n + 8);
    bool floats = graph_val(g, g->inputs[i])->dtype == DT_F32;
    for (size_t k = 0; k < n; k++) bytes[k] = (char)rng_below(&rng, 256);
    for (size_t k = 0; floats && k < n / 4; k++) ((float *)(void *)bytes)[k] = rng_normal(&rng);
    inputs[i] = bytes;
  }
  const char *why = machine_check(g, calls, p);
  if (why) {
    StrBuf text = {0};
    graph_print(g, &text, 0);
    plan_print(g, calls, p, &text);
    ck_abort_msg("level %s: %s\n%s", plan_level_name(p->level), why, sb_str(&text));
  }
  why = machine_run(g, calls, p, inputs);
  ck_assert_msg(why == NULL, "level %s: %s", plan_level_name(p->level), why);
  arena_free(a);
}
