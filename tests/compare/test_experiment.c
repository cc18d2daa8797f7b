/*
 * Whole experiments, small ones: the rounds, the rows of allocators that fail, the two reports.
 */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "compare/report_json.h"
#include "compare/report_summary.h"
#include "compare/report_text.h"

static struct diag diag;
static struct program program;
static struct experiment_options options;

static int program_setup(void **state) {
    enum { COUNT = 30000 };
    (void)state;
    struct event *events = random_trace_make(support_seed(3), COUNT, 2);
    for (size_t i = 0; i < COUNT; i++)
        if (events[i].size_bytes > 1 << 16)
            events[i].size_bytes %= 1 << 16;
    struct array_source array = {.events = events, .count = COUNT, .run = 4096};
    struct event_source source = array_source_events(&array);
    if (program_compile(&source, &program, &diag))
        return -1;
    free(events);
    options = experiment_options_default();
    options.worker_path = WORKER_PATH;
    options.rounds = 3;
    return 0;
}

static int program_teardown(void **state) {
    (void)state;
    program_close(&program);
    return 0;
}

static struct experiment measure(const char *names) {
    struct allocator_list list;
    struct experiment experiment = {0};
    if (allocator_list_parse(names, &list, &diag) || experiment_run(&program, &list, &options, &experiment, &diag))
        fail_msg("%s", diag.text);
    return experiment;
}

/* Every launch as the experiment announces it: one letter each. */
static void order_note(void *ctx, size_t done, size_t total, const char *allocator) {
    char *order = ctx;
    (void)total;
    order[done] = allocator[0];
}

static void rounds_alternate_their_order_and_null_is_in_each(void **state) {
    (void)state;
    char order[32] = "";
    options.progress = order_note;
    options.progress_ctx = order;
    struct experiment experiment = measure("pool,system");
    options.progress = NULL;
    assert_string_equal(order, "psn"
                               "nsp"
                               "psn"
                               "psn" /* and the memory passes */
                               "psn"
                               "psn");
    assert_int_equal(experiment.rounds_done, 3);
    assert_int_equal(experiment.count, 3);
    assert_false(experiment.results[2].requested);
    for (size_t i = 0; i < 3; i++)
        for (size_t round = 0; round < 3; round++)
            assert_true(experiment.results[i].times[round].valid);
    experiment_clear(&experiment);
}

static void an_asked_for_null_is_not_run_twice(void **state) {
    (void)state;
    struct experiment experiment = measure("null,system");
    assert_int_equal(experiment.count, 2);
    assert_int_equal(experiment.null_index, 0);
    assert_true(experiment.results[0].requested);
    experiment_clear(&experiment);
}

static void a_crash_is_a_row_and_the_others_stand(void **state) {
    (void)state;
    struct experiment experiment = measure("system,odd=" ODD_DIRECTORY "/odd_crash.so");
    assert_int_equal(experiment.results[0].status, RUN_DONE);
    assert_int_equal(experiment.results[0].memory_count, 3);
    assert_int_equal(experiment.results[1].status, RUN_CRASHED);
    assert_non_null(strstr(experiment.results[1].failure, "SIGSEGV"));
    experiment_clear(&experiment);
}

static void a_library_without_malloc_stops_before_anything_is_measured(void **state) {
    (void)state;
    struct allocator_list list;
    struct experiment experiment;
    assert_int_equal(allocator_list_parse("system,odd=" ODD_DIRECTORY "/odd_none.so", &list, &diag), ERR_OK);
    assert_int_equal(experiment_run(&program, &list, &options, &experiment, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "odd_none.so"));
    assert_non_null(strstr(diag.text, "odd"));
}

static volatile sig_atomic_t interrupted;

static void interrupt_in_round_two(void *ctx, size_t done, size_t total, const char *allocator) {
    (void)ctx, (void)total, (void)allocator;
    if (done == 3)
        interrupted = 1;
}

static void an_interrupted_experiment_keeps_its_whole_rounds(void **state) {
    (void)state;
    options.interrupted = &interrupted;
    options.progress = interrupt_in_round_two;
    struct experiment experiment = measure("pool,system");
    options.progress = NULL;
    options.interrupted = NULL;
    assert_true(experiment.interrupted);
    assert_int_equal(experiment.rounds_done, 1);
    assert_true(experiment.results[0].times[0].valid);
    assert_false(experiment.results[0].times[1].valid);
    assert_int_equal(experiment.results[0].memory_count, 0);
    experiment_clear(&experiment);
}

static char *text_of(const struct report *report, size_t width) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    assert_int_equal(report_text_print(report, width, out), ERR_OK);
    report_text_machine_print(report->experiment, width, out);
    report_text_legend_print(&report->experiment->options, width, out);
    fclose(out);
    return text;
}

