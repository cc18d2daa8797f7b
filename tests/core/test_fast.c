#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/fast_internal.h"
#include "tests/core/fast_support.h"

static struct fast_counted_source source;

static struct fast *fast_make(void) {
    memset(&source, 0, sizeof source);
    return fast_counted_create(&source);
}

static struct pool_counts counts_of(const struct fast *fast) {
    struct pool_counts counts;
    fast_counts_get(fast, &counts);
    return counts;
}

static void classes_cover_every_size_with_bounded_waste(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    for (size_t bytes = 0; bytes <= FAST_CLASS_BYTES; bytes++) {
        void *block = fast_malloc(fast, bytes);
        size_t usable = fast_usable_size(fast, block);
        assert_true(fast_owns(fast, block));
        assert_int_equal((uintptr_t)block % FAST_ALIGN_BYTES, 0);
        assert_true(usable >= bytes);
        if (bytes > FAST_DENSE_BYTES)
            assert_true(usable - bytes <= bytes / 3);
        else
            assert_int_equal(usable, bytes ? (bytes + 15) / 16 * 16 : 16);
        fast_free(fast, block);
    }
    fast_check_assert(fast);
    fast_destroy(fast);
}

static void classes_rise_and_fill_their_spans(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    for (uint32_t i = 0; i < fast->class_count; i++) {
        const struct fast_class *class = &fast->classes[i];
        uint32_t span_bytes = class->units * FAST_UNIT_BYTES;
        assert_true(!i || class->block_bytes > fast->classes[i - 1].block_bytes);
        assert_int_equal(class->block_bytes % FAST_ALIGN_BYTES, 0);
        assert_true(class->units <= FAST_SPAN_UNITS_MAX);
        assert_int_equal(class->capacity, span_bytes / class->block_bytes);
        assert_true(span_bytes - class->capacity * class->block_bytes < class->block_bytes);
        assert_true((i < fast->small_class_count) == (class->first_step <= class->last_step));
        assert_true(i >= fast->small_class_count || class->units == 1);
    }
    assert_true(fast->classes[fast->small_class_count - 1].block_bytes >= FAST_SMALL_BYTES);
    assert_int_equal(fast->classes[fast->class_count - 1].block_bytes, FAST_CLASS_BYTES);
    fast_destroy(fast);
}

static void blocks_above_the_classes_have_units_of_their_own(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    static const size_t sizes[] = {FAST_CLASS_BYTES + 1, 2 * FAST_UNIT_BYTES, 2 * FAST_UNIT_BYTES + 1, 262177,
                                   FAST_LIMIT_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *block = fast_malloc(fast, sizes[i]);
        assert_true(fast_owns(fast, block));
        assert_int_equal(fast_usable_size(fast, block),
                         (sizes[i] + FAST_UNIT_BYTES - 1) / FAST_UNIT_BYTES * FAST_UNIT_BYTES);
        memset(block, 1, sizes[i]);
        fast_check_assert(fast);
        fast_free(fast, block);
        fast_check_assert(fast);
    }
    fast_destroy(fast);
}

static void requests_above_the_limit_and_great_alignments_are_raw(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    void *large = fast_malloc(fast, FAST_LIMIT_BYTES + 1), *aligned = fast_aligned_alloc(fast, 64, 100);
    void *zeroed = fast_calloc(fast, 3, FAST_LIMIT_BYTES);
    assert_false(fast_owns(fast, large) || fast_owns(fast, aligned) || fast_owns(fast, zeroed));
    assert_int_equal((uintptr_t)aligned % 64, 0);
    assert_true(fast_usable_size(fast, large) > FAST_LIMIT_BYTES);
    assert_int_equal(counts_of(fast).raw_blocks_count, 3);
    assert_int_equal(counts_of(fast).blocks_count, 0);
    void *plain = fast_aligned_alloc(fast, 16, 100);
    assert_true(fast_owns(fast, plain));
    large = fast_realloc(fast, large, 10); /* raw blocks stay raw */
    assert_false(fast_owns(fast, large));
    assert_int_equal(counts_of(fast).raw_blocks_count, 3);
    fast_free(fast, large);
    fast_free(fast, aligned);
    fast_free(fast, zeroed);
    fast_free(fast, plain);
    assert_int_equal(counts_of(fast).raw_blocks_count, 0);
    fast_destroy(fast);
}

