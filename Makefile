# mistify: from neural networks to firmware.
#
#   make              build $(OUT)/libmistify.a and $(OUT)/mistify
#   make test         install what is missing (Debian, Ubuntu), build, check the layers, run every test
#   make demo         install what is missing, build, run the shipped example from model to firmware
#   make demo-02, demo-03   the same of the keyword spotter (speech by espeak-ng), of the bearing monitor
#   make lint         format, include layers, banned calls, sizes, headers, clang's warnings: scripts/lint.sh
#   make fuzz         fuzz every reader of files with clang's libFuzzer, FUZZ_SECONDS=60 each; FUZZ='onnx ir': these alone
#   make bench-NAME   run bench/NAME.c or bench/NAME.sh, which writes bench/results/NAME.json
#   make golden-update  run the tests with MISTIFY_GOLDEN_UPDATE=1: golden tests rewrite their expected output
#   make docs        docs/operators.md from the tables; figures anew where the shared folder is (MISTIFY_SHARED, ../shared)
#   make format      format all C files, or FILES='a.c b.h'
#   make install, clean, help
#
#   BUILD=release|debug|asan|tsan   OUT=build/$(BUILD)   V=1 shows commands   CI=true makes warnings errors
#   CC, CFLAGS, CPPFLAGS and LDFLAGS are honoured (added after ours), as are PREFIX and DESTDIR
#   MPI=1     mistify tailor may be started by mpirun on many machines (ranks; Open MPI: scripts/install-deps --mpi)
#   make test CK_RUN_SUITE=graph runs one suite: tests/**/test_graph.c

BUILD  ?= release
OUT    ?= build/$(BUILD)
PREFIX ?= /usr/local
V      ?= 0
VERSION := 0.1.0
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(filter $(BUILD),release debug asan tsan fuzz),)
$(error BUILD=$(BUILD): want release, debug, asan, tsan or fuzz)
endif
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
MAKEFLAGS += --no-builtin-rules
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-6s %s\n' $(1) $(2);)

# ---- Sources, by wildcard.  The harness and kernels of other machines that have no C twins are carried as text.
export LC_ALL := C
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
X86_64  := $(filter x86_64%,$(MACHINE))
TOPS    := $(wildcard ir passes backend runtime frontend)
KERNELS := $(foreach s,generic armv7em armv7m armv6m mve $(if $(X86_64),avx2 sse41) \
           $(if $(filter aarch64%,$(MACHINE)),neon),runtime/kernels/$s/%)
ALL_SRC := $(if $(TOPS),$(shell find $(TOPS) -name '*.[ch]' -o -name '*.def' | sort))
HOST_C  := $(filter-out backend/harness/%,$(filter %.c,$(ALL_SRC)))
HOST_C  := $(filter-out runtime/kernels/%,$(HOST_C)) $(filter $(KERNELS),$(HOST_C))
LIB_C   := $(filter-out frontend/cli/main.c,$(HOST_C))
MAIN_C  := $(wildcard frontend/cli/main.c)
EMBED   := $(filter runtime/kernels/% runtime/device/%,$(ALL_SRC)) $(wildcard backend/boards/*.yaml \
           frontend/cli/*.html) $(if $(wildcard backend/harness),$(shell find backend/harness -type f ! -name '*.md'))
EMBED   := $(sort $(EMBED))
TEST_C  := $(if $(wildcard tests),$(shell find tests -name '*.c' ! -path 'tests/data/*' ! -path tests/fuzz/main.c | sort))
CONF_C  := $(filter tests/conformance/%,$(filter-out tests/conformance/test_%,$(TEST_C)))
TEST_C  := $(filter-out tests/conformance/onnx_conformance.c,$(TEST_C))
SUITES  := $(foreach f,$(TEST_C),$(if $(filter test_%,$(notdir $f)),$f))
TOOL_C  := $(wildcard examples/*/*.c)
MAINS   := $(if $(TOOL_C),$(shell grep -lE '^int main\b' $(TOOL_C)))
LIB     := $(OUT)/libmistify.a
BIN     := $(if $(MAIN_C),$(OUT)/mistify)
TOOLS   := $(MAINS:%.c=$(OUT)/%)

