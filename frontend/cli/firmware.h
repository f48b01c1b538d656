/* Several models in one program: the folder that `compile` writes for them.
 *
 *   DIR/models.h            every model's header; the arena that they share
 *   DIR/models.c            that arena
 *   DIR/CMakeLists.txt      one library of all
 *   DIR/kernels/X.c         kernels, each named by its content
 *   DIR/NAME/model.c ...    each model, with its self-test
 */
#ifndef FRONTEND_CLI_FIRMWARE_H
#define FRONTEND_CLI_FIRMWARE_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"

typedef struct FirmwareModel {
  const char *name, *upper;
  bool shares_arena;
  const char **sources; /* seen from its folder */
  int n_sources;
} FirmwareModel;

typedef struct Firmware {
  FirmwareModel *models; /* by name */
  int n;
} Firmware;

/* The models in a folder, from their model.json. */
bool firmware_read(Arena *a, const char *dir, Firmware *out, Diag *d);
/* Write models.h, models.c and CMakeLists.txt for the models that are there. */
bool firmware_write(Arena *a, const char *dir, Diag *d);
/* Whether firmware_write wrote the folder. */
bool firmware_is(Arena *a, const char *dir);

#endif
