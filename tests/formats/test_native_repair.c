/* Every kind of damage: what comes out is a valid trace that begins as the damaged one did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/description.h"
#include "formats/events_index.h"
#include "formats/events_layout.h"
#include "formats/format.h"
#include "formats/native_repair.h"
#include "tests/formats/events_file.h"
#include "tests/formats/random_trace.h"
#include "traces/tracker.h"

enum { COUNT = 120, PER_MEMBER = 25, PATH_BYTES = 128 };

struct place {
    char folder[64];
    char yaml[PATH_BYTES], events_gz[PATH_BYTES];
    char out_yaml[PATH_BYTES], out_events[PATH_BYTES];
    struct event *events;
    struct events_file file;
    struct events_index index;
};

static void bytes_write(const char *path, const void *bytes, size_t count) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    fclose(out);
}

static void description_write(const struct place *place, const char *sha256) {
    struct tracker *tracker;
    struct placement placements[COUNT];
    size_t applied, bytes;
    char *text;
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    assert_int_equal(tracker_apply(tracker, place->events, COUNT, placements, &applied), ERR_OK);
    struct trace_info info = {.name = (char *)(uintptr_t) "the service",
                              .licence = (char *)(uintptr_t) "MIT",
                              .provenance = (char *)(uintptr_t) "a test",
                              .capture_lost_count = 3,
                              .events_file = (char *)(uintptr_t) "bad.events.gz",
                              .events_sha256 = (char *)(uintptr_t)sha256,
                              .events_bytes = place->file.count,
                              .summary = *tracker_summary(tracker)};
    assert_int_equal(description_format(&info, &text, &bytes), ERR_OK);
    bytes_write(place->yaml, text, bytes);
    free(text);
    tracker_destroy(tracker);
}

static int place_make(void **state) {
    struct place *place = calloc(1, sizeof *place);
    struct random_trace settings = {
        .seed = 77, .thread_count = 3, .event_count = COUNT, .live_limit = 20, .wild_percent = 10};
    strcpy(place->folder, "/tmp/mmreplay-test-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->yaml, PATH_BYTES, "%s/bad.yaml", place->folder);
    snprintf(place->events_gz, PATH_BYTES, "%s/bad.events.gz", place->folder);
    snprintf(place->out_yaml, PATH_BYTES, "%s/out.yaml", place->folder);
    snprintf(place->out_events, PATH_BYTES, "%s/out.events.gz", place->folder);
    place->events = random_trace_make(&settings);
    place->file = events_file_make(place->events, COUNT, PER_MEMBER);
    *state = place;
    return events_index_load(events_file_path(place->file.bytes, place->file.count), &place->index, NULL);
}

static int place_drop(void **state) {
    struct place *place = *state;
    const char *const paths[] = {place->yaml, place->events_gz, place->out_yaml, place->out_events};
    for (size_t i = 0; i < 4; i++)
        unlink(paths[i]);
    assert_int_equal(rmdir(place->folder), 0); /* nothing else was left behind */
    events_index_clear(&place->index);
    events_file_clear(&place->file);
    free(place->events);
    free(place);
    return 0;
}

/* The trace as it was before any damage. */
static int place_reset(void **state) {
    const struct place *place = *state;
    bytes_write(place->events_gz, place->file.bytes, place->file.count);
    description_write(place, place->file.sha256);
    unlink(place->out_yaml);
    unlink(place->out_events);
    return 0;
}

static enum err repair(const struct place *place, const char *path, struct native_repair_report *report,
                       struct diag *diag) {
    struct diag why;
    diag_set(&why, ERR_FORMAT, path, "the reason why");
    return native_repair(path, place->out_yaml, &why, report, diag);
}

/* The new trace holds the first `count` events, and agrees with itself. */
static struct trace_info output_read(const struct place *place, size_t count) {
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block;
    struct trace_info info;
    struct diag diag;
    size_t seen = 0;
    enum err err = trace_reader_open(place->out_yaml, &reader, &diag);
    if (err)
        fail_msg("%s", diag.text);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
        assert_memory_equal(block.events, place->events + seen, block.count * sizeof *block.events);
        seen += block.count;
    }
    assert_int_equal(seen, count);
    trace_reader_close(reader);
    assert_int_equal(description_load(place->out_yaml, &info, NULL), ERR_OK);
    assert_int_equal(info.summary.event_count, count);
    return info;
}

static void assert_no_output(const struct place *place) {
    assert_int_not_equal(access(place->out_yaml, F_OK), 0);
    assert_int_not_equal(access(place->out_events, F_OK), 0);
}

static size_t events_within(const struct place *place, size_t bytes) {
    size_t whole = 0, events = 0;
    while (whole < place->index.count &&
           place->index.entries[whole].byte + place->index.entries[whole].member_bytes <= bytes)
        events += place->index.entries[whole++].event_count;
    return events;
}

