/*
 * CPython 3.10 took addresses to have 48 bits, so its nodes are smaller and more than those of 3.11. Membership here is
 * the same tree for all (pool_radix.c); of 3.10's only the nodes are counted, for the statistics text.
 */
#include "core/pool_internal.h"

enum { ADDRESS_BITS = 48 };

/* Of the three levels, the upper two have the same width, rounded up. */
static unsigned upper_bits(size_t arena_bytes) {
    unsigned arena_bits = 63 - (unsigned)__builtin_clzll(arena_bytes);
    return (ADDRESS_BITS - arena_bits + 2) / 3;
}

/* Words of a bit per node. */
static size_t seen_words(unsigned bits) {
    return ((size_t)1 << bits) / 64 + 1;
}

size_t arena_map_bytes(const struct pool_config *config) {
    unsigned upper = upper_bits(config->arena_bytes);
    if (config->arena_map != POOL_ARENA_MAP_48)
        return 0;
    return (seen_words(upper) + seen_words(2 * upper)) * sizeof(uint64_t);
}

void arena_map_init(struct arena_map *map, const struct pool_config *config, uint64_t *seen) {
    unsigned upper = upper_bits(config->arena_bytes);
    if (config->arena_map != POOL_ARENA_MAP_48)
        return;
    *map = (struct arena_map){.upper_bits = (uint8_t)upper,
                              .bottom_shift = (uint8_t)(ADDRESS_BITS - 2 * upper),
                              .mid_seen = seen,
                              .bottom_seen = seen + seen_words(upper)};
}

/* @return 1 when the node was not there. */
static uint32_t node_see(uint64_t *seen, uintptr_t node) {
    uint64_t bit = (uint64_t)1 << (node & 63), fresh = ~seen[node / 64] & bit;
    seen[node / 64] |= bit;
    return fresh != 0;
}

void arena_map_note(struct arena_map *map, uintptr_t arena, size_t arena_bytes) {
    if (!map->bottom_seen || arena >> ADDRESS_BITS)
        return;
    uintptr_t last = (arena + arena_bytes - 1) >> map->bottom_shift;
    for (uintptr_t node = arena >> map->bottom_shift; node <= last; node++) {
        map->mid_count += node_see(map->mid_seen, node >> map->upper_bits);
        map->bottom_count += node_see(map->bottom_seen, node);
    }
}
