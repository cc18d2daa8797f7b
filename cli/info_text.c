#include "cli/info_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bars.h"
#include "cli/message.h"
#include "compare/text_table.h"
#include "core/base/shown.h"
#include "core/base/units.h"

enum { LINE_BYTES = 1024, SHOWN_THREADS = 10, SHOWN_PAIRS = 10, CURVE_PARTS = 10, BAR_CELLS_MIN = 4 };

/* ---- lines ---- */

static void text_row(const char *label, const char *text) {
    if (!text || !*text)
        return;
    printf("  %-14s ", label);
    shown_print(text);
    putchar('\n');
}

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

static void events_row(const struct trace_info *info, uint64_t event_count, size_t width) {
    char text[LINE_BYTES];
    snprintf(text, sizeof text, "%s, %" PRIu64 " bytes, %.2f bytes/event", info->events_file, info->events_bytes,
             (double)info->events_bytes / (double)event_count);
    wrapped_row("events file", text, width);
}

/* A line of a section, wrapped; `label` begins it. */
__attribute__((format(printf, 3, 4))) static void section_line(const struct info_page *page, const char *label,
                                                               const char *format, ...) {
    char text[LINE_BYTES], lead[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(lead, sizeof lead, "  %-14s ", label);
    text_wrap_print(lead, text, page->width, stdout);
}

/* ---- small formats ---- */

struct short_text {
    char text[UNITS_TEXT_BYTES];
};

static struct short_text count_text(uint64_t count) {
    struct short_text text;
    units_format_count(count, text.text);
    return text;
}

static struct short_text bytes_text(uint64_t bytes) {
    struct short_text text;
    units_format_bytes(bytes, text.text);
    return text;
}

static struct short_text duration_text(uint64_t ns) {
    struct short_text text;
    units_format_duration(ns, text.text);
    return text;
}

#define DURATION(ns) (duration_text(ns).text)
#define COUNT(count) (count_text(count).text)
#define BYTES(count) (bytes_text(count).text)

static double percent_of(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *plural_of(uint64_t count) {
    return count == 1 ? "" : "s";
}

/* A bound of a row: 512, 1K, 64K, 4M; what is no whole number of units stays as it is. */
static struct short_text bound_text(uint64_t bound) {
    static const char letters[] = "KMGTPE";
    struct short_text text;
    size_t unit = 0;
    while (bound && bound % 1024 == 0 && unit < sizeof letters - 1) {
        bound /= 1024;
        unit++;
    }
    if (unit)
        snprintf(text.text, sizeof text.text, "%" PRIu64 "%c", bound, letters[unit - 1]);
    else
        units_format_count(bound, text.text);
    return text;
}
#define BOUND(bound) (bound_text(bound).text)

/* What all numbers of an octave are below. */
static struct short_text octave_bound_text(uint32_t octave) {
    return octave < 64 ? bound_text((uint64_t)1 << octave) : (struct short_text){"16E"};
}

/* ---- what the description says ---- */

static void times_line(const struct trace_info *info, const struct trace_summary *summary,
                       const struct info_page *page) {
    double seconds = (double)(summary->time_last_ns - summary->time_first_ns) / 1e9;
    char resolution[UNITS_TEXT_BYTES + 32] = "";
    if (!summary->timed_count || seconds <= 0)
        return;
    if (info->capture_clock_resolution_ns)
        snprintf(resolution, sizeof resolution, ", in steps of %s", DURATION(info->capture_clock_resolution_ns));
    section_line(page, "time", "%s from the first event to the last%s: %s operations and %s requested a second",
                 DURATION(summary->time_last_ns - summary->time_first_ns), resolution,
                 COUNT((uint64_t)((double)summary->operation_count / seconds)),
                 BYTES((uint64_t)((double)summary->requested_bytes / seconds)));
}

static void arenas_line(const struct trace_info *info, const struct info_page *page) {
    if (info->capture_arena_count)
        section_line(page, "arenas", "%s of %s obtained by CPython", COUNT(info->capture_arena_count),
                     BYTES(info->capture_arena_bytes));
}

void info_text_head(const struct trace_info *info, const struct trace_summary *summary, const struct info_page *page) {
    shown_print(info->name ? info->name : "(no name)");
    putchar('\n');
    wrapped_row("what", info->description, page->width);
    wrapped_row("command", info->program_command, page->width);
    text_row("version", info->program_version);
    text_row("interpreter", info->program_interpreter);
    text_row("captured", info->capture_date);
    text_row("cpu", info->capture_cpu);
    text_row("kernel", info->capture_kernel);
    text_row("libc", info->capture_libc);
    text_row("ended", info->capture_end);
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
    text_row("requested", units_format_bytes(summary->requested_bytes, text));
    text_row("largest", units_format_bytes(summary->largest_request_bytes, text));
}

/* ---- tables: the first fault stays, and nothing more is done ---- */

struct info_table {
    const struct info_page *page;
    struct text_table *table;
    size_t columns;
    size_t row_count;
    uint64_t bar_whole;                /* what a full bar stands for; 0: no bars */
    uint64_t bars[SIZE_CLASS_MAX + 1]; /* of each row; drawn in the end, as long as the page has room */
    enum err err;
};

/* @param bar_whole of bars behind the last column, see struct info_table. */
static void table_begin(struct info_table *table, const struct info_page *page, size_t columns, uint64_t bar_whole) {
    memset(table, 0, sizeof *table);
    table->page = page;
    table->columns = columns;
    table->bar_whole = page->draws ? bar_whole : 0;
    table->err = text_table_create(columns + (table->bar_whole != 0), &table->table);
    if (!table->err && table->bar_whole)
        text_table_left(table->table, columns);
}

/* A row: its first cell, indented. */
__attribute__((format(printf, 2, 3))) static void table_row(struct info_table *table, const char *format, ...) {
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!table->err)
        table->err = text_table_row(table->table);
    if (!table->err) {
        text_table_set(table->table, 0, "  %s", text);
        table->row_count++;
    }
}

static void cell_text(struct info_table *table, size_t column, const char *text) {
    if (!table->err)
        text_table_set(table->table, column, "%s", text);
}

static void cell_count(struct info_table *table, size_t column, uint64_t count) {
    cell_text(table, column, COUNT(count));
}

static void cell_share(struct info_table *table, size_t column, uint64_t part, uint64_t whole) {
    if (!table->err && whole)
        text_table_set(table->table, column, "%.1f %%", percent_of(part, whole));
}

static void cell_bar(struct info_table *table, uint64_t value) {
    if (!table->err && table->row_count <= SIZE_CLASS_MAX)
        table->bars[table->row_count - 1] = value;
}

static void bars_draw(struct info_table *table) {
    char bar[BAR_BYTES];
    size_t used = text_table_width(table->table), room = table->page->width > used ? table->page->width - used : 0;
    unsigned cells = room < BAR_CELLS_MAX ? (unsigned)room : BAR_CELLS_MAX;
    for (size_t row = 0; row < table->row_count && row <= SIZE_CLASS_MAX && cells >= BAR_CELLS_MIN; row++)
        text_table_set_at(table->table, row, table->columns,
                          bar_format(table->bars[row], table->bar_whole, cells, bar));
}

static void head_set(struct info_table *table, const char *const *heads) {
    table_row(table, "%s", heads[0]);
    for (size_t i = 1; i < table->columns; i++)
        cell_text(table, i, heads[i]);
}

static enum err table_end(struct info_table *table) {
    if (!table->err && table->bar_whole)
        bars_draw(table);
    if (!table->err)
        text_table_print(table->table, table->page->width, stdout);
    text_table_destroy(table->table);
    return table->err;
}

static void section_begin(const char *title) {
    printf("\n%s\n", title);
}

/* ---- operations ---- */

static size_t domains_find(const struct analysis_result *result, enum domain used[DOMAIN_COUNT]) {
    size_t count = 0;
    for (int domain = 0; domain < DOMAIN_COUNT; domain++)
        if (result->summary.domain_counts[domain])
            used[count++] = (enum domain)domain;
    return count;
}

static void kind_rows(struct info_table *table, const struct analysis_result *result, const enum domain *used,
                      size_t used_count) {
    for (int kind = 0; kind <= EVENT_FREE; kind++) {
        if (!result->summary.kind_counts[kind])
            continue;
        table_row(table, "%s", event_kind_names[kind]);
        cell_count(table, 1, result->summary.kind_counts[kind]);
        cell_share(table, 2, result->summary.kind_counts[kind], result->summary.operation_count);
        for (size_t i = 0; i < used_count; i++)
            cell_count(table, 3 + i, result->domains[used[i]].kind_counts[kind]);
    }
}

static void domain_rows(struct info_table *table, const struct analysis_result *result, const enum domain *used,
                        size_t used_count) {
    const struct trace_summary *summary = &result->summary;
    static const char *const labels[] = {"= operations", "bytes requested", "live bytes at their peak",
                                         "live bytes at the end"};
    const uint64_t totals[] = {summary->operation_count, summary->requested_bytes, summary->live_peak_bytes,
                               summary->live_end_bytes};
    for (size_t row = 0; row < sizeof totals / sizeof totals[0]; row++) {
        table_row(table, "%s", labels[row]);
        cell_count(table, 1, totals[row]);
        for (size_t i = 0; i < used_count; i++) {
            const struct analysis_domain *domain = &result->domains[used[i]];
            const uint64_t parts[] = {summary->domain_counts[used[i]], domain->requested_bytes, domain->peak.bytes,
                                      domain->end.bytes};
            cell_count(table, 3 + i, parts[row]);
        }
    }
}

static enum err operations_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    enum domain used[DOMAIN_COUNT];
    size_t used_count = domains_find(result, used);
    size_t shown = used_count > 1 ? used_count : 0;
    struct info_table table;
    table_begin(&table, page, 3 + shown, 0);
    section_begin("operations");
    table_row(&table, "%s", "");
    cell_text(&table, 1, used_count == 1 ? domain_names[used[0]] : "all");
    for (size_t i = 0; i < shown; i++)
        cell_text(&table, 3 + i, domain_names[used[i]]);
    kind_rows(&table, result, used, shown);
    domain_rows(&table, result, used, shown);
    enum err err = table_end(&table);
    if (summary->free_null_count)
        section_line(page, "free(NULL)", "%s, %.1f %% of the frees", COUNT(summary->free_null_count),
                     percent_of(summary->free_null_count, summary->kind_counts[EVENT_FREE]));
    if (summary->realloc_null_count)
        section_line(page, "realloc(NULL)", "%s, %.1f %% of the reallocs", COUNT(summary->realloc_null_count),
                     percent_of(summary->realloc_null_count, summary->kind_counts[EVENT_REALLOC]));
    return err;
}

