/* Rings filled by hand: the order that comes out, holes, and memory that somebody scribbled on. */
#include <stdlib.h>
#include <string.h>

#include "tests/traces/heard.h"
#include "traces/record/record_merge.h"

enum { RINGS = 3, RING_RECORDS = 256 };

struct bench {
    struct record_shared *shared;
    struct merge *merge;
    uint64_t order[1 << 16]; /* pointers in the order they came out */
    size_t order_count;
    uint64_t last_bytes, last_serial, last_ns;
};

static enum err order_note(void *ctx, const struct merged_record *record, struct diag *diag) {
    struct bench *bench = ctx;
    (void)diag;
    bench->order[bench->order_count++] = record->what & RECORD_POINTER_MASK;
    bench->last_bytes = record->size_bytes;
    bench->last_serial = record->serial;
    bench->last_ns = record->time_ns;
    return ERR_OK;
}

static struct bench *bench_create(void) {
    struct bench *bench = calloc(1, sizeof *bench);
    size_t ring_bytes = RING_RECORDS * sizeof(struct ring_record);
    bench->shared = aligned_alloc(RECORD_PAGE_BYTES, record_header_bytes() + RINGS * ring_bytes);
    memset(bench->shared, 0, record_header_bytes() + RINGS * ring_bytes);
    bench->shared->ring_bytes = ring_bytes;
    bench->shared->ring_count = RINGS;
    bench->shared->ring_top = RINGS;
    assert_int_equal(merge_create(bench->shared, (struct merge_consumer){bench, order_note, NULL}, &bench->merge),
                     ERR_OK);
    return bench;
}

static void bench_destroy(struct bench *bench) {
    merge_destroy(bench->merge);
    free(bench->shared);
    free(bench);
}

static void raw_put(struct bench *bench, uint32_t ring, uint64_t what, uint64_t how) {
    struct ring_control *control = &bench->shared->rings[ring];
    struct ring_record *records = (void *)((char *)bench->shared + record_ring_offset(bench->shared, ring));
    uint64_t head = atomic_load(&control->head);
    records[head % RING_RECORDS] = (struct ring_record){what, how};
    atomic_store(&control->head, head + 1);
}

/* A malloc whose pointer is its stamp + 1000. */
static void stamp_put(struct bench *bench, uint32_t ring, uint64_t stamp) {
    raw_put(bench, ring, (uint64_t)RECORD_MALLOC << RECORD_KIND_SHIFT | (stamp + 1000),
            (uint64_t)8 << RECORD_HOW_SIZE_SHIFT | (uint32_t)stamp);
}

static enum err passes_run(struct bench *bench, bool is_final) {
    bool progress = true;
    enum err err = ERR_OK;
    while (!err && progress)
        err = merge_pass(bench->merge, is_final, &progress, NULL);
    return err;
}

