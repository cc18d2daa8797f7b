#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#include "traces/tracker.h"

static struct tracker *tracker_of(const struct event *events, size_t count) {
    struct tracker *tracker = NULL;
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    struct placement placements[16];
    size_t applied = 0;
    assert_true(count <= 16);
    assert_int_equal(tracker_apply(tracker, events, count, placements, &applied), ERR_OK);
    assert_int_equal(applied, count);
    return tracker;
}

static enum err refusal_of(const struct event *events, size_t count, char *text, size_t text_bytes) {
    struct tracker *tracker = NULL;
    struct array_source array = {.events = events, .count = count};
    struct event_source source = array_source_events(&array);
    struct diag diag = {0};
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    enum err err = tracker_run(tracker, &source, &diag);
    diag_format(&diag, text, text_bytes);
    tracker_destroy(tracker);
    return err;
}

static void free_of_an_unknown_block_is_refused(void **state) {
    (void)state;
    char text[512];
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 8},
        {.kind = EVENT_FREE, .block = event_block_name(0, 2)},
    };
    assert_int_equal(refusal_of(events, 2, text, sizeof text), ERR_INVALID);
    assert_string_equal(text, "array: byte 0: event 1: free of block 2 of thread 0, which was never allocated");
}

static void double_free_is_refused(void **state) {
    (void)state;
    char text[512];
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 8},
        {.kind = EVENT_FREE, .block = event_block_name(0, 1)},
        {.kind = EVENT_FREE, .block = event_block_name(0, 1)},
    };
    assert_int_equal(refusal_of(events, 3, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, "event 2: free of block 1 of thread 0, which was freed before (double free)"));
}

static void realloc_ends_the_old_block(void **state) {
    (void)state;
    char text[512];
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 8},
        {.kind = EVENT_REALLOC, .block = event_block_name(0, 1), .size_bytes = 16},
        {.kind = EVENT_FREE, .block = event_block_name(0, 1)},
    };
    assert_int_equal(refusal_of(events, 3, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, "double free"));
}

static void a_request_beyond_2_to_the_47_is_refused(void **state) {
    (void)state;
    char text[512];
    const struct event largest = {.kind = EVENT_MALLOC, .size_bytes = EVENT_SIZE_MAX};
    const struct event larger = {.kind = EVENT_CALLOC, .size_bytes = EVENT_SIZE_MAX + 1};
    assert_int_equal(refusal_of(&largest, 1, text, sizeof text), ERR_OK);
    assert_int_equal(refusal_of(&larger, 1, text, sizeof text), ERR_LIMIT);
    assert_non_null(strstr(text, "larger than 2^47"));
}

static void threads_appear_in_order(void **state) {
    (void)state;
    char text[512];
    const struct event events[] = {{.kind = EVENT_THREAD_START, .thread = 0}, {.kind = EVENT_MALLOC, .thread = 2}};
    assert_int_equal(refusal_of(events, 2, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, "thread 2 appears before thread 1"));
}

static void a_refused_event_changes_nothing(void **state) {
    (void)state;
    const struct event birth = {.kind = EVENT_MALLOC, .size_bytes = 100};
    const struct event bad[] = {
        {.kind = EVENT_FREE, .block = event_block_name(0, 9)},
        {.kind = EVENT_REALLOC, .block = event_block_name(1, 1), .size_bytes = 7},
        {.kind = EVENT_MALLOC, .size_bytes = EVENT_SIZE_MAX + 1},
        {.kind = EVENT_MALLOC, .thread = 7},
        {.kind = EVENT_KIND_COUNT},
        {.kind = EVENT_MALLOC, .domain = DOMAIN_COUNT},
    };
    struct tracker *tracker = tracker_of(&birth, 1);
    const struct trace_summary before = *tracker_summary(tracker);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct placement placement;
        size_t applied = 7;
        assert_int_not_equal(tracker_apply(tracker, &bad[i], 1, &placement, &applied), ERR_OK);
        assert_int_equal(applied, 0);
        assert_memory_equal(&before, tracker_summary(tracker), sizeof before);
    }
    tracker_destroy(tracker);
}

