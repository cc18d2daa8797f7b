#include "compare/report_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/shown.h"
#include "core/base/units.h"

#include "compare/arena_parts.h"
#include "compare/text_table.h"

enum {
    COLUMN_NAME,
    COLUMN_NS,
    COLUMN_RATIO,
    COLUMN_FRAG_AVG,
    COLUMN_FRAG_LIVE_PEAK,
    COLUMN_FRAG_RESIDENT_PEAK,
    COLUMN_RESIDENT_PEAK,
    COLUMN_END,
    COLUMN_DRAINED,
    COLUMN_RETURN_TROUGH,
    COLUMN_RETURN_DRAINED,
    COLUMN_COUNT
};

static void heads_set(struct text_table *table, const char *const heads[COLUMN_COUNT]) {
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        text_table_set(table, i, "%s", heads[i]);
}

static enum err head_add(struct text_table *table, const struct report *report) {
    static const char *const first[COLUMN_COUNT] = {"",        "ns per operation", "",        "frag.",
                                                    "at live", "at RSS",           "RSS MiB", "RSS MiB",
                                                    "RSS MiB", "returned",         "returned"};
    static const char *const second[COLUMN_COUNT] = {
        "allocator", "median [95 %]", "", "mean", "peak", "peak", "peak", "at end", "drained", "trough", "drained"};
    enum err err = text_table_row(table);
    if (err)
        return err;
    heads_set(table, first);
    text_table_set(table, COLUMN_RATIO, "time / %s", report->experiment->results[0].allocator.name);
    err = text_table_row(table);
    if (err)
        return err;
    heads_set(table, second);
    text_table_set(table, COLUMN_RATIO, "paired [95 %%]");
    return ERR_OK;
}

/* Three significant digits of the value; its interval as fine as that. */
static int decimals_of(double value) {
    return value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
}

static void estimate_set(struct text_table *table, size_t column, const struct estimate *estimate) {
    int decimals = decimals_of(estimate->value);
    if (estimate->has_interval)
        text_table_set(table, column, "%.*f [%.*f, %.*f]", decimals, estimate->value, decimals, estimate->low, decimals,
                       estimate->high);
    else
        text_table_set(table, column, "%.*f", decimals, estimate->value);
}

/* How a column of the memory pass is written. */
enum cell_format { CELL_RATIO, CELL_MIB, CELL_PERCENT };

/*
 * As many of `decimals` as the memory passes agree on, give or take one in the last place; of a single pass, which
 * tells nothing about how far it can be trusted, one less than the most.
 */
static int decimals_deserved(const struct estimate *estimate, double scale, int decimals) {
    double spread = estimate->has_interval ? (estimate->high - estimate->low) * scale : 0;
    if (!estimate->has_interval && decimals)
        decimals--;
    while (decimals && spread > 1.000001 * pow(10, -decimals))
        decimals--;
    return decimals;
}

static void value_set(struct text_table *table, size_t column, const struct metric_value *value,
                      enum cell_format format) {
    static const double scales[] = {[CELL_RATIO] = 1, [CELL_MIB] = 1.0 / 1048576, [CELL_PERCENT] = 100};
    double number = value->estimate.value * scales[format];
    int most = format == CELL_PERCENT ? 1 : decimals_of(number) + (format == CELL_RATIO && number < 9.995);
    if (value->reason)
        text_table_set(table, column, "n/a");
    else
        text_table_set(table, column, "%.*f%s", decimals_deserved(&value->estimate, scales[format], most), number,
                       format == CELL_PERCENT ? " %" : "");
}

/* The columns of the memory pass, and how each is written. */
static const struct {
    size_t column;
    enum metric metric;
    enum cell_format format;
} memory_columns[] = {
    {COLUMN_FRAG_AVG, METRIC_FRAG_AVG, CELL_RATIO},
    {COLUMN_FRAG_LIVE_PEAK, METRIC_FRAG_AT_LIVE_PEAK, CELL_RATIO},
    {COLUMN_FRAG_RESIDENT_PEAK, METRIC_FRAG_AT_RESIDENT_PEAK, CELL_RATIO},
    {COLUMN_RESIDENT_PEAK, METRIC_RESIDENT_PEAK, CELL_MIB},
    {COLUMN_END, METRIC_END_RESIDENT, CELL_MIB},
    {COLUMN_DRAINED, METRIC_DRAINED_RESIDENT, CELL_MIB},
    {COLUMN_RETURN_TROUGH, METRIC_TROUGH_RETURN, CELL_PERCENT},
    {COLUMN_RETURN_DRAINED, METRIC_DRAINED_RETURN_QUIET, CELL_PERCENT},
};
enum { MEMORY_COLUMNS = sizeof memory_columns / sizeof memory_columns[0] };

