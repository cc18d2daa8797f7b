#include "formats/native_repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/units.h"
#include "formats/description.h"
#include "formats/events_index.h"
#include "formats/events_layout.h"
#include "formats/events_salvage.h"
#include "formats/native_reader.h"
#include "formats/native_writer.h"
#include "formats/regular_file.h"
#include "traces/tracker.h"

static const char yaml_suffix[] = ".yaml";

/* One repair under way. */
struct repair {
    const char *path;
    char *events_path; /* owned */
    struct trace_info info;
    struct native_repair_report report;
};

static enum err out_of_memory(const char *path, struct diag *diag) {
    return diag_set(diag, ERR_NOMEM, path, "out of memory");
}

static bool is_events_file(const char *path) {
    uint8_t head[MEMBER_HEADER_BYTES];
    int fd = -1;
    if (regular_file_open(path, "", &fd, NULL))
        return false;
    ssize_t got = read(fd, head, sizeof head);
    close(fd);
    return got > 0 && member_start_is(head, (size_t)got);
}

/* The events file of a description that does not tell its name. */
static char *events_path_guess(const char *path) {
    size_t bytes = strlen(path), suffix_bytes = sizeof yaml_suffix - 1;
    char *guess = NULL;
    if (bytes > suffix_bytes && strcmp(path + bytes - suffix_bytes, yaml_suffix) == 0)
        bytes -= suffix_bytes;
    return asprintf(&guess, "%.*s.events.gz", (int)bytes, path) < 0 ? NULL : guess;
}

/* Finds the events, and the description if there is one that can be read. */
static enum err parts_find(struct repair *repair, struct diag *diag) {
    struct native_repair_report *report = &repair->report;
    if (is_events_file(repair->path)) {
        diag_set(&report->description_fault, ERR_NOT_FOUND, repair->path, "the events file was given without one");
        repair->events_path = strdup(repair->path);
        return repair->events_path ? ERR_OK : out_of_memory(repair->path, diag);
    }
    enum err err = description_load(repair->path, &repair->info, &report->description_fault);
    report->is_described = err == ERR_OK;
    if (err == ERR_VERSION || err == ERR_NOMEM || err == ERR_IO) {
        if (diag)
            *diag = report->description_fault;
        return err;
    }
    repair->events_path = report->is_described ? native_events_path(repair->path, repair->info.events_file)
                                               : events_path_guess(repair->path);
    if (!repair->events_path)
        return out_of_memory(repair->path, diag);
    if (!report->is_described && !is_events_file(repair->events_path))
        return diag_set(diag, err, repair->path,
                        "%s; %s beside it is no events file either, so there is nothing to keep; if the events have "
                        "another name, give their file instead",
                        report->description_fault.text, repair->events_path);
    return ERR_OK;
}

static void stated_count_find(struct repair *repair) {
    struct events_index index;
    struct native_repair_report *report = &repair->report;
    report->is_stated = report->is_described && repair->info.events_bytes; /* 0: of a recording that was under way */
    report->stated_count = repair->info.summary.event_count;
    if (report->is_stated || events_index_load(repair->events_path, &index, NULL))
        return;
    report->is_stated = true;
    report->stated_count = index.event_count;
    events_index_clear(&index);
}

