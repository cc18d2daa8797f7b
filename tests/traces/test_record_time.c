/* Times of recorded events against what the program's own clock showed. Nothing here depends on how fast anything is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/traces/record/traced_time.h"
#include "tests/traces/traced.h"
#include "traces/record/record_time.h"

struct recording {
    struct array_sink heard;
    enum err err;
    struct trace_info info;
    struct record_report report;
    uint64_t before_ns, after_ns; /* the clock, around the run */
};

static enum err heard_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recording *recording = ctx;
    (void)diag;
    free(recording->heard.times_ns);
    recording->heard.times_ns = NULL;
    recording->heard.count = 0;
    *sink = array_sink_events(&recording->heard);
    return ERR_OK;
}

static struct recording record(enum record_time time, char *const *argv) {
    struct recording recording = {0};
    struct record_options options = {.argv = argv, .shim_path = shim_path, .time = time};
    struct record_output output = {&recording, heard_begin, NULL};
    struct diag diag = {0};
    recording.before_ns = time ? record_time_now_ns(time) : 0;
    recording.err = record_run(&options, &output, &recording.info, &recording.report, &diag);
    record_wait(&recording.report);
    recording.after_ns = time ? record_time_now_ns(time) : 0;
    if (recording.err)
        fail_msg("%s", diag.text);
    return recording;
}

static void recording_clear(struct recording *recording) {
    free(recording->heard.events);
    free(recording->heard.times_ns);
    trace_info_clear(&recording->info);
}

/* Valid, with a time for every event, none below the one before, none beyond the run. */
static void assert_timed(const struct recording *recording) {
    struct array_source array = {
        .events = recording->heard.events, .count = recording->heard.count, .times_ns = recording->heard.times_ns};
    struct event_source source = array_source_events(&array);
    struct tracker *tracker;
    struct diag diag;
    assert_non_null(recording->heard.times_ns);
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    if (tracker_run(tracker, &source, &diag))
        fail_msg("%s", diag.text);
    assert_int_equal(tracker_summary(tracker)->timed_count, recording->heard.count);
    assert_true(tracker_summary(tracker)->time_last_ns <= recording->after_ns - recording->before_ns);
    tracker_destroy(tracker);
}

/* The event that makes a block of this size; there is one. */
static size_t event_of_size(const struct recording *recording, uint64_t bytes) {
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < recording->heard.count; i++) {
        const struct event *event = &recording->heard.events[i];
        if (!event_makes_block(event->kind) || event->size_bytes != bytes)
            continue;
        assert_int_equal(found, SIZE_MAX);
        found = i;
    }
    assert_int_not_equal(found, SIZE_MAX);
    return found;
}

/*
 * Every mark's time lies between the two readings around it, but for the rounding: there is a beginning of the
 * recording, between before_ns and the first event, that makes it so for all of them.
 */
static void assert_marks_agree(const struct recording *recording, const struct time_mark *marks, size_t count) {
    uint64_t start_min = recording->before_ns, start_max = UINT64_MAX;
    uint64_t *times_ns = calloc(count, sizeof *times_ns);
    uint64_t unit_ns = strcmp(recording->info.capture_clock, "CLOCK_MONOTONIC") == 0 ? RECORD_TIME_FINE_UNIT_NS : 1;
    size_t found = 0;
    for (size_t i = 0; i < recording->heard.count; i++) {
        const struct event *event = &recording->heard.events[i];
        if (event->kind != EVENT_MALLOC || event->size_bytes < MARK_BYTES || event->size_bytes >= MARK_BYTES + count)
            continue;
        times_ns[event->size_bytes - MARK_BYTES] = recording->heard.times_ns[i];
        found++;
    }
    assert_int_equal(found, count);
    for (size_t k = 0; k < count; k++) {
        assert_true(times_ns[k] <= marks[k].after_ns);
        uint64_t latest_ns = times_ns[k] + unit_ns - 1;
        if (marks[k].before_ns > latest_ns && marks[k].before_ns - latest_ns > start_min)
            start_min = marks[k].before_ns - latest_ns;
        if (marks[k].after_ns - times_ns[k] < start_max)
            start_max = marks[k].after_ns - times_ns[k];
    }
    if (start_min > start_max)
        fail_msg("times are off by up to %" PRIu64 " ns", start_min - start_max);
    free(times_ns);
}

