/* Learning on the device as users ask for it: `compile --adapt`, the key `adapt:` of deploy.yaml; what is refused, and how. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_learning(void);

static void put_weights(StrBuf *b, Rng *r, int n, double deviation) {
  for (int i = 0; i < n; i++) sb_printf(b, "%s%.4f", i ? ", " : " {", (double)rng_normal(r) * deviation);
  sb_puts(b, "}\n");
}

/* Three convolutions and a FullyConnected; what makes bytes of a camera into its input is a fourth that may learn. */
static void write_deep_net(Arena *a) {
  StrBuf b = {0};
  Rng r;
  rng_seed(&r, 5, 1);
  sb_puts(&b, "graph \"net\"\n%x = input : f32[N,8,8,1] \"x\"\n%w1 = const : f32[8,3,3,1]");
  put_weights(&b, &r, 72, 0.3);
  sb_puts(
      &b,
      "%a = Conv(%x, %w1) {pads=[1,1,1,1], act=relu} : f32[N,8,8,8] \"first\"\n%w2 = const : f32[8,3,3,8]");
  put_weights(&b, &r, 576, 0.15);
  sb_puts(&b, "%b = Conv(%a, %w2) {pads=[1,1,1,1], strides=[2,2], act=relu} : f32[N,4,4,8] \"second\"\n%w3 = "
              "const : f32[8,3,3,8]");
  put_weights(&b, &r, 576, 0.15);
  sb_puts(&b, "%c = Conv(%b, %w3) {pads=[1,1,1,1], act=relu} : f32[N,4,4,8] \"third\"\n%r = Reshape(%c) "
              "{shape=[-1,128]}\n"
              "%w4 = const : f32[4,128]");
  put_weights(&b, &r, 512, 0.05);
  sb_puts(&b, "%y = FullyConnected(%r, %w4)\noutput %y\n");
  task_write_text(a, "net.ir", sb_str(&b));
  sb_free(&b);
}

static void open_task(Arena *a) {
  task_open_int8(a);
  write_deep_net(a);
}

static void must_say(Arena *a, const char *line, const char *words) {
  char *out;
  const int status = task_shell(a, line, &out);
  ck_assert_msg(status == 0 && strstr(out, words), "%s: status %d, no \"%s\" in:\n%s", line, status, words,
                out);
  free(out);
}

static void must_refuse(Arena *a, const char *target, const char *words) {
  task_write_deploy(a, target);
  task_want_error(a, "$M tailor $T/deploy.yaml --quiet", words);
}

/* The int8 model, by the way of deploy.yaml; then the same by hand. */
START_TEST(tailored_and_compiled)
{
  Arena *a = arena_new();
  open_task(a);
  task_write_deploy(a, "{name: one, target: x86-64, adapt: {layers: bias, memory: 16 KiB}}\n"
                       "  - {name: two, target: x86-64, adapt: last}\n"
                       "  - {name: three, target: x86-64, adapt: {layers: adapters, rank: 3}}");
  task_must(a, "$M tailor $T/deploy.yaml --quiet");
  task_must(a, "grep -q 'NET_ADAPT_BIASES 4' $T/out/one/model.h");
  task_must(a, "grep -q 'NET_ADAPT_BIASES 0' $T/out/two/model.h");
  task_must(a, "grep -q '\"form\": \"adapters\".*\"rank\": 3' $T/out/three/model.json");
  task_must(a,
            "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -ffreestanding -c $T/out/one/model.c -o $T/m.o");
  must_say(a, "$M compile $T/out/one/model.mistify --target x86-64 --adapt bias,memory=16KiB -o $T/fw",
           "biases of 4 of 4 layers");
  task_must(a, "grep -q 'ADAPT_BIASES 4' $T/fw/model.h && $M verify $T/fw");
  arena_free(a);
}
END_TEST

