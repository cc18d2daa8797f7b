#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "compare/arena_parts.h"
#include "compare/curves.h"
#include "compare/metrics.h"

enum { KIB = 1024, MIB = 1024 * KIB };

/*
 * A hand-made experiment: two rounds on `libc`, `pool` and null, and this curve, in MiB:
 *     operation      0    100    200    300    400
 *     live           0      4      8      2      1
 *     resident       0      6     10      8      4
 *     usable         0      5     10    2.5      2
 *     arena          0      8     12     10      6      (pool only)
 */
static struct worker_sample curve_samples[5];
static struct program_header header;
static struct program program;
static struct allocator_result results[3];
static struct time_run times[3][2];
static struct memory_run memories[3][1];
static struct experiment experiment;

static void near(const struct metric_value *value, double wanted) {
    if (value->reason)
        fail_msg("not available: %s", value->reason);
    if (fabs(value->estimate.value - wanted) > 1e-9)
        fail_msg("%.12g is not %.12g", value->estimate.value, wanted);
}

static int experiment_make(void **state) {
    static const double live[] = {0, 4, 8, 2, 1}, resident[] = {0, 6, 10, 8, 4}, usable[] = {0, 5, 10, 2.5, 2};
    static const uint64_t arena[] = {0, 8, 12, 10, 6};
    (void)state;
    memset(results, 0, sizeof results);
    memset(memories, 0, sizeof memories);
    memset(times, 0, sizeof times);
    for (size_t i = 0; i < 5; i++)
        curve_samples[i] = (struct worker_sample){
            .operation_index = 100 * i,
            .live_bytes = (uint64_t)(live[i] * MIB),
            .usable_bytes = (uint64_t)(usable[i] * MIB),
            .resident_bytes = (uint64_t)(resident[i] * MIB),
            .pooled_bytes = (uint64_t)(live[i] * MIB),
            .split = {.arena_bytes_total = arena[i] * MIB, .allocated_blocks_bytes = (uint64_t)(usable[i] * MIB)}};
    curve_samples[4].counts = (struct pool_counts){
        .arenas_mapped_count = 20, .arenas_returned_count = 14, .arenas_peak_count = 12, .arenas_count = 6};
    header = (struct program_header){.sample_count = 5, .peak_sample = 2};
    header.summary.operation_count = 400;
    header.summary.live_peak_bytes = 8 * MIB;
    program = (struct program){.header = &header};
    experiment = (struct experiment){.program = &program, .results = results, .count = 3, .null_index = 2};
    experiment.options = experiment_options_default();
    experiment.options.rounds = 2;
    experiment.options.memory_rounds = 1;
    static const enum worker_backend backends[] = {WORKER_LIBC, WORKER_POOL, WORKER_NULL};
    static const uint64_t elapsed[3][2] = {{4400, 8000}, {8000, 8800}, {400, 800}};
    for (size_t i = 0; i < 3; i++) {
        results[i].allocator.backend = backends[i];
        results[i].times = times[i];
        results[i].memories = memories[i];
        results[i].memory_count = 1;
        memories[i][0].samples = curve_samples;
        memories[i][0].reply = (struct worker_reply){.has_resident = 1, .has_usable_size = 1, .drained_count = 2};
        memories[i][0].reply.drained[0].resident_bytes = 3 * MIB;
        memories[i][0].reply.drained[1].resident_bytes = 2 * MIB;
        for (size_t j = 0; j < 2; j++)
            times[i][j] = (struct time_run){.valid = true, .elapsed_ns = elapsed[i][j], .fault_count = 7};
    }
    return 0;
}

static void fragmentation_follows_the_definitions(void **state) {
    (void)state;
    struct metric_set set;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    /* trapezoids: live (0/2 + 4 + 8 + 2 + 1/2) / 4 = 14.5 / 4; resident (6 + 10 + 8 + 2) / 4 = 26 / 4 */
    near(&set.values[METRIC_FRAG_AVG], 26.0 / 14.5);
    near(&set.values[METRIC_FRAG_AT_LIVE_PEAK], 10.0 / 8);
    near(&set.values[METRIC_FRAG_AT_RESIDENT_PEAK], 10.0 / 8);
    near(&set.values[METRIC_OVERHEAD_PEAK], 10.0 / 8);
    /* shares .2 .2 .2 .5 with weights 100 100 100 50; nothing is usable at 0, which is left out */
    near(&set.values[METRIC_INTERNAL_FRAG], (20.0 + 20 + 20 + 25) / 350);
    metric_set_clear(&set);
}

