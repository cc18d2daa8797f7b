/* The sink in a thread of its own: order, the bound, errors. */
#include "tests/support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traces/record/record_stage.h"

struct slow_sink {
    uint64_t next_size;
    uint64_t run_count;
    uint64_t fail_at_run; /* 0 = never */
    useconds_t sleep_us;
    bool is_in_order;
    bool is_late;
    unsigned press_count;
};

static enum err slow_put(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct slow_sink *sink = ctx;
    if (++sink->run_count == sink->fail_at_run)
        return diag_set(diag, ERR_IO, "disk", "no space");
    if (sink->sleep_us)
        usleep(sink->sleep_us);
    for (size_t i = 0; i < count; i++)
        sink->is_in_order = sink->is_in_order && events[i].size_bytes == sink->next_size++;
    return ERR_OK;
}

static void slow_press(void *ctx, bool is_late) {
    struct slow_sink *sink = ctx;
    sink->press_count++;
    sink->is_late = is_late;
}

static enum err runs_put(struct stage *stage, uint64_t run_count, size_t run_events, struct diag *diag) {
    struct event_sink sink = stage_sink(stage);
    struct event *events = calloc(run_events, sizeof *events);
    uint64_t size = 0;
    enum err err = ERR_OK;
    for (uint64_t run = 0; !err && run < run_count; run++) {
        for (size_t i = 0; i < run_events; i++)
            events[i].size_bytes = size++;
        err = sink.put(sink.ctx, events, run_events, diag);
    }
    free(events);
    return err;
}

static void everything_arrives_in_order_and_the_flush_waits_for_it(void **state) {
    (void)state;
    struct slow_sink slow = {.is_in_order = true, .sleep_us = 10};
    struct stage *stage;
    assert_int_equal(stage_create(&stage), ERR_OK);
    stage_begin(stage, (struct event_sink){.ctx = &slow, .put = slow_put});
    assert_int_equal(runs_put(stage, STAGE_RUN_COUNT + 1000, 100, NULL), ERR_OK);
    assert_int_equal(stage_flush(stage, NULL), ERR_OK);
    assert_int_equal(slow.next_size, (STAGE_RUN_COUNT + 1000) * 100);
    assert_true(slow.is_in_order);
    stage_destroy(stage);
}

static void stages_that_share_a_queue_have_each_its_own_sink_and_error(void **state) {
    (void)state;
    struct slow_sink slow[3] = {{.is_in_order = true}, {.is_in_order = true, .fail_at_run = 5}, {.is_in_order = true}};
    struct stage *stages[3];
    assert_int_equal(stage_create(&stages[0]), ERR_OK);
    assert_int_equal(stage_join(stages[0], &stages[1]), ERR_OK);
    assert_int_equal(stage_join(stages[1], &stages[2]), ERR_OK);
    for (int i = 0; i < 3; i++)
        stage_begin(stages[i], (struct event_sink){.ctx = &slow[i], .put = slow_put});
    assert_int_equal(runs_put(stages[0], 2000, 100, NULL), ERR_OK);
    runs_put(stages[1], 2000, 100, NULL); /* fails at once or later */
    assert_int_equal(runs_put(stages[2], 2000, 100, NULL), ERR_OK);
    assert_int_equal(stage_flush(stages[1], NULL), ERR_IO);
    assert_int_equal(slow[1].run_count, 5);
    assert_int_equal(stage_flush(stages[0], NULL), ERR_OK);
    assert_int_equal(slow[0].next_size, 200000);
    stage_destroy(stages[0]); /* the one that made the queue is not the one that must go last */
    stage_destroy(stages[1]);
    assert_int_equal(stage_flush(stages[2], NULL), ERR_OK);
    assert_int_equal(slow[2].next_size, 200000);
    assert_true(slow[0].is_in_order && slow[2].is_in_order);
    stage_destroy(stages[2]);
}

static void a_failure_of_the_sink_comes_back(void **state) {
    (void)state;
    struct slow_sink slow = {.is_in_order = true, .fail_at_run = 5};
    struct diag diag = {0};
    struct stage *stage;
    assert_int_equal(stage_create(&stage), ERR_OK);
    stage_begin(stage, (struct event_sink){.ctx = &slow, .put = slow_put});
    assert_int_equal(runs_put(stage, 20 * STAGE_RUN_COUNT, 10, &diag), ERR_IO);
    assert_string_equal(diag.text, "no space");
    memset(&diag, 0, sizeof diag);
    assert_int_equal(stage_flush(stage, &diag), ERR_IO);
    assert_string_equal(diag.text, "no space");
    assert_int_equal(slow.run_count, 5); /* and nothing more was put */
    stage_destroy(stage);
}

/* Runs that cannot all be queued before the first is through, then one when all is. */
static void a_sink_that_falls_behind_is_told_and_told_again_when_it_has_caught_up(void **state) {
    (void)state;
    struct slow_sink slow = {.is_in_order = true, .sleep_us = 50};
    struct stage *stage;
    assert_int_equal(stage_create(&stage), ERR_OK);
    stage_begin(stage, (struct event_sink){.ctx = &slow, .put = slow_put, .press = slow_press});
    assert_int_equal(runs_put(stage, 1, 10, NULL), ERR_OK);
    assert_int_equal(stage_flush(stage, NULL), ERR_OK);
    assert_int_equal(slow.press_count, 0);
    slow.next_size = 0;
    assert_int_equal(runs_put(stage, STAGE_RUN_COUNT + 1000, 10, NULL), ERR_OK);
    assert_int_equal(stage_flush(stage, NULL), ERR_OK);
    assert_true(slow.press_count >= 2);
    assert_false(slow.is_late);
    assert_true(slow.is_in_order);
    stage_destroy(stage);
}

static void a_stage_that_is_given_up_ends_at_once(void **state) {
    (void)state;
    struct slow_sink slow = {.is_in_order = true, .sleep_us = 1000};
    struct stage *stage;
    assert_int_equal(stage_create(&stage), ERR_OK);
    stage_begin(stage, (struct event_sink){.ctx = &slow, .put = slow_put});
    assert_int_equal(runs_put(stage, 2000, 10, NULL), ERR_OK);
    stage_destroy(stage);
    assert_true(slow.run_count < 2000);
    stage_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order_and_the_flush_waits_for_it),
        cmocka_unit_test(stages_that_share_a_queue_have_each_its_own_sink_and_error),
        cmocka_unit_test(a_failure_of_the_sink_comes_back),
        cmocka_unit_test(a_sink_that_falls_behind_is_told_and_told_again_when_it_has_caught_up),
        cmocka_unit_test(a_stage_that_is_given_up_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
