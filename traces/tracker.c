#include "traces/tracker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/birth_index.h"

struct slot_state {
    uint64_t size_bytes : 48; /* of the block in it; of a vacant slot: the next vacant one (0 = none) */
    uint64_t domain : 8;
};

struct tracker {
    struct birth_index births;
    uint32_t vacant;   /* the most recently vacated slot, head of a list through slots; 0 = none */
    uint32_t slot_top; /* slots 1 … slot_top have been used */
    size_t slot_capacity;
    struct slot_state *slots;
    struct trace_summary summary; /* its live_end_* are what is live now */
};

enum { RUN_MAX = 4096, SLOTS_FIRST = 2 * RUN_MAX, PREFETCH_ENTRY_EVENTS = 16, PREFETCH_SLOT_EVENTS = 8 };

/* So many blocks, at about 16 bytes each, have not stayed in the cache by themselves. */
enum { COLD_SLOTS = 1 << 15 };

enum err tracker_create(struct tracker **out) {
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return ERR_NOMEM;
    *out = tracker;
    return ERR_OK;
}

void tracker_destroy(struct tracker *tracker) {
    if (!tracker)
        return;
    birth_index_clear(&tracker->births);
    free(tracker->slots);
    free(tracker);
}

/* Room for `more` new slots. */
static enum err slots_reserve(struct tracker *tracker, size_t more) {
    if (tracker->slot_top + more < tracker->slot_capacity)
        return ERR_OK;
    size_t capacity = tracker->slot_capacity ? tracker->slot_capacity * 2 : SLOTS_FIRST;
    struct slot_state *slots = realloc(tracker->slots, capacity * sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    tracker->slots = slots;
    tracker->slot_capacity = capacity;
    return ERR_OK;
}

static enum err birth_admit(struct tracker *tracker, const struct event *event) {
    if (event->size_bytes > EVENT_SIZE_MAX ||
        tracker->births.threads[event->thread].count + 1 >= (uint64_t)1 << EVENT_BLOCK_SEQ_BITS ||
        (!tracker->vacant && tracker->slot_top == TRACKER_SLOT_MAX))
        return ERR_LIMIT;
    if (event->size_bytes > UINT64_MAX - tracker->summary.requested_bytes)
        return ERR_LIMIT; /* so live bytes, at most all that was requested, cannot overflow either */
    return birth_index_reserve(&tracker->births, event->thread);
}

/* Everything that can fail, before anything changes. */
static enum err event_admit(struct tracker *tracker, const struct event *event) {
    if (event->kind >= EVENT_KIND_COUNT || event->domain >= DOMAIN_COUNT || event->align_log2 > EVENT_ALIGN_LOG2_MAX)
        return ERR_INVALID;
    if (event->thread > tracker->summary.thread_count)
        return ERR_INVALID;
    if (event->thread >> EVENT_THREAD_BITS)
        return ERR_LIMIT;
    if (event->thread >= tracker->births.thread_capacity) {
        enum err err = birth_index_add_thread(&tracker->births, event->thread);
        if (err)
            return err;
    }
    return event_makes_block(event->kind) ? birth_admit(tracker, event) : ERR_OK;
}

static uint32_t slot_take(struct tracker *tracker) {
    uint32_t slot = tracker->vacant;
    if (!slot)
        return ++tracker->slot_top;
    tracker->vacant = (uint32_t)tracker->slots[slot].size_bytes;
    return slot;
}

static void slot_vacate(struct tracker *tracker, uint32_t slot) {
    tracker->slots[slot].size_bytes = tracker->vacant;
    tracker->vacant = slot;
}

static void block_birth(struct tracker *tracker, const struct event *event, uint32_t slot, uint8_t domain) {
    birth_index_put(&tracker->births, event->thread, slot);
    tracker->slots[slot] = (struct slot_state){.size_bytes = event->size_bytes, .domain = domain};

    struct trace_summary *summary = &tracker->summary;
    summary->requested_bytes += event->size_bytes;
    if (event->size_bytes > summary->largest_request_bytes)
        summary->largest_request_bytes = event->size_bytes;
    summary->live_end_bytes += event->size_bytes;
    if (summary->live_end_bytes > summary->live_peak_bytes)
        summary->live_peak_bytes = summary->live_end_bytes;
    if (++summary->live_end_blocks > summary->live_peak_blocks)
        summary->live_peak_blocks = summary->live_end_blocks;
}

static void event_count(struct tracker *tracker, const struct event *event, uint8_t domain) {
    struct trace_summary *summary = &tracker->summary;
    summary->kind_counts[event->kind]++;
    if (event->thread == summary->thread_count)
        summary->thread_count++;
    if (!event_is_operation(event->kind))
        return;
    summary->operation_count++;
    summary->domain_counts[domain]++;
    if (event->kind < EVENT_REALLOC)
        return;
    if (event->block)
        summary->cross_thread_count += event_block_thread(event->block) != event->thread;
    else if (event->kind == EVENT_FREE)
        summary->free_null_count++;
    else
        summary->realloc_null_count++;
}

static inline enum err event_apply(struct tracker *tracker, const struct event *event, struct placement *out) {
    enum err err = event_admit(tracker, event);
    if (err)
        return err;
    uint32_t slot = 0;
    uint8_t domain = event->domain;
    if (event->block && (event->kind == EVENT_FREE || event->kind == EVENT_REALLOC)) {
        slot = birth_index_take(&tracker->births, event->block);
        if (!slot)
            return ERR_INVALID;
        domain = tracker->slots[slot].domain;
        tracker->summary.live_end_bytes -= tracker->slots[slot].size_bytes;
        tracker->summary.live_end_blocks--;
        if (event->kind == EVENT_FREE)
            slot_vacate(tracker, slot);
    }
    if (event_makes_block(event->kind)) {
        if (!slot)
            slot = slot_take(tracker);
        block_birth(tracker, event, slot, domain);
    }
    event_count(tracker, event, domain);
    *out = (struct placement){.slot = slot,
                              .domain = domain,
                              .live_blocks = (uint32_t)tracker->summary.live_end_blocks,
                              .live_bytes = tracker->summary.live_end_bytes};
    return ERR_OK;
}

/* The page entry of a block whose death comes soon, or NULL. */
static inline uint32_t *death_entry(const struct tracker *tracker, const struct event *event) {
    if (event->kind != EVENT_FREE && event->kind != EVENT_REALLOC)
        return NULL;
    struct birth_page *page = birth_index_page(&tracker->births, event->block);
    return page ? birth_page_entry(page, event->block) : NULL;
}

/* Old blocks are cold: asks in time for what their deaths will touch, first the entry, then the slot it names. */
static inline void events_prefetch(const struct tracker *tracker, const struct event *events, size_t left) {
    if (left > PREFETCH_ENTRY_EVENTS)
        __builtin_prefetch(death_entry(tracker, &events[PREFETCH_ENTRY_EVENTS]));
    if (left > PREFETCH_SLOT_EVENTS) {
        const uint32_t *entry = death_entry(tracker, &events[PREFETCH_SLOT_EVENTS]);
        if (entry)
            __builtin_prefetch(&tracker->slots[*entry]);
    }
}

static enum err run_apply(struct tracker *tracker, const struct event *events, size_t count, struct placement *out,
                          size_t *applied) {
    enum err err = slots_reserve(tracker, count);
    bool is_cold = tracker->slot_top >= COLD_SLOTS;
    size_t i = 0;
    for (; !err && i < count; i++) {
        if (is_cold)
            events_prefetch(tracker, &events[i], count - i);
        err = event_apply(tracker, &events[i], &out[i]);
        if (err)
            break;
    }
    tracker->summary.event_count += i;
    *applied = i;
    return err;
}

enum err tracker_apply(struct tracker *tracker, const struct event *events, size_t count, struct placement *out,
                       size_t *applied) {
    size_t done = 0;
    enum err err = ERR_OK;
    while (!err && done < count) {
        size_t run = count - done < RUN_MAX ? count - done : RUN_MAX;
        size_t run_applied = 0;
        err = run_apply(tracker, events + done, run, out + done, &run_applied);
        done += run_applied;
    }
    *applied = done;
    return err;
}

static enum err explain_block(const struct tracker *tracker, const struct event_block *block, size_t index,
                              struct diag *diag) {
    const struct event *event = &block->events[index];
    uint32_t owner = event_block_thread(event->block);
    uint64_t seq = event_block_seq(event->block);
    bool born = owner < tracker->summary.thread_count && seq && seq <= tracker->births.threads[owner].count;
    return diag_at_byte(diag, ERR_INVALID, block->path, block->byte,
                        "event %" PRIu64 ": %s of block %" PRIu64 " of thread %" PRIu32 ", which %s",
                        block->first_index + index, event_kind_names[event->kind], seq, owner,
                        born ? "was freed before (double free)" : "was never allocated");
}

enum err tracker_explain(const struct tracker *tracker, enum err err, const struct event_block *block, size_t index,
                         struct diag *diag) {
    const struct event *event = &block->events[index];
    uint64_t number = block->first_index + index;
    if (err == ERR_NOMEM)
        return diag_set(diag, err, NULL, "out of memory while following %" PRIu64 " live blocks",
                        tracker->summary.live_end_blocks);
    if (err == ERR_LIMIT && event->size_bytes > EVENT_SIZE_MAX)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": a request of %" PRIu64 " bytes is larger than 2^%d", number,
                            event->size_bytes, EVENT_SIZE_BITS);
    if (err == ERR_LIMIT)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": too many live blocks, threads or blocks per thread", number);
    if (event->kind >= EVENT_KIND_COUNT || event->domain >= DOMAIN_COUNT || event->align_log2 > EVENT_ALIGN_LOG2_MAX)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": kind %u, domain %u or alignment 2^%u is out of range", number,
                            event->kind, event->domain, event->align_log2);
    if (event->thread > tracker->summary.thread_count)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": thread %" PRIu32 " appears before thread %" PRIu64, number,
                            event->thread, tracker->summary.thread_count);
    return explain_block(tracker, block, index, diag);
}