/* ---- live memory ---- */

static enum err curve_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"live bytes until", "lowest", "highest", "then", "blocks then"};
    struct info_table table;
    table_begin(&table, page, 5, 0);
    head_set(&table, heads);
    for (size_t i = 0; i < CURVE_PARTS; i++) {
        struct live_point part;
        if (!live_curve_part(&result->curve, i, i + 1, CURVE_PARTS, &part))
            continue;
        table_row(&table, "%zu %%", (i + 1) * 100 / CURVE_PARTS);
        cell_text(&table, 1, BYTES(part.min_bytes));
        cell_text(&table, 2, BYTES(part.max_bytes));
        cell_text(&table, 3, BYTES(part.end_bytes));
        cell_count(&table, 4, part.end_blocks);
    }
    return table_end(&table);
}

static void growth_print(const struct analysis_result *result, const struct info_page *page) {
    struct live_point quarters[4];
    double slope = 0;
    size_t points = live_curve_slope(&result->curve, &slope);
    for (size_t i = 0; i < 4; i++)
        if (!live_curve_part(&result->curve, i, i + 1, 4, &quarters[i]))
            return;
    section_line(page, "lowest", "%s, %s, %s, %s in the four quarters of the trace", BYTES(quarters[0].min_bytes),
                 BYTES(quarters[1].min_bytes), BYTES(quarters[2].min_bytes), BYTES(quarters[3].min_bytes));
    if (points >= 8)
        section_line(page, "last quarter", "%+.3g bytes an operation (least squares): %s%s over it", slope,
                     slope < 0 ? "-" : "+",
                     BYTES((uint64_t)((slope < 0 ? -slope : slope) * (double)points * (double)result->curve.step)));
}

