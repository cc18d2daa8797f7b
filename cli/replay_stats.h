/**
 * replay_stats.h: `mmreplay replay --pool-stats[=FILE] [--at OP,…]`: the allocators' own statistics texts.
 */
#ifndef MMREPLAY_CLI_REPLAY_STATS_H
#define MMREPLAY_CLI_REPLAY_STATS_H

#include <signal.h>
#include <stdio.h>

#include "compare/allocator.h"
#include "compare/trace_arenas.h"
#include "traces/program.h"

struct replay_stats {
    FILE *out;        /**< NULL: nothing is asked for */
    const char *path; /**< of the file; NULL: stdout */
    const char *worker_path;
    uint64_t timeout_ns;
    const volatile sig_atomic_t *interrupted;
    uint64_t at[WORKER_STATS_MAX]; /**< rising */
    uint32_t at_count;             /**< 0: at the end */
};

/**
 * @param file the value of --pool-stats: NULL = not given, "" = stdout. @param at that of --at, or NULL; it asks for
 * the texts too. @return ERR_USAGE, ERR_LIMIT, ERR_IO.
 */
enum err replay_stats_open(const char *file, const char *at, struct replay_stats *out, struct diag *diag);

/**
 * Writes the texts of those of `list` that have arenas, each behind a line that names allocator and operation.
 * @param arenas of the trace.
 */
enum err replay_stats_tell(const struct replay_stats *stats, const char *trace_name, const struct program *program,
                           const struct trace_arenas *arenas, const struct allocator_list *list, struct diag *diag);

/** @return ERR_IO when the file could not be written whole. */
enum err replay_stats_close(struct replay_stats *stats, struct diag *diag);

#endif
