/* What kernels cost on cortex-m7: as on cortex-m4, of which it takes the kernels and, by the table of the harness, the cycles
 * of instructions. `mistify calibrate cortex-m7` measures a table of its own.
 */
#define costs_cortex_m4 costs_cortex_m7
#include "backend/targets/cortex-m4/cortex_m4.c"