static enum err live_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    const struct analysis_peak *peak = &result->peak_bytes, *most = &result->peak_blocks;
    uint64_t operations = summary->operation_count;
    char when[UNITS_TEXT_BYTES + 8] = "";
    if (summary->timed_count)
        snprintf(when, sizeof when, ", at %s", DURATION(peak->time_ns - summary->time_first_ns));
    section_begin("live memory");
    section_line(page, "peak", "%s in %s block%s after operation %s (%.1f %% of the trace%s)", BYTES(peak->live.bytes),
                 COUNT(peak->live.blocks), plural_of(peak->live.blocks), COUNT(peak->operation),
                 percent_of(peak->operation, operations), when);
    section_line(page, "most blocks", "%s with %s after operation %s (%.1f %%)", COUNT(most->live.blocks),
                 BYTES(most->live.bytes), COUNT(most->operation), percent_of(most->operation, operations));
    section_line(page, "mean", "%s", BYTES((uint64_t)result->live_mean_bytes));
    section_line(page, "at the end", "%s in %s block%s, %.1f %% of the peak", BYTES(summary->live_end_bytes),
                 COUNT(summary->live_end_blocks), plural_of(summary->live_end_blocks),
                 percent_of(summary->live_end_bytes, summary->live_peak_bytes));
    if (summary->live_peak_bytes)
        section_line(page, "requested", "%s in all, %.1f times the peak", BYTES(summary->requested_bytes),
                     (double)summary->requested_bytes / (double)summary->live_peak_bytes);
    growth_print(result, page);
    if (!page->draws)
        return curve_table_print(result, page);
    chart_print(&result->curve, peak->live.bytes, page->width, stdout);
    return ERR_OK;
}

