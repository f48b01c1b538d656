/* A report of forty targets, three joint ancestors and a handful of missed limits, made by hand: what the page and the JSON
 * hold, and that nothing lies on anything else.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/device_family.h"
#include "frontend/cli/tailoring.h"
#include "ir/base/json.h"
#include "passes/tailor/measure.h"
#include "passes/tailor/run.h"
#include "tests/support.h"

Suite *suite_report(void);

enum { TARGETS = 40, JOINT = 3, MODELS = TARGETS - 1 + JOINT };

typedef struct Made {
  Arena *a;
  TailorTarget targets[TARGETS];
  const char *machines[TARGETS];
  TailorOutcome outcomes[TARGETS];
  TailorTrained models[MODELS];
  TailorResult result;
  ReportSteps steps;
  Report report;
} Made;

static void add_step(Made *m, const char *kind, const char *slot, bool hit, double seconds) {
  const size_t n = m->steps.n++;
  m->steps.v[n] =
      (StepLog){.kind = kind, .slot = slot, .key = hash_bytes(&n, sizeof n), .hit = hit, .seconds = seconds};
}

static void make_models(Made *m) {
  for (int k = 0; k < MODELS; k++) {
    const bool joint = k < JOINT;
    m->models[k] =
        (TailorTrained){.name = arena_printf(m->a, joint ? "joint %d MACs" : "t<%d>", joint ? k : k - JOINT),
                        .target = joint ? -1 : k - JOINT,
                        .parent = joint        ? -1
                                  : k % 5 == 0 ? -1
                                  : k % 5 < 3  ? k % JOINT
                                               : k - 1,
                        .macs = (int64_t)(9e6 * exp(-0.1 * k)),
                        .images = 1000 + k,
                        .seconds = 2,
                        .joint = joint};
    add_step(m, "retrain", m->models[k].name, k % 4 == 3, 1 + k % 4);
  }
}

static void make_targets(Made *m) {
  for (int i = 0; i < TARGETS; i++) {
    TailorOutcome *o = &m->outcomes[i];
    m->targets[i] = (TailorTarget){.name = arena_printf(m->a, "t<%d>", i), .precision = DT_I8};
    m->machines[i] = "cortex-m4";
    *o = (TailorOutcome){
        .target = &m->targets[i], .delivered = true, .met = i % 10 != 7, .why = "", .finish = ""};
    o->model = i + JOINT < MODELS ? i + JOINT : MODELS - 1; /* the last two share one */
    if (!o->met) o->why = "flash 70000 bytes, limit <60000>";
    o->cost.macs = m->models[o->model].macs;
    o->proof.original = (Accuracy){.top1 = 0.9, .n = 1000};
    o->proof.emitted = (Accuracy){.top1 = 0.9 - 0.001 * i, .n = 1000};
  }
}

static Made *make(void) {
  Made *m = calloc(1, sizeof *m);
  m->a = arena_new();
  m->steps.v = arena_array(m->a, 100, sizeof *m->steps.v);
  add_step(m, "retrain", "t<0>", false, 999); /* a trial: before the plan */
  m->steps.planned = m->steps.n;
  make_models(m);
  make_targets(m);
  add_step(m, "finish", "t<0>", false, 0.5);
  StepLog again = m->steps.v[m->steps.n - 1]; /* a task that was interrupted finds what it made */
  again.hit = true;
  m->steps.v[m->steps.n++] = again;
  m->result =
      (TailorResult){.models = m->models,
                     .n_models = MODELS,
                     .v = m->outcomes,
                     .n = TARGETS,
                     .macs = 10000000,
                     .image = 4e-5,
                     .mac = 3e-11,
                     .ways = {{SHARE_NOTHING, 5000, 50}, {SHARE_CHAIN, 3000, 30}, {SHARE_TREE, 2000, 20}}};
  m->report = (Report){.model = "m.onnx",
                       .deploy = "deploy.yaml",
                       .result = &m->result,
                       .machines = m->machines,
                       .steps = &m->steps,
                       .sharing = SHARE_TREE};
  return m;
}

static void drop(Made *m) {
  arena_free(m->a);
  free(m);
}

static int count(const char *text, const char *what) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
  return n;
}

/* Every element that is opened is closed, in turn. */
static void check_elements(const char *html) {
  static const char *const single[] = {"meta", "br", "!DOCTYPE"};
  const char *open[64];
  size_t length[64];
  int depth = 0;
  for (const char *p = html; (p = strchr(p, '<')); p++) {
    const char *end = strchr(p, '>');
    ck_assert_ptr_nonnull(end);
    const char *name = p + 1 + (p[1] == '/');
    const size_t n = strcspn(name, " />\n");
    bool alone = end[-1] == '/';
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
      alone = alone || (strlen(single[i]) == n && memcmp(single[i], name, n) == 0);
    if (alone) continue;
    if (p[1] != '/') {
      ck_assert_int_lt(depth, 64);
      open[depth] = name, length[depth++] = n;
      continue;
    }
    ck_assert_msg(depth > 0 && length[depth - 1] == n && memcmp(open[depth - 1], name, n) == 0,
                  "closed out of turn: %.40s", p);
    depth--;
  }
  ck_assert_int_eq(depth, 0);
}

