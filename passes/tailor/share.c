/* From the targets' plans to a schedule of training (schedule.h), and the models that it names. */
#include <inttypes.h>
#include <string.h>

#include "passes/prune.h"
#include "passes/tailor/run.h"

/* ---- Plans as sets of units */

/* A base's graph and channels, open while a schedule is made. */
typedef struct OpenBase {
  Graph *g;
  Channels ch;
} OpenBase;

typedef struct Sharing {
  TailorRun *r;
  Arena *a;
  OpenBase *open; /* [1 + n_variants] */
  ScheduleBase *bases;
  ScheduleRequest *requests;
  int *of; /* [n] whose request it is: an index of r->w */
  int n;
  ScheduleJoint *joints; /* [n_joints] of targets of variants, behind these */
  int n_joints;
  bool lengths; /* how far they are shortened is decided */
} Sharing;

static int words_of(uint32_t units) { return (int)((units + SCHEDULE_WORD_BITS - 1) / SCHEDULE_WORD_BITS); }

static bool open_base(Sharing *s, int i) {
  OpenBase *b = &s->open[i];
  if (b->g) return true;
  b->g = artifact_graph(&s->r->base[i].graph, s->r->d);
  TRY(b->g && channels_find(b->g, s->r->job->keep, &b->ch, s->r->d));
  s->bases[i] = (ScheduleBase){(double)graph_macs(b->g), words_of(b->ch.n_units)};
  return true;
}

static bool add_request(Sharing *s, int i) {
  const TailorWork *w = &s->r->w[i];
  const int base = (int)(w->c.base - s->r->base);
  PrunePlan p;
  TRY(open_base(s, base));
  const char *text = arena_strndup(s->a, blob_raw(w->c.plan.bytes), blob_size(w->c.plan.bytes));
  TRY(prune_plan_parse(text, &s->open[base].ch, &p, s->r->d));
  uint64_t *units = arena_array(s->r->res->arena, (size_t)s->bases[base].words, sizeof *units);
  for (uint32_t u = 0; u < p.n_units; u++)
    units[u / SCHEDULE_WORD_BITS] |= (uint64_t)p.keep[u] << u % SCHEDULE_WORD_BITS;
  prune_plan_free(&p);
  s->of[s->n] = i;
  s->requests[s->n++] = (ScheduleRequest){base, (double)w->c.macs, units};
  return true;
}

static ScheduleJoint joint_of(const TailorRun *r, const TailorWork *w) {
  return (ScheduleJoint){.request = -1,
                         .base = (double)r->res->macs,
                         .macs = (double)w->c.macs,
                         .share = w->t->narrowest,
                         .n = w->t->widths};
}

/* What is trained for target i, where there is a plan for it. */
static bool add_target(Sharing *s, int i) {
  const TailorWork *w = &s->r->w[i];
  if (w->c.why) return true;
  if (w->c.changed) TRY(add_request(s, i));
  if (!tailor_is_nested(w->t)) return true;
  ScheduleJoint *j = &s->joints[s->n_joints++];
  *j = joint_of(s->r, w);
  if (w->c.changed) j->request = s->n - 1;
  return true;
}

static void plan_of_units(const Channels *ch, const uint64_t *units, PrunePlan *out) {
  prune_plan_all(ch, out);
  for (uint32_t g = 0, u = 0; g < out->n_groups; g++) {
    out->kept[g] = 0;
    for (uint32_t i = 0; i < out->size[g]; i++, u++) {
      out->keep[u] = units[u / SCHEDULE_WORD_BITS] >> u % SCHEDULE_WORD_BITS & 1;
      out->kept[g] += out->keep[u];
    }
  }
}

static Artifact plan_artifact(const Channels *ch, const uint64_t *units) {
  PrunePlan p;
  StrBuf text = {0};
  plan_of_units(ch, units, &p);
  prune_plan_print(ch, &p, &text);
  const Artifact a = artifact_from_bytes(ART_PLAN, sb_str(&text), text.len);
  sb_free(&text);
  prune_plan_free(&p);
  return a;
}

