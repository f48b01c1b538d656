/* Makes the data set of the label reader: pictures of single printed characters as a small camera
 * sees them, with the fonts and the cameras of the three splits kept apart.
 *
 *   fonts.def --> glyphs.c --> scene.c --> camera.c --> DIR/train_x.npy train_y.npy val_... test_...
 *                 62 glyphs    a line of   what one     classes.txt
 *                 per font     print       camera sees
 *
 * Picture i of a split depends on the seed, the split and i alone: not on the number of threads,
 * nor on how many pictures are asked for.  Labels come in shuffled rounds of 62, so that any long
 * enough piece of a split is balanced.  Files are written beside their names and renamed when all
 * are complete.
 *
 * Build:  gcc -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -pthread -o make_data examples/01-label-reader/[a-z]*.c -lm
 * Source: the .npy format, version 1.0: NumPy Enhancement Proposal 1.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stb/stb_image_write.h>

#include "camera.h"
#include "glyphs.h"
#include "rng.h"
#include "scene.h"

enum {
  CHUNK = 2048, /* pictures between two writes */
  THREADS = 2,  /* of any number the result is the same */
  COUNT_MAX = 10000000,
  LABELS = SPLITS /* the kind of random stream that shuffles labels; a split's is its number */
};

typedef struct Options {
  const char *out, *preview, *fonts;
  long long count[SPLITS];
  uint64_t seed;
} Options;

static const char *const split_names[SPLITS] = {"train", "val", "test"};

static const char usage[] =
    "usage: make_data --out DIR [options]\n"
    "\n"
    "Draws the label reader's data set: 62 classes (0-9, A-Z, a-z), 32x32 grey pictures of printed\n"
    "characters with cut neighbours, blur, noise, uneven light and JPEG blocks.\n"
    "\n"
    "  --out DIR       write train_x.npy (uint8 [N,32,32,1]), train_y.npy (int64 [N], the class),\n"
    "                  the same for val and test, and classes.txt; DIR is made if need be\n"
    "  --train N       pictures of the training split   (default 40000; 0: leave it out)\n"
    "  --val N         of the validation split          (default 4000)\n"
    "  --test N        of the test split                (default 8000)\n"
    "  --seed S        another seed draws another data set (default 1)\n"
    "  --preview FILE  a sheet of samples as FILE (.png), four of each class and split;\n"
    "                  works with or without --out\n"
    "  --fonts DIR     where Debian's fonts are (default /usr/share/fonts)\n"
    "  --help          this text\n"
    "\n"
    "Fonts and cameras of the test split are used in no other split; the same holds for validation.\n"
    "The same seed, counts and versions of the font packages give the same bytes on every machine.\n"
    "A larger N only appends: the first pictures stay.\n"
    "\n"
    "Look first, then make the data:\n"
    "  make_data --preview sheet.png\n"
    "  make_data --out data\n"
    "\n"
    "Exit status: 0 done, 1 your input or the system is at fault (the message says how to mend it).\n";

/* ---- files ---- */

/* A file that is written as NAME.part in DIR and gets its name when it is complete. */
typedef struct OutFile {
  char name[1024], part[1040];
  FILE *f;
} OutFile;

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
  (void)number;
  stopped = 1;
}

static bool write_fails(const OutFile *o) {
  fprintf(stderr, "make_data: %s: %s\n", o->part, strerror(errno));
  return false;
}

static bool open_out(OutFile *o, const char *dir, const char *name) {
  int n = snprintf(o->name, sizeof o->name, "%s/%s", dir, name);

  if (n < 0 || n >= (int)sizeof o->name) {
    fprintf(stderr, "make_data: --out: the folder's name is too long\n");
    return false;
  }
  snprintf(o->part, sizeof o->part, "%s.part", o->name);
  o->f = fopen(o->part, "wb");
  return o->f != NULL || write_fails(o);
}

static bool write_bytes(OutFile *o, const void *p, size_t n) {
  return fwrite(p, 1, n, o->f) == n || write_fails(o);
}

/* The header is padded so that the data begins at a multiple of 64 bytes. */
static bool write_npy_header(OutFile *o, const char *dtype, const char *shape) {
  char h[128];
  int n;

  memset(h, ' ', sizeof h);
  memcpy(h, "\x93NUMPY\x01\x00\x76\x00", 10); /* 0x76 = 118 bytes follow */
  n = snprintf(h + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, shape);
  h[10 + n] = ' ';
  h[127] = '\n';
  return write_bytes(o, h, sizeof h);
}

static bool close_out(OutFile *o) {
  FILE *f = o->f;
  bool good = fflush(f) == 0 && fsync(fileno(f)) == 0;

  o->f = NULL;
  if (fclose(f) != 0 || !good) return write_fails(o);
  return true;
}