/* What the column shows: of drained memory, that after the longest quiet time. */
static enum metric column_metric(const struct report *report, size_t i) {
    static const enum metric drained[WORKER_DRAIN_MAX + 1] = {METRIC_DRAINED_RESIDENT, METRIC_DRAINED_RESIDENT_100MS,
                                                              METRIC_DRAINED_RESIDENT_1S, METRIC_DRAINED_RESIDENT_5S};
    if (memory_columns[i].metric != METRIC_DRAINED_RESIDENT)
        return memory_columns[i].metric;
    return drained[experiment_drain_count(&report->experiment->options)];
}

static void measured_row_fill(struct text_table *table, const struct report *report, size_t index) {
    const struct metric_value *values = report->sets[index].values;
    if (values[METRIC_NS_PER_OP].reason)
        text_table_set(table, COLUMN_NS, "n/a");
    else
        estimate_set(table, COLUMN_NS, &values[METRIC_NS_PER_OP].estimate);
    if (!index)
        text_table_set(table, COLUMN_RATIO, "1");
    else if (!report->ratios[index].sample_count)
        text_table_set(table, COLUMN_RATIO, "n/a");
    else
        estimate_set(table, COLUMN_RATIO, &report->ratios[index]);
    for (size_t i = 0; i < MEMORY_COLUMNS; i++)
        value_set(table, memory_columns[i].column, &values[column_metric(report, i)], memory_columns[i].format);
}

static enum err row_add(struct text_table *table, const struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    enum err err = text_table_row(table);
    if (err)
        return err;
    text_table_set(table, COLUMN_NAME, "%s", result->allocator.name);
    if (result->status != RUN_DONE) {
        text_table_span(table, result->failure);
    } else if (result->allocator.backend == WORKER_NULL) {
        const struct metric_value *raw = &report->sets[index].values[METRIC_NS_PER_OP_RAW];
        if (!raw->reason)
            estimate_set(table, COLUMN_NS, &raw->estimate);
        text_table_set(table, COLUMN_RATIO, "subtracted");
    } else {
        measured_row_fill(table, report, index);
    }
    return ERR_OK;
}

static enum err main_table_print(const struct report *report, size_t width, FILE *out) {
    struct text_table *table = NULL;
    enum err err = text_table_create(COLUMN_COUNT, &table);
    if (!err)
        err = head_add(table, report);
    for (size_t i = 0; i < report->experiment->count && !err; i++)
        err = row_add(table, report, i);
    if (!err)
        text_table_print(table, width, out);
    text_table_destroy(table);
    return err;
}

/* The figures that can be n/a: the columns of the memory pass and, last, the time. */
static const char *shown_reason(const struct report *report, size_t index, size_t figure) {
    const struct allocator_result *result = &report->experiment->results[index];
    if (result->allocator.backend == WORKER_NULL || result->status != RUN_DONE)
        return NULL;
    enum metric metric = figure < MEMORY_COLUMNS ? column_metric(report, figure) : METRIC_NS_PER_OP;
    return report->sets[index].values[metric].reason;
}

static void text_add(char *text, size_t bytes, const char *separator, const char *word) {
    size_t used = strlen(text);
    snprintf(text + used, bytes - used, "%s%s", used ? separator : "", word);
}

/* "n/a: NAMES: KEYS: reason"; without the names when it concerns every row. */
static void reason_print(const struct report *report, const char *reason, size_t width, FILE *out) {
    char names[512] = "", keys[512] = "", text[1280];
    bool everyone = true;
    for (size_t i = 0; i < report->experiment->count; i++) {
        const struct allocator_result *result = &report->experiment->results[i];
        bool concerned = false;
        for (size_t figure = 0; figure <= MEMORY_COLUMNS; figure++)
            concerned = concerned || shown_reason(report, i, figure) == reason;
        if (concerned)
            text_add(names, sizeof names, ", ", result->allocator.name);
        everyone = everyone && (concerned || result->allocator.backend == WORKER_NULL);
    }
    for (size_t figure = 0; figure <= MEMORY_COLUMNS; figure++) {
        bool concerned = false;
        for (size_t i = 0; i < report->experiment->count; i++)
            concerned = concerned || shown_reason(report, i, figure) == reason;
        if (concerned)
            text_add(keys, sizeof keys, ", ",
                     metric_infos[figure < MEMORY_COLUMNS ? column_metric(report, figure) : METRIC_NS_PER_OP].key);
    }
    snprintf(text, sizeof text, "%s%s%s: %s", everyone ? "" : names, everyone ? "" : ": ", keys, reason);
    text_wrap_print("n/a: ", text, width, out);
}

