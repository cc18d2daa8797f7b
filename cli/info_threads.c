#include "cli/info_sections.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_THREADS = 10, SHOWN_PAIRS = 10 };

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
    info_table_begin(&table, page, 8, shown ? ranked[0].count : 0);
    info_table_head(&table, heads);
    for (size_t i = 0; i < shown; i++) {
        const struct analysis_thread *thread = &result->threads[ranked[i].key];
        info_table_row(&table, "%6" PRIu64, ranked[i].key);
        info_table_count(&table, 1, ranked[i].count);
        info_table_share(&table, 2, ranked[i].count, result->summary.operation_count);
        info_table_count(&table, 3, ranked[i].count - thread->kind_counts[EVENT_FREE]);
        info_table_share(&table, 4, thread->requested_bytes, result->summary.requested_bytes);
        info_table_count(&table, 5, thread->kind_counts[EVENT_FREE]);
        info_table_count(&table, 6, thread->foreign_count);
        info_table_count(&table, 7, thread->given_count);
        info_table_bar(&table, ranked[i].count);
    }
    return info_table_end(&table);
}

static enum err pair_table_print(const struct analysis_result *result, const struct info_page *page) {
    static const char *const heads[] = {"from thread", "to thread", "blocks", "share", "bytes"};
    size_t shown = result->pair_count < SHOWN_PAIRS ? result->pair_count : SHOWN_PAIRS;
    struct info_table table;
    info_table_begin(&table, page, 5, shown ? result->pairs[0].count : 0);
    info_table_head(&table, heads);
    for (size_t i = 0; i < shown; i++) {
        const struct tally_entry *pair = &result->pairs[i];
        info_table_row(&table, "%11" PRIu64, pair->key >> 32);
        info_table_count(&table, 1, pair->key & UINT32_MAX);
        info_table_count(&table, 2, pair->count);
        info_table_share(&table, 3, pair->count, result->summary.cross_thread_count);
        info_table_text(&table, 4, BYTES(pair->bytes));
        info_table_bar(&table, pair->count);
    }
    return info_table_end(&table);
}

enum err info_threads_print(const struct analysis_result *result, const struct info_page *page) {
    const struct trace_summary *summary = &result->summary;
    if (summary->thread_count < 2)
        return ERR_OK;
    page_section("threads");
    page_line(page, "threads", "%s%s", COUNT(summary->thread_count),
              summary->thread_count > SHOWN_THREADS ? "; the busiest:" : "");
    enum err err = thread_table_print(result, page);
    if (err || !summary->cross_thread_count)
        return err;
    uint64_t touched = result->freed_count + summary->kind_counts[EVENT_REALLOC] - summary->realloc_null_count;
    page_line(
        page, "handed over", "%s blocks (%s): %.1f %% of all frees and reallocs of blocks; %s pair%s of threads%s",
        COUNT(summary->cross_thread_count), BYTES(result->cross_thread_bytes),
        percent_of(summary->cross_thread_count, touched), COUNT(result->pair_distinct_count),
        units_plural(result->pair_distinct_count), result->pair_distinct_count > SHOWN_PAIRS ? ", the largest:" : "");
    return pair_table_print(result, page);
}
