#include "core/pool_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/raw.h"

void checker_marks_clear(struct pool_checker *checker) {
    memset(checker->marks, 0, (checker->mark_count + 63) / 64 * sizeof *checker->marks);
}

bool checker_mark(struct pool_checker *checker, size_t index) {
    uint64_t bit = (uint64_t)1 << (index % 64), *word = &checker->marks[index / 64];
    bool fresh = !(*word & bit);
    *word |= bit;
    return fresh;
}

const struct arena *checker_arena_find(const struct pool_checker *checker, uintptr_t address) {
    const struct pool *pool = checker->pool;
    size_t low = 0, high = checker->live_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct arena *arena = &pool->arenas[checker->by_address[middle]];
        if (address < arena->address)
            high = middle;
        else if (address - arena->address >= pool->config.arena_bytes)
            low = middle + 1;
        else
            return arena;
    }
    return NULL;
}

/* Where the pool of a header beside it begins. @return false when it is in no table of headers. */
static bool side_base_find(const struct pool_checker *checker, const struct pool_header *header, uintptr_t *out) {
    size_t low = 0, high = checker->side_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uintptr_t offset = (uintptr_t)header - (uintptr_t)checker->sides[middle];
        if (offset < POOL_SLOT_POOLS * sizeof(struct pool_side)) {
            if (offset % sizeof(struct pool_side))
                return false;
            *out = (uintptr_t)((const struct pool_side *)header)->base;
            return true;
        }
        if ((uintptr_t)header < (uintptr_t)checker->sides[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

const struct pool_header *checker_pool_find(const struct pool_checker *checker, const struct pool_link *link) {
    const struct pool_header *header = pool_of_link(link);
    uintptr_t address = (uintptr_t)header;
    if (checker->pool->headers_side && !side_base_find(checker, header, &address))
        return NULL;
    if (address & checker->pool->shape.pool_mask)
        return NULL;
    const struct arena *arena = checker_arena_find(checker, address);
    if (!arena || address < pool_arena_first(checker->pool, arena) || address >= arena->carve_address)
        return NULL;
    return pool_header_at(checker->pool, address) == header ? header : NULL;
}

static int address_compare(const void *a, const void *b, void *arenas) {
    uintptr_t x = ((const struct arena *)arenas)[*(const uint32_t *)a].address;
    uintptr_t y = ((const struct arena *)arenas)[*(const uint32_t *)b].address;
    return (x > y) - (x < y);
}

static enum err checker_prepare(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    size_t slots = pool->arena_slot_count, blocks = pool->config.pool_bytes / pool->config.align_bytes;
    checker->mark_count = slots > blocks ? slots : blocks;
    checker->marks = raw_calloc((checker->mark_count + 63) / 64, sizeof *checker->marks);
    checker->by_address = raw_calloc(slots, sizeof *checker->by_address);
    if (!checker->marks || !checker->by_address)
        return diag_set(checker->diag, ERR_NOMEM, NULL, "pool check: out of memory");
    for (uint32_t i = 0; i < slots; i++)
        if (pool->arenas[i].address)
            checker->by_address[checker->live_count++] = i;
    if (slots)
        qsort_r(checker->by_address, checker->live_count, sizeof *checker->by_address, address_compare, pool->arenas);
    return ERR_OK;
}

static int side_compare(const void *a, const void *b) {
    const struct pool_side *x = *(const struct pool_side *const *)a, *y = *(const struct pool_side *const *)b;
    return (x > y) - (x < y);
}

/* The tables of headers of all arenas, once per arena that has pools in them. The radix tree was checked. */
static enum err sides_prepare(struct pool_checker *checker) {
    const struct pool *pool = checker->pool;
    size_t tables_max = (size_t)checker->live_count * (pool->arena_pool_count / POOL_SLOT_POOLS + 2);
    checker->sides = raw_calloc(tables_max, sizeof *checker->sides);
    if (!checker->sides)
        return diag_set(checker->diag, ERR_NOMEM, NULL, "pool check: out of memory");
    for (uint32_t i = 0; i < checker->live_count; i++) {
        const struct arena *arena = &pool->arenas[checker->by_address[i]];
        uintptr_t first = pool_arena_first(pool, arena);
        const struct pool_side *last = NULL;
        for (uint32_t k = 0; k < arena->total_pool_count; k++) {
            const struct pool_side *side = radix_side_find(&pool->radix, first + k * pool->config.pool_bytes);
            if (side != last)
                checker->sides[checker->side_count++] = last = side;
        }
    }
    if (checker->side_count)
        qsort(checker->sides, checker->side_count, sizeof *checker->sides, side_compare);
    return ERR_OK;
}

static enum err pools_check(struct pool_checker *checker) {
    enum err sides_err = checker->pool->headers_side ? sides_prepare(checker) : ERR_OK;
    if (sides_err)
        return sides_err;
    for (uint32_t i = 0; i < checker->live_count; i++) {
        enum err err = checker_pools_check(checker, checker->by_address[i]);
        if (err)
            return err;
    }
    return checker_used_check(checker);
}

/* Every byte of every arena is counted once. */
static enum err split_check(struct pool_checker *checker) {
    struct pool_split split;
    pool_split_get(checker->pool, &split);
    uint64_t sum = split.allocated_blocks_bytes + split.free_blocks_bytes + split.empty_pools_bytes +
                   split.pool_headers_bytes + split.quantization_bytes + split.arena_alignment_bytes;
    if (sum != split.arena_bytes_total)
        return CHECK_BROKEN(checker, "split: the parts make %llu bytes, the arenas are %llu", (unsigned long long)sum,
                            (unsigned long long)split.arena_bytes_total);
    return ERR_OK;
}

enum err pool_check(const struct pool *pool, struct diag *diag) {
    struct pool_checker checker = {.pool = pool, .diag = diag};
    /* In this order: each part relies on what the ones before it have shown. */
    enum err err = checker_prepare(&checker);
    if (!err)
        err = checker_arenas_check(&checker);
    if (!err)
        err = checker_radix_check(&checker);
    if (!err)
        err = pools_check(&checker);
    if (!err)
        err = split_check(&checker);
    raw_free(checker.marks);
    raw_free(checker.by_address);
    raw_free(checker.sides);
    return err;
}
