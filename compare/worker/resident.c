#include "compare/worker/resident.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool resident_field(const char *text, const char *name, uint64_t *out_bytes) {
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0)
            continue;
        const char *p = line + length + strspn(line + length, " \t");
        uint64_t kib = 0;
        if (*p < '0' || *p > '9')
            return false;
        for (; *p >= '0' && *p <= '9'; p++)
            kib = kib * 10 + (uint64_t)(*p - '0');
        *out_bytes = kib * 1024;
        return true;
    }
    return false;
}

static bool text_read(const char *path, char *buffer, size_t buffer_bytes) {
    size_t used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        ssize_t got = read(fd, buffer + used, buffer_bytes - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    close(fd);
    buffer[used] = '\0';
    return used > 0;
}

bool resident_read(struct resident *out) {
    static char text[4096];
    struct resident resident = {0};
    if (!text_read("/proc/self/smaps_rollup", text, sizeof text) ||
        !resident_field(text, "Anonymous:", &resident.anonymous_bytes))
        return false;
    resident_field(text, "LazyFree:", &resident.lazy_free_bytes);
    *out = resident;
    return true;
}
