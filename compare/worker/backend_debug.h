/**
 * backend_debug.h: the pool as CPython runs it under PYTHONMALLOC=debug: behind three domains with debug hooks.
 *
 * Requests of CPython's own domains go to theirs, those of C to obj. The domains know no alignment beyond the pool's:
 * such requests are refused (NULL).
 */
#ifndef MMREPLAY_COMPARE_WORKER_BACKEND_DEBUG_H
#define MMREPLAY_COMPARE_WORKER_BACKEND_DEBUG_H

#include "core/pool.h"

/**
 * Makes the one memory manager of this process that backend_debug replays on.
 * @param out its pool, borrowed. @return ERR_USAGE, ERR_NOMEM.
 */
enum err backend_debug_prepare(const struct pool_config *config, struct pool **out, struct diag *diag);

/** @return ERR_INVALID with the first fault the hooks found, or ERR_OK. */
enum err backend_debug_verdict(struct diag *diag);

/** Ends it. */
void backend_debug_release(void);

#endif
