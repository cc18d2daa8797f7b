/* Arenas come and go here, and units leave them and come back. Nothing of this is on the shortest ways. */
#include <assert.h>

#include "core/fast_internal.h"
#include "core/pages.h"

static unsigned units_count(uint64_t units) {
    return (unsigned)__builtin_popcountll(units);
}

static char *arena_address(const struct fast *fast, uint32_t index) {
    return (char *)fast->base + ((uintptr_t)index << FAST_ARENA_SHIFT);
}

/* ---- arenas by fill ---- */

static void arena_unlist(struct fast *fast, uint32_t index) {
    struct fast_arena *arena = &fast->arenas[index];
    unsigned fill = units_count(arena->free_units) - 1;
    if (arena->next != FAST_ARENA_NONE)
        fast->arenas[arena->next].prev = arena->prev;
    if (arena->prev != FAST_ARENA_NONE) {
        fast->arenas[arena->prev].next = arena->next;
        return;
    }
    fast->first[arena->kind][fill] = arena->next;
    if (arena->next == FAST_ARENA_NONE)
        fast->fills[arena->kind] &= ~((uint64_t)1 << fill);
}

static void arena_list(struct fast *fast, uint32_t index) {
    struct fast_arena *arena = &fast->arenas[index];
    unsigned fill = units_count(arena->free_units) - 1;
    uint32_t *first = &fast->first[arena->kind][fill];
    arena->prev = FAST_ARENA_NONE;
    arena->next = *first;
    if (arena->next != FAST_ARENA_NONE)
        fast->arenas[arena->next].prev = index;
    *first = index;
    fast->fills[arena->kind] |= (uint64_t)1 << fill;
}

/* ---- arenas from and to the source ---- */

/* @return false when the range is used up or the source refuses. The new arena is on its list. */
static FAST_SLOW bool arena_obtain(struct fast *fast) {
    bool again = fast->returned_count > 0;
    if (!again && fast->arena_frontier == fast->arena_limit)
        return false;
    uint32_t index = again ? fast->returned[fast->returned_count - 1] : fast->arena_frontier;
    if (!fast->source.obtain(fast->source.ctx, arena_address(fast, index), FAST_ARENA_BYTES))
        return false;
    if (again)
        fast->returned_count--;
    else
        fast->arena_frontier++;
    fast->arenas[index] = (struct fast_arena){
        .free_units = FAST_UNITS_ALL, .clean_units = FAST_UNITS_ALL, .kind = ARENA_SMALL, .mapped = true};
    fast->arenas_mapped_count++;
    if (++fast->arenas_count > fast->arenas_peak_count)
        fast->arenas_peak_count = fast->arenas_count;
    fast->empty_count++;
    arena_list(fast, index);
    return true;
}

static FAST_SLOW void arena_give_back(struct fast *fast, uint32_t index) {
    arena_unlist(fast, index);
    fast->arenas[index].mapped = false;
    fast->returned[fast->returned_count++] = index;
    fast->arenas_count--;
    fast->empty_count--;
    fast->source.give_back(fast->source.ctx, arena_address(fast, index), FAST_ARENA_BYTES);
}

void fast_arena_clear(struct fast *fast) {
    for (uint32_t i = 0; i < fast->arena_frontier; i++)
        if (fast->arenas[i].mapped)
            fast->source.give_back(fast->source.ctx, arena_address(fast, i), FAST_ARENA_BYTES);
}

/* ---- units ---- */

/* The units at which `count` free ones begin. */
static uint64_t run_starts(uint64_t free_units, unsigned count) {
    for (unsigned have = 1; have < count;) {
        unsigned more = count - have < have ? count - have : have;
        free_units &= free_units >> more;
        have += more;
    }
    return free_units;
}

/* The first use of units: their pages are brought in by one call rather than by a fault each. */
static void units_populate(struct fast *fast, uint32_t index, uint64_t units) {
    struct fast_arena *arena = &fast->arenas[index];
    uint64_t clean = units & arena->clean_units;
    arena->clean_units &= ~units;
    while (clean) {
        unsigned from = (unsigned)__builtin_ctzll(clean);
        uint64_t behind = ~(clean >> from);
        unsigned count = behind ? (unsigned)__builtin_ctzll(behind) : 64;
        pages_populate(arena_address(fast, index) + (size_t)from * FAST_UNIT_BYTES, (size_t)count * FAST_UNIT_BYTES);
        clean &= ~fast_units_mask(count, from);
    }
}

