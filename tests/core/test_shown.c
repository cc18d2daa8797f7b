#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/shown.h"

static void assert_shown(const char *from, const char *to) {
    char text[64];
    strcpy(text, from);
    assert_string_equal(text_make_shown(text), to);
}

static void ordinary_text_stays(void **state) {
    (void)state;
    assert_shown("", "");
    assert_shown("python3 app.py --größe 7 €", "python3 app.py --größe 7 €");
}

static void line_breaks_and_tabs_become_blanks(void **state) {
    (void)state;
    assert_shown("import os\n\tos.fork()\r", "import os  os.fork() ");
}

static void terminal_escapes_become_question_marks(void **state) {
    (void)state;
    assert_shown("\033[31mred\a\x7f", "?[31mred??");
    assert_shown("\xc2\x9b"
                 "31m",
                 "??31m");                   /* U+009B: CSI in one character */
    assert_shown("a\xe2\x80\xa8z", "a???z"); /* U+2028: a line separator */
}

static void bytes_that_are_no_utf8_become_question_marks(void **state) {
    (void)state;
    assert_shown("\x9b"
                 "2J",
                 "?2J");
    assert_shown("cut \xe2\x82", "cut ??");
    assert_shown("\xc3(", "?(");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_text_stays),
        cmocka_unit_test(line_breaks_and_tabs_become_blanks),
        cmocka_unit_test(terminal_escapes_become_question_marks),
        cmocka_unit_test(bytes_that_are_no_utf8_become_question_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
