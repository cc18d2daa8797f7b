#include <inttypes.h>
#include <string.h>

#include "core/base/units.h"
#include "core/pool_internal.h"

void pool_census_add(const struct pool *pool, const struct arena *arena, struct pool_census *census) {
    uintptr_t first = pool_arena_first(pool, arena);
    census->alignment_bytes += first == arena->address ? 0 : pool->config.pool_bytes;
    census->pools_empty += arena->free_pool_count;
    for (uintptr_t address = first; address < arena->carve_address; address += pool->config.pool_bytes) {
        const struct pool_header *header = pool_header_at(pool, address);
        if (header->count == 0)
            continue;
        census->pools[header->class_index]++;
        census->blocks[header->class_index] += header->count;
        census->free_blocks[header->class_index] += pool_class_capacity(pool, header->class_index) - header->count;
        census->pools_in_use++;
        census->blocks_in_use += header->count;
    }
}

static void census_take(const struct pool *pool, struct pool_census *census) {
    memset(census, 0, sizeof *census);
    for (uint32_t i = 0; i < pool->arena_slot_count; i++)
        if (pool->arenas[i].address)
            pool_census_add(pool, &pool->arenas[i], census);
}

static void split_fill(const struct pool *pool, const struct pool_census *census, struct pool_split *out) {
    struct pool_split split = {
        .arena_bytes_total = pool->arenas_count * pool->config.arena_bytes,
        .empty_pools_bytes = census->pools_empty * pool->config.pool_bytes,
        .pool_headers_bytes = census->pools_in_use * pool->header_bytes,
        .arena_alignment_bytes = census->alignment_bytes,
    };
    for (uint32_t i = 0; i < pool->class_count; i++) {
        size_t block_bytes = pool_class_bytes(pool, i);
        split.allocated_blocks_bytes += census->blocks[i] * block_bytes;
        split.free_blocks_bytes += census->free_blocks[i] * block_bytes;
        split.quantization_bytes += census->pools[i] * ((pool->config.pool_bytes - pool->header_bytes) % block_bytes);
    }
    *out = split;
}

void pool_split_get(const struct pool *pool, struct pool_split *out) {
    struct pool_census census;
    census_take(pool, &census);
    split_fill(pool, &census, out);
}

static uint64_t radix_bytes(const struct radix *radix) {
    return radix->root_length * sizeof(uint64_t **) +
           (uint64_t)radix->mid_count * radix->mid_length * sizeof(uint64_t *) +
           (uint64_t)radix->bottom_count * radix->bottom_length * radix_word_bytes(radix) +
           (uint64_t)radix->side_count * POOL_SLOT_POOLS * sizeof(struct pool_side);
}

void pool_counts_get(const struct pool *pool, struct pool_counts *out) {
    struct pool_census census;
    census_take(pool, &census);
    *out = (struct pool_counts){
        .arenas_mapped_count = pool->arenas_mapped_count,
        .arenas_returned_count = pool->arenas_mapped_count - pool->arenas_count,
        .arenas_peak_count = pool->arenas_peak_count,
        .arenas_count = pool->arenas_count,
        .blocks_count = census.blocks_in_use,
        .raw_blocks_count = pool->raw_block_count,
        .metadata_bytes = radix_bytes(&pool->radix) + pool->arena_slot_count * sizeof(struct arena),
    };
}

void pool_arena_visit(const struct pool *pool, void (*visit)(void *ctx, const struct pool_arena_view *view),
                      void *ctx) {
    for (uint32_t i = 0; i < pool->arena_slot_count; i++) {
        const struct arena *arena = &pool->arenas[i];
        if (!arena->address)
            continue;
        struct pool_census census;
        memset(&census, 0, sizeof census);
        pool_census_add(pool, arena, &census);
        struct pool_arena_view view = {
            .address = arena->address,
            .slot_index = i,
            .total_pools_count = arena->total_pool_count,
            .used_pools_count = (uint32_t)census.pools_in_use,
            .blocks_count = census.blocks_in_use,
            .class_count = pool->class_count,
            .class_pools = census.pools,
            .class_blocks = census.blocks,
        };
        for (uint32_t c = 0; c < pool->class_count; c++)
            view.blocks_bytes += census.blocks[c] * pool_class_bytes(pool, c);
        visit(ctx, &view);
    }
}

/* ---- the text of _PyObject_DebugMallocStats ---- */

/* One "label = value" line: the label 35 wide, the value with thousands separators, right-aligned. */
static void stat_print(FILE *out, const char *label, uint64_t value) {
    char digits[UNITS_TEXT_BYTES];
    fprintf(out, "%-35s=%21s\n", label, units_format_count(value, digits));
}

