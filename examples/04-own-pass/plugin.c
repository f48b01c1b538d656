/* relu6 as a plugin: the row that passes/passes.def would have. */
#include "passes/plugin.h"

PassFn pass_relu6;

static const Pass mine[] = {
    {"relu6", "limit every Relu from above", "at=F: the limit (6)", pass_relu6, false},
};
MISTIFY_PLUGIN(mine)
