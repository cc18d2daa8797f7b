/* Times of events: as a part of a member, and through files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/events_index.h"
#include "formats/events_layout.h"
#include "formats/events_reader.h"
#include "formats/events_salvage.h"
#include "formats/events_times.h"
#include "formats/events_writer.h"
#include "tests/formats/events_file.h"
#include "tests/formats/random_trace.h"

enum pattern {
    PATTERN_EQUAL,
    PATTERN_TICKS,
    PATTERN_FINE,
    PATTERN_ROUNDED,
    PATTERN_WILD,
    PATTERN_LATEST,
    PATTERN_COUNT
};

static uint64_t step_choose(uint64_t *random, enum pattern pattern) {
    uint64_t dice = random_next(random);
    switch (pattern) {
    case PATTERN_TICKS:
        return dice % 300 ? 0 : 3999999 + dice / 300 % 3;
    case PATTERN_FINE:
        return dice % 16 ? 40 + dice / 16 % 300 : dice / 16 % 100000;
    case PATTERN_ROUNDED:
        return (dice % 2000) << 9;
    case PATTERN_WILD:
        return dice % 3 ? random_next(random) >> (12 + random_next(random) % 52) : 0;
    default:
        return 0;
    }
}

/* Owned by the caller. */
static uint64_t *times_make(uint64_t seed, enum pattern pattern, size_t count) {
    uint64_t *times_ns = malloc((count + 1) * sizeof *times_ns), random = seed;
    uint64_t now_ns = pattern == PATTERN_LATEST ? EVENT_TIME_END_NS - 1 : random_next(&random) >> 20;
    assert_non_null(times_ns);
    for (size_t i = 0; i < count; i++) {
        uint64_t step = i ? step_choose(&random, pattern) : 0;
        now_ns += step < EVENT_TIME_END_NS - now_ns ? step : 0;
        times_ns[i] = now_ns;
    }
    return times_ns;
}

static size_t bytes_promised(const uint64_t *times_ns, size_t count) {
    size_t bytes = TIMES_HEAD_BYTES_MAX;
    for (size_t i = 1; i < count; i++) {
        uint64_t step = times_ns[i] - times_ns[i - 1];
        if (step)
            bytes += times_step_bytes(step);
        else if (i == 1 || times_ns[i - 1] != times_ns[i - 2])
            bytes += TIMES_RUN_BYTES_MAX;
    }
    return bytes;
}

/* Writes the times, reads them back in random portions. */
static size_t part_round_trip(const uint64_t *times_ns, size_t count, uint64_t seed) {
    size_t room = bytes_promised(times_ns, count);
    uint8_t *part = malloc(room + VARINT_BYTES_MAX);
    uint64_t *read_ns = malloc(count * sizeof *read_ns), length = 0;
    struct times_cursor cursor;
    const char *fault = "";
    assert_true(part && read_ns);
    memset(part, 0xff, room + VARINT_BYTES_MAX); /* what lies behind the part does not matter */
    uint8_t *end = times_write(times_ns, (uint32_t)count, part);
    const uint8_t *at = part;
    assert_true((size_t)(end - part) <= room);
    assert_true(varint_read(&at, &length) && at + length == end);
    assert_int_equal(times_cursor_begin(&cursor, at, length, (uint32_t)count, &fault), ERR_OK);
    for (size_t done = 0; done < count;) {
        size_t run = 1 + random_next(&seed) % (count - done);
        if (times_cursor_run(&cursor, read_ns + done, run, &fault))
            fail_msg("%s", fault);
        done += run;
    }
    assert_memory_equal(read_ns, times_ns, count * sizeof *times_ns);
    free(part);
    free(read_ns);
    return (size_t)(end - part);
}

static void random_times_come_back_exactly(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        for (enum pattern pattern = 0; pattern < PATTERN_COUNT; pattern++) {
            size_t count = 1 + seed * seed % 1500;
            uint64_t *times_ns = times_make(seed, pattern, count);
            part_round_trip(times_ns, count, seed);
            free(times_ns);
        }
    }
}

static void the_largest_times_and_gaps_come_back(void **state) {
    (void)state;
    const uint64_t last = EVENT_TIME_END_NS - 1;
    const uint64_t all_at_once[] = {0, last};
    const uint64_t half[] = {0, EVENT_TIME_END_NS / 2, EVENT_TIME_END_NS / 2, last};
    const uint64_t end[] = {last, last, last};
    const uint64_t one[] = {last};
    part_round_trip(all_at_once, 2, 1);
    part_round_trip(half, 4, 1);
    part_round_trip(end, 3, 1);
    part_round_trip(one, 1, 1);
    for (unsigned bit = 0; bit < 63; bit++) {
        const uint64_t power[] = {0, 1ull << bit, 1ull << bit, (1ull << bit) + (1ull << bit >> 1)};
        part_round_trip(power, 4, 1);
    }
}

