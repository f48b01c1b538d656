/* Pruning plans as text, and plans of one graph as plans of another.
 *
 *   prune-plan 1 groups 2 units 48
 *   group "conv1" 16: 0-3 5 7-9
 *   group "layer2.0.conv1" 32: 0-31
 *
 * Units are counted from 0 within their group. The name is for people; groups are known by their order.
 */
#include "passes/prune.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

static void plan_alloc(PrunePlan *p, uint32_t n_groups, uint32_t n_units) {
  *p = (PrunePlan){.n_groups = n_groups, .n_units = n_units, .met = true};
  p->size = mem_array(n_groups, sizeof *p->size);
  p->kept = mem_array(n_groups, sizeof *p->kept);
  p->keep = mem_array(n_units, sizeof *p->keep);
}

void prune_plan_free(PrunePlan *p) {
  mem_free(p->size);
  mem_free(p->kept);
  mem_free(p->keep);
  *p = (PrunePlan){0};
}

void prune_plan_all(const Channels *c, PrunePlan *out) {
  plan_alloc(out, c->n_groups, c->n_units);
  memset(out->keep, 1, c->n_units);
  for (uint32_t g = 0; g < c->n_groups; g++) out->size[g] = out->kept[g] = c->groups[g].n;
}

/* ---- text */

static void print_kept(const uint8_t *keep, uint32_t n, StrBuf *out) {
  for (uint32_t i = 0; i < n; i++) {
    if (!keep[i]) continue;
    uint32_t last = i;
    while (last + 1 < n && keep[last + 1]) last++;
    sb_printf(out, " %u", i);
    if (last > i) sb_printf(out, "-%u", last);
    i = last;
  }
}

void prune_plan_print(const Channels *c, const PrunePlan *p, StrBuf *out) {
  sb_printf(out, "prune-plan 1 groups %u units %u\n", p->n_groups, p->n_units);
  for (uint32_t g = 0, first = 0; g < p->n_groups; first += p->size[g++]) {
    sb_puts(out, "group ");
    sb_json_str(out, c->groups[g].name);
    sb_printf(out, " %u:", p->size[g]);
    print_kept(p->keep + first, p->size[g], out);
    sb_putc(out, '\n');
  }
}

static bool parse_number(const char **at, uint32_t *out) {
  char *end;
  if (**at < '0' || **at > '9') return false;
  unsigned long v = strtoul(*at, &end, 10);
  if (v > UINT32_MAX) return false;
  *out = (uint32_t)v;
  *at = end;
  return true;
}

/* " 0-3 5 7-9" up to the end of the line; false: malformed, or no unit of the group. */
static bool parse_kept(const char *at, uint8_t *keep, uint32_t n) {
  while (*at == ' ') {
    uint32_t from, to;
    at++;
    if (!parse_number(&at, &from)) return false;
    to = from;
    if (*at == '-') {
      at++;
      if (!parse_number(&at, &to)) return false;
    }
    if (from > to || to >= n) return false;
    memset(keep + from, 1, to - from + 1);
  }
  return *at == '\n' || *at == 0;
}

/* Behind the quoted name of a group line; NULL when it is none. */
static const char *skip_name(const char *line) {
  if (strncmp(line, "group \"", 7) != 0) return NULL;
  for (line += 7; *line && *line != '\n' && *line != '"'; line++)
    if (*line == '\\' && line[1]) line++;
  return *line == '"' && line[1] == ' ' ? line + 2 : NULL;
}

static bool parse_group(const char *line, const Channels *c, uint32_t g, PrunePlan *p, Diag *d) {
  const ChanGroup *gr = &c->groups[g];
  const char *at = skip_name(line);
  uint32_t size;
  FAIL_IF(!at || !parse_number(&at, &size) || *at != ':', d, NULL,
          "pruning plan: line %u: want group \"NAME\" SIZE: ...", g + 2);
  FAIL_IF(size != gr->n, d, NULL, "pruning plan: line %u: a group of %u units, but the graph's \"%s\" has %u",
          g + 2, size, gr->name, gr->n);
  FAIL_IF(!parse_kept(at + 1, p->keep + gr->first, gr->n), d, NULL,
          "pruning plan: line %u: want units of 0 to %u, as in \"0-3 5\"", g + 2, gr->n - 1);
  for (uint32_t i = 0; i < gr->n; i++) p->kept[g] += p->keep[gr->first + i];
  return true;
}

static bool parse_groups(const char *text, const Channels *c, PrunePlan *p, Diag *d) {
  for (uint32_t g = 0; g < c->n_groups; g++) {
    text = strchr(text, '\n');
    FAIL_IF(!text || !text[1], d, NULL, "pruning plan: ends after %u groups, want %u", g, c->n_groups);
    TRY(parse_group(++text, c, g, p, d));
    p->size[g] = c->groups[g].n;
  }
  text = strchr(text, '\n');
  FAIL_IF(text && text[1], d, NULL, "pruning plan: goes on after its %u groups", c->n_groups);
  return true;
}

bool prune_plan_parse(const char *text, const Channels *c, PrunePlan *out, Diag *d) {
  StrBuf head = {0};
  sb_printf(&head, "prune-plan 1 groups %u units %u\n", c->n_groups, c->n_units);
  bool fits =
      strncmp(text, head.s, head.len) == 0 || (c->n_groups == 0 && strncmp(text, head.s, head.len - 1) == 0);
  plan_alloc(out, c->n_groups, c->n_units);
  if (!fits)
    diag_error(d, NULL, "pruning plan: begins \"%.*s\", want \"%.*s\" for this graph",
               (int)strcspn(text, "\n"), text, (int)head.len - 1, head.s);
  sb_free(&head);
  if (fits && parse_groups(text, c, out, d)) return true;
  prune_plan_free(out);
  return false;
}

/* ---- relative plans */

bool prune_plan_relative(const PrunePlan *loose, const PrunePlan *tight, PrunePlan *out, Diag *d) {
  FAIL_IF(loose->n_groups != tight->n_groups || loose->n_units != tight->n_units, d, NULL,
          "the two pruning plans are of different graphs: %u units and %u", loose->n_units, tight->n_units);
  uint32_t units = 0;
  for (uint32_t u = 0; u < loose->n_units; u++) {
    FAIL_IF(tight->keep[u] && !loose->keep[u], d, NULL,
            "the tighter pruning plan keeps unit %u, which is gone already", u);
    units += loose->keep[u];
  }
  plan_alloc(out, loose->n_groups, units);
  for (uint32_t g = 0, u = 0, to = 0; g < loose->n_groups; g++) {
    out->size[g] = loose->kept[g];
    for (uint32_t i = 0; i < loose->size[g]; i++, u++) {
      if (!loose->keep[u]) continue;
      out->keep[to++] = tight->keep[u];
      out->kept[g] += tight->keep[u];
    }
  }
  out->met = tight->met;
  out->before = loose->after;
  out->after = tight->after;
  return true;
}