static void the_text_says_what_it_must_within_the_page(void **state) {
    (void)state;
    struct trace_info info = {.name = (char *)(uintptr_t) "made-up"};
    struct experiment experiment = measure("pool,system,odd=" ODD_DIRECTORY "/odd_crash.so");
    struct report report;
    assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
    for (size_t width = 60; width <= 120; width += 60) {
        char *text = text_of(&report, width);
        static const char *const words[] = {"made-up",  "on 2 threads", "replayed on one",       "pool",
                                            "crashed",  "subtracted",   "= arenas x arena size", "ASLR",
                                            "warning: "};
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (!strstr(text, words[i]))
                fail_msg("no '%s' in:\n%s", words[i], text);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > width)
                fail_msg("wider than %zu: %.*s", width, (int)strcspn(line, "\n"), line);
        free(text);
    }
    report_clear(&report);
    experiment_clear(&experiment);
}

static void the_drained_columns_are_those_of_the_longest_quiet_time(void **state) {
    (void)state;
    struct trace_info info = {0};
    struct report report;
    for (size_t i = 0; i < 3; i++) {
        static const uint64_t waits_ns[] = {0, 100000000, 1500000000};
        static const char *const words[] = {"freed too, at once", "after 100 ms of quiet", "after 1.00 s of quiet"};
        options.drain_wait_ns = waits_ns[i];
        options.rounds = options.memory_rounds = 1;
        struct experiment experiment = measure("system");
        experiment.results[0].memories[0].reply.has_resident = 1;
        experiment.results[0].memories[0].reply.drained[i].resident_bytes = (uint64_t)1234 << 20;
        assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
        char *text = text_of(&report, 400);
        if (!strstr(text, words[i]) || !strstr(text, " 1234 "))
            fail_msg("no '%s' or '1234' in:\n%s", words[i], text);
        assert_non_null(strstr(text, "1 of 1 round"));
        assert_non_null(strstr(text, "a single round tells"));
        free(text);
        report_clear(&report);
        experiment_clear(&experiment);
    }
    options.drain_wait_ns = experiment_options_default().drain_wait_ns;
    options.rounds = 3;
    options.memory_rounds = experiment_options_default().memory_rounds;
}

static void every_distinct_reason_is_told_with_all_it_concerns(void **state) {
    (void)state;
    struct trace_info info = {0};
    struct report report;
    struct experiment experiment = measure("system,pool");
    experiment.results[0].memories[0].reply.has_resident = 0;
    for (size_t i = 0; i < experiment.results[0].memory_count; i++)
        experiment.results[0].memories[i].reply.has_resident = 0;
    for (size_t round = 0; round < 3; round++)
        experiment.results[1].times[round].valid = false;
    assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
    char *text = text_of(&report, 400);
    static const char *const words[] = {
        "n/a: system: frag_avg_ratio, frag_at_live_peak_ratio, frag_at_resident_peak_ratio, resident_peak_bytes",
        "smaps_rollup", "n/a: pool: ns_per_op: the allocator did not finish the run"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strstr(text, words[i]))
            fail_msg("no '%s' in:\n%s", words[i], text);
    free(text);
    report_clear(&report);
    experiment_clear(&experiment);
}

/* The text of a summary over traces of so many operations, at 10, 20, 30, … ns. */
static char *summary_text(struct report *report, struct program_header *header, const uint64_t *operations,
                          size_t count) {
    struct report_summary summary = {0};
    char *text = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        header->summary.operation_count = operations[i];
        report->sets[0].values[METRIC_NS_PER_OP].reason = NULL;
        report->sets[0].values[METRIC_NS_PER_OP].estimate.value = 10 * (double)(i + 1);
        assert_int_equal(report_summary_add(&summary, report), ERR_OK);
    }
    FILE *out = open_memstream(&text, &bytes);
    assert_int_equal(report_summary_print(&summary, 120, out), ERR_OK);
    fclose(out);
    report_summary_clear(&summary);
    return text;
}

static void short_traces_are_marked_and_left_out_of_the_means(void **state) {
    (void)state;
    struct trace_info info = {.name = (char *)(uintptr_t) "made-up"};
    struct program_header header = *program.header;
    struct program copy = program;
    struct report report;
    struct experiment experiment = measure("system");
    copy.header = &header;
    experiment.program = &copy;
    assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
    char *text = summary_text(&report, &header, (const uint64_t[]){100000, 99999, 100000}, 3);
    if (!strstr(text, "made-up *") || !strstr(text, "* fewer than") || !strstr(text, "17.32"))
        fail_msg("%s", text);
    free(text);
    text = summary_text(&report, &header, (const uint64_t[]){100000, 100000}, 2);
    if (strstr(text, "*") || !strstr(text, "14.14"))
        fail_msg("%s", text);
    free(text);
    text = summary_text(&report, &header, (const uint64_t[]){1, 2}, 2);
    if (strstr(text, "nan") || !strstr(text, "n/a"))
        fail_msg("%s", text);
    free(text);
    report_clear(&report);
    experiment_clear(&experiment);
}

