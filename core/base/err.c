#include "core/base/err.h"

static const char *const texts[] = {
    [ERR_OK] = "ok",
    [ERR_NOMEM] = "out of memory",
    [ERR_IO] = "input/output error",
    [ERR_NOT_FOUND] = "not found",
    [ERR_FORMAT] = "malformed input",
    [ERR_VERSION] = "unknown version",
    [ERR_CHECKSUM] = "checksum mismatch",
    [ERR_TRUNCATED] = "input ends too early",
    [ERR_INVALID] = "invalid trace",
    [ERR_LIMIT] = "limit exceeded",
    [ERR_UNSUPPORTED] = "not supported here",
    [ERR_USAGE] = "usage error",
    [ERR_CHILD] = "child process failed",
    [ERR_INTERRUPTED] = "interrupted",
};
_Static_assert(sizeof texts / sizeof texts[0] == ERR_COUNT, "one text per error code");

const char *err_text(enum err err) {
    return (unsigned)err < ERR_COUNT ? texts[err] : "unknown error";
}
