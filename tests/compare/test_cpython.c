/*
 * Real CPython allocators as a backend and in lock-step with our pool; and libraries that only pass for one.
 * Of the real ones, whichever are found are used: see PYTHON_LIBRARY_VARIABLE.
 */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/arena_parts.h"
#include "compare/malloc_stats.h"
#include "compare/python_library.h"
#include "compare/side_by_side.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static struct diag diag;
static struct python_library libraries[PYTHON_LIBRARY_MAX];
static size_t library_count;

static void program_make(const struct event *events, size_t count, struct program *out) {
    struct array_source array = {.events = events, .count = count, .run = 4096};
    struct event_source source = array_source_events(&array);
    if (program_compile(&source, out, &diag))
        fail_msg("%s", diag.text);
}

/* Of many small sizes and some large ones; blocks are freed in a random order, most of them. */
static struct event *traffic_make(size_t count, uint8_t domain, uint64_t seed) {
    struct event *events = random_trace_make(support_seed(seed), count, 1);
    for (size_t i = 0; i < count; i++) {
        events[i].domain = domain;
        if (events[i].size_bytes > 700)
            events[i].size_bytes %= 700;
    }
    return events;
}

static struct launch launch_make(struct allocator *allocator, const char *text, const struct program *program,
                                 enum worker_pass pass) {
    if (allocator_parse(text, allocator, &diag))
        fail_msg("%s", diag.text);
    return (struct launch){.worker_path = WORKER_PATH,
                           .program = program,
                           .allocator = allocator,
                           .pass = pass,
                           .touch = true,
                           .cpu = -1,
                           .timeout_ns = 60 * (uint64_t)1000000000};
}

static struct launch_result run(const char *name, const struct program *program, enum worker_pass pass) {
    struct allocator allocator;
    struct launch launch = launch_make(&allocator, name, program, pass);
    struct launch_result result;
    if (launch_run(&launch, &result, &diag))
        fail_msg("%s", diag.text);
    return result;
}

static struct launch_result run_well(const char *name, const struct program *program, enum worker_pass pass) {
    struct launch_result result = run(name, program, pass);
    if (result.status != RUN_DONE)
        fail_msg("%s: %s", name, result.text);
    return result;
}

static const char *library_name(size_t index) {
    static char name[32];
    snprintf(name, sizeof name, "cpython:%.8s", libraries[index].version);
    return name;
}

static void every_library_runs_every_kind_of_operation(void **state) {
    (void)state;
    static const struct event events[] = {
        {.kind = EVENT_REALLOC, .size_bytes = 40, .domain = DOMAIN_OBJ},
        {.kind = EVENT_FREE, .block = 0, .domain = DOMAIN_MEM},
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 33, .align_log2 = 13},
        {.kind = EVENT_REALLOC, .size_bytes = 100000, .block = 1, .domain = DOMAIN_OBJ},
        {.kind = EVENT_CALLOC, .size_bytes = 700, .domain = DOMAIN_MEM},
        {.kind = EVENT_FREE, .block = 2},
        {.kind = EVENT_MALLOC, .size_bytes = 0, .domain = DOMAIN_RAW},
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 33, .align_log2 = 3},
        {.kind = EVENT_REALLOC, .size_bytes = 20, .block = 5, .domain = DOMAIN_RAW},
    };
    enum { COUNT = sizeof events / sizeof events[0] };
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++) {
        struct launch_result timed = run_well(library_name(i), &program, WORKER_TIME);
        assert_int_equal(timed.shared->reply.refused_count, 0);
        assert_int_equal(timed.shared->reply.operation_count, COUNT);
        launch_result_release(&timed);
        struct launch_result memory = run_well(library_name(i), &program, WORKER_MEMORY);
        const struct worker_sample *end = &memory.shared->samples[program.header->sample_count - 1];
        assert_int_equal(end->live_bytes, 100753);
        assert_int_equal(end->pooled_bytes, 33);
        assert_int_equal(memory.shared->reply.drained[0].live_blocks, 0);
        assert_int_equal(memory.shared->reply.drained[0].split.allocated_blocks_bytes, 0);
        launch_result_release(&memory);
    }
    program_close(&program);
}

