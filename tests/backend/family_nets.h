/* Families of small int8 nets: weights of a narrower one are the first channels of a wider one's, all else is its own. */
#ifndef TESTS_BACKEND_FAMILY_NETS_H
#define TESTS_BACKEND_FAMILY_NETS_H

#include "backend/backend.h"

/* Channels of the first and the second stage. */
typedef struct FamilyWidth {
  int first, second;
} FamilyWidth;

/* i8[1,9,8,3] to i8[1,5]: Conv, DepthwiseConv, Conv of stride 2, a pointwise one, Add, and a FullyConnected over the
 * flattened image, or over its mean where `pooled`. salt: of biases and scales. */
Graph *family_net(FamilyWidth w, bool pooled, unsigned salt);

/* i8[1,17,17,3] to i8[1,5]: a Conv, DepthwiseConvs of 3x3 with pointwise Convs behind them, the mean, a FullyConnected. */
Graph *family_separable_net(FamilyWidth w, unsigned salt);

#endif
