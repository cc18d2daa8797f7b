/**
 * record_names.h: ordered records with pointers into events with block names.
 *
 * Memory: 16 bytes per table place of the live-pointer hash (at most half full) and 48 bytes per thread ever seen.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_NAMES_H
#define MMREPLAY_TRACES_RECORD_RECORD_NAMES_H

#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record.h"
#include "traces/record/record_merge.h"

struct namer;

/** What was counted since the current image began. */
struct namer_counts {
    uint64_t event_count;
    uint64_t operation_count;
    uint64_t unknown_free_count;
    uint64_t missed_free_count;
};

/** @param output copied; its begin is called at every RECORD_IMAGE. */
enum err namer_create(const struct record_output *output, struct namer **out);
void namer_destroy(struct namer *namer);

/** Takes the next record. @return the sink's errors, ERR_CHILD (nonsense), ERR_LIMIT (threads), ERR_NOMEM. */
enum err namer_put(void *namer, const struct merged_record *record, struct diag *diag);

/** Fetches the place in the table where `pointer` will be looked up. */
void namer_expect(void *namer, uint64_t pointer);

/** Hands what is still buffered to the sink. */
enum err namer_flush(struct namer *namer, struct diag *diag);

struct namer_counts namer_counts(const struct namer *namer);

/** Sets capture_arena_* when the places of all arenas of the current image are known. @return ERR_OK, ERR_NOMEM. */
enum err namer_arenas_describe(const struct namer *namer, struct trace_info *info);

#endif