/* The schedule's question: what would a joint ancestor cost? Widths that the graph does not allow have no answer. */
static double macs_of(void *ctx, int base, const uint64_t *units) {
  const OpenBase *b = &((Sharing *)ctx)->open[base];
  Diag *quiet = diag_new();
  PrunePlan p;
  plan_of_units(&b->ch, units, &p);
  Graph *g = prune_apply(&b->ch, &p, quiet);
  const double macs = g ? (double)graph_macs(g) : -1;
  graph_free(g);
  prune_plan_free(&p);
  diag_free(quiet);
  return macs;
}

static void close_sharing(Sharing *s) {
  for (int i = 0; i <= s->r->job->n_variants; i++) {
    if (s->open[i].ch.arena) channels_free(&s->open[i].ch);
    graph_free(s->open[i].g);
  }
  arena_free(s->a);
}

/* ---- The schedule */

/* Node `k`'s plan as an artifact, and what the log calls it. */
static void make_model(Sharing *s, int k) {
  TailorRun *r = s->r;
  ScheduleNode *n = &r->schedule.nodes[k];
  TailorModel *m = &r->models[k];
  if (n->request >= 0) n->request = s->of[n->request];
  m->base = &r->base[n->base];
  m->units = (int)s->open[n->base].ch.n_units;
  if (n->request >= 0) {
    m->plan = artifact_ref(&r->w[n->request].c.plan);
    m->name = r->w[n->request].t->name;
    return;
  }
  m->plan = plan_artifact(&s->open[n->base].ch, n->units);
  m->name = arena_printf(r->res->arena, "%s %.0f MACs, %d", n->joint ? "joint" : "earlier", n->macs, k);
}

static void say(const TailorRun *r) {
  const Schedule *s = &r->schedule;
  if (s->n > 0)
    tailor_tell(r, "plan: %d models are trained, %d of them joint ancestors, on %" PRId64 " images in all",
                s->n, s->joint, s->images);
  if (tailor_shortened(r->res))
    tailor_tell(r, "plan: lengths are shortened to %.0f %%, for a time budget of %s", 100 * r->res->kept,
                tailor_duration(r->res->arena, r->res->shortened_for));
  for (int k = 0; k < s->n; k++) {
    const ScheduleNode *n = &s->nodes[k];
    tailor_tell(r, "plan: %s from %s: %.3g M MACs, %" PRId64 " images", r->models[k].name,
                n->parent < 0 ? "the original" : r->models[n->parent].name, n->macs / 1e6, n->images);
  }
}

static const char *base_name(const TailorRun *r, int base) {
  return base == 0 ? "" : r->job->variants[base - 1].name;
}

static int base_named(const TailorRun *r, const char *name) {
  int i = r->job->n_variants;
  while (i > 0 && strcmp(base_name(r, i), name) != 0) i--;
  return i;
}

/* The base of an earlier plan: there was one, so there must be one. */
static bool needs_graph(TailorRun *r, TailorBase *b) {
  bool *busy = tailor_wait(r);
  const bool ok = tailor_needs_base(r, b);
  tailor_go_on(r, busy);
  TRY(ok);
  if (b->graph.bytes || !b->variant) return b->graph.bytes != NULL;
  diag_error(r->d, NULL, "the earlier plan has models of another structure (%s), which cannot be made now",
             b->variant->name);
  diag_hint(r->d, "remove plan.lock from the folder of the results: all is planned anew");
  return false;
}

/* Nodes of the earlier plan, whose bases' graphs are opened. */
static bool nodes_before(Sharing *s, ScheduleNode **out) {
  const Lock *l = &s->r->before;
  *out = arena_array(s->a, (size_t)l->n_models, sizeof **out);
  for (int k = 0; k < l->n_models; k++) {
    ScheduleNode *n = &(*out)[k];
    *n = l->models[k].node;
    n->base = base_named(s->r, l->models[k].base);
    TRY(needs_graph(s->r, &s->r->base[n->base]) && open_base(s, n->base));
    FAIL_IF(l->models[k].words != s->bases[n->base].words, s->r->d, NULL,
            "the earlier plan's model \"%s\" is of another graph", l->models[k].name);
  }
  return true;
}

