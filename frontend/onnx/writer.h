/* Writing Protocol Buffers' wire format into a StrBuf: the counterpart of wire.h. A message inside another one is
 * written into a buffer of its own first, then appended with its length. */
#ifndef FRONTEND_ONNX_WRITER_H
#define FRONTEND_ONNX_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "ir/base/strbuf.h"

void pb_int(StrBuf *to, uint32_t id, int64_t v);
void pb_float(StrBuf *to, uint32_t id, float v);
void pb_bytes(StrBuf *to, uint32_t id, const void *p, size_t n);
void pb_str(StrBuf *to, uint32_t id, const char *s);
/* Append the message `from`, and free it. */
void pb_message(StrBuf *to, uint32_t id, StrBuf *from);

#endif
