#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/pool_internal.h"
#include "tests/core/counted_source.h"

enum { POOL_BYTES = 16 << 10, HEADER_BYTES = 48 };

static struct counted_source source;

static struct pool *pool_begin(void) {
    source = (struct counted_source){0};
    return counted_pool_create(pool_profile_find("3.11"), &source);
}

static void pool_end(struct pool *pool) {
    pool_check_assert(pool);
    pool_destroy(pool);
    assert_int_equal(source.obtained_count, source.returned_count);
}

static size_t pool_offset(const void *block) {
    return (uintptr_t)block & (POOL_BYTES - 1);
}

static uintptr_t pool_base(const void *block) {
    return (uintptr_t)block & ~(uintptr_t)(POOL_BYTES - 1);
}

static uint32_t capacity_of(size_t block_bytes) {
    return (uint32_t)((POOL_BYTES - HEADER_BYTES) / block_bytes);
}

/* Takes every block of one pool of a fresh class. */
static uint32_t pool_fill(struct pool *pool, size_t bytes, void **blocks) {
    uint32_t count = capacity_of((bytes + 15) / 16 * 16);
    for (uint32_t i = 0; i < count; i++)
        blocks[i] = pool_malloc(pool, bytes);
    return count;
}

static void size_classes_are_sixteen_bytes_apart(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    for (size_t bytes = 1; bytes <= 512; bytes++) {
        void *block = pool_malloc(pool, bytes);
        assert_true(pool_owns(pool, block));
        assert_int_equal(pool_usable_size(pool, block), (bytes + 15) / 16 * 16);
        assert_int_equal((uintptr_t)block % 16, 0);
        pool_free(pool, block);
    }
    pool_end(pool);
}

static void zero_and_large_requests_go_to_the_raw_layer(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *zero = pool_malloc(pool, 0), *large = pool_malloc(pool, 513);
    assert_non_null(zero);
    assert_non_null(large);
    assert_false(pool_owns(pool, zero));
    assert_false(pool_owns(pool, large));
    assert_true(pool_usable_size(pool, large) >= 513);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.raw_blocks_count, 2);
    assert_int_equal(counts.arenas_mapped_count, 0);
    pool_free(pool, zero);
    pool_free(pool, large);
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.raw_blocks_count, 0);
    pool_end(pool);
}

static void free_of_null_does_nothing(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    pool_free(pool, NULL);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.raw_blocks_count, 0);
    assert_int_equal(pool_usable_size(pool, NULL), 0);
    assert_false(pool_owns(pool, NULL));
    pool_end(pool);
}

static void blocks_are_handed_out_one_by_one_behind_the_header(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    char *first = pool_malloc(pool, 100);
    assert_int_equal(pool_offset(first), HEADER_BYTES);
    for (uint32_t i = 1; i < capacity_of(112); i++)
        assert_ptr_equal(pool_malloc(pool, 100), first + i * 112);
    /* the pool is full now: the next block opens the next pool */
    assert_ptr_equal(pool_malloc(pool, 100), first + POOL_BYTES);
    pool_end(pool);
}

static void the_block_freed_last_is_taken_first(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = pool_malloc(pool, 32);
    pool_free(pool, blocks[1]);
    pool_free(pool, blocks[3]);
    pool_free(pool, blocks[0]);
    assert_ptr_equal(pool_malloc(pool, 32), blocks[0]);
    assert_ptr_equal(pool_malloc(pool, 32), blocks[3]);
    assert_ptr_equal(pool_malloc(pool, 32), blocks[1]);
    pool_end(pool);
}

static void free_in_full_pool_relinks_it_first(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    static void *full[2][1024], *partly;
    uint32_t count = pool_fill(pool, 512, full[0]);
    pool_fill(pool, 512, full[1]);
    partly = pool_malloc(pool, 512);
    /* the third pool serves the class, until a block of a full one is given back */
    pool_free(pool, full[0][count / 2]);
    pool_check_assert(pool);
    assert_ptr_equal(pool_malloc(pool, 512), full[0][count / 2]);
    pool_free(pool, full[0][1]);
    pool_free(pool, full[1][1]); /* opened later: first */
    assert_ptr_equal(pool_malloc(pool, 512), full[1][1]);
    assert_ptr_equal(pool_malloc(pool, 512), full[0][1]);
    assert_int_equal(pool_base(pool_malloc(pool, 512)), pool_base(partly));
    pool_end(pool);
}

