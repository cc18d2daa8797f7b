#include "traces/record/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/units.h"
#include "traces/record/record_bounds.h"
#include "traces/record/record_guard.h"
#include "traces/record/record_host.h"
#include "traces/record/record_image.h"
#include "traces/record/record_life.h"
#include "traces/record/record_merge.h"
#include "traces/record/record_names.h"
#include "traces/record/record_probe.h"
#include "traces/record/record_session.h"
#include "traces/record/record_stage.h"
#include "traces/record/record_symbols.h"
#include "traces/record/record_time.h"

enum { REST_PASSES_MAX = 64 };

/* One recording: rings → merge → namer → stage → the caller's sink. */
struct recorder {
    const struct record_options *options;
    const struct record_output *output;
    struct record_session session;
    struct stage *stage;
    struct namer *namer;
    struct merge *merge;
    struct record_bounds bounds;
    uint64_t synced_ns;
    uint64_t announced_arena_count; /* of the present trace; UINT64_MAX: it is new */
};

static enum err options_check(const struct record_options *options, struct diag *diag) {
    if (!options->argv || !options->argv[0])
        return diag_set(diag, ERR_USAGE, NULL, "no command to record");
    if (access(options->shim_path, R_OK))
        return diag_errno(diag, ERR_NOT_FOUND, options->shim_path, "the capture library is missing");
    return record_probe(options->argv[0], diag);
}

/* Where the next warning goes, RECORD_WARNING_BYTES of room. There are fewer kinds of warnings than places. */
static char *warning_next(struct record_report *report) {
    assert(report->warning_count < RECORD_WARNING_COUNT_MAX);
    return report->warnings[report->warning_count++];
}

/* What stands between the program and the recorder's malloc, or between that and the C library's. */
static void report_judge_allocator(const struct record_shared *shared, struct record_report *report) {
    char path[RECORD_TEXT_BYTES], version[RECORD_TEXT_BYTES];
    record_text_copy(shared->allocator_path, path);
    record_text_copy(shared->python_version, version);
    if (atomic_load(&shared->malloc_elsewhere))
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "the program brings its own malloc (in %.100s); only what others took from the usual one is here: to "
                 "record it, build it with a shared malloc library, or with the C library's",
                 path[0] ? path : "itself");
    else if (path[0])
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "the program's malloc is not the C library's but that of %.200s", path);
    const char *linked = record_symbols_allocator(record_text_copy(shared->image_path, path));
    if (linked && (atomic_load(&shared->mode) & RECORD_MODE_C) && !atomic_load(&shared->malloc_elsewhere))
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "the program brings its own malloc (%s, linked into it), whose calls cannot be seen; only what others "
                 "took from the usual one is here: to record it, build it with a shared malloc library, or with the C "
                 "library's",
                 linked);
    if (record_symbols_is_go(path))
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "a Go program: its memory is its runtime's own affair; what is here is only what C code in it took "
                 "from malloc");
    if (atomic_load(&shared->mode) == RECORD_MODE_MIXED)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "CPython was loaded by the program: its blocks are in the domains raw, mem and obj, the program's own "
                 "in c");
    if (atomic_load(&shared->python_late))
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "CPython came into the program too late for its domains to be followed; what it took from malloc is "
                 "here, small objects are not: to have them, preload its libpython (LD_PRELOAD)");
    if (strstr(version, "free-threading"))
        snprintf(
            warning_next(report), RECORD_WARNING_BYTES,
            "this is a free-threaded build of CPython: its own allocator is mimalloc, not the pools that the trace "
            "can be replayed on");
}

