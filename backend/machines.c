/* Emulated machines of bare targets: where their memory lies, how fast their SysTick runs. Counting instructions by
 * SysTick needs the latter: under -icount shift=6 an instruction takes 64 ns. */
#include "backend/backend.h"

#include <string.h>

static const struct {
  const char *machine, *script, *flags;
} machines[] = {
    {"mps2-an385", "mps2.ld", "-DBARE_MHZ=25"}, /* also an386, an500 */
    {"mps2-an505", "an505.ld", "-DBARE_MHZ=20"},
    {"mps3-an547", "an547.ld", "-DBARE_MHZ=32"},
    {"microbit", "microbit.ld", "-DBARE_MHZ=16"},
};

static size_t find(const char *machine) {
  size_t i = sizeof machines / sizeof *machines - 1;
  while (i > 0 && strcmp(machines[i].machine, machine) != 0) i--;
  return i;
}

const char *machine_script(const char *machine) { return machines[find(machine)].script; }
const char *machine_flags(const char *machine) { return machines[find(machine)].flags; }
