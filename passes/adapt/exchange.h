/* Exchange files: what sites hand to one another, or to a server. exchange.def has every field.
 *
 *   "MISTEXCH"  head  label [40]  numbers float32 [rows * columns]  check [16]
 *
 * The label is one of two fixed texts, by `guarantee`. A reader says which model and which public set it has, so that the
 * number of numbers is known to it: a file of any other length is refused.
 */
#ifndef PASSES_ADAPT_EXCHANGE_H
#define PASSES_ADAPT_EXCHANGE_H

#include "ir/base/diag.h"
#include "ir/base/hash.h"
#include "ir/base/strbuf.h"

enum { EXCHANGE_VERSION = 1, EXCHANGE_LABEL = 40 };
enum { EXCHANGE_UPDATE = 1, EXCHANGE_OUTPUTS = 2 };
enum { GUARANTEE_NONE, GUARANTEE_DP };

typedef struct Exchange {
  uint32_t version, kind, layers, guarantee;
  Hash model, public_set;
  uint64_t rows, columns, steps;
  double epsilon, delta, noise, clip, rate, weight;
  float *values; /* [rows][columns]; of a file that was read: the caller's to free (exchange_free) */
} Exchange;

typedef struct ExchangeField {
  const char *name, *kind, *doc;
  uint32_t bytes;
} ExchangeField;
extern const ExchangeField exchange_fields[];
extern const int n_exchange_fields;

/* Bytes of a file of so many numbers. */
uint64_t exchange_bytes(uint64_t rows, uint64_t columns);
/* "no formal guarantee", or what is guaranteed; fixed texts of the format. */
const char *exchange_label(const Exchange *e);
/* One line for logs: kind, size, guarantee. */
void exchange_describe(const Exchange *e, StrBuf *out);
/* A file's bytes, appended; path: of reports. Numbers must be finite. */
bool exchange_format(const Exchange *e, const char *path, StrBuf *out, Diag *d);
/* The same to a file, whole or not at all. */
bool exchange_write(const char *path, const Exchange *e, Diag *d);
/* What a reader expects. */
typedef struct ExchangeWant {
  uint32_t kind;                  /* 0: any */
  const Hash *model, *public_set; /* NULL: any */
} ExchangeWant;
/* Refuses what is damaged, too long, too short, or of another model or public set. */
bool exchange_read(const char *path, const ExchangeWant *want, Exchange *out, Diag *d);
/* The same of bytes, whoever wrote them; path: of reports. Allocates no more than a file of that size is worth. */
bool exchange_parse(const void *bytes, size_t n, const char *path, const ExchangeWant *want, Exchange *out,
                    Diag *d);
void exchange_free(Exchange *e);

#endif
