#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/record_follow.h"
#include "core/base/units.h"
#include "formats/native_writer.h"
#include "traces/record/record.h"
#include "traces/record/record_host.h"
#include "traces/record/record_ring.h"

struct record_values {
    const char *output;
    const char *name;
    const char *description;
    const char *provenance;
    const char *licence;
    const char *program_version;
    const char *python;
    uint64_t ring_bytes;
    const char *start_after;
    uint64_t event_count_max;
    uint64_t duration_ns;
    const char *time; /* NULL: no times; "": the default clock */
    bool follow;
};

#define RECORD_FIELD(field) offsetof(struct record_values, field)

static const struct option_spec record_options[] = {
    {"output", 'o', OPTION_TEXT, "NAME.yaml", RECORD_FIELD(output),
     "description to write, the events beside it (default: mmreplay-PROGRAM.PID.yaml)"},
    {"name", 0, OPTION_TEXT, "TEXT", RECORD_FIELD(name), "the trace's name (default: from the file name)"},
    {"description", 0, OPTION_TEXT, "TEXT", RECORD_FIELD(description), "what the program did"},
    {"program-version", 0, OPTION_TEXT, "TEXT", RECORD_FIELD(program_version),
     "version of the program (default: CPython's own, if it is one)"},
    {"provenance", 0, OPTION_TEXT, "TEXT", RECORD_FIELD(provenance), "where the trace comes from, why it was made"},
    {"licence", 0, OPTION_TEXT, "TEXT", RECORD_FIELD(licence), "under what terms the trace may be used"},
    {"python", 0, OPTION_TEXT, "HOW", RECORD_FIELD(python),
     "how to record CPython: domains, malloc, or off (default: domains)"},
    {"ring", 0, OPTION_BYTES, "SIZE", RECORD_FIELD(ring_bytes),
     "shared memory per thread, a power of two from 4K to 1G (default: 1M)"},
    {"follow", 0, OPTION_FLAG, NULL, RECORD_FIELD(follow),
     "record every process that comes from COMMAND, too: NAME.PID.yaml each, and NAME.yaml lists them"},
    {"start-after", 0, OPTION_TEXT, "TIME|N", RECORD_FIELD(start_after),
     "begin the trace so long after the program (5s) or after so many of its events (1M), with the blocks that are "
     "alive "
     "then (default: with the program)"},
    {"max-events", 0, OPTION_AMOUNT, "N", RECORD_FIELD(event_count_max),
     "end the recording with the N-th event of the trace (10M, 1e6; default: no bound); the program runs on"},
    {"duration", 0, OPTION_DURATION, "TIME", RECORD_FIELD(duration_ns),
     "end the recording after this time (30s, 5m; default: no bound); the program runs on"},
    {"time", 0, OPTION_TEXT_OPTIONAL, "coarse|fine", RECORD_FIELD(time),
     "give every event its time: coarse (without a word), the kernel's tick of 1 to 10 ms; fine, nanoseconds (default: "
     "no times)"},
    {0},
};

static const struct record_values record_defaults = {
    .ring_bytes = RECORD_RING_BYTES_DEFAULT, .event_count_max = UINT64_MAX, .duration_ns = UINT64_MAX};

/* Where the recording goes: one writer, begun anew when the program replaces itself by exec. */
struct recorded_file {
    const char *path;
    struct native_writer *writer;
    const struct trace_info *info; /* what is known from the start */
    bool is_begun;
    bool is_cut; /* something failed after it had begun: what there is may still be a trace */
};

/* Creates the writer; without a description under way it does, too. */
static enum err file_create(struct recorded_file *file, struct diag *diag) {
    enum err err = native_writer_create(file->path, NULL, &file->writer, diag);
    if (!err)
        native_writer_announce(file->writer, file->info, NULL);
    return err;
}

static enum err file_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recorded_file *file = ctx;
    if (file->is_begun) {
        native_writer_destroy(file->writer);
        file->writer = NULL;
        enum err err = file_create(file, diag);
        if (err)
            return err;
    }
    file->is_begun = true;
    *sink = native_writer_sink(file->writer);
    return ERR_OK;
}

static void file_announce(void *ctx, const struct trace_info *captured) {
    const struct recorded_file *file = ctx;
    struct trace_info info = record_info_join(captured, file->info);
    native_writer_announce(file->writer, &info, NULL);
}

static void default_path(const char *command, char *buffer, size_t buffer_bytes) {
    const char *slash = strrchr(command, '/');
    snprintf(buffer, buffer_bytes, "mmreplay-%.200s.%ld.yaml", slash ? slash + 1 : command, (long)getpid());
}

