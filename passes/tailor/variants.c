/* Structures other than the original's: smaller images, fewer blocks, thinner layers. A target whose widths alone lose much, or
 * do not meet its limits at all, gets candidates:
 *
 *   original --passes--> variant --short retraining--> its base --> widths for the target --> layers solved anew
 *                        (once for all targets)                                            |
 *                                              least divergence from the original <--------+ and of widths alone
 *                                              | several close to it:
 *                                              +--> each retrained shortly, best accuracy on validation
 *
 * The short retraining of a variant comes first because a network that sees other sizes, or lacks a block, is far from the
 * original until it has been trained a little, and is not after that: divergence would tell nothing before. It is of the last training images (diverge.c). The candidate that is taken is retrained from its solved layers like any other plan.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "passes/tailor/run.h"

static const double FINE = 0.05; /* nats: widths alone that lose no more are taken as they are */

static const char *name_of(const TailorBase *b) { return b->variant ? b->variant->name : "widths alone"; }

/* ---- Bases */

static bool cancelled(const TailorRun *r) {
  const Host *h = r->job->host;
  return h && h->cancelled && h->cancelled(h->ctx);
}

/* The first line of a report, as part of a line of the log. */
static void tell_refusal(const TailorRun *r, const TailorBase *b, const char *what, const Diag *why) {
  const char *text = diag_text(why);
  static const char error[] = "error: ";
  if (strncmp(text, error, sizeof error - 1) == 0) text += sizeof error - 1;
  tailor_tell(r, "%s: %s: %.*s", name_of(b), what, (int)strcspn(text, "\n"), text);
}

/* What one candidate fails at is said in the log, and the others go on; only being cancelled ends the run. *made: it did not
 * fail. */
static bool tried(TailorRun *r, const TailorBase *b, const char *what, Diag *said, bool ok, bool *made) {
  Diag *own = r->d;
  r->d = said;
  *made = ok;
  const bool stopped = !ok && cancelled(r);
  if (stopped) diag_error(said, NULL, "%s", diag_text(own));
  if (!ok && !stopped) tell_refusal(r, b, what, own);
  diag_free(own);
  return !stopped;
}

/* Does it give as many numbers as the original? Others cannot be compared with it. */
static bool same_outputs(TailorRun *r, const Artifact *graph) {
  Graph *a = artifact_graph(&r->base->graph, r->d), *b = a ? artifact_graph(graph, r->d) : NULL;
  bool ok = b != NULL;
  if (ok) {
    const Shape *x = &graph_val(a, a->outputs[a->n_outputs - 1])->shape,
                *y = &graph_val(b, b->outputs[b->n_outputs - 1])->shape;
    if (shape_count_range(x, 1, x->rank) != shape_count_range(y, 1, y->rank))
      ok = diag_error(r->d, NULL, "its output has another size than the original's");
  }
  graph_free(a);
  graph_free(b);
  return ok;
}

/* The variant as its passes leave it; empty where they refuse, or give what another base is already. */
static bool vary(TailorRun *r, TailorBase *b) {
  Artifact in[2] = {r->base->graph, r->data};
  static const char *const names[] = {"model", "data"};
  Diag *said = r->d;
  bool ok;
  r->d = diag_new();
  const bool goes_on = tried(
      r, b, "not for this model", said,
      tailor_step(r, &step_vary, name_of(b), in, 2, names, b->variant->passes, &r->env, &b->graph, NULL) &&
          same_outputs(r, &b->graph) && tailor_keep_all(r, b),
      &ok);
  if (!ok) artifact_unref(&b->graph);
  b->untrained = b->graph.hash;
  for (TailorBase *k = r->base; ok && k < b; k++) {
    if (!k->graph.bytes || !hash_equal(k->variant ? k->untrained : k->graph.hash, b->untrained)) continue;
    tailor_tell(r, "%s: as %s", name_of(b), k->variant ? name_of(k) : "the original");
    artifact_unref(&b->graph);
    break;
  }
  return goes_on;
}

/* Statistics of what it has become. */
static bool reestimate(TailorRun *r, TailorBase *b) {
  Artifact in[2] = {b->graph, r->data};
  static const char *const names[] = {"model", "data"};
  b->graph = (Artifact){0};
  const bool ok =
      tailor_step(r, &step_vary, name_of(b), in, 2, names, "reestimate", &r->env, &b->graph, NULL);
  artifact_unref(&in[0]);
  return ok;
}

bool tailor_make_variant(TailorRun *r, TailorBase *b) {
  TRY(vary(r, b));
  if (!b->graph.bytes) return true;
  TRY(reestimate(r, b));
  if (!r->job->may_retrain || r->job->trial <= 0) return true;
  int64_t images;
  TRY(tailor_images(r, r->job->trial, &images));
  tailor_tell(r, "%s: retrained for %" PRId64 " images (%.3g %% of a retraining) before widths are found",
              name_of(b), images, 100 * r->job->trial);
  Artifact trained = {0};
  Diag *said = r->d;
  bool ok;
  r->d = diag_new();
  const bool goes_on = tried(r, b, "retraining it fails", said,
                             tailor_retrain(r, name_of(b), b, &b->graph, &b->all, &b->all,
                                            &(TailorLength){.images = images}, &trained),
                             &ok);
  artifact_unref(&b->graph);
  b->graph = trained; /* empty where it failed: no candidate */
  return goes_on;
}