/* Labels of one drawing (11 px high): none may lie on another. */
static void check_labels(const char *svg, const char *end, int least) {
  double x[300], y[300], w[300];
  int n = 0;
  for (const char *p = svg; (p = strstr(p, "<text ")) && p < end && n < 300; p++) {
    const char *text = strchr(p, '>') + 1;
    if (strstr(p, "text-anchor") && strstr(p, "text-anchor") < text) continue; /* of an axis */
    ck_assert_int_eq(sscanf(p, "<text x=\"%lf\" y=\"%lf\"", &x[n], &y[n]), 2);
    w[n] = 5.5 * (double)strcspn(text, "<&");
    for (int i = 0; i < n; i++)
      ck_assert_msg(fabs(y[i] - y[n]) > 10 || x[i] + w[i] < x[n] || x[n] + w[n] < x[i], "at %g, %g: %.30s",
                    x[n], y[n], text);
    n++;
  }
  ck_assert_int_ge(n, least);
}

START_TEST(page)
{
  Made *m = make();
  StrBuf b = {0};
  report_html(&m->report, &b);
  const char *html = sb_str(&b), *plan = strstr(html, "Who was trained from whom"),
             *chart = strstr(html, "Accuracy against cost");
  check_elements(html);
  ck_assert(plan && chart && !strstr(html, "<script") && !strstr(html, "t<3"));
  const char *tree = strstr(plan, "<svg"), *points = strstr(chart, "<svg");
  check_labels(tree, strstr(tree, "</svg>"), MODELS);
  check_labels(points, strstr(points, "</svg>"), 5);
  ck_assert_int_eq(count(html, "fill=\"#fff\""), JOINT);
  ck_assert_int_eq(count(html, "<title>"), 1 + MODELS + TARGETS);
  ck_assert_int_eq(count(html, "taken from the cache</title>"), MODELS / 4);
  ck_assert_int_eq(count(html, "limit &lt;60000>"), TARGETS / 10);
  ck_assert_ptr_nonnull(strstr(html, "t&lt;38> 86.2 %, t&lt;39> 86.1 %"));
  ck_assert_ptr_nonnull(strstr(html, "tree (this run)"));
  sb_free(&b);
  drop(m);
}
END_TEST

START_TEST(numbers)
{
  Made *m = make();
  StrBuf b = {0};
  Diag *d = diag_new();
  report_json(&m->report, &b);
  const Json *j = json_parse(m->a, sb_str(&b), b.len, "report.json", d), *plan = json_get(j, "plan");
  ck_assert_msg(plan != NULL, "%s", diag_text(d));
  const Json *models = json_get(plan, "models"), *trained = json_get(plan, "trained");
  ck_assert_int_eq((int)models->n, MODELS);
  ck_assert_ptr_null(json_get_str(json_at(models, 0), "parent", NULL));
  ck_assert_str_eq(json_get_str(json_at(models, 4), "parent", ""), "t<0>");
  /* the trial before the plan is not what the model took */
  ck_assert_double_eq(json_get_num(json_at(models, JOINT), "actual_seconds", -1), -1);
  ck_assert(json_get_bool(json_at(models, JOINT), "reused", false));
  ck_assert_double_eq(json_get_num(json_at(models, 4), "actual_seconds", -1), 1);
  const int64_t ran = json_get_int(trained, "models", -1);
  ck_assert_int_eq(ran, MODELS - MODELS / 4);
  ck_assert_double_eq(json_get_num(trained, "estimated_seconds", -1), 2.0 * (double)ran);
  ck_assert_double_eq(json_get_num(json_get(json_get(plan, "ways"), "chain"), "estimated_seconds", -1), 30);
  const Json *kind = json_at(json_get(plan, "kinds"), 0);
  ck_assert_str_eq(json_get_str(kind, "step", ""), "retrain");
  ck_assert_int_eq(json_get_int(kind, "reused", -1), MODELS / 4);
  ck_assert_int_eq(json_get_int(json_at(json_get(plan, "kinds"), 1), "reused", -1), 0);
  diag_free(d);
  sb_free(&b);
  drop(m);
}
END_TEST

/* Cycles that were not counted are not known, which is no count of 0. */
START_TEST(cycles_that_are_not_known)
{
  const DeviceFamily two = {.n = 2, .m = {{.cycles = 70}}};
  StrBuf b = {0};
  device_put_family(&two, &b);
  Artifact m = measure_artifact(&b);
  ck_assert_int_eq(tailor_measured_cycles(&m, 0), 70);
  ck_assert_int_eq(tailor_measured_cycles(&m, 1), -1);
  artifact_unref(&m);
}
END_TEST

Suite *suite_report(void) {
  Suite *s = suite_create("report");
  TCase *t = tcase_create("reports made by hand");
  tcase_add_test(t, page);
  tcase_add_test(t, numbers);
  tcase_add_test(t, cycles_that_are_not_known);
  suite_add_tcase(s, t);
  return s;
}
