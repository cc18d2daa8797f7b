#include "tests/formats/events_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/events_reader.h"
#include "formats/events_writer.h"

static int memory_fd = -1;

static int memory_renew(void) {
    if (memory_fd < 0)
        memory_fd = memfd_create("events", MFD_CLOEXEC);
    assert_true(memory_fd >= 0);
    assert_int_equal(ftruncate(memory_fd, 0), 0);
    assert_int_equal(lseek(memory_fd, 0, SEEK_SET), 0);
    return memory_fd;
}

static struct events_file file_make(const struct event *events, const uint64_t *times_ns, size_t count,
                                    size_t per_member, bool is_late) {
    struct events_file file = {.bytes = NULL};
    struct events_writer *writer;
    uint64_t bytes;
    int fd = memory_renew();
    assert_int_equal(events_writer_create(fd, "memory", 0, &writer, NULL), ERR_OK);
    events_writer_press(writer, is_late);
    for (size_t at = 0; at < count;) {
        size_t run = per_member && per_member < count - at ? per_member : count - at;
        assert_int_equal(events_writer_put(writer, events + at, times_ns ? times_ns + at : NULL, run, NULL), ERR_OK);
        if (per_member)
            assert_int_equal(events_writer_flush(writer, NULL), ERR_OK);
        at += run;
    }
    assert_int_equal(events_writer_finish(writer, file.sha256, &bytes, NULL), ERR_OK);
    events_writer_destroy(writer);
    file.count = bytes;
    file.bytes = malloc(bytes);
    assert_non_null(file.bytes);
    assert_int_equal(pread(fd, file.bytes, bytes, 0), (ssize_t)bytes);
    return file;
}

struct events_file events_file_make(const struct event *events, size_t count, size_t per_member) {
    return file_make(events, NULL, count, per_member, false);
}

struct events_file events_file_make_timed(const struct event *events, const uint64_t *times_ns, size_t count,
                                          size_t per_member) {
    return file_make(events, times_ns, count, per_member, false);
}

struct events_file events_file_make_late(const struct event *events, size_t count, size_t per_member) {
    return file_make(events, NULL, count, per_member, true);
}

void events_file_clear(struct events_file *file) {
    free(file->bytes);
    file->bytes = NULL;
}

const char *events_file_path(const void *bytes, size_t count) {
    static char path[64];
    int fd = memory_renew();
    assert_int_equal(write(fd, bytes, count), (ssize_t)count);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

enum err events_file_read(const char *path, const char *sha256, const struct event *events, size_t count, size_t *seen,
                          struct diag *diag) {
    const struct events_expected expected = {.sha256 = sha256, .event_count = count};
    struct events_reader *reader;
    struct event_block block = {.count = 1};
    bool agree = true;
    *seen = 0;
    enum err err = events_reader_open(path, sha256 ? &expected : NULL, &reader, diag);
    if (err)
        return err;
    while (!(err = events_reader_next(reader, &block, diag)) && block.count) {
        assert_int_equal(block.first_index, *seen);
        agree = agree && *seen + block.count <= count &&
                memcmp(block.events, events + *seen, block.count * sizeof *events) == 0;
        *seen += block.count;
    }
    assert_true(err || agree);
    events_reader_close(reader);
    return err;
}
