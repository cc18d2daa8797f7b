/*
 * Membership as CPython 3.10+ keeps it: a three-level radix tree over the address bits above the arena size. Nodes come
 * from the raw layer on demand and are kept. The bits are shared out as there: two upper levels of equal width, rounded
 * up, the rest at the bottom (15 + 15 + 14 for arenas of 1 MiB).
 */
#include "core/pool_internal.h"
#include "core/raw.h"

/* The largest power of two that is not above the arena size: then no slot holds more than one end and one start. */
static unsigned slot_shift(size_t arena_bytes) {
    return 63 - (unsigned)__builtin_clzll(arena_bytes);
}

static unsigned upper_bits(size_t arena_bytes) {
    return (64 - slot_shift(arena_bytes) + 2) / 3;
}

uint32_t radix_root_length(size_t arena_bytes) {
    return (uint32_t)1 << upper_bits(arena_bytes);
}

void radix_init(struct radix *radix, size_t arena_bytes, struct radix_leaf ***root) {
    unsigned slot = slot_shift(arena_bytes), upper = upper_bits(arena_bytes), bottom = 64 - slot - 2 * upper;
    *radix = (struct radix){
        .fast_key = RADIX_NO_KEY,
        .hot_key = RADIX_NO_KEY,
        .slot_shift = (uint8_t)slot,
        .bottom_shift = (uint8_t)(slot + bottom),
        .mid_shift = (uint8_t)(slot + bottom + upper),
        .root_length = (uint32_t)1 << upper,
        .mid_length = (uint32_t)1 << upper,
        .bottom_length = (uint32_t)1 << bottom,
        .root = root,
    };
}

static struct radix_leaf *leaf_make(struct radix *radix, uintptr_t address) {
    struct radix_leaf ***root_entry = &radix->root[address >> radix->mid_shift];
    if (!*root_entry) {
        *root_entry = raw_calloc(radix->mid_length, sizeof(struct radix_leaf *));
        if (!*root_entry)
            return NULL;
        radix->mid_count++;
    }
    struct radix_leaf **entry = radix_mid_entry(radix, address);
    if (!*entry) {
        *entry = raw_calloc(radix->bottom_length, sizeof(struct radix_leaf));
        if (!*entry)
            return NULL;
        radix->bottom_count++;
    }
    return radix_leaf_find(radix, address);
}

void radix_hot_set(struct radix *radix, uintptr_t address) {
    radix->hot_key = address >> radix->bottom_shift;
    radix->hot = *radix_mid_entry(radix, address);
    if (radix->fast_allowed)
        radix->fast_key = radix->hot_key;
}

/* Sets what the arena covers of every slot it touches; all nodes exist. */
static void leaves_write(struct radix *radix, uintptr_t arena, size_t arena_bytes, bool present) {
    uintptr_t slot_bytes = (uintptr_t)1 << radix->slot_shift, slot = arena & ~(slot_bytes - 1);
    uintptr_t end = arena + arena_bytes;
    radix_leaf_find(radix, slot)->head_span = present ? (uint32_t)(slot + slot_bytes - arena) : 0;
    for (slot += slot_bytes; slot < end; slot += slot_bytes) {
        struct radix_leaf *leaf = radix_leaf_find(radix, slot);
        if (end - slot >= slot_bytes)
            leaf->head_span = present ? (uint32_t)slot_bytes : 0;
        else
            leaf->tail_end = present ? (uint32_t)(end - slot) : 0;
    }
}

bool radix_mark(struct radix *radix, uintptr_t arena, size_t arena_bytes) {
    uintptr_t slot_bytes = (uintptr_t)1 << radix->slot_shift;
    for (uintptr_t slot = arena & ~(slot_bytes - 1); slot < arena + arena_bytes; slot += slot_bytes)
        if (!leaf_make(radix, slot))
            return false;
    leaves_write(radix, arena, arena_bytes, true);
    radix_hot_set(radix, arena);
    return true;
}

void radix_unmark(struct radix *radix, uintptr_t arena, size_t arena_bytes) {
    leaves_write(radix, arena, arena_bytes, false);
}

void radix_clear(struct radix *radix) {
    for (uint32_t i = 0; radix->mid_count && i < radix->root_length; i++) {
        struct radix_leaf **mid = radix->root[i];
        if (!mid)
            continue;
        for (uint32_t j = 0; j < radix->mid_length; j++)
            raw_free(mid[j]);
        raw_free(mid);
        radix->root[i] = NULL;
        radix->mid_count--;
    }
    radix->bottom_count = 0;
    radix->hot_key = radix->fast_key = RADIX_NO_KEY;
}
