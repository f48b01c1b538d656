/* The back end: from a Graph to C for one target, its measured proof, and its cost.
 *
 *   Graph -> lower (ir) -> select kernels -> plan memory -> emit C -> harness (build, run, measure)
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "ir/cost.h"
#include "ir/lower.h"
#include "ir/step.h"
#include "ir/tensor.h"
#include "runtime/device/drift.h"

/* -- targets (backend/targets.def) and boards (backend/boards/NAME.yaml, or the user's) -- */
struct TargetCosts; /* backend/costs.h */
/* Speed: the fastest kernels at any size, convolutions specialised by the layers' shapes. Balanced: on bare machines each byte
 * of a kernel's code must save a cycle of an inference; elsewhere as speed, not specialised. Size: a hundred cycles. */
typedef enum Optimize { OPT_BALANCED, OPT_SPEED, OPT_SIZE } Optimize;
typedef struct Target {
  const char *name; /* "cortex-m4" */
  const char *doc;
  const char *const *sets;    /* kernel sets, best first, "generic" last; NULL-terminated */
  const char *cc, *cflags;    /* compiler and its flags */
  const char *size, *nm;      /* binutils of the target */
  const char *run;            /* how the harness runs it: "native", "qemu-aarch64", "qemu-m" */
  const char *machine;        /* QEMU machine: "mps2-an386"; NULL otherwise */
  const char *second_machine; /* a stricter machine to run on too ("microbit"); NULL: none */
  const char *objdump_arch;
  const char *packages; /* Debian packages that build and run it */
  const struct TargetCosts *costs;
  const char *without; /* kernels whose tag ends so are not taken ("_winograd"); NULL: all */
  Optimize optimize;   /* of kernel selection; a registered target's is balanced */
  bool families;       /* kernels for families (_family) serve single models too: to be measured */
} Target;
extern const Target targets[];
extern const int n_targets;
const Target *target_find(const char *name); /* NULL: unknown */

/* Of an emulated machine: the linker script of backend/harness, and the compiler flags that bare.c needs. */
const char *machine_script(const char *machine);
const char *machine_flags(const char *machine);

/* A memory of the board, of so many bytes (the last one takes all that is left; it is to have no more, where that can be). */
enum { PLAN_REGIONS_MAX = 4 };
typedef struct PlanRegion {
  const char *name; /* part of a C identifier: "fast", "external"; NULL: the main one, the caller's arena */
  int64_t bytes;
} PlanRegion;

typedef struct Board {
  const char *name, *doc, *target;
  int64_t flash, ram;      /* bytes; 0: unknown */
  int64_t fast, external;  /* of ram the tightly coupled part; beyond ram; 0: none */
  double clock_hz;         /* 0: unknown */
  double cycle_scale;      /* cycles of the board to an estimated one: wait states, caches; 1: unknown */
  double joules_per_cycle; /* of the board; 0: unknown */
} Board;
/* Estimated cycles in a second; 0: unknown. */
double board_hz(const Board *b);
/* Joules of an estimated cycle; 0: unknown. */
double board_joules(const Board *b);
/* A shipped board by name, or a YAML file by path (a name with '/' or ending in .yaml or .yml); strings live in `a`.
 * Errors carry line and column. */
bool board_load(Arena *a, const char *name_or_path, Board *out, Diag *d);
/* Its YAML, n bytes, in `a` or embedded; *file: for messages. NULL: reported. */
const char *board_text(Arena *a, const char *name_or_path, size_t *n, const char **file, Diag *d);
/* The same from text; `file` for messages. */
bool board_parse(Arena *a, const char *text, size_t n, const char *file, Board *out, Diag *d);
/* The board's memories for a plan: the fast part, the main one, the external one. Returns their number, 0 where there is
 * only one. */
int board_regions(const Board *b, PlanRegion out[PLAN_REGIONS_MAX]);
/* Names of the shipped boards, NULL-terminated, in `a`. */
const char **board_names(Arena *a);

