#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/info_json.h"
#include "cli/info_text.h"
#include "cli/message.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/tree_list.h"
#include "compare/json_values.h"
#include "core/base/clock.h"
#include "formats/format.h"
#include "formats/tree_index.h"
#include "traces/analysis.h"

enum { PROGRESS_AFTER_NS = 300000000 };

struct info_values {
    bool summary;
    const char *classes; /* NULL: chosen by the trace */
    const char *bars;
    const char *json;
};

static const struct info_values info_defaults = {.bars = "auto"};

#define AT(field) offsetof(struct info_values, field)

static const struct option_spec info_options[] = {
    {"summary", 's', OPTION_FLAG, NULL, AT(summary), "only what the description says: the events are not read"},
    {"classes", 0, OPTION_TEXT, "SCHEME", AT(classes),
     "of the size histogram: log2, pymalloc, pymalloc8, glibc or jemalloc (default: pymalloc for CPython's traces, its "
     "8-byte form up to 3.7; else log2)"},
    {"bars", 0, OPTION_TEXT, "WHEN", AT(bars),
     "draw bars and the curve of live bytes: always, never, or auto: on a UTF-8 terminal (default auto)"},
    {"json", 0, OPTION_TEXT, "FILE", AT(json), "write everything as JSON; - is stdout, and then there is no text"},
    {0},
};

/* What lives as long as the command. */
struct info_session {
    const struct info_values *values;
    struct info_page page;
    enum size_scheme scheme; /* SIZE_SCHEME_COUNT: chosen by the trace */
    bool has_text;
    json_t *json;   /* the document, NULL: none is asked for */
    json_t *traces; /* borrowed from it */
    json_t *trees;  /* borrowed from it */
    size_t told_count;
};

/* Events on their way, with a progress bar once it takes long. */
struct watched_source {
    struct event_source events;
    uint64_t expected_count;
    uint64_t since_ns;
    const char *label;
};

static enum err watched_next(void *ctx, struct event_block *block, struct diag *diag) {
    struct watched_source *watched = ctx;
    enum err err = watched->events.next(watched->events.ctx, block, diag);
    if (!err && watched->expected_count && clock_now_ns() - watched->since_ns > PROGRESS_AFTER_NS)
        progress_show(block->first_index < watched->expected_count ? block->first_index : watched->expected_count,
                      watched->expected_count, watched->label);
    return err;
}

static bool interpreter_is(const struct trace_info *info, const char *version) {
    size_t length = strlen(version);
    const char *text = info->program_interpreter;
    return text && strncmp(text, version, length) == 0 && (text[length] == '.' || text[length] == '\0');
}

static enum size_scheme scheme_choose(const struct trace_info *info) {
    static const char *const eight_bytes[] = {"CPython 2.7", "CPython 3.3", "CPython 3.4",
                                              "CPython 3.5", "CPython 3.6", "CPython 3.7"};
    for (size_t i = 0; i < sizeof eight_bytes / sizeof eight_bytes[0]; i++)
        if (interpreter_is(info, eight_bytes[i]))
            return SIZE_SCHEME_PYMALLOC8;
    const uint64_t *counts = info->summary.domain_counts;
    bool is_python = info->program_interpreter && strncmp(info->program_interpreter, "CPython", 7) == 0;
    return is_python || counts[DOMAIN_OBJ] || counts[DOMAIN_MEM] ? SIZE_SCHEME_PYMALLOC : SIZE_SCHEME_LOG2;
}

