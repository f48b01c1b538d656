/* What a program on a bare Cortex-M under QEMU has instead of an operating system: files and text by semihosting, an
 * instruction counter, the depth of the stack. Implemented by bare.c; start.c calls main.
 */
#ifndef BARE_H
#define BARE_H

#include <stdint.h>

int bare_open(const char *path, int write); /* a handle, or -1 */
/* Bytes moved. */
uint32_t bare_read(int file, void *to, uint32_t n);
uint32_t bare_write(int file, const void *from, uint32_t n);
void bare_close(int file);
void bare_print(const char *text);
__attribute__((noreturn)) void bare_exit(int status);

/* Instructions executed between the two calls; only right under -icount shift=6 on the MPS2 machines. */
void bare_count_start(void);
uint64_t bare_count_stop(void);

/* Paint the free stack below sp, the caller's (bare_sp), then ask how many bytes below it were written since. */
void bare_stack_paint(uint32_t *sp);
uint32_t bare_stack_used(void);
#ifdef __arm__
static inline __attribute__((always_inline, unused)) uint32_t *bare_sp(void) {
  uint32_t *sp;
  __asm__ volatile("mov %0, sp" : "=r"(sp));
  return sp;
}
#endif

#endif
