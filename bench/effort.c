/* What a person writes, types and decides for 1, 12 and 40 targets of the label reader: with mistify, and by hand.
 *
 *   make bench-effort                       counts, and writes bench/results/effort.json
 *   BENCH_EFFORT_RUN=1 make bench-effort    runs the ports by hand before (bench/effort/ports.jsonl): Debian's python3-torch
 *                                           and python3-onnx, the example's data, some minutes
 *
 *   ours      examples/01-label-reader/design.yaml; a deploy.yaml of 1 target (bench/effort/deploy-1.yaml), of the forty
 *             requests of bench/collective/targets.def, of twelve of them (written here as a person would)
 *   by hand   bench/effort: all that the first target takes; for each further one the mean of what the second and the third
 *             took beyond it
 *
 * bench/effort/README.md says what is counted and what is not.
 */
#include <math.h>

#include "bench/compress_common.h"
#include "bench/effort_count.h"
#include "frontend/config/deploy.h"
#include "ir/base/mem.h"

#define HERE    "bench/effort/"
#define FOLDER  "build/bench/effort/"
#define DESIGN  "examples/01-label-reader/design.yaml"
#define COMMAND "mistify tailor deploy.yaml"

enum { PORTS = 3, REQUESTS = 40 };

/* What a target takes. `edited`: tokens where what resembles an earlier target is a copy of it, edited. */
typedef struct Effort {
  double full, edited, decisions, commands, tries;
} Effort;

typedef struct Request {
  const char *board;
  long long macs, flash, ram, cycles;
} Request;
static const Request requests[] = {
#define TARGET(n, board, macs, flash, ram, cycles) [n] = {board, macs, flash, ram, cycles},
#define ADDED(n, board, macs, flash, ram, cycles)
#include "bench/collective/targets.def"
};

/* Files of the ports in the order in which they were written. `from`: what the file was copied from. */
static const struct PortFile {
  int port;
  const char *name, *from;
} files[] = {
    {0, "port.py", NULL},
    {0, "net.c", NULL},
    {0, "bare.c", NULL},
    {0, "bare.ld", NULL},
    {0, "microbit.ld", NULL},
    {0, "sensor.py", NULL},
    {1, "mps2.ld", "microbit.ld"},
    {1, "handheld.py", "sensor.py"},
    {2, "gateway.py", "handheld.py"},
};
enum { FILES = sizeof files / sizeof *files };
static const char *const ports[PORTS] = {"sensor", "handheld", "gateway"};

typedef struct Run {
  Bench b;
  Arena *a;
} Run;

static const char *read_text(const Run *r, const char *path) {
  const char *text = file_read(r->a, path, NULL, r->b.d);
  bench_must(&r->b, text != NULL);
  return text;
}

/* -- ours -- */

static const char *limits_of(const Run *r, const Request *q) {
  const struct {
    const char *key;
    long long value;
  } all[] = {{"macs", q->macs}, {"flash", q->flash}, {"ram", q->ram}, {"cycles", q->cycles}};
  const char *text = "";
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].value)
      text = arena_printf(r->a, "%s%s%s: %lld", text, *text ? ", " : "", all[i].key, all[i].value);
  return text;
}

/* The floor stands for the ports' own: targets.def has none, but no port is without. */
static const char *entry(const Run *r, int i) {
  return arena_printf(r->a, "  - {name: t%02d, board: %s, limits: {%s}, accuracy: {min: %d%%}}\n", i,
                      requests[i].board, limits_of(r, &requests[i]), i < REQUESTS / 2 ? 90 : 75);
}

/* The k-th of n of the forty. */
static int chosen(int k, int n) { return k * REQUESTS / n; }

static void add_text(const Run *r, Effort *e, const char *text) {
  const Tokens t = effort_tokens(r->a, LANG_YAML, text);
  e->full += t.n;
  e->edited += t.n;
  e->decisions += t.decisions;
}

