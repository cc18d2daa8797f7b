/*
 * The instance and its hot paths. Each path is written once, over a shape; it is compiled for the common shape with
 * constants and for all others with what the instance holds.
 */
#include "core/pool.h"

#include <stdio.h>
#include <string.h>

#include "core/pages.h"
#include "core/pool_internal.h"
#include "core/raw.h"

/* ---- the raw layer, counted ---- */

static POOL_SLOW void *raw_block_malloc(struct pool *pool, size_t bytes) {
    void *block = raw_malloc(bytes);
    if (block)
        pool->raw_block_count++;
    return block;
}

static POOL_SLOW void raw_block_free(struct pool *pool, void *block) {
    if (!block)
        return;
    raw_free(block);
    pool->raw_block_count--;
}

/* ---- blocks ---- */

POOL_INLINE bool shape_owns(struct pool *pool, const void *block, struct pool_shape shape) {
    uintptr_t address = (uintptr_t)block, slot_bytes = (uintptr_t)1 << shape.slot_shift;
    if (POOL_UNLIKELY(address >> shape.bottom_shift != pool->radix.hot_key))
        return radix_owns_anywhere(&pool->radix, address);
    struct radix_leaf leaf = pool->radix.hot[(address >> shape.slot_shift) & shape.bottom_mask];
    return radix_leaf_covers(leaf, address & (slot_bytes - 1), slot_bytes);
}

POOL_INLINE struct pool_header *header_of(const void *block, struct pool_shape shape) {
    return (struct pool_header *)((uintptr_t)block & ~shape.pool_mask);
}

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

/* A pool's last free block was taken: carve one more, or take the pool, now full, off its list. */
POOL_INLINE void header_refill(struct pool_header *header, uint32_t class_index, struct pool_shape shape) {
    uint32_t offset = header->next_offset;
    if (POOL_UNLIKELY(offset > header->last_offset)) {
        link_remove(&header->link);
        return;
    }
    void **block = (void **)((char *)header + offset);
    header->free = block;
    header->next_offset = offset + ((class_index + 1) << shape.class_shift);
    *block = NULL;
}

/* A pool that comes back to its class keeps its free list; any other begins anew: one block out, one on the list. */
static inline void *header_first_block(const struct pool *pool, struct pool_header *header, uint32_t class_index) {
    if (header->class_index == class_index) {
        void *block = header->free;
        header->free = *(void **)block;
        return block;
    }
    size_t block_bytes = pool_class_bytes(pool, class_index);
    char *block = (char *)header + pool->header_bytes;
    header->class_index = class_index;
    header->next_offset = (uint32_t)(pool->header_bytes + 2 * block_bytes);
    header->last_offset = (uint32_t)(pool->config.pool_bytes - block_bytes);
    header->free = block + block_bytes;
    *(void **)header->free = NULL;
    return block;
}

/* The class has no partly used pool. @return NULL when no arena can be had. */
static POOL_SLOW void *small_alloc_fresh(struct pool *pool, uint32_t class_index) {
    struct pool_header *header = pool_arena_take(pool);
    if (!header)
        return NULL;
    link_push_front(&pool->used[class_index], &header->link);
    header->count = 1;
    return header_first_block(pool, header, class_index);
}

/* @return NULL: this is for the raw layer, because of its size or because no arena can be had. */
POOL_INLINE void *small_alloc(struct pool *pool, size_t bytes, struct pool_shape shape) {
    if (POOL_UNLIKELY(bytes - 1 >= shape.threshold_bytes))
        return NULL;
    uint32_t class_index = (uint32_t)(bytes - 1) >> shape.class_shift;
    struct pool_link *head = &pool->used[class_index], *link = head->next;
    if (POOL_UNLIKELY(link == head))
        return small_alloc_fresh(pool, class_index);
    struct pool_header *header = pool_of_link(link);
    void *block = header->free;
    header->count++;
    header->free = *(void **)block;
    if (!header->free)
        header_refill(header, class_index, shape);
    return block;
}

static POOL_SLOW void header_drained(struct pool *pool, struct pool_header *header) {
    link_remove(&header->link);
    pool_arena_put(pool, header);
}

POOL_INLINE void block_free(struct pool *pool, void *block, struct pool_shape shape) {
    if (POOL_UNLIKELY(!shape_owns(pool, block, shape))) {
        raw_block_free(pool, block);
        return;
    }
    struct pool_header *header = header_of(block, shape);
    void *first = header->free;
    *(void **)block = first;
    header->free = block;
    uint32_t count = --header->count;
    if (POOL_UNLIKELY(!first))
        link_push_front(&pool->used[header->class_index], &header->link);
    else if (POOL_UNLIKELY(count == 0))
        header_drained(pool, header);
}

