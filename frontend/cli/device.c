/* Devices for tailoring; see device.h.
 *
 *   cost    float graph -> bnfuse, fuse, input_raw -> nominal quantization -> the back end's estimate
 *   deploy  emit C, build it with the target's compiler, run its self-test, measure by the linker and the emulator
 *   proof   the same C on the test split: accuracy on the host, bytes on the target
 */
#include "frontend/cli/device.h"

#include <pthread.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "frontend/cli/code_form.h"
#include "frontend/cli/drift.h"
#include "frontend/cli/device_family.h"
#include "frontend/cli/outcome.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "passes/pass.h"
#include "passes/quantize.h"
#include "passes/steps/artifact.h"
#include "passes/tailor/measure.h"
#include "runtime/data/input_map.h"

/* ---- Cost */

/* As the pipeline that finishes models has it. Which kind of bytes costs nothing. */
static Graph *fused(const Graph *g, const Device *dev, Diag *d) {
  const Dataset bytes = {.spec.normalize = dev->raw ? *dev->raw : (Normalize){0}, .train.dtype = DT_U8};
  const PassCtx pc = {.params = "", .data = &bytes};
  return pipeline_run(g, dev->raw ? "fold,bnfuse,fuse,fold,input_raw" : "fold,bnfuse,fuse,fold", &pc, NULL,
                      d);
}

/* -- several memories -- */

static const char *region_name(const PlanRegion *r) { return r->name ? r->name : "main"; }

/* Bytes beyond the limits of memories. */
static int64_t over_regions(const Device *dev, const PlanRegion *have) {
  int64_t over = 0;
  for (int r = 0; r < dev->n_regions; r++)
    if (dev->region[r].bytes && have[r].bytes > dev->region[r].bytes)
      over += have[r].bytes - dev->region[r].bytes;
  return over;
}

/* What is beside the arena lies in the main memory, which takes less of it then. */
static void leave_room(const Device *dev, const PlanRegion *have, PlanOptions *o) {
  for (int r = 0; r < dev->n_regions; r++) {
    const int64_t most = dev->region[r].bytes, over = have[r].bytes - most;
    if (!dev->region[r].name && most && over > 0)
      o->region[r].bytes = o->region[r].bytes > over ? o->region[r].bytes - over : 1;
  }
}

/* Plan the graph as it stands. Several memories hold less than one of their size: where their sum would do and one of them
 * is too small, a plan that needs less is asked for. */
static bool plan_device(const Device *dev, const Graph *g, PlanOptions *o, Cost *out,
                        PlanRegion have[PLAN_REGIONS_MAX], Diag *d) {
  enum { TRIES = 4 };
  *o = target_plan_within(dev->target, dev->ram, dev->input_rows);
  o->whole = dev->whole;
  memcpy(o->region, dev->region, sizeof o->region);
  o->n_regions = dev->n_regions;
  for (int i = 0;; i++) {
    TRY(backend_cost_regions(g, dev->target, o, out, have, d));
    const int64_t over = over_regions(dev, have);
    if (!over || out->ram > dev->ram || i + 1 == TRIES) return true;
    leave_room(dev, have, o);
    const int64_t most = o->limit < out->ram ? o->limit : out->ram;
    if (i > 0) o->limit = most > over ? most - over : 1;
  }
}

/* What is too much for one memory is too much for all. */
static bool cost_as_is(const Device *dev, const Graph *g, Cost *out, Diag *d) {
  PlanOptions plan;
  PlanRegion have[PLAN_REGIONS_MAX];
  TRY(plan_device(dev, g, &plan, out, have, d));
  const int64_t over = over_regions(dev, have);
  if (over && out->ram < dev->ram + over) out->ram = dev->ram + over;
  return true;
}

/* The graph as it is deployed in this precision; the caller frees it. NULL: reported. */
static Graph *ready_for(const Device *dev, const Graph *g, DType precision, Diag *d) {
  if (precision == DT_NONE) return graph_clone(g);
  Graph *whole = fused(g, dev, d);
  if (!whole) return NULL;
  Diag *quiet = diag_new(); /* what stays float is said once, by the pass that finishes the model */
  Graph *ready = precision == DT_I8 ? quantize_nominal(whole, quiet) : graph_clone(whole);
  if (!ready) diag_error(d, NULL, "%s", diag_text(quiet));
  diag_free(quiet);
  graph_free(whole);
  return ready;
}