static void add_entries(const Run *r, Effort *e, int n) {
  Tokens t[REQUESTS];
  for (int k = 0; k < n; k++) {
    t[k] = effort_tokens(r->a, LANG_YAML, entry(r, chosen(k, n)));
    int least = t[k].n;
    for (int j = 0; j < k; j++) {
      const int anew = effort_difference(&t[j], &t[k]);
      if (anew < least) least = anew;
    }
    e->full += t[k].n;
    e->edited += least;
    e->decisions += t[k].decisions;
  }
}

/* What mistify is to read must be readable. */
static void check_deploy(const Run *r, const char *path, int n) {
  const Deploy *dep = deploy_load(r->a, path, r->b.d);
  bench_must(&r->b, dep != NULL);
  if (dep->n_targets != n)
    bench_must(&r->b, diag_error(r->b.d, NULL, "%s: %d targets, not %d", path, dep->n_targets, n));
}

static void write_deploy(const Run *r, const char *head, int n) {
  StrBuf text = {0};
  const char *path = arena_printf(r->a, FOLDER "deploy-%d.yaml", n);
  sb_puts(&text, head);
  for (int k = 0; k < n; k++) sb_puts(&text, entry(r, chosen(k, n)));
  bench_must(&r->b, file_make_dirs(FOLDER, r->b.d) && file_write(path, sb_str(&text), text.len, r->b.d));
  sb_free(&text);
  check_deploy(r, path, n);
}

static Effort ours(const Run *r, int n) {
  static const char head[] = "design: ../../../" DESIGN "\nseed: 1\n\ntargets:\n";
  const Tokens command = effort_tokens(r->a, LANG_SHELL, COMMAND);
  Effort e = {.full = command.n, .edited = command.n, .commands = 1, .tries = 1};
  add_text(r, &e, read_text(r, DESIGN));
  if (n == 1) {
    check_deploy(r, HERE "deploy-1.yaml", 1);
    add_text(r, &e, read_text(r, HERE "deploy-1.yaml"));
  } else {
    write_deploy(r, head, n);
    add_text(r, &e, head);
    add_entries(r, &e, n);
  }
  return e;
}

/* -- by hand -- */

static void add_file(const Run *r, Effort *e, const struct PortFile *f) {
  const char *path = arena_printf(r->a, HERE "%s", f->name), *text = read_text(r, path);
  const Tokens t = effort_tokens(r->a, effort_language(path), text);
  e->full += t.n;
  if (!f->from) {
    e->edited += t.n;
    e->decisions += t.decisions;
    return;
  }
  const char *before = read_text(r, arena_printf(r->a, HERE "%s", f->from));
  const Tokens old = effort_tokens(r->a, effort_language(path), before);
  e->edited += effort_difference(&old, &t);
  e->decisions += effort_new_decisions(before, text);
}

/* Lines of tries.tsv that begin with the port's name. */
static int tries(const Run *r, const char *port) {
  int n = 0;
  const size_t len = strlen(port);
  for (const char *p = read_text(r, HERE "tries.tsv"); *p; p += strcspn(p, "\n"), p += *p == '\n')
    n += strncmp(p, port, len) == 0 && p[len] == '\t';
  return n;
}

static Effort by_hand(const Run *r, int port) {
  const char *command = arena_printf(r->a, "python3 %s.py", ports[port]);
  const Tokens t = effort_tokens(r->a, LANG_SHELL, command);
  Effort e = {.full = t.n, .edited = t.n, .commands = 1, .tries = tries(r, ports[port])};
  for (int i = 0; i < FILES; i++)
    if (files[i].port == port) add_file(r, &e, &files[i]);
  return e;
}

/* The first, and n - 1 times the mean of the others. */
static double charged(double first, double second, double third, int n) {
  return first + (n - 1) * (second + third) / 2;
}

/* -- do the ports work? -- */

static void run_ports(const Run *r) {
  StrBuf out = {0};
  for (int i = 0; i < PORTS; i++) {
    char line[1000];
    printf("python3 %s.py ...\n", ports[i]);
    first_line(arena_printf(r->a, "cd " HERE " && /usr/bin/python3 -B %s.py", ports[i]), line, sizeof line);
    if (!*line) bench_must(&r->b, diag_error(r->b.d, NULL, "effort: %s.py failed", ports[i]));
    sb_printf(&out, "%s\n", line);
  }
  bench_must(&r->b, file_write(HERE "ports.jsonl", sb_str(&out), out.len, r->b.d));
  sb_free(&out);
}

