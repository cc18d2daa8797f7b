#include <inttypes.h>
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "core/base/units.h"
#include "formats/format.h"
#include "traces/tracker.h"

static const struct option_spec info_options[] = {{0}};

static void text_row(const char *label, const char *text) {
    if (!text || !*text)
        return;
    printf("  %-14s ", label);
    shown_print(text);
    putchar('\n');
}

static void count_row(const char *label, uint64_t count) {
    char text[UNITS_TEXT_BYTES];
    text_row(label, units_format_count(count, text));
}

static void share_row(const char *label, uint64_t count, uint64_t whole) {
    char text[UNITS_TEXT_BYTES];
    if (count)
        printf("  %-14s %14s  %5.1f %%\n", label, units_format_count(count, text),
               100.0 * (double)count / (double)whole);
}

static void bytes_row(const char *label, uint64_t bytes, uint64_t blocks) {
    char bytes_text[UNITS_TEXT_BYTES], blocks_text[UNITS_TEXT_BYTES];
    printf("  %-14s %s in %s block%s\n", label, units_format_bytes(bytes, bytes_text),
           units_format_count(blocks, blocks_text), blocks == 1 ? "" : "s");
}

static void events_row(const struct trace_info *info, uint64_t event_count) {
    printf("  %-14s ", "events file");
    shown_print(info->events_file);
    printf(", %" PRIu64 " bytes, %.2f bytes/event\n", info->events_bytes,
           (double)info->events_bytes / (double)event_count);
}

static void summary_print(const struct trace_summary *summary) {
    char text[UNITS_TEXT_BYTES];
    count_row("operations", summary->operation_count);
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        share_row(event_kind_names[kind], summary->kind_counts[kind], summary->event_count);
    for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
        char label[32];
        snprintf(label, sizeof label, "domain %s", domain_names[domain]);
        share_row(label, summary->domain_counts[domain], summary->operation_count);
    }
    share_row("free(NULL)", summary->free_null_count, summary->operation_count);
    share_row("realloc(NULL)", summary->realloc_null_count, summary->operation_count);
    share_row("cross-thread", summary->cross_thread_count, summary->operation_count);
    count_row("threads", summary->thread_count);
    bytes_row("live peak", summary->live_peak_bytes, summary->live_peak_blocks);
    bytes_row("live at end", summary->live_end_bytes, summary->live_end_blocks);
    text_row("requested", units_format_bytes(summary->requested_bytes, text));
    text_row("largest", units_format_bytes(summary->largest_request_bytes, text));
}

static void info_print(const struct trace_info *info, const struct trace_summary *summary) {
    shown_print(info->name ? info->name : "(no name)");
    putchar('\n');
    text_row("what", info->description);
    text_row("command", info->program_command);
    text_row("version", info->program_version);
    text_row("interpreter", info->program_interpreter);
    text_row("captured", info->capture_date);
    text_row("cpu", info->capture_cpu);
    text_row("kernel", info->capture_kernel);
    text_row("libc", info->capture_libc);
    text_row("ended", info->capture_end);
    if (info->capture_lost_count)
        count_row("events lost", info->capture_lost_count);
    if (info->capture_refused_count)
        count_row("refused", info->capture_refused_count);
    if (info->capture_inherited_blocks)
        bytes_row("inherited", info->capture_inherited_bytes, info->capture_inherited_blocks);
    if (info->events_bytes && summary->event_count)
        events_row(info, summary->event_count);
    summary_print(summary);
}

/* Foreign files state no summary: read them through. */
static enum err summary_count(struct trace_reader *reader, struct trace_summary *out, struct diag *diag) {
    struct tracker *tracker = NULL;
    struct event_source events;
    enum err err = trace_reader_events(reader, &events, diag);
    if (err)
        return err;
    if (tracker_create(&tracker))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    err = tracker_run(tracker, &events, diag);
    if (!err)
        *out = *tracker_summary(tracker);
    tracker_destroy(tracker);
    return err;
}

static int trace_print(const char *path) {
    struct trace_reader *reader = NULL;
    struct diag diag;
    enum err err = trace_reader_open(path, &reader, &diag);
    if (err)
        return message_error(&diag);
    struct trace_summary summary = trace_reader_info(reader)->summary;
    if (!summary.event_count)
        err = summary_count(reader, &summary, &diag);
    if (err)
        message_error(&diag);
    else
        info_print(trace_reader_info(reader), &summary);
    trace_reader_close(reader);
    return err ? EXIT_CODE_FAILURE : EXIT_CODE_DONE;
}

static int info_run(const void *values, char **operands, size_t operand_count) {
    (void)values;
    int worst = EXIT_CODE_DONE;
    for (size_t i = 0; i < operand_count; i++) {
        if (i)
            putchar('\n');
        int code = trace_print(operands[i]);
        if (code > worst)
            worst = code;
    }
    return worst;
}

const struct command command_info = {
    .name = "info",
    .operands = "TRACE…",
    .summary = "what is in a trace",
    .description = "Prints what the description of each trace says: the program, the capture, counts per kind and "
                   "domain, threads, peak of live bytes. The events are not read; use check for that.\n",
    .examples = "  mmreplay info traces/samples/python-batch.yaml\n",
    .options = info_options,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = info_run,
};
