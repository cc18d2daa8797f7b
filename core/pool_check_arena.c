#include "core/pool_check.h"

static enum err arena_numbers_check(struct pool_checker *checker, uint32_t slot) {
    const struct pool *pool = checker->pool;
    const struct arena *arena = &pool->arenas[slot];
    uintptr_t first = pool_arena_first(pool, arena);
    uint32_t total = pool->arena_pool_count - (first != arena->address);
    if (arena->total_pool_count != total)
        return CHECK_BROKEN(checker, "arena %u: states %u pools, its address allows %u", slot, arena->total_pool_count,
                            total);
    if (arena->free_pool_count > total)
        return CHECK_BROKEN(checker, "arena %u: %u free pools of %u", slot, arena->free_pool_count, total);
    if (arena->carve_address < first || arena->carve_address > first + total * pool->config.pool_bytes ||
        (arena->carve_address & pool->shape.pool_mask))
        return CHECK_BROKEN(checker, "arena %u: carve address %#zx is no pool boundary of it", slot,
                            (size_t)arena->carve_address);
    return ERR_OK;
}

static enum err vector_check(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    for (uint32_t i = 0; i < checker->live_count; i++) {
        enum err err = arena_numbers_check(checker, checker->by_address[i]);
        if (err)
            return err;
        if (i && pool->arenas[checker->by_address[i]].address - pool->arenas[checker->by_address[i - 1]].address <
                     pool->config.arena_bytes)
            return CHECK_BROKEN(checker, "arenas %u and %u overlap", checker->by_address[i - 1],
                                checker->by_address[i]);
    }
    return ERR_OK;
}

/* The slot an arena pointer points at. @return false when it points at none. */
static bool slot_find(const struct pool *pool, const struct arena *arena, uint32_t *out) {
    uintptr_t offset = (uintptr_t)arena - (uintptr_t)pool->arenas;
    if (!pool->arenas || offset % sizeof *arena || offset / sizeof *arena >= pool->arena_slot_count)
        return false;
    *out = (uint32_t)(offset / sizeof *arena);
    return true;
}

/* Unused slots and the unused list are the same set. */
static enum err unused_check(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    uint32_t count = 0, slot;
    checker_marks_clear(checker);
    for (const struct arena *arena = pool->unused_arenas; arena; arena = arena->next, count++) {
        if (!slot_find(pool, arena, &slot))
            return CHECK_BROKEN(checker, "unused arenas: entry %u is no slot of the arena vector", count);
        if (arena->address)
            return CHECK_BROKEN(checker, "unused arenas: slot %u holds an arena", slot);
        if (!checker_mark(checker, slot))
            return CHECK_BROKEN(checker, "unused arenas: the list comes back to slot %u", slot);
    }
    if (count != pool->arena_slot_count - checker->live_count)
        return CHECK_BROKEN(checker, "unused arenas: %u on the list, %u slots hold none", count,
                            pool->arena_slot_count - checker->live_count);
    return ERR_OK;
}

static bool neighbours_are_sorted(const struct pool *pool, const struct arena *left, const struct arena *right) {
    switch (pool->order) {
    case POOL_ORDER_EMPTIEST:
        return left->free_pool_count >= right->free_pool_count;
    case POOL_ORDER_ADDRESS:
        return left->address < right->address;
    default:
        return left->free_pool_count <= right->free_pool_count;
    }
}

/* No more arenas are wholly free than may be kept; those that are stand among the last, when the fullest come first. */
static enum err kept_check(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    bool fullest_first = pool->order == POOL_ORDER_FULLEST || pool->order == POOL_ORDER_LINEAR;
    uint32_t behind = 0, free_count = 0;
    for (const struct arena *arena = pool->usable_arenas; arena; arena = arena->next)
        behind++;
    for (const struct arena *arena = pool->usable_arenas; arena; arena = arena->next) {
        behind--;
        if (arena->free_pool_count < arena->total_pool_count)
            continue;
        if (++free_count > pool->keep_count || (fullest_first && behind >= pool->keep_count))
            return CHECK_BROKEN(checker, "usable arenas: slot %u is wholly free, and should have been given back",
                                (uint32_t)(arena - pool->arenas));
    }
    return ERR_OK;
}