/* -- kernel selection (backend/select.c) -- */
typedef struct KernelSet {
  const char *name; /* "generic" */
  const KernelDef *kernels;
  const int *n;
  /* Whether the kernel can do these shapes; NULL: any. */
  bool (*accepts)(const KernelDef *kernel, const void *params);
} KernelSet;
extern const KernelSet kernel_sets[]; /* backend/kernels/sets.c: one per folder of runtime/kernels */
extern const int n_kernel_sets;
/* What decides beside the order of sets. */
typedef struct SelectBy {
  const Graph *g;
  const struct TargetCosts *costs; /* NULL: the order alone */
  const char *without;             /* kernels whose tag ends so are not taken; NULL: all are */
  double
      byte_price; /* cycles of an inference that a byte of code must save; 0: speed is all, as without costs */
  bool families;  /* kernels for families are taken */
  /* Of a family: whether kernel k may do call number `call`, which other variants share; NULL: any. */
  bool (*may)(const void *ctx, uint32_t call, const KernelDef *k);
  const void *ctx;
} SelectBy;
/* Give each call the first kernel of its name, in the order of `order` (set names, NULL-terminated), that accepts its
 * params, or a later one that costs clearly fewer cycles; then all calls of a name one kernel, where that is cheaper by cycles
 * and the price of code. `by` NULL: the order alone. A set without rows yet may be
 * named. Reports a call that no set can do. */
bool select_from(const KernelSet *sets, int n_sets, const char *const *order, const SelectBy *by,
                 Calls *calls, Diag *d);
bool select_kernels(const Graph *g, const Target *t, Calls *calls, Diag *d);
/* The same with select_by(g, t) as the caller may change it. */
SelectBy select_by(const Graph *g, const Target *t);
/* Weights of 4 bits as bytes, where the target's bytes do not count; select_kernels_by begins with it. */
void select_widen(const Target *t, Calls *calls);
bool select_kernels_by(const Target *t, const SelectBy *by, Calls *calls, Diag *d);
/* -- families (backend/family_calls.c) -- */
/* N lowered variants of one model, widest first, made to share weights: of each call that has them, the others read a
 * slice of the widest one's, where theirs are that; *shared (in calls[0]'s arena) says of each call whether all do. The
 * calls must be the same in number and kind; else reported. A FullyConnected behind a flattened image becomes a convolution
 * over its pixels. */
bool family_share(const Graph *const *g, Calls *const *calls, int n, bool **shared, Diag *d);
/* Kernels for them, the same for all variants of a call; shared weights have one array, with equal bytes in all. */
bool family_select(const Graph *const *g, const Target *t, Calls *const *calls, int n, const bool *shared,
                   Diag *d);
/* The target whose code this processor runs, and whose kernels are built in; NULL: none beside the generic ones. */
const Target *target_of_host(void);
/* For evaluation here: calls on codes get the kernels of target_of_host; those on floats, which other kernels round
 * differently, stay as they are. */
bool select_host_kernels(const Graph *g, Calls *calls, Diag *d);

/* -- memory plan (backend/plan/) -- */
typedef enum PlanLevel {
  PLAN_LEAST, /* of the levels below, the one that needs least bytes; with a limit, the first that meets it */
  PLAN_WHOLE, /* whole tensors, in place, views: one kernel call for each layer */
  PLAN_OVERLAP, /* an output may overlap the input that dies with it: layers row by row */
  PLAN_STREAM   /* chains of layers row by row, rings of rows between them */
} PlanLevel;
const char *plan_level_name(PlanLevel level);

typedef struct PlanOptions {
  PlanLevel level;
  int64_t limit;   /* bytes that are few enough: then the fewest kernel calls; 0: as few bytes as can be */
  int64_t align;   /* 0: 4, or 8 where a value has 8-byte elements */
  bool input_rows; /* the caller gives the (only) input row by row: no room for all of it */
  int32_t hop;     /* then: rows from one window to the next, which overlap; 0: windows stand apart */
  PlanRegion region[PLAN_REGIONS_MAX]; /* fastest first; hot values go there */
  int n_regions;                       /* 0: the caller's arena alone */
  bool whole;                          /* no patches: the graph stays as it is */
  bool turns; /* every call that can is made row by row: for measurements, and to make room for what adapts */
  int bands;  /* set by plan_patches: the graph is one in so many bands, the order of its calls is known */
  const int32_t *
      part; /* by call, never falling: calls keep their order, and take turns only within one part; NULL: one */
} PlanOptions;