static bool publish(OutFile *o, int n) {
  for (int i = 0; i < n; i++)
    if (rename(o[i].part, o[i].name) != 0) return write_fails(&o[i]);
  return true;
}

static void discard(OutFile *o, int n) {
  for (int i = 0; i < n; i++) {
    if (o[i].f != NULL) fclose(o[i].f);
    remove(o[i].part);
  }
}

/* ---- pictures ---- */

typedef struct Chunk {
  uint8_t x[CHUNK][FRAME * FRAME];
  uint8_t y[CHUNK][8]; /* little-endian int64 */
} Chunk;

typedef struct Job {
  const GlyphSet *set;
  Chunk *chunk;
  Split split;
  uint64_t seed;
  long long first;
  int count, begin;
} Job;

/* Place INDEX % 62 of a shuffle of all classes; each round of 62 pictures has its own. */
static int label_of(uint64_t seed, Split split, long long index) {
  Rng rng = rng_stream(seed, LABELS + (uint64_t)split, (uint64_t)(index / CLASSES));
  int order[CLASSES];

  for (int i = 0; i < CLASSES; i++) {
    int j = rng_below(&rng, i + 1);

    order[i] = order[j];
    order[j] = i;
  }
  return order[index % CLASSES];
}

static void draw(const GlyphSet *set, Split split, uint64_t seed, long long index, int label, uint8_t *out) {
  Rng rng = rng_stream(seed, (uint64_t)split, (uint64_t)index);
  Scene scene;

  scene_make(&scene, set, split, label, &rng);
  camera_expose(&scene, split, out, &rng);
}

/* Every THREADS-th picture of the chunk. */
static void *work(void *arg) {
  const Job *job = arg;

  for (int i = job->begin; i < job->count && !stopped; i += THREADS) {
    int label = label_of(job->seed, job->split, job->first + i);

    draw(job->set, job->split, job->seed, job->first + i, label, job->chunk->x[i]);
    memset(job->chunk->y[i], 0, sizeof job->chunk->y[i]);
    job->chunk->y[i][0] = (uint8_t)label;
  }
  return NULL;
}

static void draw_chunk(Job job) {
  pthread_t thread[THREADS];
  Job part[THREADS];
  bool runs[THREADS];

  for (int t = 1; t < THREADS; t++) {
    part[t] = job;
    part[t].begin = t;
    runs[t] = pthread_create(&thread[t], NULL, work, &part[t]) == 0;
  }
  job.begin = 0;
  work(&job);
  for (int t = 1; t < THREADS; t++)
    if (runs[t])
      pthread_join(thread[t], NULL);
    else
      work(&part[t]);
}

static void show_progress(Split split, long long done, long long all) {
  if (isatty(STDERR_FILENO))
    fprintf(stderr, "\r%-5s %lld of %lld%s", split_names[split], done, all, done == all ? "\n" : "");
}

static bool write_split(const Options *opt, const GlyphSet *set, Split split, OutFile *xy) {
  static Chunk chunk;
  long long count = opt->count[split];
  char name[32], shape[64];

  snprintf(name, sizeof name, "%s_x.npy", split_names[split]);
  snprintf(shape, sizeof shape, "%lld, %d, %d, 1", count, FRAME, FRAME);
  if (!open_out(&xy[0], opt->out, name) || !write_npy_header(&xy[0], "|u1", shape)) return false;
  snprintf(name, sizeof name, "%s_y.npy", split_names[split]);
  snprintf(shape, sizeof shape, "%lld,", count);
  if (!open_out(&xy[1], opt->out, name) || !write_npy_header(&xy[1], "<i8", shape)) return false;
  for (long long first = 0; first < count; first += CHUNK) {
    int n = count - first < CHUNK ? (int)(count - first) : CHUNK;

    draw_chunk((Job){set, &chunk, split, opt->seed, first, n, 0});
    if (stopped) {
      fprintf(stderr, "make_data: stopped; nothing was written\n");
      return false;
    }
    if (!write_bytes(&xy[0], chunk.x, (size_t)n * sizeof chunk.x[0]) ||
        !write_bytes(&xy[1], chunk.y, (size_t)n * sizeof chunk.y[0]))
      return false;
    show_progress(split, first + n, count);
  }
  return close_out(&xy[0]) && close_out(&xy[1]);
}

static bool write_classes(const Options *opt, OutFile *o) {
  if (!open_out(o, opt->out, "classes.txt")) return false;
  for (int i = 0; i < CLASSES; i++)
    if (fprintf(o->f, "%c\n", class_chars[i]) < 0) return write_fails(o);
  return close_out(o);
}

