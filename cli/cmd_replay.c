#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/output_file.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/replay_stats.h"
#include "cli/terminal.h"
#include "compare/report_json.h"
#include "compare/report_summary.h"
#include "compare/report_text.h"
#include "core/base/units.h"
#include "formats/format.h"

enum { FAILURE_BYTES = 2304 };

struct replay_values {
    const char *allocators; /* NULL: the default list, of which a missing library is only a warning */
    uint64_t rounds;
    uint64_t memory_rounds;
    uint64_t touch;
    uint64_t cpu; /* UINT64_MAX: choose */
    uint64_t drain_wait_ns;
    uint64_t timeout_ns;
    uint64_t seed;
    const char *json;
    const char *pool_stats; /* NULL: not given; "": to stdout */
    const char *at;
    bool debug_hooks;
};

static const struct replay_values replay_defaults = {
    .rounds = EXPERIMENT_ROUNDS_DEFAULT,
    .memory_rounds = EXPERIMENT_MEMORY_ROUNDS_DEFAULT,
    .touch = 1,
    .cpu = UINT64_MAX,
    .drain_wait_ns = EXPERIMENT_DRAIN_DEFAULT_MS * (uint64_t)1000000,
    .timeout_ns = EXPERIMENT_TIMEOUT_DEFAULT_S * (uint64_t)1000000000,
    .seed = 1,
};

#define AT(field) offsetof(struct replay_values, field)

static const struct option_spec replay_options[] = {
    {"allocators", 'a', OPTION_TEXT, "LIST", AT(allocators),
     "allocators to replay on, the first being what the others are compared to (default pool,system,jemalloc)"},
    {"rounds", 'n', OPTION_COUNT, "N", AT(rounds), "timed rounds, each running every allocator once (default 9)"},
    {"memory-rounds", 0, OPTION_COUNT, "N", AT(memory_rounds),
     "memory passes per allocator, of which the median is shown; 0: none (default 3)"},
    {"touch", 0, OPTION_COUNT, "0|1", AT(touch), "write a word of every page of every new block (default 1)"},
    {"cpu", 0, OPTION_COUNT, "N", AT(cpu), "cpu to pin the workers to (default: the last one allowed)"},
    {"drain-wait", 0, OPTION_DURATION, "TIME", AT(drain_wait_ns),
     "longest quiet time after which drained memory is measured again, of 100ms, 1s and 5s (default 100ms)"},
    {"timeout", 0, OPTION_DURATION, "TIME", AT(timeout_ns), "for one run; 0s: none (default 600s)"},
    {"seed", 0, OPTION_COUNT, "N", AT(seed), "of the bootstrap intervals (default 1)"},
    {"json", 0, OPTION_TEXT, "FILE", AT(json), "write the result as JSON; - is stdout, and then there is no text"},
    {"pool-stats", 0, OPTION_TEXT_OPTIONAL, "FILE", AT(pool_stats),
     "the statistics text of every pool and cpython allocator, as CPython prints it; without FILE behind the table"},
    {"at", 0, OPTION_TEXT, "OP,…", AT(at), "take it after these operations instead of at the end of the trace"},
    {"debug-hooks", 0, OPTION_FLAG, NULL, AT(debug_hooks),
     "run every pool a second time, as NAME+debug, behind CPython's domains with debug hooks (PYTHONMALLOC=debug)"},
    {0},
};

static volatile sig_atomic_t caught_signal;

static void signal_note(int number) {
    caught_signal = number;
}

