/* What an instance holds, by walking over the units of its arenas. */
#include <string.h>

#include "core/fast_internal.h"

enum { VIEW_CLASSES = FAST_SMALL_STEPS - 1 };

/* What the units of one arena are used for. Classes as in a view: by 16 bytes, the last being all larger blocks. */
struct census {
    struct pool_split split;
    uint64_t blocks_count;
    uint32_t used_units;
    uint64_t class_pools[VIEW_CLASSES];
    uint64_t class_blocks[VIEW_CLASSES];
};

static void census_blocks(struct census *census, uint64_t block_bytes, uint64_t count) {
    size_t class_index = block_bytes / FAST_ALIGN_BYTES - 1;
    if (class_index >= VIEW_CLASSES)
        class_index = VIEW_CLASSES - 1;
    census->class_pools[class_index]++;
    census->class_blocks[class_index] += count;
    census->blocks_count += count;
    census->split.allocated_blocks_bytes += count * block_bytes;
}

static void census_span(const struct fast *fast, const struct fast_span *span, struct census *census) {
    uint64_t span_bytes = (uint64_t)span->units * FAST_UNIT_BYTES;
    if (span->state == SPAN_RUN) {
        census_blocks(census, span_bytes, 1);
        return;
    }
    const struct fast_class *class = &fast->classes[span->class_index];
    census_blocks(census, class->block_bytes, fast_span_in_use(span));
    census->split.free_blocks_bytes += (uint64_t)(class->capacity - fast_span_in_use(span)) * class->block_bytes;
    census->split.quantization_bytes += span_bytes - (uint64_t) class->capacity * class->block_bytes;
}

/* Believes the headers. */
static void census_add(const struct fast *fast, uint32_t arena_index, struct census *census) {
    const struct fast_span *span = fast_span_at(fast, (int64_t)arena_index * FAST_ARENA_UNITS);
    const struct fast_span *end = span + FAST_ARENA_UNITS;
    census->split.arena_bytes_total += FAST_ARENA_BYTES;
    while (span < end) {
        if (span->state == SPAN_FREE) {
            census->split.empty_pools_bytes += FAST_UNIT_BYTES;
            span++;
            continue;
        }
        census_span(fast, span, census);
        census->used_units += span->units;
        span += span->units;
    }
}

static void census_take(const struct fast *fast, struct census *census) {
    memset(census, 0, sizeof *census);
    for (uint32_t i = 0; i < fast->arena_frontier; i++)
        if (fast->arenas[i].mapped)
            census_add(fast, i, census);
}

void fast_split_get(const struct fast *fast, struct pool_split *out) {
    struct census census;
    census_take(fast, &census);
    *out = census.split;
}

void fast_counts_get(const struct fast *fast, struct pool_counts *out) {
    struct census census;
    census_take(fast, &census);
    *out = (struct pool_counts){
        .arenas_mapped_count = fast->arenas_mapped_count,
        .arenas_returned_count = fast->arenas_mapped_count - fast->arenas_count,
        .arenas_peak_count = fast->arenas_peak_count,
        .arenas_count = fast->arenas_count,
        .blocks_count = census.blocks_count,
        .raw_blocks_count = fast->raw_block_count,
        .metadata_bytes = fast->instance_bytes,
    };
}

void fast_arena_visit(const struct fast *fast, void (*visit)(void *ctx, const struct pool_arena_view *view),
                      void *ctx) {
    for (uint32_t i = 0; i < fast->arena_frontier; i++) {
        if (!fast->arenas[i].mapped)
            continue;
        struct census census;
        memset(&census, 0, sizeof census);
        census_add(fast, i, &census);
        struct pool_arena_view view = {
            .address = fast->base + ((uintptr_t)i << FAST_ARENA_SHIFT),
            .slot_index = i,
            .total_pools_count = FAST_ARENA_UNITS,
            .used_pools_count = census.used_units,
            .blocks_count = census.blocks_count,
            .blocks_bytes = census.split.allocated_blocks_bytes,
            .class_count = VIEW_CLASSES,
            .class_pools = census.class_pools,
            .class_blocks = census.class_blocks,
        };
        visit(ctx, &view);
    }
}
