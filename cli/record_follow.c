#include "cli/record_follow.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/message.h"
#include "core/base/units.h"
#include "formats/native_writer.h"
#include "formats/tree_index.h"
#include "traces/record/record_tree.h"

enum { MMAP_BYTES = 1 << 17, PATH_BYTES = 4200, REASONS_SHOWN_MAX = 5 };

struct followed_trace {
    struct native_writer *writer;
    char path[PATH_BYTES];
};

static void stem_copy(const char *path, char *out, size_t out_bytes) {
    snprintf(out, out_bytes, "%.*s", (int)(strlen(path) - strlen(".yaml")), path);
}

static enum err trace_begin(void *ctx, uint64_t pid, uint32_t image_number, void **out, struct event_sink *sink,
                            struct diag *diag) {
    const struct record_follow *follow = ctx;
    char stem[PATH_BYTES], image[16] = "";
    struct followed_trace *trace = malloc(sizeof *trace);
    if (!trace)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    stem_copy(follow->path, stem, sizeof stem);
    if (image_number)
        snprintf(image, sizeof image, "-%" PRIu32, image_number + 1);
    snprintf(trace->path, sizeof trace->path, "%.4100s.%" PRIu64 "%s.yaml", stem, pid, image);
    enum err err = native_writer_create(trace->path, NULL, &trace->writer, diag);
    if (err) {
        free(trace);
        return err;
    }
    *sink = native_writer_sink(trace->writer);
    *out = trace;
    return ERR_OK;
}

static void trace_discard(void *ctx, void *ended) {
    struct followed_trace *trace = ended;
    (void)ctx;
    native_writer_destroy(trace->writer);
    free(trace);
}

struct trace_info record_info_join(const struct trace_info *captured, const struct trace_info *described) {
    struct trace_info info = *captured;
    info.name = described->name;
    info.description = described->description;
    info.provenance = described->provenance;
    info.licence = described->licence;
    if (described->program_version)
        info.program_version = described->program_version;
    return info;
}

static void trace_announce(void *ctx, void *begun, const struct trace_info *captured) {
    const struct record_follow *follow = ctx;
    struct followed_trace *trace = begun;
    struct trace_info described = {0};
    if (!follow->describe(follow->ctx, &described)) {
        struct trace_info info = record_info_join(captured, &described);
        native_writer_announce(trace->writer, &info, NULL);
    }
    trace_info_clear(&described);
}

/* A trace that could not be finished, or is cut, is kept as far as it goes. */
static enum err trace_write(struct followed_trace *trace, const struct trace_info *info, bool is_cut, bool *is_kept,
                            uint64_t *event_count, struct diag *diag) {
    enum err err = is_cut ? ERR_OK : native_writer_finish(trace->writer, info, diag);
    *is_kept = !is_cut && !err;
    if (*is_kept)
        return ERR_OK;
    enum err salvaged = native_writer_salvage(trace->writer, info, event_count, is_cut ? diag : NULL);
    *is_kept = !salvaged;
    return err ? err : salvaged;
}

static enum err trace_finish(void *ctx, void *ended, const struct trace_info *captured, bool is_cut, char **file,
                             uint64_t *event_count, struct diag *diag) {
    const struct record_follow *follow = ctx;
    struct followed_trace *trace = ended;
    struct trace_info described = {0};
    const char *slash = strrchr(trace->path, '/');
    bool is_kept = false;
    enum err err = follow->describe(follow->ctx, &described);
    if (!err)
        err = trace_text_set(file, slash ? slash + 1 : trace->path);
    if (err) {
        diag_set(diag, err, NULL, "out of memory");
    } else {
        struct trace_info info = record_info_join(captured, &described);
        err = trace_write(trace, &info, is_cut, &is_kept, event_count, diag);
    }
    if (!is_kept) {
        free(*file);
        *file = NULL;
    }
    trace_info_clear(&described);
    trace_discard(ctx, trace);
    return err;
}

static void program_ended(void *ctx, uint64_t others_count) {
    (void)ctx;
    message_note("the program has ended; %" PRIu64 " process%s that came from it %s still recorded (^C ends that)",
                 others_count, others_count == 1 ? "" : "es", others_count == 1 ? "is" : "are");
}

