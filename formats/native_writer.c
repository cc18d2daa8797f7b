#include "formats/native_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/description.h"
#include "formats/events_reader.h"
#include "formats/events_writer.h"
#include "formats/trace_target.h"
#include "traces/tracker.h"

static const char yaml_suffix[] = ".yaml";
static const char events_suffix[] = ".events.gz";

enum {
    TEMPORARY_ATTEMPTS = 100,
    EVENTS_PER_RUN = 1024,
    YAML_ROOM_BYTES = 32 * 1024 /* kept for the description from the start, so that a full disk does not cost it */
};

/* A file on its way: written under a temporary name beside the final one. */
struct draft {
    char *path;      /* final */
    char *temporary; /* NULL: none exists */
    int fd;          /* −1: closed */
};

struct native_writer {
    struct draft events;
    struct draft yaml;
    char *name; /* of the trace, from the path */
    struct events_writer *encoder;
    struct tracker *tracker;
    char events_sha256[SHA256_TEXT_BYTES]; /* of the whole file, when it has ended; as the next */
    uint64_t events_bytes;
    bool has_ended; /* the events file has its index and end */
    bool failed;
    bool keeps_drafts; /* a salvage was tried */
    const char *left;  /* the draft to be mended, when it failed; NULL: none */
};

static enum err out_of_memory(const char *path, struct diag *diag) {
    return diag_set(diag, ERR_NOMEM, path, "out of memory while writing");
}

/* stem + suffix, owned by the caller. */
static char *text_join(const char *stem, size_t stem_bytes, const char *suffix) {
    size_t suffix_bytes = strlen(suffix) + 1;
    char *joined = malloc(stem_bytes + suffix_bytes);
    if (joined) {
        memcpy(joined, stem, stem_bytes);
        memcpy(joined + stem_bytes, suffix, suffix_bytes);
    }
    return joined;
}

/* A name that nothing has yet. */
static enum err draft_open(struct draft *draft, struct diag *diag) {
    char suffix[64];
    assert(draft->path);
    for (int attempt = 0; attempt < TEMPORARY_ATTEMPTS; attempt++) {
        snprintf(suffix, sizeof suffix, ".%ld-%d.tmp", (long)getpid(), attempt);
        char *temporary = text_join(draft->path, strlen(draft->path), suffix);
        if (!temporary)
            return out_of_memory(draft->path, diag);
        draft->fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (draft->fd >= 0) {
            draft->temporary = temporary;
            return ERR_OK;
        }
        free(temporary);
        if (errno != EEXIST)
            break;
    }
    return diag_errno(diag, ERR_IO, draft->path, "cannot create a file beside it");
}

/* Where the file system cannot reserve, nothing is. */
static enum err draft_reserve(const struct draft *draft, off_t bytes, struct diag *diag) {
    if (fallocate(draft->fd, FALLOC_FL_KEEP_SIZE, 0, bytes) && (errno == ENOSPC || errno == EDQUOT))
        return diag_errno(diag, ERR_IO, draft->path, "cannot write");
    return ERR_OK;
}

/* A file that somebody has removed meanwhile takes all that is written, and keeps nothing. */
static enum err draft_look(const struct draft *draft, struct diag *diag) {
    struct stat status;
    if (fstat(draft->fd, &status) == 0 && status.st_nlink == 0)
        return diag_set(diag, ERR_IO, draft->path, "the file under way beside it has been removed meanwhile");
    return ERR_OK;
}