static enum err info_describe(const struct record_values *values, struct trace_info *info) {
    enum err err = trace_text_set(&info->name, values->name);
    if (!err)
        err = trace_text_set(&info->description, values->description);
    if (!err && values->program_version)
        err = trace_text_set(&info->program_version, values->program_version);
    if (!err)
        err = trace_text_set(&info->provenance, values->provenance);
    return err ? err : trace_text_set(&info->licence, values->licence);
}

/* Size of the events file beside `path`; 0 when it cannot be told. */
static uint64_t events_bytes(const char *path) {
    char events[4200];
    struct stat status;
    snprintf(events, sizeof events, "%.*s.events.gz", (int)(strlen(path) - strlen(".yaml")), path);
    return stat(events, &status) ? 0 : (uint64_t)status.st_size;
}

static void summary_print(const char *path, const struct record_report *report, const struct trace_info *info) {
    char events[UNITS_TEXT_BYTES], duration[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES], rate[UNITS_TEXT_BYTES];
    uint64_t bytes = events_bytes(path);
    double seconds = (double)report->duration_ns / 1e9;
    for (uint32_t i = 0; i < report->warning_count; i++)
        message_warning("%s", report->warnings[i]);
    message_note("%s: %s events in %s (%s/s), %s, %.3f bytes per event, %" PRIu64 " lost", path,
                 units_format_count(report->event_count, events), units_format_duration(report->duration_ns, duration),
                 units_format_count(seconds > 0 ? (uint64_t)((double)report->event_count / seconds) : 0, rate),
                 units_format_bytes(bytes, size),
                 report->event_count ? (double)bytes / (double)report->event_count : 0.0, info->capture_lost_count);
}

/* What was not given is no bound. */
static uint64_t bound_of(uint64_t value) {
    return value == UINT64_MAX ? 0 : value;
}

/* @return RECORD_TIME_COUNT: no such word. */
static enum record_time time_of(const char *word) {
    if (!word)
        return RECORD_TIME_OFF;
    if (!*word || strcmp(word, "coarse") == 0)
        return RECORD_TIME_COARSE;
    return strcmp(word, "fine") == 0 ? RECORD_TIME_FINE : RECORD_TIME_COUNT;
}

/* enum record_python from its name; RECORD_PYTHON_COUNT when there is no such. */
static uint32_t python_parse(const char *name) {
    static const char *const names[RECORD_PYTHON_COUNT] = {"domains", "malloc", "off"};
    uint32_t python = 0;
    while (name && python < RECORD_PYTHON_COUNT && strcmp(name, names[python]) != 0)
        python++;
    return python;
}

static struct record_options options_of(const struct record_values *values, char **argv, const char *shim_path) {
    return (struct record_options){.argv = argv,
                                   .shim_path = shim_path,
                                   .ring_bytes = values->ring_bytes,
                                   .python = python_parse(values->python),
                                   .event_count_max = bound_of(values->event_count_max),
                                   .duration_ns = bound_of(values->duration_ns),
                                   .time = time_of(values->time)};
}

/* What is known before the program runs. */
static enum err info_begin(const struct record_values *values, char **argv, struct trace_info *info) {
    char *command = NULL;
    enum err err = info_describe(values, info);
    if (!err)
        err = record_host_describe(info, time(NULL));
    if (!err)
        err = record_command_text(argv, &command);
    if (!err)
        err = trace_text_set(&info->program_command, command);
    if (!err)
        err = trace_text_set(&info->capture_end, RECORD_END_UNKNOWN);
    free(command);
    return err;
}

/* A duration has a unit, a count has none but k, M, G: 5m is minutes, 5M millions. */
static enum err start_parse(const char *text, struct record_options *options, struct diag *diag) {
    if (!text)
        return ERR_OK;
    if (units_parse_duration(text, &options->start_after_ns) == ERR_OK && options->start_after_ns)
        return ERR_OK;
    if (units_parse_count(text, &options->start_after_event_count) == ERR_OK && options->start_after_event_count)
        return ERR_OK;
    return diag_set(diag, ERR_USAGE, NULL,
                    "record: --start-after wants a duration such as 5s or a count of events such as 1M, not '%s'",
                    text);
}

static void cut_describe(struct trace_info *info, const struct diag *diag) {
    char text[sizeof diag->text + 512];
    snprintf(text, sizeof text, "%.400s; the trace could not be finished: %s", info->capture_end, diag->text);
    trace_text_set(&info->capture_end, text);
}

