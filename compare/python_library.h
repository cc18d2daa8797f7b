/**
 * python_library.h: which libpythons are on this machine, and what `cpython:…` means.
 */
#ifndef MMREPLAY_COMPARE_PYTHON_LIBRARY_H
#define MMREPLAY_COMPARE_PYTHON_LIBRARY_H

#include <stddef.h>

#include "compare/allocator.h"

/** A colon-separated list of directories in which libpythons are looked for first. */
#define PYTHON_LIBRARY_VARIABLE "MMREPLAY_LIBPYTHON_DIRS"

enum { PYTHON_LIBRARY_MAX = 32, PYTHON_VERSION_BYTES = 8 };

struct python_library {
    char version[PYTHON_VERSION_BYTES]; /**< "3.11" */
    char path[WORKER_PATH_BYTES];
};

/** Those found, one per minor version, the oldest first. @return how many. Cost: some hundred access() calls. */
size_t python_library_list(struct python_library out[PYTHON_LIBRARY_MAX]);

/**
 * What stands behind "cpython" in an allocator's name: "" (the newest found), ":3.11" or ":/path/libpython3.11.so.1.0",
 * each with an optional "+aligned" (arenas aligned to the pool size, as our pool maps them). Fills backend, python and
 * arenas_aligned.
 * @return ERR_USAGE, ERR_NOT_FOUND (with what to install), ERR_UNSUPPORTED, ERR_LIMIT.
 */
enum err python_library_resolve(const char *text, struct allocator *allocator, struct diag *diag);

#endif