# ---- Flags.  No contraction of a*b+c into one rounding anywhere: results are the same bytes on each machine.
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
        -Wcast-qual -Wvla
OPT_release := -O2 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_tsan    := -O1 -g -fsanitize=thread
OPT_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
HOT_release := -O3
HOT_asan    := -O2
HOT_tsan    := -O2
HOT         := $(HOT_$(BUILD))
# Sanitizers make gcc's flow warnings guess wrong, so they are no errors there.
WERROR      := $(if $(filter true,$(CI)),$(if $(filter release debug,$(BUILD)),-Werror))

pkg    = $(or $(shell pkg-config $(1) $(2) 2>/dev/null),$(3))
system = $(patsubst -I%,-isystem %,$(1))
LIBS_CFLAGS := $(call system,$(call pkg,--cflags,openblas yaml-0.1 libxxhash,))
LIBS        := $(call pkg,--libs,openblas yaml-0.1 libxxhash,-lopenblas -lyaml -lxxhash) -lpthread -lm -ldl
TEST_CFLAGS := $(call system,$(call pkg,--cflags,check,)) -Wno-missing-prototypes -Wno-gnu-zero-variadic-macro-arguments
TEST_LIBS   := $(call pkg,--libs,check,-lcheck -lsubunit -lrt -lm)

compile = $(CC) -std=c11 -D_POSIX_C_SOURCE=200809L -I. $(WARN) $(WERROR) $(OPT_$(BUILD)) -ffp-contract=off \
          $(LIBS_CFLAGS) -pthread -MMD -MP
link    = $(CC) $(OPT_$(BUILD)) -pthread -Wl,--as-needed

# Parse-time stamps: rewritten only when their text changes, so changed flags or file lists rebuild what they touch.
stamp = $(shell mkdir -p $(dir $(1)); f='$(subst ','\'',$(2))'; \
        [ -f $(1) ] && [ "$$f" = "$$(cat $(1))" ] || printf '%s\n' "$$f" > $(1))
ifneq ($(filter-out help clean format flags lint test demo demo-02 demo-03 fuzz install-headers,$(or $(MAKECMDGOALS),all)),)
$(call stamp,$(OUT)/gen/flags.stamp,$(compile) $(HOT) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(LIBS) $(TEST_CFLAGS) $(TEST_LIBS))
$(call stamp,$(OUT)/gen/mpi.stamp,$(MPI))
$(call stamp,$(OUT)/gen/sources.stamp,$(ALL_SRC))
$(call stamp,$(OUT)/gen/embed.stamp,$(EMBED))
$(call stamp,$(OUT)/gen/suites.stamp,$(TEST_C))
endif

# One file calls MPI, so that the other objects serve with and without it.
MPI_LIBS := $(if $(MPI),$(or $(shell mpicc --showme:link 2>/dev/null),-lmpi))
$(OUT)/obj/frontend/cli/ranks.o: HOT_FLAGS = $(if $(MPI),-DMISTIFY_MPI $(call system,$(shell mpicc --showme:compile 2>/dev/null)))
$(OUT)/obj/frontend/cli/ranks.o: $(OUT)/gen/mpi.stamp
LIBS += $(MPI_LIBS)

.DEFAULT_GOAL := all
.PHONY: all docs help test fuzz run-fuzz run-tests demo run-demo demo-02 demo-03 run-demo-02 run-demo-03 lint format flags golden-update install install-headers clean
.DELETE_ON_ERROR:

all: $(LIB) $(BIN)

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# ---- Library and command
obj = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
GEN_OBJ := $(OUT)/obj/gen/embedded.o $(OUT)/obj/gen/fingerprints.o
LIB_OBJ := $(call obj,$(LIB_C)) $(GEN_OBJ)

$(OUT)/obj/runtime/%.o: HOT_FLAGS = $(HOT)
$(OUT)/obj/runtime/engine/simd/%_v3.o: HOT_FLAGS = $(HOT) $(if $(X86_64),-march=x86-64-v3)
$(OUT)/obj/runtime/engine/simd/%_v4.o: HOT_FLAGS = $(HOT) $(if $(X86_64),-march=x86-64-v4 -mprefer-vector-width=512)
$(OUT)/obj/tests/%.o: HOT_FLAGS = $(TEST_CFLAGS)