static void the_probe_tells_version_path_and_build_id(void **state) {
    (void)state;
    struct program program;
    program_make(NULL, 0, &program);
    for (size_t i = 0; i < library_count; i++) {
        struct launch_result result = run_well(library_name(i), &program, WORKER_PROBE);
        const struct worker_reply *reply = &result.shared->reply;
        char version[32];
        snprintf(version, sizeof version, "CPython %.8s.", libraries[i].version);
        assert_int_equal(strncmp(reply->version, version, strlen(version)), 0);
        assert_non_null(strstr(reply->library, "libpython"));
        assert_true(strlen(reply->build_id) >= 16);
        launch_result_release(&result);
    }
    program_close(&program);
}

/* The usable sizes are read from pool headers, the split from the text: two ways to the same sum. */
static void split_and_usable_sizes_fit_together(void **state) {
    (void)state;
    enum { COUNT = 60000 };
    struct event *events = traffic_make(COUNT, DOMAIN_OBJ, 21);
    for (size_t i = 0; i < COUNT; i++) { /* all small, so that all usable bytes are in arenas */
        events[i].kind = events[i].kind == EVENT_ALIGNED_ALLOC ? EVENT_MALLOC : events[i].kind;
        events[i].align_log2 = 0;
        if (events[i].kind != EVENT_FREE)
            events[i].size_bytes = 1 + events[i].size_bytes % 512;
    }
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++) {
        struct launch_result result = run_well(library_name(i), &program, WORKER_MEMORY);
        uint64_t arena_bytes = result.shared->reply.pool.arena_bytes;
        for (uint64_t at = 0; at < program.header->sample_count; at++) {
            const struct worker_sample *sample = &result.shared->samples[at];
            uint64_t sum = 0;
            for (size_t part = 0; part < ARENA_PART_COUNT; part++)
                sum += arena_parts[part].get(sample);
            assert_int_equal(sum, sample->counts.arenas_count * arena_bytes);
            assert_int_equal(sample->usable_bytes, sample->split.allocated_blocks_bytes);
            assert_int_equal(sample->live_bytes, sample->pooled_bytes);
        }
        launch_result_release(&result);
    }
    program_close(&program);
    free(events);
}

static void nothing_of_the_interpreter_is_in_resident_bytes(void **state) {
    (void)state;
    static const struct event events[] = {{.kind = EVENT_MALLOC, .size_bytes = 20, .domain = DOMAIN_OBJ}};
    struct program program;
    program_make(events, 1, &program);
    for (size_t i = 0; i < library_count; i++) {
        struct launch_result result = run_well(library_name(i), &program, WORKER_MEMORY);
        uint64_t resident = result.shared->samples[program.header->sample_count - 1].resident_bytes;
        if (resident > 192 * KIB)
            fail_msg("%s: %llu bytes for one block", library_name(i), (unsigned long long)resident);
        launch_result_release(&result);
    }
    program_close(&program);
}

static void aligned_arenas_hold_one_pool_more(void **state) {
    (void)state;
    enum { COUNT = 60000 };
    struct event *events = calloc(COUNT, sizeof *events);
    for (size_t i = 0; i < COUNT; i++)
        events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = 500, .domain = DOMAIN_OBJ};
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s+aligned", library_name(i));
        struct launch_result result = run_well(name, &program, WORKER_MEMORY);
        const struct worker_sample *end = &result.shared->samples[program.header->sample_count - 1];
        assert_true(end->counts.arenas_count > 1);
        assert_int_equal(end->split.arena_alignment_bytes, 0);
        launch_result_release(&result);
    }
    program_close(&program);
    free(events);
}

