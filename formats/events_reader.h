/**
 * events_reader.h: NAME.events.gz back to events, in one pass that also checks everything there is to check.
 *
 * Memory: below 1 MiB where members unpack to 512 KiB (nearly all of this project's writer); about 4.3 MiB for the
 * largest members that the format allows, as a hostile file has them. To that comes the decoder's state per thread
 * (events_decoder.h; its tables double, so up to twice the figures there). Never O(trace).
 */
#ifndef MMREPLAY_FORMATS_EVENTS_READER_H
#define MMREPLAY_FORMATS_EVENTS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/stream.h"

struct events_reader;

/** What the description says of the file; a reader without it checks the file against itself only. */
struct events_expected {
    const char *sha256; /**< 64 lower-case hex digits; borrowed; NULL: not checked */
    uint64_t event_count;
};

/**
 * Opens `path` and looks at its first member.
 * @param expected NULL: nothing is known.
 * @return ERR_NOT_FOUND, ERR_IO, ERR_TRUNCATED (empty), ERR_FORMAT, ERR_VERSION, ERR_NOMEM.
 */
enum err events_reader_open(const char *path, const struct events_expected *expected, struct events_reader **out,
                            struct diag *diag);
void events_reader_close(struct events_reader *reader);

/** Goes back to the first event. */
enum err events_reader_rewind(struct events_reader *reader, struct diag *diag);

/**
 * From the next rewind or seek on, blocks have times when the file has them. At first they have none, and the times in
 * the file are not looked at.
 */
void events_reader_want_times(struct events_reader *reader, bool wanted);

/**
 * The next run of events, as struct event_source's next.
 *
 * Events come from members that are whole and match their own checksums; whether the file as a whole does is known at
 * its end. The end (count 0) is reported when the whole file has been read and agreed with its checksums, its own
 * counts and what was expected. After a failure the same failure is returned again. A damaged or cut file's story names
 * the byte and how many whole members and events before it can be salvaged.
 */
enum err events_reader_next(struct events_reader *reader, struct event_block *block, struct diag *diag);

/**
 * From now on the events end, without an error, behind the first `member_count` members; checksum and counts of the
 * file as a whole are not looked at.
 */
void events_reader_limit(struct events_reader *reader, uint64_t member_count);

/** Whole, verified members so far and the events in them. */
struct events_progress {
    uint64_t member_count;
    uint64_t event_count;
    uint64_t bytes; /**< of the file that they take */
};
struct events_progress events_reader_progress(const struct events_reader *reader);

/**
 * Goes to the events member that starts at `byte` and holds event `first_event` first (events_index.h). From there on
 * reading checks members, not the file as a whole.
 */
enum err events_reader_seek(struct events_reader *reader, uint64_t byte, uint64_t first_event, struct diag *diag);

#endif
