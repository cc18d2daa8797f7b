/**
 * support.h: what many tests need: cmocka in the right order, a seeded random stream, a source over an array.
 */
#ifndef MMREPLAY_TESTS_SUPPORT_H
#define MMREPLAY_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "traces/stream.h"

/** splitmix64: one call a number; the state is the seed. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
    return random_next(state) % bound;
}

/** The seed of this run: MMREPLAY_TEST_SEED, or the one given. Printed, so that a failure can be run again. */
uint64_t support_seed(uint64_t fallback);

/** A source that yields an array in runs of at most `run` events. */
struct array_source {
    const struct event *events;
    size_t count;
    size_t run;
    size_t at;
    const uint64_t *times_ns; /**< NULL: a trace without times */
};

struct event_source array_source_events(struct array_source *array);

/** A sink that keeps everything. Zero-initialise; free(events), free(times_ns). */
struct array_sink {
    struct event *events;
    uint64_t *times_ns; /**< NULL: events came without times */
    size_t count;
    size_t capacity;
};

struct event_sink array_sink_events(struct array_sink *array);

/**
 * A valid random trace: every kind and domain, `thread_count` threads, frees across threads, realloc chains,
 * free(NULL) and realloc(NULL), some sizes beyond 2^28. @return owned array of `count` events.
 */
struct event *random_trace_make(uint64_t seed, size_t count, uint32_t thread_count);

#endif
