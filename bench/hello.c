/* The smallest model there is: TensorFlow Lite Micro's sine (hello_world_int8) as a whole program for Cortex-M0, in flash
 * and RAM, beside what TensorFlow Lite Micro takes.
 *
 *   bench/hello      writes bench/results/hello.json
 *
 * In all: vectors, start code, code, constants, model; RAM: data, arena, context, and the stack that an inference was seen
 * to take (painted). Outputs must be golden_tflite's bytes. TensorFlow Lite Micro's figures are those that TARGETS.md
 * has nearest to it: its int8 build for AD, which is made of the same operator (FullyConnected), measured on a Cortex-M4:
 * flash without the model, and of RAM .data, .bss and stack; its arena for this model is not known and is left out.
 * Model: ../shared/data/models/tflite (or $MISTIFY_SHARED).
 */
#define _XOPEN_SOURCE 700

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { TFLM_FLASH = 29364, TFLM_DATA = 536, TFLM_STACK = 676, MAX_INPUTS = 16 };
static const char tflm_how[] = "TARGETS.md: int8 build of AD on Cortex-M4, model and arena left out";

static Diag *diag;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

static const char *shared(char *path, size_t n, const char *rest) {
  snprintf(path, n, "%s/data/%s", bench_shared(), rest);
  return path;
}

static bool golden(const char *what, int k, Tensor *out) {
  char path[600], rest[100];
  Diag *quiet = diag_new();
  snprintf(rest, sizeof rest, "golden_tflite/hello_world_int8/%s_%d.npy", what, k);
  bool ok = npy_read(shared(path, sizeof path, rest), out, quiet);
  diag_free(quiet);
  return ok;
}

/* Number of golden inputs whose output is equal; another output ends the program. */
static int check_golden(const Target *t, const char *dir, const Graph *g) {
  int n = 0;
  for (Tensor in, want, got; n < MAX_INPUTS && golden("in", n, &in); n++) {
    must(golden("out", n, &want) && harness_run(dir, t, g, &in, 1, &got, diag));
    if (tensor_bytes(&want) != tensor_bytes(&got) || memcmp(want.data, got.data, tensor_bytes(&want)) != 0) {
      fprintf(stderr, "hello: output %d on %s is not the reference's\n", n, t->name);
      exit(1);
    }
    tensor_free(&in);
    tensor_free(&want);
    tensor_free(&got);
  }
  return n;
}

static void put(StrBuf *out, const char *target, const char *metric, int64_t value, int64_t peer,
                const char *how) {
  if (out->len) sb_puts(out, ",\n");
  sb_printf(out,
            "  {\"case\": \"hello_world_int8 %s\", \"metric\": \"%s\", \"value\": %lld, \"unit\": \"bytes\", "
            "\"better\": \"lower\", ",
            target, metric, (long long)value);
  if (peer)
    sb_printf(out, "\"peer\": \"TensorFlow Lite Micro (%s)\", \"peer_value\": %lld, ", tflm_how,
              (long long)peer);
  sb_printf(out, "\"how\": \"%s\"}", how);
}

static void run_case(const Graph *g, const char *base, const char *name, Optimize optimize,
                     const char *setting, StrBuf *out) {
  const Target *t = target_find(name);
  char dir[300], label[60];
  Measured m;
  snprintf(dir, sizeof dir, "%s/%s-%s", base, name, setting);
  snprintf(label, sizeof label, "%s %s", name, setting);
  const EmitOptions o = {.name = "hello", .out_dir = dir, .optimize = optimize};
  must(emit_c(g, t, &o, diag) && harness_verify(dir, t, NULL, &m, diag));
  const int inputs = check_golden(t, dir, g);
  const int64_t ram = m.image_ram + m.stack;
  printf("%-11s %-9s %6lld %6lld %6lld %6lld %6lld %6lld %7lld %8lld   %d%s\n", name, setting,
         (long long)m.image_flash, (long long)m.flash, (long long)m.flash_code, (long long)ram,
         (long long)m.ram_arena, (long long)m.stack, (long long)m.instructions, (long long)m.cycles, inputs,
         m.second_ran ? ", and on the microbit" : "");
  put(out, label, "flash in all", m.image_flash, TFLM_FLASH, "linker");
  put(out, label, "RAM in all", ram, TFLM_DATA + TFLM_STACK, "linker, and stack as painted");
  put(out, label, "flash of the model", m.flash, 0, "linker, less a program without it");
  put(out, label, "arena", m.ram_arena, 0, "memory plan");
  put(out, label, "stack", m.stack, 0, "painted, below the caller of NAME_run");
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40], compiler[200], commit[80], cpu[100];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line("arm-none-eabi-gcc --version", compiler, sizeof compiler);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  first_line("uname -m", cpu, sizeof cpu);
  sb_printf(
      &b,
      "{\"benchmark\": \"hello\", \"machine\": \"%s\", \"date\": \"%s\", \"compiler\": \"%s\", \"commit\": "
      "\"%s\",\n \"results\": [\n%s\n]}\n",
      cpu, date, compiler, commit, sb_str(rows));
  must(file_write("bench/results/hello.json", sb_str(&b), b.len, diag));
  sb_free(&b);
}

int main(void) {
  char *base = bench_temp_dir(), path[600];
  StrBuf rows = {0};
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  Graph *g = tflite_import(shared(path, sizeof path, "models/tflite/hello_world_int8.tflite"), diag);
  must(g != NULL);
  printf("hello_world_int8, bytes in all (flash: start code and constants too; RAM: stack too)\n\n");
  printf("%-11s %-9s %6s %6s %6s %6s %6s %6s %7s %8s   %s\n", "target", "optimize", "flash", "model", "code",
         "RAM", "arena", "stack", "instr.", "cycles", "golden inputs equal");
  run_case(g, base, "cortex-m0", OPT_SIZE, "size", &rows);
  run_case(g, base, "cortex-m0", OPT_BALANCED, "balanced", &rows);
  run_case(g, base, "cortex-m4", OPT_BALANCED, "balanced", &rows);
  printf("%-11s %-9s %6d %6s %6s %6d %6s %6d    %s\n", "TFLM", "", TFLM_FLASH, "", "", TFLM_DATA + TFLM_STACK,
         "", TFLM_STACK, tflm_how);
  write_results(&rows);
  graph_free(g);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
