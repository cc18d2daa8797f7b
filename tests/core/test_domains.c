/* The memory manager instance: names, domains, what replaces them, arenas, counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "tests/core/counted_source.h"
#include "tests/core/random_source.h"

static struct memory *memory_make(const char *name, struct counted_source *source) {
    struct pool_arena_source arenas;
    struct memory_settings settings = {.pool = pool_profile_find("3.11")};
    struct memory *memory;
    struct diag diag;
    if (source) {
        source->pool_bytes = settings.pool->pool_bytes;
        arenas = counted_source_get(source);
        settings.arenas = &arenas;
    }
    assert_int_equal(memory_choice_parse(name, &settings.choice, &diag), ERR_OK);
    if (memory_create(&settings, &memory, &diag))
        fail_msg("%s", diag.text);
    return memory;
}

/* Counts what it passes on; when told to, asks another domain for a block inside every malloc. */
struct counting {
    struct domain_allocator below;
    struct memory *memory;
    bool nests;
    size_t malloc_count, calloc_count, realloc_count, free_count;
    size_t last_bytes;
};

static void *counting_malloc(void *ctx, size_t bytes) {
    struct counting *counting = ctx;
    counting->malloc_count++;
    counting->last_bytes = bytes;
    if (counting->nests) {
        void *inside = memory_malloc(counting->memory, DOMAIN_ID_MEM, 40);
        assert_non_null(inside);
        memory_free(counting->memory, DOMAIN_ID_MEM, inside);
    }
    return counting->below.malloc(counting->below.ctx, bytes);
}

static void *counting_calloc(void *ctx, size_t count, size_t bytes) {
    struct counting *counting = ctx;
    counting->calloc_count++;
    counting->last_bytes = count * bytes;
    return counting->below.calloc(counting->below.ctx, count, bytes);
}

static void *counting_realloc(void *ctx, void *block, size_t bytes) {
    struct counting *counting = ctx;
    counting->realloc_count++;
    counting->last_bytes = bytes;
    return counting->below.realloc(counting->below.ctx, block, bytes);
}

static void counting_free(void *ctx, void *block) {
    struct counting *counting = ctx;
    counting->free_count++;
    counting->below.free(counting->below.ctx, block);
}

static void counting_stack(struct counting *counting, struct memory *memory, enum domain_id domain) {
    const struct domain_allocator calls = {counting, counting_malloc, counting_calloc, counting_realloc, counting_free};
    counting->memory = memory;
    memory_allocator_get(memory, domain, &counting->below);
    memory_allocator_set(memory, domain, &calls);
}

static void every_name_makes_its_configuration(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool pool, debug;
    } rows[] = {
        {"", true, false},     {"default", true, false},       {"pymalloc", true, false},     {"malloc", false, false},
        {"debug", true, true}, {"pymalloc_debug", true, true}, {"malloc_debug", false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct memory *memory = memory_make(rows[i].name, NULL);
        struct domain_allocator domains[DOMAIN_ID_COUNT];
        assert_int_equal(memory_pool(memory) != NULL, rows[i].pool);
        for (int d = 0; d < DOMAIN_ID_COUNT; d++) {
            memory_allocator_get(memory, (enum domain_id)d, &domains[d]);
            assert_int_equal(debug_layer_is(&domains[d]), rows[i].debug);
        }
        if (!rows[i].debug) {
            assert_memory_equal(&domains[DOMAIN_ID_RAW], &domain_allocator_libc, sizeof domain_allocator_libc);
            assert_memory_equal(&domains[DOMAIN_ID_MEM], &domains[DOMAIN_ID_OBJ], sizeof domains[0]);
        }
        memory_destroy(memory);
    }
    memory_destroy(NULL);
}

static void unknown_names_are_refused_with_the_nearest(void **state) {
    (void)state;
    struct memory_choice choice = {.pool = true};
    struct diag diag;
    assert_int_equal(memory_choice_parse("pymaloc", &choice, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "'pymalloc'"));
    assert_int_equal(memory_choice_parse("mimalloc_debug", &choice, &diag), ERR_UNSUPPORTED);
    assert_int_equal(memory_choice_parse("xyzzyqwertz", &choice, NULL), ERR_USAGE);
    assert_true(choice.pool && !choice.debug);
}