void *pool_malloc(struct pool *pool, size_t bytes) {
    void *block = POOL_LIKELY(pool->shape_is_common) ? small_alloc(pool, bytes, POOL_SHAPE_COMMON)
                                                     : small_alloc(pool, bytes, pool->shape);
    return POOL_LIKELY(block != NULL) ? block : raw_block_malloc(pool, bytes);
}

void pool_free(struct pool *pool, void *block) {
    if (POOL_LIKELY(pool->shape_is_common))
        block_free(pool, block, POOL_SHAPE_COMMON);
    else
        block_free(pool, block, pool->shape);
}

void *pool_calloc(struct pool *pool, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *block = small_alloc(pool, total, pool->shape);
    if (block)
        return memset(block, 0, total);
    block = raw_calloc(count, bytes);
    if (block)
        pool->raw_block_count++;
    return block;
}

void *pool_realloc(struct pool *pool, void *block, size_t bytes) {
    if (!block)
        return pool_malloc(pool, bytes);
    if (!shape_owns(pool, block, pool->shape))
        return raw_realloc(block, bytes);
    size_t block_bytes = pool_class_bytes(pool, header_of(block, pool->shape)->class_index), kept_bytes = block_bytes;
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
    void *block = raw_aligned_alloc(align_bytes, bytes);
    if (block)
        pool->raw_block_count++;
    return block;
}

bool pool_owns(const struct pool *pool, const void *block) {
    uintptr_t slot_bytes = (uintptr_t)1 << pool->radix.slot_shift;
    const struct radix_leaf *leaf = radix_leaf_find(&pool->radix, (uintptr_t)block);
    return leaf && radix_leaf_covers(*leaf, (uintptr_t)block & (slot_bytes - 1), slot_bytes);
}

size_t pool_usable_size(const struct pool *pool, const void *block) {
    if (!pool_owns(pool, block))
        return raw_usable_size((void *)(uintptr_t)block);
    return pool_class_bytes(pool, header_of(block, pool->shape)->class_index);
}

/* ---- the instance ---- */

static void *default_arena_alloc(void *ctx, size_t bytes) {
    const struct pool *pool = ctx;
    return pages_map(bytes, pool->config.pool_bytes);
}

static void default_arena_free(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    pages_unmap(arena, bytes);
}

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

static void config_set(struct pool *pool, const struct pool_config *config) {
    static const struct pool_shape common = POOL_SHAPE_COMMON;
    pool->config = *config;
    snprintf(pool->name, sizeof pool->name, "%s", config->name ? config->name : "");
    pool->config.name = pool->name;
    pool->header_bytes = round_up(sizeof(struct pool_header), config->align_bytes);
    pool->class_count = (uint32_t)(config->threshold_bytes / config->align_bytes);
    pool->arena_pool_count = (uint32_t)(config->arena_bytes / config->pool_bytes);
    pool->shape.threshold_bytes = config->threshold_bytes;
    pool->shape.pool_mask = config->pool_bytes - 1;
    pool->shape.class_shift = (uint8_t)__builtin_ctzll(config->align_bytes);
    pool->shape.slot_shift = pool->radix.slot_shift;
    pool->shape.bottom_shift = pool->radix.bottom_shift;
    pool->shape.bottom_mask = pool->radix.bottom_length - 1;
    pool->shape_is_common =
        pool->shape.threshold_bytes == common.threshold_bytes && pool->shape.pool_mask == common.pool_mask &&
        pool->shape.class_shift == common.class_shift && pool->shape.slot_shift == common.slot_shift;
}

enum err pool_create(const struct pool_config *config, const struct pool_arena_source *source, struct pool **out,
                     struct diag *diag) {
    enum err err = pool_config_check(config, diag);
    if (err)
        return err;
    /* One mapping: the struct, the fingers, the radix root. Untouched pages of the root cost nothing. */
    size_t fingers_offset = sizeof(struct pool);
    size_t finger_count = config->arena_bytes / config->pool_bytes + 1;
    size_t root_offset = round_up(fingers_offset + finger_count * sizeof(struct arena *), pages_size_bytes());
    size_t root_bytes = radix_root_length(config->arena_bytes) * sizeof(struct radix_leaf **);
    size_t instance_bytes = round_up(root_offset + root_bytes, pages_size_bytes());
    struct pool *pool = pages_map(instance_bytes, 1);
    if (!pool)
        return diag_errno(diag, ERR_NOMEM, NULL, "pool: cannot map %zu bytes for its tables", instance_bytes);

    pool->instance_bytes = instance_bytes;
    pool->last_with = (struct arena **)((char *)pool + fingers_offset);
    radix_init(&pool->radix, config->arena_bytes, (struct radix_leaf ***)((char *)pool + root_offset));
    config_set(pool, config);
    for (uint32_t i = 0; i < pool->class_count; i++)
        pool->used[i].next = pool->used[i].prev = &pool->used[i];
    pool->source = source ? *source : (struct pool_arena_source){pool, default_arena_alloc, default_arena_free};
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
