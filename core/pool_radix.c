/*
 * Nodes come from the raw layer on demand and are kept. The address bits are shared out as in CPython 3.10+: two upper
 * levels of equal width, rounded up, the rest at the bottom (15 + 15 + 14 for arenas of 1 MiB); so the same nodes exist
 * as there.
 */
#include <string.h>

#include "core/pool_internal.h"
#include "core/raw.h"

static unsigned size_log2(size_t bytes) {
    return 63 - (unsigned)__builtin_clzll(bytes);
}

static unsigned radix_upper_bits(size_t arena_bytes) {
    return (64 - size_log2(arena_bytes) + 2) / 3;
}

uint32_t radix_root_length(size_t arena_bytes) {
    return (uint32_t)1 << radix_upper_bits(arena_bytes);
}

void radix_init(struct radix *radix, const struct pool_config *config, uint64_t ***root) {
    unsigned upper = radix_upper_bits(config->arena_bytes), bottom_shift = 64 - 2 * upper;
    unsigned slot_shift = size_log2(config->pool_bytes) + 6;
    *radix = (struct radix){
        .fast_key = RADIX_NO_KEY,
        .hot_key = RADIX_NO_KEY,
        .pool_shift = (uint8_t)size_log2(config->pool_bytes),
        .slot_shift = (uint8_t)slot_shift,
        .bottom_shift = (uint8_t)bottom_shift,
        .mid_shift = (uint8_t)(bottom_shift + upper),
        .root_length = (uint32_t)1 << upper,
        .mid_length = (uint32_t)1 << upper,
        .bottom_length = (uint32_t)1 << (bottom_shift - slot_shift),
        .has_sides = config->headers == POOL_HEADERS_SIDE,
        .root = root,
    };
}

/* @return false when a node cannot be had. */
static bool leaf_make(struct radix *radix, uintptr_t address) {
    uint64_t ***root_entry = &radix->root[address >> radix->mid_shift];
    if (!*root_entry) {
        *root_entry = raw_calloc(radix->mid_length, sizeof(uint64_t *));
        if (!*root_entry)
            return false;
        radix->mid_count++;
    }
    uint64_t **entry = radix_mid_entry(radix, address);
    if (!*entry) {
        *entry = raw_calloc(radix->bottom_length, radix_word_bytes(radix));
        if (!*entry)
            return false;
        radix->bottom_count++;
    }
    return true;
}

/* The headers of the 64 pools around `address`, whose nodes exist. They are kept, as nodes are.
   @return false when they cannot be had. */
static bool side_make(struct radix *radix, uintptr_t address) {
    struct pool_side **entry =
        radix_side_entry(radix, radix_leaf_find(radix, address), *radix_mid_entry(radix, address));
    if (*entry)
        return true;
    size_t bytes = POOL_SLOT_POOLS * sizeof **entry;
    struct pool_side *side = raw_aligned_alloc(_Alignof(struct pool_side), bytes);
    if (!side)
        return false;
    memset(side, 0, bytes);
    *entry = side;
    radix->side_count++;
    return true;
}

static bool sides_make(struct radix *radix, uintptr_t first_pool, uint32_t pool_count) {
    for (uint32_t i = 0; i < pool_count; i++)
        if (!side_make(radix, first_pool + ((uintptr_t)i << radix->pool_shift)))
            return false;
    return true;
}

void radix_hot_set(struct radix *radix, uintptr_t address) {
    radix->hot_key = address >> radix->bottom_shift;
    radix->hot = *radix_mid_entry(radix, address);
    if (radix->fast_allowed)
        radix->fast_key = radix->hot_key;
}

bool radix_mark(struct radix *radix, uintptr_t arena, size_t arena_bytes, uintptr_t first_pool, uint32_t pool_count) {
    /* Nodes for all that the arena touches, as CPython has them, be there a whole pool or not. */
    uintptr_t node_bytes = (uintptr_t)1 << radix->bottom_shift;
    for (uintptr_t node = arena & ~(node_bytes - 1); node < arena + arena_bytes; node += node_bytes)
        if (!leaf_make(radix, node))
            return false;
    if (radix->has_sides && !sides_make(radix, first_pool, pool_count))
        return false;
    for (uint32_t i = 0; i < pool_count; i++) {
        uintptr_t pool = first_pool + ((uintptr_t)i << radix->pool_shift);
        *radix_leaf_find(radix, pool) |= radix_pool_bit(radix, pool);
    }
    radix_hot_set(radix, arena);
    return true;
}

void radix_unmark(struct radix *radix, uintptr_t first_pool, uint32_t pool_count) {
    for (uint32_t i = 0; i < pool_count; i++) {
        uintptr_t pool = first_pool + ((uintptr_t)i << radix->pool_shift);
        *radix_leaf_find(radix, pool) &= ~radix_pool_bit(radix, pool);
    }
}

static void bottom_free(struct radix *radix, uint64_t *bottom) {
    for (uint32_t i = 0; bottom && radix->side_count && i < radix->bottom_length; i++) {
        struct pool_side *side = *radix_side_entry(radix, &bottom[i], bottom);
        radix->side_count -= side != NULL;
        raw_free(side);
    }
    raw_free(bottom);
}

void radix_clear(struct radix *radix) {
    for (uint32_t i = 0; radix->mid_count && i < radix->root_length; i++) {
        uint64_t **mid = radix->root[i];
        if (!mid)
            continue;
        for (uint32_t j = 0; j < radix->mid_length; j++)
            bottom_free(radix, mid[j]);
        raw_free(mid);
        radix->root[i] = NULL;
        radix->mid_count--;
    }
    radix->bottom_count = 0;
    radix->hot_key = radix->fast_key = RADIX_NO_KEY;
}
