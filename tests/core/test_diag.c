#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/diag.h"

static void setters_return_their_error_and_allow_no_diag(void **state) {
    (void)state;
    assert_int_equal(diag_set(NULL, ERR_FORMAT, "f", "x"), ERR_FORMAT);
    assert_int_equal(diag_at_line(NULL, ERR_LIMIT, "f", 1, 2, "x"), ERR_LIMIT);
    assert_int_equal(diag_at_byte(NULL, ERR_CHECKSUM, "f", 1, "x"), ERR_CHECKSUM);
    assert_int_equal(diag_errno(NULL, ERR_IO, "f", "x"), ERR_IO);
}

static void one_line_names_file_and_place(void **state) {
    (void)state;
    struct diag diag;
    char line[256];
    diag_at_line(&diag, ERR_FORMAT, "a.yaml", 3, 7, "no %s", "key");
    diag_format(&diag, line, sizeof line);
    assert_string_equal(line, "a.yaml:3:7: no key");
    diag_at_line(&diag, ERR_FORMAT, "a.yaml", 3, 0, "no key");
    diag_format(&diag, line, sizeof line);
    assert_string_equal(line, "a.yaml:3: no key");
    diag_at_byte(&diag, ERR_FORMAT, "a.gz", 99, "cut");
    diag_format(&diag, line, sizeof line);
    assert_string_equal(line, "a.gz: byte 99: cut");
    diag_set(&diag, ERR_NOT_FOUND, "a.gz", "not there");
    diag_format(&diag, line, sizeof line);
    assert_string_equal(line, "a.gz: not there");
    diag_set(&diag, ERR_NOMEM, NULL, "out of memory");
    assert_int_equal(diag_format(&diag, line, sizeof line), 13);
    assert_string_equal(line, "out of memory");
    assert_int_equal(diag.err, ERR_NOMEM);
}

static void a_failed_call_is_told_with_its_errno(void **state) {
    (void)state;
    struct diag diag;
    errno = ENOENT;
    diag_errno(&diag, ERR_IO, NULL, "cannot open");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(diag.text, "cannot open: No such file or directory");
}

static void long_texts_are_cut(void **state) {
    (void)state;
    struct diag diag;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    diag_set(&diag, ERR_IO, text, "%s", text);
    assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
    assert_int_equal(strlen(diag.path), sizeof diag.path - 1);
    diag_errno(&diag, ERR_IO, text, "%s", text);
    assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
}

static void every_error_has_a_text(void **state) {
    (void)state;
    for (int err = 0; err < ERR_COUNT; err++)
        assert_true(strlen(err_text((enum err)err)) > 1);
    assert_non_null(err_text((enum err)1000));
}

static void overflow_leaves_the_result_alone(void **state) {
    (void)state;
    size_t product = 1;
    assert_true(checked_mul_size(SIZE_MAX, 2, &product));
    assert_int_equal(product, 1);
    assert_false(checked_mul_size(1 << 20, 3, &product));
    assert_int_equal(product, 3 << 20);
}

static void the_clock_does_not_run_backwards(void **state) {
    (void)state;
    uint64_t before = clock_now_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setters_return_their_error_and_allow_no_diag),
        cmocka_unit_test(one_line_names_file_and_place),
        cmocka_unit_test(a_failed_call_is_told_with_its_errno),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(every_error_has_a_text),
        cmocka_unit_test(overflow_leaves_the_result_alone),
        cmocka_unit_test(the_clock_does_not_run_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
