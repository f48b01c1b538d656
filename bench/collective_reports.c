/* What bench/collective.c reads from report.json; see collective_runs.h. */
#include <math.h>

#include "bench/collective_runs.h"

const Json *ran_target(const Ran *r, int target) {
  char name[16];
  snprintf(name, sizeof name, "t%02d", target);
  const Json *all = json_get(r->report, "targets");
  for (const Json *t = all ? all->first : NULL; t; t = t->next)
    if (strcmp(json_get_str(t, "target", ""), name) == 0) return t;
  return NULL;
}

double ran_validation(const Ran *r, int target) {
  return json_get_num(json_get(ran_target(r, target), "validation"), "final", 0);
}

double ran_mean_validation(const Ran *r) {
  const Json *all = json_get(r->report, "targets");
  double sum = 0, n = 0;
  for (const Json *t = all ? all->first : NULL; t; t = t->next)
    sum += json_get_num(json_get(t, "validation"), "final", 0), n++;
  return n > 0 ? sum / n : 0;
}

static bool is_one_of(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

static const Json *first_step(const Ran *r) {
  const Json *all = json_get(r->report, "steps");
  return all ? all->first : NULL;
}

int ran_trainings(const Ran *r) {
  static const char *const kinds[] = {"retrain", "elastic", "bank", "table", NULL};
  int n = 0;
  for (const Json *s = first_step(r); s; s = s->next)
    n += is_one_of(json_get_str(s, "step", ""), kinds) && !json_get_bool(s, "cached", true);
  return n;
}

double ran_common(const Ran *r) {
  static const char *const kinds[] = {"prepare", "insert", "importance", "bank", "table", NULL};
  double sum = 0;
  for (const Json *s = first_step(r); s; s = s->next)
    if (is_one_of(json_get_str(s, "step", ""), kinds) && !json_get_bool(s, "cached", true))
      sum += json_get_num(s, "seconds", 0);
  return sum;
}

const char *ran_for(const Setting *s, const Ran *r) {
  StrBuf b = {0};
  sb_puts(&b, " ");
  for (const Json *t = first_step(r); t; t = t->next) {
    if (json_get_bool(t, "cached", true)) continue;
    const char *word = arena_printf(s->a, " %s ", json_get_str(t, "for", "?"));
    if (!strstr(sb_str(&b), word)) sb_puts(&b, word + 1);
  }
  const char *out = arena_strdup(s->a, sb_str(&b) + 1);
  sb_free(&b);
  return out;
}

Binding ran_binding(const Json *t) {
  static const char *const kinds[] = {"macs", "flash", "ram", "cycles"};
  const Json *limits = json_get(t, "limits"), *estimate = json_get(t, "estimate");
  Binding b = {-1, json_get_str(t, "machine", ""), 0};
  double nearest = 0;
  for (int k = 0; k < 4; k++) {
    const double limit = json_get_num(limits, kinds[k], 0),
                 have = json_get_num(k ? estimate : t, kinds[k], 0);
    if (limit > 0 && have / limit > nearest) nearest = have / limit, b.kind = k, b.limit = limit;
  }
  return b;
}

double ran_nearest_limits(const Ran *r, const int *targets, int n) {
  double least = INFINITY;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < i; k++) {
      const Binding a = ran_binding(ran_target(r, targets[i])), b = ran_binding(ran_target(r, targets[k]));
      if (a.kind != b.kind || (a.kind == 3 && strcmp(a.machine, b.machine) != 0)) continue;
      least = fmin(least, fmax(a.limit, b.limit) / fmin(a.limit, b.limit));
    }
  return least;
}

int ran_architectures(const Ran *r, const int *targets, int n) {
  int count = 0;
  for (int i = 0; i < n; i++) {
    const Json *a = ran_target(r, targets[i]);
    bool is_new = json_get_bool(a, "delivered", false);
    for (int k = 0; k < i; k++) {
      const Json *b = ran_target(r, targets[k]);
      is_new = is_new && (json_get_int(a, "macs", 0) != json_get_int(b, "macs", 0) ||
                          json_get_int(a, "params", 0) != json_get_int(b, "params", 0));
    }
    count += is_new;
  }
  return count;
}