/* ---- Candidates */

typedef struct Candidate {
  TailorChosen c;
  Artifact solved;
  double divergence, accuracy;
} Candidate;

/* How far from the original c is, once its layers are solved anew. Takes c. */
static bool look_at(TailorRun *r, const TailorWork *w, TailorChosen *c, Candidate *out) {
  double agree;
  *out = (Candidate){.c = *c};
  c->plan = (Artifact){0};
  TRY(tailor_solve(r, w->t->name, &out->c, &out->solved));
  TRY(tailor_diverge(r, w->t->name, &out->solved, &r->whole, false, &out->divergence, &agree));
  tailor_tell(r, "%s: %s: %" PRId64 " MACs, divergence from the original %.4f, the same class %.1f %%",
              w->t->name, name_of(out->c.base), out->c.macs, out->divergence, 100 * agree);
  return true;
}

/* Candidates of all variants that meet w's limits, behind the *n there are. */
static bool look_at_variants(TailorRun *r, const TailorWork *w, Candidate *v, int *n) {
  for (int i = 1; i <= r->job->n_variants; i++) {
    TailorBase *b = &r->base[i];
    TailorChosen c;
    TRY(tailor_needs_base(r, b));
    if (!b->graph.bytes) continue;
    if (!tailor_plan_target(r, w, b, NULL, &c)) {
      tailor_chosen_free(&c);
      return false;
    }
    if (c.why) tailor_tell(r, "%s: %s: %s", w->t->name, name_of(b), c.why);
    const bool ok = c.why || look_at(r, w, &c, &v[(*n)++]);
    tailor_chosen_free(&c);
    TRY(ok);
  }
  return true;
}

static int least(const Candidate *v, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (v[i].divergence < v[best].divergence) best = i;
  return best;
}

/* Among candidates that are close to the best one, that which a short retraining serves best. */
static bool try_out(TailorRun *r, const TailorWork *w, Candidate *v, int n, int *best) {
  const double most = (1 + r->job->close) * v[*best].divergence;
  int close = 0, taken = *best; /* the nearest, where none is better */
  int64_t images;
  for (int i = 0; i < n; i++) close += v[i].divergence <= most;
  if (close < 2 || !r->job->may_retrain || r->job->trial <= 0) return true;
  TRY(tailor_images(r, r->job->trial, &images));
  tailor_tell(
      r, "%s: %d candidates are close: each is retrained for %" PRId64 " images (%.3g %% of a retraining)",
      w->t->name, close, images, 100 * r->job->trial);
  for (int i = 0; i < n; i++) {
    if (v[i].divergence > most) continue;
    const TailorChosen *c = &v[i].c;
    Artifact trained = {0};
    Diag *said = r->d;
    bool ok;
    r->d = diag_new();
    const bool goes_on = tried(r, c->base, "retraining it fails", said,
                               tailor_retrain(r, w->t->name, c->base, &v[i].solved, &c->plan, &c->plan,
                                              &(TailorLength){.images = images}, &trained) &&
                                   tailor_score(r, w->t->name, &trained, false, &v[i].accuracy),
                               &ok);
    artifact_unref(&trained);
    TRY(goes_on);
    if (!ok) continue;
    tailor_tell(r, "%s: %s: %s on validation %.2f %%", w->t->name, name_of(c->base), metric_name(r->job->auc),
                100 * v[i].accuracy);
  }
  for (int i = 0; i < n; i++)
    if (v[i].accuracy > v[taken].accuracy) taken = i;
  *best = taken;
  return true;
}

static bool take_best(TailorRun *r, TailorWork *w, Candidate *v, int n) {
  if (n == 0) return true; /* what is said of widths alone stays */
  int best = least(v, n);
  const double divergence = v[best].divergence;
  TRY(try_out(r, w, v, n, &best));
  tailor_tell(r, "%s: %s: taken, %s of %d", w->t->name, name_of(v[best].c.base),
              v[best].divergence > divergence ? "the best on validation" : "the nearest to the original", n);
  tailor_chosen_free(&w->c);
  w->c = v[best].c;
  v[best].c.plan = (Artifact){0};
  return true;
}

bool tailor_choose_variant(TailorRun *r, TailorWork *w) {
  if (!r->job->n_variants) return true;
  Candidate *v = arena_array(r->res->arena, (size_t)r->job->n_variants + 1, sizeof *v);
  TailorChosen widths = w->c;
  int n = 0;
  bool ok = true;
  widths.plan = artifact_ref(&w->c.plan);
  if (!widths.why) ok = look_at(r, w, &widths, &v[n++]);
  artifact_unref(&widths.plan);
  if (ok && n && v[0].divergence <= FINE)
    tailor_tell(r, "%s: widths alone lose little: no other structure is tried", w->t->name);
  else
    ok = ok && look_at_variants(r, w, v, &n) && take_best(r, w, v, n);
  for (int i = 0; i < n; i++) {
    tailor_chosen_free(&v[i].c);
    artifact_unref(&v[i].solved);
  }
  return ok;
}
