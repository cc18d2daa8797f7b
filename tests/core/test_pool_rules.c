#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/pool_internal.h"
#include "tests/core/counted_source.h"
#include "tests/core/random_source.h"

/*
 * What the settings that change a rule change. Arenas of 16 pools of 4 KiB, each pool with 7 blocks of 512 bytes (8
 * when its header lies elsewhere): 112 blocks to an arena.
 */
enum { PER_POOL = 7, PER_ARENA = 112, ARENAS = 5, BLOCKS = ARENAS * PER_ARENA };

static struct counted_source source;
static void *blocks[2 * BLOCKS];

static struct pool *pool_begin(const char *settings) {
    char text[256];
    struct pool_config config;
    struct diag diag;
    snprintf(text, sizeof text, "arena=64K,pool=4K,%s", settings);
    if (pool_config_parse(text, &config, &diag))
        fail_msg("%s", diag.text);
    source = (struct counted_source){0};
    return counted_pool_create(&config, &source);
}

static struct pool *full_arenas_begin(const char *settings) {
    struct pool *pool = pool_begin(settings);
    for (uint32_t i = 0; i < BLOCKS; i++)
        blocks[i] = pool_malloc(pool, 512);
    assert_int_equal(source.obtained_count, ARENAS);
    assert_null(pool->usable_arenas);
    return pool;
}

/* Frees `count` whole pools of the arena that was filled as number `arena`. */
static void pools_free(struct pool *pool, uint32_t arena, uint32_t count) {
    for (uint32_t i = 0; i < count * PER_POOL; i++)
        pool_free(pool, blocks[arena * PER_ARENA + i]);
    pool_check_assert(pool);
}

static uint32_t slot_of(const struct pool *pool, const void *block) {
    return pool_header_at(pool, (uintptr_t)block)->arena_index;
}

static void the_fullest_arena_is_filled_first(void **state) {
    (void)state;
    const char *const orders[] = {"order=fullest", "order=linear"};
    for (int i = 0; i < 2; i++) {
        struct pool *pool = full_arenas_begin(orders[i]);
        pools_free(pool, 1, 3);
        pools_free(pool, 2, 1);
        pools_free(pool, 3, 2);
        assert_int_equal(slot_of(pool, pool_malloc(pool, 16)), 2);
        assert_int_equal(slot_of(pool, pool_malloc(pool, 32)), 3);
        assert_int_equal(slot_of(pool, pool_malloc(pool, 48)), 3);
        assert_int_equal(slot_of(pool, pool_malloc(pool, 64)), 1);
        pool_check_assert(pool);
        pool_destroy(pool);
    }
}

static void the_emptiest_arena_is_filled_first(void **state) {
    (void)state;
    struct pool *pool = full_arenas_begin("order=emptiest");
    pools_free(pool, 1, 3);
    pools_free(pool, 2, 1);
    pools_free(pool, 3, 2);
    assert_int_equal(slot_of(pool, pool_malloc(pool, 16)), 1);
    pool_malloc(pool, 32); /* 1 or 3: both have two */
    pool_malloc(pool, 48);
    pool_check_assert(pool);
    assert_int_equal(slot_of(pool, pool_malloc(pool, 64)) + slot_of(pool, pool_malloc(pool, 80)) +
                         slot_of(pool, pool_malloc(pool, 96)),
                     1 + 2 + 3);
    assert_null(pool->usable_arenas);
    pool_check_assert(pool);
    pool_destroy(pool);
}

static void the_lowest_arena_is_filled_first(void **state) {
    (void)state;
    struct pool *pool = full_arenas_begin("order=address");
    for (uint32_t arena = 0; arena < ARENAS; arena++)
        pools_free(pool, arena, 1 + arena % 2);
    uintptr_t last = 0;
    for (uint32_t i = 0; i < 7; i++) {
        uintptr_t address = pool->arenas[slot_of(pool, pool_malloc(pool, 16 * (i + 1)))].address;
        assert_true(address >= last);
        last = address;
        pool_check_assert(pool);
    }
    assert_null(pool->usable_arenas);
    pool_destroy(pool);
}

