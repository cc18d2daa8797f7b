/**
 * events_times.h: the times part of a member (NATIVE.md, "Times"): one time for each of its events, in their order.
 *
 * A step in time is one varint, a run of events at the same time another; so a coarse clock costs a few bytes per tick,
 * a fine one a byte or two per event. Steps are counted in the largest power of two of nanoseconds that divides them
 * all, so nothing is lost and a clock's resolution is made use of.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_TIMES_H
#define MMREPLAY_FORMATS_EVENTS_TIMES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "formats/varint.h"
#include "traces/event.h"

enum {
    TIMES_RUN_BYTES_MAX = 3,                    /**< an item that is a run: below 2^19 */
    TIMES_HEAD_BYTES_MAX = 2 * VARINT_BYTES_MAX /**< length, first time; the unit fits in what they leave */
                           + TIMES_RUN_BYTES_MAX,
    TIMES_UNIT_LOG2_MAX = 62
};

/** What a step of `step_ns` between two events takes at most. */
static inline size_t times_step_bytes(uint64_t step_ns) {
    size_t bytes = 1;
    for (; step_ns >= 0x40; step_ns >>= 7)
        bytes++;
    return bytes;
}

/**
 * Writes the part, its length included.
 * @param times_ns of `count` (≥ 1) events; never decreasing, below EVENT_TIME_END_NS.
 * @param to room for TIMES_HEAD_BYTES_MAX, times_step_bytes() of every step, TIMES_RUN_BYTES_MAX for every run.
 * @return the byte behind it.
 */
uint8_t *times_write(const uint64_t *times_ns, uint32_t count, uint8_t *to);

/** Where reading a times part has got to. */
struct times_cursor {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t now_ns;
    uint32_t events_left; /**< whose times have not been made */
    uint32_t run_left;    /**< of them, in a row, those that happened at now_ns */
    unsigned unit_log2;
};

/**
 * @param at, bytes the part without its length; VARINT_BYTES_MAX bytes behind it must be readable.
 * @return ERR_OK; ERR_FORMAT with *fault, a static text.
 */
enum err times_cursor_begin(struct times_cursor *cursor, const uint8_t *at, uint64_t bytes, uint32_t event_count,
                            const char **fault);

/**
 * Makes the times of the next `count` events (≤ events_left); with the last one the end is checked.
 * Cost: 1 ns per event, up to 3 when all differ.
 */
enum err times_cursor_run(struct times_cursor *cursor, uint64_t *times_ns, size_t count, const char **fault);

#endif
