/**
 * real_arenas.h: stands between a real CPython allocator and the source of its arenas: counts them and knows where
 * they are.
 *
 * Called once per arena, never per operation. What is no arena (the interpreter's data stack) passes through uncounted.
 */
#ifndef MMREPLAY_COMPARE_WORKER_REAL_ARENAS_H
#define MMREPLAY_COMPARE_WORKER_REAL_ARENAS_H

#include <stdbool.h>

#include "core/pool.h"

struct real_arenas {
    struct pool_arena_source below; /**< where they come from: CPython's own mmap and munmap, or aligned pages */
    size_t arena_bytes;             /**< what is an arena; 0: nothing is counted yet */
    uintptr_t *addresses;           /**< of the arenas alive, sorted; in shared memory, so that it is not counted */
    size_t count;
    uint64_t mapped_count;
    uint64_t returned_count;
    uint64_t peak_count;
};

/** @param below borrowed only during the call. @return ERR_NOMEM. */
enum err real_arenas_create(struct real_arenas *arenas, const struct pool_arena_source *below, struct diag *diag);

/** Borrows `arenas`. */
struct pool_arena_source real_arenas_source(struct real_arenas *arenas);

/** Pages aligned to `*align_bytes`, which is read at every call (borrowed): what our pool takes by default. */
struct pool_arena_source real_arenas_aligned_pages(const size_t *align_bytes);

/** What stands at the beginning of every pool of a real CPython, in every 64-bit version from 3.7 on. */
enum {
    REAL_POOL_COUNT_OFFSET = 0, /**< uint32_t: blocks in use; 0 too in pools that were never carved or are empty */
    REAL_POOL_CLASS_OFFSET = 36 /**< uint32_t: the size class */
};

/** True when `block` lies in an arena. Cost: a binary search. */
bool real_arenas_hold(const struct real_arenas *arenas, const void *block);

#endif
