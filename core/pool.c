/*
 * The instance and its hot paths. malloc and free exist twice: with the common shape's numbers as constants, and with
 * the numbers of the instance (7 to 41 % slower, measured: shifts by a variable, and a load for each number).
 */
#include "core/pool.h"

#include <stdio.h>
#include <string.h>

#include "core/pages.h"
#include "core/pool_arena.h"
#include "core/raw.h"

/* ---- blocks of the raw layer, counted ---- */

static inline void *raw_block_counted(struct pool *pool, void *block) {
    pool->raw_block_count += block != NULL;
    return block;
}

static inline void raw_block_free(struct pool *pool, void *block) {
    if (!block)
        return;
    pool->raw_block_count--;
    raw_free(block);
}

/* ---- pools ---- */

static inline void link_remove(struct pool_link *link) {
    link->next->prev = link->prev;
    link->prev->next = link->next;
}

static inline void link_push_front(struct pool_link *head, struct pool_link *link) {
    link->prev = head;
    link->next = head->next;
    head->next->prev = link;
    head->next = link;
}

/* A pool's last free block was taken: carve more, or take the pool, now full, off its list. CPython carves one block.
   All that begin on that one's page, linked by rising address, are handed out in the same order and touch no page
   sooner; only the trips here are fewer (3 to 5 % of the time of CPython programs, measured).
   @param base the pool's first byte. */
POOL_INLINE void header_refill(struct pool_header *header, uintptr_t base, uint32_t block_bytes) {
    uint32_t offset = header->next_offset, last = header->last_offset;
    if (POOL_UNLIKELY(offset > last)) {
        link_remove(&header->link);
        return;
    }
    uint32_t page_last = offset | (POOL_CARVE_BYTES - 1);
    if (page_last < last)
        last = page_last;
    void **block = (void **)(base + offset);
    header->free = block;
    while ((offset += block_bytes) <= last) {
        void **next = (void **)(base + offset);
        *block = next;
        block = next;
    }
    *block = NULL;
    header->next_offset = offset;
}

/* Takes a block from the first pool on a list that has one. */
POOL_INLINE void *header_pop(struct pool_link *link, size_t block_bytes, uintptr_t pool_mask) {
    struct pool_header *header = pool_of_link(link);
    void **block = header->free, *next = *block;
    header->count++;
    header->free = next;
    __builtin_prefetch(next, 1); /* the class's next malloc reads its link */
    if (!next)
        header_refill(header, (uintptr_t)block & ~pool_mask, (uint32_t)block_bytes);
    return block;
}

/* A pool that comes back to its class keeps its free list; any other begins anew: one block out, one on the list. */
static inline void *header_first_block(const struct pool *pool, struct pool_header *header, uint32_t class_index) {
    if (header->class_index == class_index) {
        void *block = header->free;
        header->free = *(void **)block;
        return block;
    }
    size_t block_bytes = pool_class_bytes(pool, class_index);
    char *block = pool_base_of(pool, header) + pool->header_bytes;
    header->class_index = class_index;
    header->next_offset = (uint32_t)(pool->header_bytes + 2 * block_bytes);
    header->last_offset = (uint32_t)(pool->config.pool_bytes - block_bytes);
    header->free = block + block_bytes;
    *(void **)header->free = NULL;
    return block;
}

static inline bool is_small(const struct pool *pool, size_t bytes) {
    return bytes - 1 < pool->shape.threshold_bytes;
}

/* For a class without a partly used pool. @return NULL when no arena can be had. */
static inline void *small_alloc_fresh(struct pool *pool, size_t bytes) {
    uint32_t class_index = (uint32_t)((bytes - 1) >> pool->shape.class_shift);
    struct pool_header *header = pool_arena_take(pool);
    if (!header)
        return NULL;
    link_push_front(&pool->used[class_index], &header->link);
    header->count = 1;
    return header_first_block(pool, header, class_index);
}

/* @param bytes small. @return NULL when no arena can be had. */
static inline void *small_alloc(struct pool *pool, size_t bytes) {
    size_t class_index = (bytes - 1) >> pool->shape.class_shift;
    struct pool_link *head = &pool->used[class_index];
    if (POOL_UNLIKELY(head->next == head))
        return small_alloc_fresh(pool, bytes);
    return header_pop(head->next, (class_index + 1) << pool->shape.class_shift, pool->shape.pool_mask);
}

static POOL_SLOW void header_drained(struct pool *pool, struct pool_header *header) {
    link_remove(&header->link);
    pool_arena_put(pool, header);
}