static enum err usable_entry_check(struct pool_checker *checker, const struct arena *arena, const struct arena *prev,
                                   uint32_t position) {
    uint32_t slot;
    if (!slot_find(checker->pool, arena, &slot))
        return CHECK_BROKEN(checker, "usable arenas: entry %u is no slot of the arena vector", position);
    if (!arena->address)
        return CHECK_BROKEN(checker, "usable arenas: slot %u holds no arena", slot);
    if (!checker_mark(checker, slot))
        return CHECK_BROKEN(checker, "usable arenas: the list comes back to slot %u", slot);
    if (arena->prev != prev)
        return CHECK_BROKEN(checker, "usable arenas: slot %u does not point back at its left neighbour", slot);
    if (!arena->free_pool_count)
        return CHECK_BROKEN(checker, "usable arenas: slot %u has no free pool", slot);
    if (prev && !neighbours_are_sorted(checker->pool, prev, arena))
        return CHECK_BROKEN(checker, "usable arenas: not sorted at slot %u: %u free pools after %u", slot,
                            arena->free_pool_count, prev->free_pool_count);
    if (checker->pool->order != POOL_ORDER_FULLEST)
        return ERR_OK;
    bool last = !arena->next || arena->next->free_pool_count != arena->free_pool_count;
    const struct arena *finger = checker->pool->last_with[arena->free_pool_count];
    if (last && finger != arena)
        return CHECK_BROKEN(checker, "finger %u does not point at the last arena with that many free pools, slot %u",
                            arena->free_pool_count, slot);
    return ERR_OK;
}

/* `next` of an entry is looked through before its own turn to be checked. */
static bool next_is_sane(const struct pool *pool, const struct arena *arena) {
    uint32_t slot;
    return !arena->next || slot_find(pool, arena->next, &slot);
}

static enum err usable_check(struct pool_checker *checker, uint32_t *run_count) {
    const struct pool *pool = checker->pool;
    const struct arena *prev = NULL;
    uint32_t count = 0, with_free = 0, slot;
    checker_marks_clear(checker);
    *run_count = 0;
    for (const struct arena *arena = pool->usable_arenas; arena; prev = arena, arena = arena->next, count++) {
        if (slot_find(pool, arena, &slot) && !next_is_sane(pool, arena))
            return CHECK_BROKEN(checker, "usable arenas: entry %u is no slot of the arena vector", count + 1);
        enum err err = usable_entry_check(checker, arena, prev, count);
        if (err)
            return err;
        *run_count += !prev || prev->free_pool_count != arena->free_pool_count;
    }
    for (uint32_t i = 0; i < checker->live_count; i++)
        with_free += pool->arenas[checker->by_address[i]].free_pool_count > 0;
    if (count != with_free)
        return CHECK_BROKEN(checker, "usable arenas: %u on the list, %u arenas have free pools", count, with_free);
    return ERR_OK;
}

/* The fingers that matter were compared on the way; no other may be set. */
static enum err fingers_check(struct pool_checker *checker, uint32_t run_count) {
    uint32_t set_count = 0;
    if (checker->pool->order != POOL_ORDER_FULLEST)
        run_count = 0;
    for (uint32_t i = 0; i <= checker->pool->arena_pool_count; i++)
        set_count += checker->pool->last_with[i] != NULL;
    if (set_count != run_count)
        return CHECK_BROKEN(checker, "fingers: %u are set, the usable arenas have %u different numbers of free pools",
                            set_count, run_count);
    return ERR_OK;
}

static enum err counters_check(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    if (pool->arenas_count != checker->live_count)
        return CHECK_BROKEN(checker, "counters: %llu arenas stated, %u in the vector",
                            (unsigned long long)pool->arenas_count, checker->live_count);
    if (pool->arenas_peak_count < pool->arenas_count || pool->arenas_mapped_count < pool->arenas_peak_count)
        return CHECK_BROKEN(checker, "counters: mapped %llu, peak %llu, now %llu",
                            (unsigned long long)pool->arenas_mapped_count, (unsigned long long)pool->arenas_peak_count,
                            (unsigned long long)pool->arenas_count);
    return ERR_OK;
}

enum err checker_arenas_check(struct pool_checker *checker) {
    uint32_t run_count = 0;
    enum err err = counters_check(checker);
    if (!err)
        err = vector_check(checker);
    if (!err)
        err = unused_check(checker);
    if (!err)
        err = usable_check(checker, &run_count);
    if (!err)
        err = fingers_check(checker, run_count);
    if (!err)
        err = kept_check(checker);
    return err;
}

/* ---- radix ---- */

