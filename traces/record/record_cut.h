/**
 * record_cut.h: what is alive in the child of a fork, when other threads of its parent went on during the fork.
 *
 * A fork takes time, and in the one true order of records nothing says when exactly memory was copied: of the records
 * between the fork's announcement and its end some came before that, some after. The child's own copy of its parent's
 * private memory tells how far each ring was written by then (a consistent cut: no thread goes on past its own point
 * before all memory is copied). So what is alive at the announcement, and the records since, make what the child has.
 *
 * What remains: in the moment of the copy a thread may stand between taking a block and recording it, or between
 * recording a free and giving the block back. Such a block, at most one of each other thread, is in the child's memory
 * and not in its trace; nothing in the child can reach it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_CUT_H
#define MMREPLAY_TRACES_RECORD_RECORD_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "traces/record/record_live.h"
#include "traces/record/record_merge.h"

/** A record takes up to three places of its ring (RECORD_SIZE, RECORD_CLOCK), and all of a log's are to be told apart.
 */
enum { CUT_RECORDS_MAX = MERGED_PLACES_APART / 4 };

/** Records since a fork was announced, in their order; all zero is none. */
struct cut_log {
    struct merged_record *records; /**< owned */
    size_t count;
    size_t capacity;
    uint64_t missed_count; /**< that found no place */
};

/** Notes a record; beyond CUT_RECORDS_MAX (16 MiB), or when there is no memory, it is counted as missed. */
void cut_log_add(struct cut_log *log, const struct merged_record *record);

/** Empties the log. */
void cut_log_clear(struct cut_log *log);

/**
 * Applies what came before the cut.
 * @param set what was alive when the log began; on success what was alive at the cut.
 * @param heads where the cut goes through each of `ring_count` rings (record_ring.h); further ones begin behind it.
 * @param unknown_count set to the records of rings whose head is unknown, and those missed: none of them is applied.
 * @return ERR_OK, ERR_NOMEM (then *set is as it was).
 * Cost: O(blocks × log(records)); nothing when no record came before the cut. Memory: 32 bytes per record.
 */
enum err cut_apply(struct live_set *set, const struct cut_log *log, const uint64_t *heads, uint32_t ring_count,
                   uint64_t *unknown_count);

#endif
