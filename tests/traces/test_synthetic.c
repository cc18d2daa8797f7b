#include "tests/support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "traces/python_sizes.h"
#include "traces/synthetic.h"
#include "traces/tracker.h"

/* A generated trace, the blocks live after each event and the tracker's counts. */
struct generated {
    struct array_sink array;
    uint32_t *live_blocks;
    struct trace_summary summary;
};

/* Generates, and holds every trace to being valid by the tracker. */
static struct generated generate(struct synthetic_settings settings) {
    struct generated made = {.live_blocks = NULL};
    struct event_sink sink = array_sink_events(&made.array);
    struct tracker *tracker = NULL;
    assert_int_equal(synthetic_complete(&settings, NULL), ERR_OK);
    assert_int_equal(synthetic_write(&settings, &sink, NULL), ERR_OK);
    made.live_blocks = calloc(made.array.count, sizeof *made.live_blocks);
    assert_non_null(made.live_blocks);
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    for (size_t i = 0; i < made.array.count; i++) {
        struct placement placement;
        size_t applied;
        assert_int_equal(tracker_apply(tracker, &made.array.events[i], 1, &placement, &applied), ERR_OK);
        made.live_blocks[i] = placement.live_blocks;
    }
    made.summary = *tracker_summary(tracker);
    tracker_destroy(tracker);
    return made;
}

static void generated_free(struct generated *made) {
    free(made->array.events);
    free(made->live_blocks);
}

static const struct synthetic_sizes size_64 = {.min_bytes = 64, .max_bytes = 64};

/* The number of the block that the n-th free (from 0) gives back. */
static uint64_t freed_block(const struct generated *made, size_t n) {
    for (size_t i = 0; i < made->array.count; i++)
        if (made->array.events[i].kind == EVENT_FREE && n-- == 0)
            return event_block_seq(made->array.events[i].block);
    fail_msg("fewer frees than expected");
    return 0;
}

static void pair_frees_what_it_just_made(void **state) {
    (void)state;
    struct generated made = generate((struct synthetic_settings){
        .model = SYNTHETIC_PAIR, .operation_count = 10000, .sizes = size_64, .domain = DOMAIN_OBJ});
    assert_int_equal(made.summary.operation_count, 10000);
    assert_int_equal(made.summary.live_peak_blocks, 1);
    assert_int_equal(made.summary.domain_counts[DOMAIN_OBJ], 10000);
    for (size_t i = 0; i < made.array.count; i += 2) {
        assert_int_equal(made.array.events[i].kind, EVENT_MALLOC);
        assert_int_equal(made.array.events[i + 1].block, event_block_name(0, i / 2 + 1));
    }
    generated_free(&made);
}

static void pair_stands_on_live_less_one_blocks(void **state) {
    (void)state;
    struct generated made = generate((struct synthetic_settings){
        .model = SYNTHETIC_PAIR, .operation_count = 1001, .live_count = 100, .sizes = size_64});
    assert_int_equal(made.summary.live_peak_blocks, 100);
    assert_int_equal(made.summary.live_end_blocks, 99);
    assert_int_equal(made.summary.operation_count, 1001); /* 99, and 451 pairs */
    assert_int_equal(freed_block(&made, 0), 100);
    generated_free(&made);
}

static void lifo_frees_the_newest_first(void **state) {
    (void)state;
    struct generated made = generate(
        (struct synthetic_settings){.model = SYNTHETIC_LIFO, .live_count = 50, .cycle_count = 3, .sizes = size_64});
    assert_int_equal(made.summary.operation_count, 3 * 2 * 50);
    assert_int_equal(made.summary.live_peak_blocks, 50);
    assert_int_equal(made.summary.live_end_blocks, 0);
    for (size_t n = 0; n < 150; n++)
        assert_int_equal(freed_block(&made, n), n / 50 * 50 + 50 - n % 50);
    generated_free(&made);
}

static void fifo_frees_the_oldest(void **state) {
    (void)state;
    struct generated made = generate((struct synthetic_settings){
        .model = SYNTHETIC_FIFO, .live_count = 50, .operation_count = 1050, .sizes = size_64});
    assert_int_equal(made.summary.operation_count, 1050);
    assert_int_equal(made.summary.live_peak_blocks, 50);
    assert_int_equal(made.summary.live_end_blocks, 50);
    for (size_t n = 0; n < 500; n++)
        assert_int_equal(freed_block(&made, n), n + 1);
    generated_free(&made);
}

static void replace_holds_its_number_of_blocks(void **state) {
    (void)state;
    struct generated made = generate((struct synthetic_settings){
        .model = SYNTHETIC_REPLACE, .live_count = 1000, .operation_count = 41000, .sizes = size_64, .seed = 5});
    for (size_t i = 1000; i < made.array.count; i++)
        assert_in_range(made.live_blocks[i], 999, 1000);
    assert_int_equal(made.summary.live_peak_blocks, 1000);
    assert_int_equal(made.summary.operation_count, 41000);
    generated_free(&made);
}

