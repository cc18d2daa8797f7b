/**
 * arena_parts.h: the exact split of the pool's arena bytes, part by part, as reports show it.
 */
#ifndef MMREPLAY_COMPARE_ARENA_PARTS_H
#define MMREPLAY_COMPARE_ARENA_PARTS_H

#include <stdint.h>

#include "compare/worker/worker_protocol.h"

enum { ARENA_PART_COUNT = 7 };

struct arena_part {
    const char *key;   /**< in JSON: "free_blocks" */
    const char *label; /**< in text: "free blocks in used pools" */
    uint64_t (*get)(const struct worker_sample *sample);
};

/** Adds up to sample->split.arena_bytes_total, always. */
extern const struct arena_part arena_parts[ARENA_PART_COUNT];

#endif