enum err tracker_apply_times(struct tracker *tracker, const uint64_t *times_ns, size_t count, size_t *applied) {
    struct trace_summary *summary = &tracker->summary;
    size_t i = 0;
    if (count && !summary->timed_count && times_ns[0] < EVENT_TIME_END_NS)
        summary->time_first_ns = summary->time_last_ns = times_ns[0];
    for (; i < count && times_ns[i] >= summary->time_last_ns && times_ns[i] < EVENT_TIME_END_NS; i++)
        summary->time_last_ns = times_ns[i];
    summary->timed_count += i;
    *applied = i;
    return i == count ? ERR_OK : ERR_INVALID;
}

enum err tracker_explain_time(const struct tracker *tracker, const struct event_block *block, size_t index,
                              struct diag *diag) {
    return diag_at_byte(diag, ERR_INVALID, block->path, block->byte,
                        "event %" PRIu64 ": its time, %" PRIu64 " ns, is %s", block->first_index + index,
                        block->times_ns[index],
                        block->times_ns[index] < tracker->summary.time_last_ns ? "below that of the event before it"
                                                                               : "beyond 2^63 ns");
}

/* All of a block: its events, then its times. */
static enum err block_apply(struct tracker *tracker, const struct event_block *block, struct diag *diag) {
    enum { RUN = 256 };
    struct placement placements[RUN];
    size_t applied = 0;
    for (size_t i = 0; i < block->count;) {
        size_t run = block->count - i < RUN ? block->count - i : RUN;
        enum err err = tracker_apply(tracker, block->events + i, run, placements, &applied);
        if (err)
            return tracker_explain(tracker, err, block, i + applied, diag);
        i += run;
    }
    if (block->times_ns && tracker_apply_times(tracker, block->times_ns, block->count, &applied))
        return tracker_explain_time(tracker, block, applied, diag);
    return ERR_OK;
}

enum err tracker_run(struct tracker *tracker, const struct event_source *source, struct diag *diag) {
    for (;;) {
        struct event_block block;
        enum err err = source->next(source->ctx, &block, diag);
        if (err || !block.count)
            return err;
        err = block_apply(tracker, &block, diag);
        if (err)
            return err;
    }
}

const struct trace_summary *tracker_summary(const struct tracker *tracker) {
    return &tracker->summary;
}

uint32_t tracker_slot_peak(const struct tracker *tracker) {
    return tracker->slot_top;
}