/* The pool was full: it is the first to serve its class again; or the last, when that is set. */
static POOL_SLOW void header_reopened(struct pool *pool, struct pool_header *header) {
    struct pool_link *head = &pool->used[header->class_index];
    link_push_front(POOL_UNLIKELY(pool->reentry_back) ? head->prev : head, &header->link);
}

/* @param block of the pool of that header. */
POOL_INLINE void small_free(struct pool *pool, void *block, struct pool_header *header) {
    /* Two lines may be far away, the header's and the block's: without this the second is asked for only when the first
       has come (a fifth of the time of frees in random order over 5 MB, measured). */
    __builtin_prefetch(block, 1);
    void *first = header->free;
    *(void **)block = first;
    header->free = block;
    uint32_t count = --header->count;
    if (POOL_UNLIKELY(!first))
        header_reopened(pool, header);
    else if (POOL_UNLIKELY(count == 0))
        header_drained(pool, header);
}

/* ---- the four calls ---- */

/* The shortest ways come first and call nothing but in tail position, so that they need no stack frame. For other
   shapes than the common one fast_limit_bytes is 0 and fast_key matches no address: they go the general ways. */

static POOL_SLOW void *malloc_general(struct pool *pool, size_t bytes) {
    void *block = is_small(pool, bytes) ? small_alloc(pool, bytes) : NULL;
    return block ? block : raw_block_counted(pool, raw_malloc(bytes));
}

static POOL_SLOW void *malloc_fresh(struct pool *pool, size_t bytes) {
    void *block = small_alloc_fresh(pool, bytes);
    return POOL_LIKELY(block != NULL) ? block : raw_block_counted(pool, raw_malloc(bytes));
}

void *pool_malloc(struct pool *pool, size_t bytes) {
    const struct pool_shape shape = POOL_SHAPE_COMMON;
    if (POOL_UNLIKELY(bytes - 1 >= pool->fast_limit_bytes))
        return malloc_general(pool, bytes);
    size_t class_index = (bytes - 1) >> shape.class_shift;
    struct pool_link *head = &pool->used[class_index], *link = head->next;
    if (POOL_UNLIKELY(link == head))
        return malloc_fresh(pool, bytes);
    return header_pop(link, (class_index + 1) << shape.class_shift, shape.pool_mask);
}

/* headers=side with the common shape's numbers. */
static POOL_SLOW void free_beside(struct pool *pool, void *block) {
    const struct pool_shape shape = POOL_SHAPE_COMMON;
    uintptr_t address = (uintptr_t)block, slot = (address >> shape.slot_shift) & shape.bottom_mask;
    uintptr_t index = address >> shape.pool_shift & (POOL_SLOT_POOLS - 1);
    uint64_t *bottom = pool->radix.hot;
    if (POOL_LIKELY(bottom[slot] >> index & 1)) {
        struct pool_side *const *sides = (struct pool_side *const *)(bottom + shape.bottom_mask + 1);
        small_free(pool, block, (struct pool_header *)&sides[slot][index].header);
    } else {
        raw_block_free(pool, block);
    }
}

static POOL_SLOW void free_general(struct pool *pool, void *block) {
    if (pool->beside_fast && (uintptr_t)block >> POOL_SHAPE_COMMON.bottom_shift == pool->radix.hot_key)
        free_beside(pool, block);
    else if (radix_owns(&pool->radix, (uintptr_t)block))
        small_free(pool, block, pool_header_at(pool, (uintptr_t)block));
    else
        raw_block_free(pool, block);
}

void pool_free(struct pool *pool, void *block) {
    const struct pool_shape shape = POOL_SHAPE_COMMON;
    uintptr_t address = (uintptr_t)block;
    if (POOL_UNLIKELY(address >> shape.bottom_shift != pool->radix.fast_key)) {
        free_general(pool, block);
        return;
    }
    uint64_t leaf = pool->radix.hot[(address >> shape.slot_shift) & shape.bottom_mask];
    if (POOL_LIKELY(leaf >> (address >> shape.pool_shift & 63) & 1))
        small_free(pool, block, (struct pool_header *)(address & ~shape.pool_mask));
    else
        raw_block_free(pool, block);
}

void *pool_calloc(struct pool *pool, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *block = is_small(pool, total) ? small_alloc(pool, total) : NULL;
    return block ? memset(block, 0, total) : raw_block_counted(pool, raw_calloc(count, bytes));
}

