#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/check_against.h"
#include "cli/check_repair.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/tree_list.h"
#include "compare/trace_arenas.h"
#include "core/base/units.h"
#include "formats/format.h"
#include "traces/tracker.h"

struct check_values {
    bool quiet;
    bool repair;
    const char *output;  /* of repair */
    const char *against; /* NULL: only validate */
    const char *pool;
    const char *residues;
    uint64_t stats_every;
};

static const struct check_values check_defaults = {.stats_every = 100000};

#define AT(field) offsetof(struct check_values, field)

static const struct option_spec check_options[] = {
    {"quiet", 'q', OPTION_FLAG, NULL, AT(quiet), "print nothing for valid traces, and where allocators agree"},
    {"repair", 0, OPTION_FLAG, NULL, AT(repair), "write what is whole in a damaged trace as a new trace (needs -o)"},
    {"output", 'o', OPTION_TEXT, "OUT.yaml", AT(output), "the new trace's description, its events beside it"},
    {"against", 0, OPTION_TEXT, "CPYTHON", AT(against),
     "hold the pool against a real CPython: cpython:3.11 or cpython:/path/libpython3.11.so.1.0"},
    {"stats-every", 0, OPTION_COUNT, "N", AT(stats_every),
     "operations between two comparisons of the statistics texts; 0: only at the end (default 100000)"},
    {"pool", 0, OPTION_TEXT, "SETTINGS", AT(pool),
     "of the pool, as behind pool: in 'mmreplay allocators' (default: those of CPython's version)"},
    {"residues", 0, OPTION_TEXT, "SIZE,…", AT(residues),
     "distances of the arenas from an aligned address, in turn: 0,4K,12K (default: those recorded, else 0)"},
    {0},
};

/* What the description says against what the events say. */
static enum err summary_compare(const char *path, const struct trace_summary *stated,
                                const struct trace_summary *counted, struct diag *diag) {
    if (!stated->event_count || memcmp(stated, counted, sizeof *stated) == 0)
        return ERR_OK;
    if (stated->timed_count != counted->timed_count || stated->time_first_ns != counted->time_first_ns ||
        stated->time_last_ns != counted->time_last_ns)
        return diag_set(diag, ERR_INVALID, path,
                        "the summary contradicts the events' times (%" PRIu64 " events from %" PRIu64 " to %" PRIu64
                        " ns stated, %" PRIu64 " from %" PRIu64 " to %" PRIu64 " counted)",
                        stated->timed_count, stated->time_first_ns, stated->time_last_ns, counted->timed_count,
                        counted->time_first_ns, counted->time_last_ns);
    return diag_set(diag, ERR_INVALID, path,
                    "the summary contradicts the events (%" PRIu64 " events stated, %" PRIu64
                    " counted; live peak %" PRIu64 " bytes stated, %" PRIu64 " counted)",
                    stated->event_count, counted->event_count, stated->live_peak_bytes, counted->live_peak_bytes);
}

static enum err trace_check(const char *path, struct trace_summary *counted, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct tracker *tracker = NULL;
    struct event_source events;
    struct trace_arenas arenas = {0};
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    err = trace_arenas_read(path, trace_reader_info(reader), &arenas, diag);
    trace_arenas_clear(&arenas);
    if (!err)
        err = trace_reader_timed_events(reader, &events, diag);
    if (!err && (err = tracker_create(&tracker)))
        diag_set(diag, err, NULL, "out of memory");
    if (!err)
        err = tracker_run(tracker, &events, diag);
    if (!err)
        err = summary_compare(path, &trace_reader_info(reader)->summary, tracker_summary(tracker), diag);
    if (!err)
        *counted = *tracker_summary(tracker);
    tracker_destroy(tracker);
    trace_reader_close(reader);
    return err;
}

/* A file that cannot be read is a failure; one that can be and is no good trace is the answer "no". */
static int check_code(enum err err) {
    switch (err) {
    case ERR_OK:
        return EXIT_CODE_DONE;
    case ERR_NOT_FOUND:
    case ERR_IO:
    case ERR_NOMEM:
        return EXIT_CODE_FAILURE;
    default:
        return EXIT_CODE_NO;
    }
}