static void a_free_in_a_partly_used_pool_keeps_the_order(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    static void *full[1024];
    uint32_t count = pool_fill(pool, 512, full);
    void *partly = pool_malloc(pool, 512);
    pool_free(pool, full[0]); /* first of the list: the pool that was full */
    void *second = pool_malloc(pool, 512);
    assert_ptr_equal(second, full[0]); /* full again: off the list */
    pool_free(pool, full[count - 1]);
    pool_free(pool, partly); /* empties the other pool; the first stays the first */
    assert_ptr_equal(pool_malloc(pool, 512), full[count - 1]);
    pool_end(pool);
}

static void an_empty_pool_goes_back_to_its_arena_and_serves_any_class(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *a = pool_malloc(pool, 16), *b = pool_malloc(pool, 64);
    uintptr_t pool_a = pool_base(a), pool_b = pool_base(b);
    pool_free(pool, a);
    pool_free(pool, b);
    /* last in, first out */
    void *c = pool_malloc(pool, 500), *d = pool_malloc(pool, 200);
    assert_int_equal(pool_base(c), pool_b);
    assert_int_equal(pool_base(d), pool_a);
    assert_int_equal(pool_offset(c), HEADER_BYTES);
    pool_end(pool);
}

static void an_empty_pool_of_the_same_class_keeps_its_free_list(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *blocks[5];
    for (int i = 0; i < 5; i++)
        blocks[i] = pool_malloc(pool, 48);
    for (int i = 0; i < 5; i++)
        pool_free(pool, blocks[i]);
    pool_check_assert(pool);
    for (int i = 5; i-- > 0;)
        assert_ptr_equal(pool_malloc(pool, 48), blocks[i]);
    pool_end(pool);
}

static void untouched_memory_stays_untouched(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    char *block = pool_malloc(pool, 512);
    /* one block out and one on the free list: the third was never written, not even its link */
    for (size_t i = 2 * 512; i < 4 * 512; i++)
        assert_int_equal(block[i], 0);
    assert_int_equal(((struct pool_header *)pool_base(block))->next_offset, HEADER_BYTES + 2 * 512);
    pool_end(pool);
}

/* CPython carves one block ahead; more may be carved at once, but on the page of that one only. */
static void no_page_is_touched_sooner_than_by_carving_one_block_ahead(void **state) {
    (void)state;
    static const uint32_t sizes[] = {16, 112, 240, 512};
    struct pool *pool = pool_begin();
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint32_t size = sizes[k];
        const struct pool_header *header = (struct pool_header *)pool_base(pool_malloc(pool, size));
        for (uint32_t out = 1; out < capacity_of(size); out++) {
            uint32_t ahead = HEADER_BYTES + out * size, last = header->next_offset - size;
            assert_true(last >= ahead);
            assert_int_equal(last / 4096, ahead / 4096);
            pool_malloc(pool, size);
        }
    }
    pool_end(pool);
}

static void realloc_shrinks_in_place_by_less_than_a_quarter(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    char *block = pool_malloc(pool, 400);
    memset(block, 7, 400);
    assert_ptr_equal(pool_realloc(pool, block, 399), block);
    assert_ptr_equal(pool_realloc(pool, block, 301), block);
    char *moved = pool_realloc(pool, block, 300); /* 4 × 300 is not above 3 × 400 */
    assert_ptr_not_equal(moved, block);
    assert_int_equal(pool_usable_size(pool, moved), 304);
    for (int i = 0; i < 300; i++)
        assert_int_equal(moved[i], 7);
    pool_end(pool);
}

static void realloc_grows_in_place_only_inside_its_block(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    char *block = pool_malloc(pool, 97);
    memset(block, 9, 97);
    assert_ptr_equal(pool_realloc(pool, block, 112), block);
    memset(block, 9, 112);
    char *moved = pool_realloc(pool, block, 113);
    assert_ptr_not_equal(moved, block);
    char *large = pool_realloc(pool, moved, 5000);
    assert_false(pool_owns(pool, large));
    for (int i = 0; i < 112; i++)
        assert_int_equal(large[i], 9);
    /* from the raw layer nothing comes back into pools */
    char *small = pool_realloc(pool, large, 10);
    assert_false(pool_owns(pool, small));
    pool_free(pool, small);
    pool_end(pool);
}

