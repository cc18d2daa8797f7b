#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "core/pool_internal.h"
#include "tests/core/counted_source.h"

/* Every test works with whole pools: one block of 512 bytes is taken from each of the 31 of a pool. */
enum { POOLS = 64, BLOCKS = 31, ARENAS_MAX = 8 };

static struct counted_source source;
static void *blocks[ARENAS_MAX * POOLS * BLOCKS];

static struct pool *pool_begin(void) {
    source = (struct counted_source){0};
    return counted_pool_create(pool_profile_find("3.11"), &source);
}

static void pool_end(struct pool *pool) {
    pool_check_assert(pool);
    pool_destroy(pool);
    assert_int_equal(source.obtained_count, source.returned_count);
}

/* Fills whole arenas; arena a, pool p holds blocks[(a * POOLS + p) * BLOCKS …]. */
static void arenas_fill(struct pool *pool, uint32_t count) {
    for (uint32_t i = 0; i < count * POOLS * BLOCKS; i++)
        blocks[i] = pool_malloc(pool, 512);
    assert_int_equal(source.obtained_count, count);
}

/* Empties `count` pools of an arena, from pool `from` on. */
static void pools_empty(struct pool *pool, uint32_t arena, uint32_t from, uint32_t count) {
    uint32_t first = (arena * POOLS + from) * BLOCKS;
    for (uint32_t i = first; i < first + count * BLOCKS; i++)
        pool_free(pool, blocks[i]);
}

static uint32_t arena_of(const struct pool *pool, const void *block) {
    for (uint32_t i = 0; i < pool->arena_slot_count; i++)
        if (pool->arenas[i].address && (uintptr_t)block - pool->arenas[i].address < pool->config.arena_bytes)
            return i;
    return UINT32_MAX;
}

static void no_arena_is_mapped_before_the_first_small_request(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    pool_free(pool, pool_malloc(pool, 4000));
    assert_int_equal(source.request_count, 0);
    pool_free(pool, pool_malloc(pool, 4));
    assert_int_equal(source.request_count, 1);
    pool_end(pool);
}

static void last_empty_arena_is_kept(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 1);
    pools_empty(pool, 0, 0, POOLS);
    assert_int_equal(source.returned_count, 0);
    assert_int_equal(pool->arenas[0].free_pool_count, POOLS);
    pool_end(pool);
}

static void arena_is_returned_when_not_last(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 2);
    pools_empty(pool, 1, 0, POOLS); /* alone on the list: kept */
    assert_int_equal(source.returned_count, 0);
    pools_empty(pool, 0, 0, POOLS - 1);
    pool_check_assert(pool);
    pools_empty(pool, 0, POOLS - 1, 1); /* the other arena stands behind it: returned */
    assert_int_equal(source.returned_count, 1);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.arenas_count, 1);
    assert_int_equal(counts.arenas_returned_count, 1);
    assert_int_equal(counts.arenas_peak_count, 2);
    pool_end(pool);
}

static void a_kept_empty_arena_is_returned_once_used_again_and_no_longer_last(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 2);
    pools_empty(pool, 0, 0, POOLS);     /* kept: nothing behind it */
    pools_empty(pool, 1, 0, POOLS - 1); /* in front of it, as it has fewer free pools */
    assert_int_equal(source.returned_count, 0);
    pools_empty(pool, 1, POOLS - 1, 1);
    assert_int_equal(source.returned_count, 1);
    assert_int_equal(arena_of(pool, pool_malloc(pool, 1)), 0);
    pool_end(pool);
}

static void usable_arenas_stay_sorted(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 4);
    pools_empty(pool, 2, 0, 10);
    pools_empty(pool, 0, 0, 3);
    pools_empty(pool, 3, 0, 3);
    pools_empty(pool, 1, 0, 20);
    pools_empty(pool, 0, 3, 12);
    pool_check_assert(pool);
    const uint32_t expected[] = {3, 2, 0, 1}; /* 3, 10, 15, 20 free pools */
    const struct arena *arena = pool->usable_arenas;
    for (int i = 0; i < 4; i++, arena = arena->next)
        assert_int_equal(arena - pool->arenas, expected[i]);
    assert_null(arena);
    pool_end(pool);
}