/* Of n draws from k places a share of exp(-n/k) places is never drawn. */
static void replace_chooses_at_random(void **state) {
    (void)state;
    enum { LIVE = 10000 };
    struct generated made = generate((struct synthetic_settings){.model = SYNTHETIC_REPLACE,
                                                                 .live_count = LIVE,
                                                                 .operation_count = 3 * LIVE,
                                                                 .sizes = size_64,
                                                                 .seed = support_seed(1)});
    size_t first_survivors = LIVE;
    for (size_t n = 0; n < LIVE; n++)
        first_survivors -= event_block_seq(made.array.events[LIVE + 2 * n].block) <= LIVE;
    assert_in_range(first_survivors, LIVE * 34 / 100, LIVE * 40 / 100); /* 1/e is 36.8 % */
    generated_free(&made);
}

static void ramp_grows_and_shrinks_to_nothing(void **state) {
    (void)state;
    struct generated made = generate(
        (struct synthetic_settings){.model = SYNTHETIC_RAMP, .live_count = 100, .cycle_count = 4, .sizes = size_64});
    assert_int_equal(made.summary.operation_count, 4 * 200);
    for (size_t cycle = 0; cycle < 4; cycle++) {
        assert_int_equal(made.live_blocks[cycle * 200 + 99], 100);
        assert_int_equal(made.live_blocks[cycle * 200 + 199], 0);
    }
    bool in_order = true;
    for (size_t n = 1; n < 100; n++)
        in_order &= freed_block(&made, n) > freed_block(&made, n - 1);
    assert_false(in_order);
    generated_free(&made);
}

static void ramp_frees_in_the_order_asked_for(void **state) {
    (void)state;
    struct synthetic_settings settings = {.model = SYNTHETIC_RAMP,
                                          .live_count = 100,
                                          .cycle_count = 1,
                                          .sizes = size_64,
                                          .order = SYNTHETIC_ORDER_OLDEST};
    struct generated oldest = generate(settings);
    settings.order = SYNTHETIC_ORDER_NEWEST;
    struct generated newest = generate(settings);
    for (size_t n = 0; n < 100; n++) {
        assert_int_equal(freed_block(&oldest, n), n + 1);
        assert_int_equal(freed_block(&newest, n), 100 - n);
    }
    generated_free(&oldest);
    generated_free(&newest);
}

static void ramp_keeps_every_kth_block(void **state) {
    (void)state;
    for (int order = 0; order < SYNTHETIC_ORDER_COUNT; order++) {
        struct generated made = generate((struct synthetic_settings){.model = SYNTHETIC_RAMP,
                                                                     .live_count = 100,
                                                                     .cycle_count = 3,
                                                                     .keep_every = 10,
                                                                     .sizes = size_64,
                                                                     .order = (enum synthetic_order)order});
        assert_int_equal(made.summary.operation_count, 190 + 180 + 180);
        assert_int_equal(made.summary.live_peak_blocks, 100);
        assert_int_equal(made.live_blocks[189], 10);
        assert_int_equal(made.live_blocks[189 + 180], 10);
        assert_int_equal(made.summary.live_end_blocks, 10);
        for (size_t n = 0; n < 90; n++) /* of the first hundred, blocks 1, 11, 21, … stay */
            assert_int_not_equal(freed_block(&made, n) % 10, 1);
        generated_free(&made);
    }
}

static void lengths_are_rounded_up_to_whole_cycles(void **state) {
    (void)state;
    struct synthetic_settings settings = {
        .model = SYNTHETIC_RAMP, .live_count = 100, .operation_count = 201, .sizes = size_64};
    struct generated ramp = generate(settings);
    assert_int_equal(ramp.summary.operation_count, 400);
    settings.model = SYNTHETIC_PAIR;
    struct generated pair = generate(settings);
    assert_int_equal(pair.summary.operation_count, 201);
    generated_free(&ramp);
    generated_free(&pair);
}

static void the_same_seed_makes_the_same_trace(void **state) {
    (void)state;
    uint64_t seed = support_seed(7);
    for (int model = 0; model < SYNTHETIC_MODEL_COUNT; model++) {
        struct synthetic_settings settings = {.model = (enum synthetic_model)model,
                                              .live_count = 100,
                                              .operation_count = 5000,
                                              .sizes = {.is_python = true},
                                              .seed = seed};
        struct generated one = generate(settings), again = generate(settings);
        settings.seed++;
        struct generated other = generate(settings);
        assert_int_equal(one.array.count, again.array.count);
        assert_memory_equal(one.array.events, again.array.events, one.array.count * sizeof *one.array.events);
        assert_int_equal(one.array.count, other.array.count);
        assert_memory_not_equal(one.array.events, other.array.events, one.array.count * sizeof *one.array.events);
        generated_free(&one);
        generated_free(&again);
        generated_free(&other);
    }
}