/* ---- sizes ---- */

/* "< 64": half of the class's freed blocks died younger. */
static struct short_text median_life_text(const struct analysis_class *class) {
    struct short_text text = {""};
    uint64_t seen = 0;
    for (uint32_t octave = 0; octave < LOG_OCTAVE_COUNT && class->freed_count; octave++) {
        seen += class->life_octaves[octave];
        if (seen < class->freed_count - class->freed_count / 2)
            continue;
        memcpy(text.text, "< ", 2);
        snprintf(text.text + 2, sizeof text.text - 2, "%.29s", octave_bound_text(octave).text);
        break;
    }
    return text;
}

static enum err size_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"bytes up to", "requests", "share",      "of bytes",
                                        "at peak",     "at end",   "median life"};
    uint64_t most = 0;
    for (uint32_t i = 0; i < result->classes.count; i++)
        most = result->per_class[i].request_count > most ? result->per_class[i].request_count : most;
    struct info_table table;
    table_begin(&table, page, 7, most);
    head_set(&table, heads);
    for (uint32_t i = 0; i < result->classes.count; i++) {
        const struct analysis_class *class = &result->per_class[i];
        if (!class->request_count)
            continue;
        table_row(&table, "%*s", 11, BOUND(result->classes.upper_bytes[i]));
        cell_count(&table, 1, class->request_count);
        cell_share(&table, 2, class->request_count, result->request_count);
        cell_share(&table, 3, class->requested_bytes, result->summary.requested_bytes);
        cell_share(&table, 4, class->peak.bytes, result->summary.live_peak_bytes);
        cell_share(&table, 5, class->end.bytes, result->summary.live_end_bytes);
        cell_text(&table, 6, median_life_text(class).text);
        cell_bar(&table, class->request_count);
    }
    return table_end(&table);
}

static void aligned_print(const struct analysis_result *result, const struct info_page *page) {
    char text[LINE_BYTES] = "";
    size_t used = 0;
    if (!result->summary.kind_counts[EVENT_ALIGNED_ALLOC])
        return;
    for (int i = 0; i <= EVENT_ALIGN_LOG2_MAX && used < sizeof text; i++)
        if (result->aligned[i])
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s to %s", used ? ", " : "",
                                     COUNT(result->aligned[i]), BOUND((uint64_t)1 << i));
    section_line(page, "aligned", "%s bytes", text);
}

