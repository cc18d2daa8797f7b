/* What a child inherits from a parent whose threads went on during the fork: held against a namer that is given, of all
 * that came behind the announcement, just what came before the cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "tests/support.h"
#include "traces/record/record_cut.h"
#include "traces/record/record_names.h"

enum { RINGS = 5, ADDRESSES = 24, BEFORE = 300, BESIDE = 400, ROUNDS = 300 };

static enum err events_drop(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    (void)ctx, (void)events, (void)count, (void)diag;
    return ERR_OK;
}

static enum err drop_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    (void)ctx, (void)diag;
    *sink = (struct event_sink){.put = events_drop};
    return ERR_OK;
}

static void namer_make(struct namer **out) {
    const struct merged_record image = {.what = (uint64_t)RECORD_IMAGE << RECORD_KIND_SHIFT, .serial = 1};
    assert_int_equal(namer_create(&(struct record_output){.begin = drop_begin}, out), ERR_OK);
    assert_int_equal(namer_live_keep(*out), ERR_OK);
    assert_int_equal(namer_put(*out, &image, NULL), ERR_OK);
}

/* A program: each thread has a ring and addresses of its own, so that any cut is one that could have been. */
struct program {
    uint64_t seed;
    bool is_live[RINGS][ADDRESSES];
    uint64_t moving[RINGS]; /* address + 1 of the realloc under way */
    uint64_t positions[RINGS];
};

static uint64_t address_of(unsigned ring, uint64_t at) {
    return ((uint64_t)ring << 20 | (at + 1)) << 4;
}

static struct merged_record record_make(struct program *program, unsigned ring, uint64_t kind, uint64_t pointer) {
    uint64_t align_log2 = kind == RECORD_ALIGNED ? 5 + random_next(&program->seed) % 4 : 0;
    return (struct merged_record){.what = pointer | kind << RECORD_KIND_SHIFT |
                                          (random_next(&program->seed) % 4) << RECORD_DOMAIN_SHIFT |
                                          align_log2 << RECORD_ALIGN_SHIFT,
                                  .size_bytes = 1 + random_next(&program->seed) % 5000,
                                  .serial = ring + 1,
                                  .place = merged_place(ring, program->positions[ring]++)};
}

static struct merged_record realloc_finish(struct program *program, unsigned ring, uint64_t at) {
    static const uint64_t ends[] = {RECORD_REALLOC_END, RECORD_REALLOC_END, RECORD_REALLOC_FAILED,
                                    RECORD_REALLOC_FREED};
    uint64_t kind = ends[random_next(&program->seed) % 4], old = program->moving[ring] - 1;
    program->moving[ring] = 0;
    if (kind == RECORD_REALLOC_END && program->is_live[ring][at])
        kind = RECORD_REALLOC_FAILED;
    if (kind == RECORD_REALLOC_FREED)
        return record_make(program, ring, kind, 0);
    at = kind == RECORD_REALLOC_FAILED ? old : at;
    program->is_live[ring][at] = true;
    return record_make(program, ring, kind, address_of(ring, at));
}

static struct merged_record program_step(struct program *program) {
    static const uint64_t makes[] = {RECORD_MALLOC, RECORD_CALLOC, RECORD_ALIGNED, RECORD_REALLOC_NEW};
    unsigned ring = (unsigned)(random_next(&program->seed) % RINGS);
    uint64_t at = random_next(&program->seed) % ADDRESSES, choice = random_next(&program->seed) % 4;
    bool *is_live = &program->is_live[ring][at];
    if (program->moving[ring])
        return realloc_finish(program, ring, at);
    if (choice == 3)
        return record_make(program, ring, at % 2 ? RECORD_FREE : RECORD_THREAD_START, 0);
    if (!*is_live) {
        *is_live = true;
        return record_make(program, ring, makes[random_next(&program->seed) % 4], address_of(ring, at));
    }
    *is_live = false;
    if (choice)
        return record_make(program, ring, RECORD_FREE, address_of(ring, at));
    program->moving[ring] = at + 1;
    return record_make(program, ring, RECORD_REALLOC_BEGIN, address_of(ring, at));
}

