/**
 * library_find.h: where shared libraries lie on this machine.
 */
#ifndef MMREPLAY_COMPARE_LIBRARY_FIND_H
#define MMREPLAY_COMPARE_LIBRARY_FIND_H

#include <stdbool.h>

#include "compare/worker/worker_protocol.h"

/**
 * Looks for `soname` in the directories of `first` (a colon-separated list, may be NULL), of LD_LIBRARY_PATH, and where
 * this kind of system keeps libraries.
 * @return false, `path` untouched: it is in none of them.
 */
bool library_find(const char *soname, const char *first, char path[WORKER_PATH_BYTES]);

#endif
