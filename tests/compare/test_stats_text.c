/*
 * The statistics text, printed into memory and read back.
 */
#include "tests/support.h"

#include <string.h>

#include "compare/worker/stats_text.h"

static struct stats_text text;

static struct pool *pool_make(const char *settings) {
    struct pool_config config;
    struct pool *pool;
    assert_int_equal(pool_config_parse(settings, &config, NULL), ERR_OK);
    assert_int_equal(pool_create(&config, NULL, &pool, NULL), ERR_OK);
    return pool;
}

static size_t text_print(const struct pool *pool) {
    FILE *out = stats_text_open(&text);
    assert_non_null(out);
    pool_stats_print(pool, out);
    return stats_text_finish(&text, out);
}

static void settings_are_read_back(void **state) {
    (void)state;
    static const char *const profiles[] = {"3.7", "3.9", "3.11"};
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        struct pool *pool = pool_make(profiles[i]);
        const struct pool_config *config = pool_config_get(pool);
        struct pool_config found;
        assert_true(text_print(pool) > 0);
        assert_true(stats_text_settings(text.text, &found));
        assert_int_equal(found.align_bytes, config->align_bytes);
        assert_int_equal(found.threshold_bytes, config->threshold_bytes);
        assert_int_equal(found.pool_bytes, config->pool_bytes);
        assert_int_equal(found.arena_bytes, config->arena_bytes);
        pool_destroy(pool);
    }
}

static void split_and_counts_are_the_pools_own(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    uint64_t random = support_seed(11);
    struct pool *pool = pool_make("3.9");
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = pool_malloc(pool, 1 + random_below(&random, 512));
    for (size_t i = 0; i < COUNT; i++)
        if (random_below(&random, 8))
            pool_free(pool, blocks[i]);
    struct pool_split found = {0}, split;
    struct pool_counts found_counts = {0}, counts;
    text_print(pool);
    assert_true(stats_text_split(text.text, &found, &found_counts));
    pool_split_get(pool, &split);
    pool_counts_get(pool, &counts);
    assert_memory_equal(&found, &split, sizeof split);
    assert_int_equal(found_counts.arenas_mapped_count, counts.arenas_mapped_count);
    assert_int_equal(found_counts.arenas_returned_count, counts.arenas_returned_count);
    assert_int_equal(found_counts.arenas_peak_count, counts.arenas_peak_count);
    assert_int_equal(found_counts.arenas_count, counts.arenas_count);
    pool_destroy(pool);
}

static void what_is_no_such_text_is_refused(void **state) {
    (void)state;
    static const char *const others[] = {"", "arenas", "Small block threshold = 512, in 0 size classes.",
                                         "0 arenas * x bytes/arena", "# arenas allocated total = "};
    struct pool_config config;
    struct pool_split split;
    struct pool_counts counts;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(stats_text_settings(others[i], &config));
        assert_false(stats_text_split(others[i], &split, &counts));
    }
}

static void a_text_too_long_to_be_kept_is_none(void **state) {
    (void)state;
    FILE *out = stats_text_open(&text);
    for (size_t i = 0; i < WORKER_STATS_BYTES; i++)
        fputc('x', out);
    assert_int_equal(stats_text_finish(&text, out), 0);
    assert_string_equal(text.text, "");
    out = stats_text_open(&text);
    fputs("again", out);
    assert_int_equal(stats_text_finish(&text, out), 5);
    assert_string_equal(text.text, "again");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_read_back),
        cmocka_unit_test(split_and_counts_are_the_pools_own),
        cmocka_unit_test(what_is_no_such_text_is_refused),
        cmocka_unit_test(a_text_too_long_to_be_kept_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