static void a_tick_costs_few_bytes_and_equal_times_none(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    uint64_t *times_ns = times_make(1, PATTERN_EQUAL, COUNT);
    assert_true(part_round_trip(times_ns, COUNT, 1) <= TIMES_HEAD_BYTES_MAX);
    free(times_ns);
    times_ns = times_make(2, PATTERN_TICKS, COUNT);
    size_t ticks = 0;
    for (size_t i = 1; i < COUNT; i++)
        ticks += times_ns[i] != times_ns[i - 1];
    assert_true(ticks > 100);
    assert_true(part_round_trip(times_ns, COUNT, 1) <= TIMES_HEAD_BYTES_MAX + ticks * 7);
    free(times_ns);
}

static void coarser_steps_are_counted_in_their_own_unit(void **state) {
    (void)state;
    const uint64_t times_ns[] = {1000003, 1000003 + 512 * 3, 1000003 + 512 * 60};
    uint8_t part[64];
    times_write(times_ns, 3, part);
    const uint8_t expected[] = {6, 0xc3, 0x84, 0x3d, 9, 3 << 1, 57 << 1};
    assert_memory_equal(part, expected, sizeof expected);
}

struct fault_case {
    uint32_t event_count;
    size_t bytes;
    uint8_t part[16];
    const char *fault; /* part of the text; "": any; NULL: none */
};

static const struct fault_case fault_cases[] = {
    {1, 2, {0, 0}, NULL},
    {1, 0, {0}, "times are cut"},
    {1, 1, {0}, "times are cut"},
    {1, 1, {0x80}, "times are cut"},
    {1, 2, {0x80, 0x80}, "times are cut"},
    {1, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}, NULL}, /* 2^63 − 1 */
    {1, 11, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0}, "out of range"},
    {1, 11, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0}, "times are cut"},
    {1, 2, {0, 62}, NULL},
    {1, 2, {0, 63}, "out of range"},
    {1, 3, {0, 0, 0}, "behind the last event"},
    {2, 2, {0, 0}, "end before the events"},
    {2, 3, {0, 0, 0}, NULL},
    {2, 3, {0, 0, 1}, NULL},
    {2, 3, {0, 0, 3}, "behind the last event"},
    {2, 4, {0, 0, 1, 1}, "behind the last event"},
    {2, 3, {0, 0, 0x80}, ""},
    {2, 3, {0, 62, 2}, NULL},
    {2, 3, {0, 62, 4}, "out of range"},
    {3, 4, {0, 62, 2, 2}, "out of range"},
    {2, 12, {0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, NULL}, /* a step of 2^63 − 1 */
    {2, 12, {1, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "out of range"},
    {2, 12, {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "behind the last event"},
    {2, 12, {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, "out of range"},
};

static void every_broken_rule_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++) {
        const struct fault_case *given = &fault_cases[i];
        uint8_t bytes[64];
        uint64_t times_ns[4];
        struct times_cursor cursor;
        const char *fault = NULL;
        memset(bytes, 0x55, sizeof bytes);
        memcpy(bytes, given->part, given->bytes);
        enum err err = times_cursor_begin(&cursor, bytes, given->bytes, given->event_count, &fault);
        if (!err)
            err = times_cursor_run(&cursor, times_ns, given->event_count, &fault);
        if (!given->fault != !err || (err && !strstr(fault, given->fault)))
            fail_msg("case %zu: %s", i, fault ? fault : "no fault");
    }
}

/* --- files ----------------------------------------------------------------------------------------------------- */

struct sample {
    struct event *events;
    uint64_t *times_ns;
    size_t count;
    struct events_file file;
};

static struct sample sample_make(uint64_t seed, enum pattern pattern, size_t count, size_t per_member) {
    struct random_trace settings = {.seed = seed,
                                    .thread_count = 1 + (uint32_t)(seed % 5),
                                    .event_count = count,
                                    .live_limit = 40,
                                    .wild_percent = (unsigned)(seed % 3) * 30};
    struct sample sample = {.events = random_trace_make(&settings), .count = count};
    sample.times_ns = times_make(seed, pattern, count);
    sample.file = events_file_make_timed(sample.events, sample.times_ns, count, per_member);
    return sample;
}

static void sample_clear(struct sample *sample) {
    events_file_clear(&sample->file);
    free(sample->events);
    free(sample->times_ns);
}

/* Reads on to the end; every event and time must be the sample's, from event `seen` on. @return how far it came. */
static size_t rest_compare(struct events_reader *reader, const struct sample *sample, size_t seen, bool is_timed) {
    struct event_block block;
    while (assert_int_equal(events_reader_next(reader, &block, NULL), ERR_OK), block.count) {
        assert_int_equal(block.first_index, seen);
        assert_true(seen + block.count <= sample->count);
        assert_memory_equal(block.events, sample->events + seen, block.count * sizeof *block.events);
        assert_int_equal(block.times_ns != NULL, is_timed);
        if (is_timed)
            assert_memory_equal(block.times_ns, sample->times_ns + seen, block.count * sizeof *block.times_ns);
        seen += block.count;
    }
    return seen;
}

static void files_give_times_to_those_who_ask(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct sample sample = sample_make(seed, (enum pattern)(seed % PATTERN_COUNT), seed * 190, seed % 4 * 100);
        const struct events_expected expected = {sample.file.sha256, sample.count};
        struct events_reader *reader;
        const char *path = events_file_path(sample.file.bytes, sample.file.count);
        assert_int_equal(events_reader_open(path, &expected, &reader, NULL), ERR_OK);
        for (int pass = 0; pass < 4; pass++) {
            if (pass) {
                events_reader_want_times(reader, pass % 2);
                assert_int_equal(events_reader_rewind(reader, NULL), ERR_OK);
            }
            assert_int_equal(rest_compare(reader, &sample, 0, pass % 2), sample.count);
        }
        events_reader_close(reader);
        sample_clear(&sample);
    }
}

