/* Pools replayed under debug hooks: in this process, in a worker, and as rows of an experiment. */
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#include "compare/launch.h"
#include "compare/worker/backend.h"
#include "compare/worker/backend_debug.h"
#include "compare/worker/replay_loop.h"

static struct diag diag;

/* Random operations of every kind and domain; sizes that this machine can give; no alignment, which domains lack. */
static struct event *trace_make(uint64_t seed, size_t count) {
    struct event *events = random_trace_make(seed, count, 3);
    for (size_t i = 0; i < count; i++) {
        events[i].size_bytes %= i % 5 ? 600 : 1 << 16;
        if (events[i].kind == EVENT_ALIGNED_ALLOC) {
            events[i].kind = EVENT_MALLOC;
            events[i].align_log2 = 0;
        }
    }
    return events;
}

static void program_make(const struct event *events, size_t count, struct program *out) {
    struct array_source array = {.events = events, .count = count, .run = 1000};
    struct event_source source = array_source_events(&array);
    if (program_compile(&source, out, &diag))
        fail_msg("%s", diag.text);
}

static struct replay replay_make(const struct program *program, const char *profile) {
    struct replay replay = {.program = program, .touch = true, .has_usable_size = true};
    replay.slots = calloc(program->header->slot_count, sizeof *replay.slots);
    replay.account.notes = calloc(program->header->slot_count, sizeof *replay.account.notes);
    assert_non_null(replay.slots);
    assert_non_null(replay.account.notes);
    if (backend_debug_prepare(pool_profile_find(profile), &replay.pool, &diag))
        fail_msg("%s", diag.text);
    return replay;
}

static void replay_release(struct replay *replay) {
    free(replay->slots);
    free(replay->account.notes);
    backend_debug_release();
}

static void hooks_lose_nothing_and_find_nothing_on_a_random_trace(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    static const char *const profiles[] = {"3.11", "3.7", "3.9"};
    for (size_t p = 0; p < 3; p++) {
        struct event *events = trace_make(support_seed(11 + p), COUNT);
        struct program program;
        program_make(events, COUNT, &program);
        struct replay replay = replay_make(&program, profiles[p]);
        uint64_t done = 0;
        for (uint64_t i = 0; i < program.header->sample_count; i++) {
            const struct program_sample *sample = &program.samples[i];
            backend_debug.run_accounted(&replay, done, sample->word_index);
            done = sample->word_index;
            struct pool_split split;
            pool_split_get(replay.pool, &split);
            assert_int_equal(replay.account.live_bytes, sample->live_bytes);
            assert_int_equal(replay.account.live_blocks, sample->live_blocks);
            assert_true(replay.account.usable_bytes >= sample->live_bytes + 24 * sample->live_blocks);
            assert_true(split.allocated_blocks_bytes >= replay.account.pooled_bytes);
        }
        assert_int_equal(pool_check(replay.pool, NULL), ERR_OK);
        backend_debug.drain(&replay);
        struct pool_counts counts;
        pool_counts_get(replay.pool, &counts);
        assert_int_equal(counts.blocks_count, 0);
        assert_int_equal(replay.account.usable_bytes, 0);
        assert_int_equal(replay.account.pooled_bytes, 0);
        assert_int_equal(backend_debug_verdict(&diag), ERR_OK);
        replay_release(&replay);
        program_close(&program);
        free(events);
    }
}

static void a_damaged_block_is_the_verdict(void **state) {
    (void)state;
    static const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 40, .domain = DOMAIN_OBJ},
        {.kind = EVENT_MALLOC, .size_bytes = 50, .domain = DOMAIN_MEM},
        {.kind = EVENT_FREE, .block = 2},
        {.kind = EVENT_FREE, .block = 1},
    };
    struct program program;
    program_make(events, 4, &program);
    struct replay replay = replay_make(&program, "3.11");
    backend_debug.run_accounted(&replay, 0, 2);
    for (uint32_t slot = 1; slot < program.header->slot_count; slot++)
        if (replay.slots[slot])
            ((char *)replay.slots[slot])[replay.account.notes[slot].bytes + 3] = 'x';
    backend_debug.run_accounted(&replay, 2, 4);
    assert_int_equal(backend_debug_verdict(&diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "found 2 faults; the first: overrun in free of domain 'm'"));
    assert_non_null(strstr(diag.text, "the byte 3 behind its 50 bytes is 0x78 instead of 0xfd"));
    replay_release(&replay);
    program_close(&program);
    assert_int_equal(backend_debug_verdict(&diag), ERR_OK);
}