/* The first signal ends the run in order; a second one ends it at once. */
static void signals_catch(void) {
    struct sigaction action = {.sa_handler = signal_note, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* What lives as long as the command. */
struct replay_session {
    const struct replay_values *values;
    struct allocator_list list;
    struct experiment_options options;
    char worker_path[PATH_MAX];
    struct report_summary summary;
    struct replay_stats stats;
    struct report_json *json;
    struct output_file json_file;
    const char *trace_path; /* now running, for the progress bar */
    size_t width;
    size_t measured_count; /* allocators with at least one time, over all traces */
    size_t reported_count;
    size_t failed_count; /* traces that could not be replayed to their end */
    char last_failure[FAILURE_BYTES];
};

static void progress_tell(void *ctx, size_t done, size_t total, const char *allocator) {
    const struct replay_session *session = ctx;
    const char *slash = strrchr(session->trace_path, '/');
    char label[128];
    snprintf(label, sizeof label, "%s: %s", slash ? slash + 1 : session->trace_path, allocator);
    progress_show(done, total, label);
}

/* The default list, without what is not installed here. */
static enum err default_list_make(struct allocator_list *out, struct diag *diag) {
    char names[] = ALLOCATOR_LIST_DEFAULT;
    char *rest = NULL;
    out->count = 0;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        enum err err = allocator_parse(name, &out->items[out->count], diag);
        if (err == ERR_NOT_FOUND)
            message_warning("%s", diag->text);
        else if (err)
            return err;
        else
            out->count++;
    }
    return ERR_OK;
}

static enum err json_open(struct replay_session *session, struct diag *diag) {
    if (!session->values->json)
        return ERR_OK;
    if (report_json_create(&session->json))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    return output_file_open(&session->json_file, session->values->json, diag);
}

static enum err json_finish(struct replay_session *session, struct diag *diag) {
    if (!session->json)
        return ERR_OK;
    enum err err = report_json_write(session->json, session->json_file.file);
    return output_file_commit(&session->json_file, err, diag);
}

static void session_close(struct replay_session *session) {
    report_summary_clear(&session->summary);
    report_json_destroy(session->json);
    output_file_discard(&session->json_file);
}

static enum err values_check(const struct replay_values *values, struct diag *diag) {
    if (!values->rounds || values->rounds > EXPERIMENT_ROUNDS_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "replay: --rounds must be 1 … %d", EXPERIMENT_ROUNDS_MAX);
    if (values->memory_rounds > EXPERIMENT_ROUNDS_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "replay: --memory-rounds must be 0 … %d", EXPERIMENT_ROUNDS_MAX);
    bool stats_to_stdout =
        values->pool_stats ? !*values->pool_stats || strcmp(values->pool_stats, "-") == 0 : !!values->at;
    if (stats_to_stdout && values->json && strcmp(values->json, "-") == 0)
        return diag_set(diag, ERR_USAGE, NULL, "replay: --json - leaves no room on stdout: give --pool-stats=FILE");
    if (values->touch > 1)
        return diag_set(diag, ERR_USAGE, NULL, "replay: --touch is 0 or 1");
    if (values->cpu != UINT64_MAX && !environment_cpu_allowed(values->cpu))
        return diag_set(diag, ERR_USAGE, NULL, "replay: cpu %llu is not one this process may use",
                        (unsigned long long)values->cpu);
    return ERR_OK;
}

static enum err session_open(struct replay_session *session, const struct replay_values *values, struct diag *diag) {
    session->values = values;
    session->width = terminal_width();
    enum err err = libexec_path("mmreplay-worker", session->worker_path, sizeof session->worker_path, diag);
    if (!err)
        err = values->allocators ? allocator_list_parse(values->allocators, &session->list, diag)
                                 : default_list_make(&session->list, diag);
    if (!err)
        err = replay_stats_open(values->pool_stats, values->at, &session->stats, diag);
    if (!err && values->debug_hooks)
        err = allocator_list_debug_add(&session->list, diag);
    if (!err)
        err = json_open(session, diag);
    session->stats.worker_path = session->worker_path;
    session->stats.timeout_ns = values->timeout_ns;
    session->stats.interrupted = &caught_signal;
    session->options = experiment_options_default();
    session->options.worker_path = session->worker_path;
    session->options.rounds = (uint32_t)values->rounds;
    session->options.memory_rounds = (uint32_t)values->memory_rounds;
    session->options.touch = values->touch != 0;
    session->options.cpu = values->cpu == UINT64_MAX ? -1 : (int)values->cpu;
    session->options.drain_wait_ns = values->drain_wait_ns;
    session->options.timeout_ns = values->timeout_ns;
    session->options.seed = values->seed;
    session->options.interrupted = &caught_signal;
    session->options.progress = progress_tell;
    session->options.progress_ctx = session;
    return err;
}

static enum err report_deliver(struct replay_session *session, const struct report *report, struct diag *diag) {
    enum err err = ERR_OK;
    progress_clear();
    if (session->json)
        err = report_json_add(session->json, report);
    if (!err && !output_file_is_stdout(&session->json_file)) {
        if (!session->reported_count)
            report_text_machine_print(report->experiment, session->width, stdout);
        putchar('\n');
        err = report_text_print(report, session->width, stdout);
        if (!err)
            err = report_summary_add(&session->summary, report);
        fflush(stdout);
    }
    session->reported_count++;
    for (size_t i = 0; i < report->experiment->count; i++)
        if (report->experiment->results[i].requested && !report->sets[i].values[METRIC_NS_PER_OP_RAW].reason)
            session->measured_count++;
    return err ? diag_set(diag, err, NULL, "out of memory") : ERR_OK;
}

static enum err program_measure(struct replay_session *session, const struct trace_info *info,
                                const struct trace_arenas *arenas, const struct program *program, struct diag *diag) {
    struct experiment experiment;
    struct report report;
    session->options.arenas = arenas;
    enum err err = experiment_run(program, &session->list, &session->options, &experiment, diag);
    if (err)
        return err;
    err = report_create(info, &experiment, &report);
    if (err) {
        diag_set(diag, err, NULL, "out of memory");
    } else {
        err = report_deliver(session, &report, diag);
        report_clear(&report);
    }
    experiment_clear(&experiment);
    if (!err && !caught_signal)
        err = replay_stats_tell(&session->stats, info->name ? info->name : "trace", program, arenas, &session->list,
                                diag);
    return err;
}

static enum err trace_replay(struct replay_session *session, const char *path, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct event_source events;
    struct program program;
    struct trace_arenas arenas = {0};
    session->trace_path = path;
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    err = trace_reader_events(reader, &events, diag);
    if (!err)
        err = trace_arenas_read(path, trace_reader_info(reader), &arenas, diag);
    if (!err)
        err = program_compile(&events, &program, diag);
    if (!err) {
        err = program_measure(session, trace_reader_info(reader), &arenas, &program, diag);
        program_close(&program);
    }
    trace_arenas_clear(&arenas);
    trace_reader_close(reader);
    return err;
}

/* A misspelt last trace should not cost the time of measuring all others first. */
static enum err traces_probe(const struct replay_values *values, char **paths, size_t count, struct diag *diag) {
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++) {
        struct trace_reader *reader = NULL;
        err = trace_reader_open(paths[i], &reader, diag);
        if (!err)
            err = output_file_check(values->json, paths[i], trace_reader_info(reader)->events_file, diag);
        if (!err)
            err = output_file_check(values->pool_stats, paths[i], trace_reader_info(reader)->events_file, diag);
        trace_reader_close(reader);
    }
    return err;
}

