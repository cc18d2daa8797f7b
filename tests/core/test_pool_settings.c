#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "tests/core/random_source.h"

static struct diag diag;

static struct pool_config parse_assert(const char *text) {
    struct pool_config config;
    if (pool_config_parse(text, &config, &diag))
        fail_msg("'%s': %s", text, diag.text);
    return config;
}

static void text_assert(const char *text, const char *canonical) {
    char buffer[POOL_CONFIG_TEXT_BYTES];
    struct pool_config config = parse_assert(text), again;
    assert_string_equal(pool_config_format(&config, buffer), canonical);
    again = parse_assert(buffer);
    assert_memory_equal(&config, &again, sizeof config);
}

static void every_profile_is_valid_and_named_by_its_text(void **state) {
    (void)state;
    size_t count = 0;
    for (; pool_profile_at(count); count++) {
        const struct pool_config *config = &pool_profile_at(count)->config;
        text_assert(config->name, config->name);
        assert_ptr_equal(pool_profile_find(config->name), config);
        assert_int_equal(config->threshold_bytes, 512);
        assert_int_equal(config->arena_bytes / config->pool_bytes, 64);
    }
    assert_int_equal(count, 10);
    text_assert("", pool_profile_default);
    text_assert("classic", "3.7");
    assert_int_equal(parse_assert("classic").align_bytes, 8);
}

static void settings_change_what_they_say_and_nothing_else(void **state) {
    (void)state;
    struct pool_config config = parse_assert("3.9,keep=0,order=emptiest,reentry=back,headers=side,align=32");
    assert_string_equal(config.name, "3.9");
    assert_int_equal(config.keep_count, 0);
    assert_int_equal(config.order, POOL_ORDER_EMPTIEST);
    assert_int_equal(config.reentry, POOL_REENTRY_BACK);
    assert_int_equal(config.headers, POOL_HEADERS_SIDE);
    assert_int_equal(config.align_bytes, 32);
    assert_int_equal(config.pool_bytes, 4096);
    assert_int_equal(config.arena_bytes, 262144);
    assert_int_equal(config.arena_map, POOL_ARENA_MAP_NONE);
    config = parse_assert("residues=0x1000+0x3000+0");
    assert_int_equal(config.residue_count, 3);
    assert_int_equal(config.residues_bytes[1], 0x3000);
    assert_int_equal(parse_assert("residues=0").residue_count, 0);
    assert_int_equal(parse_assert("residues=0").residues, POOL_RESIDUES_NONE);
    assert_int_equal(parse_assert("residues=trace").residues, POOL_RESIDUES_TRACE);
    assert_int_equal(parse_assert("residues=auto").residues, POOL_RESIDUES_AUTO);
    assert_int_equal(parse_assert("3.15,hugepages").arena_bytes, 2 << 20);
    assert_int_equal(parse_assert("3.15,hugepages=map,arena=4M").arena_bytes, 4 << 20);
}

static void the_text_is_canonical(void **state) {
    (void)state;
    text_assert("pool=16384,arena=1048576", pool_profile_default);
    text_assert("3.9,keep=0,arena=262144", "3.9,keep=0");
    text_assert("3.11,order=address,arena=256K,pool=4K", "3.11,arena=256K,pool=4K,order=address");
    text_assert("3.11,residues=4K+0x3000", "3.11,residues=0x1000+0x3000");
    text_assert("3.11,residues=auto", "3.11");
    text_assert("3.11,residues=0", "3.11,residues=0");
    text_assert("3.11,keep=2,residues=trace", "3.11,keep=2,residues=trace");
    text_assert("3.11,source=malloc,bits=64", "3.11,source=malloc");
    text_assert("3.15,hugepages", "3.15,arena=2M,hugepages=advise");
}

static void any_valid_settings_survive_the_text(void **state) {
    (void)state;
    const uint64_t seed = 11;
    printf("  seed %llu\n", (unsigned long long)seed);
    struct random_source random = random_seeded(seed);
    uint32_t valid = 0;
    for (int i = 0; i < 20000; i++) {
        struct pool_config config = pool_profile_at(random_below(&random, 10))->config;
        config.align_bytes = (size_t)8 << random_below(&random, 3);
        config.threshold_bytes = config.align_bytes * (1 + random_below(&random, 128));
        config.pool_bytes = (size_t)1024 << random_below(&random, 8);
        config.arena_bytes = config.pool_bytes * (1 + random_below(&random, 200));
        config.keep_count = random_below(&random, 5);
        config.order = (uint8_t)random_below(&random, POOL_ORDER_COUNT);
        config.reentry = (uint8_t)random_below(&random, POOL_REENTRY_COUNT);
        config.headers = (uint8_t)random_below(&random, POOL_HEADERS_COUNT);
        config.source = (uint8_t)random_below(&random, POOL_SOURCE_COUNT);
        if (random_below(&random, 3) == 0) {
            config.residue_count = 2 + random_below(&random, POOL_RESIDUES_MAX - 1);
            for (uint32_t k = 0; k < config.residue_count; k++)
                config.residues_bytes[k] = 4096 * random_below(&random, (uint32_t)(config.pool_bytes / 4096 + 1));
        } else {
            config.residues = (uint8_t)random_below(&random, POOL_RESIDUES_COUNT);
        }
        if (pool_config_check(&config, NULL))
            continue;
        char text[POOL_CONFIG_TEXT_BYTES];
        struct pool_config again = parse_assert(pool_config_format(&config, text));
        assert_memory_equal(&config, &again, sizeof config);
        valid++;
    }
    assert_true(valid > 1000);
}

