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

enum err regular_file_read(const char *path, char *to, size_t room, size_t *bytes, struct diag *diag) {
    int fd = -1;
    size_t used = 0;
    enum err err = regular_file_open(path, "cannot open", &fd, diag);
    if (err)
        return err;
    for (;;) {
        ssize_t got = read(fd, to + used, room - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err = diag_errno(diag, ERR_IO, path, "cannot read");
            close(fd);
            return err;
        }
        used += (size_t)got;
        if (got == 0 || used == room)
            break;
    }
    close(fd);
    *bytes = used;
    return ERR_OK;
}
