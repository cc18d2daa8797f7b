/**
 * pool.h: the CPython small-block allocator (pymalloc) as an instance: arenas, pools, blocks.
 *
 * Requests of 1 … threshold bytes are served from pools; everything else goes to the raw layer (raw.h), as in CPython.
 * An instance is not thread safe: CPython serialises it with the GIL.
 */
#ifndef MMREPLAY_CORE_POOL_H
#define MMREPLAY_CORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/diag.h"
#include "core/base/err.h"
#include "core/pool_config.h"

struct pool;

/** The settings in force; borrowed. */
const struct pool_config *pool_config_get(const struct pool *pool);

/** Where the arenas come from; the default maps and unmaps anonymous pages, aligned to the pool size. */
struct pool_arena_source {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *arena, size_t bytes);
};

/**
 * @param config borrowed only during the call. @param source NULL = the default.
 * @return ERR_USAGE (settings that break a rule, told in diag), ERR_NOMEM.
 */
enum err pool_create(const struct pool_config *config, const struct pool_arena_source *source, struct pool **out,
                     struct diag *diag);

/** Gives every arena back; large blocks still live in the raw layer are the caller's. NULL is fine. */
void pool_destroy(struct pool *pool);

void *pool_malloc(struct pool *pool, size_t bytes);
void *pool_calloc(struct pool *pool, size_t count, size_t bytes);
void *pool_realloc(struct pool *pool, void *block, size_t bytes);
void pool_free(struct pool *pool, void *block);

/** Alignments up to the pool's own are ordinary requests; larger ones go to the raw layer. `align_bytes` is a power of
 * two. */
void *pool_aligned_alloc(struct pool *pool, size_t align_bytes, size_t bytes);

/** The size of the block that holds `block`: the size class's, or the raw layer's malloc_usable_size. NULL: 0. */
size_t pool_usable_size(const struct pool *pool, const void *block);

/** True when `block` lies in a pool of one of this instance's arenas. */
bool pool_owns(const struct pool *pool, const void *block);

/**
 * The exact split of arena bytes. The parts add up to arena_count × arena_bytes, always:
 * allocated_blocks + free_blocks + empty_pools + pool_headers + quantization + arena_alignment.
 */
struct pool_split {
    uint64_t arena_bytes_total;      /**< arenas now × arena size */
    uint64_t allocated_blocks_bytes; /**< size-class bytes of blocks in use: live + rounding */
    uint64_t free_blocks_bytes;      /**< free and untouched blocks in pools in use */
    uint64_t empty_pools_bytes;      /**< pools without a block, and never-carved ones */
    uint64_t pool_headers_bytes;
    uint64_t quantization_bytes;    /**< what no whole block fits into, at the end of pools in use */
    uint64_t arena_alignment_bytes; /**< lost at the ends of unaligned arenas */
    uint64_t
        requested_bytes; /**< requested bytes of blocks in use are not known to the pool: 0 here, filled by callers */
};

struct pool_counts {
    uint64_t arenas_mapped_count;   /**< obtained in all */
    uint64_t arenas_returned_count; /**< given back */
    uint64_t arenas_peak_count;     /**< most at once */
    uint64_t arenas_count;          /**< now */
    uint64_t blocks_count;          /**< blocks in use */
    uint64_t raw_blocks_count;      /**< live blocks that the raw layer serves */
    uint64_t metadata_bytes;        /**< arena vector and radix nodes (address space; the radix is touched sparsely) */
};

/** Cost: a walk over all pools of all arenas. */
void pool_split_get(const struct pool *pool, struct pool_split *out);

/** Cost: as pool_split_get (blocks in use are the sum of the pools' counts, as in CPython since 3.8). */
void pool_counts_get(const struct pool *pool, struct pool_counts *out);

/** One arena, seen from outside: what is needed to say how full it is and what pins it. */
struct pool_arena_view {
    uintptr_t address;
    uint32_t slot_index;          /**< in the arena vector; reused after a return */
    uint32_t total_pools_count;   /**< whole pools it holds */
    uint32_t used_pools_count;    /**< with at least one block in use; the rest is empty */
    uint64_t blocks_count;        /**< in use */
    uint64_t blocks_bytes;        /**< their size-class bytes */
    uint32_t class_count;         /**< length of the two arrays; class i holds blocks of (i + 1) x align bytes */
    const uint64_t *class_pools;  /**< pools in use per class; valid during the visit */
    const uint64_t *class_blocks; /**< blocks in use per class; valid during the visit */
};

/** Calls `visit` for every arena alive, in the order of the arena vector. Cost: as pool_split_get. */
void pool_arena_visit(const struct pool *pool, void (*visit)(void *ctx, const struct pool_arena_view *view), void *ctx);

/** The text of CPython's _PyObject_DebugMallocStats for this profile, byte for byte. */
void pool_stats_print(const struct pool *pool, FILE *out);

/** Re-derives every structural invariant. @return ERR_OK, or ERR_INVALID with the broken one in diag. Cost: all blocks.
 */
enum err pool_check(const struct pool *pool, struct diag *diag);

#endif
