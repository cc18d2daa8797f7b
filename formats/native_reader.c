#include "formats/native_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/description.h"
#include "formats/events_reader.h"

struct native_reader {
    struct trace_info info;
    struct events_reader *events;
};

char *native_events_path(const char *beside, const char *file) {
    const char *slash = strrchr(beside, '/');
    size_t folder_bytes = slash ? (size_t)(slash + 1 - beside) : 0;
    size_t file_bytes = strlen(file) + 1;
    char *path = malloc(folder_bytes + file_bytes);
    if (path) {
        memcpy(path, beside, folder_bytes);
        memcpy(path + folder_bytes, file, file_bytes);
    }
    return path;
}

static void native_close(void *state) {
    struct native_reader *reader = state;
    if (!reader)
        return;
    events_reader_close(reader->events);
    trace_info_clear(&reader->info);
    free(reader);
}

static enum err native_fill(struct native_reader *reader, const char *path, struct diag *diag) {
    enum err err = description_load(path, &reader->info, diag);
    if (err)
        return err;
    char *events_path = native_events_path(path, reader->info.events_file);
    if (!events_path)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    struct events_expected expected = {.sha256 = reader->info.events_sha256,
                                       .event_count = reader->info.summary.event_count};
    err = events_reader_open(events_path, &expected, &reader->events, diag);
    free(events_path);
    return err;
}

static enum err native_open(const char *path, void **state, struct diag *diag) {
    struct native_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    enum err err = native_fill(reader, path, diag);
    if (err)
        native_close(reader);
    else
        *state = reader;
    return err;
}

static const struct trace_info *native_info(const void *state) {
    return &((const struct native_reader *)state)->info;
}

static enum err native_next(void *ctx, struct event_block *block, struct diag *diag) {
    return events_reader_next(ctx, block, diag);
}

static enum err events_give(struct native_reader *reader, bool is_timed, struct event_source *out, struct diag *diag) {
    events_reader_want_times(reader->events, is_timed);
    enum err err = events_reader_rewind(reader->events, diag);
    if (!err)
        *out = (struct event_source){.ctx = reader->events, .next = native_next};
    return err;
}

static enum err native_events(void *state, struct event_source *out, struct diag *diag) {
    return events_give(state, false, out, diag);
}

static enum err native_timed_events(void *state, struct event_source *out, struct diag *diag) {
    return events_give(state, true, out, diag);
}

const struct format native_format = {
    .name = "native",
    .description = "mmreplay's own NAME.yaml with its NAME.events.gz",
    .recognise = description_recognise,
    .open = native_open,
    .info = native_info,
    .events = native_events,
    .timed_events = native_timed_events,
    .close = native_close,
};
