#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/counted_source.h"
#include "tests/core/pool_shape_config.h"
#include "tests/core/random_source.h"

static uint64_t split_sum(const struct pool_split *split) {
    return split->allocated_blocks_bytes + split->free_blocks_bytes + split->empty_pools_bytes +
           split->pool_headers_bytes + split->quantization_bytes + split->arena_alignment_bytes;
}

static void the_split_adds_up_at_every_step(void **state) {
    (void)state;
    const struct pool_config configs[] = {POOL_CONFIG("3.11", 16, 512, 16 << 10, 1 << 20),
                                          POOL_CONFIG("3.7", 8, 512, 4 << 10, 256 << 10),
                                          POOL_CONFIG("what-if", 32, 320, 8 << 10, 96 << 10)};
    for (size_t c = 0; c < 3; c++) {
        struct counted_source source = {.residue_bytes = c == 2 ? 4096 : 0};
        struct pool *pool = counted_pool_create(&configs[c], &source);
        struct random_source random = random_seeded(c);
        static void *blocks[4000];
        memset(blocks, 0, sizeof blocks);
        uint64_t owned_bytes = 0;
        for (uint32_t i = 0; i < 30000; i++) {
            void **block = &blocks[random_below(&random, 4000)];
            if (*block)
                owned_bytes -= pool_usable_size(pool, *block);
            pool_free(pool, *block);
            *block = random_below(&random, 3) ? pool_malloc(pool, 1 + random_below(&random, 320)) : NULL;
            owned_bytes += pool_usable_size(pool, *block);
            if (i % 100)
                continue;
            struct pool_split split;
            pool_split_get(pool, &split);
            assert_int_equal(split_sum(&split), split.arena_bytes_total);
            assert_int_equal(split.arena_bytes_total,
                             (source.obtained_count - source.returned_count) * configs[c].arena_bytes);
            assert_int_equal(split.allocated_blocks_bytes, owned_bytes);
        }
        pool_destroy(pool);
    }
}

static void one_block_costs_a_pool(void **state) {
    (void)state;
    struct counted_source source = {0};
    struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source);
    pool_malloc(pool, 100);
    struct pool_split split;
    pool_split_get(pool, &split);
    assert_int_equal(split.arena_bytes_total, 1 << 20);
    assert_int_equal(split.allocated_blocks_bytes, 112);
    assert_int_equal(split.free_blocks_bytes, 144 * 112);
    assert_int_equal(split.pool_headers_bytes, 48);
    assert_int_equal(split.quantization_bytes, 16384 - 48 - 145 * 112);
    assert_int_equal(split.empty_pools_bytes, 63 * 16384);
    pool_destroy(pool);
}

struct visits {
    uint32_t count;
    uint64_t blocks_count;
    uint64_t blocks_bytes;
    uint64_t class_3_blocks;
    uint64_t used_pools_count;
    uint32_t last_slot;
};

static void visit_add(void *ctx, const struct pool_arena_view *view) {
    struct visits *visits = ctx;
    assert_true(visits->count == 0 || view->slot_index > visits->last_slot);
    assert_int_equal(view->total_pools_count, 64);
    assert_int_equal(view->class_count, 32);
    visits->last_slot = view->slot_index;
    visits->count++;
    visits->blocks_count += view->blocks_count;
    visits->blocks_bytes += view->blocks_bytes;
    visits->used_pools_count += view->used_pools_count;
    visits->class_3_blocks += view->class_blocks[3];
    uint64_t pools = 0;
    for (uint32_t i = 0; i < view->class_count; i++)
        pools += view->class_pools[i];
    assert_int_equal(pools, view->used_pools_count);
}

static void visits_see_every_arena_and_block_once(void **state) {
    (void)state;
    struct counted_source source = {0};
    struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source);
    for (uint32_t i = 0; i < 5000; i++)
        pool_malloc(pool, 512);
    for (uint32_t i = 0; i < 10; i++)
        pool_malloc(pool, 60);
    struct visits visits = {0};
    pool_arena_visit(pool, visit_add, &visits);
    assert_int_equal(visits.count, source.obtained_count);
    assert_int_equal(visits.blocks_count, 5010);
    assert_int_equal(visits.blocks_bytes, 5000 * 512 + 10 * 64);
    assert_int_equal(visits.class_3_blocks, 10);
    assert_int_equal(visits.used_pools_count, (5000 + 30) / 31 + 1);
    pool_destroy(pool);
}

static void the_statistics_text_is_cpythons(void **state) {
    (void)state;
    struct counted_source source = {0};
    struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source);
    pool_malloc(pool, 1);
    for (uint32_t i = 0; i < 32; i++)
        pool_malloc(pool, 512);
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    pool_stats_print(pool, out);
    fclose(out);
    const char *lines[] = {"Small block threshold = 512, in 32 size classes.\n\nclass ",
                           ("\n    0     16           1               1          1020\n"
                            "   31    512           2              32            30\n\n"),
                           "\n1 arenas * 1048576 bytes/arena     =            1,048,576\n\n",
                           "\n61 unused pools * 16384 bytes      =              999,424\n",
                           "\n# arena map mid nodes              =                    1\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(text, lines[i]))
            fail_msg("missing:\n%s\nin:\n%s", lines[i], text);
    free(text);
    pool_destroy(pool);
}

static void metadata_grows_with_the_tree_and_the_vector(void **state) {
    (void)state;
    struct counted_source source = {0};
    struct pool *pool = counted_pool_create(pool_profile_find("3.11"), &source);
    struct pool_counts counts;
    pool_counts_get(pool, &counts);
    assert_int_equal(counts.metadata_bytes, 262144);
    pool_malloc(pool, 1);
    pool_counts_get(pool, &counts);
    /* a middle and a bottom node (two, when the arena lies across a boundary), 16 slots of 48 bytes */
    assert_true(counts.metadata_bytes >= 262144 + 262144 + 131072 + 16 * 48);
    pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_split_adds_up_at_every_step),
        cmocka_unit_test(one_block_costs_a_pool),
        cmocka_unit_test(visits_see_every_arena_and_block_once),
        cmocka_unit_test(the_statistics_text_is_cpythons),
        cmocka_unit_test(metadata_grows_with_the_tree_and_the_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
