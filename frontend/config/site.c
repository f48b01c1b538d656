/* site.yaml: keys, their rules. Splits and normalization are those of design.yaml. */
#include "frontend/config/site.h"

#include "frontend/config/design_keys.h"
#include "ir/base/file.h"
#include "runtime/data/source.h"

typedef struct RawSite {
  RawSplit local, public_set, others;
  Loc local_loc, public_loc, others_loc, normalize_loc;
  RawNormalize normalize;
  Augment augment;
  int classes;
  bool unlabelled;
} RawSite;

static const CfgRow site_rows[] = {
    {.key = "local",
     CFG_FIELD(RawSite, local),
     CFG_WHERE(RawSite, local_loc),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .required = true,
     .doc = "what is learnt from; it stays here"},
    {.key = "unlabelled",
     CFG_FIELD(RawSite, unlabelled),
     .type = CFG_BOOL,
     .otherwise = "no",
     .doc = "labels of `local`, if there are any, are not to be used"},
    {.key = "public",
     CFG_FIELD(RawSite, public_set),
     CFG_WHERE(RawSite, public_loc),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .doc = "examples that every site has: answers on them may be exchanged"},
    {.key = "others",
     CFG_FIELD(RawSite, others),
     CFG_WHERE(RawSite, others_loc),
     .type = CFG_GROUP,
     .sub = &split_schema,
     .doc =
         "examples that are never learnt from, against which the membership attack is measured; a tenth of "
         "`local` is kept back when left out"},
    {.key = "normalize",
     CFG_FIELD(RawSite, normalize),
     CFG_WHERE(RawSite, normalize_loc),
     .type = CFG_GROUP,
     .sub = &normalize_schema,
     .doc = "stored values to the model's input, as in its design"},
    {.key = "augment",
     CFG_FIELD(RawSite, augment),
     .type = CFG_GROUP,
     .sub = &augment_schema,
     .doc = "what is done to examples while learning: best what was done when the model was trained, as its "
            "statistics are "
            "those of such examples"},
    {.key = "classes",
     CFG_FIELD(RawSite, classes),
     .type = CFG_INT,
     CFG_RANGE(2, 1000000),
     .doc = "checked against the model when given"},
    {0}};
const Schema site_schema = {"key", site_rows, sizeof(RawSite)};

static bool bind_site(const YamlFile *f, const RawSite *raw, Arena *a, Site *out, Diag *d) {
  out->augment = raw->augment;
  out->classes = raw->classes;
  TRY(config_split(f, &raw->local, &out->local, a, d));
  if (raw->public_loc.line) TRY(config_split(f, &raw->public_set, &out->public_set, a, d));
  if (raw->others_loc.line) TRY(config_split(f, &raw->others, &out->others, a, d));
  out->local.unlabelled = raw->unlabelled || (raw->local.kind == KIND_NPY && !raw->local.y);
  TRY(!raw->public_loc.line || config_disjoint(f, "local", &raw->local, "public", &raw->public_set, d));
  TRY(!raw->others_loc.line || config_disjoint(f, "local", &raw->local, "others", &raw->others, d));
  return config_normalize(f, &raw->normalize, &raw->normalize_loc, &out->normalize, d);
}

static bool has_classes(const char *folder) {
  Arena *a = arena_new();
  Diag *quiet = diag_new();
  int n;
  const bool any = image_classes(folder, a, &n, quiet) != NULL;
  diag_free(quiet);
  arena_free(a);
  return any;
}

const Site *site_load(Arena *a, const char *path, Diag *d) {
  Site *out = arena_alloc(a, sizeof *out);
  const char *within = path_join(a, path, "site.yaml");
  if (file_is_dir(path) && !file_exists(within)) {
    out->local = (SplitSpec){.kind = split_kinds[KIND_IMAGES], .x = path, .unlabelled = !has_classes(path)};
    return out;
  }
  RawSite *raw = arena_alloc(a, sizeof *raw);
  const YamlFile *f = yaml_load(a, file_is_dir(path) ? within : path, d);
  if (!f || !config_bind(f, f->root, &site_schema, raw, a, d)) return NULL;
  return bind_site(f, raw, a, out, d) ? out : NULL;
}
