/**
 * record_time.h: the clock that events get their times from, as the recorder sees it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_TIME_H
#define MMREPLAY_TRACES_RECORD_RECORD_TIME_H

#include <stdint.h>

#include "traces/record/record_ring.h"
#include "traces/trace.h"

/** What the clock shows now; `time` is not RECORD_TIME_OFF. */
uint64_t record_time_now_ns(enum record_time time);

/** Sets capture_clock and its resolution; nothing for RECORD_TIME_OFF. @return ERR_OK, ERR_NOMEM. */
enum err record_time_describe(enum record_time time, struct trace_info *info);

#endif
