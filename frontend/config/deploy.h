/* deploy.yaml: what the model's user needs. The design to start from, and targets with their limits and accuracy
 * floors. It cannot say how the model is pruned, trained or fed: that is the designer's (design.yaml).
 */
#ifndef FRONTEND_CONFIG_DEPLOY_H
#define FRONTEND_CONFIG_DEPLOY_H

#include "frontend/config/design.h"

typedef enum DeployPrecision { PRECISION_INT8, PRECISION_FLOAT32 } DeployPrecision;

/* As a whole, or row by row (NAME_push_rows). */
typedef enum DeployInput { DEPLOY_INPUT_WHOLE, DEPLOY_INPUT_ROWS } DeployInput;

/* Bytes of RAM, of all memories together and of each; given where their Loc says so. */
typedef struct DeployRam {
  int64_t all, fast, main, external;
  Loc all_loc, fast_loc, main_loc, external_loc;
} DeployRam;

typedef struct DeployLimits {
  int64_t flash, cycles; /* bytes, cycles of one inference; 0: not given */
  DeployRam ram;
  double latency; /* seconds of one inference; 0: not given */
  double energy;  /* joules of one inference; 0: not given */
  CfgAmount macs; /* of one inference: absolute, or a share of the original's; 0: not given */
  Loc flash_loc, cycles_loc, latency_loc, energy_loc, macs_loc;
} DeployLimits;

extern const char *const deploy_formats[], *const deploy_weights[];
/* How the emitted C is cut up; words as `mistify compile` has them. */
typedef struct DeployCode {
  int format, weights; /* 0: single, code; 1: split, blob */
  bool step;
  const char *section; /* NULL: the compiler's */
  int64_t align;
  int64_t drift; /* inferences between two false alarms of the monitor of drift; 0: none */
} DeployCode;

extern const char *const deploy_adapts[];
enum { DEPLOY_ADAPT_RANK_MAX = 8 };
/* What learns on the device. */
typedef struct DeployAdapt {
  int layers;     /* index into deploy_adapts, 0: none */
  int64_t memory; /* bytes beside inference; 0: as much as it takes */
  int k;          /* most layers before the last one; 0: as many as there are */
  int rank;       /* of adapters, up to DEPLOY_ADAPT_RANK_MAX; 0: nothing is said */
  Loc rank_loc;
} DeployAdapt;

typedef struct DeployTarget {
  const YamlFile *file; /* it stands in */
  const char *name;     /* unique; the folder of its results below `out` */
  const char *board;    /* a shipped board's name, or the path of a board's YAML file; NULL: target is set */
  const char *target;   /* a target's name; NULL: board is set */
  Loc loc, board_loc, target_loc, name_loc;
  DeployLimits limits;
  Loc limits_loc;
  double accuracy_min;  /* share; meaningful when accuracy_min_loc.line > 0 */
  double accuracy_drop; /* share below the original's; when accuracy_drop_loc.line > 0. Neither: no floor */
  Loc accuracy_min_loc, accuracy_drop_loc;
  DeployPrecision precision;
  Loc precision_loc;
  DeployInput input;
  DeployCode code;
  int variants;          /* in one image, sharing weights; 0: one model */
  double variants_least; /* MACs of the narrowest, as a share of the widest's */
  double variants_min,
      variants_drop; /* floor of the narrower ones, absolute or below the original; shares, 0: none */
  Loc variants_loc;
  DeployAdapt adapt;
  int priority; /* the higher, the earlier it is worked on */
} DeployTarget;

typedef struct Deploy {
  const YamlFile *file;
  const Design *design;
  Loc design_loc;
  uint64_t seed;
  int threads; /* 0: as many as there are processors */
  const char *cache, *out;
  double time; /* seconds for the whole run; 0: as long as it takes */
  DeployTarget *targets;
  int n_targets;
} Deploy;

/* Read deploy.yaml and the design.yaml that it names; bind and check both. Everything lives in `a`. NULL: reported. */
Deploy *deploy_load(Arena *a, const char *path, Diag *d);
/* The same on another design; NULL: the one that it names. */
Deploy *deploy_load_with(Arena *a, const char *path, const char *design, Diag *d);
/* Further targets from another file (`targets`, and the design where it names one: the same). false: reported. */
bool deploy_add(Arena *a, Deploy *dep, const char *path, Diag *d);

/* What a target may use, all told: its limits, its board's memories where it gives none. 0: no bound. */
typedef struct DeployBounds {
  int64_t flash, ram, macs, cycles;
  /* Of ram, the most in each memory that is used, the fastest first; n_regions 0: it is one, or nobody asked. */
  struct {
    const char *name; /* "fast", "main", "external" */
    int64_t bytes;
  } region[3];
  int n_regions;
} DeployBounds;

/* What is known of a target's board. */
typedef struct DeployBoard {
  const char *name;       /* for messages */
  int64_t flash, ram;     /* bytes; 0: unknown */
  int64_t fast, external; /* of ram the tightly coupled part; beyond ram; 0: none */
  double hz;              /* estimated cycles in a second; 0: unknown */
  double joules;          /* of an estimated cycle; 0: unknown */
} DeployBoard;

/* original_macs: of the design's model. A limit beyond the board's memory is an error: it would promise what the board
 * cannot hold; so is a latency where no board's clock is known, or an energy where its joules per cycle are not. */
bool deploy_bounds(const DeployTarget *t, const DeployBoard *board, int64_t original_macs, DeployBounds *out,
                   Diag *d);

/* The least accuracy asked for, when the original reaches `original` (shares 0..1); 0: no floor. */
double deploy_floor(const DeployTarget *t, double original);

extern const Schema deploy_schema, request_schema;

#endif
