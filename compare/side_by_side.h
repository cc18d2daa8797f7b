/**
 * side_by_side.h: a program on our pool and on a real CPython's allocator in lock-step, in a worker process.
 */
#ifndef MMREPLAY_COMPARE_SIDE_BY_SIDE_H
#define MMREPLAY_COMPARE_SIDE_BY_SIDE_H

#include "compare/launch.h"

struct side_by_side {
    struct worker_lockstep result;
    char library[WORKER_PATH_BYTES];
    char version[64]; /**< "CPython 3.11.2" */
    char text[2]
             [WORKER_STATS_BYTES + 1]; /**< the statistics texts at the difference, terminated: ours, the real one's */
};

/**
 * @param launch worker_path, program, allocator (a cpython one), compare_every, residues, timeout and `interrupted`.
 *        When statistics differ somewhere between two comparisons, further workers find the first operation.
 * @param out a difference is a result, not an error.
 * @return ERR_USAGE: not a cpython allocator; what keeps it from being opened; ERR_CHILD: the worker crashed;
 *         ERR_INTERRUPTED, ERR_IO, ERR_NOMEM.
 */
enum err side_by_side_run(const struct launch *launch, struct side_by_side *out, struct diag *diag);

#endif
