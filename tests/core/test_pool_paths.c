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
 * malloc and free exist twice, for the common shape and for any. Two pools of one config, of which one is kept from
 * using the short ways, must lay every block out alike.
 */
enum { SLOTS = 50000, OPERATIONS = 400000 };

struct side {
    struct counted_source source;
    struct pool *pool;
    void *blocks[SLOTS];
};

static struct side sides[2];

static void short_ways_forbid(struct pool *pool) {
    pool->fast_limit_bytes = 0;
    pool->radix.fast_allowed = pool->beside_fast = false;
    pool->radix.fast_key = RADIX_NO_KEY;
}

/* Arena slot and offset in one number; the same for every raw block. */
static uint64_t place_of(const struct pool *pool, const void *block) {
    if (!pool_owns(pool, block))
        return UINT64_MAX;
    const struct pool_header *header = pool_header_at(pool, (uintptr_t)block);
    return (uint64_t)header->arena_index << 32 | ((uintptr_t)block - pool->arenas[header->arena_index].address);
}

static void operation_do(struct side *side, uint32_t slot, uint32_t die, size_t bytes) {
    void **block = &side->blocks[slot];
    if (die < 2)
        *block = pool_realloc(side->pool, *block, bytes);
    else if (*block) {
        pool_free(side->pool, *block);
        *block = NULL;
    } else
        *block = die < 4 ? pool_calloc(side->pool, 1, bytes) : pool_malloc(side->pool, bytes);
}

static void ways_compare(const char *settings) {
    const uint64_t seed = 77;
    struct pool_config config;
    assert_int_equal(pool_config_parse(settings, &config, NULL), ERR_OK);
    memset(sides, 0, sizeof sides);
    printf("  seed %llu\n", (unsigned long long)seed);
    struct random_source random = random_seeded(seed);
    for (int i = 0; i < 2; i++) {
        sides[i].source.residue_bytes = 4096;
        sides[i].pool = counted_pool_create(&config, &sides[i].source);
    }
    assert_int_equal(sides[0].pool->fast_limit_bytes, 512);
    short_ways_forbid(sides[1].pool);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t reach = 1 + (i / 50000 % 2 ? SLOTS / 10 : SLOTS - 1);
        uint32_t slot = random_below(&random, reach), die = random_below(&random, 10);
        size_t bytes = random_below(&random, 530);
        for (int s = 0; s < 2; s++)
            operation_do(&sides[s], slot, die, bytes);
        assert_int_equal(place_of(sides[0].pool, sides[0].blocks[slot]),
                         place_of(sides[1].pool, sides[1].blocks[slot]));
    }
    for (int s = 0; s < 2; s++) {
        pool_check_assert(sides[s].pool);
        for (uint32_t i = 0; i < SLOTS; i++)
            pool_free(sides[s].pool, sides[s].blocks[i]);
        pool_check_assert(sides[s].pool);
    }
    assert_int_equal(sides[0].source.obtained_count, sides[1].source.obtained_count);
    assert_int_equal(sides[0].source.returned_count, sides[1].source.returned_count);
    assert_true(sides[0].source.returned_count > 0);
    pool_destroy(sides[0].pool);
    pool_destroy(sides[1].pool);
}

static void both_ways_lay_blocks_out_alike(void **state) {
    (void)state;
    ways_compare("3.11");
}

static void both_ways_lay_blocks_out_alike_with_headers_beside(void **state) {
    (void)state;
    ways_compare("3.11,headers=side");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways_lay_blocks_out_alike),
                                       cmocka_unit_test(both_ways_lay_blocks_out_alike_with_headers_beside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
