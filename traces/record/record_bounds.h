/**
 * record_bounds.h: which part of a program is recorded, and why a recording ended.
 *
 * Sits between the namer and the output: nothing passes before the trace is to begin (the namer follows what is alive
 * meanwhile), then exactly the first `event_count_max` events.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_BOUNDS_H
#define MMREPLAY_TRACES_RECORD_RECORD_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traces/record/record.h"
#include "traces/stream.h"

struct record_bounds {
    const struct record_options *options; /**< borrowed */
    struct event_sink sink;               /**< behind it; borrowed */
    bool is_waiting;                      /**< the trace has not begun */
    uint64_t start_ns;                    /**< of the program; once it has begun, of the trace */
    uint64_t event_count;                 /**< passed on since bounds_begin */
    uint64_t operation_count;
    enum record_stop stop;
    const struct diag *failure; /**< borrowed */
};

/** The recording is `options`', and time counts from now. */
void bounds_start(struct record_bounds *bounds, const struct record_options *options);

/** Whether it is time for the trace to begin, given how many events the present image has made so far. */
bool bounds_start_due(const struct record_bounds *bounds, uint64_t event_count);

/** Time counts anew from here. */
void bounds_start_now(struct record_bounds *bounds);

/** A sink for what comes before the trace. */
struct event_sink bounds_wait(struct record_bounds *bounds);

/** Events go to `sink` from here on; counts begin anew. @return what to put them into; borrowed. */
struct event_sink bounds_begin(struct record_bounds *bounds, struct event_sink sink);

/** Whether it is time to end; then bounds->stop tells why. Cost: a clock read when there is a duration. */
bool bounds_reached(struct record_bounds *bounds);

/** The recording has ended because of `diag`, which is borrowed. */
void bounds_fail(struct record_bounds *bounds, const struct diag *diag);

/**
 * "recording began after …; recording ended …; ": for the description, what the program's end is put behind; empty for
 * one that was recorded from its start to its end.
 * @param is_late, is_cut whether the trace begins, ends, where the bounds are, if there are any: not with its process.
 * @return buffer.
 */
const char *bounds_describe(const struct record_bounds *bounds, bool is_late, bool is_cut, char *buffer,
                            size_t buffer_bytes);

#endif
