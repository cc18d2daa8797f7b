#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/pool_internal.h"
#include "core/raw.h"

/* A tree without a pool: addresses are only numbers to it. */
static struct radix_leaf **root[1 << 20];

static struct radix radix_begin(size_t arena_bytes) {
    struct radix radix;
    memset(root, 0, sizeof root);
    assert_true(radix_root_length(arena_bytes) <= sizeof root / sizeof root[0]);
    radix_init(&radix, arena_bytes, root);
    return radix;
}

static void bounds_assert(const struct radix *radix, uintptr_t arena, size_t bytes) {
    assert_false(radix_covers(radix, arena - 1));
    assert_true(radix_covers(radix, arena));
    assert_true(radix_covers(radix, arena + bytes / 2));
    assert_true(radix_covers(radix, arena + bytes - 1));
    assert_false(radix_covers(radix, arena + bytes));
}

static void levels_are_as_cpython_shares_the_bits_out(void **state) {
    (void)state;
    struct radix radix = radix_begin(1 << 20);
    assert_int_equal(radix.root_length, 1 << 15);
    assert_int_equal(radix.mid_length, 1 << 15);
    assert_int_equal(radix.bottom_length, 1 << 14);
    assert_int_equal(radix.bottom_shift, POOL_SHAPE_COMMON.bottom_shift);
    assert_int_equal(radix.bottom_length - 1, POOL_SHAPE_COMMON.bottom_mask);
}

static void radix_knows_unaligned_arenas(void **state) {
    (void)state;
    const size_t sizes[] = {16384, 256 << 10, 1 << 20, 3 << 19, 2 << 20, 5 << 18, 4 << 20, 7 << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (uintptr_t shift = 0; shift < sizes[s]; shift += sizes[s] / 8) {
            struct radix radix = radix_begin(sizes[s]);
            uintptr_t arena = 0x7f0000000000 + shift + (shift ? 4096 : 0);
            assert_true(radix_mark(&radix, arena, sizes[s]));
            bounds_assert(&radix, arena, sizes[s]);
            radix_unmark(&radix, arena, sizes[s]);
            assert_false(radix_covers(&radix, arena));
            assert_false(radix_covers(&radix, arena + sizes[s] - 1));
            radix_clear(&radix);
        }
    }
}

static void neighbouring_arenas_share_a_slot(void **state) {
    (void)state;
    const size_t bytes = 1 << 20;
    struct radix radix = radix_begin(bytes);
    uintptr_t arena = 0x7f1234503000;
    for (int i = 0; i < 3; i++)
        assert_true(radix_mark(&radix, arena + i * bytes, bytes));
    radix_unmark(&radix, arena + bytes, bytes);
    bounds_assert(&radix, arena, bytes);
    bounds_assert(&radix, arena + 2 * bytes, bytes);
    radix_clear(&radix);
}

static void nodes_are_made_on_demand_and_kept(void **state) {
    (void)state;
    const size_t bytes = 1 << 20;
    struct radix radix = radix_begin(bytes);
    assert_true(radix_mark(&radix, 0x7f0000000000, bytes));
    assert_int_equal(radix.mid_count, 1);
    assert_int_equal(radix.bottom_count, 1);
    assert_true(radix_mark(&radix, 0x7f03fff80000, bytes)); /* across the next 16 GiB boundary */
    assert_int_equal(radix.mid_count, 1);
    assert_int_equal(radix.bottom_count, 2);
    assert_true(radix_mark(&radix, 0x00ff7f0000000000, bytes)); /* another root entry: 57-bit addresses */
    assert_int_equal(radix.mid_count, 2);
    assert_int_equal(radix.bottom_count, 3);
    radix_unmark(&radix, 0x7f0000000000, bytes);
    assert_int_equal(radix.bottom_count, 3);
    bounds_assert(&radix, 0x7f03fff80000, bytes);
    radix_clear(&radix);
    assert_int_equal(radix.mid_count, 0);
}

static void the_hot_node_follows_the_hits(void **state) {
    (void)state;
    const size_t bytes = 1 << 20;
    struct radix radix = radix_begin(bytes);
    assert_true(radix_mark(&radix, 0x7f0000000000, bytes));
    assert_true(radix_mark(&radix, 0x7e0000000000, bytes));
    assert_true(radix_owns(&radix, 0x7f0000000010));
    assert_int_equal(radix.hot_key, 0x7f0000000000 >> radix.bottom_shift);
    assert_false(radix_owns(&radix, 0x7d0000000010)); /* a miss changes nothing */
    assert_int_equal(radix.hot_key, 0x7f0000000000 >> radix.bottom_shift);
    assert_false(radix_owns(&radix, 0));
    assert_true(radix_owns(&radix, 0x7e0000000010));
    radix_clear(&radix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_as_cpython_shares_the_bits_out),
        cmocka_unit_test(radix_knows_unaligned_arenas),
        cmocka_unit_test(neighbouring_arenas_share_a_slot),
        cmocka_unit_test(nodes_are_made_on_demand_and_kept),
        cmocka_unit_test(the_hot_node_follows_the_hits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