static enum err sizes_print(const struct analysis_result *result, const struct info_page *page) {
    char title[128];
    snprintf(title, sizeof title, "request sizes (classes: %s)", size_scheme_names[result->classes.scheme]);
    section_begin(title);
    section_line(page, "quantiles", "p50 %s, p90 %s, p99 %s, largest %s bytes", COUNT(result->size_quantiles[0]),
                 COUNT(result->size_quantiles[1]), COUNT(result->size_quantiles[2]),
                 COUNT(result->summary.largest_request_bytes));
    section_line(page, "small", "up to 512 bytes: %.1f %% of the requests, %.1f %% of the bytes",
                 percent_of(result->small_count, result->request_count),
                 percent_of(result->small_bytes, result->summary.requested_bytes));
    section_line(page, "distinct", "%s size%s%s", COUNT(result->size_distinct_count),
                 plural_of(result->size_distinct_count), result->size_missed_count ? " or more" : "");
    aligned_print(result, page);
    return size_table_print(result, page);
}

/* The lists of most frequent sizes and of largest requests, side by side. */
static enum err requests_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"most frequent size", "requests", "share", "largest", "kind", "thread",
                                        "operation"};
    size_t rows = result->size_count > result->largest_count ? result->size_count : result->largest_count;
    struct info_table table;
    table_begin(&table, page, 7, 0);
    section_begin("most frequent sizes; largest requests");
    head_set(&table, heads);
    for (size_t i = 0; i < rows; i++) {
        table_row(&table, "%*s", 18, i < result->size_count ? COUNT(result->sizes[i].key) : "");
        if (i < result->size_count) {
            cell_count(&table, 1, result->sizes[i].count);
            cell_share(&table, 2, result->sizes[i].count, result->request_count);
        }
        if (i >= result->largest_count)
            continue;
        const struct analysis_request *request = &result->largest[i];
        cell_count(&table, 3, request->size_bytes);
        cell_text(&table, 4, event_kind_names[request->kind]);
        cell_count(&table, 5, request->thread);
        cell_count(&table, 6, request->operation);
    }
    return table_end(&table);
}

/* ---- lifetimes ---- */

static struct short_text life_bound_text(enum life_clock clock, uint32_t octave) {
    return clock == LIFE_TIME && octave < 64 ? duration_text((uint64_t)1 << octave) : octave_bound_text(octave);
}

/* Two octaves a row: below 1, 4, 16, … */
static enum err life_table_print(const struct analysis_result *result, enum life_clock clock,
                                 const struct info_page *page) {
    static const char *const heads[LIFE_CLOCK_COUNT][6] = {
        [LIFE_ALLOCATIONS] = {"allocations below", "blocks", "share", "so far", "of bytes", ""},
        [LIFE_BYTES] = {"bytes below", "blocks", "share", "so far", "of bytes", ""},
        [LIFE_TIME] = {"time below", "blocks", "share", "so far", "of bytes", ""},
    };
    const struct analysis_lives *lives = &result->lives[clock];
    uint64_t octaves[LOG_OCTAVE_COUNT + 1] = {0}, most = 0, seen = 0;
    log_histogram_octaves(&lives->histogram, octaves);
    for (uint32_t i = 1; i < LOG_OCTAVE_COUNT; i += 2)
        most = octaves[i] + octaves[i + 1] > most ? octaves[i] + octaves[i + 1] : most;
    struct info_table table;
    putchar('\n');
    table_begin(&table, page, 5, octaves[0] > most ? octaves[0] : most);
    head_set(&table, heads[clock]);
    for (uint32_t i = 0; i < LOG_OCTAVE_COUNT; i += i ? 2 : 1) {
        bool pair = i && i + 1 < LOG_OCTAVE_COUNT;
        uint64_t count = octaves[i] + (pair ? octaves[i + 1] : 0);
        uint64_t bytes = lives->bytes[i] + (pair ? lives->bytes[i + 1] : 0);
        seen += count;
        if (!count)
            continue;
        table_row(&table, "%*s", 17, life_bound_text(clock, i + pair).text);
        cell_count(&table, 1, count);
        cell_share(&table, 2, count, result->freed_count);
        cell_share(&table, 3, seen, result->freed_count);
        cell_share(&table, 4, bytes, result->freed_bytes);
        cell_bar(&table, count);
    }
    return table_end(&table);
}

