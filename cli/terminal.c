#include "cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/units.h"

enum { WIDTH_DEFAULT = 120, WIDTH_MIN = 60 };

size_t terminal_width(void) {
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    uint64_t width = WIDTH_DEFAULT;
    if ((!columns || units_parse_u64(columns, &width) || !width) && isatty(STDOUT_FILENO) &&
        !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        width = size.ws_col;
    return !width ? WIDTH_DEFAULT : width < WIDTH_MIN ? WIDTH_MIN : (size_t)width;
}

/* Of the environment's locale; the process's own stays "C". */
static bool locale_is_utf8(void) {
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (!locale)
        return false;
    bool is_utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return is_utf8;
}

bool terminal_draws(void) {
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && locale_is_utf8();
}
