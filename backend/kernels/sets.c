/* The kernel sets: one table per folder of runtime/kernels, made from its kernels.def.
 *
 * Sets whose inner loops have C twins are built for this host too, and run here in tests; a set for instructions that
 * have none has NULL functions.
 */
#include "backend/backend.h"
#include "backend/kernels/kernels.h"

#define ROW(set_, fn_, name_, variant, struct_, file_, scratch_fn, accepts_fn, pack_fn, in_place_bits) \
  {.name = #name_,                                                                                     \
   .set = #set_,                                                                                       \
   .file = "runtime/kernels/" #set_ "/" file_,                                                         \
   .params = &params_##struct_,                                                                        \
   .fn = fn_,                                                                                          \
   .scratch = scratch_fn,                                                                              \
   .in_place = in_place_bits,                                                                          \
   .tag = #set_ #variant,                                                                              \
   .accepts = accepts_fn,                                                                              \
   .pack = pack_fn},

#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__armv7em##variant;
#include "runtime/kernels/armv7em/kernels.def"
#undef K
static const KernelDef armv7em[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(armv7em, name##__armv7em##variant, name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/armv7em/kernels.def"
#undef K
};

#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__armv7m##variant;
#include "runtime/kernels/armv7m/kernels.def"
#undef K
static const KernelDef armv7m[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(armv7m, name##__armv7m##variant, name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/armv7m/kernels.def"
#undef K
};

#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__armv6m##variant;
#include "runtime/kernels/armv6m/kernels.def"
#undef K
static const KernelDef armv6m[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(armv6m, name##__armv6m##variant, name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/armv6m/kernels.def"
#undef K
};

#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__mve##variant;
#include "runtime/kernels/mve/kernels.def"
#undef K
static const KernelDef mve[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(mve, name##__mve##variant, name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/mve/kernels.def"
#undef K
};

/* Instructions of 64-bit Arm, and of x86-64: built where the compiler makes code for one. */
#ifdef __aarch64__
#define NEON_FN(f) f
#else
#define NEON_FN(f) NULL
#endif
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__neon##variant;
#include "runtime/kernels/neon/kernels.def"
#undef K
static const KernelDef neon[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(neon, NEON_FN(name##__neon##variant), name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/neon/kernels.def"
#undef K
};

#ifdef __x86_64__
#define X86_FN(f) f
#else
#define X86_FN(f) NULL
#endif
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__avx2##variant;
#include "runtime/kernels/avx2/kernels.def"
#undef K
static const KernelDef avx2[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(avx2, X86_FN(name##__avx2##variant), name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/avx2/kernels.def"
#undef K
};

#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  mf_kernel_fn name##__sse41##variant;
#include "runtime/kernels/sse41/kernels.def"
#undef K
static const KernelDef sse41[] = {
#define K(name, variant, params, file, scratch, accepts, pack, in_place, doc) \
  ROW(sse41, X86_FN(name##__sse41##variant), name, variant, params, file, scratch, accepts, pack, in_place)
#include "runtime/kernels/sse41/kernels.def"
#undef K
};

#define COUNT(set) (int)(sizeof set / sizeof *set)
static const int n_armv7em = COUNT(armv7em), n_armv7m = COUNT(armv7m), n_armv6m = COUNT(armv6m),
                 n_mve = COUNT(mve), n_neon = COUNT(neon), n_avx2 = COUNT(avx2), n_sse41 = COUNT(sse41);

const KernelSet kernel_sets[] = {
    {"generic", generic_kernels, &n_generic_kernels, NULL},
    {"armv7em", armv7em, &n_armv7em, NULL},
    {"armv7m", armv7m, &n_armv7m, NULL},
    {"armv6m", armv6m, &n_armv6m, NULL},
    {"mve", mve, &n_mve, NULL},
    {"neon", neon, &n_neon, NULL},
    {"avx2", avx2, &n_avx2, NULL},
    {"sse41", sse41, &n_sse41, NULL},
};
const int n_kernel_sets = COUNT(kernel_sets);
