/**
 * stress_tally.h: what traced_stress counts of its own doings, and stress_verify finds in the trace of it.
 *
 * Every block that the program itself asks for has a size that tells in which context it is made and ended: the
 * thread's ordinary code or one of two signal handlers. Within a thread and context the operations are hashed in their
 * order, each with the block that it ends: who made it, and as the how-manieth of that context. So the hashes agree
 * only when the trace has every operation, in every thread's order, each with the very block that the program gave
 * back.
 */
#ifndef MMREPLAY_TESTS_TRACES_RECORD_STRESS_TALLY_H
#define MMREPLAY_TESTS_TRACES_RECORD_STRESS_TALLY_H

#include <stdint.h>

enum stress_context { STRESS_ORDINARY, STRESS_HANDLER, STRESS_NESTED, STRESS_CONTEXT_COUNT };

/* As EVENT_MALLOC … EVENT_FREE. */
enum stress_kind { STRESS_MALLOC, STRESS_CALLOC, STRESS_ALIGNED, STRESS_REALLOC, STRESS_FREE, STRESS_KIND_COUNT };

enum {
    STRESS_TAG_BYTES = 1 << 20, /* + the thread's id: a thread's first and last own block */
    STRESS_TAG_END_BYTES = STRESS_TAG_BYTES + 4096,
    STRESS_SIZE_BYTES_MAX = 1 << 16,
    STRESS_THREADS_MAX = 1024
};

#define STRESS_NOBODY    UINT32_C(0xffffffff) /* realloc(NULL, n), and what ends nothing */
#define STRESS_INHERITED UINT32_C(0xfffffffe) /* made before the fork: its size stands for its number */

struct stress_tally {
    uint64_t counts[STRESS_KIND_COUNT];
    uint64_t handed_count; /* blocks ended that another thread made */
    uint64_t bytes;
    uint64_t order; /* the hash */
};

/* Sizes of the program's own blocks are 13, 11 or 9 mod 16, by context; −1: not one of them. */
static inline int stress_context_of(uint64_t size_bytes) {
    if (size_bytes < 16 || size_bytes >= STRESS_SIZE_BYTES_MAX)
        return -1;
    return size_bytes % 16 == 13   ? STRESS_ORDINARY
           : size_bytes % 16 == 11 ? STRESS_HANDLER
           : size_bytes % 16 == 9  ? STRESS_NESTED
                                   : -1;
}

static inline uint64_t stress_size(enum stress_context context, uint32_t grains) {
    return (uint64_t)grains * 16 + 13 - 2 * (uint64_t)context;
}

static inline void stress_count(struct stress_tally *tally, uint32_t self, enum stress_kind kind, uint32_t maker,
                                uint64_t serial, uint64_t size_bytes) {
    const uint64_t words[] = {kind, maker, serial, size_bytes};
    for (int i = 0; i < 4; i++) {
        tally->order = (tally->order ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        tally->order ^= tally->order >> 29;
    }
    tally->counts[kind]++;
    tally->bytes += size_bytes;
    tally->handed_count += maker != STRESS_NOBODY && maker != STRESS_INHERITED && maker != self;
}

#endif