/* Does an earlier plan have trainings, whose lengths and rates stay? Joint ones alone are no models of it. */
static bool is_fixed(const TailorRun *r) {
  bool fixed = r->before.n_models > 0;
  for (int i = 0; i < r->job->n_targets; i++) fixed |= r->w[i].locked && tailor_is_nested(r->w[i].t);
  return fixed;
}

static ScheduleRules rules_of(Sharing *s) {
  const TailorRun *r = s->r;
  const bool fixed = is_fixed(r);
  return (ScheduleRules){.sharing = r->job->sharing,
                         .images = r->full_images,
                         .step = r->job->retrain.batch,
                         .per_halving = r->job->per_halving,
                         .growth = r->job->growth,
                         .least = r->job->least,
                         .share = tailor_shortened(r->res) ? r->res->share : 0,
                         .image = fixed ? r->before.image : r->job->image,
                         .mac = fixed ? r->before.mac : r->job->mac,
                         .beside = r->res->beside,
                         .joints = s->joints,
                         .n_joints = s->n_joints,
                         .macs = macs_of,
                         .ctx = s};
}

/* How far lengths are shortened, so that the time suffices: decided once, and then the plan's. */
static void choose_share(Sharing *s) {
  TailorRun *r = s->r;
  const TailorBudget *b = &r->job->budget;
  const Lock *l = &r->before;
  const bool fixed = is_fixed(r);
  r->res->budget = b->seconds;
  r->res->at_once = b->at_once > 1 ? b->at_once : 1;
  r->res->share = 1;
  s->lengths = fixed || s->n + s->n_joints > 0;
  if (fixed && l->share > 0) {
    r->res->share = l->share;
    r->res->shortened_for = l->budget;
  } else if (!fixed && b->seconds > 0 && s->lengths && r->job->sharing != SHARE_ELASTIC) {
    const ScheduleRules rules = rules_of(s);
    r->res->share =
        schedule_share(s->requests, s->n, s->bases, &rules, r->res->at_once, TAILOR_TRAINING * b->seconds);
    r->res->shortened_for = b->seconds;
  }
}

static void compare_ways(Sharing *s) {
  for (int i = 0; i <= SHARE_TREE; i++) { /* what an elastic model costs is not known beforehand */
    ScheduleRules rules = rules_of(s);
    Schedule other;
    rules.sharing = (TailorSharing)i;
    schedule_make(s->requests, s->n, s->bases, &rules, NULL, 0, &other);
    s->r->res->ways[i] = (TailorAlternative){rules.sharing, other.images, other.seconds};
    schedule_free(&other);
  }
}

/* ---- The plan as text */

/* What decides which channels a graph has and which of them stay: an edit of it makes another plan. */
static void hash_sources(const TailorRun *r, Hasher *h) {
  const StepKind *const kinds[] = {&step_prune, &step_insert, &step_vary,
                                   tailor_by_table(r) ? &step_allocate : &step_plan};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    hasher_hash(h, step_key(r->job->steps, &(StepRequest){.kind = kinds[i]}));
}

Hash tailor_basis(const TailorRun *r) {
  const TailorJob *job = r->job;
  Hasher *h = hasher_new();
  StrBuf options = {0};
  train_options_print(&job->retrain, &options);
  hasher_str(h, "mistify plan 1");
  hasher_hash(h, r->whole.hash);
  hasher_hash(h, job->data_identity);
  const char *const texts[] = {job->prune_params, job->keep,         job->finish_int8,
                               job->finish_int4,  job->finish_float, sb_str(&options)};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) hasher_str(h, texts[i]);
  hasher_u64(h, (uint64_t)job->n_variants);
  for (int i = 0; i < job->n_variants; i++) {
    hasher_str(h, job->variants[i].name);
    hasher_str(h, job->variants[i].passes);
  }
  hash_sources(r, h);
  for (int i = 0; i < job->n_teachers; i++) hasher_hash(h, graph_hash(job->teachers[i]));
  const uint64_t numbers[] = {job->seed,
                              (uint64_t)job->sharing,
                              job->graphs,
                              job->may_retrain,
                              job->may_prune,
                              job->any_views,
                              job->auc,
                              (uint64_t)(1e6 * job->trial),
                              (uint64_t)(1e6 * job->close),
                              (uint64_t)(1e6 * job->family),
                              (uint64_t)(1e6 * job->per_halving),
                              (uint64_t)(1e6 * job->growth),
                              (uint64_t)(1e6 * job->least)};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hasher_u64(h, numbers[i]);
  sb_free(&options);
  return hasher_done(h);
}