/* A place that moves: slot (y * mul + add) % rows of a ring whose rows are `row` bytes, during row y of the calls that
 * use it. rows 0: it does not move. */
typedef struct PlanSlot {
  int32_t mul, add, rows;
  int64_t row;
} PlanSlot;

typedef struct PlanItem {
  ValId val;            /* root value; NO_VAL: scratch of the call `call` */
  int64_t offset, size; /* bytes in the arena */
  int32_t first,
      last; /* calls during which it lives: graph inputs from -1, graph outputs to the number of calls */
  int32_t storage; /* items of equal storage share their bytes: a value computed in place */
  int32_t rows;    /* > 0: a ring of so many rows */
  int32_t call;
  PlanSlot slot; /* a guest in a ring, which begins at `offset` */
  int32_t region;
} PlanItem;

/* When a call computes its rows: row y at time lead + y * step; step 0: all rows at time `lead`. */
typedef struct PlanStage {
  int32_t lead, step;
} PlanStage;
/* Bytes from the beginning of the ring to the slot, during row y. */
static inline int64_t plan_slot_at(const PlanSlot *s, int32_t y) {
  return s->rows ? (y * s->mul + s->add) % s->rows * s->row : 0;
}
/* Rows done after time t, of `rows`. */
int32_t plan_rows_done(const PlanStage *s, int32_t rows, int32_t t);

/* Calls first .. first+n-1 take turns at times 0 .. steps-1; steps 1 and n 1: the call as a whole. */
typedef struct PlanGroup {
  int32_t first, n, steps;
} PlanGroup;

/* Between two windows a value's rows move up: of a whole value the last rows - by ones to its beginning, of a ring each
 * from its slot i to slot (i - by) modulo rows. */
typedef struct PlanSlide {
  ValId val; /* of a ring: one of those that share it */
  int64_t offset, row;
  int32_t rows, by;
  bool ring;
} PlanSlide;

typedef struct MemoryPlan {
  PlanItem *items; /* in the arena passed */
  int n_items;
  PlanLevel level;
  int64_t arena;       /* bytes, of all regions */
  int64_t lower_bound; /* of the plan's class: what its groups need at one time */
  int64_t bound[PLAN_STREAM +
                1]; /* lower bounds by level: of whole tensors, of what may overlap, of rows; 0: not asked */
  int64_t scratch_size; /* largest of any call */
  int64_t align;        /* every offset is a multiple */
  int64_t pieces;       /* kernel calls of an inference */
  PlanGroup *groups;
  int n_groups;
  const PlanStage *stage; /* by call */
  const int64_t *offset;  /* by value id, of values whose bytes lie in the arena (views too); -1 otherwise */
  const int32_t *ring;    /* by value id: rows of its ring, 0: whole */
  const int64_t *scratch; /* by call: offset; -1: none */
  const PlanSlot *slot;   /* by value id: added to its offset */
  const PlanSlot *scratch_slot;           /* by call */
  const int32_t *region, *scratch_region; /* by value id, by call */
  PlanRegion regions[PLAN_REGIONS_MAX];   /* with the bytes in use; one at least */
  int n_regions;
  int32_t input_rows; /* rows in which the input arrives; 0: as a whole */
  PlanStage input;    /* then: when its rows are due in the first group */
  int32_t hop;        /* rows from one window to the next; 0: all of them */
  PlanSlide *slides;
  int n_slides;
} MemoryPlan;
/* What a target asks for: the least RAM on machines without an operating system, else one kernel call for each layer. */
PlanOptions target_plan(const Target *t);
/* The same within `ram` bytes for arena and context (0: no limit), the input by rows or as a whole: the plan of fewest
 * kernel calls that stays within. */
