#include "traces/record/record_merge.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "traces/event.h"

enum {
    WINDOW_LOG2_MIN = 8,
    WINDOW_LIMIT = 1 << 20,     /* how far ahead records are taken out of their rings while things move */
    WINDOW_LIMIT_MAX = 1 << 24, /* … and when they do not */
    PUBLISH_PERIOD = 1024,      /* records taken before their space is given back */
    EXPECT_RECORDS = 16         /* how far ahead the consumer hears of pointers */
};

struct merge_ring {
    uint64_t tail;
    uint32_t serial;
    uint64_t wide_bytes;
    uint64_t time_ns;
    bool has_wide;
};

struct merge {
    struct record_shared *shared;
    struct merge_consumer consumer;
    uint64_t ring_bytes; /* copies: the program can write to the originals */
    uint32_t ring_count;
    uint64_t next; /* the stamp to pass on next */
    struct merged_record *window;
    uint64_t window_mask;
    uint64_t window_count;
    uint64_t limit;
    bool is_held_back; /* this pass left records in their rings for want of window */
    uint64_t hole_count;
    struct merge_ring rings[RECORD_RING_COUNT_MAX];
};

enum err merge_create(struct record_shared *shared, struct merge_consumer consumer, struct merge **out) {
    struct merge *merge = calloc(1, sizeof *merge);
    if (!merge)
        return ERR_NOMEM;
    merge->window = calloc((size_t)1 << WINDOW_LOG2_MIN, sizeof *merge->window);
    if (!merge->window) {
        free(merge);
        return ERR_NOMEM;
    }
    merge->window_mask = ((uint64_t)1 << WINDOW_LOG2_MIN) - 1;
    merge->limit = WINDOW_LIMIT;
    merge->shared = shared;
    merge->ring_bytes = shared->ring_bytes;
    merge->ring_count = shared->ring_count;
    merge->consumer = consumer;
    merge->next = atomic_load(&shared->stamp);
    *out = merge;
    return ERR_OK;
}

void merge_destroy(struct merge *merge) {
    if (!merge)
        return;
    free(merge->window);
    free(merge);
}

void merge_rewind(struct merge *merge) {
    merge->next = 0;
}

uint64_t merge_next(const struct merge *merge) {
    return merge->next;
}

uint64_t merge_hole_count(const struct merge *merge) {
    return merge->hole_count;
}

static enum err window_reserve(struct merge *merge, uint64_t distance) {
    uint64_t capacity = merge->window_mask + 1;
    if (distance < capacity)
        return ERR_OK;
    while (capacity <= distance)
        capacity *= 2;
    struct merged_record *window = calloc(capacity, sizeof *window);
    if (!window)
        return ERR_NOMEM;
    for (uint64_t stamp = merge->next; stamp <= merge->next + merge->window_mask; stamp++)
        window[stamp & (capacity - 1)] = merge->window[stamp & merge->window_mask];
    free(merge->window);
    merge->window = window;
    merge->window_mask = capacity - 1;
    return ERR_OK;
}

static enum err window_sweep(struct merge *merge, struct diag *diag) {
    while (merge->window_count) {
        struct merged_record *record = &merge->window[merge->next & merge->window_mask];
        if (!record->what)
            return ERR_OK;
        enum err err = merge->consumer.put(merge->consumer.ctx, record, diag);
        if (err)
            return err;
        record->what = 0;
        merge->window_count--;
        merge->next++;
    }
    return ERR_OK;
}

static enum err overwritten(struct diag *diag) {
    return diag_set(diag, ERR_CHILD, NULL,
                    "the program has overwritten the recorder's shared memory; the recording cannot go on");
}

static enum err record_place(struct merge *merge, const struct merged_record *record, uint64_t distance,
                             struct diag *diag) {
    if (distance == 0) {
        enum err err = merge->consumer.put(merge->consumer.ctx, record, diag);
        if (err)
            return err;
        merge->next++;
        return window_sweep(merge, diag);
    }
    if (window_reserve(merge, distance))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory while putting %" PRIu64 " records into order",
                        merge->window_count);
    struct merged_record *place = &merge->window[(merge->next + distance) & merge->window_mask];
    if (place->what) /* a number is given out once */
        return overwritten(diag);
    *place = *record;
    merge->window_count++;
    return ERR_OK;
}