static void realloc_of_null_is_malloc_and_of_size_zero_a_raw_block(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *block = pool_realloc(pool, NULL, 20);
    assert_int_equal(pool_usable_size(pool, block), 32);
    void *zero = pool_realloc(pool, block, 0);
    assert_non_null(zero);
    assert_false(pool_owns(pool, zero));
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.blocks_count, 0);
    assert_int_equal(counts.raw_blocks_count, 1);
    pool_free(pool, zero);
    pool_end(pool);
}

static void calloc_zeroes_used_memory(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    for (size_t bytes = 1; bytes <= 600; bytes += 37) {
        void *dirty = pool_malloc(pool, bytes);
        memset(dirty, 0xff, bytes);
        pool_free(pool, dirty);
        char *clean = pool_calloc(pool, 1, bytes);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(clean[i], 0);
        pool_free(pool, clean);
    }
    char *items = pool_calloc(pool, 5, 20);
    assert_int_equal(pool_usable_size(pool, items), 112);
    pool_free(pool, items);
    void *nothing = pool_calloc(pool, 0, 20);
    assert_non_null(nothing);
    assert_false(pool_owns(pool, nothing));
    pool_free(pool, nothing);
    pool_end(pool);
}

static void sizes_beyond_ptrdiff_max_are_refused(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *block = pool_malloc(pool, 8), *raw = pool_malloc(pool, 800);
    volatile size_t beyond = (size_t)PTRDIFF_MAX + 1;
    assert_null(pool_malloc(pool, beyond));
    assert_null(pool_malloc(pool, SIZE_MAX));
    assert_null(pool_calloc(pool, 1, beyond));
    assert_null(pool_calloc(pool, SIZE_MAX / 2, 3));
    assert_null(pool_calloc(pool, (size_t)1 << 32, (size_t)1 << 32));
    assert_null(pool_realloc(pool, NULL, beyond));
    assert_null(pool_realloc(pool, block, beyond));
    assert_null(pool_realloc(pool, raw, beyond));
    assert_null(pool_aligned_alloc(pool, 64, beyond));
    /* and the blocks stand */
    pool_free(pool, block);
    pool_free(pool, raw);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.blocks_count + counts.raw_blocks_count, 0);
    pool_end(pool);
}

static void aligned_requests_beyond_the_pools_alignment_are_raw(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    void *small = pool_aligned_alloc(pool, 16, 40), *wide = pool_aligned_alloc(pool, 256, 40);
    assert_true(pool_owns(pool, small));
    assert_false(pool_owns(pool, wide));
    assert_int_equal((uintptr_t)wide % 256, 0);
    pool_free(pool, small);
    pool_free(pool, wide);
    pool_end(pool);
}

static void two_instances_do_not_know_each_other(void **state) {
    (void)state;
    struct pool *pool = pool_begin(), *other;
    assert_int_equal(pool_create(pool_profile_find("3.11"), NULL, &other, NULL), ERR_OK);
    void *here = pool_malloc(pool, 50), *there = pool_malloc(other, 50);
    assert_false(pool_owns(pool, there));
    assert_false(pool_owns(other, here));
    pool_free(other, there);
    pool_check_assert(other);
    pool_destroy(other);
    pool_destroy(NULL);
    pool_end(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_classes_are_sixteen_bytes_apart),
        cmocka_unit_test(zero_and_large_requests_go_to_the_raw_layer),
        cmocka_unit_test(free_of_null_does_nothing),
        cmocka_unit_test(blocks_are_handed_out_one_by_one_behind_the_header),
        cmocka_unit_test(the_block_freed_last_is_taken_first),
        cmocka_unit_test(free_in_full_pool_relinks_it_first),
        cmocka_unit_test(a_free_in_a_partly_used_pool_keeps_the_order),
        cmocka_unit_test(an_empty_pool_goes_back_to_its_arena_and_serves_any_class),
        cmocka_unit_test(an_empty_pool_of_the_same_class_keeps_its_free_list),
        cmocka_unit_test(untouched_memory_stays_untouched),
        cmocka_unit_test(no_page_is_touched_sooner_than_by_carving_one_block_ahead),
        cmocka_unit_test(realloc_shrinks_in_place_by_less_than_a_quarter),
        cmocka_unit_test(realloc_grows_in_place_only_inside_its_block),
        cmocka_unit_test(realloc_of_null_is_malloc_and_of_size_zero_a_raw_block),
        cmocka_unit_test(calloc_zeroes_used_memory),
        cmocka_unit_test(sizes_beyond_ptrdiff_max_are_refused),
        cmocka_unit_test(aligned_requests_beyond_the_pools_alignment_are_raw),
        cmocka_unit_test(two_instances_do_not_know_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