PlanOptions target_plan_within(const Target *t, int64_t ram, bool input_rows);
/* Bytes of the main region: the arena that the caller gives. */
int64_t plan_main_bytes(const MemoryPlan *p);
/* Plan. All shapes static. Puts the calls into the plan's order, and exchanges kernels for those that work by rows of
 * their input where the plan says so. NULL options: all 0. */
bool plan_memory(const Graph *g, Calls *calls, const PlanOptions *o, Arena *a, MemoryPlan *out, Diag *d);
/* Where no plan of the graph is within the limit, but one is of the graph with some layers computed band by band of
 * columns, at the price of columns that are computed twice: that graph, of the least work, and its options in *o; the
 * caller frees it. NULL: as the graph is. The graph's shapes are static. */
Graph *plan_patches(const Graph *g, const Target *t, PlanOptions *o);
struct StrBuf;
/* The call at which most bytes are held, and (unless NULL) how many. */
int32_t plan_peak_call(const Calls *calls, const MemoryPlan *p, int64_t *bytes);
void plan_print(const Graph *g, const Calls *calls, const MemoryPlan *p, struct StrBuf *out);
/* Rows in which a tensor of this shape is given: the lines of an image [1,H,W,C] or [1,H,...]; 0: it has none. */
int32_t plan_input_rows(const Shape *s);
/* Every kernel call of an inference in its order: rows y0 .. y1-1 of call number `call`, at time t of its group. Call
 * -1: the caller gives these rows of the input. */
typedef void PlanVisitor(void *ctx, int32_t group, int32_t t, int32_t call, int32_t y0, int32_t y1);
void plan_walk(const Calls *calls, const MemoryPlan *p, PlanVisitor *visit, void *ctx);
/* The same of a window behind another one, when all slides are done. */
void plan_walk_hop(const Calls *calls, const MemoryPlan *p, PlanVisitor *visit, void *ctx);
/* The first time of such a window in the first group. */
int32_t plan_hop_time(const MemoryPlan *p);

/* -- emission (backend/emit/) -- */
/* Where the constants are. */
typedef enum WeightsForm {
  WEIGHTS_IN_CODE, /* arrays beside the layers */
  WEIGHTS_APART,   /* arrays in weights.c */
  WEIGHTS_BLOB /* NAME_weights.bin, bound at run time (NAME_bind_weights); weights.c holds the same bytes for the first image */
} WeightsForm;
/* What the monitor of drift (runtime/device/drift.h) compares with. */
typedef struct DriftReference {
  mistify_drift_reference reference;
  int64_t interval; /* inferences between two false alarms, on average */
} DriftReference;
typedef struct DriftOptions {
  int64_t interval; /* 0: 10,000 */
  int32_t samples;  /* of an input; 0: 256 */
  int32_t rows;     /* the input is given row by row, so many; 0: as a whole */
} DriftOptions;
/* From n examples of the input (in[n], as the graph takes it; 8 bits): usual inputs that calibration knows, or others. g
 * has batch 1. */
bool drift_reference(const Graph *g, const DriftOptions *o, const Tensor *in, int n, DriftReference *out,
                     Diag *d);

