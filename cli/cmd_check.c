#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "core/base/units.h"
#include "formats/format.h"
#include "traces/tracker.h"

struct check_values {
    bool quiet;
};

static const struct option_spec check_options[] = {
    {"quiet", 'q', OPTION_FLAG, NULL, offsetof(struct check_values, quiet), "print nothing for valid traces"},
    {0},
};

/* What the description says against what the events say. */
static enum err summary_compare(const char *path, const struct trace_summary *stated,
                                const struct trace_summary *counted, struct diag *diag) {
    if (!stated->event_count || memcmp(stated, counted, sizeof *stated) == 0)
        return ERR_OK;
    return diag_set(diag, ERR_INVALID, path,
                    "the summary contradicts the events (%" PRIu64 " events stated, %" PRIu64
                    " counted; live peak %" PRIu64 " bytes stated, %" PRIu64 " counted)",
                    stated->event_count, counted->event_count, stated->live_peak_bytes, counted->live_peak_bytes);
}

static enum err trace_check(const char *path, struct trace_summary *counted, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct tracker *tracker = NULL;
    struct event_source events;
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    err = trace_reader_events(reader, &events, diag);
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

static int check_run(const void *values, char **operands, size_t operand_count) {
    const struct check_values *options = values;
    int worst = EXIT_CODE_DONE;
    for (size_t i = 0; i < operand_count; i++) {
        struct diag diag;
        struct trace_summary summary = {0};
        enum err err = trace_check(operands[i], &summary, &diag);
        int code = check_code(err);
        char events[UNITS_TEXT_BYTES], blocks[UNITS_TEXT_BYTES];
        if (err)
            message_error(&diag);
        else if (!options->quiet)
            printf("%s: valid: %s events, %s blocks left alive\n", operands[i],
                   units_format_count(summary.event_count, events),
                   units_format_count(summary.live_end_blocks, blocks));
        if (code > worst)
            worst = code;
    }
    return worst;
}

const struct command command_check = {
    .name = "check",
    .operands = "TRACE…",
    .summary = "validate traces",
    .description =
        "Reads each trace to its end: the description's keys and types, the events file's checksum, every member of "
        "it, every event (frees and reallocs of blocks that are alive, sizes, threads), and the summary against what "
        "was counted.\n"
        "Exit code 0: all valid; 1: at least one is not (told on stderr); 2: at least one could not be read.\n",
    .examples = "  mmreplay check traces/samples/*.yaml\n"
                "  mmreplay check -q app.yaml && echo good\n",
    .options = check_options,
    .values_bytes = sizeof(struct check_values),
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = check_run,
};