/* Held for ever: a trace that a report names by its command must be made again by it. */
static void the_numbers_drawn_never_change(void **state) {
    (void)state;
    struct generated made = generate((struct synthetic_settings){.model = SYNTHETIC_REPLACE,
                                                                 .live_count = 1000,
                                                                 .operation_count = 10000,
                                                                 .sizes = {.is_python = true},
                                                                 .seed = 1});
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over what was asked for and given back */
    for (size_t i = 0; i < made.array.count; i++)
        hash = (hash ^ made.array.events[i].size_bytes ^ made.array.events[i].block) * 0x100000001b3u;
    assert_true(hash == 0x49827da338dc8f40u);
    generated_free(&made);
}

static void range_sizes_are_uniform_and_reach_both_ends(void **state) {
    (void)state;
    uint64_t counts[20] = {0};
    struct generated made = generate((struct synthetic_settings){.model = SYNTHETIC_PAIR,
                                                                 .operation_count = 20000,
                                                                 .sizes = {.min_bytes = 5, .max_bytes = 14},
                                                                 .seed = support_seed(3)});
    for (size_t i = 0; i < made.array.count; i += 2) {
        assert_in_range(made.array.events[i].size_bytes, 5, 14);
        counts[made.array.events[i].size_bytes]++;
    }
    for (size_t bytes = 5; bytes <= 14; bytes++)
        assert_in_range(counts[bytes], 850, 1150); /* 1000, and 5 standard deviations */
    generated_free(&made);
}

static void python_sizes_follow_their_table(void **state) {
    (void)state;
    enum { DRAWS = 200000 };
    uint64_t counts[PYTHON_SIZES_COUNT] = {0};
    struct generated made = generate((struct synthetic_settings){
        .model = SYNTHETIC_PAIR, .operation_count = 2 * DRAWS, .sizes = {.is_python = true}, .seed = support_seed(4)});
    for (size_t i = 0; i < made.array.count; i += 2) {
        uint64_t bytes = made.array.events[i].size_bytes;
        assert_true(bytes && bytes % 8 == 0 && bytes <= 512);
        counts[bytes / 8 - 1]++;
    }
    for (size_t i = 0; i < PYTHON_SIZES_COUNT; i++) {
        double expected = (double)python_size_weights[i] * DRAWS / PYTHON_SIZES_TOTAL;
        double off = (double)counts[i] - expected;
        assert_true(off * off < 25 * (expected + 1)); /* 5 standard deviations */
    }
    generated_free(&made);
}

static void the_weights_add_up(void **state) {
    (void)state;
    uint64_t sum = 0;
    for (size_t i = 0; i < PYTHON_SIZES_COUNT; i++)
        sum += python_size_weights[i];
    assert_int_equal(sum, PYTHON_SIZES_TOTAL);
}

static void sizes_are_read_strictly(void **state) {
    (void)state;
    struct synthetic_sizes sizes = {0};
    assert_int_equal(synthetic_sizes_parse("16-512", &sizes, NULL), ERR_OK);
    assert_true(sizes.min_bytes == 16 && sizes.max_bytes == 512 && !sizes.is_python);
    assert_int_equal(synthetic_sizes_parse("1K-1M", &sizes, NULL), ERR_OK);
    assert_true(sizes.min_bytes == 1024 && sizes.max_bytes == 1 << 20);
    assert_int_equal(synthetic_sizes_parse("python", &sizes, NULL), ERR_OK);
    assert_true(sizes.is_python);
    assert_int_equal(synthetic_sizes_parse("0", &sizes, NULL), ERR_OK);
    assert_false(sizes.is_python);
    static const char *const wrong[] = {"",         "-",   "16-",   "-16", "16-8",
                                        "16-32-64", "12x", "pythn", "1e3", "11111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(synthetic_sizes_parse(wrong[i], &sizes, NULL), ERR_USAGE);
    assert_int_equal(synthetic_sizes_parse("1-256T", &sizes, NULL), ERR_LIMIT);
    assert_true(sizes.min_bytes == 0 && sizes.max_bytes == 0);
}

static enum err completion(struct synthetic_settings settings) {
    struct synthetic_settings before = settings;
    enum err err = synthetic_complete(&settings, NULL);
    if (err)
        assert_memory_equal(&settings, &before, sizeof before);
    return err;
}

static void settings_that_do_not_fit_are_refused(void **state) {
    (void)state;
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_PAIR, .cycle_count = 1}), ERR_USAGE);
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_LIFO, .keep_every = 5}), ERR_USAGE);
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_RAMP, .keep_every = 1}), ERR_USAGE);
    assert_int_equal(
        completion((struct synthetic_settings){.model = SYNTHETIC_RAMP, .cycle_count = 1, .operation_count = 1}),
        ERR_USAGE);
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_FIFO, .order = SYNTHETIC_ORDER_OLDEST}),
                     ERR_USAGE);
    assert_int_equal(
        completion((struct synthetic_settings){.model = SYNTHETIC_REPLACE, .live_count = 10, .operation_count = 9}),
        ERR_USAGE);
    assert_int_equal(
        completion((struct synthetic_settings){.model = SYNTHETIC_REPLACE, .live_count = (uint64_t)1 << 28}),
        ERR_LIMIT);
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_LIFO, .cycle_count = UINT64_MAX}),
                     ERR_LIMIT);
    assert_int_equal(completion((struct synthetic_settings){.model = SYNTHETIC_PAIR, .operation_count = UINT64_MAX}),
                     ERR_LIMIT);
}

