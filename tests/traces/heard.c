#include "tests/traces/heard.h"

#include <stdlib.h>

#include "tests/traces/traced.h"

static enum err heard_add(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct heard *heard = ctx;
    struct event_sink all = array_sink_events(&heard->all);
    assert_int_equal(traced_follow(heard->tracker, events, count, diag), ERR_OK);
    return all.put(all.ctx, events, count, diag);
}

static enum err heard_add_timed(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                                struct diag *diag) {
    struct heard *heard = ctx;
    struct event_sink all = array_sink_events(&heard->all);
    assert_int_equal(traced_follow(heard->tracker, events, count, diag), ERR_OK);
    return all.put_timed(all.ctx, events, times_ns, count, diag);
}

static enum err heard_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct heard *heard = ctx;
    (void)diag;
    tracker_destroy(heard->tracker);
    assert_int_equal(tracker_create(&heard->tracker), ERR_OK);
    heard->all.count = 0;
    heard->begun_count++;
    *sink = (struct event_sink){.ctx = heard, .put = heard_add, .put_timed = heard_add_timed};
    return ERR_OK;
}

void heard_clear(struct heard *heard) {
    tracker_destroy(heard->tracker);
    free(heard->all.events);
    free(heard->all.times_ns);
}

struct namer *heard_namer(struct heard *heard, bool keeps_live) {
    struct namer *namer;
    assert_int_equal(namer_create(&(struct record_output){.ctx = heard, .begin = heard_begin}, &namer), ERR_OK);
    if (keeps_live)
        assert_int_equal(namer_live_keep(namer), ERR_OK);
    return namer;
}

void heard_put(struct namer *namer, uint64_t kind, uint64_t pointer, uint64_t bytes, uint32_t serial) {
    struct merged_record record = {.what = kind << RECORD_KIND_SHIFT | pointer, .size_bytes = bytes, .serial = serial};
    assert_int_equal(namer_put(namer, &record, NULL), ERR_OK);
}
