#include "cli/info_sections.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/bars.h"

enum { CURVE_PARTS = 10 };

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
        info_table_row(table, "%s", event_kind_names[kind]);
        info_table_count(table, 1, result->summary.kind_counts[kind]);
        info_table_share(table, 2, result->summary.kind_counts[kind], result->summary.operation_count);
        for (size_t i = 0; i < used_count; i++)
            info_table_count(table, 3 + i, result->domains[used[i]].kind_counts[kind]);
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
        info_table_row(table, "%s", labels[row]);
        info_table_count(table, 1, totals[row]);
        for (size_t i = 0; i < used_count; i++) {
            const struct analysis_domain *domain = &result->domains[used[i]];
            const uint64_t parts[] = {summary->domain_counts[used[i]], domain->requested_bytes, domain->peak.bytes,
                                      domain->end.bytes};
            info_table_count(table, 3 + i, parts[row]);
        }
    }
}

enum err info_operations_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    enum domain used[DOMAIN_COUNT];
    size_t used_count = domains_find(result, used);
    size_t shown = used_count > 1 ? used_count : 0;
    struct info_table table;
    info_table_begin(&table, page, 3 + shown, 0);
    page_section("operations");
    info_table_row(&table, "%s", "");
    info_table_text(&table, 1, used_count == 1 ? domain_names[used[0]] : "all");
    for (size_t i = 0; i < shown; i++)
        info_table_text(&table, 3 + i, domain_names[used[i]]);
    kind_rows(&table, result, used, shown);
    domain_rows(&table, result, used, shown);
    enum err err = info_table_end(&table);
    if (summary->free_null_count)
        page_line(page, "free(NULL)", "%s, %.1f %% of the frees", COUNT(summary->free_null_count),
                  percent_of(summary->free_null_count, summary->kind_counts[EVENT_FREE]));
    if (summary->realloc_null_count)
        page_line(page, "realloc(NULL)", "%s, %.1f %% of the reallocs", COUNT(summary->realloc_null_count),
                  percent_of(summary->realloc_null_count, summary->kind_counts[EVENT_REALLOC]));
    return err;
}

static enum err curve_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"live bytes until", "lowest", "highest", "then", "blocks then"};
    struct info_table table;
    info_table_begin(&table, page, 5, 0);
    info_table_head(&table, heads);
    for (size_t i = 0; i < CURVE_PARTS; i++) {
        struct live_point part;
        if (!live_curve_part(&result->curve, i, i + 1, CURVE_PARTS, &part))
            continue;
        info_table_row(&table, "%zu %%", (i + 1) * 100 / CURVE_PARTS);
        info_table_text(&table, 1, BYTES(part.min_bytes));
        info_table_text(&table, 2, BYTES(part.max_bytes));
        info_table_text(&table, 3, BYTES(part.end_bytes));
        info_table_count(&table, 4, part.end_blocks);
    }
    return info_table_end(&table);
}

static void growth_print(const struct analysis_result *result, const struct info_page *page) {
    struct live_point quarters[4];
    double slope = 0;
    size_t points = live_curve_slope(&result->curve, &slope);
    for (size_t i = 0; i < 4; i++)
        if (!live_curve_part(&result->curve, i, i + 1, 4, &quarters[i]))
            return;
    page_line(page, "lowest", "%s, %s, %s, %s in the four quarters of the trace", BYTES(quarters[0].min_bytes),
              BYTES(quarters[1].min_bytes), BYTES(quarters[2].min_bytes), BYTES(quarters[3].min_bytes));
    if (points >= 8)
        page_line(page, "last quarter", "%+.3g bytes an operation (least squares): %s%s over it", slope,
                  slope < 0 ? "-" : "+",
                  BYTES(whole_of((slope < 0 ? -slope : slope) * (double)points * (double)result->curve.step)));
}

enum err info_live_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    const struct analysis_peak *peak = &result->peak_bytes, *most = &result->peak_blocks;
    uint64_t operations = summary->operation_count;
    char when[UNITS_TEXT_BYTES + 8] = "";
    if (summary->timed_count)
        snprintf(when, sizeof when, ", at %s", DURATION(peak->time_ns - summary->time_first_ns));
    page_section("live memory");
    page_line(page, "peak", "%s in %s block%s after operation %s (%.1f %% of the trace%s)", BYTES(peak->live.bytes),
              COUNT(peak->live.blocks), units_plural(peak->live.blocks), COUNT(peak->operation),
              percent_of(peak->operation, operations), when);
    page_line(page, "most blocks", "%s with %s after operation %s (%.1f %%)", COUNT(most->live.blocks),
              BYTES(most->live.bytes), COUNT(most->operation), percent_of(most->operation, operations));
    page_line(page, "mean", "%s", BYTES(whole_of(result->live_mean_bytes)));
    page_line(page, "at the end", "%s in %s block%s, %.1f %% of the peak", BYTES(summary->live_end_bytes),
              COUNT(summary->live_end_blocks), units_plural(summary->live_end_blocks),
              percent_of(summary->live_end_bytes, summary->live_peak_bytes));
    if (summary->live_peak_bytes)
        page_line(page, "requested", "%s in all, %.1f times the peak", BYTES(summary->requested_bytes),
                  (double)summary->requested_bytes / (double)summary->live_peak_bytes);
    growth_print(result, page);
    if (!page->draws)
        return curve_table_print(result, page);
    chart_print(&result->curve, peak->live.bytes, page->width, stdout);
    return ERR_OK;
}