static void impossible_sizes_never_reach_an_allocator(void **state) {
    (void)state;
    struct memory *memory = memory_make("default", NULL);
    for (int d = 0; d < DOMAIN_ID_COUNT; d++) {
        enum domain_id domain = (enum domain_id)d;
        struct counting counting = {.nests = false};
        counting_stack(&counting, memory, domain);
        void *block = memory_malloc(memory, domain, 32);
        assert_null(memory_malloc(memory, domain, (size_t)PTRDIFF_MAX + 1));
        assert_null(memory_calloc(memory, domain, (size_t)PTRDIFF_MAX / 2 + 1, 2));
        assert_null(memory_calloc(memory, domain, SIZE_MAX, SIZE_MAX));
        assert_null(memory_realloc(memory, domain, block, SIZE_MAX));
        assert_int_equal(counting.malloc_count + counting.calloc_count + counting.realloc_count, 1);
        memory_free(memory, domain, block);
        memory_allocator_set(memory, domain, &counting.below);
    }
    memory_destroy(memory);
}

static void zero_bytes_are_a_block_of_their_own_in_every_domain(void **state) {
    (void)state;
    struct memory *memory = memory_make("default", NULL);
    for (int d = 0; d < DOMAIN_ID_COUNT; d++) {
        enum domain_id domain = (enum domain_id)d;
        void *a = memory_malloc(memory, domain, 0), *b = memory_calloc(memory, domain, 0, 8);
        void *c = memory_realloc(memory, domain, memory_malloc(memory, domain, 100), 0);
        assert_true(a && b && c && a != b && b != c && a != c);
        assert_int_equal(memory_blocks_count(memory), domain == DOMAIN_ID_RAW ? 0 : 3);
        memory_free(memory, domain, a);
        memory_free(memory, domain, b);
        memory_free(memory, domain, c);
        memory_free(memory, domain, NULL);
        assert_int_equal(memory_blocks_count(memory), 0);
    }
    memory_destroy(memory);
}

static void allocator_stacked_on_obj_sees_every_call_of_it_alone(void **state) {
    (void)state;
    struct memory *memory = memory_make("default", NULL);
    struct counting counting = {.nests = true};
    counting_stack(&counting, memory, DOMAIN_ID_OBJ);
    void *blocks[50];
    for (size_t i = 0; i < 50; i++)
        blocks[i] = i % 2 ? memory_malloc(memory, DOMAIN_ID_OBJ, 20 * i) : memory_calloc(memory, DOMAIN_ID_OBJ, i, 30);
    for (size_t i = 0; i < 50; i++)
        blocks[i] = memory_realloc(memory, DOMAIN_ID_OBJ, blocks[i], 700 - i);
    assert_int_equal(counting.last_bytes, 700 - 49);
    void *foreign = memory_malloc(memory, DOMAIN_ID_MEM, 32);
    memory_free(memory, DOMAIN_ID_MEM, foreign);
    for (size_t i = 0; i < 50; i++)
        memory_free(memory, DOMAIN_ID_OBJ, blocks[i]);
    assert_int_equal(counting.malloc_count, 25);
    assert_int_equal(counting.calloc_count, 25);
    assert_int_equal(counting.realloc_count, 50);
    assert_int_equal(counting.free_count, 50);
    assert_int_equal(memory_blocks_count(memory), 0);
    memory_destroy(memory);
}

