/* Models that adapt on the device: a table of parts, each of which shows something.
 *
 *   make bench-adapt                          all parts -> bench/results/adapt.json; goes on where it was stopped
 *   build/release/bench/adapt -p PART...      these alone, anew; no result file
 *                             -q              a fraction of the work: does it run? no result file
 *                             -n              all parts anew
 *                             -l              the parts
 *
 * A part that ended keeps its rows in build/bench/adapt/NAME/rows.json, with the hash of the program that made them: another
 * program makes them anew. What parts keep beside it is theirs to check.
 */
#include "bench/adapt.h"

#include <unistd.h>

#include "ir/base/mem.h"

#define FOLDER "build/bench/adapt"

typedef struct Part {
  const char *name, *doc;
  void (*run)(Adapt *ad);
} Part;
static const Part parts[] = {
#define PART(name, doc) {#name, doc, part_##name},
#include "bench/adapt/parts.def"
#undef PART
    {NULL, NULL, NULL}};

typedef struct Options {
  bool quick, anew, whole;
  bool chosen[sizeof parts / sizeof *parts];
} Options;

/* -- rows -- */

static double or_nan(const Json *row, const char *key) { return json_get_num(row, key, NAN); }

static void put_row(JsonWriter *w, const Row *r) {
  json_object(w);
  json_kstr(w, "case", r->name);
  json_kstr(w, "metric", r->metric);
  json_knum(w, "value", r->value);
  json_kstr(w, "unit", r->unit);
  json_kstr(w, "better", r->better);
  if (r->peer) json_kstr(w, "peer", r->peer);
  if (r->peer) json_knum(w, "peer_value", r->peer_value);
  if (!isnan(r->aim)) json_knum(w, "aim", r->aim);
  json_kstr(w, "how", r->how);
  json_end(w);
}

void adapt_row(Adapt *ad, const Row *r) {
  printf("%-30s %-46s %12.4g %-8s", r->name, r->metric, r->value, r->unit);
  if (!isnan(r->aim)) printf("  aim %g", r->aim);
  printf("\n");
  fflush(stdout);
  put_row(ad->rows, r);
}

void adapt_figure(Adapt *ad, const char *name, const char *metric, double value, const char *unit,
                  const char *better, const char *how) {
  adapt_row(ad, &(Row){.name = name,
                       .metric = metric,
                       .value = value,
                       .unit = unit,
                       .better = better,
                       .how = how,
                       .aim = NAN});
}

void adapt_skip(Adapt *ad, const char *why) {
  ad->skipped = true;
  printf("%s: skipped: %s\n", ad->folder, why);
}

Split adapt_glyphs(const Adapt *ad, const char *data, uint32_t first, uint32_t n, CorruptKind kind) {
  const SplitSpec spec = {.kind = "npy",
                          .x = path_join(ad->a, data, "val_x.npy"),
                          .y = path_join(ad->a, data, "val_y.npy"),
                          .first = first,
                          .count = n};
  Split s, out = {0};
  bench_must(ad->b, split_open(&spec, &s, ad->b->d));
  if (kind == CORRUPT_KINDS) return s;
  bench_must(ad->b, corrupt_split(&s, kind, ADAPT_SEVERITY, 1 + first, &out, ad->b->d));
  split_close(&s);
  return out;
}

const char *adapt_family_folder(const Adapt *ad) {
  return ad->quick ? FOLDER "/family/quick/family/family" : FOLDER "/family/full/family/family";
}

const char *adapt_variant(const Adapt *ad, const char *kind, int k) {
  return arena_printf(ad->a, "%s/%s%d.mistify", adapt_family_folder(ad), kind, k);
}

Graph *adapt_model(Adapt *ad, int k) {
  const char *path = adapt_variant(ad, "variant", k);
  Blob *bytes = file_exists(path) ? blob_map(path) : NULL;
  if (!bytes) {
    adapt_skip(ad, "want what part \"family\" leaves");
    return NULL;
  }
  Graph *g = graph_deserialize(bytes, path, ad->b->d);
  blob_unref(bytes);
  bench_must(ad->b, g != NULL);
  return g;
}

uint8_t *adapt_confidence(const Scores *s, float scale) {
  uint8_t *out = mem_array(s->n, 1);
  for (uint32_t i = 0; i < s->n; i++) {
    const float *x = s->out + (size_t)i * s->classes;
    float best = -INFINITY, next = -INFINITY;
    for (uint32_t k = 0; k < s->classes; k++) {
      if (x[k] > best)
        next = best, best = x[k];
      else if (x[k] > next)
        next = x[k];
    }
    out[i] = (uint8_t)lrintf((best - next) / scale);
  }
  return out;
}

/* -- parts that ended -- */

