/* The error table as it is kept and asked; see table.h.
 *
 *   error-table 1 groups 2 units 48
 *   group "conv1" 16 readers 6: 3 0.0012 7 0.0031 ...
 */
#include "passes/allocate/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

void error_table_init(ErrorTable *t, uint32_t n_groups, uint32_t n_units) {
  *t = (ErrorTable){.n_groups = n_groups, .n_units = n_units};
  t->size = mem_array(n_groups, sizeof *t->size);
  t->readers = mem_array(n_groups, sizeof *t->readers);
  t->order = mem_array(n_units, sizeof *t->order);
  t->error = mem_array(n_units, sizeof *t->error);
}

void error_table_free(ErrorTable *t) {
  mem_free(t->size);
  mem_free(t->readers);
  mem_free(t->order);
  mem_free(t->error);
  *t = (ErrorTable){0};
}

double error_table_at(const ErrorTable *t, uint32_t g, uint32_t first, uint32_t width) {
  uint32_t gone = t->size[g] - width;
  return width == 0 ? INFINITY : gone == 0 ? 0 : t->error[first + gone - 1];
}

Blob *error_table_scores(const ErrorTable *t) {
  double *score = mem_array(t->n_units, sizeof *score);
  for (uint32_t g = 0, first = 0; g < t->n_groups; first += t->size[g++]) {
    double before = 0;
    for (uint32_t k = 0; k < t->size[g]; k++) {
      uint32_t i = first + k;
      double added = t->error[i] - (k ? t->error[i - 1] : 0);
      before = score[first + t->order[i]] = fmax(added, before * (1 + 1e-12) + 1e-300);
    }
  }
  return blob_adopt(score, t->n_units * sizeof *score);
}

ErrorTable error_table_weighted(const ErrorTable *t, double factor) {
  ErrorTable w;
  error_table_init(&w, t->n_groups, t->n_units);
  memcpy(w.size, t->size, t->n_groups * sizeof *w.size);
  memcpy(w.readers, t->readers, t->n_groups * sizeof *w.readers);
  memcpy(w.order, t->order, t->n_units * sizeof *w.order);
  for (uint32_t g = 0, i = 0; g < t->n_groups; g++)
    for (uint32_t k = 0; k < t->size[g]; k++, i++)
      w.error[i] = t->error[i] * (t->readers[g] > 2 ? factor : 1);
  return w;
}

void error_table_print(const Channels *c, const ErrorTable *t, StrBuf *out) {
  sb_printf(out, "error-table 1 groups %u units %u\n", t->n_groups, t->n_units);
  for (uint32_t g = 0, first = 0; g < t->n_groups; first += t->size[g++]) {
    sb_puts(out, "group ");
    sb_json_str(out, c->groups[g].name);
    sb_printf(out, " %u readers %u:", t->size[g], t->readers[g]);
    for (uint32_t k = 0; k < t->size[g]; k++)
      sb_printf(out, " %u %.17g", t->order[first + k], t->error[first + k]);
    sb_putc(out, '\n');
  }
}

/* Behind the quoted name of a group's line; NULL when it is none. */
static const char *skip_name(const char *line) {
  if (strncmp(line, "group \"", 7) != 0) return NULL;
  for (line += 7; *line && *line != '\n' && *line != '"'; line++)
    if (*line == '\\' && line[1]) line++;
  return *line == '"' && line[1] == ' ' ? line + 2 : NULL;
}

static bool parse_group(const char *line, const ChanGroup *gr, uint32_t *readers, uint32_t *order,
                        double *error) {
  char *end;
  const char *at = skip_name(line);
  if (!at || strtoul(at, &end, 10) != gr->n || strncmp(end, " readers ", 9) != 0) return false;
  *readers = (uint32_t)strtoul(end + 9, &end, 10);
  if (*end != ':') return false;
  bool *seen = mem_array(gr->n, sizeof *seen), ok = true;
  at = end + 1;
  for (uint32_t k = 0; ok && k < gr->n; k++) {
    order[k] = (uint32_t)strtoul(at, &end, 10);
    ok = end != at && order[k] < gr->n && !seen[order[k]];
    if (!ok) break;
    seen[order[k]] = true;
    at = end;
    error[k] = strtod(at, &end);
    ok = end != at && error[k] >= (k ? error[k - 1] : 0);
    at = end;
  }
  mem_free(seen);
  return ok && *at == '\n';
}

bool error_table_parse(const char *text, const Channels *c, ErrorTable *out, Diag *d) {
  char head[80];
  snprintf(head, sizeof head, "error-table 1 groups %u units %u\n", c->n_groups, c->n_units);
  FAIL_IF(strncmp(text, head, strlen(head)) != 0, d, NULL,
          "error table: begins \"%.*s\", want \"%.*s\" for this graph", (int)strcspn(text, "\n"), text,
          (int)strlen(head) - 1, head);
  error_table_init(out, c->n_groups, c->n_units);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    const ChanGroup *gr = &c->groups[g];
    text = strchr(text, '\n') + 1;
    out->size[g] = gr->n;
    if (!parse_group(text, gr, &out->readers[g], out->order + gr->first, out->error + gr->first)) {
      error_table_free(out);
      return diag_error(
          d, NULL,
          "error table: line %u: want group \"NAME\" %u readers N: and %u units, each with its error", g + 2,
          gr->n, gr->n);
    }
  }
  return true;
}