static bool write_data(const Options *opt, const GlyphSet *set) {
  OutFile files[2 * SPLITS + 1];
  int n = 0;
  bool good;

  memset(files, 0, sizeof files);
  if (mkdir(opt->out, 0777) != 0 && errno != EEXIST) {
    fprintf(stderr, "make_data: --out %s: %s\n", opt->out, strerror(errno));
    return false;
  }
  good = write_classes(opt, &files[n++]);
  for (Split split = TRAIN; split < SPLITS && good; split++)
    if (opt->count[split] > 0) {
      good = write_split(opt, set, split, &files[n]);
      n += 2;
    }
  good = good && publish(files, n);
  if (!good) discard(files, n);
  for (Split split = TRAIN; split < SPLITS && good; split++)
    if (opt->count[split] > 0)
      printf("%s/%s_{x,y}.npy: %lld pictures, %d fonts\n", opt->out, split_names[split], opt->count[split],
             set->count[split]);
  return good;
}

/* 62 columns of classes, 4 rows for each split, a dark line between the splits. */
static bool write_preview(const Options *opt, const GlyphSet *set) {
  enum { ROWS_EACH = 4, HIGH = SPLITS * (ROWS_EACH * FRAME + 4), WIDE = CLASSES * FRAME };
  static uint8_t sheet[HIGH * WIDE];

  for (int i = 0; i < SPLITS * ROWS_EACH * CLASSES; i++) {
    int label = i % CLASSES, row = i / CLASSES;
    Split split = (Split)(row / ROWS_EACH);
    uint8_t pixels[FRAME * FRAME];
    size_t at = ((size_t)row * FRAME + (size_t)split * 4) * WIDE + (size_t)label * FRAME;

    draw(set, split, opt->seed, COUNT_MAX + row % ROWS_EACH * CLASSES + label, label, pixels);
    for (int y = 0; y < FRAME; y++) memcpy(sheet + at + (size_t)y * WIDE, pixels + y * FRAME, FRAME);
  }
  if (stbi_write_png(opt->preview, WIDE, HIGH, 1, sheet, WIDE) == 0) {
    fprintf(stderr, "make_data: --preview %s: %s\n", opt->preview, strerror(errno));
    return false;
  }
  return true;
}

/* ---- the command line ---- */

static bool parse_count(const char *name, const char *text, long long max, long long *out) {
  char *end;

  errno = 0;
  *out = strtoll(text, &end, 10);
  if (errno == 0 && end != text && *end == '\0' && *out >= 0 && *out <= max) return true;
  fprintf(stderr, "make_data: %s \"%s\": want a whole number, 0 to %lld\n", name, text, max);
  return false;
}

static bool parse_option(Options *opt, const char *name, const char *value) {
  long long seed;

  if (strcmp(name, "--out") == 0) return opt->out = value, true;
  if (strcmp(name, "--preview") == 0) return opt->preview = value, true;
  if (strcmp(name, "--fonts") == 0) return opt->fonts = value, true;
  if (strcmp(name, "--seed") == 0) {
    if (!parse_count(name, value, INT64_MAX, &seed)) return false;
    opt->seed = (uint64_t)seed;
    return true;
  }
  for (int s = 0; s < SPLITS; s++)
    if (strncmp(name, "--", 2) == 0 && strcmp(name + 2, split_names[s]) == 0)
      return parse_count(name, value, COUNT_MAX, &opt->count[s]);
  fprintf(stderr, "make_data: unknown option \"%s\"; make_data --help lists them\n", name);
  return false;
}

static bool parse_options(Options *opt, int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) {
      fprintf(stderr, "make_data: %s: its value is missing, or it is unknown; see make_data --help\n",
              argv[i]);
      return false;
    }
    if (!parse_option(opt, argv[i], argv[i + 1])) return false;
  }
  if (opt->out == NULL && opt->preview == NULL) {
    fprintf(stderr, "make_data: nothing to do: want --out DIR or --preview FILE; see make_data --help\n");
    return false;
  }
  return true;
}

int main(int argc, char **argv) {
  static GlyphSet set;
  Options opt = {NULL, NULL, "/usr/share/fonts", {40000, 4000, 8000}, 1};
  struct sigaction action;

  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0;
  if (!parse_options(&opt, argc, argv) || !glyphs_check_table() || !camera_check_table() ||
      !glyphs_load(&set, opt.fonts))
    return 1;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (opt.preview != NULL && !write_preview(&opt, &set)) return 1;
  return opt.out == NULL || write_data(&opt, &set) ? 0 : 1;
}