int device_regions(const void *ctx, const Graph *g, DType precision, TailorRegion out[TAILOR_REGIONS],
                   Diag *d) {
  const Device *dev = ctx;
  PlanOptions plan;
  PlanRegion have[PLAN_REGIONS_MAX];
  Cost cost_;
  Graph *ready = ready_for(dev, g, precision, d);
  const bool ok = ready && plan_device(dev, ready, &plan, &cost_, have, d);
  graph_free(ready);
  if (!ok) return -1;
  for (int r = 0; r < dev->n_regions; r++)
    out[r] = (TailorRegion){region_name(&have[r]), have[r].bytes, dev->region[r].bytes};
  return dev->n_regions;
}

const char *device_region_params(Arena *a, const Device *dev) {
  const char *text = "";
  for (int r = 0; r < dev->n_regions; r++)
    text = arena_printf(a, "%s,%s=%lld", text, region_name(&dev->region[r]), (long long)dev->region[r].bytes);
  return text;
}

static bool cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  const Device *dev = ctx;
  if (precision == DT_NONE) return cost_as_is(dev, g, out, d);
  Graph *ready = ready_for(dev, g, precision, d);
  const bool ok = ready && cost_as_is(dev, ready, out, d);
  graph_free(ready);
  return ok;
}

CostModel device_cost_model(const Device *dev, const Board *board) {
  const Target *t = dev->target;
  Hasher *h = hasher_new();
  hasher_u64(h, (uint64_t)dev->ram);
  hasher_u64(h, dev->input_rows);
  hasher_u64(h, dev->raw ? 1 + (uint64_t)dev->raw->n : 0);
  for (int i = 0; dev->raw && i < dev->raw->n; i++) {
    hasher_bytes(h, &dev->raw->scale[i], sizeof dev->raw->scale[i]);
    hasher_bytes(h, &dev->raw->offset[i], sizeof dev->raw->offset[i]);
  }
  hasher_str(h, t->name);
  hasher_str(h, t->cc);
  hasher_str(h, t->cflags);
  for (int r = 0; r < dev->n_regions; r++) {
    hasher_str(h, region_name(&dev->region[r]));
    hasher_u64(h, (uint64_t)dev->region[r].bytes);
  }
  if (dev->whole) hasher_str(h, "whole");
  hasher_u64(h, board != NULL);
  if (board) {
    hasher_str(h, board->name);
    hasher_u64(h, (uint64_t)board->flash);
    hasher_u64(h, (uint64_t)board->ram);
  }
  return (CostModel){.ctx = dev, .cost = cost, .key = hasher_done(h)};
}

/* ---- Common to both steps */

typedef struct Request {
  const Target *target;
  char name[64];
  Device device;
  PlanOptions plan;
  EmitOptions emit; /* points at name and plan */
  int64_t over;     /* what is too much for one of several memories */
  int64_t drift;    /* CodeForm's */
} Request;

/* Memories that the parameters name, the fastest first. */
static void parse_regions(const char *params, Device *dev, bool *bad) {
  static const char *const names[] = {"fast", "main", "external"};
  for (int i = 0; i < 3; i++) {
    char text[32];
    if (!pass_param(params, names[i], text, sizeof text)) continue;
    const int64_t bytes = (int64_t)pass_param_num(params, names[i], 0, bad);
    dev->region[dev->n_regions++] = (PlanRegion){i == 1 ? NULL : names[i], bytes};
  }
}

/* r->plan, for the graph that is to be emitted. */
static bool plan_request(Request *r, const Graph *g, Diag *d) {
  Cost whole;
  PlanRegion have[PLAN_REGIONS_MAX];
  r->over = 0;
  if (!r->device.n_regions) return true;
  TRY(plan_device(&r->device, g, &r->plan, &whole, have, d));
  r->over = over_regions(&r->device, have);
  return true;
}

