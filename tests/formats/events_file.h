/**
 * events_file.h: events files in memory, for tests that damage them.
 */
#ifndef MMREPLAY_TESTS_FORMATS_EVENTS_FILE_H
#define MMREPLAY_TESTS_FORMATS_EVENTS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "formats/sha256.h"
#include "traces/event.h"

struct events_file {
    uint8_t *bytes; /**< owned */
    size_t count;
    char sha256[SHA256_TEXT_BYTES];
};

/** Writes `count` events, a member ending after every `per_member` ones (0: where the writer likes). Fails the test. */
struct events_file events_file_make(const struct event *events, size_t count, size_t per_member);
/** The same with times; NULL: without. */
struct events_file events_file_make_timed(const struct event *events, const uint64_t *times_ns, size_t count,
                                          size_t per_member);
/** The same of a writer that is behind all the time. */
struct events_file events_file_make_late(const struct event *events, size_t count, size_t per_member);
void events_file_clear(struct events_file *file);

/** A path to a memory file that holds these bytes; stays valid until the next call. */
const char *events_file_path(const void *bytes, size_t count);

/**
 * Reads the file at `path` to its end. When the reader finds no fault, differing events fail the test.
 * @return what the reader said; *seen events came.
 */
enum err events_file_read(const char *path, const char *sha256, const struct event *events, size_t count, size_t *seen,
                          struct diag *diag);

#endif