static void return_follows_the_definitions(void **state) {
    (void)state;
    struct metric_set set;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_RETURN_AT_TROUGH], 1 - (4.0 - 1) / 10);
    near(&set.values[METRIC_TROUGH_RETURN], (10.0 - 4) / (10 - 1));
    near(&set.values[METRIC_RESIDENT_PEAK], 10.0 * MIB);
    near(&set.values[METRIC_END_RESIDENT], 4.0 * MIB);
    near(&set.values[METRIC_DRAINED_RESIDENT], 3.0 * MIB);
    near(&set.values[METRIC_DRAINED_RESIDENT_100MS], 2.0 * MIB);
    near(&set.values[METRIC_DRAINED_RETURN], 1 - 3.0 / 10);
    near(&set.values[METRIC_DRAINED_RETURN_QUIET], 1 - 2.0 / 10);
    assert_non_null(set.values[METRIC_DRAINED_RESIDENT_1S].reason);
    assert_non_null(set.values[METRIC_ARENAS_MAPPED].reason);
    metric_set_clear(&set);
}

static void arenas_are_counted_for_the_pool_only(void **state) {
    (void)state;
    struct metric_set set;
    assert_int_equal(metric_set_compute(&experiment, 1, &set), ERR_OK);
    near(&set.values[METRIC_ARENAS_MAPPED], 20);
    near(&set.values[METRIC_ARENAS_RETURNED], 14);
    near(&set.values[METRIC_ARENAS_PEAK], 12);
    near(&set.values[METRIC_ARENAS_END], 6);
    near(&set.values[METRIC_ARENA_RETURN], 0.7);
    near(&set.values[METRIC_ARENA_FRAG_AVG], (8.0 + 12 + 10 + 3) / 14.5);
    near(&set.values[METRIC_ARENA_FRAG_AT_LIVE_PEAK], 12.0 / 8);
    near(&set.values[METRIC_ARENA_OVERHEAD_PEAK], 12.0 / 8);
    near(&set.values[METRIC_ARENA_INTERNAL_FRAG], (20.0 + 20 + 20 + 25) / 350);
    metric_set_clear(&set);
}

static void times_are_net_of_the_null_run_of_their_round(void **state) {
    (void)state;
    struct metric_set set;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_true(set.values[METRIC_NS_PER_OP].samples[0] == 10);
    assert_true(set.values[METRIC_NS_PER_OP].samples[1] == 18);
    near(&set.values[METRIC_NS_PER_OP], 14);
    near(&set.values[METRIC_NS_PER_OP_RAW], 15.5);
    near(&set.values[METRIC_NULL_NS_PER_OP], 1.5);
    near(&set.values[METRIC_FAULT_COUNT], 7);
    metric_set_clear(&set);
    assert_int_equal(metric_set_compute(&experiment, 2, &set), ERR_OK);
    assert_non_null(set.values[METRIC_NS_PER_OP].reason);
    assert_non_null(set.values[METRIC_FRAG_AVG].reason);
    metric_set_clear(&set);
}

static void a_missing_round_is_left_out_not_counted_as_zero(void **state) {
    (void)state;
    struct metric_set set;
    times[0][0].valid = false;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_NS_PER_OP], 18);
    assert_true(isnan(set.values[METRIC_NS_PER_OP].samples[0]));
    times[0][1].valid = false;
    results[0].memory_count = 0;
    metric_set_clear(&set);
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (i != METRIC_NULL_NS_PER_OP)
            assert_non_null(set.values[i].reason);
    metric_set_clear(&set);
}