static bool parse_request(Arena *a, const StepCall *c, Request *out, Diag *d) {
  char target[64];
  bool ok = pass_param(c->params, "target", target, sizeof target) &&
            pass_param(c->params, "name", out->name, sizeof out->name);
  out->target = ok ? target_find(target) : NULL;
  FAIL_IF(!out->target, d, NULL, "deploy: \"%s\": want target=T,name=N", c->params);
  bool bad = false;
  int64_t ram = (int64_t)pass_param_num(c->params, "ram", 0, &bad);
  out->device = (Device){
      .target = out->target, .ram = ram, .input_rows = pass_param_num(c->params, "rows", 0, &bad) > 0};
  parse_regions(c->params, &out->device, &bad);
  out->plan = target_plan_within(out->target, ram, out->device.input_rows);
  const double joules = pass_param_num(c->params, "joules", 0, &bad);
  FAIL_IF(bad, d, NULL, "deploy: \"%s\": want ram=BYTES,rows=0 or 1", c->params);
  CodeForm form;
  out->emit = (EmitOptions){.name = out->name, .plan = &out->plan, .joules_per_cycle = joules};
  TRY(code_form_parse(a, c->params, &form, d) && code_form_apply(&form, &out->emit, d) &&
      code_pixels_parse(c->params, &out->emit, d));
  out->drift = form.drift;
  return true;
}

/* ---- deploy */

static void put_measured(const Measured *m, const Request *r, const DeviceFamily *f, Artifact *out) {
  StrBuf b = {0};
  measure_put_int(&b, "flash", m->flash);
  measure_put_int(&b, "flash_code", m->flash_code);
  measure_put_int(&b, "flash_weights", m->flash_weights);
  measure_put_int(&b, "ram", m->ram_arena + m->ram_other);
  measure_put_int(&b, "stack", m->stack);
  measure_put_int(&b, "instructions", m->instructions);
  measure_put_int(&b, "vectors", m->vectors);
  measure_put_int(&b, "vectors_equal", m->vectors_equal);
  measure_put_int(&b, "second_ran", m->second_ran);
  if (r->over) measure_put_int(&b, "ram_over", r->over);
  device_put_family(f, &b);
  *out = measure_artifact(&b);
}

/* What the monitor of drift compares with, of training data: params name their identity. */
static bool read_drift(const StepCall *c, const Request *r, const Graph *g, DriftReference *out, Diag *d) {
  const DeviceEnv *env = c->env;
  const Dataset *ds;
  TRY(tailor_data(env->data, &ds, d));
  const Normalize nz = tailor_normalize(env->data, g, ds->train.dtype, c->params);
  return cli_drift(g, &ds->train, &nz, r->device.input_rows, r->drift, out, d);
}

/* The folder is kept as it is after it was measured: of a family its table has figures then. */
static bool deploy_in(const StepCall *c, const Request *r, DeviceFamily *f, const char *dir, Artifact *out,
                      int *n_out, Diag *d) {
  Measured m = {0};
  EmitOptions o = r->emit;
  DriftReference drift;
  o.out_dir = dir;
  if (r->drift) {
    TRY(read_drift(c, r, f->m[0].g, &drift, d));
    o.drift = &drift;
  }
  o.controller = f->n > 1;
  TRY(device_emit(f, r->target, &o, d) && device_verify(f, r->target, &o, c->host, &m, d));
  TRY(artifact_from_dir(dir, &out[0], d));
  *n_out = 1;
  put_measured(&m, r, f, &out[1]);
  *n_out = 2;
  return true;
}

static bool run_deploy(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Request r;
  Arena *a = arena_new();
  Graph *g = parse_request(a, c, &r, d) ? artifact_graph(&c->in[0], d) : NULL;
  DeviceFamily f = {.n = 1};
  char *tmp = g && device_family_read(c, g, &f, d) && plan_request(&r, g, d) ? file_temp_dir(a, d) : NULL;
  bool ok = tmp && deploy_in(c, &r, &f, path_join(a, tmp, "model"), out, n_out, d);
  if (tmp) file_remove_tree(tmp);
  device_family_free(&f);
  graph_free(g);
  arena_free(a);
  if (!ok) {
    for (int i = 0; i < *n_out; i++) artifact_unref(&out[i]);
    *n_out = 0;
  }
  return ok;
}

