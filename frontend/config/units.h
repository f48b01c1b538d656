/* Numbers as people write them: 256KiB, 2.5M, 85%, 5 min. Used by configuration files and command options. */
#ifndef FRONTEND_CONFIG_UNITS_H
#define FRONTEND_CONFIG_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns NULL and writes *out, or returns what is wanted ("a size such as 256KiB, ...") and leaves *out.
 * Spaces between number and unit are allowed; hexadecimal, octal, inf and nan are not numbers here. */
const char *unit_int(const char *text, int64_t *out);  /* decimal digits with an optional sign */
const char *unit_float(const char *text, double *out); /* finite */
const char *unit_share(const char *text, double *out); /* 85% or 0.85, as 0.85; 0..1 */
const char *unit_bytes(const char *text,
                       int64_t *out); /* B KiB MiB GiB, kB MB GB (of 1000); K, KB: refused */
const char *unit_count(const char *text, int64_t *out);  /* k M G of 1000; must come out whole */
const char *unit_joules(const char *text, double *out);  /* pJ nJ uJ mJ J; without a unit: refused */
const char *unit_seconds(const char *text, double *out); /* ms s min h; without a unit: refused, 0 excepted */

/* "64 KiB", "1 byte", "100,000 bytes": exact. */
void unit_format_bytes(int64_t bytes, char *buf, size_t n);

#endif