static void refusals_name_the_fault(void **state) {
    (void)state;
    const struct {
        const char *text, *says;
        enum err err;
    } cases[] = {
        {"2.7", "no pool profile '2.7'; there are 3.7 3.7.4", ERR_USAGE},
        {"3.1", "no pool profile '3.1'", ERR_USAGE},
        {"bits=32", "bits=32 cannot be had", ERR_UNSUPPORTED},
        {"3.9,bits=16", "bits=16: expected 64", ERR_USAGE},
        {"keap=1", "did you mean 'keep'", ERR_USAGE},
        {"colour=red", "unknown setting 'colour'", ERR_USAGE},
        {"keep=1,3.9", "unknown setting '3.9'", ERR_USAGE},
        {"3.9,keep", "keep needs a value: keep=N", ERR_USAGE},
        {"keep=1,keep=2", "keep is given twice", ERR_USAGE},
        {"keep=-1", "keep=-1: expected N", ERR_USAGE},
        {"keep=99999999999", "expected N", ERR_USAGE},
        {"keep=", "keep=: expected N", ERR_USAGE},
        {"arena=1X", "arena=1X: expected SIZE", ERR_USAGE},
        {"order=fastest", "expected fullest|linear|emptiest|address", ERR_USAGE},
        {"3.9,,keep=1", "an empty setting", ERR_USAGE},
        {"3.9,", "an empty setting", ERR_USAGE},
        {"residues=", "expected auto, trace, 0 or sizes", ERR_USAGE},
        {"residues=0x", "expected auto, trace, 0 or sizes", ERR_USAGE},
        {"residues=0x1000+", "expected auto, trace, 0 or sizes", ERR_USAGE},
        {"residues=0x1000+0x10g0", "expected auto, trace, 0 or sizes", ERR_USAGE},
        {"residues=0x4000", "residue 0x4000 is not a multiple of the page size 4096 below pool size 16384", ERR_USAGE},
        {"residues=0x800", "residue 0x800", ERR_USAGE},
        {"residues=0x1000,source=malloc", "residues need source=mmap", ERR_USAGE},
        {"residues=trace,source=malloc", "residues need source=mmap", ERR_USAGE},
        {"hugepages,residues=trace", "exclude each other", ERR_USAGE},
        {"hugepages,source=malloc", "hugepages need source=mmap", ERR_USAGE},
        {"hugepages,residues=0x1000", "exclude each other", ERR_USAGE},
        {"hugepages,arena=1M", "not a multiple of a huge page", ERR_USAGE},
        {"arena=1000000", "not a multiple of pool size 16384", ERR_USAGE},
        {"pool=512", "holds no header of 48 and two blocks of the largest class, 512", ERR_USAGE},
        {"pool=512,headers=side", "two blocks of the largest class, 512", ERR_USAGE},
        {"align=24", "align 24 is not a power of two", ERR_USAGE},
        {"threshold=500", "threshold 500 is not a positive multiple of align 16", ERR_USAGE},
        {"threshold=4096", "makes 256 size classes; 128 at most", ERR_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pool_config config = {.keep_count = 77};
        assert_int_equal(pool_config_parse(cases[i].text, &config, &diag), cases[i].err);
        assert_int_equal(config.keep_count, 77);
        assert_int_equal(pool_config_parse(cases[i].text, &config, NULL), cases[i].err);
        if (!strstr(diag.text, cases[i].says))
            fail_msg("'%s' said \"%s\", not \"%s\"", cases[i].text, diag.text, cases[i].says);
    }
    char longest[2 * POOL_CONFIG_TEXT_BYTES];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct pool_config config;
    assert_int_equal(pool_config_parse(longest, &config, &diag), ERR_USAGE);
}

static char *file_read(const char *path) {
    static char text[64 << 10];
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    return text;
}

static void present_assert(const char *text, const char *what) {
    if (!strstr(text, what))
        fail_msg("POOL.md lacks: %s", what);
}

/* The document's tables say what the code's tables do. */
static void the_document_has_every_setting_and_every_version(void **state) {
    (void)state;
    const char *text = file_read(MMREPLAY_POOL_MD);
    char line[512];
    for (size_t i = 0; pool_setting_at(i); i++) {
        const struct pool_setting *setting = pool_setting_at(i);
        snprintf(line, sizeof line, "| `%s=` | %s |", setting->key, setting->reason);
        present_assert(text, line);
    }
    for (size_t i = 0; pool_profile_at(i); i++) {
        const struct pool_profile *profile = pool_profile_at(i);
        snprintf(line, sizeof line, "| `%s` | %s | %s |", profile->config.name, profile->versions, profile->differs);
        present_assert(text, line);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_is_valid_and_named_by_its_text),
        cmocka_unit_test(settings_change_what_they_say_and_nothing_else),
        cmocka_unit_test(the_text_is_canonical),
        cmocka_unit_test(any_valid_settings_survive_the_text),
        cmocka_unit_test(refusals_name_the_fault),
        cmocka_unit_test(the_document_has_every_setting_and_every_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