static void impossible_sizes_are_refused_and_change_nothing(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    volatile size_t huge = SIZE_MAX, half = (size_t)PTRDIFF_MAX + 1;
    assert_null(fast_malloc(fast, huge));
    assert_null(fast_malloc(fast, huge - 14)); /* rounding up to 16 would wrap around */
    assert_null(fast_malloc(fast, half));
    assert_null(fast_calloc(fast, huge, 2));
    assert_null(fast_calloc(fast, half, 1));
    assert_null(fast_aligned_alloc(fast, 4096, huge));
    char *block = fast_malloc(fast, 100);
    block[99] = 'x';
    assert_null(fast_realloc(fast, block, huge));
    assert_int_equal(block[99], 'x');
    assert_int_equal(counts_of(fast).raw_blocks_count, 0);
    assert_int_equal(counts_of(fast).blocks_count, 1);
    fast_free(fast, block);
    fast_free(fast, NULL);
    assert_int_equal(fast_usable_size(fast, NULL), 0);
    assert_false(fast_owns(fast, NULL));
    fast_check_assert(fast);
    fast_destroy(fast);
}

static void calloc_zeroes_what_was_used_before(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    static const size_t sizes[] = {1, 16, 500, 2000, 9000, 16384, 40000, FAST_LIMIT_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *first = fast_malloc(fast, sizes[i]);
        memset(first, 0xee, sizes[i]);
        fast_free(fast, first);
        char *again = fast_calloc(fast, 1, sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(again[at], 0);
        fast_free(fast, again);
    }
    assert_non_null(fast_calloc(fast, 0, 8));
    fast_destroy(fast);
}

static void realloc_stays_above_three_quarters(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    char *block = fast_malloc(fast, 400);
    memset(block, 7, 400);
    assert_ptr_equal(fast_realloc(fast, block, 301), block);
    assert_ptr_equal(fast_realloc(fast, block, 400), block);
    char *moved = fast_realloc(fast, block, 300);
    assert_ptr_not_equal(moved, block);
    for (int i = 0; i < 300; i++)
        assert_int_equal(moved[i], 7);
    assert_int_equal(fast_usable_size(fast, moved), 304);
    fast_free(fast, moved);
    assert_true(fast_owns(fast, fast_realloc(fast, NULL, 8)));
    fast_check_assert(fast);
    fast_destroy(fast);
}

static void large_blocks_are_cut_and_extended_in_place(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    char *block = fast_malloc(fast, 10 * FAST_UNIT_BYTES);
    memset(block, 5, 10 * FAST_UNIT_BYTES);
    assert_ptr_equal(fast_realloc(fast, block, 3 * FAST_UNIT_BYTES - 1), block);
    assert_int_equal(fast_usable_size(fast, block), 3 * FAST_UNIT_BYTES);
    fast_check_assert(fast);
    assert_ptr_equal(fast_realloc(fast, block, 20 * FAST_UNIT_BYTES), block);
    fast_check_assert(fast);
    char *behind = fast_malloc(fast, 5 * FAST_UNIT_BYTES);
    assert_ptr_equal(behind, block + 20 * FAST_UNIT_BYTES);
    char *moved = fast_realloc(fast, block, 21 * FAST_UNIT_BYTES);
    assert_ptr_not_equal(moved, block);
    for (int i = 0; i < 3 * FAST_UNIT_BYTES - 1; i++)
        assert_int_equal(moved[i], 5);
    char *small = fast_realloc(fast, moved, 100);
    assert_int_equal(fast_usable_size(fast, small), 112);
    assert_int_equal(small[99], 5);
    char *raw = fast_realloc(fast, behind, FAST_LIMIT_BYTES + 1);
    assert_false(fast_owns(fast, raw));
    fast_free(fast, raw);
    fast_free(fast, small);
    fast_check_assert(fast);
    assert_int_equal(counts_of(fast).blocks_count, 0);
    fast_destroy(fast);
}

static void frees_find_the_span_from_any_of_its_units(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    enum { COUNT = 200 };
    char *blocks[COUNT];
    for (size_t bytes = 9000; bytes <= 13000; bytes += 2000) {
        for (int i = 0; i < COUNT; i++)
            memset(blocks[i] = fast_malloc(fast, bytes), i, bytes);
        fast_check_assert(fast);
        for (int i = 0; i < COUNT; i += 2)
            fast_free(fast, blocks[i]);
        fast_check_assert(fast);
        for (int i = 1; i < COUNT; i += 2) {
            assert_int_equal((unsigned char)blocks[i][bytes - 1], i);
            fast_free(fast, blocks[i]);
        }
        fast_check_assert(fast);
        assert_int_equal(counts_of(fast).blocks_count, 0);
    }
    fast_destroy(fast);
}

static void full_spans_that_get_a_block_back_serve_last(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    enum { CAPACITY = FAST_UNIT_BYTES / 512 };
    void *blocks[2 * CAPACITY + 1];
    for (int i = 0; i < 2 * CAPACITY + 1; i++)
        blocks[i] = fast_malloc(fast, 512);
    fast_free(fast, blocks[3]); /* of the first span, which is full; the third has room */
    for (int i = 0; i < CAPACITY - 1; i++)
        assert_ptr_not_equal(fast_malloc(fast, 512), blocks[3]);
    assert_ptr_equal(fast_malloc(fast, 512), blocks[3]);
    fast_check_assert(fast);
    fast_destroy(fast);
}

static void full_spans_of_many_blocks_wait_until_some_are_free(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    enum { CAPACITY = FAST_UNIT_BYTES / 32, RELIST = CAPACITY / FAST_RELIST_SHARE };
    void *blocks[CAPACITY + 1];
    for (int i = 0; i < CAPACITY + 1; i++)
        blocks[i] = fast_malloc(fast, 32);
    const struct fast_span *span = fast_span_of(fast, blocks[0]);
    for (int i = 0; i < RELIST; i++) {
        assert_false(span->listed);
        fast_free(fast, blocks[i]);
        fast_check_assert(fast);
        assert_int_equal(counts_of(fast).blocks_count, CAPACITY - i);
    }
    assert_true(span->listed);
    assert_int_equal(fast_span_in_use(span), CAPACITY - RELIST);
    for (int i = RELIST; i < CAPACITY + 1; i++)
        fast_free(fast, blocks[i]);
    fast_check_assert(fast);
    assert_int_equal(counts_of(fast).blocks_count, 0);
    fast_destroy(fast);
}

static void arenas_return_when_empty_and_few_are_kept(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    enum { COUNT = 40000 };
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        blocks[i] = fast_malloc(fast, 256);
    uint64_t most = counts_of(fast).arenas_count;
    assert_true(most >= COUNT * 256 / FAST_ARENA_BYTES);
    for (int i = 0; i < COUNT; i++)
        fast_free(fast, blocks[i]);
    fast_check_assert(fast);
    struct pool_counts counts = counts_of(fast);
    assert_int_equal(counts.arenas_count, FAST_EMPTY_ARENAS_KEPT);
    assert_int_equal(counts.arenas_peak_count, most);
    assert_int_equal(counts.arenas_returned_count, most - FAST_EMPTY_ARENAS_KEPT);
    assert_int_equal(source.returned_count, counts.arenas_returned_count);
    blocks[0] = fast_malloc(fast, 256);
    assert_int_equal(counts_of(fast).arenas_mapped_count, most); /* a kept one serves */
    fast_destroy(fast);
    assert_int_equal(source.obtained_count, source.returned_count);
}

static void large_blocks_and_small_ones_share_no_arena(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    void *small = fast_malloc(fast, 100), *large = fast_malloc(fast, 3000), *run = fast_malloc(fast, 50000);
    uintptr_t arena = (uintptr_t)small / FAST_ARENA_BYTES;
    assert_int_not_equal((uintptr_t)large / FAST_ARENA_BYTES, arena);
    assert_int_equal((uintptr_t)large / FAST_ARENA_BYTES, (uintptr_t)run / FAST_ARENA_BYTES);
    fast_check_assert(fast);
    fast_free(fast, large);
    fast_free(fast, run);
    for (int i = 0; i < 40 * FAST_UNIT_BYTES / 512; i++) /* an arena of large blocks, now empty, serves small ones */
        fast_malloc(fast, 512);
    assert_int_equal(counts_of(fast).arenas_mapped_count, 2);
    fast_check_assert(fast);
    fast_destroy(fast);
}

struct seen {
    uint64_t arenas, blocks, bytes, pools;
    uint64_t class_blocks_small, class_blocks_last;
};

static void arena_see(void *ctx, const struct pool_arena_view *view) {
    struct seen *seen = ctx;
    seen->arenas++;
    seen->blocks += view->blocks_count;
    seen->bytes += view->blocks_bytes;
    seen->pools += view->used_pools_count;
    assert_int_equal(view->total_pools_count, FAST_ARENA_UNITS);
    seen->class_blocks_small += view->class_blocks[6];
    seen->class_blocks_last += view->class_blocks[view->class_count - 1];
}

static void split_counts_and_visits_agree(void **state) {
    (void)state;
    struct fast *fast = fast_make();
    fast_malloc(fast, 100);
    fast_malloc(fast, 9000);
    fast_malloc(fast, 50000);
    struct pool_split split;
    fast_split_get(fast, &split);
    assert_int_equal(split.arena_bytes_total, 2 * FAST_ARENA_BYTES);
    assert_int_equal(split.allocated_blocks_bytes,
                     112 + fast_usable_size(fast, NULL) +
                         fast->classes[fast_span_at(fast, FAST_ARENA_UNITS)->class_index].block_bytes +
                         4 * FAST_UNIT_BYTES);
    struct seen seen = {0};
    fast_arena_visit(fast, arena_see, &seen);
    assert_int_equal(seen.arenas, 2);
    assert_int_equal(seen.blocks, 3);
    assert_int_equal(seen.bytes, split.allocated_blocks_bytes);
    assert_int_equal(seen.pools * FAST_UNIT_BYTES, split.arena_bytes_total - split.empty_pools_bytes);
    assert_int_equal(seen.class_blocks_small, 1);
    assert_int_equal(seen.class_blocks_last, 2);
    assert_int_equal(counts_of(fast).blocks_count, 3);
    fast_destroy(fast);
}

static void instances_know_only_their_own_blocks(void **state) {
    (void)state;
    struct fast *one = fast_make(), *other;
    assert_int_equal(fast_create(NULL, &other, NULL), ERR_OK);
    void *a = fast_malloc(one, 64), *b = fast_malloc(other, 64), *foreign = malloc(64);
    assert_true(fast_owns(one, a) && !fast_owns(other, a));
    assert_true(fast_owns(other, b) && !fast_owns(one, b));
    assert_false(fast_owns(one, foreign) || fast_owns(one, &a));
    free(foreign);
    fast_destroy(one);
    fast_destroy(other);
    fast_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_cover_every_size_with_bounded_waste),
        cmocka_unit_test(classes_rise_and_fill_their_spans),
        cmocka_unit_test(blocks_above_the_classes_have_units_of_their_own),
        cmocka_unit_test(requests_above_the_limit_and_great_alignments_are_raw),
        cmocka_unit_test(impossible_sizes_are_refused_and_change_nothing),
        cmocka_unit_test(calloc_zeroes_what_was_used_before),
        cmocka_unit_test(realloc_stays_above_three_quarters),
        cmocka_unit_test(large_blocks_are_cut_and_extended_in_place),
        cmocka_unit_test(frees_find_the_span_from_any_of_its_units),
        cmocka_unit_test(full_spans_that_get_a_block_back_serve_last),
        cmocka_unit_test(full_spans_of_many_blocks_wait_until_some_are_free),
        cmocka_unit_test(arenas_return_when_empty_and_few_are_kept),
        cmocka_unit_test(large_blocks_and_small_ones_share_no_arena),
        cmocka_unit_test(split_counts_and_visits_agree),
        cmocka_unit_test(instances_know_only_their_own_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