/* The analysis of what can be read; its error stands in *fault. @return ERR_NOMEM only. */
static enum err trace_analyse(const struct info_session *session, const char *path, struct trace_reader *reader,
                              struct analysis **out, struct diag *fault) {
    const struct trace_info *info = trace_reader_info(reader);
    const char *slash = strrchr(path, '/');
    struct watched_source watched = {
        .expected_count = info->summary.event_count, .since_ns = clock_now_ns(), .label = slash ? slash + 1 : path};
    const struct event_source source = {.ctx = &watched, .next = watched_next};
    enum size_scheme scheme = session->scheme < SIZE_SCHEME_COUNT ? session->scheme : scheme_choose(info);
    enum err err = analysis_create(scheme, info->capture_inherited_blocks, out);
    if (err)
        return diag_set(fault, err, NULL, "out of memory");
    fault->err = trace_reader_timed_events(reader, &watched.events, fault);
    if (!fault->err)
        fault->err = analysis_run(*out, &source, fault);
    progress_clear();
    return ERR_OK;
}

static enum err text_tell(struct info_session *session, const struct info_trace *trace) {
    static const struct trace_summary nothing;
    const struct trace_summary *summary = trace->summary ? trace->summary : &nothing;
    if (session->told_count)
        putchar('\n');
    info_text_head(trace->info, summary, &session->page);
    if (trace->fault && trace->analysis)
        printf("  %-14s the events could be read only in part; what follows is of the first %" PRIu64 "\n", "damaged",
               trace->analysis->summary.event_count);
    if (trace->analysis)
        return info_text_analysis(trace->analysis, &session->page);
    if (trace->summary)
        info_text_summary(trace->summary);
    else
        puts("  the file does not state its counts; without --summary they are counted");
    return ERR_OK;
}

static enum err trace_deliver(struct info_session *session, const struct info_trace *trace, struct diag *diag) {
    enum err err = ERR_OK;
    if (session->json && json_array_append_new(session->traces, info_json_trace(trace)))
        err = ERR_NOMEM;
    if (!err && session->has_text)
        err = text_tell(session, trace);
    session->told_count++;
    fflush(stdout);
    return err ? diag_set(diag, err, NULL, "out of memory") : ERR_OK;
}

static enum err trace_tell(struct info_session *session, const char *path, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct analysis *analysis = NULL;
    struct diag fault = {0};
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    const struct trace_info *info = trace_reader_info(reader);
    struct info_trace trace = {
        .path = path, .info = info, .summary = info->summary.event_count ? &info->summary : NULL};
    if (!session->values->summary)
        err = trace_analyse(session, path, reader, &analysis, &fault);
    if (err) {
        *diag = fault;
    } else {
        trace.analysis = analysis ? analysis_finish(analysis) : NULL;
        trace.summary = analysis ? &trace.analysis->summary : trace.summary;
        trace.fault = fault.err ? &fault : NULL;
        err = trace_deliver(session, &trace, diag);
    }
    if (!err && (err = fault.err))
        *diag = fault;
    analysis_destroy(analysis);
    trace_reader_close(reader);
    return err;
}

/* A list of traces is shown as what it is. */
static enum err index_tell(struct info_session *session, const char *path, struct diag *diag) {
    struct trace_tree tree;
    enum err err = tree_index_load(path, &tree, diag);
    if (err)
        return err;
    if (session->json && json_array_append_new(session->trees, info_json_tree(path, &tree)))
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    if (!err && session->has_text) {
        if (session->told_count)
            putchar('\n');
        tree_list_print(&tree);
    }
    session->told_count++;
    trace_tree_clear(&tree);
    return err;
}

static enum err operand_tell(struct info_session *session, const char *path, struct diag *diag) {
    return tree_index_is(path) ? index_tell(session, path, diag) : trace_tell(session, path, diag);
}

static enum err bars_parse(const char *text, bool *out, struct diag *diag) {
    if (strcmp(text, "auto") == 0)
        *out = terminal_draws();
    else if (strcmp(text, "always") == 0 || strcmp(text, "never") == 0)
        *out = *text == 'a';
    else
        return diag_set(diag, ERR_USAGE, NULL, "info: --bars is auto, always or never, not '%s'", text);
    return ERR_OK;
}