START_TEST(memory_chooses)
{
  Arena *a = arena_new();
  open_task(a);
  task_write_deploy(a, "{name: one, target: x86-64, adapt: none}");
  task_must(a, "$M tailor $T/deploy.yaml --quiet && ! grep -q ADAPT $T/out/one/model.h && cp "
               "$T/out/one/model.mistify $T/m.mistify");
#define COMPILE(layers) "$M compile $T/m.mistify --target cortex-m4 --adapt " layers " -o $T/x"
  must_say(a, COMPILE("last"), "biases of 0 of 0 layers");
  must_say(a, COMPILE("bias,memory=2300"), "the nearest to the input, stay as they are");
  must_say(a, COMPILE("bias") " --json", "\"adapt\"");
  must_say(a, COMPILE("bias") " --json", "\"learned_instructions\": ");
  must_say(a, COMPILE("bias"), "once a state is bound a run takes about ");
  must_say(a, COMPILE("scale"), "biases and multipliers of 4 of 4 layers");
  must_say(a, COMPILE("last-k,k=2,memory=64KiB"), "adapts (last-k)");
  must_say(a, COMPILE("adapters,k=3"), "biases of 3 of 4 layers, adapters of rank 2 behind these");
  task_must(a, COMPILE("adapters,rank=1") " > $T/text && ! grep 'fewer channels' $T/text");
  must_say(a, COMPILE("adapters,rank=8") " --json", "\"rank\": 8");
  must_say(a, COMPILE("adapters,rank=8") " --json", "\"adapters\": 4");
  must_say(a, COMPILE("adapters,rank=8"), "fewer channels than the rank in 1 of these layers");
  must_say(a, "cat $T/x/model.json", "\"form\": \"adapters\"");
  must_say(a, "cat $T/x/model.json", "\"rank\": 8");
  must_say(a, COMPILE("last-k,k=2,memory=64KiB"), "biases of 2 of 4 layers, weights of 2 of these");
  task_must(a, "test ! -e $T/x/model.c || rm -r $T/x");
  task_want_error(a, COMPILE("last,memory=100"), "the last layer does not fit");
  task_want_error(a, COMPILE("bias,memory=2112"), "of the biases only the last layer's fit");
  task_want_error(a, COMPILE("some"), "layers \"some\"; want last, bias");
  task_want_error(a, COMPILE("bias,rate=3"), "after the comma want memory=SIZE, k=N or rank=N");
  task_want_error(a, COMPILE("adapters,rank=0"), "rank: want 1 to 8");
  task_want_error(a, COMPILE("adapters,rank=9"), "rank: want 1 to 8");
  task_want_error(a, COMPILE("bias,rank=2"), "rank 2 is of adapters: bias has none");
  task_want_error(a, COMPILE("bias,memory=0"), "memory: want 1 byte or more");
  task_want_error(a, COMPILE("bias,memory=some"), "memory: want");
  task_want_error(a, COMPILE("last-k,k=0"), "k: want 1 to");
  task_want_error(a, COMPILE("last-k,k=4294967297"), "k: want 1 to");
  task_want_error(a, COMPILE("bias --format split --weights blob"), "do not go together");
  task_want_error(a, COMPILE("bias --step"), "whole runs");
  task_want_error(a, "$M compile $T/net.ir --target cortex-m4 --adapt last -o $T/x",
                  "want an int8 FullyConnected");
  task_want_error(a, "$M compile $T/m.mistify $T/m.mistify --family --target cortex-m4 --adapt last -o $T/x",
                  "do not go together");
  task_must(a, "test ! -e $T/x");
#undef COMPILE
  arena_free(a);
}
END_TEST

START_TEST(keys_are_checked)
{
  Arena *a = arena_new();
  open_task(a);
  must_refuse(a, "{name: one, target: x86-64, adapt: some}", "some");
  must_refuse(a, "{name: one, target: x86-64, adapt: {layers: bias, memory: 0}}", "memory");
  must_refuse(a, "{name: one, target: x86-64, adapt: {layers: bias, room: 3}}", "room");
  must_refuse(a, "{name: one, target: x86-64, adapt: {layers: adapters, rank: 9}}", "rank");
  static const char *const ranks[][2] = {{"{layers: bias, rank: 2}", "bias"}, {"{rank: 4}", "none"}};
  for (int i = 0; i < 2; i++) {
    char target[200], line[50];
    snprintf(target, sizeof target, "{name: one, target: x86-64,\n    adapt: %s}", ranks[i][0]);
    snprintf(line, sizeof line, "rank is of adapters, and layers of `adapt` is %s", ranks[i][1]);
    must_refuse(a, target, line);
    task_want_error(a, "$M tailor $T/deploy.yaml --quiet", "write `layers: adapters`, or leave rank out");
    task_want_error(a, "$M tailor $T/deploy.yaml --quiet", "deploy.yaml:7:");
  }
  must_refuse(a, "{name: one, target: x86-64, precision: float32, adapt: last}", "adapt wants int8");
  must_refuse(a, "{name: one, target: x86-64, code: {step: true}, adapt: last}", "adapt wants int8");
  must_refuse(a, "{name: one, target: x86-64, code: {weights: blob}, adapt: last}", "adapt wants int8");
  must_refuse(a, "{name: one, target: x86-64, input_by: rows, adapt: last}", "adapt wants int8");
  must_refuse(a, "{name: one, target: x86-64, limits: {ram: 8 KiB}, adapt: {layers: bias, memory: 8 KiB}}",
              "want less than");
  arena_free(a);
}
END_TEST

Suite *suite_cli_learning(void) {
  Suite *s = suite_create("cli_learning");
  TCase *t = tcase_create("learning");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, tailored_and_compiled);
  tcase_add_test(t, memory_chooses);
  tcase_add_test(t, keys_are_checked);
  suite_add_tcase(s, t);
  return s;
}