static void report_judge(const struct record_shared *shared, struct record_report *report) {
    char end[64];
    if (report->wait_status && !report->stop)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "the program ended with %s; the trace holds all that it did until then",
                 record_end_text(report->wait_status, end, sizeof end));
    if (report->image_count > 1)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "the program replaced itself by exec %" PRIu32 " time%s; the trace is that of %.200s",
                 report->image_count - 1, units_plural(report->image_count - 1), shared->image_path);
    uint32_t forks = atomic_load(&shared->fork_count);
    if (forks)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "%" PRIu32 " forked child%s not recorded (--follow does that)", forks,
                 forks > 1 ? "ren were" : " was");
    uint32_t bystanders = atomic_load(&shared->bystander_count);
    if (bystanders)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "%" PRIu32 " program%s that it started %s not recorded (--follow does that)", bystanders,
                 units_plural(bystanders), bystanders > 1 ? "were" : "was");
    if (report->lost_count)
        snprintf(warning_next(report), RECORD_WARNING_BYTES, "%" PRIu64 " event%s lost", report->lost_count,
                 units_plural(report->lost_count));
    if (report->unknown_free_count)
        snprintf(warning_next(report), RECORD_WARNING_BYTES, "%" PRIu64 " free%s of blocks made unseen left out",
                 report->unknown_free_count, units_plural(report->unknown_free_count));
    if (report->missed_free_count)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "%" PRIu64 " block%s freed unseen (another library's free?); the trace has such a free where the "
                 "address came up again",
                 report->missed_free_count, units_plural(report->missed_free_count));
    if (report->torn_count)
        snprintf(warning_next(report), RECORD_WARNING_BYTES,
                 "%" PRIu64 " call%s that the program's end cut short %s left out", report->torn_count,
                 units_plural(report->torn_count), report->torn_count > 1 ? "are" : "is");
    report_judge_allocator(shared, report);
}

/* A recording that stands on its feet, or the reason why not. */
static enum err recording_judge(const struct recorder *recorder, const struct record_report *report,
                                struct diag *diag) {
    struct record_shared *shared = recorder->session.shared;
    const char *command = recorder->options->argv[0];
    char end[64];
    if (report->image_count == 0)
        return diag_set(diag, ERR_UNSUPPORTED, NULL,
                        "%s never loaded the recorder%s%s: could it start at all, is it setuid, has it file "
                        "capabilities, does it clear its environment, is its address space too small for the rings "
                        "(see --ring), or does it run as another user, who may not open the recorder's /proc/PID/fd?",
                        command, report->stop ? "" : " and ended with ",
                        report->stop ? "" : record_end_text(report->wait_status, end, sizeof end));
    if (atomic_load(&shared->exec_pending) && !report->stop) {
        char path[RECORD_TEXT_BYTES];
        record_text_copy(shared->exec_path, path);
        enum err err = path[0] ? record_probe(path, diag) : ERR_OK;
        return err ? err
                   : diag_set(diag, ERR_UNSUPPORTED, NULL,
                              "%s replaced itself by %.400s, which never loaded the recorder: does it run as another "
                              "user or in a user namespace (setpriv, su, unshare; such a one may not open the "
                              "recorder's /proc/PID/fd), is its environment cleared, or its address space limited?",
                              command, path);
    }
    if (atomic_load(&shared->hooks_lost))
        return diag_set(diag, ERR_UNSUPPORTED, NULL,
                        "the interpreter replaced the recorder's hooks: run it without PYTHONMALLOC, PYTHONDEVMODE and "
                        "-X dev (CPython 3.6 and older always does), or record what reaches malloc (--python=malloc)");
    if (atomic_load(&shared->python_left_out))
        return diag_set(diag, ERR_UNSUPPORTED, NULL, "%s is CPython, and --python=off leaves that out", command);
    if (report->operation_count == 0 && recorder->bounds.is_waiting)
        return diag_set(diag, ERR_UNSUPPORTED, NULL,
                        "nothing was recorded: %s before the time that --start-after gives",
                        report->stop ? "the recording ended" : "the program ended");
    if (report->operation_count == 0)
        return diag_set(diag, ERR_UNSUPPORTED, NULL, "%s made no allocation that could be seen%s%s", command,
                        report->stop ? " before the recording ended" : "",
                        atomic_load(&shared->malloc_elsewhere)
                            ? ": it brings its own malloc; build it with a shared malloc library, or with the C "
                              "library's"
                            : "");
    return ERR_OK;
}

static void report_fill(const struct recorder *recorder, struct record_report *report) {
    const struct record_session *session = &recorder->session;
    struct namer_counts counts = namer_counts(recorder->namer);
    report->event_count = recorder->bounds.event_count;
    report->operation_count = recorder->bounds.operation_count;
    report->stop = recorder->bounds.stop;
    report->unknown_free_count = counts.unknown_free_count;
    report->missed_free_count = counts.missed_free_count;
    report->inherited_block_count = counts.inherited_block_count;
    report->inherited_bytes = counts.inherited_bytes;
    report->torn_count = merge_hole_count(recorder->merge);
    report->lost_count = atomic_load(&session->shared->lost_count);
    report->wait_count = atomic_load(&session->shared->wait_count);
    report->image_count = atomic_load(&session->shared->image_count);
    report->wait_status = session->wait_status;
}