static void every_cut_keeps_all_whole_members_and_counts_what_is_lost(void **state) {
    const struct place *place = *state;
    for (size_t cut = 0; cut < place->file.count; cut++) {
        struct native_repair_report report;
        struct diag diag;
        size_t whole = events_within(place, cut);
        place_reset(state);
        assert_int_equal(truncate(place->events_gz, (off_t)cut), 0);
        enum err err = repair(place, place->yaml, &report, &diag);
        if (!whole) {
            assert_int_equal(err, ERR_TRUNCATED);
            assert_no_output(place);
            continue;
        }
        assert_int_equal(err, ERR_OK);
        assert_true(report.is_described && report.is_stated);
        assert_int_equal(report.kept_count, whole);
        assert_int_equal(report.stated_count, COUNT);
        assert_int_equal(report.events_fault.err, ERR_TRUNCATED);
        struct trace_info info = output_read(place, whole);
        assert_int_equal(info.capture_lost_count, 3 + COUNT - whole);
        trace_info_clear(&info);
    }
}

static void texts_are_kept_and_the_provenance_tells(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    char cut[64];
    size_t byte = place->index.entries[3].byte + 10;
    assert_int_equal(truncate(place->events_gz, (off_t)byte), 0);
    assert_int_equal(repair(place, place->yaml, &report, NULL), ERR_OK);
    struct trace_info info = output_read(place, 75);
    assert_string_equal(info.name, "the service");
    assert_string_equal(info.licence, "MIT");
    snprintf(cut, sizeof cut, "75 of 120 events are kept; byte %zu: the events file is cut", byte);
    assert_int_equal(strncmp(info.provenance, "a test; mended by mmreplay ", 27), 0);
    assert_non_null(strstr(info.provenance, " from bad.yaml: "));
    assert_non_null(strstr(info.provenance, cut));
    assert_null(strstr(info.provenance, "--repair"));
    trace_info_clear(&info);
}

static void every_altered_byte_keeps_the_members_before_it(void **state) {
    const struct place *place = *state;
    for (size_t at = 0; at < place->file.count; at++) {
        struct native_repair_report report;
        size_t before = events_within(place, at);
        place_reset(state);
        place->file.bytes[at] ^= 0x40;
        bytes_write(place->events_gz, place->file.bytes, place->file.count);
        place->file.bytes[at] ^= 0x40;
        enum err err = repair(place, place->yaml, &report, NULL);
        if (err) {
            assert_true(!before);
            assert_no_output(place);
            continue;
        }
        assert_true(report.kept_count >= before); /* bits that say nothing cost nothing */
        struct trace_info info = output_read(place, report.kept_count);
        assert_int_equal(info.capture_lost_count, 3 + COUNT - report.kept_count);
        trace_info_clear(&info);
    }
}

static void wrong_checksum_or_junk_behind_the_end_loses_no_event(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    char wrong[SHA256_TEXT_BYTES];
    memset(wrong, 'b', sizeof wrong - 1);
    wrong[sizeof wrong - 1] = '\0';
    description_write(place, wrong);
    assert_int_equal(repair(place, place->yaml, &report, NULL), ERR_OK);
    assert_int_equal(report.events_fault.err, ERR_OK);
    struct trace_info info = output_read(place, COUNT);
    assert_int_equal(info.capture_lost_count, 3);
    assert_non_null(strstr(info.provenance, "the reason why"));
    trace_info_clear(&info);
    FILE *events = fopen(place->events_gz, "a");
    fputs("junk", events);
    fclose(events);
    assert_int_equal(repair(place, place->yaml, &report, NULL), ERR_OK);
    assert_int_equal(report.events_fault.err, ERR_FORMAT);
    info = output_read(place, COUNT);
    trace_info_clear(&info);
}

static void missing_or_damaged_description_is_made_from_the_events(void **state) {
    const struct place *place = *state;
    static const char *const damaged[] = {NULL, "", "mmreplay: 1\nname: [\n", "mmreplay: 1\n"};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct native_repair_report report;
        place_reset(state);
        unlink(place->yaml);
        if (damaged[i])
            bytes_write(place->yaml, damaged[i], strlen(damaged[i]));
        assert_int_equal(repair(place, place->yaml, &report, NULL), ERR_OK);
        assert_false(report.is_described);
        assert_true(report.is_stated); /* by the index */
        assert_int_equal(report.stated_count, COUNT);
        struct trace_info info = output_read(place, COUNT);
        assert_string_equal(info.name, "out");
        assert_non_null(strstr(info.provenance, "no description could be kept"));
        trace_info_clear(&info);
    }
}

static void events_file_alone_is_enough_even_when_cut(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    unlink(place->yaml);
    assert_int_equal(truncate(place->events_gz, (off_t)place->index.entries[2].byte), 0);
    assert_int_equal(repair(place, place->events_gz, &report, NULL), ERR_OK);
    assert_false(report.is_described || report.is_stated);
    struct trace_info info = output_read(place, 50);
    assert_int_equal(info.capture_lost_count, 0);
    assert_non_null(strstr(info.provenance, "50 of an unknown number of events"));
    trace_info_clear(&info);
}

