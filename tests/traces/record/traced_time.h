/**
 * traced_time.h: what traced_time writes, for the test that reads it.
 */
#ifndef MMREPLAY_TESTS_TRACES_RECORD_TRACED_TIME_H
#define MMREPLAY_TESTS_TRACES_RECORD_TRACED_TIME_H

#include <stdint.h>

enum { MARK_BYTES = 100000 };

struct time_mark {
    uint64_t before_ns; /**< what the clock showed before the call, and after it */
    uint64_t after_ns;
};

#endif