/* What adapts on the device (runtime/device/adapt.h). */
typedef enum DeviceAdapt {
  DEVICE_ADAPT_NONE,
  DEVICE_ADAPT_LAST, /* the layer that gives the logits */
  DEVICE_ADAPT_BIAS, /* that, and biases of as many layers before it as the memory allows, the nearest to the logits first */
  DEVICE_ADAPT_SCALE,   /* that, and multipliers of the same layers, which keep their outputs for it */
  DEVICE_ADAPT_LAST_K,  /* biases, and weights of the same layers, in RAM, which keep their inputs for it */
  DEVICE_ADAPT_ADAPTERS /* biases, and adapters of low rank behind the same layers */
} DeviceAdapt;
enum {
  DEVICE_ADAPT_RANK = 2,
  DEVICE_ADAPT_RANK_MAX = 8
}; /* of adapters: where nothing is said, and the largest */
/* "last", "bias", "scale", "last-k", "adapters"; false: reported, with those that do not exist. */
bool device_adapt_named(const char *name, DeviceAdapt *out, Diag *d);
const char *device_adapt_name(DeviceAdapt a);
/* What adaptation takes. */
typedef struct AdaptSizes {
  int64_t state, arena; /* bytes: the state; of the arena what inference alone would not need */
  int64_t inference;    /* the arena without adaptation */
  int biases, layers;   /* layers whose biases adapt, of those within reach */
  int beyond;           /* those that the way back does not come to: it ends at */
  char ends[96];        /* this kernel and node; "": at the input */
  DeviceAdapt form;
  int learning; /* layers before the last whose weights learn (DEVICE_ADAPT_LAST_K) */
  int rank;     /* of adapters; 0: there are none */
  int adapters,
      narrow; /* of the layers whose biases adapt, those that have one; of these, those of fewer channels than rank */
  bool turns;      /* layers go row by row for it, at the price of cycles */
  int64_t cycles;  /* of a run by the plan, as Cost counts them, where no state is bound */
  int64_t learned; /* about so many instructions more where one is */
} AdaptSizes;
typedef struct EmitOptions {
  const char *name; /* C prefix: identifiers NAME_run, ...; the files are model.c and model.h */
  const char *out_dir;
  const Tensor *vectors; /* self-test inputs: [n_vectors][n_inputs]; NULL: made from a fixed seed */
  int n_vectors;
  const char *note;        /* a line for the head comment; NULL */
  const PlanOptions *plan; /* NULL: the target's (target_plan) */
  Optimize optimize;
  bool step; /* NAME_step: a run in small pieces */
  WeightsForm weights;
  const char *weights_section; /* of every constant; NULL: the compiler's */
  int64_t weights_align;       /* of every constant, a power of 2; 0: what kernels ask for */
  /* Folder, seen from out_dir, of kernels in files of their own, named by their content, which several models may share
   * ("kernels", "../kernels"); NULL: in model.c. */
  const char *kernels;
  /* What a camera's byte is to the input, by channel: byte * scale + offset, for model_io.h. pixel_channels 0: itself; 1:
   * the same for all. */
  int pixel_channels;
  float pixel_scale[3], pixel_offset[3];
  const DriftReference *drift; /* NAME_drift_*; NULL: no such functions. Made for the same form of input */
  bool controller;             /* NAME_controller_*: of a family of variants alone */
  double joules_per_cycle;     /* of the board, for a family's table; 0: unknown */
  DeviceAdapt adapt;
  int64_t adapt_memory;    /* most bytes that adaptation takes beside inference; 0: no limit */
  int adapt_biases;        /* at most so many layers before the last one; 0: all */
  int adapt_rank;          /* of adapters, up to DEVICE_ADAPT_RANK_MAX; 0: DEVICE_ADAPT_RANK */
  AdaptSizes *adapt_sizes; /* unless NULL, set where adapt is */
  bool share_arena; /* no arena of its own: NAME_init(ctx, NULL, 0) takes models_arena of ../models.c */
} EmitOptions;
/* Writes model.c model.h model_io.h selftest.c vectors.bin CMakeLists.txt model.json, and what the options ask for, into out_dir
 * (made; written beside, then renamed). A symbolic batch is bound to 1. The name must be a C identifier. */
/* Whether section and alignment of the weights can be meant; emit_c asks too. */
bool emit_options_check(const EmitOptions *o, Diag *d);
bool emit_c(const Graph *g, const Target *t, const EmitOptions *o, Diag *d);