static void a_thread_that_made_nothing_may_free_null_for_long(void **state) {
    (void)state;
    struct event events[16];
    for (size_t i = 0; i < 16; i++)
        events[i] = (struct event){.kind = EVENT_FREE};
    struct tracker *tracker = tracker_of(events, 16);
    assert_int_equal(tracker_summary(tracker)->free_null_count, 16);
    tracker_destroy(tracker);
}

static void the_summary_counts_what_happened(void **state) {
    (void)state;
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 100, .domain = DOMAIN_OBJ},
        {.kind = EVENT_CALLOC, .size_bytes = 50, .domain = DOMAIN_RAW},
        {.kind = EVENT_FREE, .block = 0},
        {.kind = EVENT_REALLOC, .size_bytes = 10, .domain = DOMAIN_MEM},
        {.kind = EVENT_THREAD_START, .thread = 1},
        {.kind = EVENT_FREE, .thread = 1, .block = event_block_name(0, 1)},
        {.kind = EVENT_REALLOC, .block = event_block_name(0, 2), .size_bytes = 60},
    };
    struct tracker *tracker = tracker_of(events, 7);
    const struct trace_summary *summary = tracker_summary(tracker);
    assert_int_equal(summary->event_count, 7);
    assert_int_equal(summary->operation_count, 6);
    assert_int_equal(summary->thread_count, 2);
    assert_int_equal(summary->kind_counts[EVENT_REALLOC], 2);
    assert_int_equal(summary->free_null_count, 1);
    assert_int_equal(summary->realloc_null_count, 1);
    assert_int_equal(summary->cross_thread_count, 1);
    assert_int_equal(summary->domain_counts[DOMAIN_OBJ], 2);
    assert_int_equal(summary->domain_counts[DOMAIN_RAW], 2);
    assert_int_equal(summary->requested_bytes, 220);
    assert_int_equal(summary->live_peak_bytes, 160);
    assert_int_equal(summary->live_peak_blocks, 3);
    assert_int_equal(summary->live_end_bytes, 70);
    assert_int_equal(summary->live_end_blocks, 2);
    assert_int_equal(summary->largest_request_bytes, 100);
    tracker_destroy(tracker);
}

/* A naive model: every block ever made with its slot; no two live blocks may share one. */
static void slots_are_dense_and_never_shared(void **state) {
    (void)state;
    enum { COUNT = 60000, THREADS = 9 };
    struct event *events = random_trace_make(support_seed(1), COUNT, THREADS);
    struct tracker *tracker = NULL;
    uint64_t *owner = calloc(COUNT + 2, sizeof *owner); /* block name per slot, 0 = vacant */
    uint64_t births[THREADS] = {0};
    uint64_t live = 0, peak = 0;
    struct placement *placements = calloc(COUNT, sizeof *placements);
    size_t applied = 0;
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    assert_int_equal(tracker_apply(tracker, events, COUNT, placements, &applied), ERR_OK);
    assert_int_equal(applied, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct placement placement = placements[i];
        if (!event_is_operation(events[i].kind))
            continue;
        if (events[i].block) {
            assert_int_equal(owner[placement.slot], events[i].block);
            owner[placement.slot] = 0;
            live--;
        }
        if (event_makes_block(events[i].kind)) {
            assert_int_not_equal(placement.slot, 0);
            assert_int_equal(owner[placement.slot], 0);
            owner[placement.slot] = event_block_name(events[i].thread, ++births[events[i].thread]);
            peak = ++live > peak ? live : peak;
        }
        assert_int_equal(placement.live_blocks, live);
    }
    assert_int_equal(tracker_slot_peak(tracker), peak);
    assert_int_equal(tracker_summary(tracker)->live_end_blocks, live);
    tracker_destroy(tracker);
    free(placements);
    free(owner);
    free(events);
}

