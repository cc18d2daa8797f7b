/*
 * The worker as a process, on real allocators and on malloc libraries with a fault each.
 */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/arena_parts.h"
#include "compare/launch.h"
#include "compare/worker/library_check.h"
#include "formats/format.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static struct diag diag;

static void program_make(const struct event *events, size_t count, struct program *out) {
    struct array_source array = {.events = events, .count = count, .run = 4096};
    struct event_source source = array_source_events(&array);
    if (program_compile(&source, out, &diag))
        fail_msg("%s", diag.text);
}

static struct allocator allocator_make(const char *text) {
    struct allocator allocator;
    if (allocator_parse(text, &allocator, &diag))
        fail_msg("%s", diag.text);
    return allocator;
}

static struct launch_result run(const char *allocator_text, const struct program *program, enum worker_pass pass) {
    struct allocator allocator = allocator_make(allocator_text);
    struct launch launch = {.worker_path = WORKER_PATH,
                            .program = program,
                            .allocator = &allocator,
                            .pass = pass,
                            .touch = true,
                            .cpu = -1,
                            .timeout_ns = 60 * (uint64_t)1000000000};
    struct launch_result result;
    if (launch_run(&launch, &result, &diag))
        fail_msg("%s", diag.text);
    return result;
}

static struct launch_result run_well(const char *allocator, const struct program *program, enum worker_pass pass) {
    struct launch_result result = run(allocator, program, pass);
    if (result.status != RUN_DONE)
        fail_msg("%s: %s", allocator, result.text);
    return result;
}

static bool jemalloc_is_here(void) {
    struct allocator allocator;
    return allocator_parse("jemalloc", &allocator, NULL) == ERR_OK;
}

/* `count` blocks of `bytes`, the last `kept` of them never freed. */
static struct event *blocks_make(size_t count, uint64_t bytes, size_t kept, size_t *out_count) {
    struct event *events = calloc(2 * count, sizeof *events);
    assert_non_null(events);
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        events[used++] = (struct event){.kind = EVENT_MALLOC, .size_bytes = bytes, .domain = DOMAIN_OBJ};
    for (size_t i = 0; i < count - kept; i++)
        events[used++] = (struct event){.kind = EVENT_FREE, .block = i + 1};
    *out_count = used;
    return events;
}

static const struct event small_events[] = {
    {.kind = EVENT_REALLOC, .size_bytes = 40},                         /* 1: realloc(NULL) */
    {.kind = EVENT_FREE, .block = 0},                                  /* free(NULL) */
    {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 33, .align_log2 = 13}, /* 2 */
    {.kind = EVENT_REALLOC, .size_bytes = 100000, .block = 1},         /* 3 */
    {.kind = EVENT_CALLOC, .size_bytes = 700},                         /* 4 */
    {.kind = EVENT_FREE, .block = 2},
    {.kind = EVENT_MALLOC, .size_bytes = 0}, /* 5 */
};
enum { SMALL_COUNT = sizeof small_events / sizeof small_events[0] };

static void every_allocator_runs_every_kind_of_operation(void **state) {
    (void)state;
    static const char *const names[] = {"null", "system", "pool", "odd=" ODD_DIRECTORY "/odd_plain.so", "jemalloc"};
    struct program program;
    program_make(small_events, SMALL_COUNT, &program);
    for (size_t i = 0; i < 4 + (size_t)jemalloc_is_here(); i++) {
        struct launch_result timed = run_well(names[i], &program, WORKER_TIME);
        assert_int_equal(timed.shared->reply.operation_count, SMALL_COUNT);
        assert_int_equal(timed.shared->reply.refused_count, 0);
        assert_true(timed.shared->reply.elapsed_ns > 0);
        launch_result_release(&timed);
        struct launch_result memory = run_well(names[i], &program, WORKER_MEMORY);
        const struct worker_sample *end = &memory.shared->samples[program.header->sample_count - 1];
        assert_int_equal(memory.shared->reply.sample_count, program.header->sample_count);
        assert_int_equal(end->live_bytes, 100700);
        assert_int_equal(end->live_blocks, 3);
        assert_int_equal(memory.shared->reply.drained[0].live_blocks, 0);
        launch_result_release(&memory);
    }
    program_close(&program);
}