/* All that a target's widths depend on beside the basis, which has what plans them: also what judges them when they are finished and
 * linked. After an edit of that they are planned anew: what still fits comes out the same and finds its model, what does not
 * gets widths that do. */
Hash tailor_request(const TailorRun *r, const TailorTarget *t) {
  Hasher *h = hasher_new();
  hasher_hash(h, step_key(r->job->steps, &(StepRequest){.kind = &step_finish}));
  if (!r->job->graphs) hasher_hash(h, step_key(r->job->steps, &(StepRequest){.kind = r->job->deploy}));
  const TailorLimits *l = &t->limits;
  const int64_t limits[] = {l->flash, l->ram, l->macs, l->cycles, t->precision};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) hasher_u64(h, (uint64_t)limits[i]);
  hasher_hash(h, t->cost->key);
  hasher_str(h, t->params);
  if (tailor_is_nested(t)) {
    hasher_u64(h, (uint64_t)t->widths);
    hasher_bytes(h, &t->narrowest, sizeof t->narrowest);
  }
  return hasher_done(h);
}

bool tailor_plan_from_lock(TailorRun *r, TailorWork *w) {
  const Lock *l = &r->before;
  const LockTarget *t = lock_find(l, tailor_request(r, w->t));
  if (!t) return true;
  w->locked = true;
  w->int4 = w->o->int4 = t->int4;
  w->c.macs = r->res->macs;
  if (t->model < 0) return true;
  const LockModel *m = &l->models[t->model];
  w->c.base = &r->base[base_named(r, m->base)];
  TRY(needs_graph(r, w->c.base));
  Graph *g = artifact_graph(&w->c.base->graph, r->d);
  Channels ch = {0};
  bool ok = g && channels_find(g, r->job->keep, &ch, r->d);
  if (ok && words_of(ch.n_units) != m->words)
    ok = diag_error(r->d, NULL, "the earlier plan's model \"%s\" is of another graph", m->name);
  if (ok) {
    w->c.plan = plan_artifact(&ch, m->node.units);
    w->c.macs = (int64_t)m->node.macs;
    w->c.changed = true;
  }
  channels_free(&ch);
  graph_free(g);
  return ok;
}

/* Views of a teacher's bank, for all models of plan s and of those that join it: every one costs the teacher as much as an epoch of students does
 * beside it, so that there is one for every few epochs of training. One model alone has what the design says. */
static bool choose_views(TailorRun *r, const Schedule *s) {
  enum { EPOCHS_A_VIEW = 6, MOST_VIEWS = 8 };
  const int of_design = r->job->retrain.views;
  const bool fixed = is_fixed(r);
  TrainOptions told = r->job->retrain;
  const Dataset *ds = NULL;
  r->views = fixed ? r->before.views : of_design;
  if (!fixed && r->job->any_views && s->n > 1 && r->job->sharing != SHARE_NOTHING) {
    TRY(tailor_data(r->job->data, &ds, r->d));
    const int64_t images = r->job->sharing == SHARE_ELASTIC ? tailor_family_images(r) : s->images;
    const int64_t views = images / ((int64_t)EPOCHS_A_VIEW * ds->train.n);
    r->views = (int)(views < MOST_VIEWS ? views : MOST_VIEWS);
    tailor_tell(r, "plan: %d views of each training image for the teachers' outputs%s", r->views,
                r->views ? ", which all models share" : ": they run beside their students");
  } else {
    told.views = r->views;
    tailor_tell_bank(&told, r->job->host);
  }
  r->scheduled = true;
  for (int i = 0; i < TAILOR_MAX_TEACHERS && r->views != of_design; i++)
    artifact_unref(&r->bank[i]); /* of short retrainings before the plan */
  return true;
}

