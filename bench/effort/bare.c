/* Start of a Cortex-M, and the end by semihosting. */
#include <stdint.h>

extern char stack[], data[], data_end[], data_from[], bss[], bss_end[];
int main(void);

static void reset(void) {
  for (char *p = data, *q = data_from; p < data_end;) *p++ = *q++;
  for (char *p = bss; p < bss_end;) *p++ = 0;
  uint32_t exit[2] = {0x20026, (uint32_t)main()};
  register uint32_t r0 __asm__("r0") = 0x20;
  register void *r1 __asm__("r1") = exit;
  __asm__ volatile("bkpt 0xab" : : "r"(r0), "r"(r1) : "memory");
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack, reset};
