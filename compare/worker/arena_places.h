/**
 * arena_places.h: an arena source whose addresses are chosen: two of them, asked alike, answer alike.
 *
 * It reserves address space on a boundary that every arena map of CPython's respects, cuts it into places of two
 * arenas' length, and hands them out in a fixed order, each shifted by the residue whose turn it is. An arena given
 * back becomes inaccessible, so that any later use of it ends the process.
 */
#ifndef MMREPLAY_COMPARE_WORKER_ARENA_PLACES_H
#define MMREPLAY_COMPARE_WORKER_ARENA_PLACES_H

#include <stdbool.h>

#include "core/pool.h"

struct arena_places {
    char *base;
    size_t arena_bytes; /**< requests of any other size are plain mappings and not counted */
    size_t place_bytes;
    const uint64_t *residues; /**< borrowed; each a multiple of the page size, at most an arena */
    size_t residue_count;     /**< 0: every arena at the beginning of its place */
    uint64_t obtained_count;  /**< arenas mapped in all: the order number of the next one */
    size_t place_count;
    size_t unused_count; /**< length of unused */
    uint32_t *unused;    /**< a stack */
    uint64_t *order;     /**< of the arena in a place */
    char **address;      /**< of the arena in a place; NULL: none */
};

/**
 * @param arena_bytes what is an arena; 0 when that is not known yet: see arena_places_size().
 * @return ERR_NOMEM: the address space cannot be had (32 GiB of arenas at once fit in).
 */
enum err arena_places_create(struct arena_places *places, size_t arena_bytes, struct diag *diag);

/** Settles the arena size. Only before the first arena. */
void arena_places_size(struct arena_places *places, size_t arena_bytes);

/** True when an arena shifted by any of the residues stays in its place. */
bool arena_places_fit(const struct arena_places *places);

void arena_places_destroy(struct arena_places *places);

/** Borrows `places`. */
struct pool_arena_source arena_places_source(struct arena_places *places);

/** Where a block lies: its arena's order number and its offset in it. @return false: in no arena. */
bool arena_places_find(const struct arena_places *places, const void *block, uint64_t *order, uint64_t *offset_bytes);

#endif