static void an_interrupted_experiment_has_samples_of_its_whole_rounds(void **state) {
    (void)state;
    struct metric_set set;
    experiment.interrupted = true;
    experiment.rounds_done = 1;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_int_equal(set.values[METRIC_NS_PER_OP].sample_count, 1);
    near(&set.values[METRIC_NS_PER_OP], 10);
    metric_set_clear(&set);
    experiment.rounds_done = 0; /* and half of the first round is better than nothing */
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_NS_PER_OP], 10);
    metric_set_clear(&set);
    times[0][0].valid = times[0][1].valid = false;
    results[0].memory_count = 0;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_non_null(strstr(set.values[METRIC_NS_PER_OP].reason, "interrupted"));
    assert_non_null(strstr(set.values[METRIC_FRAG_AVG].reason, "interrupted"));
    metric_set_clear(&set);
}

static void without_memory_passes_the_reason_is_that_none_was_asked_for(void **state) {
    (void)state;
    struct metric_set set;
    experiment.options.memory_rounds = 0;
    results[0].memory_count = 0;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_string_equal(set.values[METRIC_FRAG_AVG].reason, "no memory pass was asked for");
    near(&set.values[METRIC_NS_PER_OP], 14);
    metric_set_clear(&set);
}

static void ratios_are_not_given_for_a_tiny_live_set(void **state) {
    (void)state;
    struct metric_set set;
    header.summary.live_peak_bytes = 256 * KIB - 1;
    assert_int_equal(metric_set_compute(&experiment, 1, &set), ERR_OK);
    assert_non_null(set.values[METRIC_FRAG_AVG].reason);
    assert_non_null(set.values[METRIC_ARENA_FRAG_AVG].reason);
    assert_non_null(set.values[METRIC_DRAINED_RETURN].reason);
    near(&set.values[METRIC_RESIDENT_PEAK], 10.0 * MIB);
    near(&set.values[METRIC_ARENA_RETURN], 0.7);
    metric_set_clear(&set);
}

static void what_cannot_be_seen_is_not_available(void **state) {
    (void)state;
    struct metric_set set;
    memories[0][0].reply.has_resident = 0;
    memories[0][0].reply.has_usable_size = 0;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_non_null(set.values[METRIC_FRAG_AVG].reason);
    assert_non_null(set.values[METRIC_RESIDENT_PEAK].reason);
    assert_non_null(set.values[METRIC_INTERNAL_FRAG].reason);
    metric_set_clear(&set);
}

static void a_peak_at_the_end_has_no_trough(void **state) {
    (void)state;
    struct metric_set set;
    header.sample_count = 3;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_non_null(set.values[METRIC_RETURN_AT_TROUGH].reason);
    metric_set_clear(&set);
}

static void nothing_given_back_is_a_trough_return_of_zero(void **state) {
    (void)state;
    struct metric_set set;
    for (size_t i = 2; i < 5; i++)
        curve_samples[i].resident_bytes = 10 * MIB;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_TROUGH_RETURN], 0);
    near(&set.values[METRIC_RETURN_AT_TROUGH], 1 - (10.0 - 1) / 10);
    metric_set_clear(&set);
}

static void what_becomes_resident_behind_the_trough_is_not_returned_there(void **state) {
    (void)state;
    struct metric_set set;
    curve_samples[3].live_bytes = MIB / 2;
    curve_samples[4].resident_bytes = 30 * MIB;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_TROUGH_RETURN], (10.0 - 8) / (10 - 0.5));
    metric_set_clear(&set);
}

static void too_little_that_could_go_back_gives_no_share(void **state) {
    (void)state;
    struct metric_set set;
    curve_samples[2].resident_bytes = 8 * MIB;
    curve_samples[3].live_bytes = curve_samples[4].live_bytes = 8 * MIB - 255 * KIB;
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    assert_non_null(strstr(set.values[METRIC_TROUGH_RETURN].reason, "could have gone back"));
    metric_set_clear(&set);
    curve_samples[2].resident_bytes = 10 * MIB;
    curve_samples[3].live_bytes = curve_samples[4].live_bytes = MIB;
    curve_samples[4].resident_bytes = MIB / 2; /* live blocks that nothing touched */
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_TROUGH_RETURN], (10 - 0.5) / (10 - 1));
    metric_set_clear(&set);
}

