#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/environment.h"

static void every_family_of_allocator_settings_is_recorded(void **state) {
    (void)state;
    static const char *const names[] = {"MALLOC_CONF",          "MALLOC_MMAP_MAX_",
                                        "MIMALLOC_PURGE_DELAY", "TCMALLOC_SAMPLE_PARAMETER",
                                        "GLIBC_TUNABLES",       "MALLOC_TRIM_THRESHOLD_"};
    static struct environment environment;
    char entry[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        setenv(names[i], "7", 1);
    setenv("XMALLOC_CONF", "7", 1);
    environment_read(-1, &environment);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(entry, sizeof entry, "%s=7", names[i]);
        if (!strstr(environment.settings, entry))
            fail_msg("no %s in '%s'", entry, environment.settings);
        unsetenv(names[i]);
    }
    assert_null(strstr(environment.settings, "XMALLOC"));
    environment_read(-1, &environment);
    assert_null(strstr(environment.settings, "=7"));
}

static void settings_beyond_the_room_do_not_overflow_it(void **state) {
    (void)state;
    static struct environment environment;
    static char value[4096];
    memset(value, 'x', sizeof value - 1);
    setenv("MALLOC_CONF", value, 1);
    environment_read(-1, &environment);
    assert_true(strlen(environment.settings) < sizeof environment.settings);
    unsetenv("MALLOC_CONF");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_of_allocator_settings_is_recorded),
        cmocka_unit_test(settings_beyond_the_room_do_not_overflow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
