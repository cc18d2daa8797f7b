/*
 * The loop on each backend, in this process: under AddressSanitizer every block that the loop loses or frees twice
 * shows.
 */
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#include "compare/worker/backend.h"
#include "compare/worker/passes.h"
#include "compare/worker/pins.h"
#include "compare/worker/replay_loop.h"
#include "compare/worker/resident.h"
#include "core/fast.h"

static void program_make(const struct event *events, size_t count, struct program *out) {
    struct array_source array = {.events = events, .count = count, .run = 100};
    struct event_source source = array_source_events(&array);
    struct diag diag;
    if (program_compile(&source, out, &diag))
        fail_msg("%s", diag.text);
}

static struct replay replay_make(const struct program *program) {
    struct replay replay = {.program = program, .touch = true, .has_usable_size = true};
    replay.slots = calloc(program->header->slot_count, sizeof *replay.slots);
    replay.account.notes = calloc(program->header->slot_count, sizeof *replay.account.notes);
    assert_non_null(replay.slots);
    assert_non_null(replay.account.notes);
    return replay;
}

static void replay_release(struct replay *replay) {
    free(replay->slots);
    free(replay->account.notes);
}

/* One of everything: wide and narrow, aligned, grown, shrunk to nothing, NULL given back, survivors. */
static const struct event everything[] = {
    {.kind = EVENT_MALLOC, .size_bytes = 24},                           /* 1 */
    {.kind = EVENT_CALLOC, .size_bytes = 5000},                         /* 2 */
    {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 100, .align_log2 = 12}, /* 3 */
    {.kind = EVENT_ALIGNED_ALLOC, .size_bytes = 3, .align_log2 = 0},    /* 4 */
    {.kind = EVENT_REALLOC, .size_bytes = 40},                          /* 5: realloc(NULL, 40) */
    {.kind = EVENT_REALLOC, .size_bytes = 4000, .block = 5},            /* 6 */
    {.kind = EVENT_REALLOC, .size_bytes = 0, .block = 1},               /* 7 */
    {.kind = EVENT_FREE, .block = 0},                                   /* free(NULL) */
    {.kind = EVENT_MALLOC, .size_bytes = 0},                            /* 8 */
    {.kind = EVENT_MALLOC, .size_bytes = (uint64_t)1 << 29},            /* 9: wide */
    {.kind = EVENT_FREE, .block = 9},
    {.kind = EVENT_FREE, .block = 3},
    {.kind = EVENT_MALLOC, .size_bytes = 300, .domain = DOMAIN_RAW}, /* 10 */
    {.kind = EVENT_MALLOC, .size_bytes = 300, .domain = DOMAIN_OBJ}, /* 11 */
};
enum { EVERYTHING_COUNT = sizeof everything / sizeof everything[0] };

static void survivors_and_their_bytes_are_accounted(const struct backend *backend, struct pool *pool) {
    struct program program;
    program_make(everything, EVERYTHING_COUNT, &program);
    struct replay replay = replay_make(&program);
    replay.pool = pool;
    replay.touch = false; /* half a GiB is asked for, not used */
    backend->run_accounted(&replay, 0, program.header->word_count);
    assert_int_equal(replay.refused_count, 0);
    assert_int_equal(replay.account.live_bytes, 5000 + 3 + 4000 + 0 + 0 + 300 + 300);
    assert_int_equal(replay.account.live_bytes, program.header->summary.live_end_bytes);
    assert_int_equal(replay.account.live_blocks, program.header->summary.live_end_blocks);
    if (backend != &backend_null)
        assert_true(replay.account.usable_bytes >= replay.account.live_bytes);
    assert_null(replay.slots[0]);
    backend->drain(&replay);
    assert_int_equal(replay.account.live_bytes, 0);
    assert_int_equal(replay.account.live_blocks, 0);
    assert_int_equal(replay.account.usable_bytes, 0);
    assert_int_equal(replay.account.pooled_bytes, 0);
    replay_release(&replay);
    program_close(&program);
}

static struct pool *pool_make(void) {
    struct pool *pool = NULL;
    assert_int_equal(pool_create(pool_profile_find("3.11"), NULL, &pool, NULL), ERR_OK);
    return pool;
}

static void null_accounts_for_everything(void **state) {
    (void)state;
    survivors_and_their_bytes_are_accounted(&backend_null, NULL);
}

static void libc_accounts_for_everything(void **state) {
    (void)state;
    survivors_and_their_bytes_are_accounted(&backend_libc, NULL);
}

static void fast_accounts_for_everything(void **state) {
    (void)state;
    struct fast *fast = NULL;
    assert_int_equal(fast_create(NULL, &fast, NULL), ERR_OK);
    survivors_and_their_bytes_are_accounted(&backend_fast, (struct pool *)fast);
    fast_destroy(fast);
}

static void pool_accounts_for_everything(void **state) {
    (void)state;
    struct pool *pool = pool_make();
    survivors_and_their_bytes_are_accounted(&backend_pool, pool);
    pool_destroy(pool);
}

/* Sizes that a sanitizer's malloc and this machine can give; the random traces ask for up to 2^47. */
static struct event *modest_trace_make(uint64_t seed, size_t count) {
    struct event *events = random_trace_make(seed, count, 3);
    for (size_t i = 0; i < count; i++)
        if (events[i].size_bytes > 1 << 16)
            events[i].size_bytes %= 1 << 16;
    return events;
}

