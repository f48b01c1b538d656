/* Start of a bare Cortex-M program: vector table and reset. The FPU is switched on where there is one, .data copied,
 * .bss cleared; main's result becomes the emulator's exit status. Any fault ends the program with status 99.
 */
#include "bare.h"

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern int main(void);
void systick_handler(void);
__attribute__((noreturn)) void reset_handler(void);
__attribute__((noreturn)) void fault_handler(void);

__attribute__((noreturn)) void fault_handler(void) {
  bare_print("fault\n");
  bare_exit(99);
}

__attribute__((noreturn)) void reset_handler(void) {
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the FPU */
  __asm__ volatile("dsb\n isb");
#endif
  const uint32_t *from = data_load;
  uint32_t *to;
  for (to = data_start; to < data_end; to++) *to = *from++;
  for (to = bss_start; to < bss_end; to++) *to = 0;
  bare_exit(main());
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {(vector)(uintptr_t)stack_top,
                                                                              reset_handler,
                                                                              fault_handler,
                                                                              fault_handler,
                                                                              fault_handler,
                                                                              fault_handler,
                                                                              fault_handler,
                                                                              0,
                                                                              0,
                                                                              0,
                                                                              0,
                                                                              fault_handler,
                                                                              fault_handler,
                                                                              0,
                                                                              fault_handler,
                                                                              systick_handler};