static void a_file_without_times_has_none_to_give(void **state) {
    (void)state;
    struct sample sample = sample_make(3, PATTERN_FINE, 500, 100);
    struct events_file plain = events_file_make(sample.events, sample.count, 100);
    struct events_reader *reader;
    assert_int_equal(events_reader_open(events_file_path(plain.bytes, plain.count), NULL, &reader, NULL), ERR_OK);
    events_reader_want_times(reader, true);
    assert_int_equal(events_reader_rewind(reader, NULL), ERR_OK);
    assert_int_equal(rest_compare(reader, &sample, 0, false), sample.count);
    events_reader_close(reader);
    events_file_clear(&plain);
    sample_clear(&sample);
}

/* Small events with large steps: a member that did not reckon with its times would grow beyond what readers take. */
static void members_keep_to_their_limit_whatever_the_times(void **state) {
    (void)state;
    enum { COUNT = 300000 };
    for (unsigned every = 1; every <= 2; every++) {
        struct sample sample = {.events = calloc(COUNT, sizeof *sample.events), .count = COUNT};
        uint64_t seed = 5, now_ns = 0;
        sample.times_ns = malloc(COUNT * sizeof *sample.times_ns);
        assert_true(sample.events && sample.times_ns);
        for (uint32_t i = 0; i < COUNT; i++) {
            now_ns += i % every ? 0 : EVENT_TIME_END_NS / COUNT - 1 - random_next(&seed) % 1024;
            sample.times_ns[i] = now_ns;
            sample.events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = random_next(&seed) % 16384};
        }
        sample.file = events_file_make_timed(sample.events, sample.times_ns, COUNT, 0);
        struct events_reader *reader;
        assert_int_equal(
            events_reader_open(events_file_path(sample.file.bytes, sample.file.count), NULL, &reader, NULL), ERR_OK);
        events_reader_want_times(reader, true);
        assert_int_equal(events_reader_rewind(reader, NULL), ERR_OK);
        assert_int_equal(rest_compare(reader, &sample, 0, true), COUNT);
        events_reader_close(reader);
        sample_clear(&sample);
    }
}

static void members_give_their_times_alone_in_any_order(void **state) {
    (void)state;
    struct sample sample = sample_make(7, PATTERN_WILD, 2000, 130);
    const char *path = events_file_path(sample.file.bytes, sample.file.count);
    struct events_index index;
    struct events_reader *reader;
    struct event_block block;
    assert_int_equal(events_index_load(path, &index, NULL), ERR_OK);
    assert_int_equal(events_reader_open(path, NULL, &reader, NULL), ERR_OK);
    events_reader_want_times(reader, true);
    for (size_t i = index.count; i-- > 0;) {
        const struct events_index_entry *entry = &index.entries[i];
        assert_int_equal(events_reader_seek(reader, entry->byte, entry->first_event, NULL), ERR_OK);
        assert_int_equal(events_reader_next(reader, &block, NULL), ERR_OK);
        assert_int_equal(block.count, entry->event_count);
        assert_memory_equal(block.times_ns, sample.times_ns + entry->first_event, block.count * sizeof(uint64_t));
    }
    assert_int_equal(events_reader_seek(reader, index.entries[5].byte, index.entries[5].first_event, NULL), ERR_OK);
    assert_int_equal(rest_compare(reader, &sample, index.entries[5].first_event, true), sample.count);
    events_reader_close(reader);
    events_index_clear(&index);
    sample_clear(&sample);
}

