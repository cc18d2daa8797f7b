#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>

#include "core/fast_internal.h"
#include "tests/core/fast_support.h"

enum { COUNT = 30000, BLOCK_BYTES = 200 };

static void *blocks[COUNT];

static void refused_arenas_leave_requests_to_the_raw_layer(void **state) {
    (void)state;
    for (uint64_t refuse_from = 1; refuse_from <= 8; refuse_from++) {
        struct fast_counted_source source = {.refuse_from = refuse_from};
        struct fast *fast = fast_counted_create(&source);
        uint64_t owned = 0;
        for (int i = 0; i < COUNT; i++) {
            blocks[i] = fast_malloc(fast, BLOCK_BYTES);
            assert_non_null(blocks[i]);
            owned += fast_owns(fast, blocks[i]);
        }
        struct pool_counts counts;
        fast_counts_get(fast, &counts);
        fast_check_assert(fast);
        assert_int_equal(counts.arenas_mapped_count, refuse_from - 1);
        assert_int_equal(counts.blocks_count, owned);
        assert_int_equal(counts.raw_blocks_count, COUNT - owned);
        char *run = fast_malloc(fast, 100000), *zeroed = fast_calloc(fast, 1, 9000);
        assert_true(run && zeroed && !zeroed[8999]);
        fast_free(fast, run);
        fast_free(fast, zeroed);
        for (int i = 0; i < COUNT; i++)
            fast_free(fast, blocks[i]);
        fast_check_assert(fast);
        fast_destroy(fast);
        assert_int_equal(source.obtained_count, source.returned_count);
    }
}

static void a_source_that_comes_back_is_used_again(void **state) {
    (void)state;
    struct fast_counted_source source = {.refuse_from = 1};
    struct fast *fast = fast_counted_create(&source);
    void *raw = fast_malloc(fast, 50);
    assert_false(fast_owns(fast, raw));
    source.refuse_from = 0;
    void *own = fast_malloc(fast, 50);
    assert_true(fast_owns(fast, own));
    fast_free(fast, raw);
    fast_free(fast, own);
    fast_check_assert(fast);
    fast_destroy(fast);
}

static void a_range_used_up_leaves_requests_to_the_raw_layer(void **state) {
    (void)state;
    struct fast_counted_source source = {0};
    struct fast *fast = fast_counted_create(&source);
    fast->arena_limit = 3;
    for (int i = 0; i < COUNT; i++)
        assert_non_null(blocks[i] = fast_malloc(fast, BLOCK_BYTES));
    fast_check_assert(fast);
    assert_int_equal(fast->arenas_count, 3);
    for (int i = 0; i < COUNT; i++)
        fast_free(fast, blocks[i]);
    fast_check_assert(fast);
    for (int i = 0; i < COUNT; i++) /* the piece given back serves again */
        blocks[i] = fast_malloc(fast, BLOCK_BYTES);
    assert_int_equal(fast->arenas_count, 3);
    fast_check_assert(fast);
    for (int i = 0; i < COUNT; i++)
        fast_free(fast, blocks[i]);
    fast_destroy(fast);
}

static void a_limit_on_addresses_makes_the_range_smaller(void **state) {
    (void)state;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    skip(); /* its shadow alone is terabytes of addresses */
#endif
    tight.rlim_cur = (rlim_t)4 << 30;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    struct fast *fast = NULL;
    enum err err = fast_create(NULL, &fast, NULL);
    setrlimit(RLIMIT_AS, &before);
    assert_int_equal(err, ERR_OK);
    assert_true(fast->range_bytes < (uintptr_t)4 << 30);
    void *block = fast_malloc(fast, 64);
    assert_true(fast_owns(fast, block));
    fast_free(fast, block);
    fast_check_assert(fast);
    fast_destroy(fast);
    tight.rlim_cur = (rlim_t)16 << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    fast = NULL;
    err = fast_create(NULL, &fast, NULL);
    setrlimit(RLIMIT_AS, &before);
    assert_int_equal(err, ERR_NOMEM);
    assert_null(fast);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_arenas_leave_requests_to_the_raw_layer),
        cmocka_unit_test(a_source_that_comes_back_is_used_again),
        cmocka_unit_test(a_range_used_up_leaves_requests_to_the_raw_layer),
        cmocka_unit_test(a_limit_on_addresses_makes_the_range_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
