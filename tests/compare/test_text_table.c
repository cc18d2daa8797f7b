#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/text_table.h"

static struct text_table *sample_table(void) {
    struct text_table *table = NULL;
    assert_int_equal(text_table_create(3, &table), ERR_OK);
    assert_int_equal(text_table_row(table), ERR_OK);
    text_table_set(table, 0, "name");
    text_table_set(table, 1, "time");
    text_table_set(table, 2, "memory");
    assert_int_equal(text_table_row(table), ERR_OK);
    text_table_set(table, 0, "a");
    text_table_set(table, 1, "%d", 12345);
    text_table_set(table, 2, "7");
    return table;
}

static char *table_text(const struct text_table *table, size_t width) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    text_table_print(table, width, out);
    fclose(out);
    return text;
}

static void columns_line_up(void **state) {
    (void)state;
    struct text_table *table = sample_table();
    char *text = table_text(table, 80);
    assert_string_equal(text, "name   time  memory\n"
                              "a     12345       7\n");
    free(text);
    text_table_destroy(table);
}

static void columns_are_counted_in_characters_not_bytes(void **state) {
    (void)state;
    struct text_table *table = sample_table();
    assert_int_equal(text_table_row(table), ERR_OK);
    text_table_set(table, 0, "länger");
    text_table_set(table, 1, "██▌ ");
    text_table_set(table, 2, "…");
    char *text = table_text(table, 80);
    assert_string_equal(text, "name     time  memory\n"
                              "a       12345       7\n"
                              "länger   ██▌        …\n");
    free(text);
    text_table_destroy(table);
}

static void a_narrow_page_breaks_the_table_and_repeats_the_names(void **state) {
    (void)state;
    struct text_table *table = sample_table();
    char *text = table_text(table, 14);
    assert_string_equal(text, "name   time\n"
                              "a     12345\n"
                              "\n"
                              "name  memory\n"
                              "a          7\n");
    free(text);
    text_table_destroy(table);
}

static void a_spanning_text_replaces_the_cells(void **state) {
    (void)state;
    struct text_table *table = sample_table();
    assert_int_equal(text_table_row(table), ERR_OK);
    text_table_set(table, 0, "b");
    text_table_span(table, "crashed for reasons of its own");
    char *text = table_text(table, 24);
    assert_non_null(strstr(text, "b     crashed for\n      reasons of its own\n"));
    free(text);
    text_table_destroy(table);
}

static void a_number_and_its_percent_sign_stay_on_one_line(void **state) {
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    text_wrap_print("lead ", "some 12.5 % of 100 %", 12, out);
    fclose(out);
    assert_string_equal(text, "lead some\n"
                              "     12.5 %\n"
                              "     of\n"
                              "     100 %\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up),
        cmocka_unit_test(a_number_and_its_percent_sign_stay_on_one_line),
        cmocka_unit_test(columns_are_counted_in_characters_not_bytes),
        cmocka_unit_test(a_narrow_page_breaks_the_table_and_repeats_the_names),
        cmocka_unit_test(a_spanning_text_replaces_the_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
