/* What kernels cost on cortex-m85: as on cortex-m55, of which it takes the kernels and, by the table of the harness, the cycles
 * of instructions. `mistify calibrate cortex-m85` measures a table of its own.
 */
#define costs_cortex_m55 costs_cortex_m85
#include "backend/targets/cortex-m55/cortex_m55.c"
