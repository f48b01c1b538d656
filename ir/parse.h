/* The parser of the text form, between its files: lex.c (tokens), parse_elems.c (constants), parse.c (the rest). */
#ifndef IR_PARSE_H
#define IR_PARSE_H

#include "ir/text.h"

typedef enum Tok { TOK_END, TOK_ID, TOK_ATOM, TOK_STRING, TOK_PUNCT, TOK_BAD } Tok;

typedef struct IdSlot {
  const char *s; /* in the text; NULL: free */
  size_t len;
  ValId val;
} IdSlot;

typedef struct Parser {
  const char *p;    /* next character */
  const char *end;  /* the text's NUL */
  const char *line; /* start of the current line */
  int line_no;
  Tok tok; /* the lookahead: kind, text, where */
  const char *s;
  size_t len;
  const char *tok_line;
  Loc loc;
  const char *file;
  const ConstSource *source;
  Graph *g;
  Arena *a;    /* strings while parsing */
  IdSlot *ids; /* open addressing, at most half full */
  size_t n_ids, cap_ids;
  Diag *d;
} Parser;

/* A type as written: DTYPE[dims] q(...) "name". */
typedef struct Typed {
  DType dtype;
  Shape shape;
  int q_n, q_axis;
  float *scale;
  int32_t *zero;
  char *name;
  Loc loc; /* where it stands */
  const char *line;
} Typed;

/* -- ir/lex.c: all report at the lookahead and return false where it is not what they want -- */

bool lex_is_atom(char c);        /* letters, digits, _ . - + */
void lex_skip_blanks(Parser *p); /* blanks, line ends and comments before the next character */
void lex_next(Parser *p);        /* read the next token into the lookahead */
bool lex_at(const Parser *p, char c);
bool lex_at_word(const Parser *p, const char *word);
bool lex_want(Parser *p, char c); /* and step over it */
char *lex_atom(Parser *p);        /* the lookahead's text, in p->a */
const char *lex_seen(Parser *p);  /* the lookahead as the user sees it, for messages */
bool lex_int(Parser *p, int64_t least, int64_t most, int64_t *out);
bool lex_float(Parser *p, float *out);
bool lex_string(Parser *p, char **out); /* in p->a, escapes resolved */

/* Report at the lookahead; at another token's place and line. Both return false. */
bool lex_fail(Parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lex_fail_at(Parser *p, const Loc *loc, const char *line, const char *text);

/* -- ir/parse_elems.c -- */

/* "{" elements "}" of type t, the lookahead at "{". */
bool parse_elems(Parser *p, const Typed *t, Blob **out);

#endif