static void large_objects_come_from_whoever_serves_raw(void **state) {
    (void)state;
    struct memory *memory = memory_make("default", NULL);
    struct counting raw = {.nests = false};
    counting_stack(&raw, memory, DOMAIN_ID_RAW);
    void *small = memory_malloc(memory, DOMAIN_ID_OBJ, 512);
    assert_int_equal(raw.malloc_count, 0);
    void *large = memory_malloc(memory, DOMAIN_ID_OBJ, 513), *zeroed = memory_calloc(memory, DOMAIN_ID_MEM, 1, 513);
    assert_int_equal(raw.malloc_count + raw.calloc_count, 2);
    large = memory_realloc(memory, DOMAIN_ID_OBJ, large, 100); /* stays with raw, however small */
    assert_int_equal(raw.realloc_count, 1);
    memset(small, 7, 512);
    small = memory_realloc(memory, DOMAIN_ID_OBJ, small, 600); /* leaves its pool */
    assert_int_equal(raw.malloc_count, 2);
    for (size_t i = 0; i < 512; i++)
        assert_int_equal(((unsigned char *)small)[i], 7);
    assert_int_equal(memory_raw_blocks_count(memory), 3);
    assert_int_equal(memory_blocks_count(memory), 3);
    memory_free(memory, DOMAIN_ID_OBJ, small);
    memory_free(memory, DOMAIN_ID_OBJ, large);
    memory_free(memory, DOMAIN_ID_MEM, zeroed);
    assert_int_equal(raw.free_count, 3);
    assert_int_equal(memory_blocks_count(memory), 0);
    memory_destroy(memory);
}

static void small_requests_without_an_arena_are_the_raw_domains(void **state) {
    (void)state;
    struct counted_source source = {.refuse_from = 1};
    struct memory *memory = memory_make("default", &source);
    struct counting raw = {.nests = false};
    counting_stack(&raw, memory, DOMAIN_ID_RAW);
    void *block = memory_malloc(memory, DOMAIN_ID_OBJ, 24), *zeroed = memory_calloc(memory, DOMAIN_ID_OBJ, 3, 8);
    assert_int_equal(raw.malloc_count + raw.calloc_count, 2);
    assert_int_equal(memory_blocks_count(memory), 2);
    memcpy(block, "twenty-three characters", 24);
    source.refuse_from = 0;
    block = memory_realloc(memory, DOMAIN_ID_OBJ, block, 30);
    assert_int_equal(raw.realloc_count, 1);
    assert_string_equal(block, "twenty-three characters");
    memory_free(memory, DOMAIN_ID_OBJ, block);
    memory_free(memory, DOMAIN_ID_OBJ, zeroed);
    assert_int_equal(raw.free_count, 2);
    assert_int_equal(memory_blocks_count(memory), 0);
    memory_destroy(memory);
}

static void domains_answer_as_the_bare_pool_does(void **state) {
    (void)state;
    enum { SLOTS = 3000, STEPS = 300000 };
    static void *ours[SLOTS], *bare[SLOTS];
    struct counted_source source_a = {.residue_bytes = 4096}, source_b = {.residue_bytes = 4096};
    struct memory *memory = memory_make("default", &source_a);
    struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source_b);
    struct random_source random = random_seeded(1);
    for (size_t step = 0; step < STEPS; step++) {
        size_t slot = random_below(&random, SLOTS),
               bytes = random_below(&random, random_below(&random, 8) ? 512 : 2000);
        enum domain_id domain = random_below(&random, 2) ? DOMAIN_ID_MEM : DOMAIN_ID_OBJ;
        uint32_t kind = random_below(&random, 4);
        if (!ours[slot] && kind % 2) {
            ours[slot] = memory_calloc(memory, domain, 1, bytes), bare[slot] = pool_calloc(pool, 1, bytes);
        } else if (!ours[slot] || kind == 1) {
            ours[slot] = memory_realloc(memory, domain, ours[slot], bytes);
            bare[slot] = pool_realloc(pool, bare[slot], bytes);
        } else {
            memory_free(memory, domain, ours[slot]), pool_free(pool, bare[slot]);
            ours[slot] = bare[slot] = NULL;
            continue;
        }
        bool pooled = pool_owns(pool, bare[slot]);
        assert_int_equal(pool_owns(memory_pool(memory), ours[slot]), pooled);
        if (pooled)
            assert_int_equal((uintptr_t)ours[slot] % 16384, (uintptr_t)bare[slot] % 16384);
    }
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(memory_blocks_count(memory), counts.blocks_count + counts.raw_blocks_count);
    assert_int_equal(source_a.obtained_count, source_b.obtained_count);
    assert_int_equal(source_a.returned_count, source_b.returned_count);
    pool_check_assert(memory_pool(memory));
    for (size_t i = 0; i < SLOTS; i++)
        memory_free(memory, DOMAIN_ID_OBJ, ours[i]), pool_free(pool, bare[i]), ours[i] = bare[i] = NULL;
    assert_int_equal(memory_blocks_count(memory), 0);
    memory_destroy(memory);
    pool_destroy(pool);
}