static void a_number_that_is_missing_holds_everything_after_it(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    stamp_put(bench, 0, 0);
    stamp_put(bench, 0, 3);
    stamp_put(bench, 1, 2);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_int_equal(bench->order_count, 1);
    stamp_put(bench, 2, 1);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_int_equal(bench->order_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(bench->order[i], 1000 + i);
    bench_destroy(bench);
}

static void holes_are_skipped_only_when_their_image_is_dead(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    stamp_put(bench, 0, 2);
    stamp_put(bench, 0, 5);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_int_equal(bench->order_count, 0);
    bench->shared->image_first_stamp = 4; /* exec: 0, 1 and 3 will not come, 4 may */
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_int_equal(bench->order_count, 1);
    assert_int_equal(passes_run(bench, true), ERR_OK);
    assert_int_equal(bench->order_count, 2);
    assert_int_equal(merge_hole_count(bench->merge), 4);
    bench_destroy(bench);
}

static void random_interleavings_come_out_in_order(void **state) {
    (void)state;
    uint32_t seed = 20240229;
    print_message("seed %u\n", seed);
    struct bench *bench = bench_create();
    uint64_t stamp = 0, shown[RINGS] = {0};
    (void)shown;
    while (stamp < 60000) {
        uint32_t counts[RINGS] = {0};
        uint64_t held = stamp; /* the first of each batch is shown last */
        for (int i = 0; i < 200; i++, stamp++) {
            seed = seed * 1664525 + 1013904223;
            if (stamp != held && counts[1 + (seed >> 16) % 2]++ < RING_RECORDS)
                stamp_put(bench, 1 + (seed >> 16) % 2, stamp);
        }
        assert_int_equal(passes_run(bench, false), ERR_OK);
        stamp_put(bench, 0, held);
        assert_int_equal(passes_run(bench, false), ERR_OK);
        assert_int_equal(bench->order_count, stamp);
    }
    for (size_t i = 0; i < bench->order_count; i++)
        assert_int_equal(bench->order[i], 1000 + i);
    bench_destroy(bench);
}

static void stamps_go_on_past_32_bits(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    merge_destroy(bench->merge);
    bench->shared->stamp = UINT32_MAX - 1;
    assert_int_equal(merge_create(bench->shared, (struct merge_consumer){bench, order_note, NULL}, &bench->merge),
                     ERR_OK);
    for (uint64_t i = 0; i < 5; i++)
        stamp_put(bench, (uint32_t)(i % 2), (uint64_t)UINT32_MAX - 1 + i);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_int_equal(bench->order_count, 5);
    bench_destroy(bench);
}

static void sizes_beyond_32_bits_and_owners_come_from_the_records_before(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    raw_put(bench, 0, (uint64_t)RECORD_CONTEXT << RECORD_KIND_SHIFT, 77);
    raw_put(bench, 0, (uint64_t)RECORD_SIZE << RECORD_KIND_SHIFT, (uint64_t)5 << 32);
    stamp_put(bench, 0, 0);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_true(bench->last_bytes == (uint64_t)5 << 32 && bench->last_serial == 77);
    raw_put(bench, 0, (uint64_t)RECORD_SIZE << RECORD_KIND_SHIFT, (uint64_t)6 << 32);
    raw_put(bench, 0, (uint64_t)RECORD_CONTEXT << RECORD_KIND_SHIFT, 78); /* its owner died in between */
    stamp_put(bench, 0, 1);
    assert_int_equal(passes_run(bench, false), ERR_OK);
    assert_true(bench->last_bytes == 8 && bench->last_serial == 78);
    bench_destroy(bench);
}

static void memory_that_the_program_overwrote_is_an_error(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    bench->shared->rings[0].head = 1u << 20;
    assert_int_equal(passes_run(bench, true), ERR_CHILD);
    bench_destroy(bench);
    bench = bench_create();
    raw_put(bench, 0, 0, 0);
    assert_int_equal(passes_run(bench, true), ERR_CHILD);
    bench_destroy(bench);
    bench = bench_create();
    stamp_put(bench, 0, (uint64_t)1 << 30);
    assert_int_equal(passes_run(bench, true), ERR_CHILD);
    bench_destroy(bench);
    bench = bench_create();
    stamp_put(bench, 0, 0);
    stamp_put(bench, 0, 5);
    stamp_put(bench, 1, 5); /* one number twice */
    assert_int_equal(passes_run(bench, true), ERR_CHILD);
    bench_destroy(bench);
}

/* The namer: what it says about pointers that do not add up. */

static void an_old_address_may_be_taken_while_its_realloc_is_under_way(void **state) {
    (void)state;
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, false);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    heard_put(namer, RECORD_MALLOC, 0x1000, 10, 1);
    heard_put(namer, RECORD_REALLOC_BEGIN, 0x1000, 0, 1);
    heard_put(namer, RECORD_MALLOC, 0x1000, 20, 2);
    heard_put(namer, RECORD_FREE, 0x1000, 0, 2);
    heard_put(namer, RECORD_REALLOC_END, 0x2000, 30, 1);
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    assert_int_equal(heard.all.count, 6);
    assert_int_equal(heard.all.events[4].block, event_block_name(1, 1));
    assert_int_equal(heard.all.events[5].kind, EVENT_REALLOC);
    assert_int_equal(heard.all.events[5].block, event_block_name(0, 1));
    assert_int_equal(namer_counts(namer).missed_free_count, 0);
    namer_destroy(namer);
    heard_clear(&heard);
}

static void frees_that_nobody_saw_are_made_good_and_counted(void **state) {
    (void)state;
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, false);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    heard_put(namer, RECORD_MALLOC, 0x1000, 10, 1);
    heard_put(namer, RECORD_MALLOC, 0x1000, 11, 1);
    heard_put(namer, RECORD_FREE, 0x3000, 0, 1);
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    assert_int_equal(heard.all.count, 4); /* start, malloc, free, malloc */
    assert_int_equal(heard.all.events[2].kind, EVENT_FREE);
    assert_int_equal(heard.all.events[2].block, event_block_name(0, 1));
    assert_int_equal(namer_counts(namer).missed_free_count, 1);
    assert_int_equal(namer_counts(namer).unknown_free_count, 1);
    namer_destroy(namer);
    heard_clear(&heard);
}

static void a_realloc_that_failed_leaves_the_block_alive(void **state) {
    (void)state;
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, false);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    heard_put(namer, RECORD_MALLOC, 0x1000, 10, 1);
    heard_put(namer, RECORD_REALLOC_BEGIN, 0x1000, 0, 1);
    heard_put(namer, RECORD_REALLOC_FAILED, 0x1000, 0, 1);
    heard_put(namer, RECORD_FREE, 0x1000, 0, 1);
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    assert_int_equal(heard.all.count, 3);
    assert_int_equal(heard.all.events[2].block, event_block_name(0, 1));
    assert_int_equal(namer_counts(namer).unknown_free_count, 0);
    namer_destroy(namer);
    heard_clear(&heard);
}

