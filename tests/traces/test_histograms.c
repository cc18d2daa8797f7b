#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#include "traces/log_histogram.h"
#include "traces/size_classes.h"
#include "traces/tally.h"

static void classes_cover_all_sizes_without_gaps(void **state) {
    (void)state;
    uint64_t seed = support_seed(1);
    for (int scheme = 0; scheme < SIZE_SCHEME_COUNT; scheme++) {
        struct size_classes classes;
        size_classes_init(&classes, (enum size_scheme)scheme);
        assert_true(classes.upper_bytes[classes.count - 1] >= EVENT_SIZE_MAX);
        for (uint32_t i = 0; i < classes.count; i++) {
            assert_true(!i || classes.upper_bytes[i - 1] < classes.upper_bytes[i]);
            uint64_t upper = classes.upper_bytes[i] < EVENT_SIZE_MAX ? classes.upper_bytes[i] : EVENT_SIZE_MAX;
            assert_int_equal(size_class_of(&classes, upper), i);
            assert_int_equal(size_class_of(&classes, size_class_lower(&classes, i)), i);
        }
        for (int i = 0; i < 20000; i++) {
            uint64_t size = random_next(&seed) >> 17 >> random_below(&seed, 47);
            uint32_t class = size_class_of(&classes, size);
            assert_true(size <= classes.upper_bytes[class] && size >= size_class_lower(&classes, class));
        }
    }
}

static void classes_are_those_of_the_allocators(void **state) {
    (void)state;
    /* pymalloc: (n - 1) >> 4; glibc: chunk (n + 8 + 15) & ~15, at least 32; jemalloc: the table in its manual. */
    static const uint64_t jemalloc[] = {8,    16,   32,   48,   64,   80,   96,   112,  128,  160,
                                        192,  224,  256,  320,  384,  448,  512,  640,  768,  896,
                                        1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120};
    struct size_classes classes;
    size_classes_init(&classes, SIZE_SCHEME_PYMALLOC);
    for (uint64_t size = 1; size <= 512; size++)
        assert_int_equal(size_class_of(&classes, size), (size - 1) >> 4);
    size_classes_init(&classes, SIZE_SCHEME_PYMALLOC8);
    for (uint64_t size = 1; size <= 512; size++)
        assert_int_equal(size_class_of(&classes, size), (size - 1) >> 3);
    size_classes_init(&classes, SIZE_SCHEME_GLIBC);
    for (uint64_t size = 0; size <= 1032; size++) {
        uint64_t chunk = (size + 8 + 15) & ~(uint64_t)15;
        assert_int_equal(size_class_of(&classes, size), chunk < 32 ? 0 : (chunk - 32) / 16);
    }
    assert_int_equal(classes.upper_bytes[63], 1032);
    size_classes_init(&classes, SIZE_SCHEME_JEMALLOC);
    assert_memory_equal(classes.upper_bytes, jemalloc, sizeof jemalloc);
    size_classes_init(&classes, SIZE_SCHEME_LOG2);
    assert_int_equal(classes.count, EVENT_SIZE_BITS + 2);
}

static void schemes_are_found_by_name(void **state) {
    (void)state;
    enum size_scheme scheme;
    struct diag diag;
    for (int i = 0; i < SIZE_SCHEME_COUNT; i++) {
        assert_int_equal(size_scheme_parse(size_scheme_names[i], &scheme, NULL), ERR_OK);
        assert_int_equal(scheme, i);
    }
    assert_int_equal(size_scheme_parse("tcmalloc", &scheme, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "not 'tcmalloc'"));
}

static void cells_are_within_a_sixteenth_and_an_octave(void **state) {
    (void)state;
    uint64_t seed = support_seed(2);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_next(&seed) >> random_below(&seed, 64);
        struct log_histogram *histogram = calloc(1, sizeof *histogram);
        uint64_t octaves[LOG_OCTAVE_COUNT];
        if (i % 100) { /* the histogram is large: mostly only the cell */
            assert_true(log_cell_of(value) < LOG_CELL_COUNT);
            assert_true(!value || log_cell_of(value - 1) <= log_cell_of(value));
            free(histogram);
            continue;
        }
        log_histogram_add(histogram, value);
        log_histogram_octaves(histogram, octaves);
        assert_int_equal(octaves[log_octave_of(value)], 1);
        assert_true(log_octave_lower(log_octave_of(value)) <= value && value <= log_octave_upper(log_octave_of(value)));
        log_histogram_add(histogram, UINT64_MAX);
        uint64_t told = log_histogram_quantile(histogram, 500);
        assert_true(told >= value && told - value <= value / 16);
        assert_true(log_histogram_quantile(histogram, 1000) == UINT64_MAX);
        free(histogram);
    }
}

static void a_full_tally_keeps_what_it_has_and_counts_what_it_misses(void **state) {
    (void)state;
    struct tally tally = {0};
    enum { MORE = 1000 };
    for (uint64_t key = 0; key < TALLY_KEYS_MAX + MORE; key++) {
        assert_int_equal(tally_reserve(&tally), ERR_OK);
        tally_add(&tally, key * 0x10001, key);
        if (key % 4096 == 0) {
            assert_int_equal(tally_reserve(&tally), ERR_OK);
            tally_add(&tally, 7 * 0x10001, 1);
        }
    }
    struct tally_entry top[3];
    assert_int_equal(tally_top(&tally, top, 3), 3);
    assert_int_equal(tally.key_count, TALLY_KEYS_MAX);
    assert_int_equal(tally.missed_count, MORE);
    assert_int_equal(top[0].key, 7 * 0x10001);
    assert_int_equal(top[0].count, 1 + (TALLY_KEYS_MAX + MORE + 4095) / 4096);
    assert_int_equal(top[1].key, 0); /* of equals the smallest keys */
    assert_int_equal(top[2].key, 0x10001);
    tally_clear(&tally);
    assert_int_equal(tally_top(&tally, top, 3), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_cover_all_sizes_without_gaps),
        cmocka_unit_test(classes_are_those_of_the_allocators),
        cmocka_unit_test(schemes_are_found_by_name),
        cmocka_unit_test(cells_are_within_a_sixteenth_and_an_octave),
        cmocka_unit_test(a_full_tally_keeps_what_it_has_and_counts_what_it_misses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