static void port_rows(Run *r, const Json *v) {
  static const struct {
    const char *key, *unit, *better;
    double factor;
  } all[] = {{"accuracy", "%", "higher", 100},
             {"macs", "MACs", "lower", 1},
             {"flash", "bytes", "lower", 1},
             {"ram", "bytes", "lower", 1}};
  const char *name = arena_printf(r->a, "port by hand: %s", json_get_str(v, "name", "?"));
  const char *how = json_get_bool(v, "met", false) ? "limits and floor met" : "limits or floor NOT met";
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    bench_row(&r->b, &(Row){.name = name,
                            .metric = all[i].key,
                            .unit = all[i].unit,
                            .better = all[i].better,
                            .how = arena_printf(r->a, "validation, int8; whole program as linked; %s", how),
                            .value = all[i].factor * json_get_num(v, all[i].key, 0),
                            .aim = NAN});
}

static void print_ports(Run *r) {
  const char *p = read_text(r, HERE "ports.jsonl");
  for (size_t n; *p; p += n + (p[n] == '\n')) {
    n = strcspn(p, "\n");
    const Json *v = json_parse(r->a, p, n, HERE "ports.jsonl", r->b.d);
    bench_must(&r->b, v != NULL);
    port_rows(r, v);
  }
}

/* -- the table -- */

static void compare(Run *r, int n, const char *what, double mine, double theirs) {
  const char *name = arena_printf(r->a, "%d target%s", n, n == 1 ? "" : "s");
  bench_row(&r->b, &(Row){.name = name,
                          .metric = what,
                          .unit = "",
                          .better = "lower",
                          .how = "bench/effort/README.md",
                          .value = mine,
                          .aim = NAN,
                          .peer = "by hand",
                          .peer_value = theirs});
  bench_row(&r->b, &(Row){.name = name,
                          .metric = arena_printf(r->a, "%s: by hand / mistify", what),
                          .unit = "x",
                          .better = "higher",
                          .how = "further targets by hand: mean of the second and the third",
                          .value = theirs / mine,
                          .aim = n == 1    ? 10
                                 : n == 40 ? 100
                                           : NAN});
}

static void compare_all(Run *r, const Effort *hand, int n) {
  const Effort mine = ours(r, n), *a = &hand[0], *b = &hand[1], *c = &hand[2];
  compare(r, n, "tokens, written in full", mine.full, charged(a->full, b->full, c->full, n));
  compare(r, n, "tokens, copied and edited", mine.edited, charged(a->edited, b->edited, c->edited, n));
  compare(r, n, "decisions", mine.decisions, charged(a->decisions, b->decisions, c->decisions, n));
  compare(r, n, "commands, each right at once", mine.commands,
          charged(a->commands, b->commands, c->commands, n));
  compare(r, n, "commands, as tried", mine.tries, charged(a->tries, b->tries, c->tries, n));
}

static void further(const Effort *hand) {
  for (int i = 0; i < PORTS; i++)
    printf("%-9s %s: %4.0f tokens in full, %4.0f edited, %2.0f decisions, %.0f tries\n", ports[i],
           i ? "beyond those before" : "all that it takes   ", hand[i].full, hand[i].edited,
           hand[i].decisions, hand[i].tries);
}

int main(void) {
  static const int numbers[] = {1, 12, 40};
  Run r = {.a = arena_new()};
  const char *run = getenv("BENCH_EFFORT_RUN");
  bench_open(&r.b, "effort", 1);
  const char *none = bench_no_glyphs(r.a); /* which our files name */
  if (none) bench_must(&r.b, diag_error(r.b.d, NULL, "%s", none));
  if (run && *run) run_ports(&r);
  Effort hand[PORTS];
  for (int i = 0; i < PORTS; i++) hand[i] = by_hand(&r, i);
  further(hand);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) compare_all(&r, hand, numbers[i]);
  print_ports(&r);
  bench_close(&r.b, true);
  arena_free(r.a);
  return 0;
}