static bool has_warning(const struct report *report, const char *words) {
    for (size_t i = 0; i < report->warning_count; i++)
        if (strstr(report->warnings[i].text, words))
            return true;
    return false;
}

static void a_purge_that_the_clock_did_not_let_come_is_a_warning(void **state) {
    (void)state;
    static const struct {
        const char *version, *settings;
        bool warned;
    } cases[] = {
        {"jemalloc 5.3.0", NULL, true}, {"jemalloc 5.3.0", "dirty_decay_ms:0,muzzy_decay_ms:0", false},
        {"mimalloc 3.1.5", NULL, true}, {"mimalloc 2.0.9", NULL, false},
        {"glibc 2.36", NULL, false},
    };
    struct trace_info info = {0};
    struct report report;
    struct experiment experiment = measure("system");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct allocator_result *result = &experiment.results[0];
        snprintf(result->probe.version, sizeof result->probe.version, "%s", cases[i].version);
        for (size_t round = 0; round < 3; round++)
            result->times[round].elapsed_ns = 100000000;
        for (size_t run = 0; run < result->memory_count; run++)
            for (size_t j = 0; j < program.header->sample_count; j++)
                result->memories[run].samples[j].resident_bytes = (uint64_t)64 << 20;
        if (cases[i].settings)
            setenv("MALLOC_CONF", cases[i].settings, 1);
        assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
        unsetenv("MALLOC_CONF");
        if (has_warning(&report, "goes by the clock") != cases[i].warned)
            fail_msg("%s %s", cases[i].version, cases[i].settings ? cases[i].settings : "");
        report_clear(&report);
    }
    experiment_clear(&experiment);
}

static json_t *json_of(const struct report *report) {
    struct report_json *json = NULL;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_int_equal(report_json_create(&json), ERR_OK);
    assert_int_equal(report_json_add(json, report), ERR_OK);
    assert_int_equal(report_json_write(json, out), ERR_OK);
    fclose(out);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d: %s", error.line, error.text);
    report_json_destroy(json);
    free(text);
    return root;
}

static void every_metric_is_a_value_or_null_with_a_reason(json_t *metrics) {
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        json_t *metric = json_object_get(metrics, metric_infos[i].key);
        assert_non_null(metric);
        const char *class = json_string_value(json_object_get(metric, "class"));
        assert_string_equal(class, metric_infos[i].class == METRIC_EXACT ? "exact" : "noisy");
        assert_string_equal(json_string_value(json_object_get(metric, "unit")), metric_infos[i].unit);
        json_t *value = json_object_get(metric, metric_infos[i].class == METRIC_EXACT ? "value" : "median");
        if (json_is_null(value)) {
            assert_true(json_is_string(json_object_get(metric, "reason")));
            continue;
        }
        assert_true(json_is_number(value));
        if (metric_infos[i].class == METRIC_NOISY)
            assert_int_equal(json_array_size(json_object_get(metric, "samples")), 3);
    }
}

static void the_json_follows_schema_1(void **state) {
    (void)state;
    struct trace_info info = {.name = (char *)(uintptr_t) "made-up \xff"}; /* not UTF-8 */
    struct experiment experiment = measure("pool,system,odd=" ODD_DIRECTORY "/odd_crash.so");
    struct report report;
    assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
    json_t *root = json_of(&report);
    int schema = 0;
    const char *version, *name, *started, *aslr;
    json_t *allocators = NULL, *context = json_object_get(root, "context");
    assert_int_equal(json_unpack(root, "{s:{s:i, s:s}, s:[{s:s, s:I, s:I, s:o}]}", "mmreplay", "schema", &schema,
                                 "version", &version, "traces", "name", &name, "operations", &(json_int_t){0},
                                 "live_peak_bytes", &(json_int_t){0}, "allocators", &allocators),
                     0);
    assert_int_equal(schema, 1);
    assert_string_equal(name, "made-up ?");
    assert_int_equal(json_unpack(context, "{s:s, s:s}", "started", &started, "aslr", &aslr), 0);
    static const char *const keys[] = {"host", "cpu",  "kernel",   "governor",  "aslr",
                                       "thp",  "libc", "compiler", "pinned_cpu"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(context, keys[i]));
    assert_int_equal(json_array_size(allocators), 4);
    for (size_t i = 0; i < 4; i++)
        every_metric_is_a_value_or_null_with_a_reason(json_object_get(json_array_get(allocators, i), "metrics"));
    json_t *pool = json_array_get(allocators, 0);
    json_t *split = json_object_get(json_object_get(pool, "curves"), "arena_split");
    assert_int_equal(json_array_size(json_object_get(split, "empty_pools")), program.header->sample_count);
    assert_string_equal(json_string_value(json_object_get(json_array_get(allocators, 2), "status")), "crashed");
    json_decref(root);
    report_clear(&report);
    experiment_clear(&experiment);
}