/* Blocks by size and lifetime; rows are the classes up to each power of two, columns two octaves each. */
struct life_map {
    uint64_t cells[LOG_OCTAVE_COUNT][LOG_OCTAVE_COUNT / 2 + 1];
    bool row_used[LOG_OCTAVE_COUNT];
    size_t columns; /* up to the last that is used */
};

static void life_map_fill(const struct analysis_result *result, struct life_map *map) {
    memset(map, 0, sizeof *map);
    for (uint32_t class = 0; class < result->classes.count; class ++) {
        uint64_t upper = result->classes.upper_bytes[class];
        uint32_t row = upper ? log_octave_of(upper - 1) : 0; /* upper <= 2^row */
        map->row_used[row] |= result->per_class[class].freed_count != 0;
        for (uint32_t octave = 0; octave < LOG_OCTAVE_COUNT; octave++) {
            uint64_t count = result->per_class[class].life_octaves[octave];
            size_t column = (octave + 1) / 2;
            map->cells[row][column] += count;
            if (count && column >= map->columns)
                map->columns = column + 1;
        }
    }
}

static void life_map_cell(struct info_table *table, size_t column, uint64_t count, uint64_t whole) {
    char text[16];
    double percent = percent_of(count, whole);
    snprintf(text, sizeof text, "%.0f", percent);
    if (count)
        cell_text(table, column, percent < 0.5 ? "+" : text);
}

static enum err life_map_print(const struct analysis_result *result, const struct info_page *page) {
    struct life_map map;
    struct info_table table;
    life_map_fill(result, &map);
    putchar('\n');
    text_wrap_print("  ", "% of the freed blocks by size and by allocations meanwhile (+: under 0.5)", page->width,
                    stdout);
    table_begin(&table, page, 1 + map.columns, 0);
    table_row(&table, "bytes up to");
    for (size_t column = 0; column < map.columns; column++)
        cell_text(&table, 1 + column, octave_bound_text((uint32_t)column * 2).text);
    for (uint32_t row = 0; row < LOG_OCTAVE_COUNT; row++) {
        if (!map.row_used[row])
            continue;
        table_row(&table, "%*s", 11, octave_bound_text(row).text);
        for (size_t column = 0; column < map.columns; column++)
            life_map_cell(&table, 1 + column, map.cells[row][column], result->freed_count);
    }
    return table_end(&table);
}

static void never_freed_print(const struct analysis_result *result, const struct info_page *page) {
    char text[LINE_BYTES] = "";
    size_t used = 0;
    if (!result->summary.live_end_blocks)
        return;
    for (size_t i = 0; i < ANALYSIS_BIRTH_PARTS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %.0f",
                                 percent_of(result->never_freed[i].bytes, result->summary.live_end_bytes));
    section_line(page, "never freed", "%s block%s, %s; allocated in the tenths of the trace (%% of bytes):%s",
                 COUNT(result->summary.live_end_blocks), plural_of(result->summary.live_end_blocks),
                 BYTES(result->summary.live_end_bytes), text);
}

