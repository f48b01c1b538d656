/* `mistify adapt` of a family: variants that share weights are re-tailored together and stay one family.
 *
 *   DIR/float0.mistify ..    float variants, widest first, as `mistify tailor` leaves them beside variant0.mistify ..
 *   OUT/float0.mistify ..    what they have learnt
 *   OUT/variant0.mistify ..  the same in int8: the widest calibrated on the local images, the others with its codes
 */
#include <string.h>

#include "frontend/cli/adapt.h"
#include "ir/base/file.h"
#include "passes/elastic.h"
#include "passes/input_raw.h"
#include "passes/pass.h"

enum { CALIBRATION = 512 };

bool adapt_is_family(const AdaptOpts *o) { return o->narrower.n > 0 || file_is_dir(o->model); }

static const char *member(Arena *a, const char *dir, const char *kind, int k) {
  return path_join(a, dir, arena_printf(a, "%s%d.mistify", kind, k));
}

/* What the folder has; [FAMILY_MAX] paths. */
static int in_folder(Adapting *r, const char **paths) {
  const char *dir = r->o->model;
  int n = 0;
  while (n < FAMILY_MAX && file_exists(member(r->a, dir, "float", n))) {
    paths[n] = member(r->a, dir, "float", n);
    n++;
  }
  if (n > 0) return n;
  diag_error(r->d, NULL, "%s: no float0.mistify: want the float variants of a family", dir);
  if (file_exists(member(r->a, dir, "variant", 0)))
    diag_hint(r->d, "variant0.mistify and so on are int8, which does not learn here: `mistify tailor` leaves "
                    "float0.mistify beside it");
  return 0;
}

bool adapt_load_family(Adapting *r) {
  const AdaptOpts *o = r->o;
  const char *paths[FAMILY_MAX] = {o->model};
  if (!adapt_is_family(o)) return true;
  FAIL_IF(o->narrower.n + 1 > FAMILY_MAX, r->d, NULL, "%zu variants: want at most %d", o->narrower.n + 1,
          FAMILY_MAX);
  FAIL_IF(o->exchange.n || o->plan, r->d, NULL,
          "--exchange: sites exchange what one model has learnt, not a family");
  FAIL_IF(o->narrower.n && file_is_dir(o->model), r->d, NULL,
          "%s: want a family's folder alone, or its files", o->model);
  for (size_t i = 0; i < o->narrower.n; i++) paths[i + 1] = o->narrower.v[i];
  const int n = o->narrower.n ? (int)o->narrower.n + 1 : in_folder(r, paths);
  TRY(n > 0);
  for (; r->n_family < n; r->n_family++) {
    r->family[r->n_family] = adapt_load(paths[r->n_family], r->d);
    TRY(r->family[r->n_family]);
  }
  r->model = graph_clone(r->family[0]);
  return true;
}

/* Whether the firmware hands over bytes, as the int8 variants beside the float ones have it. */
static bool takes_bytes(Adapting *r) {
  const char *dir = r->o->narrower.n ? path_dir(r->a, r->o->model) : r->o->model,
             *path = member(r->a, dir, "variant", 0);
  if (!file_exists(path)) return true;
  Graph *g = cli_load(path, r->d);
  TRY(g);
  r->bytes = input_raw_takes_bytes(g);
  graph_free(g);
  return true;
}

/* q [n] (written), which may hold fewer where this fails. */
static bool to_int8(Adapting *r, Graph *const *variants, int n, Graph **q) {
  const char *text =
      arena_printf(r->a, "bnfuse,fuse,fold,%squantize{images=%d}", r->bytes ? "input_raw," : "", CALIBRATION);
  for (int k = 0; k < n; k++) {
    const PassCtx ctx = {
        .params = "", .data = &r->data, .like = k ? q[0] : NULL, .host = progress_host(&r->progress)};
    q[k] = pipeline_run(variants[k], text, &ctx, NULL, r->d);
    TRY(q[k]);
  }
  Family f = {0};
  const bool ok = family_check((const Graph *const *)q, n, &f, r->d);
  if (f.arena) family_free(&f);
  return ok;
}

static bool save_all(Adapting *r, Graph *const *g, int n, const char *kind) {
  for (int k = 0; k < n; k++) TRY(cli_save(g[k], member(r->a, r->o->out, kind, k), r->d));
  return true;
}

/* What can go wrong with the result, before anything is learnt. */
static bool prepare(Adapting *r) {
  const char *out = r->o->out;
  ElasticFamily f = {0};
  if (file_exists(out) && !file_is_dir(out)) {
    diag_error(r->d, NULL, "%s: a file: of a family want a folder", out);
    return false;
  }
  const bool ok =
      r->n_family == 1 || elastic_variants((const Graph *const *)r->family, r->n_family, &f, r->d);
  elastic_family_free(&f);
  return ok && takes_bytes(r) && file_make_dirs(out, r->d);
}

bool adapt_family(Adapting *r) {
  RetailorOptions o;
  Graph *out[FAMILY_MAX] = {0}, *q[FAMILY_MAX] = {0};
  adapt_retailor_options(r->o, &o);
  TRY(prepare(r));
  bool ok =
      retailor_family((const Graph *const *)r->family, r->n_family, (const Graph *const *)r->teachers,
                      r->n_teachers, &r->data, &o, progress_host(&r->progress), out, &r->retailored, r->d);
  r->has_retailored = ok;
  ok = ok && to_int8(r, out, r->n_family, q) && save_all(r, out, r->n_family, "float") &&
       save_all(r, q, r->n_family, "variant") && cli_drop_variants(r->o->out, r->n_family, r->d);
  for (int k = 0; k < r->n_family; k++) {
    graph_free(out[k]);
    graph_free(q[k]);
  }
  return ok;
}
