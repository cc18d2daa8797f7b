/**
 * format_table.h: what a format must be able to do to be in the registry. Not for use outside of formats/.
 */
#ifndef MMREPLAY_FORMATS_FORMAT_TABLE_H
#define MMREPLAY_FORMATS_FORMAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/diag.h"
#include "traces/stream.h"
#include "traces/trace.h"

enum { FORMAT_HEAD_BYTES = 4096 };

struct format {
    const char *name;        /**< as --from and --to spell it */
    const char *description; /**< for messages: "a description (NAME.yaml)" */

    /** True when a file that begins with `head` (up to FORMAT_HEAD_BYTES, not terminated) is of this format. */
    bool (*recognise)(const char *head, size_t bytes);

    /** Opens `path`. *state is owned by the reader, which gives it back to close(). */
    enum err (*open)(const char *path, void **state, struct diag *diag);
    const struct trace_info *(*info)(const void *state);
    enum err (*events)(void *state, struct event_source *out, struct diag *diag);
    /** The same with times where the file has them; NULL: the format has none. */
    enum err (*timed_events)(void *state, struct event_source *out, struct diag *diag);
    void (*close)(void *state);
};

#endif