/* Survivors of pages that became sparse are found in the hash map, once. */
static void sparse_survivors_are_found_once(void **state) {
    (void)state;
    enum { COUNT = 50000, STEP = 100 };
    struct tracker *tracker = NULL;
    struct event *events = calloc(COUNT, sizeof *events);
    struct placement *births = calloc(COUNT, sizeof *births);
    struct placement death;
    size_t applied;
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    for (size_t i = 0; i < COUNT; i++)
        events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = i};
    assert_int_equal(tracker_apply(tracker, events, COUNT, births, &applied), ERR_OK);
    for (int survivors = 0; survivors < 2; survivors++) {
        for (size_t i = 0; i < COUNT; i++) {
            if ((i % STEP == 0) != survivors)
                continue;
            struct event event = {.kind = EVENT_FREE, .block = event_block_name(0, i + 1)};
            assert_int_equal(tracker_apply(tracker, &event, 1, &death, &applied), ERR_OK);
            assert_int_equal(death.slot, births[i].slot);
            assert_int_equal(tracker_apply(tracker, &event, 1, &death, &applied), ERR_INVALID);
        }
    }
    assert_int_equal(tracker_summary(tracker)->live_end_blocks, 0);
    assert_int_equal(tracker_summary(tracker)->live_end_bytes, 0);
    tracker_destroy(tracker);
    free(events);
    free(births);
}

static enum err timed_run(const uint64_t *times_ns, size_t count, struct trace_summary *summary, char text[512]) {
    static const struct event events[8] = {{.kind = EVENT_MALLOC, .size_bytes = 1}};
    struct tracker *tracker = NULL;
    struct array_source array = {.events = events, .count = count, .run = 2, .times_ns = times_ns};
    struct event_source source = array_source_events(&array);
    struct diag diag = {0};
    assert_true(count <= 8);
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    enum err err = tracker_run(tracker, &source, &diag);
    diag_format(&diag, text, 512);
    *summary = *tracker_summary(tracker);
    tracker_destroy(tracker);
    return err;
}

static void the_summary_has_the_first_and_the_last_time(void **state) {
    (void)state;
    struct trace_summary summary;
    char text[512];
    const uint64_t times_ns[] = {7, 7, 9, EVENT_TIME_END_NS - 1, EVENT_TIME_END_NS - 1};
    assert_int_equal(timed_run(times_ns, 5, &summary, text), ERR_OK);
    assert_int_equal(summary.timed_count, 5);
    assert_int_equal(summary.time_first_ns, 7);
    assert_int_equal(summary.time_last_ns, EVENT_TIME_END_NS - 1);
    assert_int_equal(timed_run(NULL, 5, &summary, text), ERR_OK);
    assert_int_equal(summary.timed_count, 0);
    assert_int_equal(summary.time_last_ns, 0);
}

static void times_that_go_back_are_refused(void **state) {
    (void)state;
    struct trace_summary summary;
    char text[512];
    const uint64_t within[] = {5, 4, 9}, between[] = {5, 6, 5}, beyond[] = {0, 1, 1, EVENT_TIME_END_NS};
    assert_int_equal(timed_run(within, 3, &summary, text), ERR_INVALID);
    assert_string_equal(text, "array: byte 0: event 1: its time, 4 ns, is below that of the event before it");
    assert_int_equal(timed_run(between, 3, &summary, text), ERR_INVALID);
    assert_non_null(strstr(text, "event 2: its time, 5 ns, is below"));
    assert_int_equal(timed_run(beyond, 4, &summary, text), ERR_INVALID);
    assert_non_null(strstr(text, "event 3: its time, 9223372036854775808 ns, is beyond 2^63 ns"));
    assert_int_equal(timed_run(beyond + 3, 1, &summary, text), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_of_an_unknown_block_is_refused),
        cmocka_unit_test(double_free_is_refused),
        cmocka_unit_test(realloc_ends_the_old_block),
        cmocka_unit_test(a_request_beyond_2_to_the_47_is_refused),
        cmocka_unit_test(threads_appear_in_order),
        cmocka_unit_test(a_refused_event_changes_nothing),
        cmocka_unit_test(a_thread_that_made_nothing_may_free_null_for_long),
        cmocka_unit_test(the_summary_counts_what_happened),
        cmocka_unit_test(slots_are_dense_and_never_shared),
        cmocka_unit_test(sparse_survivors_are_found_once),
        cmocka_unit_test(the_summary_has_the_first_and_the_last_time),
        cmocka_unit_test(times_that_go_back_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
