#include "tests/support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/program.h"
#include "traces/tracker.h"

static struct program program_of(const struct event *events, size_t count, size_t run) {
    struct array_source array = {.events = events, .count = count, .run = run};
    struct event_source source = array_source_events(&array);
    struct program program;
    struct diag diag = {0};
    if (program_compile(&source, &program, &diag))
        fail_msg("%s", diag.text);
    return program;
}

static void an_ordinary_op_is_one_word(void **state) {
    (void)state;
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 42, .domain = DOMAIN_OBJ},
        {.kind = EVENT_REALLOC, .block = event_block_name(0, 1), .size_bytes = ((uint64_t)1 << OP_SIZE_BITS) - 1},
        {.kind = EVENT_FREE, .block = event_block_name(0, 2)},
        {.kind = EVENT_FREE, .block = 0},
    };
    struct program program = program_of(events, 4, 0);
    assert_int_equal(program.header->word_count, 4);
    assert_int_equal(op_kind(program.ops[0]), EVENT_MALLOC);
    assert_int_equal(op_domain(program.ops[0]), DOMAIN_OBJ);
    assert_int_equal(op_slot(program.ops[0]), 1);
    assert_int_equal(op_size(program.ops[0]), 42);
    assert_int_equal(op_kind(program.ops[1]), EVENT_REALLOC);
    assert_int_equal(op_domain(program.ops[1]), DOMAIN_OBJ);
    assert_int_equal(op_slot(program.ops[1]), 1);
    assert_int_equal(op_size(program.ops[1]), ((uint64_t)1 << OP_SIZE_BITS) - 1);
    assert_int_equal(op_slot(program.ops[2]), 1);
    assert_int_equal(op_domain(program.ops[2]), DOMAIN_OBJ);
    assert_int_equal(op_slot(program.ops[3]), 0);
    assert_int_equal(program.header->slot_count, 2);
    program_close(&program);
}

static void large_and_aligned_requests_are_wide(void **state) {
    (void)state;
    const struct event events[] = {
        {.kind = EVENT_CALLOC, .size_bytes = EVENT_SIZE_MAX},
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 100, .align_log2 = 12},
    };
    struct program program = program_of(events, 2, 1);
    assert_int_equal(program.header->word_count, 4);
    assert_true(op_is_wide(program.ops[0]));
    assert_int_equal(op_wide_size(program.ops[1]), EVENT_SIZE_MAX);
    assert_int_equal(op_wide_size(program.ops[3]), 100);
    assert_int_equal(op_wide_align_log2(program.ops[3]), 12);
    program_close(&program);
}

static void an_empty_trace_compiles(void **state) {
    (void)state;
    struct program program = program_of(NULL, 0, 0);
    assert_int_equal(program.header->word_count, 0);
    assert_int_equal(program.header->slot_count, 1);
    assert_int_equal(program.header->sample_count, 1);
    program_close(&program);
}

/* The ops, executed on a table of sizes, must pass through the states the samples promise. */
static void samples_state_the_live_set(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    struct event *events = random_trace_make(support_seed(2), COUNT, 5);
    struct program program = program_of(events, COUNT, 777);
    const struct program_header *header = program.header;
    uint64_t *held = calloc(header->slot_count, sizeof *held);
    uint64_t live = 0, blocks = 0, operation = 0, peak = 0, at = 0;
    for (size_t i = 0; i < header->sample_count; i++) {
        const struct program_sample *sample = &program.samples[i];
        while (at < sample->word_index) {
            uint64_t op = program.ops[at++];
            uint64_t size = op_is_wide(op) ? op_wide_size(program.ops[at++]) : op_size(op);
            uint64_t *slot = &held[op_slot(op)];
            live -= *slot ? *slot - 1 : 0;
            blocks -= *slot != 0;
            *slot = op_kind(op) == EVENT_FREE ? 0 : size + 1;
            live += *slot ? size : 0;
            blocks += *slot != 0;
            peak = live > peak ? live : peak;
            operation++;
        }
        assert_int_equal(at, sample->word_index);
        assert_int_equal(operation, sample->operation_index);
        assert_int_equal(live, sample->live_bytes);
        assert_int_equal(blocks, sample->live_blocks);
    }
    assert_int_equal(at, header->word_count);
    assert_int_equal(peak, header->summary.live_peak_bytes);
    assert_int_equal(program.samples[header->peak_sample].live_bytes, peak);
    assert_true(header->sample_count >= 200);
    free(held);
    program_close(&program);
    free(events);
}

static void the_grid_of_samples_is_even(void **state) {
    (void)state;
    enum { COUNT = 70001 };
    struct event *events = calloc(COUNT, sizeof *events);
    for (size_t i = 0; i < COUNT; i++)
        events[i] = (struct event){.kind = EVENT_FREE}; /* free(NULL): no peaks beside the grid */
    struct program program = program_of(events, COUNT, 0);
    const struct program_sample *samples = program.samples;
    uint64_t step = samples[1].operation_index;
    for (uint64_t i = 0; i + 1 < program.header->sample_count; i++)
        assert_int_equal(samples[i].operation_index, i * step);
    assert_int_equal(samples[program.header->sample_count - 1].operation_index, COUNT);
    assert_true(program.header->sample_count >= 200);
    program_close(&program);
    free(events);
}

static void a_worker_opens_what_was_compiled(void **state) {
    (void)state;
    const struct event event = {.kind = EVENT_MALLOC, .size_bytes = 1};
    struct program program = program_of(&event, 1, 0);
    struct program again;
    assert_int_equal(pwrite(program.fd, "x", 1, 0), -1);
    assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, program.fd, 0), MAP_FAILED);
    assert_int_equal(program_open(dup(program.fd), &again, NULL), ERR_OK);
    assert_int_equal(again.ops[0], program.ops[0]);
    program_close(&again);
    program_close(&program);
}

static void a_file_that_is_no_program_is_refused(void **state) {
    (void)state;
    struct program program;
    struct diag diag = {0};
    char page[8192] = {0};
    int fd = memfd_create("junk", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_int_equal(write(fd, page, sizeof page), sizeof page);
    assert_int_equal(program_open(dup(fd), &program, &diag), ERR_INVALID); /* not sealed */
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
    assert_int_equal(program_open(fd, &program, &diag), ERR_INVALID); /* no header */
    assert_int_equal(program_open(open("/dev/null", O_RDONLY), &program, &diag), ERR_INVALID);
}

static void an_invalid_trace_does_not_compile(void **state) {
    (void)state;
    const struct event event = {.kind = EVENT_FREE, .block = event_block_name(0, 1)};
    struct array_source array = {.events = &event, .count = 1};
    struct event_source source = array_source_events(&array);
    struct program program;
    assert_int_equal(program_compile(&source, &program, NULL), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_op_is_one_word),
        cmocka_unit_test(large_and_aligned_requests_are_wide),
        cmocka_unit_test(an_empty_trace_compiles),
        cmocka_unit_test(samples_state_the_live_set),
        cmocka_unit_test(the_grid_of_samples_is_even),
        cmocka_unit_test(a_worker_opens_what_was_compiled),
        cmocka_unit_test(a_file_that_is_no_program_is_refused),
        cmocka_unit_test(an_invalid_trace_does_not_compile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