/* Read from pool headers there, from our own tables here. */
static void what_pins_the_real_arenas_pins_the_pools(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    struct event *events = traffic_make(COUNT, DOMAIN_OBJ, 33);
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++) {
        char name[64], pool[64];
        snprintf(name, sizeof name, "%s+aligned", library_name(i));
        struct launch_result real = run_well(name, &program, WORKER_MEMORY);
        const char *version = real.shared->reply.version + strlen("CPython ");
        snprintf(pool, sizeof pool, "pool:%s", pool_profile_of_version(version)->name);
        struct launch_result ours = run_well(pool, &program, WORKER_MEMORY);
        const struct worker_reply *a = &real.shared->reply, *b = &ours.shared->reply;
        assert_true(a->pins_at_end.arena_count > 1);
        assert_memory_equal(&a->pins_at_end, &b->pins_at_end, sizeof a->pins_at_end);
        assert_memory_equal(&a->pins_at_trough, &b->pins_at_trough, sizeof a->pins_at_trough);
        launch_result_release(&real);
        launch_result_release(&ours);
    }
    program_close(&program);
    free(events);
}

static struct side_by_side *hold(const char *name, const char *settings, const struct program *program,
                                 uint64_t every) {
    static struct side_by_side sides;
    struct allocator allocator;
    struct launch launch = launch_make(&allocator, name, program, WORKER_LOCKSTEP);
    static const uint64_t residues[] = {0, 4096, 12288};
    snprintf(allocator.settings, sizeof allocator.settings, "%s", settings);
    launch.compare_every = every;
    launch.residues = residues;
    launch.residue_count = every % 2 ? 3 : 0;
    if (side_by_side_run(&launch, &sides, &diag))
        fail_msg("%s: %s", name, diag.text);
    return &sides;
}

static void every_library_agrees_with_its_profile(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    struct event *events = traffic_make(COUNT, DOMAIN_OBJ, 5);
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++)
        for (uint64_t every = 1000; every < 1002; every++) {
            const struct side_by_side *sides = hold(library_name(i), "", &program, every);
            if (sides->result.difference)
                fail_msg("%s: difference %u at operation %llu\n%s---\n%s", library_name(i), sides->result.difference,
                         (unsigned long long)sides->result.operation_count, sides->text[0], sides->text[1]);
            assert_int_equal(sides->result.replayed_count, program.header->summary.operation_count);
            assert_true(sides->result.compared_count > COUNT / 1002);
        }
    program_close(&program);
    free(events);
}

static void every_library_differs_from_other_rules(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct event *events = traffic_make(COUNT, DOMAIN_OBJ, 6);
    struct program program;
    program_make(events, COUNT, &program);
    for (size_t i = 0; i < library_count; i++) {
        char settings[32];
        bool classic = strcmp(libraries[i].version, "3.7") == 0;
        snprintf(settings, sizeof settings, "%.8s%s,reentry=back", libraries[i].version, classic ? ".4" : "");
        assert_int_not_equal(hold(library_name(i), settings, &program, 1000)->result.difference, WORKER_SAME);
    }
    program_close(&program);
    free(events);
}

/* `count` mallocs, each an operation: the n-th malloc is operation n. */
static void mallocs_make(size_t count, struct program *out) {
    struct event *events = calloc(count, sizeof *events);
    for (size_t i = 0; i < count; i++)
        events[i] = (struct event){.kind = EVENT_MALLOC, .size_bytes = 1 + i % 100, .domain = DOMAIN_OBJ};
    program_make(events, count, out);
    free(events);
}

static void the_first_wrong_place_is_told_with_its_operation(void **state) {
    (void)state;
    struct program program;
    mallocs_make(5000, &program);
    const struct side_by_side *sides = hold("cpython:" ODD_DIRECTORY "/odd_python_place.so", "", &program, 100);
    assert_int_equal(sides->result.difference, WORKER_DIFFERENT_PLACE);
    assert_int_equal(sides->result.operation_count, 3000);
    assert_int_equal(sides->result.op_kind, EVENT_MALLOC);
    assert_int_equal(sides->result.op_bytes, 100);
    assert_int_equal(sides->result.place[1].offset_bytes - sides->result.place[0].offset_bytes, 112);
    assert_true(sides->text[0][0] && strcmp(sides->text[0], sides->text[1]) != 0);
    program_close(&program);
}