/* A step of training is TAILOR_PASSES of the model, and one pass of each teacher that has no bank. */
static double beside(const TailorRun *r, int views) {
  const TrainOptions *o = &r->job->retrain;
  double macs = (double)r->res->macs;
  if (!(o->mix > 0 || o->features > 0) || (views > 0 && o->mix > 0)) return 0;
  for (int i = 0; i < r->job->n_teachers; i++) macs += (double)graph_macs(r->job->teachers[i]);
  return macs / TAILOR_PASSES;
}

static void tell_plan(TailorRun *r) {
  const Schedule *s = &r->schedule;
  const ScheduleRules rules = rules_of(&(Sharing){.r = r});
  if (!r->job->planned) return;
  Lock l = {.basis = tailor_basis(r),
            .image = rules.image,
            .mac = rules.mac,
            .views = r->views,
            .full = r->full_images};
  if (rules.share > 0) {
    l.share = rules.share;
    l.budget = r->res->shortened_for;
    l.at_once = is_fixed(r) ? r->before.at_once : r->res->at_once;
  }
  l.models = arena_array(r->res->arena, (size_t)s->n, sizeof *l.models);
  l.targets = arena_array(r->res->arena, (size_t)r->job->n_targets, sizeof *l.targets);
  l.n_models = s->n;
  for (int k = 0; k < s->n; k++) {
    const int units = r->models[k].units;
    l.models[k] = (LockModel){r->models[k].name, base_name(r, s->nodes[k].base), s->nodes[k],
                              words_of((uint32_t)units)};
  }
  for (int i = 0; i < r->job->n_targets; i++) {
    const TailorWork *w = &r->w[i];
    if (w->c.why) continue; /* asked anew next time */
    l.targets[l.n_targets++] = (LockTarget){w->t->name, tailor_request(r, w->t), w->node, w->int4};
  }
  StrBuf text = {0};
  lock_print(&l, &text);
  r->job->planned(r->job->planned_ctx, sb_str(&text));
  sb_free(&text);
}

static bool of_earlier_plan(const TailorRun *r, const ScheduleNode *n) {
  int k = r->before.n_models - 1;
  while (k >= 0 && r->before.models[k].node.units != n->units) k--;
  return k >= 0;
}

static void tell_result(Sharing *of) {
  TailorRun *r = of->r;
  const Schedule *s = &r->schedule;
  const ScheduleRules rules = rules_of(of);
  r->res->image = rules.image;
  r->res->mac = rules.mac;
  r->res->n_models = s->n;
  r->res->expected = schedule_wall(s, &rules, r->res->at_once);
  r->res->models = arena_array(r->res->arena, (size_t)s->n, sizeof *r->res->models);
  for (int k = 0; k < s->n; k++) {
    const ScheduleNode *n = &s->nodes[k];
    r->res->models[k] = (TailorTrained){.name = r->models[k].name,
                                        .target = n->request,
                                        .parent = n->parent,
                                        .macs = (int64_t)n->macs,
                                        .images = n->images,
                                        .seconds = n->seconds,
                                        .joint = n->joint,
                                        .fixed = of_earlier_plan(r, n)};
  }
  for (int i = 0; i < r->job->n_targets; i++) r->w[i].o->model = r->w[i].node;
}

typedef struct Round {
  const ScheduleNode *before; /* [n_before] */
  int n_before;
} Round;

static void make_round(Sharing *s, const Round *from, Schedule *out) {
  const ScheduleRules rules = rules_of(s);
  s->r->tail_images = schedule_full(&rules);
  schedule_make(s->requests, s->n, s->bases, &rules, from->before, from->n_before, out);
}

/* The first round with trainings decides what all have in common. Views are chosen by what is trained; until then a bank is taken for
 * granted, where there may be one. Without it all takes longer: a budget is divided anew. */
