#include "formats/regular_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_text(mode_t mode) {
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe";
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

enum err regular_file_open(const char *path, const char *failure, int *out, struct diag *diag) {
    struct stat status;
    if (!*path)
        return diag_set(diag, ERR_NOT_FOUND, NULL, "%s: its name is empty ('')", failure);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return diag_errno(diag, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, "%s", failure);
    enum err err = ERR_OK;
    if (fstat(fd, &status))
        err = diag_errno(diag, ERR_IO, path, "%s", failure);
    else if (!S_ISREG(status.st_mode))
        err = diag_set(diag, ERR_IO, path, "%s: this is %s; a trace is read more than once and must be a regular file",
                       failure, kind_text(status.st_mode));
    if (err)
        close(fd);
    else
        *out = fd;
    return err;
}