/* One variant of a family, and what is known of it: measured on the target (harness_verify), or 0. */
typedef struct FamilyMember {
  const Graph *g;
  int64_t cycles;       /* 0: as estimated */
  int64_t nanojoules;   /* 0: by cycles and EmitOptions.joules_per_cycle, where that is known */
  int64_t accuracy_ppm; /* 0: unknown */
} FamilyMember;
/* The same of N variants of one model, widest first: weights once, as the widest has them, of which narrower ones read a
 * slice; NAME_run(ctx, variant), NAME_select, a table of what each takes. Graphs as family_share wants them, with the same
 * inputs and outputs. Reported: options that families do not have (weights in a blob, steps, input by rows, other memories'
 * regions), states, custom operators. `vectors` are inputs as of emit_c; each is run by several variants. *cost (or NULL):
 * estimated, with the kernels that the family has. out_dir NULL: nothing is written, all that would be refused is. */
enum { EMIT_VARIANTS = 16 };
typedef struct FamilyCost {
  Cost image;                    /* of all; cycles of the widest */
  int64_t cycles[EMIT_VARIANTS]; /* as measured, where the member says so */
} FamilyCost;
/* Whether a family can have these; emit_family asks too. */
bool emit_family_check(const EmitOptions *o, const PlanOptions *p, Diag *d);
bool emit_family(const FamilyMember *m, int n, const Target *t, const EmitOptions *o, FamilyCost *cost,
                 Diag *d);
/* One model with several outputs of one form (2 to EMIT_VARIANTS), the earliest exit first, as variants: number 0 is the whole
 * model, number v ends with output n - 1 - v. As emit_family, and NAME_continue(ctx, variant), which goes on where the last
 * run ended. members: what is known of each variant, but its graph; NULL: nothing. Refused besides: outputs that differ
 * in shape, type, scale or zero point. */
bool emit_exits(const Graph *g, const FamilyMember *members, const Target *t, const EmitOptions *o,
                FamilyCost *cost, Diag *d);

/* -- harness (backend/measure/, with the texts of backend/harness/): build with the target's compiler, run, measure -- */
typedef struct Measured {
  bool built, ran;
  /* What the model adds to a program, by the linker: two programs are linked with unused sections dropped, one that
   * uses the model and one that does not, and their sizes subtracted. ram_arena: the arena; ram_other: data and bss. */
  int64_t flash, flash_code, flash_weights, ram_arena, ram_other;
  int64_t image_flash,
      image_ram;        /* of the whole program that uses the model, start code included, without its stack */
  int64_t stack;        /* bytes that one inference used below its caller (painted stack); -1: unknown */
  int64_t instructions; /* of one inference; -1: not counted here */
  const char *counted_by;
  /* Of one inference: on bare machines instructions weighted by the documented cycles of their classes, without wait
   * states and dual issue (backend/harness/weight_plugin.c); elsewhere the instructions. -1: not counted here. */
  int64_t cycles;
  const char *weighed_by;
  /* Self-test vectors; those that passed (integers equal, floats within 1e-5 of the range) and those of which every
   * output was equal byte for byte. */
  int vectors, vectors_passed, vectors_equal;
  bool second_ran;       /* on the target's stricter machine as well */
  char second_note[160]; /* why not, when it has one; "" otherwise */
} Measured;
/* Build and run the self-test of an emitted folder. Missing compiler or emulator: reported with the package to install.
 * A vector that fails is reported too (false; *out holds what was measured). `host` may be NULL. */
bool harness_verify(const char *dir, const Target *t, const Host *host, Measured *out, Diag *d);
/* What one inference of a family's variant takes; -1: not counted here. */
typedef struct VariantMeasured {
  int64_t instructions, cycles;
} VariantMeasured;
/* The same of a family's folder: vectors go through its variants in every order of two, and *n variants are counted one by
 * one (0: no family). At most EMIT_VARIANTS. Everything else in *out is of the widest. */
bool harness_verify_family(const char *dir, const Target *t, const Host *host, Measured *out,
                           VariantMeasured *variants, int *n, Diag *d);
