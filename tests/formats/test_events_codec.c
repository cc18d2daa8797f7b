#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/events_index.h"
#include "formats/events_reader.h"
#include "formats/varint.h"
#include "tests/formats/events_file.h"
#include "tests/formats/random_trace.h"

static void varints_round_trip(void **state) {
    (void)state;
    uint8_t bytes[VARINT_BYTES_MAX];
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta, read = 0;
            const uint8_t *at = bytes, *end = varint_write(bytes, value);
            assert_true(varint_read(&at, &read));
            assert_true(read == value && at == end);
        }
    }
}

static void varint_above_64_bits_is_refused(void **state) {
    (void)state;
    const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    const uint8_t *at = too_large;
    uint64_t value;
    assert_false(varint_read(&at, &value));
    at = too_long;
    assert_false(varint_read(&at, &value));
}

static void round_trip(const struct random_trace *settings, size_t per_member) {
    struct event *events = random_trace_make(settings);
    struct events_file file = events_file_make(events, settings->event_count, per_member);
    struct diag diag = {.err = ERR_OK};
    size_t seen;
    enum err err = events_file_read(events_file_path(file.bytes, file.count), file.sha256, events,
                                    settings->event_count, &seen, &diag);
    if (err)
        print_error("seed %llu: %s\n", (unsigned long long)settings->seed, diag.text);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(seen, settings->event_count);
    events_file_clear(&file);
    free(events);
}

static void random_traces_come_back_exactly(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct random_trace settings = {.seed = seed,
                                        .thread_count = 1 + (uint32_t)(seed * seed % 40),
                                        .event_count = seed * 100,
                                        .live_limit = 1 + seed * 10,
                                        .wild_percent = (unsigned)(seed % 4) * 20};
        round_trip(&settings, 0);
        round_trip(&settings, 1 + seed * 3);
    }
}

static void empty_trace_comes_back_empty(void **state) {
    (void)state;
    round_trip(&(struct random_trace){.seed = 1, .thread_count = 1}, 0);
}

static void long_traces_fill_many_members(void **state) {
    (void)state;
    struct random_trace tame = {
        .seed = 77, .thread_count = 5, .event_count = 700000, .live_limit = 5000, .wild_percent = 2};
    struct random_trace wild = {
        .seed = 78, .thread_count = 900, .event_count = 400000, .live_limit = 100000, .wild_percent = 100};
    round_trip(&tame, 0);
    round_trip(&wild, 0);
}

/* As many threads as there can be events for: the list of threads of a member is at its longest. */
static void every_event_in_a_new_thread(void **state) {
    (void)state;
    enum { COUNT = 300000 };
    struct event *events = calloc(COUNT, sizeof *events);
    assert_non_null(events);
    for (uint32_t i = 0; i < COUNT; i++)
        events[i] = (struct event){.thread = i, .kind = EVENT_MALLOC, .size_bytes = i};
    struct events_file file = events_file_make(events, COUNT, 0);
    size_t seen;
    assert_int_equal(
        events_file_read(events_file_path(file.bytes, file.count), file.sha256, events, COUNT, &seen, NULL), ERR_OK);
    assert_int_equal(seen, COUNT);
    events_file_clear(&file);
    free(events);
}

static void written_bytes_depend_on_the_events_only(void **state) {
    (void)state;
    struct random_trace settings = {
        .seed = 5, .thread_count = 3, .event_count = 5000, .live_limit = 50, .wild_percent = 10};
    struct event *events = random_trace_make(&settings);
    struct events_file one = events_file_make(events, settings.event_count, 1000);
    struct events_file two = events_file_make(events, settings.event_count, 1000);
    assert_int_equal(one.count, two.count);
    assert_memory_equal(one.bytes, two.bytes, one.count);
    events_file_clear(&one);
    events_file_clear(&two);
    free(events);
}

enum { LATE_EVENTS = 200000, LATE_PER_MEMBER = 2000, LATE_LIVE = 1000 };

/* Pairs of malloc and free; of random sizes, and of random age, or all alike. */
static struct event *pairs_make(bool is_random) {
    struct event *events = calloc(LATE_EVENTS, sizeof *events);
    uint64_t seed = 20261120, names[LATE_LIVE] = {0};
    assert_non_null(events);
    for (uint64_t i = 0; i < LATE_EVENTS; i += 2) {
        uint64_t *name = &names[is_random ? random_next(&seed) % LATE_LIVE : 0];
        events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = is_random ? 16 + random_next(&seed) % 500 : 64};
        events[i + 1] = (struct event){.kind = EVENT_FREE, .block = *name};
        *name = event_block_name(0, i / 2 + 1);
    }
    return events;
}

