/** random_source.h: xorshift64*, seeded: the same operations on every machine. */
#ifndef MMREPLAY_TESTS_CORE_RANDOM_SOURCE_H
#define MMREPLAY_TESTS_CORE_RANDOM_SOURCE_H

#include <stdint.h>

struct random_source {
    uint64_t state;
};

static inline struct random_source random_seeded(uint64_t seed) {
    return (struct random_source){seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du};
}

static inline uint64_t random_next(struct random_source *random) {
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 0x2545f4914f6cdd1du >> 16;
}

/** From 0 to limit - 1. */
static inline uint32_t random_below(struct random_source *random, uint32_t limit) {
    return (uint32_t)(random_next(random) % limit);
}

#endif
