/**
 * format.h: open any trace file; its format is recognised by content.
 */
#ifndef MMREPLAY_FORMATS_FORMAT_H
#define MMREPLAY_FORMATS_FORMAT_H

#include "core/base/diag.h"
#include "traces/stream.h"
#include "traces/trace.h"

struct trace_reader;

/**
 * Opens `path` (a native NAME.yaml, or any foreign file the registry knows).
 * @return ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_VERSION, ERR_CHECKSUM, ERR_NOMEM, …; diag names file and place.
 */
enum err trace_reader_open(const char *path, struct trace_reader **out, struct diag *diag);

/** What the file says of itself; borrowed. A foreign file's summary is zero until it was read through. */
const struct trace_info *trace_reader_info(const struct trace_reader *reader);

/** The events from the start, without their times; borrowed, one at a time per reader. */
enum err trace_reader_events(struct trace_reader *reader, struct event_source *out, struct diag *diag);

/**
 * As trace_reader_events, and every block has its times_ns when the trace has times (all of NULL when it has none).
 * Cost: 1 to 5 ns per event more; nothing for a trace without times.
 */
enum err trace_reader_timed_events(struct trace_reader *reader, struct event_source *out, struct diag *diag);

void trace_reader_close(struct trace_reader *reader);

#endif
