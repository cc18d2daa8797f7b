#include "cli/paths.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum err libexec_path(const char *name, char *buffer, size_t buffer_bytes, struct diag *diag) {
    char executable[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    if (length < 0)
        return diag_errno(diag, ERR_IO, "/proc/self/exe", "cannot read the path of the executable");
    executable[length] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(executable, '/');
        if (slash)
            *slash = '\0';
    }
    char path[PATH_MAX + 64];
    int needed = snprintf(path, sizeof path, "%s/libexec/mmreplay/%s", executable, name);
    if (needed < 0 || (size_t)needed >= buffer_bytes)
        return diag_set(diag, ERR_LIMIT, executable, "the path of the executable is too long");
    if (access(path, R_OK))
        return diag_errno(diag, ERR_NOT_FOUND, path, "a part of mmreplay is missing; build or install it again");
    memcpy(buffer, path, (size_t)needed + 1);
    return ERR_OK;
}
