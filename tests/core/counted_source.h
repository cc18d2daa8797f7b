/**
 * counted_source.h: an arena source that counts, fails on command, and puts arenas at a chosen residue.
 */
#ifndef MMREPLAY_TESTS_CORE_COUNTED_SOURCE_H
#define MMREPLAY_TESTS_CORE_COUNTED_SOURCE_H

#include "core/pool.h"

struct counted_source {
    size_t pool_bytes;    /**< arenas are aligned to this, plus the residue */
    size_t residue_bytes; /**< less than pool_bytes */
    uint64_t obtained_count;
    uint64_t returned_count;
    uint64_t refuse_from; /**< requests from this number on are refused; 0 = none */
    uint64_t request_count;
    void *last_returned;
};

/** Borrows. */
struct pool_arena_source counted_source_get(struct counted_source *source);

/** A pool of that config on that source; ends the test when there is none. */
struct pool *counted_pool_create(const struct pool_config *config, struct counted_source *source);

/** Ends the test with the broken invariant when there is one. */
void pool_check_assert(const struct pool *pool);

#endif
