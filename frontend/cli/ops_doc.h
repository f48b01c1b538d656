/* The reference of operators, as Markdown. */
#ifndef FRONTEND_CLI_OPS_DOC_H
#define FRONTEND_CLI_OPS_DOC_H

#include "ir/base/strbuf.h"

/* `conformance`: the text of docs/conformance.tsv; "": no figures. */
void ops_doc(const char *conformance, StrBuf *out);

#endif