static void alignments_beyond_the_pools_are_refused(void **state) {
    (void)state;
    static const struct event events[] = {
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 100, .align_log2 = 4},
        {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 100, .align_log2 = 5},
        {.kind = EVENT_FREE, .block = 2},
        {.kind = EVENT_FREE, .block = 1},
    };
    struct program program;
    program_make(events, 4, &program);
    struct replay replay = replay_make(&program, "3.11");
    backend_debug.run_accounted(&replay, 0, program.header->word_count);
    assert_int_equal(replay.refused_count, 1);
    assert_int_equal(backend_debug_verdict(&diag), ERR_OK);
    replay_release(&replay);
    program_close(&program);
}

static void every_pool_of_a_list_gets_its_hooked_row(void **state) {
    (void)state;
    struct allocator_list list;
    assert_int_equal(allocator_list_parse("pool,system,pool:3.9", &list, &diag), ERR_OK);
    assert_int_equal(allocator_list_debug_add(&list, &diag), ERR_OK);
    static const char *const names[] = {"pool", "pool+debug", "system", "pool:3.9", "pool:3.9+debug"};
    assert_int_equal(list.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(list.items[i].name, names[i]);
        assert_int_equal(list.items[i].debug_hooks, i == 1 || i == 4);
    }
    assert_string_equal(list.items[4].settings, list.items[3].settings);
}

static void hooks_without_a_pool_are_nonsense(void **state) {
    (void)state;
    struct allocator_list list;
    assert_int_equal(allocator_list_parse("system,null", &list, &diag), ERR_OK);
    assert_int_equal(allocator_list_debug_add(&list, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "pool"));
    assert_int_equal(list.count, 2);
    assert_int_equal(allocator_list_parse("pool", &list, &diag), ERR_OK);
    memset(list.items[0].name, 'p', ALLOCATOR_NAME_BYTES - 1);
    assert_int_equal(allocator_list_debug_add(&list, &diag), ERR_LIMIT);
    for (; list.count < ALLOCATOR_LIST_MAX; list.count++)
        list.items[list.count] = list.items[0];
    assert_int_equal(allocator_list_debug_add(&list, &diag), ERR_LIMIT);
    assert_int_equal(list.count, ALLOCATOR_LIST_MAX);
}

static struct launch_result run(const struct allocator *allocator, const struct program *program,
                                enum worker_pass pass) {
    struct launch launch = {.worker_path = WORKER_PATH,
                            .program = program,
                            .allocator = allocator,
                            .pass = pass,
                            .touch = true,
                            .cpu = -1,
                            .timeout_ns = 60 * (uint64_t)1000000000};
    struct launch_result result;
    if (launch_run(&launch, &result, &diag))
        fail_msg("%s", diag.text);
    if (result.status != RUN_DONE)
        fail_msg("%s: %s", allocator->name, result.text);
    return result;
}

static void a_worker_runs_each_pass_and_its_blocks_take_more(void **state) {
    (void)state;
    enum { COUNT = 30000 };
    struct event *events = trace_make(support_seed(21), COUNT);
    struct program program;
    struct allocator_list list;
    program_make(events, COUNT, &program);
    assert_int_equal(allocator_list_parse("pool", &list, &diag), ERR_OK);
    assert_int_equal(allocator_list_debug_add(&list, &diag), ERR_OK);
    struct launch_result timed = run(&list.items[1], &program, WORKER_TIME);
    assert_int_equal(timed.shared->reply.operation_count, program.header->summary.operation_count);
    assert_int_equal(timed.shared->reply.refused_count, 0);
    launch_result_release(&timed);
    struct launch_result plain = run(&list.items[0], &program, WORKER_MEMORY);
    struct launch_result hooked = run(&list.items[1], &program, WORKER_MEMORY);
    for (uint64_t i = 0; i < program.header->sample_count; i++) {
        const struct worker_sample *a = &plain.shared->samples[i], *b = &hooked.shared->samples[i];
        assert_int_equal(a->live_bytes, b->live_bytes);
        assert_true(b->usable_bytes >= b->live_bytes + 24 * b->live_blocks);
        assert_true(a->live_blocks < 100 || b->usable_bytes > a->usable_bytes);
        assert_int_equal(a->counts.blocks_count + a->counts.raw_blocks_count,
                         b->counts.blocks_count + b->counts.raw_blocks_count);
        assert_true(b->split.allocated_blocks_bytes >= b->pooled_bytes + 24 * b->counts.blocks_count);
    }
    assert_int_equal(hooked.shared->reply.drained[0].live_blocks, 0);
    launch_result_release(&plain);
    launch_result_release(&hooked);
    program_close(&program);
    free(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_lose_nothing_and_find_nothing_on_a_random_trace),
        cmocka_unit_test(a_damaged_block_is_the_verdict),
        cmocka_unit_test(alignments_beyond_the_pools_are_refused),
        cmocka_unit_test(every_pool_of_a_list_gets_its_hooked_row),
        cmocka_unit_test(hooks_without_a_pool_are_nonsense),
        cmocka_unit_test(a_worker_runs_each_pass_and_its_blocks_take_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
