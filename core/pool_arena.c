/*
 * Arenas: where empty pools come from and go to. usable_arenas is kept sorted by increasing number of free pools, so
 * that allocation fills the fullest arena and the emptiest one gets the chance to drain; last_with[n] points at the
 * last arena with n free pools, which makes every move in the list O(1) (CPython's nfp2lasta, bpo-37029).
 */
#include <assert.h>

#include "core/pool_internal.h"
#include "core/raw.h"

static POOL_COLD bool vector_grow(struct pool *pool) {
    uint32_t old = pool->arena_slot_count, count = old ? 2 * old : ARENA_VECTOR_FIRST_COUNT;
    /* Nobody points into the vector now: no slot is unused and, as no arena is usable, none is on a list. */
    assert(!pool->usable_arenas && !pool->unused_arenas);
    struct arena *arenas = raw_realloc(pool->arenas, count * sizeof *arenas);
    if (!arenas)
        return false;
    for (uint32_t i = old; i < count; i++)
        arenas[i] = (struct arena){.next = i + 1 < count ? &arenas[i + 1] : NULL};
    pool->arenas = arenas;
    pool->arena_slot_count = count;
    pool->unused_arenas = &arenas[old];
    return true;
}

static void *arena_obtain(struct pool *pool) {
    void *pages = pool->source.alloc(pool->source.ctx, pool->config.arena_bytes);
    if (pages && !radix_mark(&pool->radix, (uintptr_t)pages, pool->config.arena_bytes)) {
        pool->source.free(pool->source.ctx, pages, pool->config.arena_bytes);
        return NULL;
    }
    return pages;
}

static void arena_init(struct pool *pool, struct arena *arena, uintptr_t address) {
    bool unaligned = (address & pool->shape.pool_mask) != 0;
    *arena = (struct arena){.address = address};
    arena->carve_address = pool_arena_first(pool, arena);
    arena->total_pool_count = arena->free_pool_count = pool->arena_pool_count - unaligned;
}

/* Maps an arena and makes it the only usable one. */
static POOL_COLD bool arena_new(struct pool *pool) {
    if (!pool->unused_arenas && !vector_grow(pool))
        return false;
    void *pages = arena_obtain(pool);
    if (!pages)
        return false;
    struct arena *arena = pool->unused_arenas;
    pool->unused_arenas = arena->next;
    arena_init(pool, arena, (uintptr_t)pages);
    pool->arenas_mapped_count++;
    if (++pool->arenas_count > pool->arenas_peak_count)
        pool->arenas_peak_count = pool->arenas_count;
    pool->usable_arenas = arena;
    pool->last_with[arena->free_pool_count] = arena;
    return true;
}

/* The fullest arena is about to lose a pool: it stays the fullest, only its finger moves. */
static inline void finger_lower(struct pool *pool, struct arena *arena) {
    uint32_t count = arena->free_pool_count;
    if (pool->last_with[count] == arena)
        pool->last_with[count] = NULL;
    if (count > 1)
        pool->last_with[count - 1] = arena;
}

static inline void usable_pop(struct pool *pool) {
    struct arena *arena = pool->usable_arenas;
    pool->usable_arenas = arena->next;
    if (arena->next)
        arena->next->prev = NULL;
    arena->next = NULL;
}

static inline struct pool_header *arena_carve(struct pool *pool, struct arena *arena) {
    struct pool_header *header = (struct pool_header *)arena->carve_address;
    header->arena_index = (uint32_t)(arena - pool->arenas);
    header->class_index = POOL_CLASS_NONE;
    arena->carve_address += pool->config.pool_bytes;
    return header;
}

struct pool_header *pool_arena_take(struct pool *pool) {
    if (POOL_UNLIKELY(!pool->usable_arenas) && !arena_new(pool))
        return NULL;
    struct arena *arena = pool->usable_arenas;
    finger_lower(pool, arena);
    struct pool_header *header;
    if (POOL_LIKELY(arena->free_pools != NULL)) {
        header = pool_of_link(arena->free_pools);
        arena->free_pools = arena->free_pools->next;
    } else {
        header = arena_carve(pool, arena);
    }
    if (--arena->free_pool_count == 0)
        usable_pop(pool);
    return header;
}

static inline void usable_push(struct pool *pool, struct arena *arena) {
    arena->prev = NULL;
    arena->next = pool->usable_arenas;
    if (arena->next)
        arena->next->prev = arena;
    pool->usable_arenas = arena;
}

static inline void usable_unlink(struct pool *pool, struct arena *arena) {
    if (arena->prev)
        arena->prev->next = arena->next;
    else
        pool->usable_arenas = arena->next;
    if (arena->next)
        arena->next->prev = arena->prev;
}

static inline void usable_insert_after(struct arena *where, struct arena *arena) {
    arena->prev = where;
    arena->next = where->next;
    if (arena->next)
        arena->next->prev = arena;
    where->next = arena;
}

static POOL_COLD void arena_release(struct pool *pool, struct arena *arena) {
    uintptr_t address = arena->address;
    usable_unlink(pool, arena);
    *arena = (struct arena){.next = pool->unused_arenas};
    pool->unused_arenas = arena;
    radix_unmark(&pool->radix, address, pool->config.arena_bytes);
    pool->source.free(pool->source.ctx, (void *)address, pool->config.arena_bytes);
    pool->arenas_count--;
}

/* The arena leaves the run of those with `count` free pools; where it was the run's last, its left neighbour follows.
 */
static inline void finger_leave(struct pool *pool, struct arena *arena, uint32_t count) {
    struct arena *prev = arena->prev;
    if (pool->last_with[count] == arena)
        pool->last_with[count] = prev && prev->free_pool_count == count ? prev : NULL;
}

void pool_arena_put(struct pool *pool, struct pool_header *header) {
    struct arena *arena = &pool->arenas[header->arena_index];
    header->link.next = arena->free_pools;
    arena->free_pools = &header->link;

    uint32_t count = arena->free_pool_count;
    struct arena *old_last = pool->last_with[count];
    if (count)
        finger_leave(pool, arena, count);
    arena->free_pool_count = ++count;
    if (count == 1) { /* it was full, and on no list */
        usable_push(pool, arena);
        if (!pool->last_with[1])
            pool->last_with[1] = arena;
        return;
    }
    if (POOL_UNLIKELY(count == arena->total_pool_count) && arena->next) { /* the last arena is kept (bpo-37257) */
        arena_release(pool, arena);
        return;
    }
    if (!pool->last_with[count])
        pool->last_with[count] = arena;
    if (old_last != arena) {
        usable_unlink(pool, arena);
        usable_insert_after(old_last, arena);
    }
}

void pool_arena_clear(struct pool *pool) {
    for (uint32_t i = 0; i < pool->arena_slot_count; i++)
        if (pool->arenas[i].address)
            pool->source.free(pool->source.ctx, (void *)pool->arenas[i].address, pool->config.arena_bytes);
    raw_free(pool->arenas);
}
