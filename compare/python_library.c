#include "compare/python_library.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compare/library_find.h"

enum { MINOR_MIN = 7, MINOR_MAX = MINOR_MIN + PYTHON_LIBRARY_MAX - 1 };

/* Up to 3.7 the name carried an ABI flag. */
static bool minor_find(unsigned minor, char path[WORKER_PATH_BYTES]) {
    char soname[40];
    snprintf(soname, sizeof soname, "libpython3.%u%s.so.1.0", minor, minor <= 7 ? "m" : "");
    return library_find(soname, getenv(PYTHON_LIBRARY_VARIABLE), path);
}

size_t python_library_list(struct python_library out[PYTHON_LIBRARY_MAX]) {
    size_t count = 0;
    for (unsigned minor = MINOR_MIN; minor <= MINOR_MAX; minor++)
        if (minor_find(minor, out[count].path))
            snprintf(out[count++].version, sizeof out->version, "3.%u", minor);
    return count;
}

static enum err newest_resolve(struct allocator *allocator, struct diag *diag) {
    for (unsigned minor = MINOR_MAX; minor >= MINOR_MIN; minor--)
        if (minor_find(minor, allocator->python))
            return ERR_OK;
    return diag_set(diag, ERR_NOT_FOUND, NULL,
                    "cpython: no libpython is installed; on Debian and Ubuntu: apt-get install libpython3.11, or "
                    "set " PYTHON_LIBRARY_VARIABLE ", or give cpython:/path/libpython3.11.so.1.0");
}

static enum err version_resolve(const char *version, struct allocator *allocator, struct diag *diag) {
    unsigned minor = 0;
    int used = 0;
    if (sscanf(version, "3.%2u%n", &minor, &used) != 1 || minor > MINOR_MAX)
        return diag_set(diag, ERR_USAGE, NULL,
                        "cpython:%s: give a version such as cpython:3.11, or the path of a libpython", version);
    if (strcmp(version + used, "t") == 0)
        return diag_set(diag, ERR_UNSUPPORTED, NULL,
                        "cpython:%s: free-threaded builds have mimalloc instead of pymalloc", version);
    if (version[used])
        return diag_set(
            diag, ERR_USAGE, NULL,
            "cpython:%s: a version is given as 3.%u; for one of several builds give the path of its libpython", version,
            minor);
    if (minor < MINOR_MIN)
        return diag_set(diag, ERR_UNSUPPORTED, NULL, "cpython:%s: 3.%d is the oldest whose allocator is known here",
                        version, MINOR_MIN);
    if (minor_find(minor, allocator->python))
        return ERR_OK;
    return diag_set(diag, ERR_NOT_FOUND, NULL,
                    "cpython:%s: libpython%s%s.so.1.0 is not installed; on Debian and Ubuntu: apt-get install "
                    "libpython%s, or set " PYTHON_LIBRARY_VARIABLE ", or give cpython:/path/libpython%s.so.1.0",
                    version, version, minor <= 7 ? "m" : "", version, version);
}

static enum err path_resolve(const char *path, struct allocator *allocator, struct diag *diag) {
    struct stat stat_buffer;
    char absolute[PATH_MAX];
    if (!realpath(path, absolute) || stat(absolute, &stat_buffer))
        return diag_errno(diag, ERR_NOT_FOUND, path, "cannot open the libpython");
    if (!S_ISREG(stat_buffer.st_mode))
        return diag_set(diag, ERR_NOT_FOUND, path, "not a file, let alone a libpython");
    int length = snprintf(allocator->python, sizeof allocator->python, "%s", absolute);
    if (length < 0 || (size_t)length >= sizeof allocator->python)
        return diag_set(diag, ERR_LIMIT, path, "the path is too long");
    return ERR_OK;
}

enum err python_library_resolve(const char *text, struct allocator *allocator, struct diag *diag) {
    static const char aligned[] = "+aligned";
    char what[WORKER_PATH_BYTES];
    size_t length = strlen(text);
    size_t suffix = sizeof aligned - 1;
    allocator->backend = WORKER_CPYTHON;
    allocator->arenas_aligned = length >= suffix && strcmp(text + length - suffix, aligned) == 0;
    length -= allocator->arenas_aligned ? suffix : 0;
    if (length >= sizeof what)
        return diag_set(diag, ERR_LIMIT, NULL, "the path of the libpython is too long");
    memcpy(what, text, length);
    what[length] = '\0';
    if (!length)
        return newest_resolve(allocator, diag);
    return strchr(what, '/') ? path_resolve(what + 1, allocator, diag) : version_resolve(what + 1, allocator, diag);
}
