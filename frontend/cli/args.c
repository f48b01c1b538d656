/* Arguments: see args.h. Accepted: `--opt value`, `--opt=value`, `-o value`, `--` before positional arguments. */
#include "frontend/cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/config/units.h"
#include "ir/base/nearest.h"

static const Opt common[] = {
    {"--json", OPT_FLAG, offsetof(CommonOpts, json), false, NULL, "print results as JSON"},
    {"--quiet", OPT_FLAG, offsetof(CommonOpts, quiet), false, NULL, "print errors and results alone"},
    {"--help", OPT_FLAG, offsetof(CommonOpts, help), false, NULL, "print this help"},
    {0}};

static bool is_positional(const Opt *o) { return o->kind == OPT_PARAM || o->kind == OPT_PARAMS; }

static const Opt *find_in(const Opt *opts, const char *name, size_t len) {
  for (; opts->name; opts++) {
    if (!is_positional(opts) && strlen(opts->name) == len && strncmp(opts->name, name, len) == 0) return opts;
  }
  return NULL;
}

static const Opt *find(const Command *cmd, const char *name, size_t len) {
  const Opt *o = find_in(cmd->opts, name, len);
  if (!o && len == 2 && strncmp(name, "-h", 2) == 0) return find_in(common, "--help", 6);
  return o ? o : find_in(common, name, len);
}

static bool unknown(const Command *cmd, const char *name, size_t len, Diag *d) {
  const char *names[64], *typed = NULL;
  int n = 0;
  for (const Opt *o = cmd->opts; o->name && n < 60; o++) {
    if (!is_positional(o)) names[n++] = o->name;
  }
  for (const Opt *o = common; o->name; o++) names[n++] = o->name;
  names[n] = NULL;
  char copy[64];
  snprintf(copy, sizeof copy, "%.*s", (int)(len < 63 ? len : 63), name);
  diag_error(d, NULL, "mistify %s: unknown option %s", cmd->name, copy);
  typed = name_nearest(copy, names);
  if (typed) diag_hint(d, "did you mean %s?", typed);
  diag_hint(d, "mistify %s --help lists all options", cmd->name);
  return false;
}

static void list_add(Arena *a, ArgList *l, const char *v) {
  if (l->n == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 8;
    const char **more = arena_array(a, cap, sizeof *more);
    if (l->n) memcpy(more, l->v, l->n * sizeof *more);
    l->v = more;
    l->cap = cap;
  }
  l->v[l->n++] = v;
}

static bool set_int(const Command *cmd, const Opt *o, const char *text, int64_t *out, Diag *d) {
  char *end;
  errno = 0;
  long long v = strtoll(text, &end, 10);
  FAIL_IF(end == text || *end || errno || v < 0, d, NULL, "mistify %s: %s %s: want a whole number", cmd->name,
          o->name, text);
  *out = v;
  return true;
}

static bool set_float(const Command *cmd, const Opt *o, const char *text, double *out, Diag *d) {
  const char *want = unit_float(text, out);
  if (!want && *out < 0) want = "no negative number";
  FAIL_IF(want, d, NULL, "mistify %s: %s %s: want %s", cmd->name, o->name, text, want);
  return true;
}

/* Set option o; *i is the index of the last argument used. */
static bool set(Arena *a, const Command *cmd, const Opt *o, char *base, const char *inline_value, int argc,
                char **argv, int *i, Diag *d) {
  ArgList given;
  memcpy(&given, base + offsetof(CommonOpts, given), sizeof given);
  list_add(a, &given, o->name);
  memcpy(base + offsetof(CommonOpts, given), &given, sizeof given);
  if (o->kind == OPT_FLAG) {
    FAIL_IF(inline_value, d, NULL, "mistify %s: %s takes no value", cmd->name, o->name);
    memcpy(base + o->offset, &(bool){true}, sizeof(bool));
    return true;
  }
  const char *value = inline_value ? inline_value : *i + 1 < argc ? argv[++*i] : NULL;
  FAIL_IF(!value, d, NULL, "mistify %s: %s wants a value: %s", cmd->name, o->name, o->value);
  if (o->kind == OPT_INT) {
    int64_t v = 0;
    TRY(set_int(cmd, o, value, &v, d));
    memcpy(base + o->offset, &v, sizeof v);
  } else if (o->kind == OPT_FLOAT) {
    double v = 0;
    TRY(set_float(cmd, o, value, &v, d));
    memcpy(base + o->offset, &v, sizeof v);
  } else if (o->kind == OPT_STRING) {
    memcpy(base + o->offset, &value, sizeof value);
  } else {
    ArgList l;
    memcpy(&l, base + o->offset, sizeof l);
    list_add(a, &l, value);
    while (!inline_value && *i + 1 < argc && argv[*i + 1][0] != '-') list_add(a, &l, argv[++*i]);
    memcpy(base + o->offset, &l, sizeof l);
  }
  return true;
}

