/**
 * record_live.h: the blocks of a process that are alive at one moment, as a trace that begins there needs them.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_LIVE_H
#define MMREPLAY_TRACES_RECORD_RECORD_LIVE_H

#include <stdint.h>

#include "core/base/err.h"
#include "traces/event.h"

/** What a block was asked for as: size in bits 0..47, kind 48..51, domain 52..53, align_log2 54..59. */
static inline uint64_t live_shape(unsigned kind, unsigned domain, unsigned align_log2, uint64_t size_bytes) {
    return size_bytes | (uint64_t)kind << 48 | (uint64_t)domain << 52 | (uint64_t)align_log2 << 54;
}

static inline uint64_t live_shape_bytes(uint64_t shape) {
    return shape & (((uint64_t)1 << 48) - 1);
}

static inline unsigned live_shape_domain(uint64_t shape) {
    return (unsigned)(shape >> 52 & 3);
}

/** The event, without its thread, that makes a block of this shape. */
struct event live_shape_event(uint64_t shape);

enum { LIVE_SLOT_BITS = 2 };

/** Marks a block that has no address at the moment: its realloc is under way. The other bits: thread serial, place. */
#define LIVE_MOVING ((uint64_t)1 << 63)

struct live_block {
    uint64_t pointer; /**< or LIVE_MOVING | serial << LIVE_SLOT_BITS | place among the thread's reallocs */
    uint64_t shape;
};

/** In order of birth; a realloc is a birth. */
struct live_set {
    struct live_block *blocks; /**< owned */
    uint64_t count;
    uint64_t bytes; /**< sum of their sizes */
};

/** @return ERR_OK and *out owned by the caller, ERR_NOMEM. */
enum err live_set_copy(const struct live_set *set, struct live_set *out);

/** Empties the set. */
void live_set_clear(struct live_set *set);

/** A set in the making: blocks with the number of their birth. */
struct live_birth {
    struct live_block block;
    uint64_t birth; /**< no two alike */
};

/**
 * Puts the blocks into order of birth and makes a set of them. Sorts in place, so memory does not double.
 * Cost: O(count) for each byte in which births differ.
 * @param births owned by the callee from here on, whatever is returned; from malloc; may be NULL when count is 0.
 */
void live_set_make(struct live_birth *births, uint64_t count, struct live_set *out);

#endif