/* Counts and passes on to the source it replaced. */
struct source_tap {
    struct pool_arena_source below;
    size_t alloc_count, free_count, bytes;
};

static void *tap_alloc(void *ctx, size_t bytes) {
    struct source_tap *tap = ctx;
    tap->alloc_count++;
    tap->bytes = bytes;
    return tap->below.alloc(tap->below.ctx, bytes);
}

static void tap_free(void *ctx, void *arena, size_t bytes) {
    struct source_tap *tap = ctx;
    tap->free_count++;
    tap->below.free(tap->below.ctx, arena, bytes);
}

static void arenas_go_back_to_the_source_in_force(void **state) {
    (void)state;
    enum { BLOCKS = 10000 }; /* 5 MiB */
    static void *blocks[BLOCKS];
    struct memory *memory = memory_make("default", NULL);
    for (size_t i = 0; i < BLOCKS / 2; i++)
        blocks[i] = memory_malloc(memory, DOMAIN_ID_OBJ, 512);
    struct pool_counts counts;
    pool_counts_get(memory_pool(memory), &counts);
    uint64_t before = counts.arenas_mapped_count;
    struct source_tap tap = {.bytes = 0};
    memory_arena_source_get(memory, &tap.below);
    memory_arena_source_set(memory, &(struct pool_arena_source){&tap, tap_alloc, tap_free});
    for (size_t i = BLOCKS / 2; i < BLOCKS; i++)
        blocks[i] = memory_malloc(memory, DOMAIN_ID_OBJ, 512);
    for (size_t i = 0; i < BLOCKS; i++)
        memory_free(memory, DOMAIN_ID_OBJ, blocks[i]);
    pool_counts_get(memory_pool(memory), &counts);
    assert_int_equal(tap.alloc_count, counts.arenas_mapped_count - before);
    assert_int_equal(tap.free_count, counts.arenas_returned_count); /* those of before among them */
    assert_true(tap.free_count > tap.alloc_count);
    assert_int_equal(tap.bytes, 1 << 20);
    memory_destroy(memory);
    assert_int_equal(tap.free_count, counts.arenas_mapped_count);
}

static void configuration_malloc_counts_no_blocks(void **state) {
    (void)state;
    struct memory *memory = memory_make("malloc_debug", NULL);
    void *block = memory_malloc(memory, DOMAIN_ID_OBJ, 32);
    assert_int_equal(memory_blocks_count(memory), 0);
    assert_true(memory_footprint_bytes(memory, DOMAIN_ID_OBJ, block) >= 32 + 24);
    memory_free(memory, DOMAIN_ID_OBJ, block);
    assert_int_equal(memory_fault_count(memory), 0);
    memory_destroy(memory);
}

static void pool_settings_that_break_a_rule_make_no_instance(void **state) {
    (void)state;
    struct pool_config config = *pool_profile_find("3.11");
    struct memory_settings settings = {.choice = {.pool = true}, .pool = &config};
    struct memory *memory = NULL;
    struct diag diag;
    config.align_bytes = 24;
    assert_int_equal(memory_create(&settings, &memory, &diag), ERR_USAGE);
    assert_null(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_makes_its_configuration),
        cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
        cmocka_unit_test(impossible_sizes_never_reach_an_allocator),
        cmocka_unit_test(zero_bytes_are_a_block_of_their_own_in_every_domain),
        cmocka_unit_test(allocator_stacked_on_obj_sees_every_call_of_it_alone),
        cmocka_unit_test(large_objects_come_from_whoever_serves_raw),
        cmocka_unit_test(small_requests_without_an_arena_are_the_raw_domains),
        cmocka_unit_test(domains_answer_as_the_bare_pool_does),
        cmocka_unit_test(arenas_go_back_to_the_source_in_force),
        cmocka_unit_test(configuration_malloc_counts_no_blocks),
        cmocka_unit_test(pool_settings_that_break_a_rule_make_no_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
