/**
 * arena_region.h: an arena source with chosen addresses: two regions asked alike answer alike.
 *
 * A region is 64 GiB of reserved address space on a boundary of 64 GiB; an arena returned is made inaccessible, so that
 * any use of it after that ends the test.
 */
#ifndef MMREPLAY_TESTS_CORE_ARENA_REGION_H
#define MMREPLAY_TESTS_CORE_ARENA_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/pool.h"

enum { ARENA_REGION_SLOTS = 16 << 10 };

struct arena_region {
    char *base;
    size_t slot_bytes;    /**< an arena and the room to shift it */
    size_t residue_bytes; /**< added to every arena's address */
    bool residues_mixed;  /**< instead: 0, 1, 2, … 6 steps in turn */
    size_t residue_step_bytes;
    bool spread;             /**< arenas in turn from four places 16 GiB apart */
    uint32_t obtained_count; /**< the order number of the next arena */
    uint32_t unused_count;   /**< length of unused */
    uint32_t unused[ARENA_REGION_SLOTS];
    uint32_t order[ARENA_REGION_SLOTS]; /**< of the arena in a slot */
    void *address[ARENA_REGION_SLOTS];  /**< of the arena in a slot */
};

/** @return false when the address space cannot be had. */
bool arena_region_create(struct arena_region *region, size_t arena_bytes);
void arena_region_destroy(struct arena_region *region);

/** Borrows the region. */
struct pool_arena_source arena_region_source(struct arena_region *region);

/** Where a block lies: its arena's order number and its offset in it. @return false: in no arena. */
bool arena_region_place(const struct arena_region *region, const void *block, uint32_t *order, size_t *offset);

#endif
