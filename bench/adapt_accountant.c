/* Part "accountant": epsilon of the cases that TensorFlow Privacy publishes (60,000 records, batches of 256, delta 1e-5), by our
 * Renyi accountant; by the conversion of their tables, and by the tighter one that `mistify adapt` uses. */
#include "bench/adapt.h"
#include "runtime/engine/privacy/accountant.h"

static const double records = 60000, batch = 256, delta = 1e-5;

typedef struct Case {
  double noise;
  int epochs;
  double published; /* as printed there */
} Case;
static const Case cases[] = {{1.3, 15, 1.19}, {1.1, 60, 3.01}, {0.7, 45, 7.1}};

void part_accountant(Adapt *ad) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const Case *c = &cases[i];
    RdpCurve curve = {{0}};
    const int64_t steps = (int64_t)(c->epochs * records / batch);
    rdp_add(&curve, batch / records, c->noise, steps);
    const char *name = arena_printf(ad->a, "accountant, noise %g, %d epochs", c->noise, c->epochs),
               *how = arena_printf(ad->a, "%lld steps of rate %g, delta %g", (long long)steps,
                                   batch / records, delta);
    adapt_row(ad, &(Row){.name = name,
                         .metric = "epsilon, as tables convert",
                         .value = rdp_epsilon(&curve, delta, RDP_CLASSIC, NULL),
                         .unit = "",
                         .better = "",
                         .peer = "TensorFlow Privacy",
                         .peer_value = c->published,
                         .aim = c->published,
                         .how = how});
    adapt_figure(ad, name, "epsilon, tight", rdp_epsilon(&curve, delta, RDP_TIGHT, NULL), "", "lower", how);
  }
}