static void classes_print(const struct pool *pool, const struct pool_census *census, FILE *out) {
    fprintf(out, "Small block threshold = %zu, in %" PRIu32 " size classes.\n\n", pool->config.threshold_bytes,
            pool->class_count);
    fputs("class   size   num pools   blocks in use  avail blocks\n"
          "-----   ----   ---------   -------------  ------------\n",
          out);
    for (uint32_t i = 0; i < pool->class_count; i++)
        if (census->pools[i])
            fprintf(out, "%5" PRIu32 " %6zu %11" PRIu64 " %15" PRIu64 " %13" PRIu64 "\n", i, pool_class_bytes(pool, i),
                    census->pools[i], census->blocks[i], census->free_blocks[i]);
    fputc('\n', out);
}

static void arenas_print(const struct pool *pool, FILE *out) {
    stat_print(out, "# arenas allocated total", pool->arenas_mapped_count);
    stat_print(out, "# arenas reclaimed", pool->arenas_mapped_count - pool->arenas_count);
    stat_print(out, "# arenas highwater mark", pool->arenas_peak_count);
    stat_print(out, "# arenas allocated current", pool->arenas_count);
    char label[128];
    snprintf(label, sizeof label, "%" PRIu64 " arenas * %zu bytes/arena", pool->arenas_count, pool->config.arena_bytes);
    stat_print(out, label, pool->arenas_count * pool->config.arena_bytes);
    fputc('\n', out);
}

static void bytes_print(const struct pool *pool, const struct pool_census *census, FILE *out) {
    struct pool_split split;
    split_fill(pool, census, &split);
    stat_print(out, "# bytes in allocated blocks", split.allocated_blocks_bytes);
    stat_print(out, "# bytes in available blocks", split.free_blocks_bytes);
    char label[128];
    snprintf(label, sizeof label, "%" PRIu64 " unused pools * %zu bytes", census->pools_empty, pool->config.pool_bytes);
    stat_print(out, label, split.empty_pools_bytes);
    stat_print(out, "# bytes lost to pool headers", split.pool_headers_bytes);
    stat_print(out, "# bytes lost to quantization", split.quantization_bytes);
    stat_print(out, "# bytes lost to arena alignment", split.arena_alignment_bytes);
    stat_print(out, "Total",
               split.allocated_blocks_bytes + split.free_blocks_bytes + split.empty_pools_bytes +
                   split.pool_headers_bytes + split.quantization_bytes + split.arena_alignment_bytes);
}

/* The nodes of CPython's tree, of 8 bytes per entry; a bottom node has one per arena-sized slot. Ours are the same ones
   for addresses of 64 bits, though their bottom has other entries. */
static void arena_map_print(const struct pool *pool, FILE *out) {
    const struct radix *radix = &pool->radix;
    const struct arena_map *map = &pool->map;
    bool counted = pool->config.arena_map == POOL_ARENA_MAP_48;
    unsigned arena_bits = 63 - (unsigned)__builtin_clzll(pool->config.arena_bytes);
    unsigned bottom_bits = (counted ? map->bottom_shift : radix->bottom_shift) - arena_bits;
    uint64_t upper_length = counted ? (uint64_t)1 << map->upper_bits : radix->root_length;
    uint32_t mid_count = counted ? map->mid_count : radix->mid_count;
    uint32_t bottom_count = counted ? map->bottom_count : radix->bottom_count;
    uint64_t root = upper_length * sizeof(uint64_t), mid = mid_count * root;
    uint64_t bottom = ((uint64_t)bottom_count << bottom_bits) * sizeof(uint64_t);
    fputs("\narena map counts\n", out);
    stat_print(out, "# arena map mid nodes", mid_count);
    stat_print(out, "# arena map bot nodes", bottom_count);
    fputc('\n', out);
    stat_print(out, "# bytes lost to arena map root", root);
    stat_print(out, "# bytes lost to arena map mid", mid);
    stat_print(out, "# bytes lost to arena map bot", bottom);
    stat_print(out, "Total", root + mid + bottom);
}

void pool_stats_print(const struct pool *pool, FILE *out) {
    struct pool_census census;
    census_take(pool, &census);
    classes_print(pool, &census, out);
    arenas_print(pool, out);
    bytes_print(pool, &census, out);
    if (pool->config.arena_map != POOL_ARENA_MAP_NONE)
        arena_map_print(pool, out);
}