static void units_occupy(struct fast *fast, uint32_t index, uint64_t units) {
    struct fast_arena *arena = &fast->arenas[index];
    arena_unlist(fast, index);
    fast->empty_count -= arena->free_units == FAST_UNITS_ALL;
    arena->free_units &= ~units;
    if (arena->free_units)
        arena_list(fast, index);
    units_populate(fast, index, units);
}

static struct fast_span *units_take_at(struct fast *fast, uint32_t index, unsigned at, unsigned count) {
    units_occupy(fast, index, fast_units_mask(count, at));
    struct fast_span *first = fast_span_at(fast, (int64_t)index * FAST_ARENA_UNITS + at);
    first->units = (uint8_t)count;
    for (unsigned i = 1; i < count; i++)
        first[i] = (struct fast_span){.state = SPAN_TAIL, .units = (uint8_t)i};
    return first;
}

/* From a wholly free arena, which becomes one of that kind. */
static struct fast_span *units_take_fresh(struct fast *fast, unsigned count, enum arena_kind kind) {
    if (!fast->empty_count && !arena_obtain(fast))
        return NULL;
    uint32_t index = fast->first[ARENA_SMALL][FAST_ARENA_UNITS - 1];
    arena_unlist(fast, index);
    fast->arenas[index].kind = (uint8_t)kind;
    arena_list(fast, index);
    return units_take_at(fast, index, 0, count);
}

struct fast_span *fast_units_take(struct fast *fast, unsigned count, enum arena_kind kind) {
    assert(count && count <= FAST_ARENA_UNITS);
    const uint64_t partly = FAST_UNITS_ALL >> 1;
    for (uint64_t fills = fast->fills[kind] & partly & ~(uint64_t)0 << (count - 1); fills; fills &= fills - 1) {
        uint32_t index = fast->first[kind][__builtin_ctzll(fills)];
        for (int tries = FAST_FIT_TRIES; tries && index != FAST_ARENA_NONE; tries--) {
            uint64_t starts = run_starts(fast->arenas[index].free_units, count);
            if (starts)
                return units_take_at(fast, index, (unsigned)__builtin_ctzll(starts), count);
            index = fast->arenas[index].next;
        }
    }
    return units_take_fresh(fast, count, kind);
}

void fast_units_put(struct fast *fast, struct fast_span *first, unsigned count) {
    uint32_t unit = (uint32_t)fast_span_index(fast, first), index = unit / FAST_ARENA_UNITS;
    struct fast_arena *arena = &fast->arenas[index];
    for (unsigned i = 0; i < count; i++)
        first[i] = (struct fast_span){.state = SPAN_FREE};
    if (arena->free_units)
        arena_unlist(fast, index);
    arena->free_units |= fast_units_mask(count, unit % FAST_ARENA_UNITS);
    if (arena->free_units == FAST_UNITS_ALL) {
        arena->kind = ARENA_SMALL;
        fast->empty_count++;
    }
    arena_list(fast, index);
    if (fast->empty_count > FAST_EMPTY_ARENAS_KEPT)
        arena_give_back(fast, index);
}

bool fast_run_resize(struct fast *fast, struct fast_span *run, unsigned count) {
    unsigned old = run->units;
    if (count <= old) {
        if (count < old)
            fast_units_put(fast, run + count, old - count);
        run->units = (uint8_t)count;
        return true;
    }
    uint32_t unit = (uint32_t)fast_span_index(fast, run), at = unit % FAST_ARENA_UNITS;
    if (at + count > FAST_ARENA_UNITS)
        return false;
    uint64_t more = fast_units_mask(count - old, at + old);
    if (more & ~fast->arenas[unit / FAST_ARENA_UNITS].free_units)
        return false;
    units_occupy(fast, unit / FAST_ARENA_UNITS, more);
    for (unsigned i = old; i < count; i++)
        run[i] = (struct fast_span){.state = SPAN_TAIL, .units = (uint8_t)i};
    run->units = (uint8_t)count;
    return true;
}
