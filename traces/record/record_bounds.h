/**
 * record_bounds.h: how much of a program is recorded, and why a recording ended.
 *
 * Sits between the namer and the output: exactly the first `event_count_max` events pass.
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
    uint64_t start_ns;
    uint64_t event_count; /**< passed on since bounds_begin */
    uint64_t operation_count;
    enum record_stop stop;
    const struct diag *failure; /**< borrowed */
};

/** The recording is `options`', and time counts from now. */
void bounds_start(struct record_bounds *bounds, const struct record_options *options);

/** Events go to `sink` from here on; counts begin anew. @return what to put them into; borrowed. */
struct event_sink bounds_begin(struct record_bounds *bounds, struct event_sink sink);

/** Whether it is time to end; then bounds->stop tells why. Cost: a clock read when there is a duration. */
bool bounds_reached(struct record_bounds *bounds);

/** The recording has ended because of `diag`, which is borrowed. */
void bounds_fail(struct record_bounds *bounds, const struct diag *diag);

/** "recording ended after …": for the description and for a person; empty when the program's end ended it. @return
 * buffer. */
const char *bounds_describe(const struct record_bounds *bounds, char *buffer, size_t buffer_bytes);

#endif