static enum err trace_record(const struct record_values *values, char **argv, struct recorded_file *file,
                             struct trace_info *info, struct record_report *report, struct diag *diag) {
    char shim[4096];
    struct record_options options = options_of(values, argv, shim);
    struct record_output output = {file, file_begin, file_announce};
    enum err err = libexec_path("libmmrecord.so", shim, sizeof shim, diag);
    if (!err)
        err = start_parse(values->start_after, &options, diag);
    if (!err && info_begin(values, argv, info))
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    file->info = info;
    if (!err) /* before the program runs: an output that cannot be written should not cost a run */
        err = file_create(file, diag);
    if (!err)
        err = record_run(&options, &output, info, report, diag);
    if (info_describe(values, info) && !err) /* again: a version that was given goes before the one that was found */
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    if (!err) {
        err = native_writer_finish(file->writer, info, diag);
        file->is_cut = err != ERR_OK;
        if (err) /* the program's end is known, but the trace may not reach it */
            cut_describe(info, diag);
    } else {
        file->is_cut = report->stop == RECORD_STOP_FAILURE && file->writer; /* none: the next could not begin */
    }
    return err;
}

/* After a failure under way: what was recorded until then is kept as a trace. */
static void trace_salvage(struct recorded_file *file, const struct trace_info *info, const struct diag *told) {
    struct diag diag = {0};
    char count[UNITS_TEXT_BYTES];
    uint64_t event_count = 0;
    enum err err = native_writer_salvage(file->writer, info, &event_count, &diag);
    if (!err)
        message_note("%s: kept: %s events from before that", file->path, units_format_count(event_count, count));
    else if (strcmp(diag.text, told->text) != 0)
        message_error(&diag);
    if (err && native_writer_draft_path(file->writer))
        message_note("what was recorded is in %s; mmreplay check --repair -o OUT.yaml mends it",
                     native_writer_draft_path(file->writer));
}

static bool ring_is_possible(uint64_t bytes) {
    return bytes >= RECORD_RING_BYTES_LEAST && bytes <= RECORD_RING_BYTES_MOST && (bytes & (bytes - 1)) == 0;
}

/* Dies by the signal that interrupted the recording, so that what started us knows. */
static void signal_follow(int number) {
    static const struct rlimit no_core = {0, 0};
    fflush(stdout);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(number, SIG_DFL);
    raise(number);
}

/* The program may run on when its trace is written. Interrupts it lives through are its own affair from then on. */
static void program_wait(struct record_report *report) {
    if (record_runs_on(report))
        message_note("nothing is recorded any more; the program runs on, and is waited for (^C is passed on to it)");
    record_wait(report);
}

static int recording_run(const struct record_values *values, const char *path, char **argv) {
    struct recorded_file file = {.path = path};
    struct trace_info info = {0};
    struct record_report report = {0};
    struct diag diag = {0};
    enum err err = trace_record(values, argv, &file, &info, &report, &diag);
    if (err)
        message_error(&diag);
    else
        summary_print(path, &report, &info);
    if (file.is_cut)
        trace_salvage(&file, &info, &diag);
    native_writer_destroy(file.writer);
    trace_info_clear(&info);
    program_wait(&report);
    if (report.signal_number)
        signal_follow(report.signal_number);
    return err ? EXIT_CODE_FAILURE : EXIT_CODE_DONE;
}

static enum err values_describe(const void *ctx, struct trace_info *info) {
    return info_describe(ctx, info);
}

static int following_run(const struct record_values *values, const char *path, char **argv) {
    char shim[4096];
    int signal_number = 0;
    struct diag diag;
    struct record_options options = options_of(values, argv, shim);
    const struct record_follow follow = {path, &options, values_describe, values};
    if (libexec_path("libmmrecord.so", shim, sizeof shim, &diag) || start_parse(values->start_after, &options, &diag))
        return message_error(&diag);
    int code = record_follow_run(&follow, &signal_number);
    if (signal_number)
        signal_follow(signal_number);
    return code;
}

static int record_main(const void *values, char **operands, size_t operand_count) {
    const struct record_values *options = values;
    (void)operand_count;
    char buffer[256], size[UNITS_TEXT_BYTES];
    const char *path = options->output;
    if (!path) {
        default_path(operands[0], buffer, sizeof buffer);
        path = buffer;
    }
    size_t length = strlen(path);
    if (length <= 5 || length > 4096 || strcmp(path + length - 5, ".yaml") != 0)
        return message_failure("%s: the output must be named NAME.yaml", path);
    if (!ring_is_possible(options->ring_bytes))
        return message_failure("record: --ring wants a power of two from 4K to 1G, not %s",
                               units_format_bytes(options->ring_bytes, size));
    if (time_of(options->time) == RECORD_TIME_COUNT)
        return message_failure("record: --time is coarse or fine, not %s", options->time);
    if (python_parse(options->python) == RECORD_PYTHON_COUNT)
        return message_failure("record: --python is domains, malloc or off, not %s", options->python);
    if (!options->event_count_max || !options->duration_ns)
        return message_failure("record: --%s 0 would record nothing",
                               options->event_count_max ? "duration" : "max-events");
    return options->follow ? following_run(options, path, operands) : recording_run(options, path, operands);
}

