/**
 * stream.h: how events move between rooms: pulled in blocks from a source, pushed in runs into a sink.
 *
 * Both are borrowed views: whoever made the thing behind `ctx` destroys it.
 */
#ifndef MMREPLAY_TRACES_STREAM_H
#define MMREPLAY_TRACES_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "core/base/err.h"
#include "traces/event.h"

/** A run of consecutive events, borrowed until the next call on its source. */
struct event_block {
    const struct event *events;
    size_t count;         /**< 0 = end of the trace */
    uint64_t first_index; /**< number of the first event in the trace, from 0 */
    const char *path;     /**< the file it came from, for diagnostics; may be NULL */
    uint64_t byte;        /**< place in that file (start of the coded unit that holds it) */
};

struct event_source {
    void *ctx;
    /** Fills *block with the next run; count 0 at the end, again and again. */
    enum err (*next)(void *ctx, struct event_block *block, struct diag *diag);
};

struct event_sink {
    void *ctx;
    /** Takes a copy of all `count` events or fails; after a failure the sink takes nothing more. */
    enum err (*put)(void *ctx, const struct event *events, size_t count, struct diag *diag);
};

#endif