/* What stops one trace is told, and the others go on; a fault of an allocator, the same for all traces, is told once.
 */
static void failure_note(struct replay_session *session, const struct diag *diag) {
    char text[FAILURE_BYTES];
    progress_clear();
    fflush(stdout);
    diag_format(diag, text, sizeof text);
    if (strcmp(text, session->last_failure) != 0)
        message_error(diag);
    memcpy(session->last_failure, text, sizeof text);
    session->failed_count++;
}

static void text_finish(const struct replay_session *session) {
    if (!session->reported_count || output_file_is_stdout(&session->json_file))
        return;
    putchar('\n');
    if (session->summary.row_count > 1 && !report_summary_print(&session->summary, session->width, stdout))
        putchar('\n');
    report_text_legend_print(&session->options, session->width, stdout);
}

/* Whatever went wrong, what was measured is written. */
static int replay_finish(struct replay_session *session, size_t trace_count, enum err err, struct diag *diag) {
    struct diag later;
    progress_clear();
    text_finish(session);
    enum err write_err = session->reported_count ? json_finish(session, &later) : ERR_OK;
    if (!write_err)
        write_err = replay_stats_close(&session->stats, &later);
    session_close(session);
    if (write_err)
        message_error(&later);
    if (caught_signal) {
        message_note("interrupted");
        fflush(stdout);
        raise(caught_signal);
    }
    if (err)
        return message_error(diag);
    if (write_err)
        return EXIT_CODE_FAILURE;
    if (session->failed_count && trace_count > 1)
        message_note("%zu of %zu traces could not be replayed; the result has the others", session->failed_count,
                     trace_count);
    if (session->failed_count)
        return EXIT_CODE_FAILURE;
    return session->measured_count ? EXIT_CODE_DONE : message_failure("no allocator could be measured");
}

static int replay_run(const void *values, char **operands, size_t operand_count) {
    struct replay_session session = {0};
    struct diag diag;
    enum err err = values_check(values, &diag);
    if (!err)
        err = traces_probe(values, operands, operand_count, &diag);
    if (!err)
        err = session_open(&session, values, &diag);
    if (!err)
        signals_catch();
    for (size_t i = 0; i < operand_count && !err && !caught_signal; i++)
        if (trace_replay(&session, operands[i], &diag) && !caught_signal)
            failure_note(&session, &diag);
    return replay_finish(&session, operand_count, err, &diag);
}

const struct command command_replay = {
    .name = "replay",
    .operands = "TRACE…",
    .summary = "replay a trace on several allocators and measure",
    .description =
        "Replays every operation of each trace on each allocator, one process per run, in rounds that alternate their "
        "order, and reports time per operation, fragmentation and how much memory goes back to the system.\n"
        "An allocator is pool (CPython's, as pool:3.11), system, jemalloc, mimalloc, tcmalloc, null, or "
        "cpython:3.11 or cpython:/path/libpython3.11.so.1.0 (the real one), or NAME=/path/lib.so for any malloc "
        "library; 'mmreplay allocators' tells which are here.\n"
        "An allocator that crashes or runs out of time is a result: its row says so, the others stand, and the exit "
        "code is 0 as long as one allocator was measured.\n"
        "A trace that cannot be replayed (its events are damaged, say) is told, the others go on and are written; the "
        "exit code is 2 then.\n",
    .examples = "  mmreplay replay traces/samples/python-batch.yaml\n"
                "  mmreplay replay -a system,mine=./libmine.so -n 21 app.yaml\n"
                "  mmreplay replay --json result.json traces/samples/*.yaml\n",
    .options = replay_options,
    .values_bytes = sizeof(struct replay_values),
    .defaults = &replay_defaults,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = replay_run,
};
