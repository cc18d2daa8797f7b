#include "cli/info_sections.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

/* "< 64": half of the class's freed blocks died younger. */
static struct short_text median_life_text(const struct analysis_class *class) {
    struct short_text text = {""};
    uint64_t seen = 0;
    for (uint32_t octave = 0; octave < LOG_OCTAVE_COUNT && class->freed_count; octave++) {
        seen += class->life_octaves[octave];
        if (seen < class->freed_count - class->freed_count / 2)
            continue;
        memcpy(text.text, "< ", 2);
        snprintf(text.text + 2, sizeof text.text - 2, "%.29s", short_octave_bound(octave).text);
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
    info_table_begin(&table, page, 7, most);
    info_table_head(&table, heads);
    for (uint32_t i = 0; i < result->classes.count; i++) {
        const struct analysis_class *class = &result->per_class[i];
        if (!class->request_count)
            continue;
        info_table_row(&table, "%*s", 11, BOUND(result->classes.upper_bytes[i]));
        info_table_count(&table, 1, class->request_count);
        info_table_share(&table, 2, class->request_count, result->request_count);
        info_table_share(&table, 3, class->requested_bytes, result->summary.requested_bytes);
        info_table_share(&table, 4, class->peak.bytes, result->summary.live_peak_bytes);
        info_table_share(&table, 5, class->end.bytes, result->summary.live_end_bytes);
        info_table_text(&table, 6, median_life_text(class).text);
        info_table_bar(&table, class->request_count);
    }
    return info_table_end(&table);
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
    page_line(page, "aligned", "%s bytes", text);
}

enum err info_sizes_print(const struct analysis_result *result, const struct info_page *page) {
    char title[128];
    snprintf(title, sizeof title, "request sizes (classes: %s)", size_scheme_names[result->classes.scheme]);
    page_section(title);
    page_line(page, "quantiles", "p50 %s, p90 %s, p99 %s, largest %s bytes", COUNT(result->size_quantiles[0]),
              COUNT(result->size_quantiles[1]), COUNT(result->size_quantiles[2]),
              COUNT(result->summary.largest_request_bytes));
    page_line(page, "small", "up to 512 bytes: %.1f %% of the requests, %.1f %% of the bytes",
              percent_of(result->small_count, result->request_count),
              percent_of(result->small_bytes, result->summary.requested_bytes));
    page_line(page, "distinct", "%s size%s%s", COUNT(result->size_distinct_count),
              units_plural(result->size_distinct_count), result->size_missed_count ? " or more" : "");
    aligned_print(result, page);
    return size_table_print(result, page);
}

/* The lists of most frequent sizes and of largest requests, side by side. */
enum err info_requests_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"most frequent size", "requests", "share", "largest", "kind", "thread",
                                        "operation"};
    size_t rows = result->size_count > result->largest_count ? result->size_count : result->largest_count;
    struct info_table table;
    info_table_begin(&table, page, 7, 0);
    page_section("most frequent sizes; largest requests");
    info_table_head(&table, heads);
    for (size_t i = 0; i < rows; i++) {
        info_table_row(&table, "%*s", 18, i < result->size_count ? COUNT(result->sizes[i].key) : "");
        if (i < result->size_count) {
            info_table_count(&table, 1, result->sizes[i].count);
            info_table_share(&table, 2, result->sizes[i].count, result->request_count);
        }
        if (i >= result->largest_count)
            continue;
        const struct analysis_request *request = &result->largest[i];
        info_table_count(&table, 3, request->size_bytes);
        info_table_text(&table, 4, event_kind_names[request->kind]);
        info_table_count(&table, 5, request->thread);
        info_table_count(&table, 6, request->operation);
    }
    return info_table_end(&table);
}