const struct command command_record = {
    .name = "record",
    .operands = "-- COMMAND [ARG…]",
    .summary = "capture a program's allocation traffic",
    .description =
        "Runs COMMAND and writes every allocation call it makes, of all its threads in one true order, to NAME.yaml "
        "and "
        "NAME.events.gz. C and C++ programs are captured at malloc. CPython is captured at its three domains (raw, "
        "mem, "
        "obj); what C libraries below it take from malloc directly is then not in the trace. With --python=malloc it "
        "is "
        "captured at malloc like any program: small objects, which its pools serve, are not seen; to see all of them "
        "there, "
        "set PYTHONMALLOC=malloc, too. With --python=off a process that is CPython is not captured. A program that "
        "loads libpython itself is captured at both: its own blocks in domain c, the interpreter's in raw, mem and "
        "obj. Where CPython's arenas lay is kept, so that a replay on the pool of its version repeats the statistics "
        "that it prints with PYTHONMALLOCSTATS=1: before every new arena, and at its end up to 3.11 (later ones print "
        "none there while recorded; replay --pool-stats does).\n"
        "The program may end in any way, a crash or kill -9 included: what it did until then is in the trace, and the "
        "description says how it ended. When it replaces itself by exec (a wrapper script), the trace is that of the "
        "last image. Children are counted, not recorded.\n"
        "With --follow every process that comes from COMMAND is recorded, until the last of them has ended: each into "
        "its own NAME.PID.yaml, and NAME.yaml lists them all, with how each came, ended and, where one has no trace, "
        "why. The trace of a forked child begins with the blocks that it inherited, so that a replay is exact from "
        "there on, whatever other threads of its parent did while the fork was under way. A "
        "process that becomes another program begins a new trace; the one before is kept when it made at least 1,000 "
        "operations of its own (the next is then NAME.PID-2.yaml). info shows the list, check checks all in it. "
        "--max-events and --start-after then count all processes together, roughly, and what is alive in each process "
        "when the traces begin is made at the head of its trace.\n"
        "^C (SIGINT to the recorder) ends the recording, not the program: the trace is written, and the program runs "
        "on "
        "unrecorded and is waited for. The second ^C is passed on to the program, the third lets the recorder go "
        "without "
        "waiting; after a second one it dies by SIGINT, so that a shell's loop stops. kill -INT does the same from a "
        "script. At a terminal the program runs in a process group of its own, so that the recorder's ^C does not "
        "reach "
        "it, and is given the foreground as soon as it reads the terminal or sets it up: from then on ^C is its own, "
        "as an "
        "interactive program needs it, and kill -INT ends the recording. Started in the background or without a "
        "terminal it shares the recorder's group, and a signal to that group reaches both.\n"
        "SIGTERM and SIGHUP are passed on; the recorder waits for the program's end, writes the trace, says so and "
        "dies by "
        "that signal.\n"
        "With --max-events or --duration the recording ends there in the same way. With --start-after it begins later: "
        "the trace first makes the blocks that are alive then. The description says so.\n"
        "With --time every event has the time at which an allocation returned or a free was called, since the "
        "recording began. It never goes back: where the clocks of two threads and the order of their events disagree, "
        "the order is right. Waiting for the recorder, where there is any, is in it.\n"
        "A full disk, a removed output or want of memory ends the recording, not the program: the reason is told, what "
        "came "
        "before is kept as a whole trace, and the exit code is 2. Of a recorder that is killed the files under way "
        "stay, "
        "NAME.yaml.PID-N.tmp and its events; check --repair mends them. Events are written at least every two seconds, "
        "so "
        "that only the last ones are missing.\n"
        "Exit code 0: the trace was written, whatever the program's own exit code was (a warning tells); 2: it was "
        "not: "
        "statically linked or setuid program, interpreter run with PYTHONMALLOC or -X dev, no event at all, no "
        "space.\n",
    .examples = "  mmreplay record -o app.yaml -- ./app --input data.txt\n"
                "  mmreplay record -o batch.yaml --description 'nightly batch' -- python3 batch.py\n"
                "  mmreplay record -o first.yaml --max-events 10M -- ./server\n"
                "  mmreplay record --follow -o build.yaml -- make -j4\n"
                "  mmreplay record -o phases.yaml --time -- ./app\n"
                "  mmreplay record -- sh -c 'ulimit -s unlimited; exec ./solver'\n",
    .options = record_options,
    .values_bytes = sizeof(struct record_values),
    .defaults = &record_defaults,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .ends_at_operand = true,
    .run = record_main,
};
