/**
 * record_names.h: ordered records with pointers into events with block names.
 *
 * Memory: a pointer_map.h of the live blocks, with details when the live set is kept, and 88 bytes per thread ever
 * seen.
 *
 * A trace need not begin with its process. One that begins later (in the child of a fork; when recording is started
 * late) first makes the blocks that were alive then: as ordinary allocations, in order of their birth, in the name of
 * the trace's first thread, each of its own size, alignment and domain. From there on every event finds its block. What
 * such a beginning does not tell: blocks that died before, so that a replay's allocator starts denser than the
 * program's was; which thread had made a block; and that a block got its size by realloc (it is a malloc here).
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_NAMES_H
#define MMREPLAY_TRACES_RECORD_RECORD_NAMES_H

#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record.h"
#include "traces/record/record_live.h"
#include "traces/record/record_merge.h"

struct namer;

/** What was counted since the current image began. */
struct namer_counts {
    uint64_t event_count;
    uint64_t operation_count;
    uint64_t unknown_free_count;
    uint64_t missed_free_count;
    uint64_t inherited_block_count; /**< of the events: those that make what was alive before */
    uint64_t inherited_bytes;
};

/** @param output copied; its begin is called at every RECORD_IMAGE. */
enum err namer_create(const struct record_output *output, struct namer **out);
void namer_destroy(struct namer *namer);

/**
 * Events go to the sink with times: those of their records, counted from `start_ns`, raised to that of the event before
 * where threads' clocks and the order disagree. What is alive at a later beginning is made at the time of the first
 * event. Before the first record.
 * @param unit_ns a power of two that times are rounded down to a multiple of.
 */
void namer_time_keep(struct namer *namer, uint64_t start_ns, uint64_t unit_ns);

/** From here on the live set can be taken. Before the first record. @return ERR_NOMEM. */
enum err namer_live_keep(struct namer *namer);

/**
 * The blocks that are alive after the last record put, for namer_inherit. A block whose realloc is under way is among
 * them, without an address. Cost: one pass over the table and a sort; memory: 24 bytes per block, 16 in the end.
 * @param namer with namer_live_keep.
 * @return ERR_OK and *out owned by the caller (live_set_clear); ERR_NOMEM.
 */
enum err namer_live_take(const struct namer *namer, struct live_set *out);

/**
 * The trace that begins next begins with these blocks; for the child of a fork, before its first RECORD_IMAGE.
 * @param set emptied: the namer owns the blocks.
 */
void namer_inherit(struct namer *namer, struct live_set *set);

/**
 * A new trace of the same process begins here, with what is alive: the output's begin is called, events so far are
 * void, counts and thread numbers start anew. A realloc that is under way goes on in the new trace.
 * @param namer with namer_live_keep, and after a RECORD_IMAGE.
 * @return the output's errors, ERR_NOMEM.
 */
enum err namer_restart(struct namer *namer, struct diag *diag);

/** Takes the next record. @return the sink's errors, ERR_CHILD (nonsense), ERR_LIMIT (threads), ERR_NOMEM. */
enum err namer_put(void *namer, const struct merged_record *record, struct diag *diag);

/** Fetches the place in the table where `pointer` will be looked up. */
void namer_expect(void *namer, uint64_t pointer);

/** Hands what is still buffered to the sink. */
enum err namer_flush(struct namer *namer, struct diag *diag);

/** The same, and has the sink make it last (struct event_sink). Nothing before the first RECORD_IMAGE. */
enum err namer_sync(struct namer *namer, struct diag *diag);

struct namer_counts namer_counts(const struct namer *namer);

/** Arenas whose places are known. */
uint64_t namer_arena_count(const struct namer *namer);

/** Sets capture_arena_* when the places of all arenas of the current image are known. @return ERR_OK, ERR_NOMEM. */
enum err namer_arenas_describe(const struct namer *namer, struct trace_info *info);

#endif
