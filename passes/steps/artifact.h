/* Artifacts: what steps read and write, as bytes with a type and a hash of their content.
 *
 * An Artifact holds one reference to its bytes: artifact_ref and artifact_unref.
 */
#ifndef PASSES_STEPS_ARTIFACT_H
#define PASSES_STEPS_ARTIFACT_H

#include "ir/step.h"

const char *artifact_type_name(ArtifactType t); /* "graph", "stats", ... */

/* Serialized; the hash is graph_hash, which leaves names and locations out. */
Artifact artifact_from_graph(const Graph *g);
/* The graph, whose constants are views into the artifact's bytes. NULL: reported (not a graph, or damaged). */
Graph *artifact_graph(const Artifact *art, Diag *d);

/* Copies the bytes; hashed by content. Not for graphs. */
Artifact artifact_from_bytes(ArtifactType t, const void *bytes, size_t n);
/* Takes over the reference to `bytes`. */
Artifact artifact_from_blob(ArtifactType t, Blob *bytes);
/* Something that lies elsewhere (a data set, a board, a cost table): no bytes, only the hash of its content. */
Artifact artifact_from_hash(ArtifactType t, Hash content);

/* All regular files below a folder, by relative path, sorted; their modes and times are left out. */
bool artifact_from_dir(const char *dir, Artifact *out, Diag *d);
/* Write them below `dir` (made when missing), each whole or not at all; files that are there already and not in
 * the artifact stay. */
bool artifact_to_dir(const Artifact *art, const char *dir, Diag *d);

Artifact artifact_ref(const Artifact *art);
void artifact_unref(Artifact *art); /* clears it; an empty one is allowed */

#endif