static void as_many_empty_arenas_are_kept_as_set(void **state) {
    (void)state;
    const char *const orders[] = {"fullest", "linear", "emptiest", "address"};
    for (uint32_t order = 0; order < 4; order++)
        for (uint32_t keep = 0; keep <= ARENAS + 1; keep++) {
            char settings[64];
            snprintf(settings, sizeof settings, "order=%s,keep=%u", orders[order], keep);
            struct pool *pool = full_arenas_begin(settings);
            for (uint32_t i = 0; i < BLOCKS; i++)
                pool_free(pool, blocks[i]);
            pool_check_assert(pool);
            assert_int_equal(pool->arenas_count, keep < ARENAS ? keep : ARENAS);
            pool_destroy(pool);
            assert_int_equal(source.obtained_count, source.returned_count);
        }
}

/* CPython's rule is about the end of the list: an arena that another one stands behind goes, though none is empty. */
static void an_empty_arena_goes_when_another_stands_behind_it(void **state) {
    (void)state;
    struct pool *pool = full_arenas_begin("order=fullest,keep=1");
    pools_free(pool, 1, 15);
    pools_free(pool, 2, 15);
    assert_int_equal(pool->usable_arenas->total_pool_count, 16);
    const struct arena *first = pool->usable_arenas;
    uint32_t number = (uint32_t)(first - pool->arenas);
    for (uint32_t i = 15 * PER_POOL; i < PER_ARENA; i++)
        pool_free(pool, blocks[number * PER_ARENA + i]);
    assert_int_equal(source.returned_count, 1);
    pool_check_assert(pool);
    pool_destroy(pool);
}

static void a_full_pool_comes_back_where_set(void **state) {
    (void)state;
    const char *const places[] = {"reentry=front", "reentry=back"};
    for (uint32_t back = 0; back < 2; back++) {
        struct pool *pool = pool_begin(places[back]);
        for (uint32_t i = 0; i < 3 * PER_POOL; i++)
            blocks[i] = pool_malloc(pool, 512);
        pool_free(pool, blocks[0]);
        pool_free(pool, blocks[PER_POOL]);
        pool_check_assert(pool);
        assert_ptr_equal(pool_malloc(pool, 512), blocks[back ? 0 : PER_POOL]);
        pool_destroy(pool);
    }
}

static void a_header_elsewhere_leaves_the_pool_to_blocks(void **state) {
    (void)state;
    struct pool *pool = pool_begin("headers=side");
    void *block = pool_malloc(pool, 512), *other = pool_malloc(pool, 16);
    assert_int_equal((uintptr_t)block % 4096, 0);
    for (int i = 1; i < 8; i++)
        assert_int_equal((uintptr_t)pool_malloc(pool, 512) - (uintptr_t)block, 512 * i);
    assert_int_equal((uintptr_t)pool_header_at(pool, (uintptr_t)other) % 64, 0);
    assert_int_equal((uintptr_t)other - (uintptr_t)block, 4096);
    struct pool_split split;
    struct pool_counts counts;
    pool_split_get(pool, &split);
    pool_counts_get(pool, &counts);
    assert_int_equal(split.pool_headers_bytes, 0);
    assert_int_equal(split.quantization_bytes, 0);
    assert_int_equal(split.allocated_blocks_bytes, 8 * 512 + 16);
    assert_true(counts.metadata_bytes >= 64 * 64);
    pool_check_assert(pool);
    pool_destroy(pool);
}

static void residues_come_in_turn(void **state) {
    (void)state;
    struct pool_config config;
    struct pool *pool;
    assert_int_equal(pool_config_parse("3.11,residues=0x1000+0x3000+0", &config, NULL), ERR_OK);
    assert_int_equal(pool_create(&config, NULL, &pool, NULL), ERR_OK);
    for (uint32_t i = 0; i < 12000; i++)
        pool_malloc(pool, 512);
    assert_true(pool->arenas_count >= 6);
    static const uintptr_t residues[] = {0x1000, 0x3000, 0};
    for (uint32_t i = 0; i < pool->arenas_count; i++) {
        assert_int_equal(pool->arenas[i].address % 16384, residues[i % 3]);
        assert_int_equal(pool->arenas[i].total_pool_count, residues[i % 3] ? 63 : 64);
    }
    pool_check_assert(pool);
    pool_destroy(pool);
}

