#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/units.h"

struct parse_case {
    const char *text;
    enum err err;
    uint64_t value;
};

enum { UNTOUCHED = 42 };

static void parse_table_assert(enum err (*parse)(const char *, uint64_t *), const struct parse_case *cases,
                               size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value = UNTOUCHED;
        enum err err = parse(cases[i].text, &value);
        if (err != cases[i].err || value != (err ? UNTOUCHED : cases[i].value))
            fail_msg("\"%s\" gave error %d and %llu", cases[i].text, err, (unsigned long long)value);
    }
}

#define PARSE_TABLE_ASSERT(parse, cases) parse_table_assert(parse, cases, sizeof(cases) / sizeof(cases)[0])

static void numbers_are_digits_and_nothing_else(void **state) {
    (void)state;
    const struct parse_case cases[] = {
        {"0", ERR_OK, 0},
        {"007", ERR_OK, 7},
        {"18446744073709551615", ERR_OK, UINT64_MAX},
        {"18446744073709551616", ERR_LIMIT, 0},
        {"99999999999999999999999", ERR_LIMIT, 0},
        {"", ERR_FORMAT, 0},
        {"-1", ERR_FORMAT, 0},
        {"+1", ERR_FORMAT, 0},
        {" 1", ERR_FORMAT, 0},
        {"1 ", ERR_FORMAT, 0},
        {"12abc", ERR_FORMAT, 0},
        {"1e6", ERR_FORMAT, 0},
        {"0x10", ERR_FORMAT, 0},
        {"1.5", ERR_FORMAT, 0},
    };
    PARSE_TABLE_ASSERT(units_parse_u64, cases);
}

static void bytes_take_binary_suffixes(void **state) {
    (void)state;
    const struct parse_case cases[] = {
        {"0", ERR_OK, 0},
        {"512", ERR_OK, 512},
        {"512B", ERR_OK, 512},
        {"16K", ERR_OK, 16384},
        {"16k", ERR_OK, 16384},
        {"16KiB", ERR_OK, 16384},
        {"1M", ERR_OK, 1048576},
        {"2G", ERR_OK, (uint64_t)2 << 30},
        {"3TiB", ERR_OK, (uint64_t)3 << 40},
        {"16777215T", ERR_OK, (uint64_t)16777215 << 40},
        {"16777216T", ERR_LIMIT, 0},
        {"K", ERR_FORMAT, 0},
        {"1KB", ERR_FORMAT, 0},
        {"1Ki", ERR_FORMAT, 0},
        {"1KK", ERR_FORMAT, 0},
        {"1 K", ERR_FORMAT, 0},
        {"1P", ERR_FORMAT, 0},
        {"1Bx", ERR_FORMAT, 0},
        {"-1K", ERR_FORMAT, 0},
        {"1.5K", ERR_FORMAT, 0},
        {"", ERR_FORMAT, 0},
    };
    PARSE_TABLE_ASSERT(units_parse_bytes, cases);
}

static void counts_take_decimal_suffixes_and_exponents(void **state) {
    (void)state;
    const struct parse_case cases[] = {
        {"0", ERR_OK, 0},         {"500000", ERR_OK, 500000}, {"3k", ERR_OK, 3000},
        {"3K", ERR_OK, 3000},     {"10M", ERR_OK, 10000000},  {"2G", ERR_OK, 2000000000},
        {"1e6", ERR_OK, 1000000}, {"25E0", ERR_OK, 25},       {"1e19", ERR_OK, 10000000000000000000u},
        {"2e19", ERR_LIMIT, 0},   {"1e20", ERR_LIMIT, 0},     {"18446744074G", ERR_LIMIT, 0},
        {"1e", ERR_FORMAT, 0},    {"e6", ERR_FORMAT, 0},      {"1e+6", ERR_FORMAT, 0},
        {"1.5M", ERR_FORMAT, 0},  {"1m", ERR_FORMAT, 0},      {"1MM", ERR_FORMAT, 0},
        {"-1", ERR_FORMAT, 0},    {"", ERR_FORMAT, 0},
    };
    PARSE_TABLE_ASSERT(units_parse_count, cases);
}

static void durations_need_a_suffix(void **state) {
    (void)state;
    const struct parse_case cases[] = {
        {"7ns", ERR_OK, 7},
        {"5us", ERR_OK, 5000},
        {"5ms", ERR_OK, 5000000},
        {"2s", ERR_OK, 2000000000},
        {"3m", ERR_OK, 180000000000},
        {"18446744073s", ERR_OK, 18446744073000000000u},
        {"18446744074s", ERR_LIMIT, 0},
        {"5", ERR_FORMAT, 0},
        {"ms", ERR_FORMAT, 0},
        {"5 ms", ERR_FORMAT, 0},
        {"5h", ERR_FORMAT, 0},
        {"5S", ERR_FORMAT, 0},
        {"", ERR_FORMAT, 0},
    };
    PARSE_TABLE_ASSERT(units_parse_duration, cases);
}

struct format_case {
    uint64_t value;
    const char *text;
};

static void format_table_assert(const char *(*format)(uint64_t, char *), const struct format_case *cases,
                                size_t count) {
    char buffer[UNITS_TEXT_BYTES];
    for (size_t i = 0; i < count; i++)
        assert_string_equal(format(cases[i].value, buffer), cases[i].text);
}

#define FORMAT_TABLE_ASSERT(format, cases) format_table_assert(format, cases, sizeof(cases) / sizeof(cases)[0])

static void bytes_are_written_with_three_digits(void **state) {
    (void)state;
    const struct format_case cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.00 KiB"},
        {1536, "1.50 KiB"},
        {10235, "10.0 KiB"},
        {99738, "97.4 KiB"},
        {102349, "100 KiB"},
        {1023 * 1024, "1023 KiB"},
        {1048575, "1.00 MiB"},
        {1288490189, "1.20 GiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    FORMAT_TABLE_ASSERT(units_format_bytes, cases);
}

static void counts_are_grouped_in_threes(void **state) {
    (void)state;
    const struct format_case cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {12345678, "12,345,678"},
        {100000, "100,000"},
        {UINT64_MAX, "18,446,744,073,709,551,615"},
    };
    FORMAT_TABLE_ASSERT(units_format_count, cases);
}

static void durations_are_written_with_three_digits(void **state) {
    (void)state;
    const struct format_case cases[] = {
        {0, "0 ns"},           {850, "850 ns"},        {1000, "1.00 us"},
        {12345, "12.3 us"},    {999499, "999 us"},     {999500, "1.00 ms"},
        {12300000, "12.3 ms"}, {1500000000, "1.50 s"}, {UINT64_MAX, "18446744074 s"},
    };
    FORMAT_TABLE_ASSERT(units_format_duration, cases);
}

static void nouns_of_one_have_no_s(void **state) {
    (void)state;
    assert_string_equal(units_plural(1), "");
    assert_string_equal(units_plural(0), "s");
    assert_string_equal(units_plural(UINT64_MAX), "s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_and_nothing_else),        cmocka_unit_test(bytes_take_binary_suffixes),
        cmocka_unit_test(counts_take_decimal_suffixes_and_exponents), cmocka_unit_test(durations_need_a_suffix),
        cmocka_unit_test(bytes_are_written_with_three_digits),        cmocka_unit_test(counts_are_grouped_in_threes),
        cmocka_unit_test(durations_are_written_with_three_digits),    cmocka_unit_test(nouns_of_one_have_no_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