/* Sizes alone: built and linked, not run; ram_other with the arena, ram_arena 0. */
bool harness_sizes(const char *dir, const Target *t, const Host *host, Measured *out, Diag *d);
/* What one layer took in one inference, all its rows together: instructions, and cycles as in Measured. */
typedef struct LayerMeasured {
  int64_t calls, instructions, cycles;
} LayerMeasured;
typedef struct Profile {
  LayerMeasured *layers; /* by number in model.c; NULL: not measured here */
  int n_layers;
  int64_t stack;             /* of one inference by the compiler's call graph; -1: unknown */
  const char *stack_deepest; /* the chain of functions that has it: "net_run > conv_s8__generic" */
  const char *stack_without; /* functions that are called and not known to it: "expf memcpy"; "" */
} Profile;
/* Layers (bare machines) and stack by the compiler, of an emitted folder; in `a`. */
bool harness_profile(const char *dir, const Target *t, const Host *host, Arena *a, Profile *out, Diag *d);
/* Whether the tools to build and run for this target are here; if not, *missing names the first that is not. */
bool harness_available(const Target *t, const char **missing);
/* What the target's compiler calls itself (the first line of its --version), in `a`: what it builds depends on that. "": it
 * is not here. NULL: reported. */
const char *harness_compiler(const Target *t, Arena *a, Diag *d);
/* Run emitted C on given inputs: in[n][n_inputs] -> out[n][n_outputs] (allocated; tensor_free). g gives the outputs'
 * types and shapes, its batch taken as 1. */
bool harness_run(const char *dir, const Target *t, const Graph *g, const Tensor *in, int n, Tensor *out,
                 Diag *d);

/* Orders to emitted C that learns (EmitOptions.adapt), and where they are obeyed. */
enum { ADAPT_RUN = -1, ADAPT_WORDS = -2, ADAPT_RESET = -3, ADAPT_RATES = -4 };
typedef struct AdaptOrder {
  int32_t
      what; /* a label: a step on the input; ADAPT_RUN: an inference; ADAPT_RATES: from now on; the others have no input */
  const void *input; /* of the first input's bytes; of ADAPT_RATES float [4], as AdaptRun.rates */
} AdaptOrder;
typedef struct AdaptRun {
  const char *name; /* of the model's functions */
  float rates[4];   /* mistify_rates: last, offset, gain, clip */
  bool count;       /* instructions too, on bare machines, before the first order */
  const AdaptOrder *orders;
  int n;
  size_t input_bytes;
} AdaptRun;
/* Build the folder with the target's compiler, run it where the target is; *out gets the results, appended: three u64 of
 * instructions (of a run, a step, a step from features; 0: not counted), then for each order a loss (float), the first output's bytes, all
 * words that were learned, or nothing. */
bool harness_adapt(const char *dir, const Target *t, const AdaptRun *r, struct StrBuf *out, Diag *d);

/* -- calibration (backend/calibrate/) -- */
typedef struct CalibrateOptions {
  const char *const *kernels; /* these alone, the other rows stay as they are; n_kernels 0: all */
  size_t n_kernels;
  bool sets_only;   /* kernels of the target's own sets alone; generic rows stay */
  bool cycles_only; /* rows that are there keep their bytes of code */
  const char *dir;  /* for emitted C; removed */
  const Host *host; /* its log gets a line for each kernel; may be NULL */
} CalibrateOptions;
/* Measure what kernels cost on a target and append its cost table, as C, to *table: backend/targets/NAME/IDENT.c.
 * *worst: largest relative error of a fit. */
bool calibrate_target(const Target *t, const CalibrateOptions *o, struct StrBuf *table, double *worst,
                      Diag *d);

/* -- cost (backend/cost.c) -- */
/* Cost of a graph as it stands (already int8 or float), with the plan that emission makes by default. */
bool backend_cost(const Graph *g, const Target *t, Cost *out, Diag *d);
/* The same with another plan; NULL: the default. */
bool backend_cost_planned(const Graph *g, const Target *t, const PlanOptions *plan, Cost *out, Diag *d);
/* The same, and the bytes in each of plan's regions, by its index; context and what the library keeps count to the main one. */
bool backend_cost_regions(const Graph *g, const Target *t, const PlanOptions *plan, Cost *out,
                          PlanRegion have[PLAN_REGIONS_MAX], Diag *d);

#endif
