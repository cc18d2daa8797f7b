/**
 * random_trace.h: seeded valid traces, with every kind of event, for the tests of this room.
 */
#ifndef MMREPLAY_TESTS_FORMATS_RANDOM_TRACE_H
#define MMREPLAY_TESTS_FORMATS_RANDOM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "traces/event.h"

struct random_trace {
    uint64_t seed;
    uint32_t thread_count; /**< at least 1 */
    size_t event_count;
    size_t live_limit;     /**< blocks held at most, about */
    unsigned wild_percent; /**< events with extreme sizes and old blocks */
};

/** A generator of even quality (splitmix64). */
uint64_t random_next(uint64_t *state);

/** The events, owned by the caller (free). Aborts when memory is out. */
struct event *random_trace_make(const struct random_trace *settings);

#endif
