/**
 * record_time.h: the clock that events get their times from, as the recorder sees it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_TIME_H
#define MMREPLAY_TRACES_RECORD_RECORD_TIME_H

#include <stdint.h>

#include "traces/record/record_ring.h"
#include "traces/trace.h"

/**
 * Fine times are rounded down to a multiple of this: reading the clock takes longer (20 ns), and the four bits that go
 * are as good as random, half of what times take in a file.
 */
enum { RECORD_TIME_FINE_UNIT_NS = 16 };

/** What times in a trace are multiples of, in ns; a power of two. */
static inline uint64_t record_time_unit_ns(enum record_time time) {
    return time == RECORD_TIME_FINE ? RECORD_TIME_FINE_UNIT_NS : 1;
}

/** What the clock shows now; `time` is not RECORD_TIME_OFF. */
uint64_t record_time_now_ns(enum record_time time);

/** Sets capture_clock and its resolution; nothing for RECORD_TIME_OFF. @return ERR_OK, ERR_NOMEM. */
enum err record_time_describe(enum record_time time, struct trace_info *info);

#endif
