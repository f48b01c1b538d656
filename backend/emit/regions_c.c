/* Arenas of other memories than the main one: static arrays NAME_arena_REGION, which a macro or the linker script places.
 *
 *   cc -DNAME_SECTION_FAST='__attribute__((section(".dtcm")))' -c model.c
 *
 * They belong to the model, not to a context: contexts of such a model take turns.
 */
#include <ctype.h>
#include <string.h>

#include "backend/emit/emit.h"

const char *place_base(const Emit *e, int32_t region, const char *main) {
  const char *name = e->plan.regions[region].name;
  return name ? arena_printf(e->arena, "%s_arena_%s.bytes", e->opt->name, name) : main;
}

static const char *capitals(const Emit *e, const char *name) {
  char *s = arena_strdup(e->arena, name);
  for (char *p = s; *p; p++) *p = (char)toupper((unsigned char)*p);
  return s;
}

void print_region_sizes(const Emit *e, StrBuf *out) {
  for (int r = 0; r < e->plan.n_regions; r++) {
    const PlanRegion *p = &e->plan.regions[r];
    if (!p->name || !p->bytes) continue;
    const char *u = capitals(e, p->name);
    sb_printf(out,
              "/* Of these, in the static array %s_arena_%s: the macro %s_SECTION_%s, an attribute, says "
              "where it lies. "
              "Contexts\n * take turns on it. */\n#define %s_ARENA_%s_SIZE %lld\n",
              e->opt->name, p->name, e->upper, u, e->upper, u, (long long)p->bytes);
  }
}

void print_region_arenas(const Emit *e, StrBuf *out) {
  for (int r = 0; r < e->plan.n_regions; r++) {
    const PlanRegion *p = &e->plan.regions[r];
    if (!p->name || !p->bytes) continue;
    const char *u = capitals(e, p->name);
    sb_printf(
        out,
        "#ifndef %s_SECTION_%s\n#define %s_SECTION_%s\n#endif\n"
        "static union {\n  unsigned char bytes[%s_ARENA_%s_SIZE];\n  double f;\n  int64_t i;\n} %s_arena_%s "
        "%s_SECTION_%s;\n\n",
        e->upper, u, e->upper, u, e->upper, u, e->opt->name, p->name, e->upper, u);
  }
}
