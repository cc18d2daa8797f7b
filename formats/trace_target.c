#include "formats/trace_target.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/events_layout.h"
#include "formats/regular_file.h"
#include "formats/tree_index.h"

enum { HEAD_BYTES = 4096 };

/* The first line that is neither blank nor a comment nor the mark of a document begins with the key. */
static bool head_is_description(const char *head, size_t bytes) {
    static const char key[] = "mmreplay:", index_key[] = TREE_INDEX_KEY ":";
    const char *end = head + bytes;
    while (head < end) {
        const char *newline = memchr(head, '\n', (size_t)(end - head));
        size_t length = (size_t)((newline ? newline : end) - head);
        bool passes = !length || *head == '#' || *head == '\r' || (length >= 3 && memcmp(head, "---", 3) == 0);
        if (!passes)
            return (length >= sizeof key - 1 && memcmp(head, key, sizeof key - 1) == 0) ||
                   (length >= sizeof index_key - 1 && memcmp(head, index_key, sizeof index_key - 1) == 0);
        head += length + (newline != NULL);
    }
    return false;
}

static bool head_is_events(const char *head, size_t bytes) {
    return member_start_is((const uint8_t *)head, bytes);
}

static enum err head_load(const char *path, char head[HEAD_BYTES], size_t *bytes, struct diag *diag) {
    int fd = -1;
    ssize_t got;
    enum err err = regular_file_open(path, "cannot look at the file that would be replaced", &fd, diag);
    if (err)
        return err;
    do
        got = read(fd, head, HEAD_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        err = diag_errno(diag, ERR_IO, path, "cannot read the file that would be replaced");
    else
        *bytes = (size_t)got;
    close(fd);
    return err;
}

static enum err target_check(const char *path, bool (*is_ours)(const char *head, size_t bytes), const char *what,
                             struct diag *diag) {
    struct stat status;
    char head[HEAD_BYTES];
    size_t bytes = 0;
    if (stat(path, &status))
        return ERR_OK; /* nothing there; a folder that cannot be written is told when the file is made */
    if (S_ISDIR(status.st_mode))
        return diag_set(diag, ERR_USAGE, path, "this is a directory; choose another name for the trace");
    if (!S_ISREG(status.st_mode))
        return diag_set(diag, ERR_USAGE, path, "this exists and is no regular file; choose another name for the trace");
    if (!status.st_size)
        return ERR_OK;
    enum err err = head_load(path, head, &bytes, diag);
    if (!err && !is_ours(head, bytes))
        err = diag_set(diag, ERR_USAGE, path,
                       "this exists and is not %s: it is not replaced; remove it, or choose another name for the trace",
                       what);
    return err;
}

enum err trace_target_check(const char *yaml_path, const char *events_path, struct diag *diag) {
    enum err err = target_check(yaml_path, head_is_description, "the description of a trace", diag);
    return err || !events_path ? err : target_check(events_path, head_is_events, "the events file of a trace", diag);
}