static void defaults_are_filled_in(void **state) {
    (void)state;
    struct synthetic_settings settings = {.model = SYNTHETIC_REPLACE, .live_count = 1000000};
    assert_int_equal(synthetic_complete(&settings, NULL), ERR_OK);
    assert_int_equal(settings.operation_count, 8000000);
    settings = (struct synthetic_settings){.model = SYNTHETIC_PAIR};
    assert_int_equal(synthetic_complete(&settings, NULL), ERR_OK);
    assert_int_equal(settings.operation_count, 4000000);
    assert_int_equal(settings.live_count, 1);
}

static void an_unknown_model_names_the_nearest(void **state) {
    (void)state;
    enum synthetic_model model = SYNTHETIC_RAMP;
    struct diag diag;
    assert_int_equal(synthetic_model_parse("replce", &model, &diag), ERR_USAGE);
    assert_string_equal(diag.text, "unknown model 'replce'; did you mean 'replace'?");
    assert_int_equal(synthetic_model_parse("whirlwind", &model, &diag), ERR_USAGE);
    assert_string_equal(diag.text, "unknown model 'whirlwind'; there are pair, lifo, fifo, replace and ramp");
    assert_int_equal(model, SYNTHETIC_RAMP);
    for (int i = 0; i < SYNTHETIC_MODEL_COUNT; i++) {
        assert_int_equal(synthetic_model_parse(synthetic_models[i].name, &model, NULL), ERR_OK);
        assert_int_equal(model, i);
    }
}

static enum err full_put(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    (void)events;
    (void)count;
    ++*(int *)ctx;
    return diag_set(diag, ERR_IO, NULL, "full");
}

static void a_sink_that_fails_ends_the_trace(void **state) {
    (void)state;
    int calls = 0;
    struct event_sink sink = {.ctx = &calls, .put = full_put};
    for (int model = 0; model < SYNTHETIC_MODEL_COUNT; model++) {
        struct synthetic_settings settings = {.model = (enum synthetic_model)model, .sizes = size_64};
        struct diag diag = {0};
        assert_int_equal(synthetic_complete(&settings, NULL), ERR_OK);
        assert_int_equal(synthetic_write(&settings, &sink, &diag), ERR_IO);
        assert_string_equal(diag.text, "full");
        assert_int_equal(calls, model + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_frees_what_it_just_made),
        cmocka_unit_test(pair_stands_on_live_less_one_blocks),
        cmocka_unit_test(lifo_frees_the_newest_first),
        cmocka_unit_test(fifo_frees_the_oldest),
        cmocka_unit_test(replace_holds_its_number_of_blocks),
        cmocka_unit_test(replace_chooses_at_random),
        cmocka_unit_test(ramp_grows_and_shrinks_to_nothing),
        cmocka_unit_test(ramp_frees_in_the_order_asked_for),
        cmocka_unit_test(ramp_keeps_every_kth_block),
        cmocka_unit_test(lengths_are_rounded_up_to_whole_cycles),
        cmocka_unit_test(the_same_seed_makes_the_same_trace),
        cmocka_unit_test(the_numbers_drawn_never_change),
        cmocka_unit_test(range_sizes_are_uniform_and_reach_both_ends),
        cmocka_unit_test(python_sizes_follow_their_table),
        cmocka_unit_test(the_weights_add_up),
        cmocka_unit_test(sizes_are_read_strictly),
        cmocka_unit_test(settings_that_do_not_fit_are_refused),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(an_unknown_model_names_the_nearest),
        cmocka_unit_test(a_sink_that_fails_ends_the_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
