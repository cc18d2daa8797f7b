/**
 * info_page.h: what the pages of `mmreplay info` are made of: short formats, wrapped lines, tables with bars.
 */
#ifndef MMREPLAY_CLI_INFO_PAGE_H
#define MMREPLAY_CLI_INFO_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compare/text_table.h"
#include "core/base/err.h"
#include "core/base/units.h"
#include "traces/size_classes.h"

struct info_page {
    size_t width; /**< columns */
    bool draws;   /**< bars and charts (terminal.h) */
};

/** A formatted number, to be used within one full expression: page_line(page, "peak", "%s", BYTES(n)). */
struct short_text {
    char text[UNITS_TEXT_BYTES];
};

struct short_text short_count(uint64_t count);
struct short_text short_bytes(uint64_t bytes);
struct short_text short_duration(uint64_t ns);

/** A bound of a row: 512, 1K, 64K, 4M; what is no whole number of units stays as it is. */
struct short_text short_bound(uint64_t bound);

/** What all numbers of an octave (log_histogram.h) are below. */
struct short_text short_octave_bound(uint32_t octave);

#define COUNT(count) (short_count(count).text)
#define BYTES(count) (short_bytes(count).text)
#define DURATION(ns) (short_duration(ns).text)
#define BOUND(bound) (short_bound(bound).text)

/** 0 of nothing. */
double percent_of(uint64_t part, uint64_t whole);

/** A number made of others, as a count; what is beyond one is the nearest, not a number 0. */
uint64_t whole_of(double value);

/** An empty line and a section's title. */
void page_section(const char *title);

/** A line of a section, wrapped; `label` begins it. */
void page_line(const struct info_page *page, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum { INFO_TABLE_ROWS_MAX = SIZE_CLASS_MAX + 1 };

/** A table that remembers its first fault and does nothing after it; info_table_end() returns that. */
struct info_table {
    const struct info_page *page;
    struct text_table *table;
    size_t columns;
    size_t row_count;
    uint64_t bar_whole;                 /**< what a full bar stands for; 0: no bars */
    uint64_t bars[INFO_TABLE_ROWS_MAX]; /**< of each row; drawn in the end, as long as the page has room */
    enum err err;
};

/** @param bar_whole of bars behind the last column, where the page draws; 0: none. */
void info_table_begin(struct info_table *table, const struct info_page *page, size_t columns, uint64_t bar_whole);

/** Begins a row with its first cell, indented. */
void info_table_row(struct info_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The other cells of the last row. */
void info_table_text(struct info_table *table, size_t column, const char *text);
void info_table_count(struct info_table *table, size_t column, uint64_t count);
void info_table_share(struct info_table *table, size_t column, uint64_t part, uint64_t whole);
void info_table_bar(struct info_table *table, uint64_t value);

/** A row of titles, one for each column. */
void info_table_head(struct info_table *table, const char *const *heads);

/** Prints and destroys the table. @return the first fault, ERR_NOMEM. */
enum err info_table_end(struct info_table *table);

/** A line of a label and a text as it can be shown; nothing where there is no text. */
void info_row_print(const char *label, const char *text);

#endif
