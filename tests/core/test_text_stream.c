#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text_stream.h"

enum { BYTES = 100000 };

/* A place for bytes that refuses some. */
struct place {
    unsigned write_count;
    unsigned refused; /* which write, from 0 */
};

static ssize_t place_write(void *ctx, const char *bytes, size_t count) {
    struct place *place = ctx;
    (void)bytes;
    if (place->write_count++ != place->refused)
        return (ssize_t)count;
    errno = ENOSPC;
    return 0;
}

static int place_close_result(unsigned refused) {
    struct place place = {.refused = refused};
    FILE *stream = fopencookie(&place, "w", (cookie_io_functions_t){.write = place_write});
    assert_non_null(stream);
    for (size_t i = 0; i < BYTES; i++)
        fputc('x', stream);
    return text_stream_close(stream);
}

/* The first flush is long over when the last goes well. */
static void bytes_lost_on_the_way_are_told_at_the_end_without_a_made_up_reason(void **state) {
    (void)state;
    assert_int_equal(place_close_result(UINT32_MAX), 0);
    assert_int_equal(place_close_result(0), -1);
    assert_int_equal(errno, 0);
}

static void bytes_lost_at_the_end_are_told_with_the_reason(void **state) {
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (!full)
        skip();
    fputc('x', full);
    assert_int_equal(text_stream_close(full), -1);
    assert_int_equal(errno, ENOSPC);
}

static void what_is_written_into_memory_is_there_at_the_end_with_its_place_on_the_way(void **state) {
    char *text;
    size_t bytes;
    (void)state;
    FILE *stream = text_stream_memory(&text, &bytes);
    assert_non_null(stream);
    for (long i = 0; i < BYTES; i++) {
        assert_int_equal(ftell(stream), i);
        fputc('a' + (int)(i % 26), stream);
    }
    assert_int_equal(text_stream_close(stream), 0);
    assert_int_equal(bytes, BYTES);
    assert_int_equal(strlen(text), BYTES);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(text[i], 'a' + (int)(i % 26));
    free(text);
}

static void nothing_written_is_an_empty_text(void **state) {
    char *text;
    size_t bytes = 1;
    (void)state;
    assert_int_equal(text_stream_close(text_stream_memory(&text, &bytes)), 0);
    assert_int_equal(bytes, 0);
    assert_string_equal(text, "");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_lost_on_the_way_are_told_at_the_end_without_a_made_up_reason),
        cmocka_unit_test(bytes_lost_at_the_end_are_told_with_the_reason),
        cmocka_unit_test(what_is_written_into_memory_is_there_at_the_end_with_its_place_on_the_way),
        cmocka_unit_test(nothing_written_is_an_empty_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