/* Handles the record at the ring's tail; *taken tells whether the tail may move on. */
static enum err record_take(struct merge *merge, uint32_t index, struct ring_record raw, bool *taken,
                            struct diag *diag) {
    struct merge_ring *ring = &merge->rings[index];
    unsigned kind = ring_record_kind(raw);
    *taken = true;
    if (kind == RECORD_CONTEXT) {
        ring->serial = raw.how < UINT32_MAX ? (uint32_t)raw.how : UINT32_MAX;
        ring->has_wide = false;
        return ERR_OK;
    }
    if (kind == RECORD_SIZE) {
        ring->wide_bytes = raw.how;
        ring->has_wide = true;
        return ERR_OK;
    }
    if (kind == RECORD_CLOCK) {
        ring->time_ns = raw.how;
        return raw.how < EVENT_TIME_END_NS ? ERR_OK : overwritten(diag);
    }
    uint64_t distance = (uint32_t)((uint32_t)raw.how - (uint32_t)merge->next);
    if (kind == RECORD_NONE || kind >= RECORD_STAMPED_COUNT || distance > INT32_MAX)
        return overwritten(diag);
    if (distance >= merge->limit) {
        merge->is_held_back = true;
        *taken = false;
        return ERR_OK;
    }
    struct merged_record record = {.what = raw.what, .size_bytes = raw.how >> RECORD_HOW_SIZE_SHIFT};
    record.serial = ring->serial;
    record.place = merged_place(index, ring->tail);
    record.time_ns = ring->time_ns;
    if (ring->has_wide)
        record.size_bytes = ring->wide_bytes;
    ring->has_wide = false;
    return record_place(merge, &record, distance, diag);
}

/* Gives space back, and wakes a producer that waits once half the ring is free. */
static void ring_publish(struct merge *merge, uint32_t index, uint64_t head) {
    struct ring_control *control = &merge->shared->rings[index];
    uint64_t tail = merge->rings[index].tail;
    uint64_t capacity = merge->ring_bytes / sizeof(struct ring_record);
    atomic_store(&control->tail, tail);
    if (atomic_load(&control->waiting) && head - tail <= capacity / 2) {
        atomic_store(&control->waiting, 0);
        syscall(SYS_futex, &control->waiting, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static enum err ring_pull(struct merge *merge, uint32_t index, struct diag *diag) {
    struct merge_ring *ring = &merge->rings[index];
    uint64_t head = atomic_load_explicit(&merge->shared->rings[index].head, memory_order_acquire);
    if (head == ring->tail)
        return ERR_OK;
    uint64_t capacity = merge->ring_bytes / sizeof(struct ring_record);
    if (head - ring->tail > capacity)
        return overwritten(diag);
    const struct ring_record *records =
        (const struct ring_record *)((const char *)merge->shared + record_header_bytes() + index * merge->ring_bytes);
    enum err err = ERR_OK;
    bool taken = true;
    while (!err && ring->tail != head) {
        if (merge->consumer.expect) /* past the head there is old content: a useless hint, no harm */
            merge->consumer.expect(merge->consumer.ctx,
                                   records[(ring->tail + EXPECT_RECORDS) & (capacity - 1)].what & RECORD_POINTER_MASK);
        err = record_take(merge, index, records[ring->tail & (capacity - 1)], &taken, diag);
        if (err || !taken)
            break;
        if (++ring->tail % PUBLISH_PERIOD == 0)
            ring_publish(merge, index, head);
    }
    ring_publish(merge, index, head);
    return err;
}

/* What a dead image took (below `dead_below`) and never showed will not come: go on with the lowest number there is. */
static bool hole_skip(struct merge *merge, uint64_t dead_below) {
    uint64_t before = merge->next;
    while (merge->window_count && merge->next < dead_below && !merge->window[merge->next & merge->window_mask].what)
        merge->next++;
    merge->hole_count += merge->next - before;
    return merge->next != before;
}

static enum err pass_stalled(struct merge *merge, uint64_t dead_below, bool *progress, struct diag *diag) {
    *progress = true;
    if (merge->is_held_back && merge->limit < WINDOW_LIMIT_MAX) {
        merge->limit *= 2;
        return ERR_OK;
    }
    if (hole_skip(merge, dead_below))
        return window_sweep(merge, diag);
    if (merge->is_held_back && dead_below == UINT64_MAX) /* all far ahead of nothing: no sound program does that */
        return overwritten(diag);
    *progress = false;
    return ERR_OK;
}

enum err merge_pass(struct merge *merge, bool is_final, bool *progress, struct diag *diag) {
    /* Read before the rings: once a new image has shown itself, the old one writes no more. */
    uint64_t dead_below = atomic_load(&merge->shared->image_first_stamp);
    uint32_t top = atomic_load(&merge->shared->ring_top);
    uint64_t before = merge->next;
    merge->is_held_back = false;
    for (uint32_t i = 0; i < top && i < merge->ring_count; i++) {
        enum err err = ring_pull(merge, i, diag);
        if (err)
            return err;
    }
    if (merge->next != before) {
        merge->limit = WINDOW_LIMIT;
        *progress = true;
        return ERR_OK;
    }
    return pass_stalled(merge, is_final ? UINT64_MAX : dead_below, progress, diag);
}
