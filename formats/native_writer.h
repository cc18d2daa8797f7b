/**
 * native_writer.h: write NAME.yaml + NAME.events.gz.
 *
 * Both are written beside their final names and renamed at the end, the events first: an interrupted run leaves no
 * half-written trace under the final name, and neither does a rename that fails.
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

/**
 * Says already what is known of the trace: from here on the description under way is one that `check --repair` can use,
 * should the process die before it finishes. It names the events file under way, and counts nothing.
 * May be called again when there is more to say, from another thread than the sink's, too.
 * @param info as for native_writer_finish. @return ERR_IO, ERR_NOMEM; the writer goes on in any case.
 */
enum err native_writer_announce(struct native_writer *writer, const struct trace_info *info, struct diag *diag);

/** Where the events go; borrowed. Its flush makes what was put so far last. */
struct event_sink native_writer_sink(struct native_writer *writer);

/**
 * Finishes the events file, writes the description and renames both into place, unless something that is no trace has
 * come to lie there meanwhile.
 * @param info name, program, capture, provenance as given (name NULL: from the path); its events_* and summary fields
 *        are the writer's own and are ignored.
 */
enum err native_writer_finish(struct native_writer *writer, const struct trace_info *info, struct diag *diag);

/**
 * As native_writer_finish after a put, flush or finish that failed, too: then what could be written of the events,
 * whole members from the start on, becomes the trace, and is counted anew (it is read once for that); what is missing
 * of what was put is added to capture_lost_count.
 * @param event_count how many events that are.
 * @return as native_writer_finish; ERR_TRUNCATED: not one member was written. When it fails, the files under way stay
 * as they are, for `check --repair`; native_writer_draft_path names one.
 */
enum err native_writer_salvage(struct native_writer *writer, const struct trace_info *info, uint64_t *event_count,
                               struct diag *diag);

/**
 * What `check --repair` can be given after a native_writer_salvage that failed: the description under way, or the
 * events where that could not be written; NULL: nothing is left. Borrowed.
 */
const char *native_writer_draft_path(const struct native_writer *writer);

/** Ends the writer; without a successful finish everything written is removed, unless a salvage
 * has been tried. NULL is fine. */
void native_writer_destroy(struct native_writer *writer);

#endif