/* True when `address` is that of a whole pool of an arena; found without the tree. */
static bool pool_expected(const struct pool_checker *checker, uintptr_t address) {
    const struct arena *arena = checker_arena_find(checker, address);
    if (!arena)
        return false;
    uintptr_t first = pool_arena_first(checker->pool, arena);
    return address >= first && address < first + arena->total_pool_count * checker->pool->config.pool_bytes;
}

struct radix_totals {
    uint32_t bottom_count;
    uint32_t side_count;
    uint64_t pool_count;
};

static enum err leaf_check(struct pool_checker *checker, uint64_t leaf, uintptr_t base, struct radix_totals *totals) {
    for (unsigned bit = 0; bit < 64; bit++) {
        uintptr_t address = base + ((uintptr_t)bit << checker->pool->radix.pool_shift);
        if (!(leaf >> bit & 1))
            continue;
        if (!pool_expected(checker, address))
            return CHECK_BROKEN(checker, "radix: %#zx is marked, but no pool of an arena", (size_t)address);
        totals->pool_count++;
    }
    return ERR_OK;
}

static enum err bottom_check(struct pool_checker *checker, uint64_t *bottom, uintptr_t base,
                             struct radix_totals *totals) {
    const struct radix *radix = &checker->pool->radix;
    for (uint32_t i = 0; i < radix->bottom_length; i++) {
        const struct pool_side *side = radix->has_sides ? *radix_side_entry(radix, &bottom[i], bottom) : NULL;
        totals->side_count += side != NULL;
        if (bottom[i] && radix->has_sides && !side)
            return CHECK_BROKEN(checker, "radix: pools are marked that have no table of headers");
        enum err err =
            bottom[i] ? leaf_check(checker, bottom[i], base + ((uintptr_t)i << radix->slot_shift), totals) : ERR_OK;
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err mid_check(struct pool_checker *checker, uint64_t *const *mid, uintptr_t base,
                          struct radix_totals *totals) {
    const struct radix *radix = &checker->pool->radix;
    for (uint32_t i = 0; i < radix->mid_length; i++) {
        if (!mid[i])
            continue;
        totals->bottom_count++;
        enum err err = bottom_check(checker, mid[i], base + ((uintptr_t)i << radix->bottom_shift), totals);
        if (err)
            return err;
    }
    return ERR_OK;
}

static uint64_t pools_expected(const struct pool_checker *checker) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < checker->live_count; i++)
        count += checker->pool->arenas[checker->by_address[i]].total_pool_count;
    return count;
}

static enum err hot_check(struct pool_checker *checker) {
    const struct radix *radix = &checker->pool->radix;
    if (radix->hot_key == RADIX_NO_KEY)
        return ERR_OK;
    if (radix->hot_key >> (64 - radix->bottom_shift) ||
        radix->hot != radix_leaf_find(radix, (uintptr_t)radix->hot_key << radix->bottom_shift))
        return CHECK_BROKEN(checker, "radix: the hot node is not the one of key %#llx",
                            (unsigned long long)radix->hot_key);
    if (radix->fast_key != (radix->fast_allowed ? radix->hot_key : RADIX_NO_KEY))
        return CHECK_BROKEN(checker, "radix: the fast key %#llx is not the hot one",
                            (unsigned long long)radix->fast_key);
    return ERR_OK;
}

enum err checker_radix_check(struct pool_checker *checker) {
    const struct radix *radix = &checker->pool->radix;
    struct radix_totals totals = {0};
    uint32_t mid_count = 0;
    for (uint32_t i = 0; i < radix->root_length && mid_count < radix->mid_count; i++) {
        if (!radix->root[i])
            continue;
        mid_count++;
        enum err err = mid_check(checker, radix->root[i], (uintptr_t)i << radix->mid_shift, &totals);
        if (err)
            return err;
    }
    if (mid_count != radix->mid_count || totals.bottom_count != radix->bottom_count)
        return CHECK_BROKEN(checker, "radix: %u middle and %u bottom nodes found, %u and %u stated", mid_count,
                            totals.bottom_count, radix->mid_count, radix->bottom_count);
    if (totals.side_count != radix->side_count)
        return CHECK_BROKEN(checker, "radix: %u tables of headers found, %u stated", totals.side_count,
                            radix->side_count);
    if (totals.pool_count != pools_expected(checker))
        return CHECK_BROKEN(checker, "radix: %llu pools are marked, the arenas hold %llu",
                            (unsigned long long)totals.pool_count, (unsigned long long)pools_expected(checker));
    return hot_check(checker);
}
