#include "cli/info_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/info_sections.h"
#include "cli/message.h"
#include "core/base/shown.h"

enum { LINE_BYTES = 1024 };

static void wrapped_row(const char *label, const char *text, size_t width) {
    char lead[64];
    char *copy = text && *text ? strdup(text) : NULL;
    if (!copy)
        return;
    snprintf(lead, sizeof lead, "  %-14s ", label);
    text_wrap_print(lead, text_make_shown(copy), width, stdout);
    free(copy);
}

static void count_row(const char *label, uint64_t count) {
    char text[UNITS_TEXT_BYTES];
    info_row_print(label, units_format_count(count, text));
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
           units_format_count(blocks, blocks_text), units_plural(blocks));
}

static void events_row(const struct trace_info *info, uint64_t event_count, size_t width) {
    char text[LINE_BYTES];
    snprintf(text, sizeof text, "%s, %" PRIu64 " bytes, %.2f bytes/event", info->events_file, info->events_bytes,
             (double)info->events_bytes / (double)event_count);
    wrapped_row("events file", text, width);
}

static void times_line(const struct trace_info *info, const struct trace_summary *summary,
                       const struct info_page *page) {
    double seconds = (double)(summary->time_last_ns - summary->time_first_ns) / 1e9;
    char resolution[UNITS_TEXT_BYTES + 32] = "";
    if (!summary->timed_count || seconds <= 0)
        return;
    if (info->capture_clock_resolution_ns)
        snprintf(resolution, sizeof resolution, ", in steps of %s", DURATION(info->capture_clock_resolution_ns));
    page_line(page, "time", "%s from the first event to the last%s: %s operations and %s requested a second",
              DURATION(summary->time_last_ns - summary->time_first_ns), resolution,
              COUNT(whole_of((double)summary->operation_count / seconds)),
              BYTES(whole_of((double)summary->requested_bytes / seconds)));
}

static void arenas_line(const struct trace_info *info, const struct info_page *page) {
    if (info->capture_arena_count)
        page_line(page, "arenas", "%s of %s obtained by CPython", COUNT(info->capture_arena_count),
                  BYTES(info->capture_arena_bytes));
}

void info_text_head(const struct trace_info *info, const struct trace_summary *summary, const struct info_page *page) {
    shown_print(info->name ? info->name : "(no name)");
    putchar('\n');
    wrapped_row("what", info->description, page->width);
    wrapped_row("command", info->program_command, page->width);
    info_row_print("version", info->program_version);
    info_row_print("interpreter", info->program_interpreter);
    info_row_print("captured", info->capture_date);
    info_row_print("cpu", info->capture_cpu);
    info_row_print("kernel", info->capture_kernel);
    info_row_print("libc", info->capture_libc);
    info_row_print("ended", info->capture_end);
    arenas_line(info, page);
    if (info->capture_lost_count)
        count_row("events lost", info->capture_lost_count);
    if (info->capture_refused_count)
        count_row("refused", info->capture_refused_count);
    if (info->capture_inherited_blocks)
        bytes_row("inherited", info->capture_inherited_bytes, info->capture_inherited_blocks);
    times_line(info, summary, page);
    if (info->events_bytes && summary->event_count)
        events_row(info, summary->event_count, page->width);
}

void info_text_summary(const struct trace_summary *summary) {
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
    info_row_print("requested", units_format_bytes(summary->requested_bytes, text));
    info_row_print("largest", units_format_bytes(summary->largest_request_bytes, text));
}

enum err info_text_analysis(const struct analysis_result *result, const struct info_page *page) {
    static enum err (*const sections[])(const struct analysis_result *, const struct info_page *) = {
        info_operations_print, info_live_print,     info_sizes_print,   info_requests_print,
        info_lives_print,      info_reallocs_print, info_threads_print,
    };
    enum err err = ERR_OK;
    if (!result->summary.operation_count) {
        puts("\nno operations");
        return ERR_OK;
    }
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && !err; i++)
        err = sections[i](result, page);
    return err;
}
