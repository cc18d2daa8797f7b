#include "compare/worker/pins.h"

#include <string.h>

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

uint64_t program_trough_sample(const struct program *program) {
    const struct program_header *header = program->header;
    uint64_t trough = header->peak_sample;
    for (uint64_t i = trough + 1; i < header->sample_count; i++)
        if (program->samples[i].live_bytes <= program->samples[trough].live_bytes)
            trough = i;
    return trough;
}