static void an_arena_moves_behind_the_last_with_its_old_count(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 3);
    pools_empty(pool, 0, 0, 1); /* list: 0 */
    pools_empty(pool, 1, 0, 1); /* newly usable arenas come first: 1 0 */
    pools_empty(pool, 2, 0, 1); /* 2 1 0 */
    pools_empty(pool, 2, 1, 1); /* 1 0 2 */
    const uint32_t expected[] = {1, 0, 2};
    const struct arena *arena = pool->usable_arenas;
    for (int i = 0; i < 3; i++, arena = arena->next)
        assert_int_equal(arena - pool->arenas, expected[i]);
    assert_ptr_equal(pool->last_with[1], &pool->arenas[0]);
    assert_ptr_equal(pool->last_with[2], &pool->arenas[2]);
    pool_end(pool);
}

static void allocation_takes_from_the_fullest_arena(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 3);
    pools_empty(pool, 0, 0, 5);
    pools_empty(pool, 1, 0, 2);
    pools_empty(pool, 2, 0, 9);
    const uint32_t expected[] = {1, 1, 0, 0, 0, 0, 0, 2};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        for (uint32_t j = 0; j < 31; j++)
            assert_int_equal(arena_of(pool, pool_malloc(pool, 512)), expected[i]);
    pool_end(pool);
}

static void arena_slots_are_reused_last_in_first_out(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    arenas_fill(pool, 4);
    pools_empty(pool, 3, 0, 1); /* keeps the list from being empty behind the next ones */
    pools_empty(pool, 1, 0, POOLS);
    pools_empty(pool, 2, 0, POOLS);
    /* 1 became the last and was kept; 2 was returned in front of it */
    assert_int_equal(source.returned_count, 1);
    pools_empty(pool, 0, 0, POOLS);
    assert_int_equal(source.returned_count, 2);
    assert_ptr_equal(pool->unused_arenas, &pool->arenas[0]);
    assert_ptr_equal(pool->unused_arenas->next, &pool->arenas[2]);
    assert_ptr_equal(pool->unused_arenas->next->next, &pool->arenas[4]);
    pool_end(pool);
}

static void the_arena_vector_begins_with_sixteen_slots_and_doubles(void **state) {
    (void)state;
    struct pool *pool = pool_begin();
    assert_int_equal(pool->arena_slot_count, 0);
    for (uint32_t arenas = 1; arenas <= 33; arenas++) {
        while (source.obtained_count < arenas)
            assert_non_null(pool_malloc(pool, 512));
        assert_int_equal(pool->arena_slot_count, arenas <= 16 ? 16 : arenas <= 32 ? 32 : 64);
    }
    pool_end(pool);
}

static void an_unaligned_arena_has_a_pool_fewer(void **state) {
    (void)state;
    for (size_t residue = 0; residue < 16384; residue += 4096) {
        source = (struct counted_source){.residue_bytes = residue};
        struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source);
        uint32_t pools = residue ? POOLS - 1 : POOLS, count = 0;
        void *first = pool_malloc(pool, 512);
        assert_int_equal((uintptr_t)first & 16383, 48);
        for (count = 1; source.obtained_count == 1; count++)
            assert_non_null(pool_malloc(pool, 512));
        assert_int_equal(count, pools * BLOCKS + 1);
        struct pool_split split;
        pool_split_get(pool, &split);
        assert_int_equal(split.arena_alignment_bytes, residue ? 2 * 16384 : 0);
        pool_end(pool);
    }
}

static void default_arenas_are_pool_aligned(void **state) {
    (void)state;
    struct pool *pool;
    assert_int_equal(pool_create(pool_profile_find("3.11"), NULL, &pool, NULL), ERR_OK);
    for (uint32_t i = 0; i < 3 * POOLS * BLOCKS; i++)
        assert_non_null(pool_malloc(pool, 512));
    struct pool_split split;
    pool_split_get(pool, &split);
    assert_int_equal(split.arena_bytes_total, 3 << 20);
    assert_int_equal(split.arena_alignment_bytes, 0);
    pool_check_assert(pool);
    pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_arena_is_mapped_before_the_first_small_request),
        cmocka_unit_test(last_empty_arena_is_kept),
        cmocka_unit_test(arena_is_returned_when_not_last),
        cmocka_unit_test(a_kept_empty_arena_is_returned_once_used_again_and_no_longer_last),
        cmocka_unit_test(usable_arenas_stay_sorted),
        cmocka_unit_test(an_arena_moves_behind_the_last_with_its_old_count),
        cmocka_unit_test(allocation_takes_from_the_fullest_arena),
        cmocka_unit_test(arena_slots_are_reused_last_in_first_out),
        cmocka_unit_test(the_arena_vector_begins_with_sixteen_slots_and_doubles),
        cmocka_unit_test(an_unaligned_arena_has_a_pool_fewer),
        cmocka_unit_test(default_arenas_are_pool_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