static void marks_check(const char *clock, unsigned threads, unsigned count, unsigned pause_ms) {
    char path[] = "/tmp/mmreplay-test-XXXXXX", numbers[3][16];
    size_t total = (size_t)threads * count;
    struct time_mark *marks = calloc(total, sizeof *marks);
    enum record_time time = strcmp(clock, "coarse") == 0 ? RECORD_TIME_COARSE : RECORD_TIME_FINE;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(numbers[0], sizeof numbers[0], "%u", threads);
    snprintf(numbers[1], sizeof numbers[1], "%u", count);
    snprintf(numbers[2], sizeof numbers[2], "%u", pause_ms);
    char *argv[] = {program("traced_time"), path, (char *)(uintptr_t)clock, numbers[0], numbers[1], numbers[2], NULL};
    struct recording recording = record(time, argv);
    assert_int_equal(recording.report.wait_status, 0);
    assert_int_equal(read(fd, marks, total * sizeof *marks), total * sizeof *marks);
    assert_timed(&recording);
    assert_marks_agree(&recording, marks, total);
    if (threads == 1) { /* what the pause was by the program's own clock is there between the two marks */
        const uint64_t *times_ns = recording.heard.times_ns;
        uint64_t gap = times_ns[event_of_size(&recording, MARK_BYTES + count / 2)] -
                       times_ns[event_of_size(&recording, MARK_BYTES + count / 2 - 1)];
        assert_true(gap + RECORD_TIME_FINE_UNIT_NS > marks[count / 2].before_ns - marks[count / 2 - 1].after_ns);
        assert_true(gap >= pause_ms * 1000000ull - 2 * recording.info.capture_clock_resolution_ns);
    }
    close(fd);
    unlink(path);
    free(marks);
    recording_clear(&recording);
}

static void fine_times_lie_between_the_programs_own_readings(void **state) {
    (void)state;
    marks_check("fine", 1, 1000, 50);
}

static void coarse_times_lie_between_the_programs_own_readings(void **state) {
    (void)state;
    marks_check("coarse", 1, 1000, 50);
}

static void times_of_threads_keep_to_the_order_and_to_their_readings(void **state) {
    (void)state;
    marks_check("fine", 4, 2000, 5);
    marks_check("coarse", 4, 2000, 20);
}

static void an_allocation_has_the_time_of_its_return_and_a_free_that_of_its_call(void **state) {
    (void)state;
    enum { SLOW_NS = 30000000 };
    setenv("LD_PRELOAD", program("libslow_malloc.so"), 1);
    struct recording recording = record(RECORD_TIME_FINE, (char *[]){program("traced_slow"), NULL});
    unsetenv("LD_PRELOAD");
    assert_timed(&recording);
    const uint64_t *times_ns = recording.heard.times_ns;
    size_t first = event_of_size(&recording, 77776), middle = event_of_size(&recording, 77777);
    size_t last = event_of_size(&recording, 77778);
    assert_true(middle == first + 1 && last == middle + 1);
    assert_int_equal(recording.heard.events[last + 1].kind, EVENT_FREE);
    assert_int_equal(recording.heard.events[last + 2].kind, EVENT_FREE);
    assert_true(times_ns[middle] - times_ns[first] > SLOW_NS - RECORD_TIME_FINE_UNIT_NS);
    assert_true(times_ns[last + 2] - times_ns[last + 1] > SLOW_NS - RECORD_TIME_FINE_UNIT_NS);
    recording_clear(&recording);
}

static void time_goes_on_across_an_exec(void **state) {
    (void)state;
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, NULL, NULL};
    char script[4200];
    snprintf(script, sizeof script, "sleep 0.04; exec '%s'", program("traced_slow"));
    argv[2] = script;
    struct recording recording = record(RECORD_TIME_FINE, argv);
    assert_timed(&recording);
    assert_true(recording.report.image_count >= 2);
    assert_true(recording.heard.times_ns[0] >= 40000000);
    recording_clear(&recording);
}

static void the_description_names_the_clock(void **state) {
    (void)state;
    char *argv[] = {program("traced_slow"), NULL};
    struct recording recording = record(RECORD_TIME_FINE, argv);
    assert_string_equal(recording.info.capture_clock, "CLOCK_MONOTONIC");
    assert_true(recording.info.capture_clock_resolution_ns >= RECORD_TIME_FINE_UNIT_NS);
    for (size_t i = 0; i < recording.heard.count; i++)
        assert_int_equal(recording.heard.times_ns[i] % RECORD_TIME_FINE_UNIT_NS, 0);
    recording_clear(&recording);
    recording = record(RECORD_TIME_COARSE, argv);
    assert_string_equal(recording.info.capture_clock, "CLOCK_MONOTONIC_COARSE");
    assert_true(recording.info.capture_clock_resolution_ns >= 100000);
    recording_clear(&recording);
}

static void without_being_asked_for_there_are_no_times(void **state) {
    (void)state;
    struct recording recording = record(RECORD_TIME_OFF, (char *[]){program("traced_slow"), NULL});
    assert_true(recording.heard.count > 5);
    assert_null(recording.heard.times_ns);
    assert_null(recording.info.capture_clock);
    assert_int_equal(recording.info.capture_clock_resolution_ns, 0);
    recording_clear(&recording);
}

int main(int argc, char **argv) {
    traced_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fine_times_lie_between_the_programs_own_readings),
        cmocka_unit_test(coarse_times_lie_between_the_programs_own_readings),
        cmocka_unit_test(times_of_threads_keep_to_the_order_and_to_their_readings),
        cmocka_unit_test(an_allocation_has_the_time_of_its_return_and_a_free_that_of_its_call),
        cmocka_unit_test(time_goes_on_across_an_exec),
        cmocka_unit_test(the_description_names_the_clock),
        cmocka_unit_test(without_being_asked_for_there_are_no_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
