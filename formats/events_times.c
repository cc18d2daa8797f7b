#include "formats/events_times.h"

#include <string.h>

/* The largest unit that divides every step. */
static unsigned unit_find(const uint64_t *times_ns, uint32_t count) {
    uint64_t bits = 0;
    for (uint32_t i = 1; i < count; i++)
        bits |= times_ns[i] - times_ns[i - 1];
    return bits ? (unsigned)__builtin_ctzll(bits) : 0;
}

static uint8_t *items_write(const uint64_t *times_ns, uint32_t count, unsigned unit_log2, uint8_t *to) {
    uint64_t run = 0;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t step = (times_ns[i] - times_ns[i - 1]) >> unit_log2;
        if (!step) {
            run++;
            continue;
        }
        if (run)
            to = varint_write(to, (run - 1) << 1 | 1);
        run = 0;
        to = varint_write(to, step << 1);
    }
    return run ? varint_write(to, (run - 1) << 1 | 1) : to;
}

uint8_t *times_write(const uint64_t *times_ns, uint32_t count, uint8_t *to) {
    unsigned unit_log2 = unit_find(times_ns, count);
    uint8_t *part = to + VARINT_BYTES_MAX; /* the length is known last */
    uint8_t *end = varint_write(varint_write(part, times_ns[0]), unit_log2);
    end = items_write(times_ns, count, unit_log2, end);
    size_t bytes = (size_t)(end - part);
    to = varint_write(to, bytes);
    memmove(to, part, bytes);
    return to + bytes;
}

static enum err refuse(const char **fault, const char *text) {
    *fault = text;
    return ERR_FORMAT;
}

enum err times_cursor_begin(struct times_cursor *cursor, const uint8_t *at, uint64_t bytes, uint32_t event_count,
                            const char **fault) {
    const uint8_t *end = at + bytes;
    uint64_t first_ns, unit_log2;
    if (at >= end || !varint_read(&at, &first_ns) || at >= end || !varint_read(&at, &unit_log2) || at > end)
        return refuse(fault, "the times are cut");
    if (first_ns >= EVENT_TIME_END_NS || unit_log2 > TIMES_UNIT_LOG2_MAX)
        return refuse(fault, "a time or the unit of times is out of range");
    *cursor = (struct times_cursor){.at = at,
                                    .end = end,
                                    .now_ns = first_ns,
                                    .events_left = event_count,
                                    .run_left = event_count ? 1 : 0,
                                    .unit_log2 = (unsigned)unit_log2};
    return ERR_OK;
}

/* The next item: a run, or a step, which is the next event's and makes a run of one. */
static inline enum err item_take(struct times_cursor *cursor, size_t events_left, const char **fault) {
    uint64_t item;
    if (cursor->at >= cursor->end)
        return refuse(fault, "the times end before the events");
    if (*cursor->at < 0x80)
        item = *cursor->at++;
    else if (!varint_read(&cursor->at, &item))
        return refuse(fault, "a time is out of range");
    uint64_t value = item >> 1;
    if (item & 1) {
        if (value >= events_left)
            return refuse(fault, "the times go on behind the last event");
        cursor->run_left = (uint32_t)value + 1;
        return ERR_OK;
    }
    if (value > (EVENT_TIME_END_NS - 1 - cursor->now_ns) >> cursor->unit_log2)
        return refuse(fault, "a time is out of range");
    cursor->now_ns += value << cursor->unit_log2;
    cursor->run_left = 1;
    return ERR_OK;
}

enum err times_cursor_run(struct times_cursor *cursor, uint64_t *times_ns, size_t count, const char **fault) {
    for (size_t done = 0; done < count;) {
        if (!cursor->run_left) {
            enum err err = item_take(cursor, cursor->events_left - done, fault);
            if (err)
                return err;
        }
        size_t run = count - done < cursor->run_left ? count - done : cursor->run_left;
        for (size_t i = 0; i < run; i++)
            times_ns[done + i] = cursor->now_ns;
        cursor->run_left -= (uint32_t)run;
        done += run;
    }
    cursor->events_left -= (uint32_t)count;
    if (!cursor->events_left && cursor->at != cursor->end)
        return refuse(fault, "the times go on behind the last event");
    return ERR_OK;
}
