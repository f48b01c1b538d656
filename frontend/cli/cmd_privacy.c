/* mistify privacy: what a run of DP-SGD costs, before anybody runs one. */
#include <math.h>
#include <stdio.h>

#include "frontend/cli/cli.h"
#include "runtime/engine/privacy/accountant.h"

typedef struct PrivacyOpts {
  CommonOpts common;
  int64_t n, batch, steps;
  double rate, sigma, epochs, delta, epsilon;
} PrivacyOpts;

static const Opt opts[] = {
    {"--n", OPT_INT, offsetof(PrivacyOpts, n), true, "N", "records of the data"},
    {"--batch", OPT_INT, offsetof(PrivacyOpts, batch), false, "B", "expected examples of a step"},
    {"--rate", OPT_FLOAT, offsetof(PrivacyOpts, rate), false, "Q",
     "instead: probability that a record is in a step"},
    {"--sigma", OPT_FLOAT, offsetof(PrivacyOpts, sigma), false, "S",
     "noise: deviation over the clipping norm; or --epsilon"},
    {"--epsilon", OPT_FLOAT, offsetof(PrivacyOpts, epsilon), false, "E",
     "budget: the least sigma within it is told"},
    {"--epochs", OPT_FLOAT, offsetof(PrivacyOpts, epochs), false, "E", "passes over the data; or --steps"},
    {"--steps", OPT_INT, offsetof(PrivacyOpts, steps), false, "T", "steps"},
    {"--delta", OPT_FLOAT, offsetof(PrivacyOpts, delta), false, "D", "default and most: 1 / (10 n)"},
    {0}};

typedef struct RunCost {
  double rate, sigma, delta, epsilon, classic, order;
  int64_t steps;
} RunCost;

static bool read_run(const PrivacyOpts *o, RunCost *c, Diag *d) {
  FAIL_IF(o->n < 1, d, NULL, "--n %lld: want at least one record", (long long)o->n);
  FAIL_IF((o->batch > 0) == (o->rate > 0), d, NULL, "want --batch or --rate");
  FAIL_IF(o->batch > o->n, d, NULL, "--batch %lld is more than the %lld records", (long long)o->batch,
          (long long)o->n);
  FAIL_IF(o->rate > 1, d, NULL, "--rate %g: want at most 1", o->rate);
  FAIL_IF((o->epochs > 0) == (o->steps > 0), d, NULL, "want --epochs or --steps");
  FAIL_IF((o->sigma > 0) == (o->epsilon > 0), d, NULL, "want --sigma, or --epsilon to be told sigma");
  c->rate = o->batch > 0 ? (double)o->batch / (double)o->n : o->rate;
  const double steps = o->steps > 0 ? (double)o->steps : ceil(o->epochs / c->rate - 1e-9);
  FAIL_IF(!(steps >= 1 && steps < 1e12), d, NULL, "%g steps: want 1 to 1e12", steps);
  c->steps = (int64_t)steps;
  c->delta = o->delta > 0 ? o->delta : 0.1 / (double)o->n;
  if (c->delta <= 0.1 / (double)o->n * (1 + 1e-9)) return true;
  /* Tables of others use more: their figures are to be had, and it is said what they are. */
  FAIL_IF(c->delta >= 1, d, NULL, "--delta %g: want less than 1", c->delta);
  cli_note(&o->common, "delta %g is more than 1 / (10 n) = %g: `mistify adapt` would refuse it", c->delta,
           0.1 / (double)o->n);
  return true;
}

static bool count(const PrivacyOpts *o, RunCost *c, Diag *d) {
  RdpCurve curve = {{0}};
  c->sigma = o->sigma > 0 ? o->sigma : rdp_noise_for(&curve, c->rate, c->steps, o->epsilon, c->delta);
  FAIL_IF(c->sigma <= 0, d, NULL, "no sigma up to 1e4 keeps %lld steps within epsilon %g at delta %g",
          (long long)c->steps, o->epsilon, c->delta);
  rdp_add(&curve, c->rate, c->sigma, c->steps);
  c->epsilon = rdp_epsilon(&curve, c->delta, RDP_TIGHT, &c->order);
  c->classic = rdp_epsilon(&curve, c->delta, RDP_CLASSIC, NULL);
  FAIL_IF(!(c->epsilon < INFINITY), d, NULL, "sigma %g promises nothing: want more noise", c->sigma);
  return true;
}

static void print_json(const RunCost *c) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_knum(&w, "epsilon", c->epsilon);
  json_knum(&w, "epsilon_classic", c->classic);
  json_knum(&w, "delta", c->delta);
  json_knum(&w, "sigma", c->sigma);
  json_knum(&w, "rate", c->rate);
  json_kint(&w, "steps", c->steps);
  json_knum(&w, "order", c->order);
  json_end(&w);
  cli_json_end(&w, &b);
}

static void print_text(const RunCost *c) {
  printf("epsilon %.3f at delta %.3g: %lld steps, rate %.5g, sigma %.4g (Renyi order %g)\n", c->epsilon,
         c->delta, (long long)c->steps, c->rate, c->sigma, c->order);
  printf("by the older conversion, which published tables use: epsilon %.3f\n", c->classic);
}

static int run(void *opts_, Diag *d) {
  const PrivacyOpts *o = opts_;
  RunCost c = {0};
  if (!read_run(o, &c, d) || !count(o, &c, d)) return EXIT_USER;
  if (o->common.json)
    print_json(&c);
  else
    print_text(&c);
  return EXIT_DONE;
}

extern const Command cmd_privacy;
const Command cmd_privacy = {
    "privacy",
    "Tell what a private run would cost: (epsilon, delta)",
    "Counts steps of DP-SGD (Poisson sampling, examples' gradients clipped one by one, Gaussian noise on "
    "their "
    "sum) by\n"
    "Renyi differential privacy; neighbouring data differ by one record that is added or removed. "
    "docs/privacy.md "
    "says\n"
    "what such a figure means and what it covers. Nothing is read or written.",
    "  mistify privacy --n 60000 --batch 256 --sigma 1.3 --epochs 15 --delta 1e-5\n"
    "  mistify privacy --n 5000 --rate 0.05 --steps 200 --epsilon 2          (which sigma?)\n",
    opts,
    sizeof(PrivacyOpts),
    run};
