/* Arenas come and go here; how pools leave them and come back is in pool_arena.h, inlined into the hot paths. */
#include <assert.h>

#include "core/pool_arena.h"
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

static struct arena arena_at(const struct pool *pool, uintptr_t address) {
    struct arena arena = {.address = address};
    bool unaligned = (address & pool->shape.pool_mask) != 0;
    arena.carve_address = pool_arena_first(pool, &arena);
    arena.total_pool_count = arena.free_pool_count = pool->arena_pool_count - unaligned;
    return arena;
}

/* @return an arena of address 0 when the source refuses, or the radix tree a node. */
static struct arena arena_obtain(struct pool *pool) {
    size_t bytes = pool->config.arena_bytes;
    void *pages = pool->source.alloc(pool->source.ctx, bytes);
    if (!pages)
        return (struct arena){.address = 0};
    struct arena arena = arena_at(pool, (uintptr_t)pages);
    if (!radix_mark(&pool->radix, arena.address, bytes, arena.carve_address, arena.total_pool_count)) {
        pool->source.free(pool->source.ctx, pages, bytes);
        return (struct arena){.address = 0};
    }
    return arena;
}

POOL_COLD bool pool_arena_new(struct pool *pool) {
    if (!pool->unused_arenas && !vector_grow(pool))
        return false;
    struct arena obtained = arena_obtain(pool);
    if (!obtained.address)
        return false;
    struct arena *arena = pool->unused_arenas;
    pool->unused_arenas = arena->next;
    *arena = obtained;
    pool->arenas_mapped_count++;
    arena_map_note(&pool->map, arena->address, pool->config.arena_bytes);
    if (++pool->arenas_count > pool->arenas_peak_count)
        pool->arenas_peak_count = pool->arenas_count;
    pool->usable_arenas = arena;
    if (pool->order == POOL_ORDER_FULLEST)
        pool->last_with[arena->free_pool_count] = arena;
    return true;
}

POOL_COLD void pool_arena_release(struct pool *pool, struct arena *arena) {
    uintptr_t address = arena->address;
    arena_usable_unlink(pool, arena);
    radix_unmark(&pool->radix, pool_arena_first(pool, arena), arena->total_pool_count);
    *arena = (struct arena){.next = pool->unused_arenas};
    pool->unused_arenas = arena;
    pool->source.free(pool->source.ctx, (void *)address, pool->config.arena_bytes);
    pool->arenas_count--;
}

void pool_arena_clear(struct pool *pool) {
    for (uint32_t i = 0; i < pool->arena_slot_count; i++)
        if (pool->arenas[i].address)
            pool->source.free(pool->source.ctx, (void *)pool->arenas[i].address, pool->config.arena_bytes);
    raw_free(pool->arenas);
}
