/**
 * stream.h: how events move between rooms: pulled in blocks from a source, pushed in runs into a sink.
 *
 * Both are borrowed views: whoever made the thing behind `ctx` destroys it.
 */
#ifndef MMREPLAY_TRACES_STREAM_H
#define MMREPLAY_TRACES_STREAM_H

#include <stdbool.h>
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

    /**
     * When each event happened, beside `events`: nanoseconds since the recording began, never decreasing from event to
     * event, below EVENT_TIME_END_NS. NULL: the trace has no times, or the source was not asked for them. A source
     * gives them with every block or with none.
     */
    const uint64_t *times_ns;
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
    /**
     * The same for events with times (as in struct event_block); NULL: a sink that keeps none. All events of a trace
     * come by the same one of the two.
     */
    enum err (*put_timed)(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                          struct diag *diag);
    /** Makes what was put so far last, should the process die; NULL: there is nothing to do for that. */
    enum err (*flush)(void *ctx, struct diag *diag);
    /**
     * Whoever makes the events has come to wait for the sink (or no more): it may take less care, as long as nothing is
     * lost. NULL: it makes no difference.
     */
    void (*press)(void *ctx, bool is_late);
};

/** Puts events, with their times where there are any (times_ns not NULL) and the sink keeps them. */
static inline enum err event_sink_put(const struct event_sink *sink, const struct event *events,
                                      const uint64_t *times_ns, size_t count, struct diag *diag) {
    if (times_ns && sink->put_timed)
        return sink->put_timed(sink->ctx, events, times_ns, count, diag);
    return sink->put(sink->ctx, events, count, diag);
}

#endif