static enum err lives_print(const struct analysis_result *result, const struct info_page *page) {
    const struct log_histogram *ages = &result->lives[LIFE_ALLOCATIONS].histogram;
    const struct log_histogram *volumes = &result->lives[LIFE_BYTES].histogram;
    const struct log_histogram *times = &result->lives[LIFE_TIME].histogram;
    section_begin("lifetimes (from allocation to free, through reallocs)");
    section_line(page, "freed", "%s of %s blocks", COUNT(result->freed_count), COUNT(result->allocation_count));
    if (result->inherited_freed_count)
        section_line(page, "inherited", "%s of them (%s) were allocated before the trace begins",
                     COUNT(result->inherited_freed_count), BYTES(result->inherited_freed_bytes));
    never_freed_print(result, page);
    if (!result->freed_count)
        return ERR_OK;
    section_line(page, "at once", "%.1f %% freed before any other allocation",
                 percent_of(ages->cells[0], result->freed_count));
    section_line(page, "LIFO", "%.1f %% freed as the youngest live block of the thread that allocated it",
                 percent_of(result->lifo_count, result->freed_count));
    section_line(page, "allocations", "meanwhile: p50 %s, p90 %s, p99 %s, longest %s",
                 COUNT(log_histogram_quantile(ages, 500)), COUNT(log_histogram_quantile(ages, 900)),
                 COUNT(log_histogram_quantile(ages, 990)), COUNT(ages->max));
    section_line(page, "bytes", "requested meanwhile: p50 %s, p90 %s, p99 %s, longest %s",
                 BYTES(log_histogram_quantile(volumes, 500)), BYTES(log_histogram_quantile(volumes, 900)),
                 BYTES(log_histogram_quantile(volumes, 990)), BYTES(volumes->max));
    if (result->summary.timed_count)
        section_line(page, "time", "p50 %s, p90 %s, p99 %s, longest %s", DURATION(log_histogram_quantile(times, 500)),
                     DURATION(log_histogram_quantile(times, 900)), DURATION(log_histogram_quantile(times, 990)),
                     DURATION(times->max));
    enum err err = ERR_OK;
    for (int clock = 0; clock < LIFE_CLOCK_COUNT && !err; clock++)
        if (clock != LIFE_TIME || result->summary.timed_count)
            err = life_table_print(result, (enum life_clock)clock, page);
    return err ? err : life_map_print(result, page);
}

/* ---- reallocs ---- */

static enum err change_table_print(const struct analysis_result *result, uint64_t whole, const struct info_page *page) {
    static const char *const labels[SIZE_CHANGE_COUNT] = {
        "less than half", "smaller", "the same", "up to 9/8", "up to 5/4",
        "up to 3/2",      "up to 2", "up to 4",  "up to 16",  "more than 16",
    };
    static const char *const heads[] = {"new / old size", "reallocs", "share", "blocks, last / first size", "share"};
    const struct analysis_reallocs *reallocs = &result->reallocs;
    uint64_t most = 0;
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++)
        most = reallocs->changes[i] > most ? reallocs->changes[i] : most;
    struct info_table table;
    table_begin(&table, page, 5, most);
    head_set(&table, heads);
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++) {
        if (!reallocs->changes[i] && !reallocs->block_changes[i])
            continue;
        table_row(&table, "%s", labels[i]);
        cell_count(&table, 1, reallocs->changes[i]);
        cell_share(&table, 2, reallocs->changes[i], whole);
        cell_count(&table, 3, reallocs->block_changes[i]);
        cell_share(&table, 4, reallocs->block_changes[i], reallocs->per_block.count);
        cell_bar(&table, reallocs->changes[i]);
    }
    return table_end(&table);
}

static enum err reallocs_print(const struct analysis_result *result, const struct info_page *page) {
    const struct analysis_reallocs *reallocs = &result->reallocs;
    uint64_t whole = 0, grown = 0;
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++) {
        whole += reallocs->changes[i];
        grown += i > SIZE_CHANGE_SAME ? reallocs->changes[i] : 0;
    }
    if (!whole)
        return ERR_OK;
    uint64_t same = reallocs->changes[SIZE_CHANGE_SAME];
    section_begin("reallocs of blocks");
    section_line(page, "reallocs", "%s: %.1f %% grow, %.1f %% shrink, %.1f %% keep the size", COUNT(whole),
                 percent_of(grown, whole), percent_of(whole - grown - same, whole), percent_of(same, whole));
    section_line(page, "per block", "%s block%s with reallocs: p50 %s, p90 %s, most %s",
                 COUNT(reallocs->per_block.count), plural_of(reallocs->per_block.count),
                 COUNT(log_histogram_quantile(&reallocs->per_block, 500)),
                 COUNT(log_histogram_quantile(&reallocs->per_block, 900)), COUNT(reallocs->per_block.max));
    section_line(page, "to be copied", "%s if every one moved its block", BYTES(reallocs->kept_bytes));
    return change_table_print(result, whole, page);
}

