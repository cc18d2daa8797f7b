/**
 * pool_arena.h: how empty pools leave their arenas and come back. For core/pool*.c only.
 *
 * usable_arenas is kept sorted by increasing number of free pools, so that allocation fills the fullest arena and the
 * emptiest one gets the chance to drain; last_with[n] points at the last arena with n free pools, which makes every
 * move in the list O(1) (CPython's nfp2lasta, bpo-37029). Other orders than POOL_ORDER_FULLEST leave the fingers alone
 * and walk the list: pool_order.c.
 */
#ifndef MMREPLAY_CORE_POOL_ARENA_H
#define MMREPLAY_CORE_POOL_ARENA_H

#include "core/pool_internal.h"

/** Maps an arena and makes it the only usable one. @return false: the source or the raw layer refuses. */
bool pool_arena_new(struct pool *pool);

/** Gives a wholly free arena of usable_arenas back to the source. */
void pool_arena_release(struct pool *pool, struct arena *arena);

/** pool_arena_put for the other orders: counts the pool given back and puts the arena where it now belongs. */
void arena_gained(struct pool *pool, struct arena *arena);

/** With POOL_ORDER_EMPTIEST the first arena, which gave a pool, may be the emptiest no longer. */
void arena_lost(struct pool *pool, struct arena *arena);

/** Gives every arena back and frees the vector. */
void pool_arena_clear(struct pool *pool);

/* The fullest arena is about to lose a pool: it stays the fullest, only its finger moves. */
static inline void arena_finger_lower(struct pool *pool, struct arena *arena) {
    uint32_t count = arena->free_pool_count;
    if (pool->last_with[count] == arena)
        pool->last_with[count] = NULL;
    if (count > 1)
        pool->last_with[count - 1] = arena;
}

static inline void arena_usable_pop(struct pool *pool) {
    struct arena *arena = pool->usable_arenas;
    pool->usable_arenas = arena->next;
    if (arena->next)
        arena->next->prev = NULL;
    arena->next = NULL;
}

static inline struct pool_header *arena_carve(struct pool *pool, struct arena *arena) {
    struct pool_header *header = pool_header_at(pool, arena->carve_address);
    if (POOL_UNLIKELY(pool->headers_side)) /* a table that served an earlier arena keeps its places */
        ((struct pool_side *)header)->base = (char *)arena->carve_address;
    header->arena_index = (uint32_t)(arena - pool->arenas);
    header->class_index = POOL_CLASS_NONE;
    arena->carve_address += pool->config.pool_bytes;
    return header;
}

/* Takes an empty pool from the fullest arena, mapping a new arena when none has one. The pool is on no list.
   @return NULL when the source or the raw layer refuses; nothing has changed then. */
static inline struct pool_header *pool_arena_take(struct pool *pool) {
    if (POOL_UNLIKELY(!pool->usable_arenas) && !pool_arena_new(pool))
        return NULL;
    struct arena *arena = pool->usable_arenas;
    unsigned order = pool->order;
    if (POOL_LIKELY(order == POOL_ORDER_FULLEST))
        arena_finger_lower(pool, arena);
    struct pool_header *header;
    if (POOL_LIKELY(arena->free_pools != NULL)) {
        header = pool_of_link(arena->free_pools);
        arena->free_pools = arena->free_pools->next;
    } else {
        header = arena_carve(pool, arena);
    }
    if (--arena->free_pool_count == 0)
        arena_usable_pop(pool);
    else if (POOL_UNLIKELY(order == POOL_ORDER_EMPTIEST))
        arena_lost(pool, arena);
    return header;
}

static inline void arena_usable_push(struct pool *pool, struct arena *arena) {
    arena->prev = NULL;
    arena->next = pool->usable_arenas;
    if (arena->next)
        arena->next->prev = arena;
    pool->usable_arenas = arena;
}

static inline void arena_usable_unlink(struct pool *pool, struct arena *arena) {
    if (arena->prev)
        arena->prev->next = arena->next;
    else
        pool->usable_arenas = arena->next;
    if (arena->next)
        arena->next->prev = arena->prev;
}

static inline void arena_usable_insert_after(struct arena *where, struct arena *arena) {
    arena->prev = where;
    arena->next = where->next;
    if (arena->next)
        arena->next->prev = arena;
    where->next = arena;
}

/* The arena leaves the run of those with `count` free pools; where it was the run's last, its left neighbour follows.
 */
static inline void arena_finger_leave(struct pool *pool, struct arena *arena, uint32_t count) {
    struct arena *prev = arena->prev;
    if (pool->last_with[count] == arena)
        pool->last_with[count] = prev && prev->free_pool_count == count ? prev : NULL;
}

/* True when as many arenas as may be kept stand behind this one: so CPython's rule, that the last is kept, reads for
   any number of them. */
static inline bool arena_is_surplus(const struct pool *pool, const struct arena *arena) {
    for (uint32_t left = pool->keep_count; left; left--) {
        arena = arena->next;
        if (!arena)
            return false;
    }
    return true;
}

/* Gives an empty pool, on no list, back to its arena, and the arena to its source when that is due. */
static inline void pool_arena_put(struct pool *pool, struct pool_header *header) {
    struct arena *arena = &pool->arenas[header->arena_index];
    header->link.next = arena->free_pools;
    arena->free_pools = &header->link;
    if (POOL_UNLIKELY(pool->order != POOL_ORDER_FULLEST)) {
        arena_gained(pool, arena);
        return;
    }
    uint32_t count = arena->free_pool_count;
    struct arena *old_last = pool->last_with[count];
    if (count)
        arena_finger_leave(pool, arena, count);
    arena->free_pool_count = ++count;
    if (count == 1) { /* it was full, and on no list */
        arena_usable_push(pool, arena);
        if (!pool->last_with[1])
            pool->last_with[1] = arena;
        return;
    }
    if (POOL_UNLIKELY(count == arena->total_pool_count) && arena_is_surplus(pool, arena)) {
        pool_arena_release(pool, arena);
        return;
    }
    if (!pool->last_with[count])
        pool->last_with[count] = arena;
    if (old_last != arena) {
        arena_usable_unlink(pool, arena);
        arena_usable_insert_after(old_last, arena);
    }
}

#endif