static void a_peak_beyond_the_machine_is_refused_unless_untouched(void **state) {
    (void)state;
    static const struct event reserve = {.kind = EVENT_MALLOC, .size_bytes = (uint64_t)1 << 46};
    struct array_source array = {.events = &reserve, .count = 1, .run = 1};
    struct event_source source = array_source_events(&array);
    struct program giant;
    struct allocator_list list;
    struct experiment experiment;
    assert_int_equal(program_compile(&source, &giant, &diag), ERR_OK);
    assert_int_equal(allocator_list_parse("null", &list, &diag), ERR_OK);
    assert_int_equal(experiment_run(&giant, &list, &options, &experiment, &diag), ERR_LIMIT);
    assert_non_null(strstr(diag.text, "--touch 0"));
    struct experiment_options untouched = options;
    untouched.touch = false;
    assert_int_equal(experiment_run(&giant, &list, &untouched, &experiment, &diag), ERR_OK);
    experiment_clear(&experiment);
    program_close(&giant);
}

static void a_trace_without_operations_has_reasons_instead_of_figures(void **state) {
    (void)state;
    struct array_source array = {.count = 0, .run = 1};
    struct event_source source = array_source_events(&array);
    struct program empty;
    struct allocator_list list;
    struct experiment experiment;
    struct report report;
    struct trace_info info = {0};
    assert_int_equal(program_compile(&source, &empty, &diag), ERR_OK);
    assert_int_equal(allocator_list_parse("pool,system", &list, &diag), ERR_OK);
    assert_int_equal(experiment_run(&empty, &list, &options, &experiment, &diag), ERR_OK);
    assert_int_equal(report_create(&info, &experiment, &report), ERR_OK);
    assert_non_null(report.sets[0].values[METRIC_NS_PER_OP].reason);
    assert_non_null(report.sets[0].values[METRIC_ARENA_RETURN].reason);
    char *text = text_of(&report, 100);
    assert_non_null(strstr(text, "n/a"));
    json_t *root = json_of(&report);
    json_decref(root);
    free(text);
    report_clear(&report);
    experiment_clear(&experiment);
    program_close(&empty);
}

static void nonsense_rounds_are_refused(void **state) {
    (void)state;
    struct allocator_list list;
    struct experiment experiment;
    struct experiment_options wrong = options;
    assert_int_equal(allocator_list_parse("null", &list, &diag), ERR_OK);
    wrong.rounds = 0;
    assert_int_equal(experiment_run(&program, &list, &wrong, &experiment, &diag), ERR_USAGE);
    wrong.rounds = EXPERIMENT_ROUNDS_MAX + 1;
    assert_int_equal(experiment_run(&program, &list, &wrong, &experiment, &diag), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_alternate_their_order_and_null_is_in_each),
        cmocka_unit_test(an_asked_for_null_is_not_run_twice),
        cmocka_unit_test(a_crash_is_a_row_and_the_others_stand),
        cmocka_unit_test(a_library_without_malloc_stops_before_anything_is_measured),
        cmocka_unit_test(an_interrupted_experiment_keeps_its_whole_rounds),
        cmocka_unit_test(the_text_says_what_it_must_within_the_page),
        cmocka_unit_test(the_drained_columns_are_those_of_the_longest_quiet_time),
        cmocka_unit_test(every_distinct_reason_is_told_with_all_it_concerns),
        cmocka_unit_test(short_traces_are_marked_and_left_out_of_the_means),
        cmocka_unit_test(a_purge_that_the_clock_did_not_let_come_is_a_warning),
        cmocka_unit_test(the_json_follows_schema_1),
        cmocka_unit_test(a_peak_beyond_the_machine_is_refused_unless_untouched),
        cmocka_unit_test(a_trace_without_operations_has_reasons_instead_of_figures),
        cmocka_unit_test(nonsense_rounds_are_refused),
    };
    return cmocka_run_group_tests(tests, program_setup, program_teardown);
}
