/*
 * The orders of usable_arenas besides CPython's present one. They walk: each pool that drains may cost as many steps as
 * there are usable arenas.
 */
#include "core/pool_arena.h"

/* True when `left` may stand before `right`, of which only one has moved. Equals stay where they are. */
static bool order_holds(const struct pool *pool, const struct arena *left, const struct arena *right) {
    switch (pool->order) {
    case POOL_ORDER_EMPTIEST:
        return left->free_pool_count >= right->free_pool_count;
    case POOL_ORDER_ADDRESS:
        return left->address < right->address;
    default: /* the walk of CPython to 3.7 */
        return left->free_pool_count <= right->free_pool_count;
    }
}

/* Walks from its place, or the front when it is on the list no more, to where the order holds. */
static void arena_sort_right(struct pool *pool, struct arena *arena) {
    struct arena *where = arena;
    while (where->next && !order_holds(pool, arena, where->next))
        where = where->next;
    if (where == arena)
        return;
    arena_usable_unlink(pool, arena);
    arena_usable_insert_after(where, arena);
}

static void arena_sort_left(struct pool *pool, struct arena *arena) {
    struct arena *where = arena;
    while (where->prev && !order_holds(pool, where->prev, arena))
        where = where->prev;
    if (where == arena)
        return;
    arena_usable_unlink(pool, arena);
    if (where->prev) {
        arena_usable_insert_after(where->prev, arena);
    } else {
        arena_usable_push(pool, arena);
    }
}

/* Those wholly free stand last when the fullest come first; in other orders they are counted. */
static bool arena_is_due(const struct pool *pool, const struct arena *arena) {
    if (pool->order == POOL_ORDER_LINEAR)
        return arena_is_surplus(pool, arena);
    uint32_t others = 0;
    for (const struct arena *other = pool->usable_arenas; other && others < pool->keep_count; other = other->next)
        others += other != arena && other->free_pool_count == other->total_pool_count;
    return others >= pool->keep_count;
}

POOL_COLD void arena_gained(struct pool *pool, struct arena *arena) {
    if (++arena->free_pool_count == 1) { /* it was full, and on no list */
        arena_usable_push(pool, arena);
        arena_sort_right(pool, arena);
    } else if (arena->free_pool_count == arena->total_pool_count && arena_is_due(pool, arena)) {
        pool_arena_release(pool, arena);
    } else if (pool->order == POOL_ORDER_EMPTIEST) {
        arena_sort_left(pool, arena);
    } else {
        arena_sort_right(pool, arena);
    }
}

POOL_COLD void arena_lost(struct pool *pool, struct arena *arena) {
    arena_sort_right(pool, arena);
}
