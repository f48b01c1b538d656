/* Lowering: a node as calls of kernels. One meaning per operator: evaluation, constant folding, the oracle
 * of SIMD kernels and emitted C all run these calls; the back end only swaps a kernel for another one of
 * the same operator, places the tensors and prints the calls.
 */
#ifndef IR_LOWER_H
#define IR_LOWER_H

#include "ir/custom.h"
#include "ir/graph.h"
#include "runtime/kernels/kernel.h"

/* -- the table of generic kernels: ir/kernels.c, from runtime/kernels/generic/kernels.def -- */

/* One member of a params struct, for hashing and printing. `count`: arrays' extent, 1 otherwise. */
typedef enum FieldKind {
  FIELD_I32,
  FIELD_F32,
  FIELD_FN, /* a function of the user's */
  FIELD_PTR_I8,
  FIELD_PTR_I16,
  FIELD_PTR_I32,
  FIELD_PTR_F32,
  FIELD_PTR_I64
} FieldKind;
typedef struct FieldDesc {
  const char *name; /* C designator below the struct: "g.in_h", "dims" */
  FieldKind kind;
  size_t offset;
  int count;
} FieldDesc;

typedef struct ParamsDesc {
  const char *c_type; /* "mf_conv_s8" */
  size_t size;
  const FieldDesc *fields;
  int n_fields;
} ParamsDesc;

extern const ParamsDesc params_conv_f32, params_conv_s8, params_fc_f32, params_fc_s8, params_matmul_f32,
    params_pool_f32, params_pool_s8, params_mean, params_copy, params_fill, params_gather, params_binary,
    params_add_s8, params_mul_s8, params_unary_f32, params_lut_s8, params_cast, params_quant, params_requant,
    params_dequant_axis, params_softmax_f32, params_softmax_s8, params_affine_f32;

struct KernelPack;
typedef struct KernelDef {
  const char *name; /* operator, dtype: "conv_s8" */
  const char *set;  /* "generic", "armv7em", ... */
  const char *file; /* root-relative source file, and embedded text */
  const ParamsDesc *params;
  mf_kernel_fn *fn;                      /* NULL where this host cannot run it */
  size_t (*scratch)(const void *params); /* NULL: none */
  int in_place;                          /* the output may be exactly the memory of input 0 (and 1, bit 1) */
  const char *tag;                       /* set and variant: the C function is NAME__TAG */
  /* Whether it can do these params (constants included, not packed yet); NULL: any. */
  bool (*accepts)(const void *params);
  /* Gives the params' constants the layout that the kernel reads; NULL: lowering's. */
  void (*pack)(struct KernelPack *p);
} KernelDef;

/* Bytes of one element of the field on this host. */
size_t field_size(const FieldDesc *f);
/* Whether the description lists every member of its struct, in order (for tests). */
bool params_complete(const ParamsDesc *p);

extern const KernelDef generic_kernels[];
extern const int n_generic_kernels;
const KernelDef *kernel_find_generic(const char *name); /* asserts that it exists */

/* -- calls -- */

/* Constant array behind a pointer field of the params. */
typedef struct CallConst {
  int field;        /* index into the ParamsDesc's fields */
  const void *data; /* owned by the Calls' arena or a blob of the graph */
  int64_t count;    /* elements */
  ValId val;        /* the graph's constant that it is, byte for byte; NO_VAL: made by lowering */
  int align;        /* bytes; 0: the element's */
} CallConst;

typedef struct CallView {
  ValId val;
  int64_t offset; /* bytes from the value's start */
  int64_t row;    /* bytes from one row to the next */
  int64_t step;   /* bytes from one batch item to the next */
} CallView;

enum { CALL_MAX_IN = 6, CALL_MAX_CONST = 6 };

typedef struct KernelCall {
  const KernelDef *kernel;
  void *params; /* of kernel->params->size bytes; pointer fields point at host memory */
  CallConst consts[CALL_MAX_CONST];
  int n_consts;
  CallView in[CALL_MAX_IN], out;
  int n_in;
  int32_t rows;  /* all output rows of one batch item: y1 of a full call */
  int32_t batch; /* items: the emitter loops, or emits one call when 1 */
  NodeId node;
  int64_t macs;
} KernelCall;

typedef struct Calls {
  Arena *arena; /* params and constants made by lowering */
  KernelCall *v;
  uint32_t n;
  size_t cap;
} Calls;

void calls_init(Calls *c);
void calls_free(Calls *c);
/* A new zeroed call with params of that kernel. */
KernelCall *calls_add(Calls *c, const char *kernel, NodeId node);
/* Set pointer field `field` (designator) of the call's params to `data`. */
void call_const(KernelCall *k, const char *field, const void *data, int64_t count, ValId val);

/* What a kernel's pack function edits: params whose pointer fields point at host memory, and the arrays behind them. */
typedef struct KernelPack {
  const ParamsDesc *desc;
  void *params;
  Arena *arena; /* for new arrays */
  CallConst consts[CALL_MAX_CONST];
  int n_consts;
  const void *
      widest; /* params of the family's widest variant, not packed, whose weights are to be held; NULL: its own */
} KernelPack;
/* Make pointer field `field` point at `data`, NULL: at nothing. */
void pack_const(KernelPack *p, const char *field, const void *data, int64_t count, int align);
/* Give the call another kernel of its name: its params, packed, become the call's own. */
void call_exchange(KernelCall *k, const KernelDef *kernel, Arena *a);
/* The same of a call whose weights are a slice of another's, `widest` (its params, not packed): the array of weights then is
 * that one's, byte for byte. NULL: as above. The kernel must have such a layout (kernel_shares). */
void call_exchange_slice(KernelCall *k, const KernelDef *kernel, const void *widest, Arena *a);

/* Whether the call's weights have 4 bits ("conv_s4", "fc_s4"); make it the call of weights of a byte each, which gives the
 * same bytes (ir/lower/lower_nibbles.c). */
bool call_has_nibbles(const KernelCall *k);
void call_widen_nibbles(KernelCall *k, Arena *a);

/* All nodes of a graph whose shapes are static. T_VIEW operators make no call: value_root finds the storage. */
bool graph_lower(const Graph *g, Calls *out, Diag *d);
/* The value whose bytes v shares through T_VIEW operators (v itself when none). */
ValId value_root(const Graph *g, ValId v);

/* The value of a float that is only stored (dtype_kind 's'), from its bits; and its bits, rounded to nearest. */
float lower_stored_float(DType t, int64_t code);
int64_t lower_store_float(DType t, float v);
/* Q31 multiplier and shift of a positive real factor, as TFLite's QuantizeMultiplier. */
void quantize_multiplier(double real, int32_t *mult, int32_t *shift);
/* The same with no right shift, so that requantization rounds once; factors of less than 1 lose precision (2^-31 of 1). */
void quantize_multiplier_once(double real, int32_t *mult, int32_t *shift);
/* Multiplier of 15 bits and shift for mf_requantize_wide, as TFLite reduces them; false: real is 128 or more. */
bool quantize_multiplier_wide(double real, int32_t *mult, int32_t *shift);
/* Integer limits of a fused activation on an output quantized so (TFLite CalculateActivationRangeQuantized). */
void act_range_s8(Act act, float scale, int32_t zero, int32_t *lo, int32_t *hi);
void act_range_s16(Act act, float scale, int32_t *lo, int32_t *hi); /* zero point 0 */
void act_range_f32(Act act, float *lo, float *hi);

#endif
