/* mistify adapt: what its parts share. cmd_adapt.c reads models and data and re-tailors; adapt_exchange.c is what goes out
 * to others and comes in from them. */
#ifndef FRONTEND_CLI_ADAPT_H
#define FRONTEND_CLI_ADAPT_H

#include "frontend/cli/cli.h"
#include "frontend/config/site.h"
#include "ir/family.h"
#include "passes/adapt/attack.h"
#include "passes/adapt/ledger.h"
#include "passes/adapt/retailor.h"
#include "passes/adapt/share.h"

typedef struct AdaptOpts {
  CommonOpts common;
  const char *model, *data, *out, *layers, *share, *ledger, *counter;
  ArgList narrower, teachers, exchange;
  double epochs, lr, epsilon, sigma, delta, budget, rate, clip, weight;
  int64_t steps, nominal, seed, threads;
  bool unlabelled, plan, independent;
} AdaptOpts;

enum { ADAPT_TEACHERS = 8, ADAPT_FILES = 1024 };

typedef struct Adapting {
  const AdaptOpts *o;
  Arena *a;
  Diag *d;
  const Site *site;
  Graph *model, *teachers[ADAPT_TEACHERS];
  int n_teachers;
  Graph *family
      [FAMILY_MAX]; /* [n_family] variants that share weights, widest first; 0: MODEL is one model. model: the widest */
  int n_family;
  bool bytes;   /* its int8 variants take bytes */
  Dataset data; /* train: the local data */
  Split others; /* of the attack; n 0: none */
  Progress progress;

  /* results, for printing */
  const char *emit; /* out=FILE; NULL: nothing goes out */
  const char **in;  /* in=FILE: [n_in] */
  int n_in;
  bool outputs;     /* --share outputs */
  bool private_run; /* --epsilon or --sigma */
  Retailored retailored;
  bool has_retailored, has_attack, emitted;
  Attack attack;
  Exchange file;
  ShareOptions options;
  double spent, left; /* epsilon of the ledger, with this run */
} Adapting;

/* Are MODEL and NARROWER variants that share weights, a folder or several files? */
bool adapt_is_family(const AdaptOpts *o);
/* The variants that MODEL and NARROWER name: files, or a folder's float0.mistify and so on. Nothing where it is one model. */
bool adapt_load_family(Adapting *r);
/* Re-tailor them, and write them to the folder -o: float, and int8 as `compile --family` takes them. */
bool adapt_family(Adapting *r);
/* A float model as it is trained on; NULL: reported. */
Graph *adapt_load(const char *path, Diag *d);
/* Read --exchange, --layers, --share and what belongs to them. */
bool adapt_read_exchange(Adapting *r);
/* Of re-tailoring, as the command line has them. */
void adapt_retailor_options(const AdaptOpts *o, RetailorOptions *to);
/* A model made of others' files; NULL: reported. */
Graph *adapt_merge(Adapting *r);
/* This site's file; *own: its model, the caller's. */
bool adapt_emit(Adapting *r, Graph **own);
/* What a private run would cost; prints. false: it would be refused, reported. */
bool adapt_plan(Adapting *r);

#endif