static void every_source_gives_arenas_and_takes_them_back(void **state) {
    (void)state;
    const char *const settings[] = {"source=malloc", "source=mmap", "hugepages=advise", "hugepages=map"};
    for (int k = 0; k < 4; k++) {
        struct pool_config config;
        struct pool *pool;
        assert_int_equal(pool_config_parse(settings[k], &config, NULL), ERR_OK);
        assert_int_equal(pool_create(&config, NULL, &pool, NULL), ERR_OK);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < 2 * BLOCKS; i++)
                memset(blocks[i] = pool_malloc(pool, 512), 1, 512);
            for (uint32_t i = 0; i < 2 * BLOCKS; i++)
                assert_true(pool_owns(pool, blocks[i]));
            pool_check_assert(pool);
            for (uint32_t i = 0; i < 2 * BLOCKS; i++)
                pool_free(pool, blocks[i]);
            pool_check_assert(pool);
        }
        pool_destroy(pool);
    }
}

/* ---- two settings that must lay blocks out alike ---- */

struct side {
    struct counted_source source;
    struct pool *pool;
    void *blocks[4000];
};

static struct side sides[2];

static uint64_t place_of(const struct pool *pool, const void *block) {
    if (!pool_owns(pool, block))
        return UINT64_MAX;
    uint32_t slot = slot_of(pool, block);
    return (uint64_t)slot << 32 | ((uintptr_t)block - pool->arenas[slot].address);
}

static void the_walk_and_the_fingers_are_one_order(void **state) {
    (void)state;
    const uint64_t seed = 5;
    printf("  seed %llu\n", (unsigned long long)seed);
    struct random_source random = random_seeded(seed);
    for (int k = 0; k < 2; k++) {
        struct pool_config config;
        assert_int_equal(pool_config_parse(k ? "3.8,arena=64K,order=linear" : "3.8,arena=64K", &config, NULL), ERR_OK);
        sides[k].source = (struct counted_source){.residue_bytes = 1024};
        sides[k].pool = counted_pool_create(&config, &sides[k].source);
    }
    for (uint32_t i = 0; i < 300000; i++) {
        /* every other wave only a few slots are filled, the others drain */
        uint32_t reach = i / 30000 % 2 ? 20 : 4000, slot = random_below(&random, 4000);
        size_t bytes = 1 + random_below(&random, 512);
        bool wanted = slot < reach && (i & 1);
        for (int k = 0; k < 2; k++) {
            void **block = &sides[k].blocks[slot];
            pool_free(sides[k].pool, *block);
            *block = wanted ? pool_malloc(sides[k].pool, bytes) : NULL;
        }
        assert_int_equal(place_of(sides[0].pool, sides[0].blocks[slot]),
                         place_of(sides[1].pool, sides[1].blocks[slot]));
    }
    assert_int_equal(sides[0].source.returned_count, sides[1].source.returned_count);
    assert_true(sides[0].source.returned_count > 20);
    for (int k = 0; k < 2; k++) {
        pool_check_assert(sides[k].pool);
        pool_destroy(sides[k].pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fullest_arena_is_filled_first),
        cmocka_unit_test(the_emptiest_arena_is_filled_first),
        cmocka_unit_test(the_lowest_arena_is_filled_first),
        cmocka_unit_test(as_many_empty_arenas_are_kept_as_set),
        cmocka_unit_test(an_empty_arena_goes_when_another_stands_behind_it),
        cmocka_unit_test(a_full_pool_comes_back_where_set),
        cmocka_unit_test(a_header_elsewhere_leaves_the_pool_to_blocks),
        cmocka_unit_test(residues_come_in_turn),
        cmocka_unit_test(every_source_gives_arenas_and_takes_them_back),
        cmocka_unit_test(the_walk_and_the_fingers_are_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
