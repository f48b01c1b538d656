/* Pipelines in YAML; see passlist.h.  A share (50%) becomes a number, a list its items with semicolons between. */
#include "frontend/config/passlist.h"

#include <string.h>

#include "frontend/config/units.h"
#include "frontend/config/yaml.h"
#include "ir/base/strbuf.h"

typedef struct Writer {
  const YamlFile *file;
  StrBuf text;
  Diag *d;
} Writer;

static bool put_scalar(Writer *w, const Yaml *v) {
  if (v->type != YAML_SCALAR)
    return yaml_error(w->file, &v->loc, w->d, "want a value here, got %s", yaml_what(v));
  const char *bad = strpbrk(v->text, ",{}");
  if (bad) return yaml_error(w->file, &v->loc, w->d, "a parameter cannot hold \"%c\"", *bad);
  double share;
  size_t n = strlen(v->text);
  if (n && v->text[n - 1] == '%' && !unit_share(v->text, &share))
    sb_printf(&w->text, "%.9g", share);
  else
    sb_puts(&w->text, v->text);
  return true;
}

static bool put_value(Writer *w, const Yaml *v) {
  if (v->type != YAML_LIST) return put_scalar(w, v);
  for (const Yaml *item = v->first; item; item = item->next) {
    if (item != v->first) sb_putc(&w->text, ';');
    TRY(put_scalar(w, item));
  }
  return true;
}

/* A name with anything of the text form in it would be another pipeline. */
static bool check_name(const Writer *w, const char *name, const Loc *loc) {
  const char *bad = strpbrk(name, ",{}=; ");
  return !bad || yaml_error(w->file, loc, w->d, "\"%s\": a name cannot hold \"%c\"", name, *bad);
}

static bool put_params(Writer *w, const Yaml *params) {
  if (params->type == YAML_SCALAR && !*params->text) return true;
  if (params->type != YAML_MAPPING) {
    yaml_error(w->file, &params->loc, w->d, "want the parameters as {name: value}, got %s",
               yaml_what(params));
    return false;
  }
  sb_putc(&w->text, '{');
  for (const Yaml *p = params->first; p; p = p->next) {
    if (p != params->first) sb_putc(&w->text, ',');
    sb_printf(&w->text, "%s=", p->key);
    TRY(check_name(w, p->key, &p->key_loc) && put_value(w, p));
  }
  sb_putc(&w->text, '}');
  return true;
}

/* "fold", or a mapping of one member: the name, with the parameters. */
static bool put_pass(Writer *w, const Yaml *v, Loc *loc) {
  *loc = v->loc;
  if (v->type == YAML_SCALAR) {
    sb_puts(&w->text, v->text);
    return check_name(w, v->text, &v->loc);
  }
  if (v->type != YAML_MAPPING || v->n != 1)
    return yaml_error(w->file, &v->loc, w->d,
                      "want a pass (fold), or one with parameters (prune: {macs: 50%%})");
  *loc = v->first->key_loc;
  sb_puts(&w->text, v->first->key);
  return check_name(w, v->first->key, loc) && put_params(w, v->first);
}

static bool put_all(Writer *w, const Yaml *list, Loc *locs) {
  int i = 0;
  for (const Yaml *v = list->first; v; v = v->next, i++) {
    if (i) sb_putc(&w->text, ',');
    TRY(put_pass(w, v, &locs[i]));
  }
  return true;
}

bool passlist_load(Arena *a, const char *path, PassText *out, Diag *d) {
  const YamlFile *f = yaml_load(a, path, d);
  TRY(f);
  const Yaml *list = f->root && f->root->type == YAML_MAPPING ? yaml_get(f->root, "passes") : NULL;
  if (!list || f->root->n != 1 || list->type != YAML_LIST || !list->n) {
    diag_error(d, NULL, "%s: want one key, `passes`, with a list of passes", path);
    diag_hint(d, "passes: [fold, layout: {input: nhwc}, quantize]");
    return false;
  }
  Writer w = {.file = f, .d = d};
  Loc *locs = arena_array(a, list->n, sizeof *locs);
  bool ok = put_all(&w, list, locs);
  if (ok) *out = (PassText){arena_strdup(a, sb_str(&w.text)), locs, (int)list->n};
  sb_free(&w.text);
  return ok;
}