static void reasons_print(const struct trace_tree *tree, const char *path) {
    size_t shown = 0, count = 0;
    for (size_t i = 0; i < tree->process_count; i++) {
        const struct tree_process *process = &tree->processes[i];
        if (!process->reason)
            continue;
        if (count++ < REASONS_SHOWN_MAX && ++shown)
            message_warning("process %" PRIu64 "%s%.80s%s: %s", process->pid, process->command ? " (" : "",
                            process->command ? process->command : "", process->command ? ")" : "", process->reason);
    }
    if (count > shown)
        message_warning("… and %zu more; %s lists them", count - shown, path);
}

static void report_warn(const struct record_tree_report *report) {
    if (report->uncertain_count)
        message_warning("%" PRIu64 " operation%s of other threads came while their process forked: children may or "
                        "may not have inherited what was done",
                        report->uncertain_count, units_plural(report->uncertain_count));
    if (report->unknown_free_count)
        message_warning("%" PRIu64 " free%s of blocks made unseen left out", report->unknown_free_count,
                        units_plural(report->unknown_free_count));
    if (report->missed_free_count)
        message_warning("%" PRIu64 " block%s freed unseen; the traces have such a free where the address came up again",
                        report->missed_free_count, units_plural(report->missed_free_count));
    if (report->lost_count)
        message_warning("%" PRIu64 " event%s lost", report->lost_count, units_plural(report->lost_count));
    if (report->denied_count)
        message_warning("%" PRIu64 " process%s not recorded: too many at once for the limit on open files "
                        "(ulimit -n)",
                        report->denied_count, report->denied_count == 1 ? " was" : "es were");
}

static void summary_print(const struct record_follow *follow, const struct trace_tree *tree,
                          const struct record_tree_report *report) {
    char events[UNITS_TEXT_BYTES], duration[UNITS_TEXT_BYTES];
    reasons_print(tree, follow->path);
    report_warn(report);
    message_note("%s: %" PRIu64 " trace%s of %" PRIu64 " process%s, %s events in %s", follow->path, report->trace_count,
                 units_plural(report->trace_count), report->process_count, report->process_count == 1 ? "" : "es",
                 units_format_count(report->event_count, events), units_format_duration(report->duration_ns, duration));
}

static enum err list_save(const struct record_follow *follow, struct trace_tree *tree, struct diag *diag) {
    struct trace_info described = {0};
    char name[PATH_BYTES];
    const char *slash = strrchr(follow->path, '/');
    stem_copy(slash ? slash + 1 : follow->path, name, sizeof name);
    enum err err = follow->describe(follow->ctx, &described);
    if (!err)
        err = trace_text_set(&tree->name, described.name ? described.name : name);
    trace_info_clear(&described);
    return err ? diag_set(diag, err, NULL, "out of memory") : tree_index_save(follow->path, tree, diag);
}

static enum err tree_record(const struct record_follow *follow, struct trace_tree *tree,
                            struct record_tree_report *report, struct diag *diag) {
    const struct record_tree_output output = {
        (void *)(uintptr_t)follow, trace_begin, trace_announce, trace_finish, trace_discard, program_ended};
    enum err err = tree_index_target_check(follow->path, diag);
    if (!err)
        err = record_tree_run(follow->options, &output, tree, report, diag);
    if (!err || tree->process_count) { /* the traces of a recording that failed on the way are listed, too */
        enum err saved = list_save(follow, tree, err ? NULL : diag);
        err = err ? err : saved;
    }
    if (!err && !report->trace_count)
        err = diag_set(diag, ERR_UNSUPPORTED, NULL, "no process left a trace; %s tells why", follow->path);
    return err;
}

/* Every trace's writer has large buffers of which a short trace uses little: they are to come fresh from the system,
 * and to go back there. */
static void memory_prepare(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
#endif
}

int record_follow_run(const struct record_follow *follow, int *signal_number) {
    memory_prepare();
    struct trace_tree tree = {0};
    struct record_tree_report report = {0};
    struct diag diag = {0};
    enum err err = tree_record(follow, &tree, &report, &diag);
    if (tree.process_count)
        summary_print(follow, &tree, &report);
    if (err)
        message_error(&diag);
    trace_tree_clear(&tree);
    if (record_tree_runs_on(&report))
        message_note("nothing is recorded any more; the program runs on, and is waited for (^C is passed on to it)");
    record_tree_wait(&report);
    *signal_number = report.signal_number;
    return err || report.fault_count ? EXIT_CODE_FAILURE : EXIT_CODE_DONE;
}
