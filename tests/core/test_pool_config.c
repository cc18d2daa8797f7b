#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/pool.h"
#include "tests/core/pool_shape_config.h"

static void profiles_are_found_by_name_and_valid(void **state) {
    (void)state;
    const struct pool_config *config = pool_profile_find("3.11");
    assert_non_null(config);
    assert_int_equal(config->align_bytes, 16);
    assert_int_equal(config->threshold_bytes, 512);
    assert_int_equal(config->pool_bytes, 16384);
    assert_int_equal(config->arena_bytes, 1048576);
    assert_null(pool_profile_find("3.1"));
    assert_null(pool_profile_find(""));
}

static void the_settings_in_force_outlive_the_callers(void **state) {
    (void)state;
    char name[] = "mine";
    struct pool_config config = POOL_CONFIG(name, 8, 256, 4096, 256 << 10);
    struct pool *pool;
    assert_int_equal(pool_create(&config, NULL, &pool, NULL), ERR_OK);
    memset(name, 'x', sizeof name - 1);
    config.align_bytes = 0;
    assert_string_equal(pool_config_get(pool)->name, "mine");
    assert_int_equal(pool_config_get(pool)->align_bytes, 8);
    pool_destroy(pool);
}

static void nonsense_is_refused_with_the_rule_it_breaks(void **state) {
    (void)state;
    const struct {
        struct pool_config config;
        const char *rule;
    } cases[] = {
        {POOL_CONFIG("", 0, 512, 16384, 1 << 20), "align 0 is not a power of two"},
        {POOL_CONFIG("", 12, 504, 16384, 1 << 20), "align 12 is not a power of two"},
        {POOL_CONFIG("", 4, 512, 16384, 1 << 20), "align 4 is not a power of two from 8"},
        {POOL_CONFIG("", 512, 512, 16384, 1 << 20), "align 512 is not"},
        {POOL_CONFIG("", 16, 0, 16384, 1 << 20), "threshold 0 is not a positive multiple"},
        {POOL_CONFIG("", 16, 500, 16384, 1 << 20), "threshold 500 is not a positive multiple of align 16"},
        {POOL_CONFIG("", 8, 4096, 65536, 1 << 20), "makes 512 size classes; 128 at most"},
        {POOL_CONFIG("", 16, 512, 0, 1 << 20), "pool size 0 is not a power of two"},
        {POOL_CONFIG("", 16, 512, 12288, 12288 * 64), "pool size 12288 is not a power of two"},
        {POOL_CONFIG("", 16, 512, 1024, 1 << 20), "holds no header of 48 and two blocks of the largest class, 512"},
        {POOL_CONFIG("", 16, 512, 16384, 1000000), "not a multiple of pool size 16384"},
        {POOL_CONFIG("", 16, 512, 16384, 0), "arena size 0 is not"},
        {POOL_CONFIG("", 16, 512, 16384, (size_t)2 << 30), "up to 1G"},
        {POOL_CONFIG("", 16, 256, 1024, 5 * 1024), "page size"},
        {POOL_CONFIG("", 16, 512, 16384, 3 * 16384), "holds 3 pools of 16384"},
        {POOL_CONFIG("", 16, 128, 512, (size_t)1 << 30), "holds 2097152 pools of 512"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pool *pool = NULL;
        struct diag diag;
        assert_int_equal(pool_create(&cases[i].config, NULL, &pool, &diag), ERR_USAGE);
        assert_int_equal(pool_create(&cases[i].config, NULL, &pool, NULL), ERR_USAGE);
        assert_null(pool);
        if (!strstr(diag.text, cases[i].rule))
            fail_msg("said \"%s\", not \"%s\"", diag.text, cases[i].rule);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_found_by_name_and_valid),
        cmocka_unit_test(the_settings_in_force_outlive_the_callers),
        cmocka_unit_test(nonsense_is_refused_with_the_rule_it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
