/**
 * events_writer.h: NAME.events.gz: encoded members, compressed, with their index (NATIVE.md).
 *
 * A full disk does not cost what is written already: before each member, room is reserved (fallocate) for it and for
 * index and end behind it; where the file system cannot reserve, a member that did not fit is cut off again.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_WRITER_H
#define MMREPLAY_FORMATS_EVENTS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "formats/sha256.h"
#include "traces/event.h"

struct events_writer;

enum { EVENTS_LEVEL_DEFAULT = 6 }; /* level 9 saves 1 … 2 % and takes several times longer */

/**
 * @param fd borrowed, open for writing at its start. @param path what diagnostics call it; borrowed.
 * @param level 1 … 9, 0 = the default.
 */
enum err events_writer_create(int fd, const char *path, int level, struct events_writer **out, struct diag *diag);
void events_writer_destroy(struct events_writer *writer);

/**
 * The next events of a valid trace.
 * @param times_ns as in struct event_block; NULL: the trace has none. With every run of a trace or with none.
 * @return ERR_OK, ERR_NOMEM, ERR_IO (disk full, …), ERR_LIMIT; ERR_USAGE: some with times, some without.
 */
enum err events_writer_put(struct events_writer *writer, const struct event *events, const uint64_t *times_ns,
                           size_t count, struct diag *diag);

/** While `is_late`, members are compressed quickly rather than well: zlib's level 1, or Huffman codes alone. */
void events_writer_press(struct events_writer *writer, bool is_late);

/**
 * Ends the member under way, however small, and writes it: from here on a cut file can be salvaged up to this event.
 */
enum err events_writer_flush(struct events_writer *writer, struct diag *diag);

/** Events in the members written so far; all of them stand in the file, whatever fails later. */
uint64_t events_writer_count(const struct events_writer *writer);

/**
 * After a put or flush that failed: index and end go behind the members that stand, whose room was kept for them. What
 * was put after those members is not in the file. As events_writer_finish otherwise. When it fails, it can be tried
 * again.
 */
enum err events_writer_finish_short(struct events_writer *writer, char sha256[SHA256_TEXT_BYTES], uint64_t *bytes,
                                    struct diag *diag);

/** Writes what is left, the index and the end. @param sha256, bytes of the whole file. */
enum err events_writer_finish(struct events_writer *writer, char sha256[SHA256_TEXT_BYTES], uint64_t *bytes,
                              struct diag *diag);

#endif