static void of_a_plateau_the_fullest_point_is_the_peak(void **state) {
    (void)state;
    struct metric_set set;
    for (size_t i = 2; i < 5; i++)
        curve_samples[i].resident_bytes = 10 * MIB + 4096 * i; /* a page more at every sample, while live falls to 1 */
    assert_int_equal(metric_set_compute(&experiment, 0, &set), ERR_OK);
    near(&set.values[METRIC_FRAG_AT_RESIDENT_PEAK], (10.0 * MIB + 8192) / (8 * MIB));
    near(&set.values[METRIC_RESIDENT_PEAK], 10.0 * MIB + 4 * 4096);
    metric_set_clear(&set);
    struct worker_sample flat[] = {{.live_bytes = 1, .resident_bytes = 5},
                                   {.live_bytes = 3, .resident_bytes = 8},
                                   {.live_bytes = 4, .resident_bytes = 8},
                                   {.live_bytes = 4, .resident_bytes = 8},
                                   {.live_bytes = 9, .resident_bytes = 7}};
    struct curve curve = {flat, 5, 4};
    assert_int_equal(curve_peak_fullest(&curve, curve_resident, curve_live, 0), 2);
    assert_int_equal(curve_peak_fullest(&curve, curve_resident, curve_live, 0.2), 4);
}

static void extra_samples_do_not_shift_a_mean(void **state) {
    (void)state;
    struct worker_sample dense[] = {{.operation_index = 0, .live_bytes = 0},
                                    {.operation_index = 10, .live_bytes = 10},
                                    {.operation_index = 11, .live_bytes = 11},
                                    {.operation_index = 12, .live_bytes = 12},
                                    {.operation_index = 20, .live_bytes = 20}};
    struct curve curve = {dense, 5, 4};
    assert_true(fabs(curve_mean(&curve, curve_live) - 10) < 1e-12);
    curve.count = 1;
    assert_true(curve_mean(&curve, curve_live) == 0);
}

static void every_metric_has_a_key_unit_and_definition(void **state) {
    (void)state;
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        assert_non_null(metric_infos[i].key);
        assert_non_null(metric_infos[i].unit);
        assert_non_null(metric_infos[i].definition);
        assert_non_null(metric_infos[i].compute);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(metric_infos[i].key, metric_infos[j].key);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fragmentation_follows_the_definitions, experiment_make),
        cmocka_unit_test_setup(return_follows_the_definitions, experiment_make),
        cmocka_unit_test_setup(arenas_are_counted_for_the_pool_only, experiment_make),
        cmocka_unit_test_setup(times_are_net_of_the_null_run_of_their_round, experiment_make),
        cmocka_unit_test_setup(a_missing_round_is_left_out_not_counted_as_zero, experiment_make),
        cmocka_unit_test_setup(an_interrupted_experiment_has_samples_of_its_whole_rounds, experiment_make),
        cmocka_unit_test_setup(without_memory_passes_the_reason_is_that_none_was_asked_for, experiment_make),
        cmocka_unit_test_setup(ratios_are_not_given_for_a_tiny_live_set, experiment_make),
        cmocka_unit_test_setup(what_cannot_be_seen_is_not_available, experiment_make),
        cmocka_unit_test_setup(a_peak_at_the_end_has_no_trough, experiment_make),
        cmocka_unit_test_setup(nothing_given_back_is_a_trough_return_of_zero, experiment_make),
        cmocka_unit_test_setup(what_becomes_resident_behind_the_trough_is_not_returned_there, experiment_make),
        cmocka_unit_test_setup(too_little_that_could_go_back_gives_no_share, experiment_make),
        cmocka_unit_test_setup(of_a_plateau_the_fullest_point_is_the_peak, experiment_make),
        cmocka_unit_test(extra_samples_do_not_shift_a_mean),
        cmocka_unit_test(every_metric_has_a_key_unit_and_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