/* Members that are whole, with an event in the third that frees what is free. */
static void events_behind_a_contradiction_are_left_out(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    struct event events[COUNT];
    memset(events, 0, sizeof events);
    for (size_t i = 0; i < COUNT; i++)
        events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = i};
    events[60] = events[61] = (struct event){.kind = EVENT_FREE, .block = event_block_name(0, 1)};
    struct events_file file = events_file_make(events, COUNT, PER_MEMBER);
    bytes_write(place->events_gz, file.bytes, file.count);
    events_file_clear(&file);
    assert_int_equal(repair(place, place->yaml, &report, NULL), ERR_OK);
    assert_int_equal(report.kept_count, 61);
    assert_int_equal(report.events_fault.err, ERR_INVALID);
    struct trace_info info;
    assert_int_equal(description_load(place->out_yaml, &info, NULL), ERR_OK);
    assert_int_equal(info.summary.event_count, 61);
    assert_int_equal(info.capture_lost_count, 3 + COUNT - 61);
    trace_info_clear(&info);
}

static void what_cannot_be_mended_is_told_and_nothing_is_written(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    struct diag diag;
    assert_int_equal(native_repair(place->yaml, place->yaml, NULL, &report, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "choose another name"));
    assert_int_equal(native_repair(place->events_gz, place->yaml, NULL, &report, &diag), ERR_USAGE);
    bytes_write(place->yaml, "mmreplay: 2\n", 12);
    assert_int_equal(repair(place, place->yaml, &report, &diag), ERR_VERSION);
    unlink(place->events_gz);
    assert_int_equal(place_reset(state), 0);
    unlink(place->events_gz);
    assert_int_equal(repair(place, place->yaml, &report, &diag), ERR_NOT_FOUND);
    assert_string_equal(diag.path, place->events_gz);
    unlink(place->yaml);
    assert_int_equal(repair(place, place->yaml, &report, &diag), ERR_NOT_FOUND);
    assert_non_null(strstr(diag.text, "is no events file either"));
    assert_no_output(place);
}

static void a_trace_with_nothing_wrong_is_copied(void **state) {
    const struct place *place = *state;
    struct native_repair_report report;
    assert_int_equal(native_repair(place->yaml, place->out_yaml, NULL, &report, NULL), ERR_OK);
    struct trace_info info = output_read(place, COUNT);
    assert_string_equal(info.provenance, "a test");
    assert_int_equal(info.capture_lost_count, 3);
    trace_info_clear(&info);
}

/* Cut in its third member: two are kept, with their times. */
static void times_are_kept(void **state) {
    const struct place *place = *state;
    uint64_t times_ns[COUNT];
    struct native_repair_report report;
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block;
    size_t seen = 0;
    for (size_t i = 0; i < COUNT; i++)
        times_ns[i] = 1000 + i * i;
    struct events_file file = events_file_make_timed(place->events, times_ns, COUNT, PER_MEMBER);
    struct events_index index;
    assert_int_equal(events_index_load(events_file_path(file.bytes, file.count), &index, NULL), ERR_OK);
    bytes_write(place->events_gz, file.bytes, index.entries[2].byte + index.entries[2].member_bytes / 2);
    assert_int_equal(repair(place, place->events_gz, &report, NULL), ERR_OK);
    assert_int_equal(report.kept_count, 2 * PER_MEMBER);
    assert_int_equal(trace_reader_open(place->out_yaml, &reader, NULL), ERR_OK);
    assert_int_equal(trace_reader_info(reader)->summary.timed_count, 2 * PER_MEMBER);
    assert_int_equal(trace_reader_info(reader)->summary.time_last_ns, times_ns[2 * PER_MEMBER - 1]);
    assert_int_equal(trace_reader_timed_events(reader, &source, NULL), ERR_OK);
    while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
        assert_non_null(block.times_ns);
        assert_memory_equal(block.times_ns, times_ns + seen, block.count * sizeof *times_ns);
        seen += block.count;
    }
    assert_int_equal(seen, 2 * PER_MEMBER);
    trace_reader_close(reader);
    events_index_clear(&index);
    events_file_clear(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_cut_keeps_all_whole_members_and_counts_what_is_lost, place_reset),
        cmocka_unit_test_setup(texts_are_kept_and_the_provenance_tells, place_reset),
        cmocka_unit_test_setup(every_altered_byte_keeps_the_members_before_it, place_reset),
        cmocka_unit_test_setup(wrong_checksum_or_junk_behind_the_end_loses_no_event, place_reset),
        cmocka_unit_test_setup(missing_or_damaged_description_is_made_from_the_events, place_reset),
        cmocka_unit_test_setup(events_file_alone_is_enough_even_when_cut, place_reset),
        cmocka_unit_test_setup(events_behind_a_contradiction_are_left_out, place_reset),
        cmocka_unit_test_setup(what_cannot_be_mended_is_told_and_nothing_is_written, place_reset),
        cmocka_unit_test_setup(a_trace_with_nothing_wrong_is_copied, place_reset),
        cmocka_unit_test_setup(times_are_kept, place_reset),
    };
    return cmocka_run_group_tests(tests, place_make, place_drop);
}