$(OUT)/obj/gen/%.o: $(OUT)/gen/%.c $(OUT)/gen/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)$(compile) $(TEST_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/obj/%.o: %.c $(OUT)/gen/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)$(compile) $(HOT_FLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(LIB): $(LIB_OBJ) $(OUT)/gen/sources.stamp
	$(call say,AR,$@)rm -f $@; $(AR) rcs $@ $(LIB_OBJ)

# All of the library, with its names: plugins call what the headers declare.
$(OUT)/mistify: $(call obj,$(MAIN_C)) $(LIB)
	$(call say,LD,$@)$(link) $(CFLAGS) $(LDFLAGS) -rdynamic -o $@ $(filter %.o,$^) -Wl,--whole-archive $(LIB) \
	  -Wl,--no-whole-archive $(LIBS)

$(OUT)/gen/embedded.c: $(EMBED) scripts/embed.sh $(OUT)/gen/embed.stamp
	$(call say,GEN,$@)printf '%s\n' $(EMBED) | sed '/^$$/d' | scripts/embed.sh > $@

$(OUT)/gen/fingerprints.c: $(ALL_SRC) scripts/fingerprints.sh $(OUT)/gen/sources.stamp
	$(call say,GEN,$@)printf '%s\n' $(ALL_SRC) | sed '/^$$/d' | scripts/fingerprints.sh > $@

# ---- Tests, the example, benchmarks
$(OUT)/gen/suites.c: scripts/suites.sh $(OUT)/gen/suites.stamp
	$(call say,GEN,$@)printf '%s\n' $(SUITES) | sed '/^$$/d' | scripts/suites.sh > $@

$(OUT)/check-mistify: $(call obj,$(TEST_C)) $(OUT)/obj/gen/suites.o $(LIB)
	$(call say,LD,$@)$(link) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS) $(LIBS)

# Folders of ONNX's own tests of operators, by the engine and by emitted C.
$(OUT)/onnx-conformance: $(call obj,$(CONF_C)) $(LIB)
	$(call say,LD,$@)$(link) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# An example's program: the file with its main, and all files beside it that have none.
$(foreach m,$(MAINS),$(eval $(OUT)/$(m:.c=): $(call obj,$m $(filter-out $(MAINS),$(wildcard $(dir $m)*.c))) $(LIB)))
$(TOOLS):
	@mkdir -p $(@D)
	$(call say,LD,$@)$(link) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The packages come first, so that a second make sees them when it reads this file.
test demo demo-02 demo-03:
	@scripts/install-deps $(if $(MPI),--mpi) $@
	@$(MAKE) --no-print-directory run-$(@:test=tests)

run-tests: all $(OUT)/check-mistify $(OUT)/onnx-conformance $(TOOLS)
	@tests/layers.sh
	@$(OUT)/check-mistify

golden-update: all $(OUT)/check-mistify
	MISTIFY_GOLDEN_UPDATE=1 $(OUT)/check-mistify

run-demo: all $(TOOLS)
	@MISTIFY=$(OUT)/mistify TOOLS=$(OUT)/examples/01-label-reader examples/01-label-reader/demo.sh

run-demo-02: EXAMPLE := examples/02-keyword-spotter
run-demo-03: EXAMPLE := examples/03-bearing-monitor
run-demo-02 run-demo-03: all $(TOOLS)
	@MISTIFY=$(OUT)/mistify TOOLS=$(OUT)/$(EXAMPLE) $(EXAMPLE)/demo.sh

# ---- Fuzzing: one program for each row of tests/fuzz/targets.def
FUZZ_SECONDS ?= 60
FUZZ         ?= $(shell sed -n 's/^FUZZ.\([a-z_]*\),.*/\1/p' tests/fuzz/targets.def)

fuzz:
	@scripts/install-deps fuzz
	@$(MAKE) --no-print-directory BUILD=fuzz CC=clang run-fuzz

$(OUT)/fuzz/%: tests/fuzz/main.c $(OUT)/obj/tests/fuzz/targets.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(compile) -MF $@.d -DFUZZ_TARGET=fuzz_$* $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

