/* Custom operators: operators of model files that a function of the user's in C computes.
 *
 *   custom.yaml -> frontend/config -> CustomLibrary: rules (which operator, which function), texts of the sources
 *                                        |
 *            importers: a rule makes a Custom node (function, hash of its source, attributes)
 *            evaluation: the sources, compiled by this machine's compiler, loaded into the program (custom_build)
 *            emission: the sources beside model.c, the function declared and called
 *
 * A graph in a file holds no code: who reads one gives the library again, and the hash tells whether it is the same.
 * A graph in memory holds a counted reference to its library.
 */
#ifndef IR_CUSTOM_H
#define IR_CUSTOM_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/hash.h"
#include "ir/types.h"
#include "runtime/kernels/custom.h"

/* An attribute that the function is given: by its name in the model file, or a value for where that has none. */
typedef struct CustomParam {
  const char *name;
  bool has_value;
  double value;
  Loc loc;
} CustomParam;

enum { CUSTOM_MAX_PARAMS = MAX_RANK * 2, CUSTOM_MAX_FILES = 16 };

typedef struct CustomRule {
  const char *op;                  /* as the list names it: "acme:Swish", "Swish" */
  const char *domain, *name;       /* the same in two parts; domain "": none */
  const char *function;            /* a C identifier */
  int32_t files[CUSTOM_MAX_FILES]; /* of the library */
  int n_files;
  Hash code;  /* of these */
  DType type; /* of the output; DT_NONE: as input 0 */
  bool shaped;
  Shape shape; /* where shaped; DIM_BATCH in front: input 0's extent there */
  CustomParam ints[CUSTOM_MAX_PARAMS], floats[CUSTOM_MAX_PARAMS];
  int n_ints, n_floats;
  const char *ignore[CUSTOM_MAX_PARAMS]; /* attributes that mean nothing to the function */
  int n_ignore;
  int32_t scratch;
  Loc loc;
} CustomRule;

typedef struct CustomFile {
  const char *path; /* as the user named it */
  const char *name; /* its last part: what it is called where it is copied to */
  const char *text;
  size_t size;
  bool source; /* compiled; others are headers */
} CustomFile;

typedef struct CustomLibrary CustomLibrary;

/* -- making one -- */
CustomLibrary *custom_new(void);
Arena *custom_arena(CustomLibrary *l); /* for the strings of rules and files */
/* Its number; a file of the same path is there already. -1: another file of that name (reported). */
int custom_add_file(CustomLibrary *l, const CustomFile *f, const Loc *loc, Diag *d);
/* Sets the copy's hash of its files. */
void custom_add_rule(CustomLibrary *l, const CustomRule *r);
/* Compile the sources and load them; header: the text of runtime/kernels/custom.h. True too where there is no compiler here: functions are then not at hand. What the
 * compiler says against the sources, and functions that they do not define, are reported. */
bool custom_build(CustomLibrary *l, const char *header, Diag *d);

CustomLibrary *custom_ref(CustomLibrary *l); /* NULL is allowed, here and below */
void custom_unref(CustomLibrary *l);

/* -- asking -- */
/* The rule for an operator of that domain, by which ONNX's standard one is "". NULL: none. */
const CustomRule *custom_rule(const CustomLibrary *l, const char *domain, const char *name);
/* The rule for a custom operator of TensorFlow Lite. */
const CustomRule *custom_rule_of_code(const CustomLibrary *l, const char *code);
int custom_n_rules(const CustomLibrary *l);
const CustomRule *custom_rule_at(const CustomLibrary *l, int i);
int custom_n_files(const CustomLibrary *l);
const CustomFile *custom_file(const CustomLibrary *l, int i);

/* What sources of custom operators include: the text of runtime/kernels/custom.h. */
#define CUSTOM_HEADER "mistify_custom.h"

struct Graph;
struct Node;
/* Give the graph the library, in the place of what it had. */
void custom_attach(struct Graph *g, CustomLibrary *l);
/* The rule that a Custom node is of: its function, of the same source. NULL: reported. */
const CustomRule *custom_rule_of(const struct Graph *g, const struct Node *n, Diag *d);
/* The function that a Custom node calls, NULL where it is not at hand; the second reports that. */
mf_custom_fn *custom_function(const struct Graph *g, const struct Node *n);
bool custom_missing(const struct Graph *g, const struct Node *n, Diag *d);

/* The attributes of a node of that rule whose first input is such, without integers and numbers; the attribute `code`. */
struct custom_attrs;
void custom_node(const CustomRule *r, DType type, const Shape *shape, struct custom_attrs *out);
Ints custom_code(const CustomRule *r);

#endif