void *pool_realloc(struct pool *pool, void *block, size_t bytes) {
    if (!block)
        return pool_malloc(pool, bytes);
    if (!radix_owns(&pool->radix, (uintptr_t)block))
        return raw_realloc(block, bytes);
    size_t block_bytes = pool_class_bytes(pool, pool_header_at(pool, (uintptr_t)block)->class_index),
           kept_bytes = block_bytes;
    if (bytes <= block_bytes) {
        /* Shrinking by less than a quarter stays: copying would cost more than it saves. */
        if (4 * bytes > 3 * block_bytes)
            return block;
        kept_bytes = bytes;
    }
    void *moved = pool_malloc(pool, bytes);
    if (moved) {
        memcpy(moved, block, kept_bytes);
        pool_free(pool, block);
    }
    return moved;
}

void *pool_aligned_alloc(struct pool *pool, size_t align_bytes, size_t bytes) {
    if (align_bytes <= pool->config.align_bytes)
        return pool_malloc(pool, bytes);
    return raw_block_counted(pool, raw_aligned_alloc(align_bytes, bytes));
}

bool pool_owns(const struct pool *pool, const void *block) {
    return radix_covers(&pool->radix, (uintptr_t)block);
}

size_t pool_usable_size(const struct pool *pool, const void *block) {
    if (!pool_owns(pool, block))
        return raw_usable_size((void *)(uintptr_t)block);
    return pool_class_bytes(pool, pool_header_at(pool, (uintptr_t)block)->class_index);
}

/* ---- the instance ---- */

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

static void config_set(struct pool *pool, const struct pool_config *config) {
    pool->config = *config;
    snprintf(pool->name, sizeof pool->name, "%s", config->name ? config->name : "");
    pool->config.name = pool->name;
    pool->header_bytes = pool_header_room(config);
    pool->class_count = (uint32_t)(config->threshold_bytes / config->align_bytes);
    pool->arena_pool_count = (uint32_t)(config->arena_bytes / config->pool_bytes);
    pool->shape.threshold_bytes = config->threshold_bytes;
    pool->shape.pool_mask = config->pool_bytes - 1;
    pool->shape.class_shift = (uint8_t)__builtin_ctzll(config->align_bytes);
    bool common = pool->shape.threshold_bytes == POOL_SHAPE_COMMON.threshold_bytes &&
                  pool->shape.pool_mask == POOL_SHAPE_COMMON.pool_mask &&
                  pool->shape.class_shift == POOL_SHAPE_COMMON.class_shift &&
                  pool->radix.slot_shift == POOL_SHAPE_COMMON.slot_shift &&
                  pool->radix.bottom_shift == POOL_SHAPE_COMMON.bottom_shift;
    pool->fast_limit_bytes = common ? config->threshold_bytes : 0;
    pool->headers_side = config->headers == POOL_HEADERS_SIDE;
    pool->radix.fast_allowed = common && !pool->headers_side;
    pool->beside_fast = common && pool->headers_side;
    pool->keep_count = config->keep_count;
    pool->order = config->order;
    pool->reentry_back = config->reentry == POOL_REENTRY_BACK;
}

enum err pool_create(const struct pool_config *config, const struct pool_arena_source *source, struct pool **out,
                     struct diag *diag) {
    enum err err = pool_config_check(config, diag);
    if (err)
        return err;
    /* One mapping: the struct, the fingers, the radix root, the map. Untouched pages of the last two cost nothing. */
    size_t fingers_offset = sizeof(struct pool);
    size_t finger_count = config->arena_bytes / config->pool_bytes + 1;
    size_t root_offset = round_up(fingers_offset + finger_count * sizeof(struct arena *), pages_size_bytes());
    size_t map_offset = root_offset + radix_root_length(config->arena_bytes) * sizeof(uint64_t **);
    size_t instance_bytes = round_up(map_offset + arena_map_bytes(config), pages_size_bytes());
    struct pool *pool = pages_map(instance_bytes, 1);
    if (!pool)
        return diag_errno(diag, ERR_NOMEM, NULL, "pool: cannot map %zu bytes for its tables", instance_bytes);

    pool->instance_bytes = instance_bytes;
    pool->last_with = (struct arena **)((char *)pool + fingers_offset);
    radix_init(&pool->radix, config, (uint64_t ***)((char *)pool + root_offset));
    arena_map_init(&pool->map, config, (uint64_t *)((char *)pool + map_offset));
    config_set(pool, config);
    for (uint32_t i = 0; i < pool->class_count; i++)
        pool->used[i].next = pool->used[i].prev = &pool->used[i];
    pool->source = source ? *source : pool_source_of(pool);
    *out = pool;
    return ERR_OK;
}

void pool_destroy(struct pool *pool) {
    if (!pool)
        return;
    pool_arena_clear(pool);
    radix_clear(&pool->radix);
    pages_unmap(pool, pool->instance_bytes);
}

const struct pool_config *pool_config_get(const struct pool *pool) {
    return &pool->config;
}
