#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include <string.h>

#include "core/pool_internal.h"
#include "core/raw.h"
#include "tests/core/pool_shape_config.h"

/* A tree without a pool: addresses are only numbers to it. */
static uint64_t **root[1 << 20];

static struct radix radix_begin(const struct pool_config *config) {
    struct radix radix;
    memset(root, 0, sizeof root);
    assert_true(radix_root_length(config->arena_bytes) <= sizeof root / sizeof root[0]);
    radix_init(&radix, config, root);
    return radix;
}

static const struct pool_config common = POOL_CONFIG("3.11", 16, 512, 16 << 10, 1 << 20);

/* Marks an arena's whole pools, as the arenas do. */
static bool arena_mark(struct radix *radix, const struct pool_config *config, uintptr_t arena) {
    uintptr_t first = (arena + config->pool_bytes - 1) & ~(config->pool_bytes - 1);
    uint32_t count = (uint32_t)(config->arena_bytes / config->pool_bytes) - (first != arena);
    return radix_mark(radix, arena, config->arena_bytes, first, count);
}

static void arena_unmark(struct radix *radix, const struct pool_config *config, uintptr_t arena) {
    uintptr_t first = (arena + config->pool_bytes - 1) & ~(config->pool_bytes - 1);
    radix_unmark(radix, first, (uint32_t)(config->arena_bytes / config->pool_bytes) - (first != arena));
}

/* Every pool-sized piece around the arena: covered if, and only if, it is a whole pool of it. */
static void pools_assert(const struct radix *radix, const struct pool_config *config, uintptr_t arena, bool marked) {
    uintptr_t pool = config->pool_bytes, end = arena + config->arena_bytes;
    for (uintptr_t at = (arena & ~(pool - 1)) - 70 * pool; at < end + 70 * pool; at += pool) {
        bool whole = marked && at >= arena && at + pool <= end;
        assert_int_equal(radix_covers(radix, at), whole);
        assert_int_equal(radix_covers(radix, at + pool - 1), whole);
    }
}

static void levels_are_as_cpython_shares_the_bits_out(void **state) {
    (void)state;
    struct radix radix = radix_begin(&common);
    assert_int_equal(radix.root_length, 1 << 15);
    assert_int_equal(radix.mid_length, 1 << 15);
    assert_int_equal(radix.bottom_length, 1 << 14);
    assert_int_equal(radix.pool_shift, POOL_SHAPE_COMMON.pool_shift);
    assert_int_equal(radix.slot_shift, POOL_SHAPE_COMMON.slot_shift);
    assert_int_equal(radix.bottom_shift, POOL_SHAPE_COMMON.bottom_shift);
    assert_int_equal(radix.bottom_length - 1, POOL_SHAPE_COMMON.bottom_mask);
}

static void radix_knows_unaligned_arenas(void **state) {
    (void)state;
    const struct pool_config configs[] = {
        POOL_CONFIG("", 16, 512, 16 << 10, 1 << 20), POOL_CONFIG("", 8, 512, 4 << 10, 256 << 10),
        POOL_CONFIG("", 16, 512, 16 << 10, 2 << 20), POOL_CONFIG("", 16, 512, 16 << 10, 5 << 14),
        POOL_CONFIG("", 16, 512, 64 << 10, 4 << 20), POOL_CONFIG("", 16, 512, 64 << 10, 256 << 10),
        POOL_CONFIG("", 16, 256, 1 << 10, 4 << 10),  POOL_CONFIG("", 16, 512, 4 << 10, 7 << 20),
        POOL_CONFIG("", 16, 512, 1 << 20, 64 << 20), POOL_CONFIG("", 16, 512, 256 << 20, 1 << 30),
    };
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        assert_int_equal(pool_config_check(&configs[c], NULL), ERR_OK);
        const uintptr_t shifts[] = {0,
                                    16,
                                    configs[c].pool_bytes,
                                    configs[c].pool_bytes + 4096,
                                    configs[c].arena_bytes / 2,
                                    configs[c].arena_bytes - 512};
        for (size_t s = 0; s < sizeof shifts / sizeof shifts[0]; s++) {
            struct radix radix = radix_begin(&configs[c]);
            uintptr_t arena = 0x7f0000000000 + shifts[s];
            assert_true(arena_mark(&radix, &configs[c], arena));
            pools_assert(&radix, &configs[c], arena, true);
            arena_unmark(&radix, &configs[c], arena);
            pools_assert(&radix, &configs[c], arena, false);
            radix_clear(&radix);
        }
    }
}