/* Every distinct reason once. */
static void reasons_print(const struct report *report, size_t width, FILE *out) {
    for (size_t figure = 0; figure <= MEMORY_COLUMNS; figure++) {
        for (size_t i = 0; i < report->experiment->count; i++) {
            const char *reason = shown_reason(report, i, figure);
            bool told = !reason;
            for (size_t f = 0; f <= figure && !told; f++)
                for (size_t j = 0; j < (f == figure ? i : report->experiment->count) && !told; j++)
                    told = shown_reason(report, j, f) == reason;
            if (!told)
                reason_print(report, reason, width, out);
        }
    }
}

enum { COMMAND_SHOWN_BYTES = 200 };

static void program_line_print(const struct trace_info *info, size_t width, FILE *out) {
    char text[1024];
    const char *program = info->program_interpreter ? info->program_interpreter : info->program_version;
    const char *command = info->program_command ? info->program_command : "";
    bool cut = strlen(command) > COMMAND_SHOWN_BYTES;
    snprintf(text, sizeof text, "%.250s%s%.250s%s%.*s%s", info->name ? info->name : "(unnamed trace)",
             program ? ", " : "", program ? program : "", *command ? ": " : "", COMMAND_SHOWN_BYTES, command,
             cut ? " ..." : "");
    text_wrap_print("", text_make_shown(text), width, out);
}

static void trace_lines_print(const struct report *report, size_t width, FILE *out) {
    const struct trace_summary *summary = &report->experiment->program->header->summary;
    char operations[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES], blocks[UNITS_TEXT_BYTES], end[UNITS_TEXT_BYTES];
    char text[512];
    program_line_print(report->info, width, out);
    snprintf(text, sizeof text,
             "%s operation%s on %" PRIu64 " thread%s, live peak %s in at most %s block%s, %s live at the end",
             units_format_count(summary->operation_count, operations), summary->operation_count == 1 ? "" : "s",
             summary->thread_count, summary->thread_count == 1 ? "" : "s",
             units_format_bytes(summary->live_peak_bytes, peak), units_format_count(summary->live_peak_blocks, blocks),
             summary->live_peak_blocks == 1 ? "" : "s", units_format_bytes(summary->live_end_bytes, end));
    text_wrap_print("  ", text, width, out);
    if (summary->thread_count <= 1)
        return;
    snprintf(text, sizeof text,
             "the program ran %" PRIu64
             " threads; all of it is replayed on one, in the recorded order: per-thread caches, "
             "remote frees and contention are not in these figures",
             summary->thread_count);
    text_wrap_print("  ", text, width, out);
}

void report_text_machine_print(const struct experiment *experiment, size_t width, FILE *out) {
    const struct environment *environment = &experiment->environment;
    char text[4096], cpu[32] = "no cpu pinned";
    if (environment->pinned_cpu >= 0)
        snprintf(cpu, sizeof cpu, "pinned to cpu %d", environment->pinned_cpu);
    snprintf(text, sizeof text,
             "%s, %d cpu%s%s, %s, %s; %s, ASLR %s, huge pages %s%s%s; %" PRIu32 " of %" PRIu32 " round%s%s%s%s",
             environment->cpu[0] ? environment->cpu : "unknown cpu", environment->cpu_count,
             environment->cpu_count == 1 ? "" : "s", environment->virtual_machine ? " (virtual machine)" : "",
             environment->kernel, environment->libc, cpu, environment->aslr[0] ? environment->aslr : "unknown",
             environment->thp[0] ? environment->thp : "unknown", environment->governor[0] ? ", governor " : "",
             environment->governor, experiment->rounds_done, experiment->options.rounds,
             experiment->options.rounds == 1 ? "" : "s", experiment->options.touch ? "" : ", blocks not touched",
             environment->settings[0] ? ", with " : "", environment->settings);
    text_wrap_print("on ", text, width, out);
}