static bool make_first(Sharing *s, const Round *from, Schedule *out) {
  TailorRun *r = s->r;
  choose_share(s);
  make_round(s, from, out);
  TRY(choose_views(r, out));
  const double now = beside(r, r->views);
  const bool again = now > r->res->beside && r->job->budget.seconds > 0 && !is_fixed(r);
  r->res->beside = now;
  if (!again) return true;
  choose_share(s);
  schedule_free(out);
  make_round(s, from, out);
  return true;
}

/* Round by round: what is planned later joins as if it had come in a later run. */
static bool make_schedule(Sharing *s, const ScheduleNode *before) {
  TailorRun *r = s->r;
  const int rounds = tailor_rounds(r);
  Round from = {before, r->before.n_models};
  if (is_fixed(r) || !r->job->any_views)
    r->res->beside = beside(r, is_fixed(r) ? r->before.views : r->job->retrain.views);
  r->rounds = arena_array(r->res->arena, (size_t)rounds, sizeof *r->rounds);
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < r->job->n_targets; i++) {
      if (tailor_round(&r->w[i]) == round) TRY(add_target(s, i));
    }
    Schedule *made = round + 1 < rounds ? &r->rounds[r->n_rounds++] : &r->schedule;
    if (s->lengths)
      make_round(s, &from, made);
    else
      TRY(make_first(s, &from, made));
    from = (Round){made->nodes, made->n};
  }
  const ScheduleRules rules = rules_of(s);
  schedule_estimate(&r->schedule, &rules);
  r->res->kept = schedule_kept(&r->schedule, s->bases, &rules);
  return true;
}

bool tailor_schedule(TailorRun *r) {
  const TailorJob *job = r->job;
  const size_t n = (size_t)job->n_targets, bases = (size_t)job->n_variants + 1;
  Sharing s = {.r = r, .a = arena_new()};
  ScheduleNode *before = NULL;
  s.open = arena_array(s.a, bases, sizeof *s.open);
  s.bases = arena_array(s.a, bases, sizeof *s.bases);
  s.requests = arena_array(s.a, n, sizeof *s.requests);
  s.of = arena_array(s.a, n, sizeof *s.of);
  s.joints = arena_array(s.a, n, sizeof *s.joints);
  bool ok = nodes_before(&s, &before);
  for (int i = 0; i < job->n_targets; i++) r->w[i].node = -1;
  ok = ok && make_schedule(&s, before);
  if (ok) {
    r->models = arena_array(r->res->arena, (size_t)r->schedule.n, sizeof *r->models);
    r->family = arena_array(r->res->arena, bases, sizeof *r->family);
    for (int i = 0; i < s.n; i++) r->w[s.of[i]].node = r->schedule.node_of[i];
    for (int k = 0; k < r->schedule.n; k++) make_model(&s, k);
    compare_ways(&s);
    tell_result(&s);
    tell_plan(r);
    say(r);
  }
  close_sharing(&s);
  return ok;
}

/* ---- Trainings behind it */

int64_t tailor_nested_images(TailorRun *r, const TailorWork *w) {
  const ScheduleRules rules = rules_of(&(Sharing){.r = r});
  const ScheduleJoint joint = joint_of(r, w);
  return schedule_joint_images(&rules, &joint);
}

double tailor_nested_seconds(TailorRun *r, const TailorWork *w) {
  const ScheduleRules rules = rules_of(&(Sharing){.r = r});
  const ScheduleJoint joint = joint_of(r, w);
  return schedule_joint_seconds(&rules, &joint);
}

void tailor_schedule_free(TailorRun *r) {
  for (int k = 0; r->models && k < r->schedule.n; k++) { /* planning may fail between the two */
    artifact_unref(&r->models[k].plan);
    artifact_unref(&r->models[k].trained);
  }
  for (int i = 0; r->family && i <= r->job->n_variants; i++) tailor_family_free(&r->family[i]);
  for (int i = 0; i < r->n_rounds; i++) schedule_free(&r->rounds[i]);
  schedule_free(&r->schedule);
}