static enum err json_begin(struct info_session *session, struct diag *diag) {
    session->json = document_json(INFO_JSON_SCHEMA);
    session->traces = json_array();
    session->trees = json_array();
    return json_object_set_new(session->json, "traces", session->traces) ||
                   json_object_set_new(session->json, "trees", session->trees)
               ? diag_set(diag, ERR_NOMEM, NULL, "out of memory")
               : ERR_OK;
}

/* Of the traces that can be opened; the others are told when it is their turn. */
static enum err outputs_check(const struct info_values *values, char **paths, size_t count, struct diag *diag) {
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && values->json && !err; i++) {
        struct trace_reader *reader = NULL;
        if (tree_index_is(paths[i]))
            err = output_file_check(values->json, paths[i], NULL, diag);
        else if (!trace_reader_open(paths[i], &reader, NULL))
            err = output_file_check(values->json, paths[i], trace_reader_info(reader)->events_file, diag);
        trace_reader_close(reader);
    }
    return err;
}

static enum err session_open(struct info_session *session, const struct info_values *values, struct diag *diag) {
    session->values = values;
    session->page.width = terminal_width();
    session->scheme = SIZE_SCHEME_COUNT;
    session->has_text = !values->json || strcmp(values->json, "-") != 0;
    enum err err = bars_parse(values->bars, &session->page.draws, diag);
    if (!err && values->classes)
        err = size_scheme_parse(values->classes, &session->scheme, diag);
    return !err && values->json ? json_begin(session, diag) : err;
}

/* The file is begun when all is known: an interrupted command leaves none behind. */
static enum err json_finish(const struct info_session *session, struct diag *diag) {
    struct output_file output = {0};
    if (!session->json || !session->told_count)
        return ERR_OK;
    enum err err = output_file_open(&output, session->values->json, diag);
    return err ? err : output_file_commit(&output, document_json_write(session->json, output.file), diag);
}

static int info_run(const void *values, char **operands, size_t operand_count) {
    struct info_session session = {0};
    struct diag diag;
    int code = EXIT_CODE_DONE;
    enum err err = outputs_check(values, operands, operand_count, &diag);
    if (!err)
        err = session_open(&session, values, &diag);
    if (err)
        code = message_error(&diag);
    for (size_t i = 0; i < operand_count && !err; i++)
        if (operand_tell(&session, operands[i], &diag))
            code = message_error(&diag);
    if (!err && json_finish(&session, &diag))
        code = message_error(&diag);
    json_decref(session.json);
    return code;
}

const struct command command_info = {
    .name = "info",
    .operands = "TRACE…",
    .summary = "what is in a trace: sizes, lifetimes, live memory, threads",
    .description =
        "Reads each trace through and tells what it is: the program and its capture; operations by kind and domain; "
        "live "
        "bytes over the trace and their peak; request sizes by class, with the shares of requests, bytes, live bytes "
        "at "
        "the peak and the end, and how long half of the blocks live; lifetimes in allocations and in bytes requested "
        "meanwhile; never-freed blocks; reallocs; hand-overs between threads; the most frequent and the largest "
        "requests. What every figure means is in traces/ANALYSIS.md.\n"
        "Of the list of a process tree (record --follow) the processes are shown: when each began and how long it "
        "lived, its trace, how it ended, and why one has none.\n"
        "Bars are drawn on a UTF-8 terminal (not with TERM=dumb); pages are COLUMNS wide.\n"
        "Of a damaged trace the whole part is told, and the damage on stderr; the exit code is 2 then. With --summary "
        "the "
        "events are not read at all.\n",
    .examples = "  mmreplay info traces/samples/python-batch.yaml\n"
                "  mmreplay info --summary traces/samples/*.yaml\n"
                "  mmreplay info --classes jemalloc --json - app.yaml | jq '.traces[0].analysis.sizes.classes'\n",
    .options = info_options,
    .values_bytes = sizeof(struct info_values),
    .defaults = &info_defaults,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = info_run,
};