static bool is_same_file(const char *one, const char *other) {
    struct stat first, second;
    return !stat(one, &first) && !stat(other, &second) && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static enum err output_check(const struct repair *repair, const char *output, struct diag *diag) {
    char *events = events_path_guess(output);
    if (!events)
        return out_of_memory(output, diag);
    bool is_same = is_same_file(output, repair->path) || is_same_file(events, repair->events_path);
    free(events);
    return is_same ? diag_set(diag, ERR_USAGE, output, "this is the trace to be mended; choose another name, it stays")
                   : ERR_OK;
}

/* Copies as many events of the block as are valid. *is_done: not all were. */
static enum err block_copy(struct repair *repair, struct tracker *tracker, const struct event_block *block,
                           const struct event_sink *sink, bool *is_done, struct diag *diag) {
    enum { RUN = 1024 };
    struct placement placements[RUN];
    for (size_t at = 0; at < block->count && !*is_done;) {
        size_t run = block->count - at < RUN ? block->count - at : RUN, applied = 0;
        enum err err = tracker_apply(tracker, block->events + at, run, placements, &applied);
        if (err == ERR_NOMEM)
            return out_of_memory(repair->path, diag);
        if (err)
            tracker_explain(tracker, err, block, at + applied, &repair->report.events_fault);
        *is_done = err != ERR_OK;
        err = event_sink_put(sink, block->events + at, block->times_ns ? block->times_ns + at : NULL, applied, diag);
        if (err)
            return err;
        at += applied;
        repair->report.kept_count += applied;
    }
    return ERR_OK;
}

static enum err events_copy(struct repair *repair, struct events_reader *reader, const struct event_sink *sink,
                            struct diag *diag) {
    struct tracker *tracker = NULL;
    struct event_block block = {.count = 1};
    bool is_done = false;
    if (tracker_create(&tracker))
        return out_of_memory(repair->path, diag);
    enum err err = ERR_OK;
    while (!err && !is_done) {
        err = events_reader_next(reader, &block, diag);
        if (err || !block.count)
            break;
        err = block_copy(repair, tracker, &block, sink, &is_done, diag);
    }
    tracker_destroy(tracker);
    return err;
}

/* The story of a fault, without the hint at what is being done already. */
static void fault_text(const struct diag *fault, char *text, size_t bytes) {
    char place[48] = "";
    if (fault->place == DIAG_BYTE)
        snprintf(place, sizeof place, "byte %" PRIu64 ": ", fault->byte);
    else if (fault->place == DIAG_LINE)
        snprintf(place, sizeof place, "line %" PRIu64 ": ", fault->line);
    snprintf(text, bytes, "%s%s", place, fault->text);
    char *hint = strstr(text, " whole members before it");
    while (hint && hint > text && *hint != ';')
        hint--;
    if (hint)
        *hint = '\0';
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum err provenance_write(struct repair *repair, const struct diag *why, struct diag *diag) {
    const struct native_repair_report *report = &repair->report;
    char kept[UNITS_TEXT_BYTES], stated[UNITS_TEXT_BYTES];
    char reason[sizeof why->text + 64], undescribed[sizeof why->text + 128] = "";
    const char *before = repair->info.provenance;
    char *text = NULL;
    fault_text(report->events_fault.err ? &report->events_fault : why, reason, sizeof reason);
    if (!report->is_described) {
        char fault[sizeof why->text + 64];
        fault_text(&report->description_fault, fault, sizeof fault);
        snprintf(undescribed, sizeof undescribed, "; no description could be kept (%s)", fault);
        if (!report->events_fault.err)
            snprintf(reason, sizeof reason, "its events are whole");
    }
    int bytes = asprintf(&text, "%s%smended by mmreplay " MMREPLAY_VERSION " from %s: %s of %s events are kept; %s%s",
                         before ? before : "", before ? "; " : "", base_name(repair->path),
                         units_format_count(report->kept_count, kept),
                         report->is_stated ? units_format_count(report->stated_count, stated) : "an unknown number of",
                         reason, undescribed);
    if (bytes < 0)
        return out_of_memory(repair->path, diag);
    free(repair->info.provenance);
    repair->info.provenance = text;
    return ERR_OK;
}

static enum err trace_write(struct repair *repair, const char *output, const struct diag *why,
                            struct events_reader *reader, struct diag *diag) {
    struct native_writer *writer = NULL;
    struct native_repair_report *report = &repair->report;
    enum err err = native_writer_create(output, NULL, &writer, diag);
    if (err)
        return err;
    struct event_sink sink = native_writer_sink(writer);
    err = events_copy(repair, reader, &sink, diag);
    if (!err && why)
        err = provenance_write(repair, why, diag);
    if (report->is_stated && report->stated_count > report->kept_count)
        repair->info.capture_lost_count += report->stated_count - report->kept_count;
    if (!err)
        err = native_writer_finish(writer, &repair->info, diag);
    native_writer_destroy(writer);
    return err;
}

static enum err repair_run(struct repair *repair, const char *output, const struct diag *why, struct diag *diag) {
    struct events_salvage salvage;
    struct events_reader *reader = NULL;
    enum err err = parts_find(repair, diag);
    if (!err)
        err = output_check(repair, output, diag);
    if (!err)
        err = events_salvage_scan(repair->events_path, &salvage, diag);
    if (err)
        return err;
    repair->report.events_fault = salvage.fault;
    if (salvage.fault.err && !salvage.found.event_count)
        return diag_set(diag, salvage.fault.err, repair->events_path,
                        "not one whole member of events is left: there is nothing to keep");
    stated_count_find(repair);
    err = events_salvage_open(repair->events_path, &salvage, &reader, diag);
    if (!err)
        err = trace_write(repair, output, why, reader, diag);
    events_reader_close(reader);
    return err;
}

enum err native_repair(const char *path, const char *output, const struct diag *why, struct native_repair_report *out,
                       struct diag *diag) {
    struct repair repair = {.path = path};
    enum err err = repair_run(&repair, output, why, diag);
    if (!err)
        *out = repair.report;
    free(repair.events_path);
    trace_info_clear(&repair.info);
    return err;
}
