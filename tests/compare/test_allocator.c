#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/allocator.h"

static struct diag diag;

#define LIBRARY "/proc/self/exe" /* a regular file is enough: what is in it shows when it is preloaded */

static void built_in_names_need_no_library(void **state) {
    (void)state;
    struct allocator allocator;
    struct pool_config config;
    assert_int_equal(allocator_parse("system", &allocator, &diag), ERR_OK);
    assert_int_equal(allocator.backend, WORKER_LIBC);
    assert_string_equal(allocator.library, "");
    assert_int_equal(allocator_parse("null", &allocator, &diag), ERR_OK);
    assert_int_equal(allocator.backend, WORKER_NULL);
    assert_false(allocator_pool_config(&allocator, &config));
}

static void pool_is_a_profile(void **state) {
    (void)state;
    struct allocator allocator;
    struct pool_config config;
    assert_int_equal(allocator_parse("pool", &allocator, &diag), ERR_OK);
    assert_int_equal(allocator.backend, WORKER_POOL);
    assert_true(allocator_pool_config(&allocator, &config));
    assert_string_equal(config.name, pool_profile_default);
    assert_int_equal(allocator_parse("pool:3.11", &allocator, &diag), ERR_OK);
    assert_string_equal(allocator.settings, "3.11");
    assert_int_equal(allocator_parse("pool:2.7", &allocator, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "2.7"));
}

static void settings_behind_a_pool_belong_to_it(void **state) {
    (void)state;
    struct allocator_list list;
    struct pool_config config;
    assert_int_equal(
        allocator_list_parse("pool:3.9,keep=0,pool:keep=2,order=linear,pool:3.15,hugepages,null", &list, &diag),
        ERR_OK);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].name, "pool:3.9,keep=0");
    assert_string_equal(list.items[0].settings, "3.9,keep=0");
    assert_string_equal(list.items[1].name, "pool:keep=2,order=linear");
    assert_true(allocator_pool_config(&list.items[0], &config));
    assert_int_equal(config.keep_count, 0);
    assert_string_equal(list.items[2].settings, "3.15,arena=2M,hugepages=advise");
    assert_int_equal(allocator_list_parse("pool:keep=2,keap=3", &list, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "did you mean 'keep'"));
    assert_int_equal(allocator_list_parse("pool:3.9,mine=/no/such/lib.so", &list, &diag), ERR_NOT_FOUND);
    assert_int_equal(allocator_list_parse("pool:3.9,arena=100", &list, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "not a multiple of pool size"));
}

static void a_misspelt_name_names_the_nearest(void **state) {
    (void)state;
    struct allocator allocator;
    assert_int_equal(allocator_parse("jemaloc", &allocator, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "did you mean 'jemalloc'"));
    assert_int_equal(allocator_parse("sytem", &allocator, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "did you mean 'system'"));
    assert_int_equal(allocator_parse("entirely-different-thing", &allocator, &diag), ERR_USAGE);
    assert_null(strstr(diag.text, "did you mean"));
}

static void a_library_is_found_through_the_search_path_or_its_package_is_told(void **state) {
    (void)state;
    char directory[] = "/tmp/mmreplay-test-XXXXXX", path[128];
    struct allocator allocator;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/libmimalloc.so.2", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    setenv("LD_LIBRARY_PATH", directory, 1);
    assert_int_equal(allocator_parse("mimalloc", &allocator, &diag), ERR_OK);
    assert_string_equal(allocator.library, path);
    unsetenv("LD_LIBRARY_PATH");
    unlink(path);
    rmdir(directory);
    if (allocator_parse("tcmalloc", &allocator, &diag)) {
        assert_int_equal(diag.err, ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "apt-get install"));
    }
}

static void a_named_library_must_be_a_file_that_can_be_preloaded(void **state) {
    (void)state;
    struct allocator allocator;
    assert_int_equal(allocator_parse("mine=/no/such/lib.so", &allocator, &diag), ERR_NOT_FOUND);
    assert_string_equal(diag.path, "/no/such/lib.so");
    assert_int_equal(allocator_parse("mine=/tmp", &allocator, &diag), ERR_NOT_FOUND);
    char path[] = "/tmp/mmreplay test XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    char text[64];
    snprintf(text, sizeof text, "mine=%s", path);
    assert_int_equal(allocator_parse(text, &allocator, &diag), ERR_UNSUPPORTED);
    close(fd);
    unlink(path);
}

static void a_built_in_name_cannot_stand_for_a_library(void **state) {
    (void)state;
    static const char *const refused[] = {"system=" LIBRARY,   "null=" LIBRARY,        "pool=" LIBRARY,
                                          "cpython=" LIBRARY,  "cpython=cpython:3.11", "poool:arena=256K",
                                          "system:a=" LIBRARY, "my:own=" LIBRARY};
    static const char *const taken[] = {"jemalloc=" LIBRARY, "mimalloc=" LIBRARY,       "tcmalloc=" LIBRARY,
                                        "mine=" LIBRARY,     "pool:arena=256K,pool=4K", "pool:3.9,keep=0"};
    struct allocator allocator;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (allocator_parse(refused[i], &allocator, &diag) != ERR_USAGE)
            fail_msg("'%s' is not refused", refused[i]);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (allocator_parse(taken[i], &allocator, &diag))
            fail_msg("'%s': %s", taken[i], diag.text);
    assert_int_equal(allocator_parse("system=" LIBRARY, &allocator, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "my-system=" LIBRARY));
}

static void lists_keep_their_order_and_refuse_doubles_and_gaps(void **state) {
    (void)state;
    struct allocator_list list;
    assert_int_equal(allocator_list_parse("system,pool,null", &list, &diag), ERR_OK);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[1].name, "pool");
    assert_int_equal(allocator_list_parse("system,pool,system", &list, &diag), ERR_USAGE);
    assert_int_equal(allocator_list_parse("system,,pool", &list, &diag), ERR_USAGE);
    assert_int_equal(allocator_list_parse("", &list, &diag), ERR_USAGE);
    assert_int_equal(list.count, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_names_need_no_library),
        cmocka_unit_test(pool_is_a_profile),
        cmocka_unit_test(settings_behind_a_pool_belong_to_it),
        cmocka_unit_test(a_misspelt_name_names_the_nearest),
        cmocka_unit_test(a_library_is_found_through_the_search_path_or_its_package_is_told),
        cmocka_unit_test(a_named_library_must_be_a_file_that_can_be_preloaded),
        cmocka_unit_test(a_built_in_name_cannot_stand_for_a_library),
        cmocka_unit_test(lists_keep_their_order_and_refuse_doubles_and_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
