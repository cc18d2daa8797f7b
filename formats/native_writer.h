/**
 * native_writer.h: write NAME.yaml + NAME.events.gz.
 *
 * Both are written beside their final names and renamed at the end, the events first: an interrupted run leaves no
 * half-written trace under the final name.
 */
#ifndef MMREPLAY_FORMATS_NATIVE_WRITER_H
#define MMREPLAY_FORMATS_NATIVE_WRITER_H

#include "core/base/diag.h"
#include "traces/stream.h"
#include "traces/trace.h"

struct native_writer;

struct native_writer_options {
    int level; /**< zlib level 1 … 9; 0 = the default */
};

/**
 * @param yaml_path must end in ".yaml"; where it or its events file exists already, it must be a trace, or empty
 * (trace_target.h): nothing else is ever replaced.
 * @param options NULL = defaults.
 * @return ERR_OK and *out owned by the caller; ERR_USAGE (name, level, something else lies there), ERR_IO, ERR_NOMEM.
 */
enum err native_writer_create(const char *yaml_path, const struct native_writer_options *options,
                              struct native_writer **out, struct diag *diag);

/** Where the events go; borrowed. */
struct event_sink native_writer_sink(struct native_writer *writer);

/**
 * Finishes the events file, writes the description and renames both into place.
 * @param info name, program, capture, provenance as given (name NULL: from the path); its events_* and summary fields
 *        are the writer's own and are ignored.
 */
enum err native_writer_finish(struct native_writer *writer, const struct trace_info *info, struct diag *diag);

/** Ends the writer; without a successful finish everything written is removed. NULL is fine. */
void native_writer_destroy(struct native_writer *writer);

#endif
