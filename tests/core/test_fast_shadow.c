#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fast_internal.h"
#include "tests/core/fast_support.h"
#include "tests/core/random_source.h"

/*
 * Random operations against a shadow: a plain table of what is live, with its size and its byte pattern. A block that
 * overlaps another one, loses its contents or is smaller than asked for is found by the pattern. The source refuses
 * now and then, and the sizes reach from nothing to beyond what arenas serve.
 */
enum { SLOTS = 6000, OPERATIONS = 200000, CHECK_EVERY = 2500, CHECKED_FROM_THE_START = 3000, WAVE = 40000 };

struct shadow {
    unsigned char *block;
    size_t bytes;
    unsigned char pattern;
};

struct run {
    struct fast *fast;
    struct fast_counted_source source;
    struct random_source random;
    struct shadow slots[SLOTS];
};

/* Large blocks are marked at their ends only, or the test would be about memset. */
enum { MARKED_BYTES = 2048 };

static void pattern_write(struct run *run, struct shadow *slot) {
    slot->pattern = (unsigned char)random_next(&run->random);
    size_t marked = slot->bytes < MARKED_BYTES ? slot->bytes : MARKED_BYTES;
    memset(slot->block, slot->pattern, marked);
    memset(slot->block + slot->bytes - marked, slot->pattern, marked);
}

static void pattern_assert(const struct shadow *slot, size_t from, size_t to, unsigned char pattern) {
    for (size_t i = from; i < to; i++)
        if (slot->block[i] != pattern)
            fail_msg("byte %zu of %zu is %#x, not %#x", i, slot->bytes, slot->block[i], pattern);
}

static void shadow_assert(const struct shadow *slot) {
    size_t marked = slot->bytes < MARKED_BYTES ? slot->bytes : MARKED_BYTES;
    pattern_assert(slot, 0, marked, slot->pattern);
    pattern_assert(slot, slot->bytes - marked, slot->bytes, slot->pattern);
}

static void block_assert(const struct run *run, const struct shadow *slot) {
    assert_non_null(slot->block);
    assert_true(fast_usable_size(run->fast, slot->block) >= slot->bytes);
    assert_int_equal((uintptr_t)slot->block % FAST_ALIGN_BYTES, 0);
}

static size_t size_pick(struct run *run) {
    uint32_t die = random_below(&run->random, 1000);
    if (die == 0)
        return FAST_LIMIT_BYTES - 50 + random_below(&run->random, 100);
    if (die < 6)
        return FAST_CLASS_BYTES + random_below(&run->random, 200000);
    if (die < 100)
        return random_below(&run->random, FAST_CLASS_BYTES + 100);
    if (die < 120)
        return 0;
    return 1 + random_below(&run->random, 600u >> random_below(&run->random, 4));
}

static void slot_allocate(struct run *run, struct shadow *slot) {
    slot->bytes = size_pick(run);
    uint32_t die = random_below(&run->random, 8);
    if (die == 0) {
        slot->block = fast_calloc(run->fast, 1, slot->bytes);
        block_assert(run, slot);
        pattern_assert(slot, 0, slot->bytes, 0);
    } else if (die == 1) {
        slot->block = fast_aligned_alloc(run->fast, (size_t)8 << random_below(&run->random, 5), slot->bytes);
        block_assert(run, slot);
    } else {
        slot->block = fast_malloc(run->fast, slot->bytes);
        block_assert(run, slot);
    }
    pattern_write(run, slot);
}

static void slot_reallocate(struct run *run, struct shadow *slot) {
    shadow_assert(slot);
    size_t old_bytes = slot->bytes, bytes = size_pick(run);
    slot->block = fast_realloc(run->fast, slot->block, bytes);
    slot->bytes = bytes;
    block_assert(run, slot);
    size_t kept = old_bytes < bytes ? old_bytes : bytes, marked = old_bytes < MARKED_BYTES ? old_bytes : MARKED_BYTES;
    pattern_assert(slot, 0, kept < marked ? kept : marked, slot->pattern);
    if (kept == old_bytes)
        pattern_assert(slot, old_bytes - marked, old_bytes, slot->pattern);
    pattern_write(run, slot);
}

static void slot_free(struct run *run, struct shadow *slot) {
    shadow_assert(slot);
    fast_free(run->fast, slot->block);
    slot->block = NULL;
}

/* The target fill swings, so that arenas come and go. */
static void step(struct run *run, uint32_t operation) {
    uint32_t wave = operation % WAVE;
    uint32_t reach = wave < WAVE / 2 ? SLOTS * (wave + 1) / (WAVE / 2) : SLOTS * (WAVE - wave) / (WAVE / 2);
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

static void state_assert(const struct run *run) {
    uint64_t live = 0, owned_bytes = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        live += run->slots[i].block != NULL;
        if (run->slots[i].block && fast_owns(run->fast, run->slots[i].block))
            owned_bytes += fast_usable_size(run->fast, run->slots[i].block);
    }
    struct pool_counts counts;
    struct pool_split split;
    fast_check_assert(run->fast);
    fast_counts_get(run->fast, &counts);
    fast_split_get(run->fast, &split);
    assert_int_equal(counts.blocks_count + counts.raw_blocks_count, live);
    assert_int_equal(split.allocated_blocks_bytes, owned_bytes);
    assert_int_equal(counts.arenas_mapped_count, run->source.obtained_count);
    assert_int_equal(counts.arenas_returned_count, run->source.returned_count);
}

static void seed_run(uint64_t seed, bool refusals) {
    static struct run run;
    memset(&run, 0, sizeof run);
    run.random = random_seeded(seed);
    run.fast = fast_counted_create(&run.source);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        if (refusals && i % 1000 == 0)
            run.source.refuse_from = random_below(&run.random, 2) ? 1 : 0;
        step(&run, i);
        if (i % CHECK_EVERY == 0 || i < CHECKED_FROM_THE_START)
            state_assert(&run);
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        if (run.slots[i].block)
            slot_free(&run, &run.slots[i]);
    state_assert(&run);
    assert_true(run.fast->arenas_count <= FAST_EMPTY_ARENAS_KEPT);
    fast_destroy(run.fast);
    assert_int_equal(run.source.obtained_count, run.source.returned_count);
    printf("  seed %llu: %llu arenas obtained, %llu requests for one\n", (unsigned long long)seed,
           (unsigned long long)run.source.obtained_count, (unsigned long long)run.source.request_count);
}

static uint64_t first_seed(void) {
    const char *text = getenv("MMREPLAY_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static void contents_survive_any_order_of_operations(void **state) {
    (void)state;
    for (uint64_t seed = first_seed(), end = seed + 4; seed < end; seed++)
        seed_run(seed, false);
}

static void contents_survive_a_source_that_refuses_at_times(void **state) {
    (void)state;
    for (uint64_t seed = first_seed() + 100, end = seed + 3; seed < end; seed++)
        seed_run(seed, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_survive_any_order_of_operations),
        cmocka_unit_test(contents_survive_a_source_that_refuses_at_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
