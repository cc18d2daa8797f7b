/**
 * trace_arenas.h: the arenas of the interpreter that a trace was recorded from, and which pools take their places.
 */
#ifndef MMREPLAY_COMPARE_TRACE_ARENAS_H
#define MMREPLAY_COMPARE_TRACE_ARENAS_H

#include "compare/allocator.h"
#include "traces/arena_runs.h"
#include "traces/trace.h"

struct trace_arenas {
    struct arena_list list;            /**< empty: nothing was recorded */
    uint64_t arena_bytes;              /**< of one */
    uint64_t arena_count;              /**< obtained in all: more than the list has when it was cut */
    const struct pool_config *profile; /**< the interpreter's settings; NULL: not known here */
    char interpreter[64];              /**< "CPython 3.11.2" */
};

/**
 * Reads what the description at `path` says. Places that are no multiples of the page size (a CPython whose arenas
 * malloc gives) cannot be had by mapping; they are taken as not recorded.
 * @return ERR_OK and *out to be cleared by trace_arenas_clear, empty when the description says nothing; ERR_FORMAT,
 *         ERR_LIMIT (told), ERR_NOMEM.
 */
enum err trace_arenas_read(const char *path, const struct trace_info *info, struct trace_arenas *out,
                           struct diag *diag);

void trace_arenas_clear(struct trace_arenas *arenas);

/**
 * Where the arenas of `allocator` are to lie: where they were recorded when its settings are those of the interpreter
 * and say nothing else of residues; with residues=trace and other settings, as far into a pool as recorded. Everything
 * else does as its settings say: never are another version's places taken without being asked for.
 * @param arenas NULL: none. @return ERR_USAGE: residues=trace, and nothing was recorded.
 */
enum err trace_arenas_choose(const struct trace_arenas *arenas, const struct allocator *allocator,
                             enum worker_arenas *out, struct diag *diag);

#endif