static void a_refused_request_is_counted_and_its_free_is_of_null(void **state) {
    (void)state;
    static const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = (uint64_t)1 << 46}, /* 1: more than the address space has left */
        {.kind = EVENT_MALLOC, .size_bytes = 100},               /* 2 */
        {.kind = EVENT_REALLOC, .size_bytes = (uint64_t)1 << 46, .block = 2}, /* 3: refused, the old block stands */
        {.kind = EVENT_FREE, .block = 1},
        {.kind = EVENT_CALLOC, .size_bytes = (uint64_t)1 << 46},                         /* 4 */
        {.kind = EVENT_REALLOC, .size_bytes = 50, .block = 4},                           /* 5: as realloc(NULL, 50) */
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = (uint64_t)1 << 46, .align_log2 = 6}, /* 6 */
    };
    static const char *const names[] = {"system", "pool"}; /* jemalloc maps 64 TiB without a blink */
    struct program program;
    program_make(events, sizeof events / sizeof events[0], &program);
    for (size_t i = 0; i < 2; i++) {
        struct launch_result result = run_well(names[i], &program, WORKER_MEMORY);
        const struct worker_sample *end = &result.shared->samples[program.header->sample_count - 1];
        assert_int_equal(result.shared->reply.refused_count, 4);
        assert_int_equal(end->live_bytes, 150);
        assert_int_equal(end->live_blocks, 2);
        assert_int_equal(result.shared->reply.drained[0].live_blocks, 0);
        launch_result_release(&result);
    }
    program_close(&program);
}

static void a_library_that_refuses_large_requests_is_told_by_its_count(void **state) {
    (void)state;
    struct program program;
    program_make(small_events, SMALL_COUNT, &program);
    struct launch_result result = run_well("odd=" ODD_DIRECTORY "/odd_refuse.so", &program, WORKER_TIME);
    assert_int_equal(result.shared->reply.refused_count, 1);
    launch_result_release(&result);
    program_close(&program);
}

static void resident_bytes_are_what_the_program_touched(void **state) {
    (void)state;
    static const char *const names[] = {"system", "pool", "jemalloc"};
    size_t count;
    struct event *events = blocks_make(64 * MIB / 4096, 4096, 64 * MIB / 4096, &count);
    struct program program;
    program_make(events, count, &program);
    for (size_t i = 0; i < 2 + (size_t)jemalloc_is_here(); i++) {
        struct launch_result result = run_well(names[i], &program, WORKER_MEMORY);
        uint64_t resident = result.shared->samples[program.header->sample_count - 1].resident_bytes;
        if (resident < 64 * MIB || resident > 68 * MIB)
            fail_msg("%s: %llu bytes resident for 64 MiB", names[i], (unsigned long long)resident);
        launch_result_release(&result);
    }
    program_close(&program);
    free(events);
}

static void nothing_of_the_tool_is_in_resident_bytes(void **state) {
    (void)state;
    size_t count;
    struct event *events = blocks_make(500000, 64, 250000, &count); /* 4 MB of slots, 8 MB of ops */
    struct program program;
    program_make(events, count, &program);
    struct launch_result result = run_well("null", &program, WORKER_MEMORY);
    for (uint64_t i = 0; i < program.header->sample_count; i++)
        if (result.shared->samples[i].resident_bytes > 64 * KIB)
            fail_msg("sample %llu: %llu bytes", (unsigned long long)i,
                     (unsigned long long)result.shared->samples[i].resident_bytes);
    launch_result_release(&result);
    program_close(&program);
    free(events);
}

static void split_check(const struct program *program) {
    struct launch_result result = run_well("pool", program, WORKER_MEMORY);
    uint64_t arena_bytes = result.shared->reply.pool.arena_bytes;
    for (uint64_t i = 0; i < program->header->sample_count; i++) {
        const struct worker_sample *sample = &result.shared->samples[i];
        uint64_t sum = 0;
        for (size_t part = 0; part < ARENA_PART_COUNT; part++)
            sum += arena_parts[part].get(sample);
        assert_int_equal(sum, sample->counts.arenas_count * arena_bytes);
        assert_int_equal(sum, sample->split.arena_bytes_total);
        assert_true(sample->split.allocated_blocks_bytes >= sample->pooled_bytes);
        assert_int_equal(sample->live_bytes, program->samples[i].live_bytes);
        assert_true(sample->live_bytes >= sample->pooled_bytes);
    }
    assert_int_equal(result.shared->reply.pins_at_end.arena_count,
                     result.shared->samples[program->header->sample_count - 1].counts.arenas_count);
    launch_result_release(&result);
}