static bool positional(Arena *a, const Command *cmd, char *base, const char *value, Diag *d) {
  for (const Opt *o = cmd->opts; o->name; o++) {
    const char *have;
    if (o->kind == OPT_PARAMS) {
      ArgList l;
      memcpy(&l, base + o->offset, sizeof l);
      list_add(a, &l, value);
      memcpy(base + o->offset, &l, sizeof l);
      return true;
    }
    if (o->kind != OPT_PARAM) continue;
    memcpy(&have, base + o->offset, sizeof have);
    if (have) continue;
    memcpy(base + o->offset, &value, sizeof value);
    return true;
  }
  return diag_error(d, NULL, "mistify %s: \"%s\" is one argument too many", cmd->name, value);
}

static bool required(const Command *cmd, const char *base, Diag *d) {
  for (const Opt *o = cmd->opts; o->name; o++) {
    const char *have = NULL;
    if (!o->required) continue;
    memcpy(&have, base + o->offset,
           sizeof have); /* a pointer: string, positional, or a list's first member */
    if (have) continue;
    diag_error(d, NULL, "mistify %s: %s is missing: %s", cmd->name, o->name, o->doc);
    diag_hint(d, "mistify %s --help shows how it is used", cmd->name);
    return false;
  }
  return true;
}

void *args_parse(Arena *a, const Command *cmd, int argc, char **argv, Diag *d) {
  char *base = arena_alloc(a, cmd->size);
  bool options = true;
  for (int i = 2; i < argc; i++) {
    const char *s = argv[i];
    if (options && strcmp(s, "--") == 0) {
      options = false;
      continue;
    }
    if (!options || s[0] != '-' || !s[1]) {
      if (!positional(a, cmd, base, s, d)) return NULL;
      continue;
    }
    size_t len = s[1] == '-' ? strcspn(s, "=") : strlen(s);
    const Opt *o = find(cmd, s, len);
    if (!o) {
      unknown(cmd, s, len, d);
      return NULL;
    }
    if (!set(a, cmd, o, base, s[len] ? s + len + 1 : NULL, argc, argv, &i, d)) return NULL;
  }
  bool help;
  memcpy(&help, base + offsetof(CommonOpts, help), sizeof help);
  return help || required(cmd, base, d) ? base : NULL;
}

bool args_given(const CommonOpts *o, const char *name) {
  for (size_t i = 0; i < o->given.n; i++)
    if (strcmp(o->given.v[i], name) == 0) return true;
  return false;
}

static void print_opt(const Opt *o) {
  char left[64];
  snprintf(left, sizeof left, "%s%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "",
           o->kind == OPT_LIST || o->kind == OPT_PARAMS ? "..." : "");
  printf("  %-24s %s%s\n", left, o->doc, o->required ? " (required)" : "");
}

void args_help(const Command *cmd) {
  printf("usage: mistify %s", cmd->name);
  for (const Opt *o = cmd->opts; o->name; o++) {
    if (is_positional(o)) {
      printf("%s%s%s%s", o->required ? " " : " [", o->name, o->kind == OPT_PARAMS ? "..." : "",
             o->required ? "" : "]");
    } else if (o->required) {
      printf(" %s %s%s", o->name, o->value, o->kind == OPT_LIST ? "..." : "");
    }
  }
  printf(" [options]\n\n%s.\n", cmd->summary);
  if (cmd->help[0]) printf("\n%s\n", cmd->help);
  printf("\n");
  for (const Opt *o = cmd->opts; o->name; o++) print_opt(o);
  for (const Opt *o = common; o->name; o++) print_opt(o);
  if (cmd->examples[0]) printf("\nexamples:\n%s", cmd->examples);
}