run-fuzz: $(FUZZ:%=$(OUT)/fuzz/%)
	@scripts/fuzz.sh $(OUT) $(FUZZ_SECONDS) $(FUZZ)

# Random graphs by the thousand: what the tests make a few hundred of.
$(OUT)/bench/random-graphs: $(call obj,$(filter-out $(SUITES),$(filter tests/random/%,$(TEST_C))) tests/ir/samples.c tests/ir/custom_sample.c \
  tests/support.c)
$(OUT)/bench/random-graphs: LIBS += $(TEST_LIBS)
$(OUT)/obj/bench/random-graphs.o: HOT_FLAGS = $(TEST_CFLAGS)

# The training benchmark's nets, peak and peer.
$(OUT)/bench/train: $(call obj,$(wildcard bench/train_*.c))
$(OUT)/bench/teacher-bank: $(call obj,bench/train_nets.c)

# What the benchmarks of compression share.
$(patsubst bench/%.c,$(OUT)/bench/%,$(wildcard bench/compress-*.c)): $(call obj,bench/compress_common.c)
$(OUT)/bench/collective: $(call obj,$(wildcard bench/collective_*.c) bench/command.c bench/compress_common.c bench/train_nets.c)
$(OUT)/bench/collective-twelve: $(call obj,bench/command.c bench/compress_common.c)

# Adaptation on the device: a driver and a file for each part.
$(OUT)/bench/adapt: $(call obj,$(wildcard bench/adapt_*.c) bench/compress_common.c bench/command.c)

# Effort, and its counter, which a suite tests.
$(OUT)/bench/effort: $(call obj,bench/effort_count.c bench/compress_common.c)
$(OUT)/check-mistify: $(call obj,bench/effort_count.c)

$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(LIB)
	@mkdir -p $(@D) && $(link) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LIBS)

bench-%: all
	@mkdir -p bench/results
	@if [ -f bench/$*.c ]; then $(MAKE) --no-print-directory $(OUT)/bench/$* && $(OUT)/bench/$*; \
	  elif [ -f bench/$*.sh ]; then MISTIFY=$(OUT)/mistify bench/$*.sh; \
	  else echo "bench-$*: no bench/$*.c and no bench/$*.sh" >&2; exit 1; fi

# ---- The reference of operators, with the figures of ONNX's own tests
NODE_TESTS := $(or $(MISTIFY_SHARED),../shared)/data/onnx_node_tests/public.tar.xz
docs: all $(OUT)/onnx-conformance
	@mkdir -p docs
	@if [ -f $(NODE_TESTS) ]; then \
	  $(OUT)/onnx-conformance $(NODE_TESTS) --emit --tsv docs/conformance.tsv | tail -1; \
	else echo 'docs: no $(NODE_TESTS): figures stay'; fi
	@$(OUT)/mistify ops --markdown --conformance docs/conformance.tsv > docs/operators.md

# ---- Source care, installation
lint:
	@scripts/install-deps lint
	@CC=$(CC) scripts/lint.sh

format:
	@clang-format -i $(or $(FILES),$(shell git ls-files -co --exclude-standard '*.c' '*.h'))

flags:
	@echo '$(compile) $(TEST_CFLAGS)'

install: all install-headers
	install -d $(DESTDIR)$(PREFIX)/bin
	$(if $(BIN),install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin)
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib

# What passes of one's own are compiled against.
install-headers:
	@install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	@for h in $(filter %.h %.def,$(ALL_SRC)); do install -D -m 644 $$h $(DESTDIR)$(PREFIX)/include/mistify/$$h; done
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: mistify' 'Description: compiler from neural networks to firmware' \
	  'Version: $(VERSION)' 'Requires.private: openblas yaml-0.1 libxxhash' 'Cflags: -I$${prefix}/include/mistify' \
	  'Libs: -L$${prefix}/lib -lmistify -lpthread -lm' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/mistify.pc

clean:
	rm -rf $(OUT)

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(call obj,$(MAIN_C) $(TEST_C) $(CONF_C) $(TOOL_C) $(wildcard bench/*.c)))
