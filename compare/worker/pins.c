#include "compare/worker/pins.h"

#include <string.h>

#include "compare/worker/real_arenas.h"
#include "core/fast.h"

struct pins_visit {
    struct worker_pins *pins;
    uint64_t arena_bytes;
};

static void arena_visit(void *ctx, const struct pool_arena_view *view) {
    const struct pins_visit *visit = ctx;
    struct worker_pins *pins = visit->pins;
    uint32_t classes = view->class_count < WORKER_CLASS_MAX ? view->class_count : WORKER_CLASS_MAX;
    uint32_t holders = 0;
    uint32_t holder = 0;
    pins->arena_count++;
    pins->class_count = classes;
    if (!view->blocks_count) {
        pins->empty_count++;
        return;
    }
    uint64_t step = view->blocks_bytes * WORKER_OCCUPANCY_STEPS / visit->arena_bytes;
    pins->occupancy[step < WORKER_OCCUPANCY_STEPS ? step : WORKER_OCCUPANCY_STEPS - 1]++;
    for (uint32_t i = 0; i < classes; i++) {
        if (!view->class_blocks[i])
            continue;
        pins->class_blocks[i] += view->class_blocks[i];
        pins->class_arenas[i]++;
        holder = i;
        holders++;
    }
    if (holders == 1)
        pins->class_sole_arenas[holder]++;
}

void pins_take(const struct pool *pool, uint64_t operation_index, struct worker_pins *out) {
    memset(out, 0, sizeof *out);
    struct pins_visit visit = {out, pool_config_get(pool)->arena_bytes};
    pool_arena_visit(pool, arena_visit, &visit);
    out->operation_index = operation_index;
    out->taken = 1;
}

void pins_take_fast(const struct fast *fast, uint64_t operation_index, struct worker_pins *out) {
    memset(out, 0, sizeof *out);
    struct pins_visit visit = {out, FAST_ARENA_BYTES};
    fast_arena_visit(fast, arena_visit, &visit);
    out->operation_index = operation_index;
    out->taken = 1;
}

static uint32_t header_read(uintptr_t pool, size_t offset) {
    uint32_t value;
    memcpy(&value, (const char *)pool + offset, sizeof value);
    return value;
}

/* Adds up what stands in the headers of the arena's pools; pools that were never touched read as 0. */
static void real_arena_view(uintptr_t arena, const struct pool_config *config, uint64_t *class_blocks,
                            struct pool_arena_view *view) {
    uintptr_t end = arena + config->arena_bytes;
    for (uintptr_t pool = (arena + config->pool_bytes - 1) & ~(config->pool_bytes - 1);
         pool + config->pool_bytes <= end; pool += config->pool_bytes) {
        uint32_t count = header_read(pool, REAL_POOL_COUNT_OFFSET);
        uint32_t index = header_read(pool, REAL_POOL_CLASS_OFFSET);
        if (!count || index >= view->class_count)
            continue;
        class_blocks[index] += count;
        view->blocks_count += count;
        view->blocks_bytes += count * (index + (uint64_t)1) * config->align_bytes;
    }
}

void pins_take_real(const struct real_arenas *arenas, const struct pool_config *config, uint64_t operation_index,
                    struct worker_pins *out) {
    size_t classes = config->threshold_bytes / config->align_bytes;
    struct pins_visit visit = {out, config->arena_bytes};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < arenas->count; i++) {
        uint64_t class_blocks[WORKER_CLASS_MAX] = {0};
        struct pool_arena_view view = {.class_count =
                                           (uint32_t)(classes < WORKER_CLASS_MAX ? classes : WORKER_CLASS_MAX),
                                       .class_blocks = class_blocks};
        real_arena_view(arenas->addresses[i], config, class_blocks, &view);
        arena_visit(&visit, &view);
    }
    out->operation_index = operation_index;
    out->taken = 1;
}

uint64_t program_trough_sample(const struct program *program) {
    const struct program_header *header = program->header;
    uint64_t trough = header->peak_sample;
    for (uint64_t i = trough + 1; i < header->sample_count; i++)
        if (program->samples[i].live_bytes <= program->samples[trough].live_bytes)
            trough = i;
    return trough;
}