/* How it ended, and what of it is not here. */
static const char *end_describe(const struct recorder *recorder, bool is_over, char *buffer, size_t buffer_bytes) {
    const struct record_session *session = &recorder->session;
    char why[1280], end[64];
    uint32_t forks = atomic_load(&session->shared->fork_count);
    if (is_over && session->has_ended)
        record_end_text(session->wait_status, end, sizeof end);
    else
        snprintf(end, sizeof end, "%s", is_over ? "the program ran on" : RECORD_END_UNKNOWN);
    bounds_describe(&recorder->bounds, true, true, why, sizeof why);
    int length = snprintf(buffer, buffer_bytes, "%s%s", why, end);
    if (forks)
        snprintf(buffer + length, buffer_bytes - (size_t)length, "; %" PRIu32 " forked child%s not recorded", forks,
                 forks > 1 ? "ren" : "");
    return buffer;
}

static enum err info_fill(const struct recorder *recorder, bool is_over, struct trace_info *info) {
    char end[1400], *command = NULL;
    struct record_image image;
    record_image_take(&image, recorder->session.shared);
    enum err err = record_command_text(recorder->options->argv, &command);
    if (!err)
        err = record_host_describe(info, recorder->session.started);
    if (!err)
        err = record_time_describe(recorder->options->time, info);
    if (!err)
        err = record_image_describe(&image, recorder->namer, command, end_describe(recorder, is_over, end, sizeof end),
                                    info);
    free(command);
    return err;
}

/* A new image: what was queued for the old sink has to arrive before the caller takes that away. */
static enum err image_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recorder *recorder = ctx;
    struct event_sink real;
    if (recorder->bounds.is_waiting) {
        *sink = bounds_wait(&recorder->bounds);
        return ERR_OK;
    }
    recorder->announced_arena_count = UINT64_MAX;
    enum err err = stage_flush(recorder->stage, diag);
    if (!err)
        err = recorder->output->begin(recorder->output->ctx, &real, diag);
    if (err)
        return err;
    stage_begin(recorder->stage, real);
    *sink = bounds_begin(&recorder->bounds, stage_sink(recorder->stage));
    return ERR_OK;
}

/* The trace begins when it is time to: with what is alive by then. */
static enum err late_begin(struct recorder *recorder, struct diag *diag) {
    uint64_t event_count = namer_counts(recorder->namer).event_count;
    if (!event_count || !bounds_start_due(&recorder->bounds, event_count))
        return ERR_OK;
    bounds_start_now(&recorder->bounds);
    return namer_restart(recorder->namer, diag);
}

/* The merge's consumer for a trace that begins behind a certain event. */
static enum err late_put(void *ctx, const struct merged_record *record, struct diag *diag) {
    struct recorder *recorder = ctx;
    enum err err = recorder->bounds.is_waiting ? late_begin(recorder, diag) : ERR_OK;
    return err ? err : namer_put(recorder->namer, record, diag);
}

/* Merge to namer, by way of late_put where an event of the program's is the sign to begin. */
static enum err recorder_connect(struct recorder *recorder) {
    struct merge_consumer consumer = {recorder->namer, namer_put, namer_expect};
    const struct record_options *options = recorder->options;
    bool is_late = options->start_after_event_count || options->start_after_ns;
    if (options->start_after_event_count)
        consumer = (struct merge_consumer){recorder, late_put, NULL};
    enum err err = is_late ? namer_live_keep(recorder->namer) : ERR_OK;
    return err ? err : merge_create(recorder->session.shared, consumer, &recorder->merge);
}

static enum err recorder_create(struct recorder *recorder, struct diag *diag) {
    const struct record_output staged = {recorder, image_begin, NULL};
    enum err err = session_create(recorder->options, &recorder->session, diag);
    if (err)
        return err;
    life_begin(&recorder->session.shared->recorder_life);
    err = stage_create(&recorder->stage);
    if (!err)
        err = namer_create(&staged, &recorder->namer);
    if (!err)
        err = recorder_connect(recorder);
    if (!err && recorder->options->time)
        namer_time_keep(recorder->namer, record_time_now_ns(recorder->options->time),
                        record_time_unit_ns(recorder->options->time));
    return err ? diag_set(diag, err, NULL, "no memory or no thread for the recorder") : ERR_OK;
}

static void recorder_clear(struct recorder *recorder) {
    life_end();
    session_close(&recorder->session);
    merge_destroy(recorder->merge);
    namer_destroy(recorder->namer);
    stage_destroy(recorder->stage);
}

