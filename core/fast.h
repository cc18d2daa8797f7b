/**
 * fast.h: a small-block allocator for CPython's traffic that is free to place blocks where it likes.
 *
 * Same rooms as the pool's (arenas, within them stretches of blocks of one size, a raw layer below), same calls, same
 * statistics; but no promise of CPython's addresses. FAST.md tells what was chosen, what was measured and what it
 * costs. An instance is not thread safe.
 *
 * Requests of 0 … FAST_LIMIT_BYTES are served from arenas, larger ones and those of an alignment above 16 by the raw
 * layer, as is everything once arenas cannot be had.
 */
#ifndef MMREPLAY_CORE_FAST_H
#define MMREPLAY_CORE_FAST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/diag.h"
#include "core/base/err.h"
#include "core/pool.h"

enum {
    FAST_ALIGN_BYTES = 16,
    FAST_UNIT_BYTES = 16 << 10,   /**< what arenas are divided into */
    FAST_ARENA_BYTES = 512 << 10, /**< what is obtained and given back at once */
    FAST_LIMIT_BYTES = 512 << 10  /**< the largest request that arenas serve */
};

/** The figures above in the shape of a pool's: name "fast", units as its pools. Static. */
const struct pool_config *fast_config_get(void);

struct fast;

/**
 * Where the memory of arenas comes from: an instance owns a range of addresses and asks for memory at aligned places
 * within it. The default takes it from the system and gives it back.
 */
struct fast_source {
    void *ctx;
    bool (*obtain)(void *ctx, void *arena, size_t bytes);    /**< readable, writable and zeroed, or false */
    void (*give_back)(void *ctx, void *arena, size_t bytes); /**< the addresses stay the instance's */
};

/**
 * @param source borrowed only during the call. NULL = the default.
 * @return ERR_NOMEM: no range of addresses to be had; 64 GiB are asked for, less where a limit forbids them.
 */
enum err fast_create(const struct fast_source *source, struct fast **out, struct diag *diag);

/** Gives every arena back; large blocks still live in the raw layer are the caller's. NULL is fine. */
void fast_destroy(struct fast *fast);

/** 0 bytes are a block of 16. */
void *fast_malloc(struct fast *fast, size_t bytes);
void *fast_calloc(struct fast *fast, size_t count, size_t bytes);

/** Stays where it is while more than three quarters of the block are asked for (or its units can be cut or extended);
 * copies otherwise. Blocks of the raw layer stay there. On NULL the old block stands. */
void *fast_realloc(struct fast *fast, void *block, size_t bytes);
void fast_free(struct fast *fast, void *block);

/** Alignments up to 16 are ordinary requests; larger ones go to the raw layer. `align_bytes` is a power of two. */
void *fast_aligned_alloc(struct fast *fast, size_t align_bytes, size_t bytes);

/** The size of the block that holds `block`: its class's, its units', or the raw layer's malloc_usable_size. NULL: 0.
 */
size_t fast_usable_size(const struct fast *fast, const void *block);

/** True when `block` lies in this instance's arenas. No memory is read. */
bool fast_owns(const struct fast *fast, const void *block);

/** As pool_split_get. Span headers lie outside of the arenas (fast_counts_get: metadata): 0 here; nor is there
 * alignment loss. Cost: a walk over all units of all arenas. */
void fast_split_get(const struct fast *fast, struct pool_split *out);

/** As pool_counts_get. Metadata are address space; they are touched 1 KiB an arena. */
void fast_counts_get(const struct fast *fast, struct pool_counts *out);

/** As pool_arena_visit, by rising address. Class i holds blocks of (i + 1) x 16 bytes; the last one, all of 2 KiB and
 * more. */
void fast_arena_visit(const struct fast *fast, void (*visit)(void *ctx, const struct pool_arena_view *view), void *ctx);

/** Re-derives every structural invariant. @return ERR_OK, or ERR_INVALID with the broken one in diag. Cost: all blocks.
 */
enum err fast_check(const struct fast *fast, struct diag *diag);

#endif
