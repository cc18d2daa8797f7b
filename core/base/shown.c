#include "core/base/shown.h"

#include <string.h>

#include "core/base/utf8.h"

char *text_make_shown(char *text) {
    for (char *at = text; *at;) {
        uint32_t point = 0;
        size_t length = utf8_decode(at, &point);
        if (*at == '\n' || *at == '\r' || *at == '\t')
            *at = ' ';
        else if (!length || !utf8_is_printable(point))
            memset(at, '?', length ? length : 1);
        at += length ? length : 1;
    }
    return text;
}