static void the_first_wrong_text_is_found_between_two_comparisons(void **state) {
    (void)state;
    static const uint64_t every[] = {1, 7, 1000, 100000, 0};
    struct program program;
    mallocs_make(5000, &program);
    for (size_t i = 0; i < sizeof every / sizeof every[0]; i++) {
        const struct side_by_side *sides =
            hold("cpython:" ODD_DIRECTORY "/odd_python_stats.so", "", &program, every[i]);
        assert_int_equal(sides->result.difference, WORKER_DIFFERENT_STATISTICS);
        assert_int_equal(sides->result.operation_count, 2000);
        assert_null(strstr(sides->text[0], "# times told"));
        assert_non_null(strstr(sides->text[1], "# times told"));
    }
    program_close(&program);
}

static void raw_operations_are_counted_and_not_compared(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    struct event *events = traffic_make(COUNT, DOMAIN_RAW, 8);
    struct program program;
    program_make(events, COUNT, &program);
    const struct side_by_side *sides = hold("cpython:" ODD_DIRECTORY "/odd_python.so", "", &program, 100);
    assert_int_equal(sides->result.difference, WORKER_SAME);
    assert_int_equal(sides->result.raw_count, program.header->summary.operation_count);
    assert_int_equal(sides->result.replayed_count, 0);
    program_close(&program);
    free(events);
}

static void what_is_no_pymalloc_is_refused_with_the_reason(void **state) {
    (void)state;
    static const struct {
        const char *library;
        const char *reason;
    } cases[] = {
        {"odd_python_old.so", "CPython 3.6.15: 3.7 is the oldest"},
        {"odd_python_ancient.so", "CPython 2.7.18: 3.7 is the oldest"},
        {"odd_python_threaded.so", "free-threaded build"},
        {"odd_python_debug.so", "debug build"},
        {"odd_python_none.so", "has no pymalloc"},
        {"odd_python_hidden.so", "does not export its allocator"},
        {"odd_plain.so", "defines no Py_GetVersion"},
        {"odd_python_nonsense.so", "its version is 'four'"},
    };
    struct program program;
    mallocs_make(10, &program);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const enum worker_pass passes[] = {WORKER_PROBE, WORKER_MEMORY, WORKER_LOCKSTEP};
        for (size_t pass = 0; pass < 3; pass++) {
            char name[WORKER_PATH_BYTES];
            snprintf(name, sizeof name, "cpython:%s/%s", ODD_DIRECTORY, cases[i].library);
            struct launch_result result = run(name, &program, passes[pass]);
            if (result.status != RUN_REFUSED || !strstr(result.text, cases[i].reason))
                fail_msg("%s: %s", cases[i].library, result.text);
            launch_result_release(&result);
        }
    }
    program_close(&program);
}

static void a_version_without_a_profile_is_told(void **state) {
    (void)state;
    struct side_by_side *sides = test_calloc(1, sizeof *sides);
    struct allocator allocator;
    struct program program;
    mallocs_make(10, &program);
    struct launch launch =
        launch_make(&allocator, "cpython:" ODD_DIRECTORY "/odd_python_future.so", &program, WORKER_LOCKSTEP);
    assert_int_equal(side_by_side_run(&launch, sides, &diag), ERR_UNSUPPORTED);
    assert_non_null(strstr(diag.text, "no pool profile 3.99"));
    allocator.backend = WORKER_LIBC;
    assert_int_equal(side_by_side_run(&launch, sides, &diag), ERR_USAGE);
    program_close(&program);
    test_free(sides);
}

static void a_residue_that_does_not_fit_is_refused(void **state) {
    (void)state;
    static const uint64_t residue = 64 * MIB;
    struct side_by_side *sides = test_calloc(1, sizeof *sides);
    struct allocator allocator;
    struct program program;
    mallocs_make(10, &program);
    struct launch launch =
        launch_make(&allocator, "cpython:" ODD_DIRECTORY "/odd_python.so", &program, WORKER_LOCKSTEP);
    launch.residues = &residue;
    launch.residue_count = 1;
    assert_int_equal(side_by_side_run(&launch, sides, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "residue"));
    program_close(&program);
    test_free(sides);
}