/* ---- proof */

/* Test examples as inputs of the graph: normalised, moved to its layout, quantized by the Quantize operator. */
typedef struct Feeder {
  const Graph *g; /* batch 1 */
  const Split *s;
  const Normalize *nz;
  InputMap map;
} Feeder;

static bool feed(const Feeder *f, uint32_t i, Tensor *out, Diag *d) {
  const Value *in = graph_val(f->g, f->g->inputs[0]);
  Tensor x = tensor_new(DT_F32, &in->shape);
  float *scratch = mem_array((size_t)f->map.count, sizeof *scratch);
  input_item(&f->map, f->s, f->nz, NULL, i, x.data, scratch);
  mem_free(scratch);
  if (in->dtype == DT_F32) {
    *out = x;
    return true;
  }
  bool ok = cli_quantize(&x, in->dtype, &in->quant, out, d);
  tensor_free(&x);
  return ok;
}

/* Outcomes of emitted C in `dir` on examples from..to-1, in chunks, on a thread of its own. */
typedef struct Part {
  const Feeder *f;
  const Target *host;
  const char *dir;
  uint32_t from, to;
  float *outcome; /* of all examples */
  bool ok;
  Diag *d;
} Part;

static bool run_chunk(Part *p, uint32_t from, uint32_t n) {
  Tensor *in = mem_array(n, sizeof *in), *out = mem_array((size_t)n * p->f->g->n_outputs, sizeof *out);
  uint32_t made = 0;
  while (made < n && feed(p->f, from + made, &in[made], p->d)) made++;
  bool ok = made == n && harness_run(p->dir, p->host, p->f->g, in, (int)n, out, p->d);
  for (uint32_t i = 0; ok && i < n; i++) {
    const Tensor *y = &out[(size_t)(i + 1) * p->f->g->n_outputs - 1];
    p->outcome[from + i] = cli_outcome(p->f->g, &p->f->map, p->f->s, p->f->nz, from + i, y);
  }
  cli_free_tensors(in, made);
  if (ok) cli_free_tensors(out, (size_t)n * p->f->g->n_outputs);
  mem_free(in);
  mem_free(out);
  return ok;
}

static void *run_part(void *arg) {
  enum { CHUNK = 500 };
  Part *p = arg;
  p->ok = true;
  for (uint32_t i = p->from; p->ok && i < p->to; i += CHUNK)
    p->ok = run_chunk(p, i, p->to - i < CHUNK ? p->to - i : CHUNK);
  return NULL;
}

static bool emitted_accuracy(const Feeder *f, const char *dir, int threads, Accuracy *out, Diag *d) {
  enum { MAX_PARTS = 16 };
  Part part[MAX_PARTS];
  pthread_t thread[MAX_PARTS];
  bool started[MAX_PARTS];
  float *outcome = mem_array(f->s->n, sizeof *outcome);
  int n = threads < 1 ? 1 : threads > MAX_PARTS ? MAX_PARTS : threads;
  for (int i = 0; i < n; i++) {
    part[i] = (Part){.f = f, .host = target_find("x86-64"), .dir = dir, .outcome = outcome, .d = diag_new()};
    part[i].from = (uint32_t)((uint64_t)f->s->n * (uint64_t)i / (uint64_t)n);
    part[i].to = (uint32_t)((uint64_t)f->s->n * (uint64_t)(i + 1) / (uint64_t)n);
    started[i] = pthread_create(&thread[i], NULL, run_part, &part[i]) == 0;
    if (!started[i]) run_part(&part[i]);
  }
  bool ok = true;
  for (int i = 0; i < n; i++) {
    if (started[i]) pthread_join(thread[i], NULL);
    if (!part[i].ok && ok) ok = diag_error(d, NULL, "%s", diag_text(part[i].d));
    diag_free(part[i].d);
  }
  if (ok) judge_all(f->s, outcome, out);
  mem_free(outcome);
  return ok;
}

