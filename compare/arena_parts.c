#include "compare/arena_parts.h"

static uint64_t live_get(const struct worker_sample *sample) {
    return sample->pooled_bytes;
}
static uint64_t rounding_get(const struct worker_sample *sample) {
    return sample->split.allocated_blocks_bytes - sample->pooled_bytes;
}
static uint64_t free_get(const struct worker_sample *sample) {
    return sample->split.free_blocks_bytes;
}
static uint64_t empty_get(const struct worker_sample *sample) {
    return sample->split.empty_pools_bytes;
}
static uint64_t headers_get(const struct worker_sample *sample) {
    return sample->split.pool_headers_bytes;
}
static uint64_t quantization_get(const struct worker_sample *sample) {
    return sample->split.quantization_bytes;
}
static uint64_t alignment_get(const struct worker_sample *sample) {
    return sample->split.arena_alignment_bytes;
}

const struct arena_part arena_parts[ARENA_PART_COUNT] = {
    {"live", "live (as requested)", live_get},
    {"rounding", "rounding up to size classes", rounding_get},
    {"free_blocks", "free blocks in used pools", free_get},
    {"empty_pools", "empty pools", empty_get},
    {"pool_headers", "pool headers", headers_get},
    {"quantization", "quantization", quantization_get},
    {"arena_alignment", "arena alignment", alignment_get},
};