/* A clock record is of the records behind it in its own ring. */
static void clocks_are_of_their_ring(void **state) {
    (void)state;
    struct bench *bench = bench_create();
    const uint64_t clock = (uint64_t)RECORD_CLOCK << RECORD_KIND_SHIFT;
    static const struct {
        uint32_t ring;
        uint64_t clock_ns; /* 0: as before */
        uint64_t expected_ns;
    } steps[] = {{0, 0, 0},   {1, 500, 500}, {0, 300, 300}, {1, 0, 500},
                 {0, 0, 300}, {1, 501, 501}, {0, 0, 300},   {1, EVENT_TIME_END_NS - 1, EVENT_TIME_END_NS - 1}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].clock_ns)
            raw_put(bench, steps[i].ring, clock, steps[i].clock_ns);
        stamp_put(bench, steps[i].ring, i);
        assert_int_equal(passes_run(bench, false), ERR_OK);
        assert_int_equal(bench->order_count, i + 1);
        assert_int_equal(bench->last_ns, steps[i].expected_ns);
    }
    raw_put(bench, 2, clock, EVENT_TIME_END_NS);
    assert_int_equal(passes_run(bench, false), ERR_CHILD);
    bench_destroy(bench);
}

static void clocks_that_disagree_with_the_order_give_way_and_are_rounded(void **state) {
    (void)state;
    static const uint64_t clocks_ns[] = {900, 1000, 1007, 1005, 1007, 1006, 1020};
    static const uint64_t expected_ns[] = {0, 0, 6, 6, 6, 6, 20};
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, false);
    namer_time_keep(namer, 1000, 2);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    for (size_t i = 0; i < sizeof clocks_ns / sizeof clocks_ns[0]; i++) {
        const struct merged_record record = {
            .what = (uint64_t)RECORD_FREE << RECORD_KIND_SHIFT, .serial = 1 + i % 2, .time_ns = clocks_ns[i]};
        assert_int_equal(namer_put(namer, &record, NULL), ERR_OK);
    }
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    size_t frees = 0;
    for (size_t i = 0; i < heard.all.count; i++)
        if (heard.all.events[i].kind == EVENT_FREE)
            assert_int_equal(heard.all.times_ns[i], expected_ns[frees++]);
    assert_int_equal(frees, sizeof clocks_ns / sizeof clocks_ns[0]);
    namer_destroy(namer);
    heard_clear(&heard);
}

static void arena_put(struct namer *namer, uint64_t address, uint64_t before) {
    struct merged_record record = {.what = (uint64_t)RECORD_ARENA << RECORD_KIND_SHIFT |
                                           (uint64_t)18 << RECORD_ALIGN_SHIFT | address,
                                   .size_bytes = before,
                                   .serial = 1};
    assert_int_equal(namer_put(namer, &record, NULL), ERR_OK);
}

/* Of the places known after each of these: all from the first on, or none. */
static void arenas_are_known_from_the_first_on_or_not_at_all(void **state) {
    (void)state;
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, false);
    struct trace_info info = {0};
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    assert_int_equal(namer_arenas_describe(namer, &info), ERR_OK);
    assert_null(info.capture_arena_places);
    arena_put(namer, 0x7f0000800000, 0);
    heard_put(namer, RECORD_MALLOC, 0x1000, 10, 1);
    arena_put(namer, 0x7f00007c0000, 1);
    assert_int_equal(namer_arenas_describe(namer, &info), ERR_OK);
    assert_string_equal(info.capture_arena_places, "8M -256K");
    assert_int_equal(info.capture_arena_count, 2);
    assert_int_equal(info.capture_arena_bytes, 256 << 10);
    arena_put(namer, 0x7f0000780000, 3); /* the third is missing */
    trace_info_clear(&info);
    assert_int_equal(namer_arenas_describe(namer, &info), ERR_OK);
    assert_null(info.capture_arena_places);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1); /* an exec: anew */
    arena_put(namer, 0x7f0000100000, 0);
    assert_int_equal(namer_arenas_describe(namer, &info), ERR_OK);
    assert_string_equal(info.capture_arena_places, "1M");
    trace_info_clear(&info);
    heard_put(namer, RECORD_IMAGE, 0, 0, 1); /* the child of a fork: its first is not the first */
    arena_put(namer, 0x7f0000100000, 5);
    arena_put(namer, 0x7f0000200000, 0);
    assert_int_equal(namer_arenas_describe(namer, &info), ERR_OK);
    assert_null(info.capture_arena_places);
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    namer_destroy(namer);
    heard_clear(&heard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_that_is_missing_holds_everything_after_it),
        cmocka_unit_test(holes_are_skipped_only_when_their_image_is_dead),
        cmocka_unit_test(random_interleavings_come_out_in_order),
        cmocka_unit_test(stamps_go_on_past_32_bits),
        cmocka_unit_test(sizes_beyond_32_bits_and_owners_come_from_the_records_before),
        cmocka_unit_test(memory_that_the_program_overwrote_is_an_error),
        cmocka_unit_test(an_old_address_may_be_taken_while_its_realloc_is_under_way),
        cmocka_unit_test(frees_that_nobody_saw_are_made_good_and_counted),
        cmocka_unit_test(a_realloc_that_failed_leaves_the_block_alive),
        cmocka_unit_test(clocks_are_of_their_ring),
        cmocka_unit_test(clocks_that_disagree_with_the_order_give_way_and_are_rounded),
        cmocka_unit_test(arenas_are_known_from_the_first_on_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