static void the_split_adds_up_at_every_sample(void **state) {
    (void)state;
    enum { COUNT = 60000 };
    struct event *events = random_trace_make(support_seed(9), COUNT, 2);
    for (size_t i = 0; i < COUNT; i++) /* they are touched: no more than a machine has */
        if (events[i].size_bytes > 1 << 16)
            events[i].size_bytes %= 1 << 16;
    struct program program;
    program_make(events, COUNT, &program);
    split_check(&program);
    program_close(&program);
    free(events);
}

static void the_split_adds_up_on_a_bundled_trace(void **state) {
    (void)state;
    struct trace_reader *reader = NULL;
    struct event_source source;
    struct program program;
    if (trace_reader_open(SAMPLES "/python-batch.yaml", &reader, &diag) == ERR_NOT_FOUND)
        skip();
    assert_non_null(reader);
    assert_int_equal(trace_reader_events(reader, &source, &diag), ERR_OK);
    assert_int_equal(program_compile(&source, &program, &diag), ERR_OK);
    split_check(&program);
    program_close(&program);
    trace_reader_close(reader);
}

static void the_worker_names_the_library_that_it_really_calls(void **state) {
    (void)state;
    struct launch_result result;
    struct allocator allocator = allocator_make("odd=" ODD_DIRECTORY "/odd_plain.so");
    assert_int_equal(launch_probe(WORKER_PATH, &allocator, &result, &diag), ERR_OK);
    assert_int_equal(result.status, RUN_DONE);
    assert_non_null(strstr(result.shared->reply.library, "odd_plain.so"));
    launch_result_release(&result);
    allocator = allocator_make("system");
    assert_int_equal(launch_probe(WORKER_PATH, &allocator, &result, &diag), ERR_OK);
    assert_non_null(strstr(result.shared->reply.library, "libc"));
    assert_true(strlen(result.shared->reply.build_id) >= 16);
    assert_true(result.shared->reply.has_usable_size);
    assert_non_null(strstr(result.shared->reply.version, "glibc 2."));
    launch_result_release(&result);
}

static void a_preload_of_the_caller_does_not_reach_the_worker(void **state) {
    (void)state;
    struct allocator allocator = allocator_make("system");
    struct launch_result result;
    setenv("LD_PRELOAD", ODD_DIRECTORY "/odd_plain.so", 1);
    assert_int_equal(launch_probe(WORKER_PATH, &allocator, &result, &diag), ERR_OK);
    unsetenv("LD_PRELOAD");
    assert_int_equal(result.status, RUN_DONE);
    assert_non_null(strstr(result.shared->reply.library, "libc"));
    launch_result_release(&result);
}

/* The probe of `library`, which must be refused with a text that holds `words`. */
static void refused_with(const char *library, const char *words) {
    struct allocator allocator = {.name = "odd", .backend = WORKER_LIBC};
    struct launch_result result;
    snprintf(allocator.library, sizeof allocator.library, "%s", library);
    assert_int_equal(launch_probe(WORKER_PATH, &allocator, &result, &diag), ERR_OK);
    assert_int_equal(result.status, RUN_REFUSED);
    if (!strstr(result.text, words))
        fail_msg("'%s' does not say '%s'", result.text, words);
    launch_result_release(&result);
}

static void a_preload_that_fails_is_never_measured_as_the_c_library(void **state) {
    (void)state;
    refused_with("/no/such/library.so", "malloc still is the C library's");
    char path[] = "/tmp/mmreplay-not-elf-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    refused_with(path, "malloc still is the C library's");
    unlink(path);
}

static void a_library_without_malloc_is_refused_by_name(void **state) {
    (void)state;
    refused_with(ODD_DIRECTORY "/odd_none.so", "odd_none.so: defines no malloc");
}

static void a_library_with_half_the_family_is_refused(void **state) {
    (void)state;
    refused_with(ODD_DIRECTORY "/odd_partial.so", "defines malloc but not calloc");
}

static void a_crash_says_signal_place_and_last_words(void **state) {
    (void)state;
    size_t count;
    struct event *events = blocks_make(5000, 64, 0, &count);
    struct program program;
    program_make(events, count, &program);
    struct launch_result result = run("odd=" ODD_DIRECTORY "/odd_crash.so", &program, WORKER_MEMORY);
    assert_int_equal(result.status, RUN_CRASHED);
    assert_non_null(strstr(result.text, "SIGSEGV"));
    assert_non_null(strstr(result.text, "of 10,000 operations"));
    assert_non_null(strstr(result.text, "heap is on fire"));
    assert_true(result.shared->reply.sample_count > 0);
    launch_result_release(&result);
    program_close(&program);
    free(events);
}