static void valid_print(const char *path, const struct trace_summary *summary) {
    char events[UNITS_TEXT_BYTES], blocks[UNITS_TEXT_BYTES];
    shown_print(path);
    printf(": valid: %s event%s, %s block%s left alive\n", units_format_count(summary->event_count, events),
           summary->event_count == 1 ? "" : "s", units_format_count(summary->live_end_blocks, blocks),
           summary->live_end_blocks == 1 ? "" : "s");
}

/* Tells on stdout that the trace is valid, unless `quiet`. @return an exit code. */
static int validity_tell(const char *path, bool quiet) {
    struct diag diag;
    struct trace_summary summary = {0};
    enum err err = trace_check(path, &summary, &diag);
    if (err)
        message_error(&diag);
    if (err == ERR_NOT_FOUND)
        check_unfinished_tell(path);
    if (!err && !quiet)
        valid_print(path, &summary);
    return check_code(err);
}

static int repair_run(const struct check_values *options, char **operands, size_t operand_count) {
    struct trace_summary summary;
    struct diag diag;
    if (!options->output)
        return message_failure("check: --repair needs -o OUT.yaml: the damaged trace stays as it is");
    if (operand_count != 1 || options->against)
        return message_failure("check: --repair mends one trace, and does nothing else");
    bool is_valid = trace_check(operands[0], &summary, &diag) == ERR_OK;
    return check_repair_run(operands[0], options->output, is_valid ? NULL : &diag, options->quiet);
}

static int check_run(const void *values, char **operands, size_t operand_count) {
    const struct check_values *options = values;
    struct check_against against = {.stats_every = options->stats_every, .quiet = options->quiet};
    struct tree_operands traces;
    int worst = EXIT_CODE_DONE;
    if (options->repair)
        return repair_run(options, operands, operand_count);
    if (options->output)
        return message_failure("check: -o is for --repair");
    if (options->against) {
        struct diag diag;
        if (check_against_open(options->against, options->pool, options->residues, &against, &diag))
            return message_error(&diag);
    }
    if (tree_operands_expand(operands, operand_count, &traces))
        return message_failure("out of memory");
    for (size_t i = 0; i < traces.count; i++) {
        int code = validity_tell(traces.paths[i], options->quiet || options->against);
        if (!code && options->against)
            code = check_against_run(&against, traces.paths[i]);
        if (code > worst)
            worst = code;
    }
    tree_operands_clear(&traces);
    return worst;
}

const struct command command_check = {
    .name = "check",
    .operands = "TRACE…",
    .summary = "validate traces; mend what can be mended",
    .description =
        "Reads each trace (of the list of a process tree: each one in it) to its end: the description's keys and "
        "types, the events file's checksum, every member of "
        "it, every event (frees and reallocs of blocks that are alive, sizes, threads, times that never go back), and "
        "the summary against what was counted.\n"
        "With --against, every mem, obj and c operation then goes to the pool and to the real allocator of that "
        "libpython, in lock-step in a process of its own; every block's place (the number of its arena and the offset "
        "in it) and the statistics texts must be equal. Raw-domain operations do not concern that allocator and are "
        "only counted. The first difference is told on stdout.\n"
        "With --repair, a new trace is written of the events that are whole: those of all members of the events file "
        "before the first damage, up to the first event that contradicts those before it. Its description keeps the "
        "texts of the old one and says what was lost; when that cannot be read, a short one is made from the events. "
        "What was kept and lost is told on stdout; exit code 0: the new trace was written; 2: it was not.\n"
        "Exit code 0: all valid, and in agreement; 1: at least one is not valid (told on stderr) or differs; 2: at "
        "least one could not be read, or there is no such libpython.\n",
    .examples = "  mmreplay check traces/samples/*.yaml\n"
                "  mmreplay check --against cpython:3.11 traces/samples/python-batch.yaml\n"
                "  mmreplay check --repair -o mended.yaml cut.yaml\n"
                "  mmreplay check -q app.yaml && echo good\n",
    .options = check_options,
    .values_bytes = sizeof(struct check_values),
    .defaults = &check_defaults,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = check_run,
};
