#include "traces/record/record_bounds.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/units.h"
#include "traces/record/record_guard.h"

void bounds_start(struct record_bounds *bounds, const struct record_options *options) {
    *bounds = (struct record_bounds){.options = options, .start_ns = clock_now_ns()};
    bounds->is_waiting = options->start_after_ns || options->start_after_event_count;
}

bool bounds_start_due(const struct record_bounds *bounds, uint64_t event_count) {
    const struct record_options *options = bounds->options;
    if (!bounds->is_waiting)
        return false;
    if (options->start_after_event_count)
        return event_count >= options->start_after_event_count;
    return clock_now_ns() - bounds->start_ns >= options->start_after_ns;
}

void bounds_start_now(struct record_bounds *bounds) {
    bounds->is_waiting = false;
    bounds->start_ns = clock_now_ns();
}

static enum err events_drop(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    (void)ctx, (void)events, (void)count, (void)diag;
    return ERR_OK;
}

struct event_sink bounds_wait(struct record_bounds *bounds) {
    return (struct event_sink){.ctx = bounds, .put = events_drop};
}

static size_t events_allowed(const struct record_bounds *bounds, size_t count) {
    uint64_t most = bounds->options->event_count_max;
    uint64_t left = most - bounds->event_count;
    return most && left < count ? (size_t)left : count;
}

static enum err events_pass_timed(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                                  struct diag *diag) {
    struct record_bounds *bounds = ctx;
    size_t allowed = events_allowed(bounds, count);
    for (size_t i = 0; i < allowed; i++)
        bounds->operation_count += (uint64_t)event_is_operation(events[i].kind);
    bounds->event_count += allowed;
    return allowed ? event_sink_put(&bounds->sink, events, times_ns, allowed, diag) : ERR_OK;
}

static enum err events_pass(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    return events_pass_timed(ctx, events, NULL, count, diag);
}

static enum err events_flush(void *ctx, struct diag *diag) {
    struct record_bounds *bounds = ctx;
    return bounds->sink.flush ? bounds->sink.flush(bounds->sink.ctx, diag) : ERR_OK;
}

struct event_sink bounds_begin(struct record_bounds *bounds, struct event_sink sink) {
    bounds->sink = sink;
    bounds->event_count = bounds->operation_count = 0;
    return (struct event_sink){.ctx = bounds,
                               .put = events_pass,
                               .put_timed = sink.put_timed ? events_pass_timed : NULL,
                               .flush = events_flush};
}

bool bounds_reached(struct record_bounds *bounds) {
    const struct record_options *options = bounds->options;
    if (bounds->stop)
        return true;
    if (guard_is_asked())
        bounds->stop = RECORD_STOP_ASKED;
    else if (options->event_count_max && bounds->event_count >= options->event_count_max)
        bounds->stop = RECORD_STOP_EVENTS;
    else if (options->duration_ns && !bounds->is_waiting && clock_now_ns() - bounds->start_ns >= options->duration_ns)
        bounds->stop = RECORD_STOP_DURATION;
    return bounds->stop != RECORD_STOP_NONE;
}

void bounds_fail(struct record_bounds *bounds, const struct diag *diag) {
    bounds->stop = RECORD_STOP_FAILURE;
    bounds->failure = diag;
}

/* "recording began after …; ", or nothing. @return its length. */
static int start_describe(const struct record_options *options, char *buffer, size_t buffer_bytes) {
    char amount[UNITS_TEXT_BYTES];
    if (options->start_after_event_count)
        return snprintf(buffer, buffer_bytes, "recording began after %s events (--start-after); ",
                        units_format_count(options->start_after_event_count, amount));
    if (options->start_after_ns)
        return snprintf(buffer, buffer_bytes, "recording began after %s (--start-after); ",
                        units_format_duration(options->start_after_ns, amount));
    return 0;
}

static void stop_describe(const struct record_bounds *bounds, char *buffer, size_t buffer_bytes) {
    char amount[UNITS_TEXT_BYTES];
    const struct record_options *options = bounds->options;
    if (bounds->stop == RECORD_STOP_ASKED)
        snprintf(buffer, buffer_bytes, "recording ended by SIGINT; ");
    if (bounds->stop == RECORD_STOP_EVENTS)
        snprintf(buffer, buffer_bytes, "recording ended after %s events, as asked (--max-events); ",
                 units_format_count(options->event_count_max, amount));
    if (bounds->stop == RECORD_STOP_DURATION)
        snprintf(buffer, buffer_bytes, "recording ended after %s, as asked (--duration); ",
                 units_format_duration(options->duration_ns, amount));
    if (bounds->stop == RECORD_STOP_FAILURE)
        snprintf(buffer, buffer_bytes, "recording ended early: %s; ", bounds->failure->text);
}

const char *bounds_describe(const struct record_bounds *bounds, bool is_late, bool is_cut, char *buffer,
                            size_t buffer_bytes) {
    buffer[0] = 0;
    int length = is_late ? start_describe(bounds->options, buffer, buffer_bytes) : 0;
    if (is_cut)
        stop_describe(bounds, buffer + length, buffer_bytes - (size_t)length);
    return buffer;
}
