/* Semihosting, instruction counter and stack depth for a bare Cortex-M under QEMU; see bare.h.
 *
 * Semihosting is Arm's debug interface: BKPT 0xAB with an operation in r0 and a parameter block in r1. The counter is
 * SysTick, a 24-bit counter that runs down with the processor clock, BARE_MHZ on the machine at hand; its interrupt
 * counts the wraps. Under `-icount shift=6` each instruction takes 64 ns of virtual time: 1.6 ticks at 25 MHz.
 */
#include "bare.h"

#ifndef BARE_MHZ
#define BARE_MHZ 25
#endif

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

static uint32_t semihost(uint32_t op, const void *args) {
  register uint32_t r0 __asm__("r0") = op;
  register const void *r1 __asm__("r1") = args;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static uint32_t address(const void *p) { return (uint32_t)(uintptr_t)p; }

int bare_open(const char *path, int write) {
  uint32_t n = 0;
  while (path[n]) n++;
  const uint32_t args[3] = {address(path), write ? OPEN_WRITE_BINARY : OPEN_READ_BINARY, n};
  return (int)semihost(SYS_OPEN, args);
}

/* SYS_READ and SYS_WRITE return the bytes not moved. */
uint32_t bare_read(int file, void *to, uint32_t n) {
  const uint32_t args[3] = {(uint32_t)file, address(to), n};
  return n - semihost(SYS_READ, args);
}

uint32_t bare_write(int file, const void *from, uint32_t n) {
  const uint32_t args[3] = {(uint32_t)file, address(from), n};
  return n - semihost(SYS_WRITE, args);
}

void bare_close(int file) {
  const uint32_t args[1] = {(uint32_t)file};
  semihost(SYS_CLOSE, args);
}

void bare_print(const char *text) { semihost(SYS_WRITE0, text); }

__attribute__((noreturn)) void bare_exit(int status) {
  const uint32_t args[2] = {0x20026u /* application exit */, (uint32_t)status};
  for (;;) semihost(SYS_EXIT_EXTENDED, args);
}

/* -- instruction counter -- */

static volatile uint32_t *const systick_control = (volatile uint32_t *)0xE000E010;
static volatile uint32_t *const systick_reload = (volatile uint32_t *)0xE000E014;
static volatile uint32_t *const systick_value = (volatile uint32_t *)0xE000E018;
enum { TICK_MAX = 0xFFFFFF };
static volatile uint32_t systick_wraps;

void systick_handler(void);
void systick_handler(void) { systick_wraps++; }

void bare_count_start(void) {
  *systick_control = 0;
  *systick_reload = TICK_MAX;
  *systick_value = 0;
  systick_wraps = 0;
  *systick_control = 7; /* on, with interrupt, from the processor clock */
  while (*systick_value == 0) {}
}

uint64_t bare_count_stop(void) {
  uint32_t wraps, value;
  do {
    wraps = systick_wraps;
    value = *systick_value;
  } while (wraps != systick_wraps);
  *systick_control = 0;
  const uint64_t ticks = (uint64_t)wraps * (TICK_MAX + 1u) + (TICK_MAX - value);
  return (ticks * 125 + 4 * BARE_MHZ) / (8 * BARE_MHZ);
}

/* -- stack -- */

extern uint32_t stack_limit[]; /* by the linker: end of data, start of free memory */
enum { PAINT = 0x5AFEC0DE, PAINT_MAX = 16384 / 4, GUARD = 16 };
static uint32_t *painted_from, *painted_to, *stack_from;

/* GUARD bytes below this function's own frame stay as they are: they count as used. */
__attribute__((noinline)) void bare_stack_paint(uint32_t *sp) {
  uint32_t *p;
  stack_from = sp;
  painted_to = bare_sp() - GUARD / 4;
  painted_from = painted_to - PAINT_MAX < stack_limit ? stack_limit : painted_to - PAINT_MAX;
  for (p = painted_from; p < painted_to; p++) *(volatile uint32_t *)p = PAINT;
}

uint32_t bare_stack_used(void) {
  const uint32_t *p = painted_from;
  while (p < painted_to && *p == PAINT) p++;
  return (uint32_t)((stack_from - p) * 4);
}
