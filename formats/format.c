#include "formats/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/format_table.h"
#include "formats/native_reader.h"
#include "formats/regular_file.h"
#include "formats/tree_index.h"

static const struct format *const formats[] = {&native_format};
enum { FORMATS = sizeof formats / sizeof formats[0] };

struct trace_reader {
    const struct format *format;
    void *state;
};

static enum err head_read(const char *path, char head[FORMAT_HEAD_BYTES], size_t *bytes, struct diag *diag) {
    int fd = -1;
    ssize_t got;
    enum err err = regular_file_open(path, "cannot open", &fd, diag);
    if (err)
        return err;
    do
        got = read(fd, head, FORMAT_HEAD_BYTES);
    while (got < 0 && errno == EINTR);
    err = got < 0 ? diag_errno(diag, ERR_IO, path, "cannot read") : ERR_OK;
    close(fd);
    if (!err && !got)
        err = diag_set(diag, ERR_TRUNCATED, path, "the file is empty");
    if (!err)
        *bytes = (size_t)got;
    return err;
}

/* Not a trace, but the list of some. */
static enum err index_told(const char *path, struct diag *diag) {
    struct trace_tree tree;
    enum { NAMED_MAX = 3 };
    char named[512] = "";
    size_t count = 0;
    enum err err = tree_index_load(path, &tree, diag);
    if (err)
        return err;
    for (size_t i = 0; i < tree.process_count; i++) {
        size_t used = strlen(named);
        if (!tree.processes[i].file)
            continue;
        if (count++ < NAMED_MAX)
            snprintf(named + used, sizeof named - used, "%s%s", used ? ", " : "", tree.processes[i].file);
    }
    trace_tree_clear(&tree);
    return diag_set(diag, ERR_FORMAT, path,
                    "this lists the %zu trace%s of a process tree; give one of them: %s%s (info shows the list)", count,
                    count == 1 ? "" : "s", named, count > NAMED_MAX ? ", …" : "");
}

/* An unrecognised file: what could have been given; a native trace's events file is a likely mistake. */
static enum err format_unknown(const char *path, const char *head, size_t bytes, struct diag *diag) {
    static const char events_mark[] = {0x1f, (char)0x8b, 8, 4};
    char known[256] = "";
    if (tree_index_recognise(head, bytes))
        return index_told(path, diag);
    if (bytes > 14 && memcmp(head, events_mark, sizeof events_mark) == 0 && head[12] == 'M' && head[13] == 'R')
        return diag_set(diag, ERR_FORMAT, path, "this is the events file of a trace; give the NAME.yaml beside it");
    for (size_t i = 0; i < FORMATS; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s (%s)", i ? ", " : "", formats[i]->name,
                 formats[i]->description);
    }
    return diag_set(diag, ERR_FORMAT, path, "not a trace of a known format; known: %s", known);
}

enum err trace_reader_open(const char *path, struct trace_reader **out, struct diag *diag) {
    char head[FORMAT_HEAD_BYTES];
    size_t bytes = 0, i = 0;
    enum err err = head_read(path, head, &bytes, diag);
    if (err)
        return err;
    while (i < FORMATS && !formats[i]->recognise(head, bytes))
        i++;
    if (i == FORMATS)
        return format_unknown(path, head, bytes, diag);
    struct trace_reader *reader = malloc(sizeof *reader);
    if (!reader)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    *reader = (struct trace_reader){.format = formats[i]};
    err = reader->format->open(path, &reader->state, diag);
    if (err)
        free(reader);
    else
        *out = reader;
    return err;
}

const struct trace_info *trace_reader_info(const struct trace_reader *reader) {
    return reader->format->info(reader->state);
}

enum err trace_reader_events(struct trace_reader *reader, struct event_source *out, struct diag *diag) {
    return reader->format->events(reader->state, out, diag);
}

enum err trace_reader_timed_events(struct trace_reader *reader, struct event_source *out, struct diag *diag) {
    const struct format *format = reader->format;
    return (format->timed_events ? format->timed_events : format->events)(reader->state, out, diag);
}

void trace_reader_close(struct trace_reader *reader) {
    if (!reader)
        return;
    reader->format->close(reader->state);
    free(reader);
}
