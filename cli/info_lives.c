#include "cli/info_sections.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

static struct short_text life_bound_text(enum life_clock clock, uint32_t octave) {
    return clock == LIFE_TIME && octave < 64 ? short_duration((uint64_t)1 << octave) : short_octave_bound(octave);
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
    info_table_begin(&table, page, 5, octaves[0] > most ? octaves[0] : most);
    info_table_head(&table, heads[clock]);
    for (uint32_t i = 0; i < LOG_OCTAVE_COUNT; i += i ? 2 : 1) {
        bool pair = i && i + 1 < LOG_OCTAVE_COUNT;
        uint64_t count = octaves[i] + (pair ? octaves[i + 1] : 0);
        uint64_t bytes = lives->bytes[i] + (pair ? lives->bytes[i + 1] : 0);
        seen += count;
        if (!count)
            continue;
        info_table_row(&table, "%*s", 17, life_bound_text(clock, i + pair).text);
        info_table_count(&table, 1, count);
        info_table_share(&table, 2, count, result->freed_count);
        info_table_share(&table, 3, seen, result->freed_count);
        info_table_share(&table, 4, bytes, result->freed_bytes);
        info_table_bar(&table, count);
    }
    return info_table_end(&table);
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
        info_table_text(table, column, percent < 0.5 ? "+" : text);
}

static enum err life_map_print(const struct analysis_result *result, const struct info_page *page) {
    struct life_map map;
    struct info_table table;
    life_map_fill(result, &map);
    putchar('\n');
    text_wrap_print("  ", "% of the freed blocks by size and by allocations meanwhile (+: under 0.5)", page->width,
                    stdout);
    info_table_begin(&table, page, 1 + map.columns, 0);
    info_table_row(&table, "bytes up to");
    for (size_t column = 0; column < map.columns; column++)
        info_table_text(&table, 1 + column, short_octave_bound((uint32_t)column * 2).text);
    for (uint32_t row = 0; row < LOG_OCTAVE_COUNT; row++) {
        if (!map.row_used[row])
            continue;
        info_table_row(&table, "%*s", 11, short_octave_bound(row).text);
        for (size_t column = 0; column < map.columns; column++)
            life_map_cell(&table, 1 + column, map.cells[row][column], result->freed_count);
    }
    return info_table_end(&table);
}

static void never_freed_print(const struct analysis_result *result, const struct info_page *page) {
    char text[LINE_BYTES] = "";
    size_t used = 0;
    if (!result->summary.live_end_blocks)
        return;
    for (size_t i = 0; i < ANALYSIS_BIRTH_PARTS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %.0f",
                                 percent_of(result->never_freed[i].bytes, result->summary.live_end_bytes));
    page_line(page, "never freed", "%s block%s, %s; allocated in the tenths of the trace (%% of bytes):%s",
              COUNT(result->summary.live_end_blocks), units_plural(result->summary.live_end_blocks),
              BYTES(result->summary.live_end_bytes), text);
}

enum err info_lives_print(const struct analysis_result *result, const struct info_page *page) {
    const struct log_histogram *ages = &result->lives[LIFE_ALLOCATIONS].histogram;
    const struct log_histogram *volumes = &result->lives[LIFE_BYTES].histogram;
    const struct log_histogram *times = &result->lives[LIFE_TIME].histogram;
    page_section("lifetimes (from allocation to free, through reallocs)");
    page_line(page, "freed", "%s of %s blocks", COUNT(result->freed_count), COUNT(result->allocation_count));
    if (result->inherited_freed_count)
        page_line(page, "inherited", "%s of them (%s) were allocated before the trace begins",
                  COUNT(result->inherited_freed_count), BYTES(result->inherited_freed_bytes));
    never_freed_print(result, page);
    if (!result->freed_count)
        return ERR_OK;
    page_line(page, "at once", "%.1f %% freed before any other allocation",
              percent_of(ages->cells[0], result->freed_count));
    page_line(page, "LIFO", "%.1f %% freed as the youngest live block of the thread that allocated it",
              percent_of(result->lifo_count, result->freed_count));
    page_line(page, "allocations", "meanwhile: p50 %s, p90 %s, p99 %s, longest %s",
              COUNT(log_histogram_quantile(ages, 500)), COUNT(log_histogram_quantile(ages, 900)),
              COUNT(log_histogram_quantile(ages, 990)), COUNT(ages->max));
    page_line(page, "bytes", "requested meanwhile: p50 %s, p90 %s, p99 %s, longest %s",
              BYTES(log_histogram_quantile(volumes, 500)), BYTES(log_histogram_quantile(volumes, 900)),
              BYTES(log_histogram_quantile(volumes, 990)), BYTES(volumes->max));
    if (result->summary.timed_count)
        page_line(page, "time", "p50 %s, p90 %s, p99 %s, longest %s", DURATION(log_histogram_quantile(times, 500)),
                  DURATION(log_histogram_quantile(times, 900)), DURATION(log_histogram_quantile(times, 990)),
                  DURATION(times->max));
    enum err err = ERR_OK;
    for (int clock = 0; clock < LIFE_CLOCK_COUNT && !err; clock++)
        if (clock != LIFE_TIME || result->summary.timed_count)
            err = life_table_print(result, (enum life_clock)clock, page);
    return err ? err : life_map_print(result, page);
}

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
    info_table_begin(&table, page, 5, most);
    info_table_head(&table, heads);
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++) {
        if (!reallocs->changes[i] && !reallocs->block_changes[i])
            continue;
        info_table_row(&table, "%s", labels[i]);
        info_table_count(&table, 1, reallocs->changes[i]);
        info_table_share(&table, 2, reallocs->changes[i], whole);
        info_table_count(&table, 3, reallocs->block_changes[i]);
        info_table_share(&table, 4, reallocs->block_changes[i], reallocs->per_block.count);
        info_table_bar(&table, reallocs->changes[i]);
    }
    return info_table_end(&table);
}

enum err info_reallocs_print(const struct analysis_result *result, const struct info_page *page) {
    const struct analysis_reallocs *reallocs = &result->reallocs;
    uint64_t whole = 0, grown = 0;
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++) {
        whole += reallocs->changes[i];
        grown += i > SIZE_CHANGE_SAME ? reallocs->changes[i] : 0;
    }
    if (!whole)
        return ERR_OK;
    uint64_t same = reallocs->changes[SIZE_CHANGE_SAME];
    page_section("reallocs of blocks");
    page_line(page, "reallocs", "%s: %.1f %% grow, %.1f %% shrink, %.1f %% keep the size", COUNT(whole),
              percent_of(grown, whole), percent_of(whole - grown - same, whole), percent_of(same, whole));
    page_line(page, "per block", "%s block%s with reallocs: p50 %s, p90 %s, most %s", COUNT(reallocs->per_block.count),
              units_plural(reallocs->per_block.count), COUNT(log_histogram_quantile(&reallocs->per_block, 500)),
              COUNT(log_histogram_quantile(&reallocs->per_block, 900)), COUNT(reallocs->per_block.max));
    page_line(page, "to be copied", "%s if every one moved its block", BYTES(reallocs->kept_bytes));
    return change_table_print(result, whole, page);
}