static void every_cut_is_salvaged_with_its_times(void **state) {
    (void)state;
    struct sample sample = sample_make(8, PATTERN_FINE, 150, 30);
    for (size_t cut = MEMBER_HEADER_BYTES; cut <= sample.file.count; cut++) {
        struct events_salvage salvage;
        struct events_reader *reader;
        const char *path = events_file_path(sample.file.bytes, cut);
        assert_int_equal(events_salvage_scan(path, &salvage, NULL), ERR_OK);
        assert_int_equal(salvage.fault.err, cut == sample.file.count ? ERR_OK : ERR_TRUNCATED);
        assert_int_equal(salvage.found.event_count % 30, 0);
        assert_int_equal(events_salvage_open(path, &salvage, &reader, NULL), ERR_OK);
        assert_int_equal(rest_compare(reader, &sample, 0, true), salvage.found.event_count);
        events_reader_close(reader);
    }
    sample_clear(&sample);
}

static void every_altered_byte_of_a_timed_file_is_noticed(void **state) {
    (void)state;
    struct sample sample = sample_make(9, PATTERN_TICKS, 150, 30);
    for (size_t at = 0; at < sample.file.count; at++) {
        size_t seen;
        sample.file.bytes[at] ^= 0x10;
        assert_int_not_equal(events_file_read(events_file_path(sample.file.bytes, sample.file.count),
                                              sample.file.sha256, sample.events, sample.count, &seen, NULL),
                             ERR_OK);
        sample.file.bytes[at] ^= 0x10;
    }
    sample_clear(&sample);
}

/* Only who asks for times hears of members that go back; what can be salvaged ends before them. */
static void members_that_go_back_in_time_are_refused(void **state) {
    (void)state;
    struct sample sample = sample_make(10, PATTERN_FINE, 90, 30);
    struct events_salvage salvage;
    struct events_reader *reader;
    struct event_block block = {.count = 1};
    struct diag diag;
    enum err err = ERR_OK;
    for (size_t i = 60; i < 90; i++)
        sample.times_ns[i] -= sample.times_ns[60] - sample.times_ns[59] + 1;
    events_file_clear(&sample.file);
    sample.file = events_file_make_timed(sample.events, sample.times_ns, 90, 30);
    const char *path = events_file_path(sample.file.bytes, sample.file.count);
    assert_int_equal(events_reader_open(path, NULL, &reader, NULL), ERR_OK);
    assert_int_equal(rest_compare(reader, &sample, 0, false), 90);
    events_reader_want_times(reader, true);
    assert_int_equal(events_reader_rewind(reader, NULL), ERR_OK);
    while (!err && block.count)
        err = events_reader_next(reader, &block, &diag);
    assert_int_equal(err, ERR_FORMAT);
    assert_non_null(strstr(diag.text, "earlier time than the one before ends; 2 whole members"));
    events_reader_close(reader);
    assert_int_equal(events_salvage_scan(path, &salvage, NULL), ERR_OK);
    assert_int_equal(salvage.found.event_count, 60);
    sample_clear(&sample);
}

static void a_trace_has_times_throughout_or_not_at_all(void **state) {
    (void)state;
    struct sample sample = sample_make(11, PATTERN_FINE, 20, 0);
    char name[] = "/tmp/mmreplay-test-XXXXXX";
    for (int is_timed = 0; is_timed < 2; is_timed++) {
        struct events_writer *writer;
        int fd = mkstemp(name);
        assert_true(fd >= 0);
        unlink(name);
        strcpy(name, "/tmp/mmreplay-test-XXXXXX");
        assert_int_equal(events_writer_create(fd, "memory", 0, &writer, NULL), ERR_OK);
        assert_int_equal(events_writer_put(writer, sample.events, is_timed ? sample.times_ns : NULL, 10, NULL), ERR_OK);
        assert_int_equal(
            events_writer_put(writer, sample.events + 10, is_timed ? NULL : sample.times_ns + 10, 10, NULL), ERR_USAGE);
        events_writer_destroy(writer);
        close(fd);
    }
    sample_clear(&sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_times_come_back_exactly),
        cmocka_unit_test(the_largest_times_and_gaps_come_back),
        cmocka_unit_test(a_tick_costs_few_bytes_and_equal_times_none),
        cmocka_unit_test(coarser_steps_are_counted_in_their_own_unit),
        cmocka_unit_test(every_broken_rule_is_told),
        cmocka_unit_test(files_give_times_to_those_who_ask),
        cmocka_unit_test(a_file_without_times_has_none_to_give),
        cmocka_unit_test(members_keep_to_their_limit_whatever_the_times),
        cmocka_unit_test(members_give_their_times_alone_in_any_order),
        cmocka_unit_test(every_cut_is_salvaged_with_its_times),
        cmocka_unit_test(every_altered_byte_of_a_timed_file_is_noticed),
        cmocka_unit_test(members_that_go_back_in_time_are_refused),
        cmocka_unit_test(a_trace_has_times_throughout_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
