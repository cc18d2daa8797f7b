#include "core/base/diag.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void diag_fill(struct diag *diag, enum err err, const char *path,
                                                            const char *format, va_list arguments) {
    diag->err = err;
    diag->place = DIAG_NOWHERE;
    diag->line = diag->column = diag->byte = 0;
    snprintf(diag->path, sizeof diag->path, "%s", path ? path : "");
    vsnprintf(diag->text, sizeof diag->text, format, arguments);
}

enum err diag_set(struct diag *diag, enum err err, const char *path, const char *format, ...) {
    if (diag) {
        va_list arguments;
        va_start(arguments, format);
        diag_fill(diag, err, path, format, arguments);
        va_end(arguments);
    }
    return err;
}

enum err diag_at_line(struct diag *diag, enum err err, const char *path, uint64_t line, uint64_t column,
                      const char *format, ...) {
    if (diag) {
        va_list arguments;
        va_start(arguments, format);
        diag_fill(diag, err, path, format, arguments);
        va_end(arguments);
        diag->place = DIAG_LINE;
        diag->line = line;
        diag->column = column;
    }
    return err;
}

enum err diag_at_byte(struct diag *diag, enum err err, const char *path, uint64_t byte, const char *format, ...) {
    if (diag) {
        va_list arguments;
        va_start(arguments, format);
        diag_fill(diag, err, path, format, arguments);
        va_end(arguments);
        diag->place = DIAG_BYTE;
        diag->byte = byte;
    }
    return err;
}

enum err diag_errno(struct diag *diag, enum err err, const char *path, const char *format, ...) {
    int saved = errno;
    if (diag) {
        va_list arguments;
        va_start(arguments, format);
        diag_fill(diag, err, path, format, arguments);
        va_end(arguments);
        size_t used = strlen(diag->text);
        if (saved) /* else the reason is not known any more */
            snprintf(diag->text + used, sizeof diag->text - used, ": %s", strerror(saved));
    }
    errno = saved;
    return err;
}

int diag_format(const struct diag *diag, char *buffer, size_t buffer_bytes) {
    if (!diag->path[0])
        return snprintf(buffer, buffer_bytes, "%s", diag->text);
    switch (diag->place) {
    case DIAG_LINE:
        if (diag->column)
            return snprintf(buffer, buffer_bytes, "%s:%" PRIu64 ":%" PRIu64 ": %s", diag->path, diag->line,
                            diag->column, diag->text);
        return snprintf(buffer, buffer_bytes, "%s:%" PRIu64 ": %s", diag->path, diag->line, diag->text);
    case DIAG_BYTE:
        return snprintf(buffer, buffer_bytes, "%s: byte %" PRIu64 ": %s", diag->path, diag->byte, diag->text);
    case DIAG_NOWHERE:
        break;
    }
    return snprintf(buffer, buffer_bytes, "%s: %s", diag->path, diag->text);
}