static const char *program_key(Bench *b, Arena *a) {
  char hex[HASH_HEX];
  size_t n;
  const char *text = file_read(a, "/proc/self/exe", &n, b->d);
  bench_must(b, text != NULL);
  hash_hex(hash_bytes(text, n), hex);
  return arena_strdup(a, hex);
}

/* The rows of a part that this program made to its end; NULL: none. */
static const Json *rows_kept(Arena *a, const char *path, const char *key) {
  Diag *quiet = diag_new();
  size_t n = 0;
  const char *text = file_exists(path) ? file_read(a, path, &n, quiet) : NULL;
  const Json *kept = text ? json_parse(a, text, n, path, quiet) : NULL;
  diag_free(quiet);
  return kept && strcmp(json_get_str(kept, "program", ""), key) == 0 ? json_get(kept, "rows") : NULL;
}

static void copy_rows(Bench *b, const Json *rows) {
  for (const Json *r = rows->first; r; r = r->next)
    put_row(&b->w, &(Row){.name = json_get_str(r, "case", ""),
                          .metric = json_get_str(r, "metric", ""),
                          .value = or_nan(r, "value"),
                          .unit = json_get_str(r, "unit", ""),
                          .better = json_get_str(r, "better", ""),
                          .peer = json_get_str(r, "peer", NULL),
                          .peer_value = or_nan(r, "peer_value"),
                          .aim = or_nan(r, "aim"),
                          .how = json_get_str(r, "how", "")});
}

static void run_part(Bench *b, Arena *a, const Part *p, const Options *o, const char *key) {
  const char *folder = arena_printf(a, FOLDER "/%s", p->name);
  const char *path = arena_printf(a, "%s/rows.json", folder);
  StrBuf text = {0};
  JsonWriter w;
  Adapt ad = {.b = b, .a = a, .folder = folder, .program = key, .quick = o->quick, .rows = &w};
  bench_must(b, file_make_dirs(folder, b->d));
  json_begin(&w, &text, true);
  json_object(&w);
  json_kstr(&w, "program", key);
  json_karray(&w, "rows");
  p->run(&ad);
  json_end(&w);
  json_end(&w);
  if (!o->quick && !ad.skipped) bench_must(b, file_write(path, sb_str(&text), text.len, b->d));
  sb_free(&text);
}

/* How many parts have no rows. */
static int run_parts(Bench *b, Arena *a, const Options *o) {
  const char *key = program_key(b, a);
  int without = 0;
  for (int i = 0; parts[i].name; i++) {
    const char *path = arena_printf(a, FOLDER "/%s/rows.json", parts[i].name);
    if (!o->whole && !o->chosen[i]) continue;
    const Json *kept = o->whole && !o->anew && !o->quick ? rows_kept(a, path, key) : NULL;
    printf("-- %s: %s%s\n", parts[i].name, parts[i].doc, kept ? " (kept)" : "");
    if (!kept) run_part(b, a, &parts[i], o, key);
    if (!kept) kept = rows_kept(a, path, key);
    if (kept)
      copy_rows(b, kept);
    else
      without++;
  }
  return without;
}

/* -- command line -- */

static int part_find(const char *name) {
  for (int i = 0; parts[i].name; i++)
    if (strcmp(parts[i].name, name) == 0) return i;
  return -1;
}

static void list_parts(FILE *f) {
  for (int i = 0; parts[i].name; i++) fprintf(f, "  %-12s %s\n", parts[i].name, parts[i].doc);
}

static bool read_options(int argc, char **argv, Options *o) {
  *o = (Options){.whole = true};
  for (int k; (k = getopt(argc, argv, "p:qnl")) != -1;) {
    const int part = k == 'p' ? part_find(optarg) : 0;
    if (k == '?' || part < 0) return false;
    if (k == 'p') o->chosen[part] = true, o->whole = false;
    if (k == 'q') o->quick = true;
    if (k == 'n') o->anew = true;
    if (k == 'l') {
      list_parts(stdout);
      exit(0);
    }
  }
  return optind == argc;
}

int main(int argc, char **argv) {
  Options o;
  if (!read_options(argc, argv, &o)) {
    fprintf(stderr, "usage: %s [-q] [-n] [-l] [-p PART]...\n", argv[0]);
    list_parts(stderr);
    return 1;
  }
  Arena *a = arena_new();
  Bench b;
  bench_open(&b, "adapt", 2);
  const int without = run_parts(&b, a, &o);
  const bool write = o.whole && !o.quick && without == 0;
  bench_close(&b, write);
  if (o.whole && !o.quick && without) printf("adapt: %d parts were skipped\n", without);
  if (!write) printf("adapt: no result file: it is of all parts as a whole\n");
  arena_free(a);
  return 0;
}
