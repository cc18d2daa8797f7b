/**
 * pool_check.h: what the parts of pool_check() share. For core/pool_check*.c only.
 */
#ifndef MMREPLAY_CORE_POOL_CHECK_H
#define MMREPLAY_CORE_POOL_CHECK_H

#include "core/pool_internal.h"

struct pool_checker {
    const struct pool *pool;
    struct diag *diag;
    uint32_t *by_address;                 /**< slots of the live arenas, sorted by address */
    uint32_t live_count;                  /**< length of by_address */
    uint64_t *marks;                      /**< one bit per slot of the arena vector, or per block of a pool */
    const struct pool_side **sides;       /**< headers=side: the tables, sorted by address, perhaps several times */
    size_t side_count;                    /**< length of sides */
    size_t mark_count;                    /**< bits in marks */
    uint64_t partly_used[POOL_CLASS_MAX]; /**< pools found in the arenas that belong on used[class] */
};

/** Fills diag and is ERR_INVALID. */
#define CHECK_BROKEN(checker, ...) diag_set((checker)->diag, ERR_INVALID, NULL, __VA_ARGS__)

void checker_marks_clear(struct pool_checker *checker);

/** Sets bit `index`. @return false when it was set already. */
bool checker_mark(struct pool_checker *checker, size_t index);

/** The live arena that holds `address`, or NULL; found without the radix tree. */
const struct arena *checker_arena_find(const struct pool_checker *checker, uintptr_t address);

/** The carved pool whose header's link is `link`, or NULL when it is none. Never touches what is not a pool. */
const struct pool_header *checker_pool_find(const struct pool_checker *checker, const struct pool_link *link);

/** The arena vector, both lists through it, the fingers, the counters. */
enum err checker_arenas_check(struct pool_checker *checker);

/** Every leaf against the arenas, and that there is nothing else. */
enum err checker_radix_check(struct pool_checker *checker);

/** One arena's pools: headers, free lists, the list of empty pools. */
enum err checker_pools_check(struct pool_checker *checker, uint32_t slot);

/** used[] against what checker_pools_check counted. */
enum err checker_used_check(struct pool_checker *checker);
#endif