/* The split at the live peak and at the end, side by side, with its sum below. */
static enum err split_table_print(const struct worker_sample *const at[2], size_t width, FILE *out) {
    struct text_table *table = NULL;
    enum err err = text_table_create(5, &table);
    if (!err)
        err = text_table_row(table);
    if (!err) {
        text_table_set(table, 0, "  bytes of arenas");
        text_table_set(table, 1, "at live peak");
        text_table_set(table, 3, "at the end");
    }
    for (size_t i = 0; i <= ARENA_PART_COUNT && !err; i++) {
        err = text_table_row(table);
        if (err)
            break;
        text_table_set(table, 0, "  %s", i < ARENA_PART_COUNT ? arena_parts[i].label : "= arenas x arena size");
        for (size_t j = 0; j < 2; j++) {
            uint64_t total = at[j]->split.arena_bytes_total;
            uint64_t bytes = i < ARENA_PART_COUNT ? arena_parts[i].get(at[j]) : total;
            char count[UNITS_TEXT_BYTES];
            text_table_set(table, 1 + 2 * j, "%s", units_format_count(bytes, count));
            if (total)
                text_table_set(table, 2 + 2 * j, "%5.1f %%", 100 * (double)bytes / (double)total);
        }
    }
    if (!err)
        text_table_print(table, width, out);
    text_table_destroy(table);
    return err;
}

static void pins_line_print(const char *when, const struct worker_pins *pins, size_t align_bytes, size_t width,
                            FILE *out) {
    if (!pins->taken || !pins->arena_count)
        return;
    char text[1024];
    uint64_t sparse = pins->occupancy[0];
    uint64_t sole = 0;
    size_t most = 0;
    for (size_t i = 0; i < pins->class_count; i++) {
        sole += pins->class_sole_arenas[i];
        if (pins->class_arenas[i] > pins->class_arenas[most])
            most = i;
    }
    int used = snprintf(text, sizeof text,
                        "%" PRIu64 " arena%s %s: %" PRIu64 " empty, %" PRIu64 " less than a tenth full, %" PRIu64
                        " held by a single size class",
                        pins->arena_count, pins->arena_count == 1 ? "" : "s", when, pins->empty_count, sparse, sole);
    if (pins->class_count && pins->class_arenas[most])
        snprintf(text + used, sizeof text - (size_t)used,
                 "; blocks of %zu bytes hold the most: %" PRIu64 " arena%s with %" PRIu64 " of them",
                 (most + 1) * align_bytes, pins->class_arenas[most], pins->class_arenas[most] == 1 ? "" : "s",
                 pins->class_blocks[most]);
    text_wrap_print("  ", text, width, out);
}

/* What it is, where its name does not say it: "as pool:3.14, ", or nothing. */
static const char *settings_describe(const struct allocator *allocator, char *buffer, size_t buffer_bytes) {
    const char *stated = strchr(allocator->name, ':');
    size_t length = strlen(allocator->settings);
    bool is_stated = stated && strncmp(stated + 1, allocator->settings, length) == 0 &&
                     (!stated[1 + length] || stated[1 + length] == '+');
    buffer[0] = 0;
    if (length && !is_stated)
        snprintf(buffer, buffer_bytes, "as pool:%s, ", allocator->settings);
    return buffer;
}

/* Where a pool's arenas lay, as far as that is not what its settings say; and why not where they were recorded. */
static const char *arenas_describe(const struct report *report, size_t index, char *buffer, size_t buffer_bytes) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct worker_reply *reply = &result->memories[0].reply;
    const struct trace_arenas *recorded = report->experiment->options.arenas;
    char strayed[UNITS_TEXT_BYTES];
    buffer[0] = '\0';
    if (!recorded || !recorded->list.count || result->allocator.backend != WORKER_POOL)
        return buffer;
    if (reply->arenas == WORKER_ARENAS_RECORDED && !reply->arenas_strayed_count)
        snprintf(buffer, buffer_bytes, ", where those of the recorded %s lay", recorded->interpreter);
    else if (reply->arenas == WORKER_ARENAS_RECORDED)
        snprintf(buffer, buffer_bytes, ", where those of the recorded %s lay but for %s, of which nothing was recorded",
                 recorded->interpreter, units_format_count(reply->arenas_strayed_count, strayed));
    else if (reply->arenas == WORKER_ARENAS_RESIDUES)
        snprintf(buffer, buffer_bytes, ", each as far into a pool as those of the recorded %s", recorded->interpreter);
    else
        snprintf(buffer, buffer_bytes, ", not where those of the recorded %s lay", recorded->interpreter);
    return buffer;
}