static void a_hang_ends_at_the_time_limit(void **state) {
    (void)state;
    size_t count;
    struct event *events = blocks_make(5000, 64, 0, &count);
    struct program program;
    program_make(events, count, &program);
    struct allocator allocator = allocator_make("odd=" ODD_DIRECTORY "/odd_hang.so");
    struct launch launch = {.worker_path = WORKER_PATH,
                            .program = &program,
                            .allocator = &allocator,
                            .pass = WORKER_TIME,
                            .cpu = -1,
                            .timeout_ns = 300000000};
    struct launch_result result;
    assert_int_equal(launch_run(&launch, &result, &diag), ERR_OK);
    assert_int_equal(result.status, RUN_TIMED_OUT);
    assert_non_null(strstr(result.text, "timed out after 300 ms"));
    launch_result_release(&result);
    static volatile sig_atomic_t interrupted = 1;
    launch.interrupted = &interrupted;
    launch.timeout_ns = 0;
    assert_int_equal(launch_run(&launch, &result, &diag), ERR_OK);
    assert_int_equal(result.status, RUN_INTERRUPTED);
    launch_result_release(&result);
    program_close(&program);
    free(events);
}

static void a_time_limit_beyond_the_clock_is_none(void **state) {
    (void)state;
    size_t count;
    struct event *events = blocks_make(5000, 64, 0, &count);
    struct program program;
    program_make(events, count, &program);
    struct allocator allocator = allocator_make("system");
    struct launch launch = {.worker_path = WORKER_PATH,
                            .program = &program,
                            .allocator = &allocator,
                            .pass = WORKER_TIME,
                            .cpu = -1,
                            .timeout_ns = UINT64_MAX - 1};
    struct launch_result result;
    assert_int_equal(launch_run(&launch, &result, &diag), ERR_OK);
    assert_int_equal(result.status, RUN_DONE);
    launch_result_release(&result);
    program_close(&program);
    free(events);
}

/* The numbers of mimalloc.h in the releases 1.8.2, 2.0.9, 3.1.5, 2.4.1 and 3.5.0. */
static void mimalloc_versions_have_three_parts(void **state) {
    (void)state;
    static const struct {
        int number;
        const char *text;
    } versions[] = {{182, "mimalloc 1.8.2"},
                    {209, "mimalloc 2.0.9"},
                    {315, "mimalloc 3.1.5"},
                    {20401, "mimalloc 2.4.1"},
                    {30500, "mimalloc 3.5.0"}};
    char text[64];
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        library_mimalloc_version_format(versions[i].number, text, sizeof text);
        assert_string_equal(text, versions[i].text);
    }
}

static void a_missing_worker_is_an_error(void **state) {
    (void)state;
    struct allocator allocator = allocator_make("system");
    struct launch_result result;
    assert_int_equal(launch_probe("/no/such/worker", &allocator, &result, &diag), ERR_NOT_FOUND);
    assert_string_equal(diag.path, "/no/such/worker");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocator_runs_every_kind_of_operation),
        cmocka_unit_test(a_refused_request_is_counted_and_its_free_is_of_null),
        cmocka_unit_test(a_library_that_refuses_large_requests_is_told_by_its_count),
        cmocka_unit_test(resident_bytes_are_what_the_program_touched),
        cmocka_unit_test(nothing_of_the_tool_is_in_resident_bytes),
        cmocka_unit_test(the_split_adds_up_at_every_sample),
        cmocka_unit_test(the_split_adds_up_on_a_bundled_trace),
        cmocka_unit_test(the_worker_names_the_library_that_it_really_calls),
        cmocka_unit_test(a_preload_of_the_caller_does_not_reach_the_worker),
        cmocka_unit_test(a_preload_that_fails_is_never_measured_as_the_c_library),
        cmocka_unit_test(a_library_without_malloc_is_refused_by_name),
        cmocka_unit_test(a_library_with_half_the_family_is_refused),
        cmocka_unit_test(a_crash_says_signal_place_and_last_words),
        cmocka_unit_test(a_hang_ends_at_the_time_limit),
        cmocka_unit_test(a_time_limit_beyond_the_clock_is_none),
        cmocka_unit_test(mimalloc_versions_have_three_parts),
        cmocka_unit_test(a_missing_worker_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