static void neighbouring_arenas_share_a_word(void **state) {
    (void)state;
    const size_t bytes = 1 << 20;
    struct radix radix = radix_begin(&common);
    uintptr_t arena = 0x7f1234504000;
    for (int i = 0; i < 3; i++)
        assert_true(arena_mark(&radix, &common, arena + i * bytes));
    arena_unmark(&radix, &common, arena + bytes);
    assert_true(radix_covers(&radix, arena + bytes - 1));
    assert_false(radix_covers(&radix, arena + bytes));
    assert_false(radix_covers(&radix, arena + 2 * bytes - 1));
    assert_true(radix_covers(&radix, arena + 2 * bytes));
    radix_clear(&radix);
}

static void nodes_are_made_on_demand_and_kept(void **state) {
    (void)state;
    struct radix radix = radix_begin(&common);
    assert_true(arena_mark(&radix, &common, 0x7f0000000000));
    assert_int_equal(radix.mid_count, 1);
    assert_int_equal(radix.bottom_count, 1);
    assert_true(arena_mark(&radix, &common, 0x7f03fff80000)); /* across the next 16 GiB boundary */
    assert_int_equal(radix.mid_count, 1);
    assert_int_equal(radix.bottom_count, 2);
    assert_true(arena_mark(&radix, &common, 0x00ff7f0000000000)); /* another root entry: 57-bit addresses */
    assert_int_equal(radix.mid_count, 2);
    assert_int_equal(radix.bottom_count, 3);
    arena_unmark(&radix, &common, 0x7f0000000000);
    assert_int_equal(radix.bottom_count, 3);
    pools_assert(&radix, &common, 0x7f03fff80000, true);
    radix_clear(&radix);
    assert_int_equal(radix.mid_count, 0);
}

static void the_hot_node_follows_the_hits(void **state) {
    (void)state;
    struct radix radix = radix_begin(&common);
    assert_true(arena_mark(&radix, &common, 0x7f0000000000));
    assert_true(arena_mark(&radix, &common, 0x7e0000000000));
    assert_true(radix_owns(&radix, 0x7f0000000010));
    assert_int_equal(radix.hot_key, 0x7f0000000000 >> radix.bottom_shift);
    assert_false(radix_owns(&radix, 0x7d0000000010)); /* a miss changes nothing */
    assert_int_equal(radix.hot_key, 0x7f0000000000 >> radix.bottom_shift);
    assert_false(radix_owns(&radix, 0));
    assert_true(radix_owns(&radix, 0x7e0000000010));
    radix_clear(&radix);
}

/* The map of 3.10: windows of 256 MiB at the bottom, of 256 GiB in the middle. */
static void nodes_of_48_bits_are_counted_once_and_at_both_ends(void **state) {
    (void)state;
    const struct pool_config *config = pool_profile_find("3.10");
    uint64_t *seen = calloc(1, arena_map_bytes(config));
    const uintptr_t bottom = (uintptr_t)256 << 20, middle = (uintptr_t)256 << 30;
    struct arena_map map = {0};
    assert_non_null(seen);
    arena_map_init(&map, config, seen);
    arena_map_note(&map, 5 * bottom, config->arena_bytes);
    arena_map_note(&map, 5 * bottom + (7 << 20), config->arena_bytes);
    assert_int_equal(map.bottom_count, 1);
    assert_int_equal(map.mid_count, 1);
    arena_map_note(&map, 6 * bottom - 4096, config->arena_bytes);
    assert_int_equal(map.bottom_count, 2);
    assert_int_equal(map.mid_count, 1);
    arena_map_note(&map, 3 * middle - 4096, config->arena_bytes);
    assert_int_equal(map.bottom_count, 4);
    assert_int_equal(map.mid_count, 3);
    arena_map_note(&map, ((uintptr_t)1 << 48) - config->arena_bytes, config->arena_bytes);
    assert_int_equal(map.bottom_count, 5);
    assert_int_equal(map.mid_count, 4);
    free(seen);
    assert_int_equal(arena_map_bytes(pool_profile_find("3.11")), 0);
    assert_int_equal(arena_map_bytes(pool_profile_find("3.9")), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_as_cpython_shares_the_bits_out),
        cmocka_unit_test(radix_knows_unaligned_arenas),
        cmocka_unit_test(neighbouring_arenas_share_a_word),
        cmocka_unit_test(nodes_are_made_on_demand_and_kept),
        cmocka_unit_test(the_hot_node_follows_the_hits),
        cmocka_unit_test(nodes_of_48_bits_are_counted_once_and_at_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