/* ---- threads ---- */

static uint64_t thread_operations(const struct analysis_thread *thread) {
    uint64_t count = 0;
    for (int kind = 0; kind <= EVENT_FREE; kind++)
        count += thread->kind_counts[kind];
    return count;
}

/* The busiest threads, by falling operations. @return how many. */
static size_t threads_rank(const struct analysis_result *result, struct tally_entry out[SHOWN_THREADS]) {
    size_t used = 0;
    for (uint32_t i = 0; i < result->summary.thread_count; i++) {
        const struct tally_entry entry = {.key = i, .count = thread_operations(&result->threads[i])};
        used = tally_top_insert(out, used, SHOWN_THREADS, &entry);
    }
    return used;
}

static enum err thread_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"thread",   "operations", "share", "requests",
                                        "of bytes", "frees",      "takes", "gives"};
    struct tally_entry ranked[SHOWN_THREADS];
    size_t shown = threads_rank(result, ranked);
    struct info_table table;
    table_begin(&table, page, 8, shown ? ranked[0].count : 0);
    head_set(&table, heads);
    for (size_t i = 0; i < shown; i++) {
        const struct analysis_thread *thread = &result->threads[ranked[i].key];
        table_row(&table, "%6" PRIu64, ranked[i].key);
        cell_count(&table, 1, ranked[i].count);
        cell_share(&table, 2, ranked[i].count, result->summary.operation_count);
        cell_count(&table, 3, ranked[i].count - thread->kind_counts[EVENT_FREE]);
        cell_share(&table, 4, thread->requested_bytes, result->summary.requested_bytes);
        cell_count(&table, 5, thread->kind_counts[EVENT_FREE]);
        cell_count(&table, 6, thread->foreign_count);
        cell_count(&table, 7, thread->given_count);
        cell_bar(&table, ranked[i].count);
    }
    return table_end(&table);
}

static enum err pair_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"from thread", "to thread", "blocks", "share", "bytes"};
    size_t shown = result->pair_count < SHOWN_PAIRS ? result->pair_count : SHOWN_PAIRS;
    struct info_table table;
    table_begin(&table, page, 5, shown ? result->pairs[0].count : 0);
    head_set(&table, heads);
    for (size_t i = 0; i < shown; i++) {
        const struct tally_entry *pair = &result->pairs[i];
        table_row(&table, "%11" PRIu64, pair->key >> 32);
        cell_count(&table, 1, pair->key & UINT32_MAX);
        cell_count(&table, 2, pair->count);
        cell_share(&table, 3, pair->count, result->summary.cross_thread_count);
        cell_text(&table, 4, BYTES(pair->bytes));
        cell_bar(&table, pair->count);
    }
    return table_end(&table);
}

static enum err threads_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    if (summary->thread_count < 2)
        return ERR_OK;
    section_begin("threads");
    section_line(page, "threads", "%s%s", COUNT(summary->thread_count),
                 summary->thread_count > SHOWN_THREADS ? "; the busiest:" : "");
    enum err err = thread_table_print(result, page);
    if (err || !summary->cross_thread_count)
        return err;
    uint64_t touched = result->freed_count + summary->kind_counts[EVENT_REALLOC] - summary->realloc_null_count;
    section_line(
        page, "handed over", "%s blocks (%s): %.1f %% of all frees and reallocs of blocks; %s pair%s of threads%s",
        COUNT(summary->cross_thread_count), BYTES(result->cross_thread_bytes),
        percent_of(summary->cross_thread_count, touched), COUNT(result->pair_distinct_count),
        plural_of(result->pair_distinct_count), result->pair_distinct_count > SHOWN_PAIRS ? ", the largest:" : "");
    return pair_table_print(result, page);
}

enum err info_text_analysis(const struct analysis_result *result, const struct info_page *page) {
    enum err (*const sections[])(const struct analysis_result *, const struct info_page *) = {
        operations_print, live_print, sizes_print, requests_print, lives_print, reallocs_print, threads_print,
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