/* What only close() tells of the writing, from a copy that is closed: after a failure the file can still be written. */
static enum err draft_settle(const struct draft *draft, struct diag *diag) {
    int copy = fcntl(draft->fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 && close(copy) ? diag_errno(diag, ERR_IO, draft->path, "cannot write") : ERR_OK;
}

static void draft_forget(struct draft *draft) {
    free(draft->temporary);
    draft->temporary = NULL;
}

static void draft_discard(struct draft *draft, bool keeps) {
    if (draft->fd >= 0)
        close(draft->fd);
    if (draft->temporary && !keeps)
        unlink(draft->temporary);
    free(draft->temporary);
    free(draft->path);
}

static enum err paths_set(struct native_writer *writer, const char *yaml_path, struct diag *diag) {
    size_t bytes = strlen(yaml_path), suffix_bytes = sizeof yaml_suffix - 1;
    const char *slash = strrchr(yaml_path, '/');
    const char *base = slash ? slash + 1 : yaml_path;
    if (bytes <= suffix_bytes || strcmp(yaml_path + bytes - suffix_bytes, yaml_suffix) != 0 ||
        strlen(base) == suffix_bytes)
        return diag_set(diag, ERR_USAGE, yaml_path, "the name of a trace to be written must end in .yaml");
    size_t stem_bytes = bytes - suffix_bytes;
    writer->yaml.path = strdup(yaml_path);
    writer->events.path = text_join(yaml_path, stem_bytes, events_suffix);
    writer->name = text_join(base, strlen(base) - suffix_bytes, "");
    return writer->yaml.path && writer->events.path && writer->name ? ERR_OK : out_of_memory(yaml_path, diag);
}

static enum err writer_prepare(struct native_writer *writer, const char *yaml_path, int level, struct diag *diag) {
    enum err err = paths_set(writer, yaml_path, diag);
    if (!err)
        err = trace_target_check(writer->yaml.path, writer->events.path, diag);
    if (!err)
        err = draft_open(&writer->events, diag);
    if (!err)
        err = draft_open(&writer->yaml, diag);
    if (!err)
        err = draft_reserve(&writer->yaml, YAML_ROOM_BYTES, diag);
    if (!err)
        err = events_writer_create(writer->events.fd, writer->events.path, level, &writer->encoder, diag);
    if (!err && tracker_create(&writer->tracker))
        err = out_of_memory(yaml_path, diag);
    return err;
}

enum err native_writer_create(const char *yaml_path, const struct native_writer_options *options,
                              struct native_writer **out, struct diag *diag) {
    int level = options ? options->level : 0;
    if (level < 0 || level > 9)
        return diag_set(diag, ERR_USAGE, yaml_path, "compression levels are 1 to 9, not %d", level);
    struct native_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return out_of_memory(yaml_path, diag);
    writer->events.fd = writer->yaml.fd = -1;
    enum err err = writer_prepare(writer, yaml_path, level, diag);
    if (err)
        native_writer_destroy(writer);
    else
        *out = writer;
    return err;
}

void native_writer_destroy(struct native_writer *writer) {
    if (!writer)
        return;
    draft_discard(&writer->events, writer->keeps_drafts);
    draft_discard(&writer->yaml, writer->keeps_drafts);
    events_writer_destroy(writer->encoder);
    tracker_destroy(writer->tracker);
    free(writer->name);
    free(writer);
}

/* Nothing but a valid trace is written. */
static enum err events_check(struct native_writer *writer, const struct event_block *block, struct diag *diag) {
    struct placement placements[EVENTS_PER_RUN];
    size_t applied;
    enum err err = tracker_apply(writer->tracker, block->events, block->count, placements, &applied);
    if (err)
        return tracker_explain(writer->tracker, err, block, applied, diag);
    if (block->times_ns && tracker_apply_times(writer->tracker, block->times_ns, block->count, &applied))
        return tracker_explain_time(writer->tracker, block, applied, diag);
    return ERR_OK;
}

static enum err events_put(struct native_writer *writer, const struct event *events, const uint64_t *times_ns,
                           size_t count, struct diag *diag) {
    for (size_t at = 0; at < count;) {
        size_t run = count - at < EVENTS_PER_RUN ? count - at : EVENTS_PER_RUN;
        const struct event_block block = {.events = events + at,
                                          .count = run,
                                          .first_index = tracker_summary(writer->tracker)->event_count,
                                          .times_ns = times_ns ? times_ns + at : NULL};
        enum err err = events_check(writer, &block, diag);
        if (err)
            return err;
        at += run;
    }
    uint64_t written = events_writer_count(writer->encoder);
    enum err err = events_writer_put(writer->encoder, events, times_ns, count, diag);
    if (!err && events_writer_count(writer->encoder) != written)
        err = draft_look(&writer->events, diag);
    return err;
}

static enum err sink_put_timed(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                               struct diag *diag) {
    struct native_writer *writer = ctx;
    if (writer->failed)
        return diag_set(diag, ERR_USAGE, writer->yaml.path, "writing this trace has failed before");
    enum err err = events_put(writer, events, times_ns, count, diag);
    writer->failed = err != ERR_OK;
    return err;
}

static enum err sink_put(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    return sink_put_timed(ctx, events, NULL, count, diag);
}

static enum err sink_flush(void *ctx, struct diag *diag) {
    struct native_writer *writer = ctx;
    if (writer->failed)
        return diag_set(diag, ERR_USAGE, writer->yaml.path, "writing this trace has failed before");
    enum err err = events_writer_flush(writer->encoder, diag);
    if (!err)
        err = draft_look(&writer->events, diag);
    writer->failed = err != ERR_OK;
    return err;
}

static void sink_press(void *ctx, bool is_late) {
    struct native_writer *writer = ctx;
    events_writer_press(writer->encoder, is_late);
}

struct event_sink native_writer_sink(struct native_writer *writer) {
    return (struct event_sink){
        .ctx = writer, .put = sink_put, .put_timed = sink_put_timed, .flush = sink_flush, .press = sink_press};
}

/* The whole text of the description under way; what was there before is replaced. */
static enum err yaml_write(struct native_writer *writer, const struct trace_info *info, struct diag *diag) {
    char *text;
    size_t bytes, done = 0;
    enum err err = description_format(info, &text, &bytes);
    if (err)
        return out_of_memory(writer->yaml.path, diag);
    while (done < bytes && !err) {
        ssize_t written = pwrite(writer->yaml.fd, text + done, bytes - done, (off_t)done);
        if (written > 0)
            done += (size_t)written;
        else if (errno != EINTR)
            err = diag_errno(diag, ERR_IO, writer->yaml.path, "cannot write");
    }
    free(text);
    if (!err && ftruncate(writer->yaml.fd, (off_t)bytes))
        err = diag_errno(diag, ERR_IO, writer->yaml.path, "cannot write");
    return err;
}

static char *base_name(char *path) {
    char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The caller's words with what is told of the events file; shares the caller's strings. */
static struct trace_info info_complete(const struct native_writer *writer, const struct trace_info *info, char *path,
                                       char *sha256, uint64_t bytes) {
    struct trace_info complete = *info;
    if (!complete.name)
        complete.name = writer->name;
    complete.events_file = base_name(path);
    complete.events_sha256 = sha256;
    complete.events_bytes = bytes;
    complete.summary = (struct trace_summary){0};
    return complete;
}

enum err native_writer_announce(struct native_writer *writer, const struct trace_info *info, struct diag *diag) {
    char sha256[SHA256_TEXT_BYTES];
    memset(sha256, '0', sizeof sha256 - 1);
    sha256[sizeof sha256 - 1] = 0;
    struct trace_info draft = info_complete(writer, info, writer->events.temporary, sha256, 0);
    return yaml_write(writer, &draft, diag);
}

/* What has the final name gets the temporary one; false: nothing has it, or the file system cannot do that. */
static bool draft_exchange(const struct draft *draft) {
    return renameat2(AT_FDCWD, draft->temporary, AT_FDCWD, draft->path, RENAME_EXCHANGE) == 0;
}

/* Both files get their final names, or neither: then an earlier trace of that name stands as it was, if that can be. */
static enum err drafts_rename(struct native_writer *writer, struct diag *diag) {
    struct draft *events = &writer->events, *yaml = &writer->yaml;
    enum err err = trace_target_check(yaml->path, events->path, diag);
    if (err)
        return err;
    bool is_exchanged = draft_exchange(events);
    if (!is_exchanged && rename(events->temporary, events->path))
        return diag_errno(diag, ERR_IO, events->path, "cannot rename the finished file");
    if (rename(yaml->temporary, yaml->path)) {
        err = diag_errno(diag, ERR_IO, yaml->path, "cannot rename the finished file");
        if (!is_exchanged || !draft_exchange(events))
            rename(events->path, events->temporary);
        return err;
    }
    if (is_exchanged)
        unlink(events->temporary);
    draft_forget(events);
    draft_forget(yaml);
    return ERR_OK;
}

static enum err drafts_finish(struct native_writer *writer, const struct trace_info *info, struct diag *diag) {
    struct trace_info complete =
        info_complete(writer, info, writer->events.path, writer->events_sha256, writer->events_bytes);
    complete.summary = *tracker_summary(writer->tracker);
    enum err err = yaml_write(writer, &complete, diag);
    if (!err)
        err = draft_settle(&writer->events, diag);
    if (!err)
        err = draft_settle(&writer->yaml, diag);
    return err ? err : drafts_rename(writer, diag);
}

/* Once: a salvage may come after a finish that failed behind it. */
static enum err events_end(struct native_writer *writer, struct diag *diag) {
    if (writer->has_ended)
        return ERR_OK;
    enum err err = events_writer_finish_short(writer->encoder, writer->events_sha256, &writer->events_bytes, diag);
    writer->has_ended = !err;
    return err;
}

enum err native_writer_finish(struct native_writer *writer, const struct trace_info *info, struct diag *diag) {
    if (writer->failed)
        return diag_set(diag, ERR_USAGE, writer->yaml.path, "writing this trace has failed before");
    writer->failed = true;
    enum err err = events_writer_flush(writer->encoder, diag);
    if (!err)
        err = events_end(writer, diag);
    return err ? err : drafts_finish(writer, info, diag);
}

/* The tracker has followed events that are not in the file: one that follows the file takes its place. */
static enum err summary_recount(struct native_writer *writer, struct diag *diag) {
    struct events_reader *reader = NULL;
    struct event_block block = {.count = 1};
    tracker_destroy(writer->tracker);
    writer->tracker = NULL;
    enum err err = tracker_create(&writer->tracker) ? out_of_memory(writer->yaml.path, diag) : ERR_OK;
    if (!err)
        err = events_reader_open(writer->events.temporary, NULL, &reader, diag);
    if (!err) {
        events_reader_want_times(reader, true);
        err = events_reader_rewind(reader, diag);
    }
    while (!err && block.count) {
        err = events_reader_next(reader, &block, diag);
        for (size_t at = 0; !err && at < block.count; at += EVENTS_PER_RUN) {
            struct event_block run = {.events = block.events + at,
                                      .count = block.count - at < EVENTS_PER_RUN ? block.count - at : EVENTS_PER_RUN,
                                      .first_index = block.first_index + at,
                                      .times_ns = block.times_ns ? block.times_ns + at : NULL};
            err = events_check(writer, &run, diag);
        }
    }
    events_reader_close(reader);
    return err;
}

/* The description left behind names the events left behind; where it cannot be written, these must do. */
static void drafts_leave(struct native_writer *writer, const struct trace_info *info) {
    bool is_described = !native_writer_announce(writer, info, NULL);
    writer->left = is_described ? writer->yaml.temporary : writer->events.temporary;
}

enum err native_writer_salvage(struct native_writer *writer, const struct trace_info *info, uint64_t *event_count,
                               struct diag *diag) {
    writer->failed = true;
    if (draft_look(&writer->events, diag))
        return ERR_IO;
    events_writer_flush(writer->encoder, NULL); /* after a failure, nothing; else all that is left */
    uint64_t count = events_writer_count(writer->encoder);
    if (!count)
        return diag_set(diag, ERR_TRUNCATED, writer->yaml.path, "no events could be written");
    writer->keeps_drafts = true;
    enum err err = events_end(writer, diag);
    struct trace_info shorter = *info;
    shorter.capture_lost_count += tracker_summary(writer->tracker)->event_count - count;
    if (!err && tracker_summary(writer->tracker)->event_count != count)
        err = summary_recount(writer, diag);
    if (!err)
        err = drafts_finish(writer, &shorter, diag);
    if (err)
        drafts_leave(writer, &shorter);
    else
        *event_count = count;
    return err;
}

const char *native_writer_draft_path(const struct native_writer *writer) {
    return writer->left;
}