/* The emitted C on the target, on the first test inputs, compared byte for byte. */
static bool target_agrees(const StepCall *c, const Request *r, const Feeder *f, const char *dir, Measured *m,
                          Diag *d) {
  Tensor in[PROOF_VECTORS];
  int n = f->s->n < PROOF_VECTORS ? (int)f->s->n : PROOF_VECTORS, made = 0;
  while (made < n && feed(f, (uint32_t)made, &in[made], d)) made++;
  EmitOptions o = r->emit;
  o.out_dir = dir;
  o.vectors = in;
  o.n_vectors = n;
  DeviceFamily family = {.n = 1};
  bool ok = made == n && device_family_read(c, f->g, &family, d) && device_emit(&family, r->target, &o, d) &&
            harness_verify(dir, r->target, c->host, m, d);
  device_family_free(&family);
  cli_free_tensors(in, (size_t)made);
  return ok;
}

static bool prove(const StepCall *c, const Request *r, const Feeder *f, Arena *a, const char *tmp,
                  Artifact *out, int *n_out, Diag *d) {
  char *host_dir = path_join(a, tmp, "host"), *target_dir = path_join(a, tmp, "target");
  Measured m = {0};
  Accuracy acc = {0};
  EmitOptions o = {.name = r->name, .out_dir = host_dir};
  TRY(emit_c(f->g, target_find("x86-64"), &o, d));
  TRY(emitted_accuracy(f, host_dir, c->host ? c->host->threads : 1, &acc, d));
  TRY(target_agrees(c, r, f, target_dir, &m, d));
  StrBuf b = {0};
  tailor_put_accuracy(&b, &acc);
  measure_put_int(&b, "vectors", m.vectors);
  measure_put_int(&b, "vectors_equal", m.vectors_equal);
  out[(*n_out)++] = measure_artifact(&b);
  return true;
}

static bool run_proof(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Request r;
  const DeviceEnv *env = c->env;
  Feeder f = {0};
  Normalize nz;
  TRY(tailor_test_data(env->data, &f.s, d));
  FAIL_IF(!f.s->y, d, NULL, "the test split has no labels");
  Arena *a = arena_new();
  Graph *g = parse_request(a, c, &r, d) ? artifact_graph(&c->in[0], d) : NULL,
        *one = g ? graph_with_batch(g, 1, d) : NULL;
  char *tmp = one && plan_request(&r, one, d) ? file_temp_dir(a, d) : NULL;
  f.g = one;
  f.nz = &nz;
  if (one) nz = tailor_normalize(env->data, one, f.s->dtype, c->params);
  bool ok = tmp && input_map(&graph_val(one, one->inputs[0])->shape, &f.s->item, &f.map, d) &&
            prove(c, &r, &f, a, tmp, out, n_out, d);
  if (tmp) file_remove_tree(tmp);
  graph_free(one);
  graph_free(g);
  arena_free(a);
  return ok;
}

#define DEPLOY                                                                     \
  "ir/", "runtime/kernels/", "runtime/device/", "backend/", "frontend/cli/device", \
      "frontend/cli/code_form.c", "passes/pass.h", "passes/pipeline.c", "passes/tailor/measure"
static const char *const deploy_src[] = {DEPLOY,
                                         "frontend/cli/drift",
                                         "frontend/cli/inputs",
                                         "frontend/cli/load",
                                         "passes/tailor/kinds",
                                         "passes/input_raw",
                                         "runtime/data/",
                                         NULL};
static const char *const proof_src[] = {DEPLOY,
                                        "passes/tailor/kinds",
                                        "passes/input_raw",
                                        "runtime/data/",
                                        "runtime/engine/judge",
                                        "frontend/cli/outcome",
                                        "frontend/cli/inputs",
                                        NULL};

const StepKind step_deploy = {
    .name = "deploy", .sources = deploy_src, .names = true, .one_core = true, .run = run_deploy};
const StepKind step_proof = {.name = "proof", .sources = proof_src, .run = run_proof};
