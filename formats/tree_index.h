/**
 * tree_index.h: NAME.yaml of a recorded process tree: the list of its traces (NATIVE.md, "The index of a process
 * tree").
 */
#ifndef MMREPLAY_FORMATS_TREE_INDEX_H
#define MMREPLAY_FORMATS_TREE_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/diag.h"
#include "traces/trace_tree.h"

enum { TREE_INDEX_SCHEMA = 1, TREE_INDEX_BYTES_MAX = 1 << 26 };

/** The first key of an index. */
#define TREE_INDEX_KEY "mmreplay_processes"

/** True when `text` (the start of a file, not terminated) looks like an index of any schema version. */
bool tree_index_recognise(const char *text, size_t bytes);

/** True when the file `path` can be read and begins like an index. */
bool tree_index_is(const char *path);

/**
 * Reads an index strictly, as a description is read.
 * @return ERR_OK and *out owned by the caller (trace_tree_clear); ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_VERSION,
 * ERR_LIMIT, ERR_NOMEM.
 */
enum err tree_index_load(const char *path, struct trace_tree *out, struct diag *diag);

/**
 * Writes beside `path` and renames: an index is there as a whole or not at all. Replaces nothing but an index or a
 * trace's description.
 * @param tree its name must be set.
 * @return ERR_OK, ERR_USAGE (something else lies there), ERR_IO, ERR_NOMEM.
 */
enum err tree_index_save(const char *path, const struct trace_tree *tree, struct diag *diag);

/** Whether an index may be written there. For before the run. @return as tree_index_save. */
enum err tree_index_target_check(const char *path, struct diag *diag);

#endif