/* Everything of a statistics text but what depends on addresses: with aligned arenas, nothing does. */
static void statistics_are_those_of_the_profile_at_any_operation(void **state) {
    (void)state;
    enum { COUNT = 30000, POINTS = 4 };
    static struct worker_text ours[POINTS], real[POINTS];
    struct event *events = traffic_make(COUNT, DOMAIN_MEM, 31);
    struct program program;
    program_make(events, COUNT, &program);
    const uint64_t at[POINTS] = {0, 1, COUNT / 2, program.header->summary.operation_count};
    struct allocator pool, python;
    struct launch pool_launch = launch_make(&pool, "pool:3.11", &program, WORKER_STATS);
    struct launch python_launch =
        launch_make(&python, "cpython:" ODD_DIRECTORY "/odd_python.so+aligned", &program, WORKER_STATS);
    assert_int_equal(malloc_stats_take(&pool_launch, at, POINTS, ours, &diag), ERR_OK);
    assert_int_equal(malloc_stats_take(&python_launch, at, POINTS, real, &diag), ERR_OK);
    for (size_t i = 0; i < POINTS; i++) {
        assert_int_equal(ours[i].operation_index, at[i]);
        assert_int_equal(ours[i].bytes, real[i].bytes);
        assert_memory_equal(ours[i].text, real[i].text, ours[i].bytes);
    }
    assert_memory_not_equal(ours[0].text, ours[3].text, ours[0].bytes);
    program_close(&program);
    free(events);
}

static void an_operation_beyond_the_end_is_refused(void **state) {
    (void)state;
    static const uint64_t at[] = {5, 11};
    static struct worker_text texts[2];
    struct allocator allocator;
    struct program program;
    mallocs_make(10, &program);
    struct launch launch = launch_make(&allocator, "pool", &program, WORKER_STATS);
    assert_int_equal(malloc_stats_take(&launch, at, 2, texts, &diag), ERR_USAGE);
    assert_int_equal(malloc_stats_take(&launch, at, 1, texts, &diag), ERR_OK);
    launch = launch_make(&allocator, "system", &program, WORKER_STATS);
    assert_int_equal(malloc_stats_take(&launch, at, 1, texts, &diag), ERR_UNSUPPORTED);
    program_close(&program);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_library_runs_every_kind_of_operation),
        cmocka_unit_test(the_probe_tells_version_path_and_build_id),
        cmocka_unit_test(split_and_usable_sizes_fit_together),
        cmocka_unit_test(nothing_of_the_interpreter_is_in_resident_bytes),
        cmocka_unit_test(aligned_arenas_hold_one_pool_more),
        cmocka_unit_test(what_pins_the_real_arenas_pins_the_pools),
        cmocka_unit_test(every_library_agrees_with_its_profile),
        cmocka_unit_test(every_library_differs_from_other_rules),
        cmocka_unit_test(the_first_wrong_place_is_told_with_its_operation),
        cmocka_unit_test(the_first_wrong_text_is_found_between_two_comparisons),
        cmocka_unit_test(raw_operations_are_counted_and_not_compared),
        cmocka_unit_test(what_is_no_pymalloc_is_refused_with_the_reason),
        cmocka_unit_test(a_version_without_a_profile_is_told),
        cmocka_unit_test(a_residue_that_does_not_fit_is_refused),
        cmocka_unit_test(statistics_are_those_of_the_profile_at_any_operation),
        cmocka_unit_test(an_operation_beyond_the_end_is_refused),
    };
    library_count = python_library_list(libraries);
    for (size_t i = 0; i < library_count; i++)
        printf("found CPython %s: %s\n", libraries[i].version, libraries[i].path);
    if (!library_count)
        printf("no libpython found: the tests on real ones have nothing to do\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
