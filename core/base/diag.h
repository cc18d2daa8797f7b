/**
 * diag.h: where and why something failed, for a person to read.
 *
 * A `struct diag` is filled once, where the fault is found, and carried up
 * untouched; only cli/ prints it. Every setter accepts `diag == NULL` (the
 * caller does not want the story) and returns its `err` argument, so that
 *     return diag_at_byte(diag, ERR_FORMAT, path, offset, "…");
 * is the whole error path.
 */
#ifndef MMREPLAY_CORE_BASE_DIAG_H
#define MMREPLAY_CORE_BASE_DIAG_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

enum diag_place {
    DIAG_NOWHERE, /**< no place inside the file (or no file) */
    DIAG_LINE,    /**< a text file: line and, when known (non-zero), column, both from 1 */
    DIAG_BYTE     /**< a binary file: byte offset from 0 */
};

struct diag {
    enum err err;
    enum diag_place place;
    uint64_t line;
    uint64_t column;
    uint64_t byte;
    char path[1024]; /**< empty when no file is concerned */
    char text[1024]; /**< lower-case, no newline, with the way out where there is one */
};

/** A fault without a place in a file. `path` may be NULL. */
enum err diag_set(struct diag *diag, enum err err, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** A fault at a line (and column, 0 = unknown) of a text file. */
enum err diag_at_line(struct diag *diag, enum err err, const char *path, uint64_t line, uint64_t column,
                      const char *format, ...) __attribute__((format(printf, 6, 7)));

/** A fault at a byte offset of a binary file. */
enum err diag_at_byte(struct diag *diag, enum err err, const char *path, uint64_t byte, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/** A failed system call: like diag_set with ": " and strerror(errno) behind the text, where errno is not 0; keeps
 * errno. */
enum err diag_errno(struct diag *diag, enum err err, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/**
 * One line without newline or program name: `path:line:column: text`,
 * `path: byte N: text`, `path: text` or `text`.
 * @return as snprintf.
 */
int diag_format(const struct diag *diag, char *buffer, size_t buffer_bytes);

#endif
