/**
 * malloc_stats.h: the statistics text of an allocator that has CPython's, at chosen operations of a program.
 */
#ifndef MMREPLAY_COMPARE_MALLOC_STATS_H
#define MMREPLAY_COMPARE_MALLOC_STATS_H

#include "compare/allocator.h"
#include "compare/launch.h"

/**
 * Runs a worker of its own up to the last of the operations.
 *
 * @param at operations after which to print, rising, 0 being before the first; at most WORKER_STATS_MAX.
 * @param out one text for each.
 * @return ERR_UNSUPPORTED: the allocator has no such text; ERR_USAGE: an operation beyond the program's last;
 *         ERR_CHILD: the allocator failed; ERR_IO, ERR_NOMEM.
 */
enum err malloc_stats_take(const struct launch *launch, const uint64_t *at, uint32_t count, struct worker_text *out,
                           struct diag *diag);

#endif