/* What a killed recorder could not tell otherwise, as often as there is more of it. */
static void trace_announce(struct recorder *recorder) {
    uint64_t arena_count = namer_arena_count(recorder->namer);
    struct trace_info info = {0};
    if (!recorder->output->announce || recorder->bounds.is_waiting || arena_count == recorder->announced_arena_count)
        return;
    if (!info_fill(recorder, false, &info))
        recorder->output->announce(recorder->output->ctx, &info);
    recorder->announced_arena_count = arena_count;
    trace_info_clear(&info);
}

/* Now and then the sink is to make last what it has, so that little is lost if the recorder dies. */
static enum err sink_sync(struct recorder *recorder, struct diag *diag) {
    uint64_t now_ns = clock_now_ns();
    if (now_ns - recorder->synced_ns < RECORD_SYNC_MS * UINT64_C(1000000))
        return ERR_OK;
    recorder->synced_ns = now_ns;
    trace_announce(recorder);
    return namer_sync(recorder->namer, diag);
}

/* Until the program has ended and its rings are empty, or a bound is reached. */
static enum err rings_drain(struct recorder *recorder, struct diag *diag) {
    struct record_session *session = &recorder->session;
    while (!bounds_reached(&recorder->bounds)) {
        bool is_final = session->has_ended;
        bool progress;
        enum err err = merge_pass(recorder->merge, is_final, &progress, diag);
        if (!err && recorder->bounds.is_waiting)
            err = late_begin(recorder, diag);
        if (!err)
            err = sink_sync(recorder, diag);
        if (err)
            return err;
        if (progress)
            continue;
        if (is_final)
            return ERR_OK;
        session_reap_rings(session);
        session_poll(session);
        if (!session->has_ended)
            session_sleep(session);
    }
    return ERR_OK;
}

/*
 * What the program has written until it was told to stop; it takes that in within RECORD_WAKE_PERIOD records of every
 * thread, so this ends.
 */
static enum err rest_drain(struct recorder *recorder, struct diag *diag) {
    bool progress = true;
    for (int pass = 0; progress && pass < REST_PASSES_MAX; pass++) {
        enum err err = merge_pass(recorder->merge, false, &progress, diag);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* Everything that was put into order arrives, or the first reason why not is told. */
static enum err recording_finish(struct recorder *recorder, struct diag *diag) {
    enum err err = recorder->bounds.stop ? rest_drain(recorder, diag) : ERR_OK;
    if (!err)
        err = namer_flush(recorder->namer, diag);
    return err ? err : stage_flush(recorder->stage, diag);
}

static enum err recorder_run(struct recorder *recorder, struct record_report *report, struct diag *diag) {
    struct record_session *session = &recorder->session;
    bounds_start(&recorder->bounds, recorder->options);
    enum err err = session_spawn(session, recorder->options, diag);
    if (err)
        return err;
    guard_watch(session->pid);
    err = rings_drain(recorder, diag);
    session_stop(session);
    guard_release();
    report->duration_ns = clock_now_ns() - recorder->bounds.start_ns;
    if (!err)
        err = recording_finish(recorder, diag);
    if (err) {
        bounds_fail(&recorder->bounds, diag);
        if (namer_flush(recorder->namer, NULL) == ERR_OK)
            stage_flush(recorder->stage, NULL);
    }
    session_poll(session);
    report_fill(recorder, report);
    report_judge(session->shared, report);
    return err ? err : recording_judge(recorder, report, diag);
}

enum err record_run(const struct record_options *options, const struct record_output *output, struct trace_info *info,
                    struct record_report *report, struct diag *diag) {
    struct recorder recorder = {.options = options, .output = output};
    struct diag own = {0};
    if (!diag)
        diag = &own;
    memset(report, 0, sizeof *report);
    enum err err = options_check(options, diag);
    if (err)
        return err;
    guard_begin();
    err = recorder_create(&recorder, diag);
    if (!err)
        err = recorder_run(&recorder, report, diag);
    bool stands = !err || report->stop == RECORD_STOP_FAILURE;
    if (stands && info_fill(&recorder, true, info) && !err)
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    recorder_clear(&recorder);
    return err;
}

bool record_runs_on(struct record_report *report) {
    return guard_is_watching() && !guard_poll(&report->wait_status);
}

void record_wait(struct record_report *report) {
    guard_wait(&report->wait_status);
    report->signal_number = guard_signal();
    guard_end();
}