static void assert_same(const struct live_set *set, const struct live_set *expected) {
    assert_int_equal(set->count, expected->count);
    assert_int_equal(set->bytes, expected->bytes);
    for (uint64_t i = 0; i < set->count; i++) {
        assert_int_equal(set->blocks[i].pointer, expected->blocks[i].pointer);
        assert_int_equal(set->blocks[i].shape, expected->blocks[i].shape);
    }
}

static void one_fork(uint64_t seed) {
    struct program program = {.seed = seed};
    struct namer *parent, *model;
    struct cut_log log = {0};
    struct live_set set, expected;
    uint64_t heads[RINGS], unknown = 77;
    namer_make(&parent);
    namer_make(&model);
    for (unsigned ring = 0; ring < RINGS; ring++) /* also where the position's low bits are about to turn over */
        program.positions[ring] = random_next(&program.seed) % 3 * ((1u << MERGED_POSITION_BITS) - 100);
    for (int i = 0; i < BEFORE; i++) {
        struct merged_record record = program_step(&program);
        assert_int_equal(namer_put(parent, &record, NULL), ERR_OK);
        assert_int_equal(namer_put(model, &record, NULL), ERR_OK);
    }
    assert_int_equal(namer_live_take(parent, &set), ERR_OK);
    for (unsigned ring = 0; ring < RINGS; ring++)
        heads[ring] = program.positions[ring] + random_next(&program.seed) % (BESIDE / RINGS);
    for (int i = 0; i < BESIDE; i++) {
        struct merged_record record = program_step(&program);
        unsigned ring = merged_place_ring(record.place);
        cut_log_add(&log, &record);
        if (program.positions[ring] <= heads[ring])
            assert_int_equal(namer_put(model, &record, NULL), ERR_OK);
    }
    assert_int_equal(namer_live_take(model, &expected), ERR_OK);
    assert_int_equal(cut_apply(&set, &log, heads, RINGS, &unknown), ERR_OK);
    assert_int_equal(unknown, 0);
    assert_same(&set, &expected);
    live_set_clear(&set);
    live_set_clear(&expected);
    cut_log_clear(&log);
    namer_destroy(parent);
    namer_destroy(model);
}

static void what_came_before_the_cut_and_nothing_else_is_inherited(void **state) {
    uint64_t seed = support_seed(20261120);
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        one_fork(random_next(&seed));
}

static struct merged_record malloc_in(uint32_t ring, uint64_t position) {
    return (struct merged_record){.what = (uint64_t)RECORD_MALLOC << RECORD_KIND_SHIFT | (position + 1) << 4,
                                  .size_bytes = 10,
                                  .serial = ring + 1,
                                  .place = merged_place(ring, position)};
}

static void rings_that_nothing_is_known_of_are_counted_and_left_out(void **state) {
    const uint64_t heads[] = {2, RECORD_HEAD_UNKNOWN};
    struct cut_log log = {0};
    struct live_set set = {0};
    uint64_t unknown = 0;
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        for (uint32_t ring = 0; ring < 3; ring++) {
            struct merged_record record = malloc_in(ring, i);
            cut_log_add(&log, &record);
        }
    assert_int_equal(cut_apply(&set, &log, heads, 2, &unknown), ERR_OK);
    assert_int_equal(set.count, 2); /* of ring 0; ring 2 was claimed behind the cut */
    assert_int_equal(unknown, 4);
    cut_log_clear(&log);
    live_set_clear(&set);
}

static void a_log_that_grows_beyond_bounds_counts_what_it_missed(void **state) {
    struct cut_log log = {0};
    struct live_set set = {0};
    const uint64_t heads[] = {1};
    uint64_t unknown = 0;
    (void)state;
    for (uint64_t i = 0; i < CUT_RECORDS_MAX + 5; i++) {
        struct merged_record record = malloc_in(0, i);
        cut_log_add(&log, &record);
    }
    assert_int_equal(log.count, CUT_RECORDS_MAX);
    assert_int_equal(cut_apply(&set, &log, heads, 1, &unknown), ERR_OK);
    assert_int_equal(set.count, 1);
    assert_int_equal(unknown, 5);
    cut_log_clear(&log);
    assert_null(log.records);
    live_set_clear(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_before_the_cut_and_nothing_else_is_inherited),
        cmocka_unit_test(rings_that_nothing_is_known_of_are_counted_and_left_out),
        cmocka_unit_test(a_log_that_grows_beyond_bounds_counts_what_it_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