static void live_bytes_match_the_program_at_every_sample(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    uint64_t seed = support_seed(5);
    struct event *events = modest_trace_make(seed, COUNT);
    struct program program;
    program_make(events, COUNT, &program);
    struct pool *pool = pool_make();
    struct replay replay = replay_make(&program);
    replay.pool = pool;
    uint64_t done = 0;
    for (uint64_t i = 0; i < program.header->sample_count; i++) {
        const struct program_sample *sample = &program.samples[i];
        backend_pool.run_accounted(&replay, done, sample->word_index);
        done = sample->word_index;
        assert_int_equal(replay.account.live_bytes, sample->live_bytes);
        assert_int_equal(replay.account.live_blocks, sample->live_blocks);
        struct pool_split split;
        pool_split_get(pool, &split);
        assert_true(split.allocated_blocks_bytes >= replay.account.pooled_bytes);
    }
    assert_int_equal(pool_check(pool, NULL), ERR_OK);
    backend_pool.drain(&replay);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.blocks_count, 0);
    assert_int_equal(counts.raw_blocks_count, 0);
    replay_release(&replay);
    pool_destroy(pool);
    program_close(&program);
    free(events);
}

static void the_bare_loop_leaves_the_same_blocks_as_the_accounted_one(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    struct event *events = modest_trace_make(support_seed(6), COUNT);
    struct program program;
    program_make(events, COUNT, &program);
    struct replay bare = replay_make(&program), accounted = replay_make(&program);
    backend_libc.run(&bare);
    backend_libc.run_accounted(&accounted, 0, program.header->word_count);
    for (uint32_t slot = 0; slot < program.header->slot_count; slot++) {
        assert_int_equal(bare.slots[slot] == NULL, accounted.slots[slot] == NULL);
        free(bare.slots[slot]);
    }
    backend_libc.drain(&accounted);
    replay_release(&bare);
    replay_release(&accounted);
    program_close(&program);
    free(events);
}

static void touching_writes_each_page_and_nothing_past_the_end(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 4096, 4097, 4103, 4104, 12288, 12289};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t bytes = sizes[i];
        char *block = calloc(1, bytes + 1);
        assert_non_null(block);
        block_touch(block, bytes, TOUCH_PAGE_BYTES);
        for (size_t page = 0; page < bytes; page += TOUCH_PAGE_BYTES)
            assert_true(bytes - page >= 8 ? *(size_t *)(void *)(block + page) == bytes - page
                                          : block[page] == (char)(bytes - page));
        assert_int_equal(block[bytes], 0);
        free(block);
    }
}

static void damaged_programs_are_refused(void **state) {
    (void)state;
    struct program_header header = {.word_count = 1, .slot_count = 2};
    uint64_t op = (uint64_t)2 << OP_SLOT_SHIFT;
    struct program program = {.header = &header, .ops = &op};
    bool needs_aligned;
    assert_int_equal(program_verify(&program, &needs_aligned, NULL), ERR_INVALID); /* slot beyond the table */
    op = 7;
    assert_int_equal(program_verify(&program, &needs_aligned, NULL), ERR_INVALID); /* no such kind */
    op = (uint64_t)1 << OP_WIDE_BIT;
    assert_int_equal(program_verify(&program, &needs_aligned, NULL), ERR_INVALID); /* its second word is missing */
    op = (uint64_t)1 << OP_SLOT_SHIFT | (uint64_t)16 << OP_SIZE_SHIFT;
    assert_int_equal(program_verify(&program, &needs_aligned, NULL), ERR_OK);
    assert_false(needs_aligned);
}

static void fields_of_smaps_are_found_at_line_starts_only(void **state) {
    (void)state;
    static const char text[] =
        "1000-2000 ---p [rollup]\nPss_Anonymous:  9 kB\nAnonymous:       112 kB\nLazyFree:  x kB\n";
    uint64_t bytes = 1;
    assert_true(resident_field(text, "Anonymous:", &bytes));
    assert_int_equal(bytes, 112 * 1024);
    assert_false(resident_field(text, "LazyFree:", &bytes));
    assert_false(resident_field(text, "Swap:", &bytes));
    struct resident resident;
    assert_true(resident_read(&resident));
    assert_true(resident.anonymous_bytes > 0);
}

static void pins_name_the_class_that_holds_an_arena(void **state) {
    (void)state;
    struct pool *pool = pool_make();
    void *block = pool_malloc(pool, 100);
    struct worker_pins pins;
    pins_take(pool, 42, &pins);
    assert_int_equal(pins.taken, 1);
    assert_int_equal(pins.operation_index, 42);
    assert_int_equal(pins.arena_count, 1);
    assert_int_equal(pins.occupancy[0], 1);
    assert_int_equal(pins.class_blocks[6], 1); /* 112-byte blocks */
    assert_int_equal(pins.class_sole_arenas[6], 1);
    pool_free(pool, block);
    pins_take(pool, 43, &pins);
    assert_int_equal(pins.arena_count, pins.empty_count);
    pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_accounts_for_everything),
        cmocka_unit_test(libc_accounts_for_everything),
        cmocka_unit_test(pool_accounts_for_everything),
        cmocka_unit_test(fast_accounts_for_everything),
        cmocka_unit_test(live_bytes_match_the_program_at_every_sample),
        cmocka_unit_test(the_bare_loop_leaves_the_same_blocks_as_the_accounted_one),
        cmocka_unit_test(touching_writes_each_page_and_nothing_past_the_end),
        cmocka_unit_test(damaged_programs_are_refused),
        cmocka_unit_test(fields_of_smaps_are_found_at_line_starts_only),
        cmocka_unit_test(pins_name_the_class_that_holds_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
