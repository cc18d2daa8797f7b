/**
 * record_merge.h: records from many rings into one true order.
 *
 * Stamps are dense, so no watermark is needed: number n is passed on when it is there. Records that are ahead wait in a
 * window indexed by stamp. Cost: O(1) per record, whatever the number of threads. Memory: 32 bytes × how far threads
 * run apart, normally below 2^20 records; more only while one thread stands still between taking a number and showing
 * it.
 *
 * Nothing in the shared memory is trusted: the traced program may have overwritten it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_MERGE_H
#define MMREPLAY_TRACES_RECORD_RECORD_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record_ring.h"

/** One stamped record with what its ring said around it. */
struct merged_record {
    uint64_t what; /**< as in struct ring_record; 0 = nothing here */
    uint64_t size_bytes;
    uint32_t serial;  /**< of the thread; as many as it can hold stand for more */
    uint32_t place;   /**< merged_place(): where it stood in the shared memory */
    uint64_t time_ns; /**< what its clock showed; 0: recorded without times */
};

/**
 * Where a record stood: its ring, and its position there, of which only the low bits are kept. Enough to tell which of
 * two records of a ring comes first while they are less than MERGED_PLACES_APART apart.
 */
enum { MERGED_POSITION_BITS = 22, MERGED_PLACES_APART = 1 << (MERGED_POSITION_BITS - 1) };
_Static_assert(RECORD_RING_COUNT_MAX <= 1 << (32 - MERGED_POSITION_BITS), "a ring's index fits");

static inline uint32_t merged_place(uint32_t ring, uint64_t position) {
    return ring << MERGED_POSITION_BITS | ((uint32_t)position & ((1u << MERGED_POSITION_BITS) - 1));
}

static inline uint32_t merged_place_ring(uint32_t place) {
    return place >> MERGED_POSITION_BITS;
}

/** Whether the record was written before its ring's position was `head`. */
static inline bool merged_place_is_before(uint32_t place, uint64_t head) {
    uint32_t ahead = (place - (uint32_t)head) << (32 - MERGED_POSITION_BITS);
    return ahead >> 31;
}

struct merge_consumer {
    void *ctx;
    enum err (*put)(void *ctx, const struct merged_record *record, struct diag *diag);
    /** May be NULL. A record with this pointer comes soon: time to fetch what will be looked up. */
    void (*expect)(void *ctx, uint64_t pointer);
};

struct merge;

/** @param shared borrowed. */
enum err merge_create(struct record_shared *shared, struct merge_consumer consumer, struct merge **out);
void merge_destroy(struct merge *merge);

/** Before the first pass: the process has written since its memory was made; begin with the very first record. */
void merge_rewind(struct merge *merge);

/**
 * Takes what the rings hold and passes on what is next in order.
 * @param is_final the program is dead: what is not there will not come.
 * @param progress set to whether another pass may find more; a final pass without progress was the last.
 * @return the consumer's errors, ERR_CHILD (nonsense in the shared memory), ERR_NOMEM, ERR_LIMIT.
 */
enum err merge_pass(struct merge *merge, bool is_final, bool *progress, struct diag *diag);

/** The number that comes next: all below it have been passed on, or were skipped. */
uint64_t merge_next(const struct merge *merge);

/** Numbers that were taken and never shown. */
uint64_t merge_hole_count(const struct merge *merge);

#endif