/* What random sizes take when a writer has time for them, and when not; the same events come back of both. */
static void late_and_in_time(bool is_random, double *ratio) {
    struct event *events = pairs_make(is_random);
    struct events_file in_time = events_file_make(events, LATE_EVENTS, LATE_PER_MEMBER);
    struct events_file late = events_file_make_late(events, LATE_EVENTS, LATE_PER_MEMBER);
    size_t seen;
    struct diag diag = {.err = ERR_OK};
    assert_int_equal(
        events_file_read(events_file_path(late.bytes, late.count), late.sha256, events, LATE_EVENTS, &seen, &diag),
        ERR_OK);
    assert_int_equal(seen, LATE_EVENTS);
    *ratio = (double)late.count / (double)in_time.count;
    events_file_clear(&in_time);
    events_file_clear(&late);
    free(events);
}

static void late_writer_stores_what_hardly_compresses_and_nothing_else(void **state) {
    (void)state;
    double ratio;
    late_and_in_time(true, &ratio);
    assert_true(ratio > 1.1 && ratio < 1.5);
    late_and_in_time(false, &ratio);
    assert_true(ratio < 1.5); /* stored it would be ten times as much */
}

static void members_decode_alone_in_any_order(void **state) {
    (void)state;
    enum { COUNT = 3000, PER_MEMBER = 170 };
    struct random_trace settings = {
        .seed = 9, .thread_count = 6, .event_count = COUNT, .live_limit = 300, .wild_percent = 20};
    struct event *events = random_trace_make(&settings);
    struct events_file file = events_file_make(events, COUNT, PER_MEMBER);
    const char *path = events_file_path(file.bytes, file.count);
    struct events_index index;
    struct events_reader *reader;
    assert_int_equal(events_index_load(path, &index, NULL), ERR_OK);
    assert_int_equal(index.count, (COUNT + PER_MEMBER - 1) / PER_MEMBER);
    assert_int_equal(index.event_count, COUNT);
    assert_int_equal(events_reader_open(path, NULL, &reader, NULL), ERR_OK);
    for (size_t i = index.count; i-- > 0;) {
        const struct events_index_entry *entry = &index.entries[i];
        struct event_block block;
        assert_int_equal(events_reader_seek(reader, entry->byte, entry->first_event, NULL), ERR_OK);
        assert_int_equal(events_reader_next(reader, &block, NULL), ERR_OK);
        assert_int_equal(block.first_index, entry->first_event);
        assert_int_equal(block.count, entry->event_count);
        assert_int_equal(block.byte, entry->byte);
        assert_memory_equal(block.events, events + entry->first_event, block.count * sizeof *events);
    }
    events_reader_close(reader);
    events_index_clear(&index);
    events_file_clear(&file);
    free(events);
}

static void reading_on_after_a_seek_reaches_the_end(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    struct random_trace settings = {.seed = 10, .thread_count = 3, .event_count = COUNT, .live_limit = 100};
    struct event *events = random_trace_make(&settings);
    struct events_file file = events_file_make(events, COUNT, 100);
    const char *path = events_file_path(file.bytes, file.count);
    struct events_index index;
    struct events_reader *reader;
    struct event_block block;
    assert_int_equal(events_index_load(path, &index, NULL), ERR_OK);
    assert_int_equal(events_reader_open(path, NULL, &reader, NULL), ERR_OK);
    assert_int_equal(events_reader_seek(reader, index.entries[4].byte, index.entries[4].first_event, NULL), ERR_OK);
    size_t seen = 400;
    while (assert_int_equal(events_reader_next(reader, &block, NULL), ERR_OK), block.count) {
        assert_memory_equal(block.events, events + seen, block.count * sizeof *events);
        seen += block.count;
    }
    assert_int_equal(seen, COUNT);
    events_reader_close(reader);
    events_index_clear(&index);
    events_file_clear(&file);
    free(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_round_trip),
        cmocka_unit_test(varint_above_64_bits_is_refused),
        cmocka_unit_test(random_traces_come_back_exactly),
        cmocka_unit_test(empty_trace_comes_back_empty),
        cmocka_unit_test(long_traces_fill_many_members),
        cmocka_unit_test(every_event_in_a_new_thread),
        cmocka_unit_test(written_bytes_depend_on_the_events_only),
        cmocka_unit_test(late_writer_stores_what_hardly_compresses_and_nothing_else),
        cmocka_unit_test(members_decode_alone_in_any_order),
        cmocka_unit_test(reading_on_after_a_seek_reaches_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
