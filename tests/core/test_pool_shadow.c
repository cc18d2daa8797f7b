#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/counted_source.h"
#include "tests/core/pool_shape_config.h"
#include "tests/core/random_source.h"

/*
 * Random operations against a shadow: a plain table of what is live, with its size and its byte pattern. A block that
 * overlaps another one, loses its contents or is smaller than asked for is found by the pattern.
 */
enum { SLOTS = 12000, OPERATIONS = 120000, CHECK_EVERY = 3000 };

struct shadow {
    unsigned char *block;
    size_t bytes;
    unsigned char pattern;
};

struct run {
    struct pool *pool;
    struct random_source random;
    struct shadow slots[SLOTS];
    size_t threshold_bytes;
    size_t align_bytes;
};

static void pattern_write(struct run *run, struct shadow *slot) {
    slot->pattern = (unsigned char)random_next(&run->random);
    memset(slot->block, slot->pattern, slot->bytes);
}

static void pattern_assert(const struct shadow *slot, size_t bytes, unsigned char pattern) {
    for (size_t i = 0; i < bytes; i++)
        if (slot->block[i] != pattern)
            fail_msg("byte %zu of %zu is %#x, not %#x", i, slot->bytes, slot->block[i], pattern);
}

static void block_assert(struct run *run, const struct shadow *slot) {
    assert_non_null(slot->block);
    assert_true(pool_usable_size(run->pool, slot->block) >= slot->bytes);
    if (pool_owns(run->pool, slot->block))
        assert_int_equal((uintptr_t)slot->block % (run->align_bytes < 16 ? run->align_bytes : 16), 0);
}

static size_t size_pick(struct run *run) {
    uint32_t die = random_below(&run->random, 20);
    if (die == 0)
        return run->threshold_bytes + random_below(&run->random, 100);
    if (die == 1)
        return 0;
    return 1 + random_below(&run->random, (uint32_t)run->threshold_bytes >> random_below(&run->random, 4));
}

static void slot_allocate(struct run *run, struct shadow *slot) {
    slot->bytes = size_pick(run);
    if (random_below(&run->random, 4) == 0) {
        slot->block = pool_calloc(run->pool, 1, slot->bytes);
        block_assert(run, slot);
        pattern_assert(slot, slot->bytes, 0);
    } else {
        slot->block = pool_malloc(run->pool, slot->bytes);
        block_assert(run, slot);
    }
    pattern_write(run, slot);
}

static void slot_reallocate(struct run *run, struct shadow *slot) {
    size_t old_bytes = slot->bytes;
    slot->bytes = size_pick(run);
    slot->block = pool_realloc(run->pool, slot->block, slot->bytes);
    block_assert(run, slot);
    pattern_assert(slot, old_bytes < slot->bytes ? old_bytes : slot->bytes, slot->pattern);
    pattern_write(run, slot);
}

static void slot_free(struct run *run, struct shadow *slot) {
    pattern_assert(slot, slot->bytes, slot->pattern);
    pool_free(run->pool, slot->block);
    slot->block = NULL;
}

/* The target fill swings, so that arenas come and go. */
static void step(struct run *run, uint32_t operation) {
    uint32_t wave = operation % 40000;
    uint32_t reach = wave < 20000 ? SLOTS * (wave + 1) / 20000 : SLOTS * (40000 - wave) / 20000;
    struct shadow *slot = &run->slots[random_below(&run->random, SLOTS)];
    bool wanted = slot - run->slots <= reach;
    uint32_t die = random_below(&run->random, 4);
    if (!slot->block && wanted)
        slot_allocate(run, slot);
    else if (slot->block && die == 0)
        slot_reallocate(run, slot);
    else if (slot->block && (die == 1 || !wanted))
        slot_free(run, slot);
}

static void counts_assert(const struct run *run) {
    uint64_t live = 0;
    for (uint32_t i = 0; i < SLOTS; i++)
        live += run->slots[i].block != NULL;
    struct pool_counts counts;
    pool_counts_get(run->pool, &counts);
    assert_int_equal(counts.blocks_count + counts.raw_blocks_count, live);
}

static void run_config(const struct pool_config *config, size_t residue_bytes, uint64_t seed) {
    static struct run run;
    struct counted_source source = {.residue_bytes = residue_bytes};
    memset(&run, 0, sizeof run);
    run.random = random_seeded(seed);
    run.pool = counted_pool_create(config, &source);
    run.threshold_bytes = config->threshold_bytes;
    run.align_bytes = config->align_bytes;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        step(&run, i);
        if (i % CHECK_EVERY == 0) {
            pool_check_assert(run.pool);
            counts_assert(&run);
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        if (run.slots[i].block)
            slot_free(&run, &run.slots[i]);
    pool_check_assert(run.pool);
    counts_assert(&run);
    pool_destroy(run.pool);
    assert_int_equal(source.obtained_count, source.returned_count);
    printf("  align %zu, threshold %zu, pool %zu, arena %zu, residue %zu, seed %llu: %llu arenas\n",
           config->align_bytes, config->threshold_bytes, config->pool_bytes, config->arena_bytes, residue_bytes,
           (unsigned long long)seed, (unsigned long long)source.obtained_count);
}

static const struct pool_config configs[] = {
    POOL_CONFIG("3.11", 16, 512, 16 << 10, 1 << 20),         POOL_CONFIG("3.9", 16, 512, 4 << 10, 256 << 10),
    POOL_CONFIG("classic", 8, 512, 4 << 10, 256 << 10),      POOL_CONFIG("tiny pools", 16, 512, 2 << 10, 8 << 10),
    POOL_CONFIG("wide", 16, 1024, 64 << 10, 4 << 20),        POOL_CONFIG("odd arenas", 16, 512, 16 << 10, 80 << 10),
    POOL_CONFIG("odd and large", 32, 512, 8 << 10, 3 << 20), POOL_CONFIG("few classes", 64, 256, 1 << 10, 4 << 10),
};

static void contents_survive_any_order_of_operations(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        run_config(&configs[i], 0, 1 + i);
}

static void contents_survive_in_unaligned_arenas(void **state) {
    (void)state;
    run_config(&configs[0], 4096, 21);
    run_config(&configs[0], 16368, 22);
    run_config(&configs[2], 2048, 23);
    run_config(&configs[5], 12288, 24);
    run_config(&configs[7], 512, 25);
}

static void contents_survive_under_every_setting(void **state) {
    (void)state;
    const char *const settings[] = {
        "3.7",
        "3.8",
        "arena=64K,pool=4K,order=emptiest,keep=2",
        "arena=64K,pool=4K,order=address,keep=0,reentry=back",
        "arena=128K,pool=16K,headers=side",
        "arena=256K,pool=4K,headers=side,order=linear,align=8",
        "3.11,headers=side,reentry=back,keep=4",
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct pool_config config;
        assert_int_equal(pool_config_parse(settings[i], &config, NULL), ERR_OK);
        run_config(&config, i % 2 ? config.pool_bytes / 4 : 0, 40 + i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_survive_any_order_of_operations),
        cmocka_unit_test(contents_survive_in_unaligned_arenas),
        cmocka_unit_test(contents_survive_under_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
