#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "core/pool_internal.h"
#include "tests/core/counted_source.h"

/*
 * libc's calloc and realloc, which the raw layer calls, refuse on command (the linker's --wrap): the pool's own tables
 * fail at any point.
 */
static uint64_t table_request_count, table_refuse_from;

void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

static bool table_refused(void) {
    table_request_count++;
    return table_refuse_from && table_request_count >= table_refuse_from;
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return table_refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes) {
    return table_refused() ? NULL : __real_realloc(block, bytes);
}

enum { BLOCKS = 40000, POOL_BYTES = 4096, ARENA_BYTES = 64 << 10 };

static const struct pool_config small_config = {.name = "small",
                                                .align_bytes = 16,
                                                .threshold_bytes = 512,
                                                .pool_bytes = POOL_BYTES,
                                                .arena_bytes = ARENA_BYTES,
                                                .keep_count = 1};

static struct counted_source source;
static void *blocks[BLOCKS];

static uint32_t owned_count(const struct pool *pool, uint32_t count) {
    uint32_t owned = 0;
    for (uint32_t i = 0; i < count; i++)
        owned += pool_owns(pool, blocks[i]);
    return owned;
}

static void blocks_free(struct pool *pool, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        pool_free(pool, blocks[i]);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.blocks_count + counts.raw_blocks_count, 0);
}

static void a_refused_arena_sends_small_requests_to_the_raw_layer(void **state) {
    (void)state;
    for (uint64_t point = 1; point <= 20; point++) {
        source = (struct counted_source){.refuse_from = point};
        struct pool *pool = counted_pool_create(&small_config, &source);
        for (uint32_t i = 0; i < 3000; i++) {
            blocks[i] = i % 3 ? pool_malloc(pool, 512) : pool_calloc(pool, 1, 500);
            assert_non_null(blocks[i]);
        }
        pool_check_assert(pool);
        assert_int_equal(source.obtained_count, point - 1);
        assert_int_equal(owned_count(pool, 3000), (point - 1) * 16 * 7);
        struct pool_counts counts;
        pool_counts_get(pool, &counts);
        assert_int_equal(counts.raw_blocks_count, 3000 - (point - 1) * 16 * 7);
        blocks[7] = pool_realloc(pool, blocks[7], 8); /* wherever it lies */
        pool_check_assert(pool);
        blocks_free(pool, 3000);
        pool_check_assert(pool);
        pool_destroy(pool);
        assert_int_equal(source.obtained_count, source.returned_count);
    }
}

static void a_refusal_passes(void **state) {
    (void)state;
    source = (struct counted_source){.refuse_from = 1};
    struct pool *pool = counted_pool_create(&small_config, &source);
    blocks[0] = pool_malloc(pool, 10);
    assert_false(pool_owns(pool, blocks[0]));
    source.refuse_from = 0;
    blocks[1] = pool_malloc(pool, 10);
    assert_true(pool_owns(pool, blocks[1]));
    blocks_free(pool, 2);
    pool_check_assert(pool);
    pool_destroy(pool);
}

/* The vector (realloc) and the tree's nodes (calloc) are refused at every point in turn. */
static void a_refused_table_leaves_a_sane_pool(void **state) {
    (void)state;
    for (uint64_t point = 1; point <= 8; point++) {
        source = (struct counted_source){0};
        struct pool *pool = counted_pool_create(&small_config, &source);
        table_request_count = 0;
        table_refuse_from = point;
        for (uint32_t i = 0; i < BLOCKS / 4; i++) {
            blocks[i] = pool_malloc(pool, 512);
            assert_non_null(blocks[i]);
        }
        table_refuse_from = 0;
        pool_check_assert(pool);
        /* an arena that the tree could not take went back at once */
        assert_int_equal(source.obtained_count - source.returned_count, pool->arenas_count);
        for (uint32_t i = BLOCKS / 4; i < BLOCKS / 2; i++)
            blocks[i] = pool_malloc(pool, 512);
        assert_true(pool_owns(pool, blocks[BLOCKS / 2 - 1]));
        pool_check_assert(pool);
        blocks_free(pool, BLOCKS / 2);
        pool_check_assert(pool);
        pool_destroy(pool);
        assert_int_equal(source.obtained_count, source.returned_count);
    }
}

static void a_check_without_memory_says_so(void **state) {
    (void)state;
    source = (struct counted_source){0};
    struct pool *pool = counted_pool_create(&small_config, &source);
    struct diag diag;
    table_request_count = 0;
    table_refuse_from = 1;
    enum err err = pool_check(pool, &diag);
    table_refuse_from = 0;
    assert_int_equal(err, ERR_NOMEM);
    pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_arena_sends_small_requests_to_the_raw_layer),
        cmocka_unit_test(a_refusal_passes),
        cmocka_unit_test(a_refused_table_leaves_a_sane_pool),
        cmocka_unit_test(a_check_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