static enum err pool_print(const struct report *report, size_t index, size_t width, FILE *out) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct metric_value *values = report->sets[index].values;
    const struct worker_sample *const at[2] = {report_peak_sample(report, index), report_end_sample(report, index)};
    const struct pool_config *config = &result->probe.pool;
    char settings[POOL_CONFIG_TEXT_BYTES + 16], arena[UNITS_TEXT_BYTES], pool[UNITS_TEXT_BYTES], places[192],
        text[POOL_CONFIG_TEXT_BYTES + 768];
    if (!at[0] || !at[1])
        return ERR_OK;
    const struct pool_counts *counts = &at[1]->counts;
    int used = snprintf(
        text, sizeof text, "%s%sarenas of %s in pools of %s%s: %" PRIu64 " mapped, %" PRIu64 " returned",
        result->allocator.debug_hooks
            ? "debug hooks add 24 bytes to a block (48 to one too large for pools), here part of the rounding; "
            : "",
        settings_describe(&result->allocator, settings, sizeof settings),
        units_format_bytes(config->arena_bytes, arena), units_format_bytes(config->pool_bytes, pool),
        arenas_describe(report, index, places, sizeof places), counts->arenas_mapped_count,
        counts->arenas_returned_count);
    if (!values[METRIC_ARENA_RETURN].reason)
        used += snprintf(text + used, sizeof text - (size_t)used, " (%.1f %%)",
                         100 * values[METRIC_ARENA_RETURN].estimate.value);
    used += snprintf(text + used, sizeof text - (size_t)used,
                     ", %" PRIu64 " at most, %" PRIu64 " at the end, %" PRIu64 " after the drain",
                     counts->arenas_peak_count, counts->arenas_count,
                     result->memories[0].reply.drained[0].counts.arenas_count);
    if (!values[METRIC_ARENA_FRAG_AVG].reason)
        snprintf(text + used, sizeof text - (size_t)used, "; arena bytes / live bytes in arenas %.3f on average",
                 values[METRIC_ARENA_FRAG_AVG].estimate.value);
    char lead[ALLOCATOR_NAME_BYTES + 2];
    snprintf(lead, sizeof lead, "%s: ", result->allocator.name);
    fputc('\n', out);
    text_wrap_print(lead, text, width, out);
    enum err err = split_table_print(at, width, out);
    pins_line_print("at the lowest live bytes after the peak", &result->memories[0].reply.pins_at_trough,
                    config->align_bytes, width, out);
    pins_line_print("at the end", &result->memories[0].reply.pins_at_end, config->align_bytes, width, out);
    return err;
}

static void warnings_print(const struct report *report, size_t width, FILE *out) {
    for (size_t i = 0; i < report->warning_count; i++) {
        if (!i)
            fputc('\n', out);
        text_wrap_print("warning: ", report->warnings[i].text, width, out);
    }
    if (report->experiment->interrupted)
        text_wrap_print("warning: ", "interrupted: only what had been measured by then is shown", width, out);
}

enum err report_text_print(const struct report *report, size_t width, FILE *out) {
    trace_lines_print(report, width, out);
    fputc('\n', out);
    enum err err = main_table_print(report, width, out);
    reasons_print(report, width, out);
    for (size_t i = 0; i < report->experiment->count && !err; i++)
        if (worker_backend_has_arenas(report->experiment->results[i].allocator.backend))
            err = pool_print(report, i, width, out);
    warnings_print(report, width, out);
    return err;
}

void report_text_legend_print(const struct experiment_options *options, size_t width, FILE *out) {
    char text[1024], quiet[UNITS_TEXT_BYTES + 16] = "at once", duration[UNITS_TEXT_BYTES];
    uint32_t drains = experiment_drain_count(options);
    if (drains)
        snprintf(quiet, sizeof quiet, "after %s of quiet",
                 units_format_duration(experiment_drain_ns[drains - 1], duration));
    snprintf(text, sizeof text,
             "ns per operation: median of the rounds, the null allocator's time subtracted. frag.: resident / live "
             "bytes, mean over the trace and at the two peaks. RSS: anonymous resident memory at its peak, at the end "
             "of the trace, and drained: when what the trace left alive is freed too, %s. returned, trough: of what "
             "could have gone back by the lowest live bytes after the live peak (peak RSS until then - live), the "
             "share that did; drained: 1 - drained RSS / peak RSS. Memory: median of %" PRIu32 " pass%s.",
             quiet, options->memory_rounds, options->memory_rounds == 1 ? "" : "es");
    text_wrap_print("", text, width, out);
}
