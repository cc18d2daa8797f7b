#include "cli/info_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/bars.h"
#include "cli/message.h"

enum { LINE_BYTES = 1024, BAR_CELLS_MIN = 4 };

struct short_text short_count(uint64_t count) {
    struct short_text text = {""};
    units_format_count(count, text.text);
    return text;
}

struct short_text short_bytes(uint64_t bytes) {
    struct short_text text = {""};
    units_format_bytes(bytes, text.text);
    return text;
}

struct short_text short_duration(uint64_t ns) {
    struct short_text text = {""};
    units_format_duration(ns, text.text);
    return text;
}

double percent_of(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

uint64_t whole_of(double value) {
    return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t)value : 0;
}

struct short_text short_bound(uint64_t bound) {
    static const char letters[] = "KMGTPE";
    struct short_text text = {""};
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

struct short_text short_octave_bound(uint32_t octave) {
    return octave < 64 ? short_bound((uint64_t)1 << octave) : (struct short_text){"16E"};
}

void page_section(const char *title) {
    printf("\n%s\n", title);
}

void page_line(const struct info_page *page, const char *label, const char *format, ...) {
    char text[LINE_BYTES], lead[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(lead, sizeof lead, "  %-14s ", label);
    text_wrap_print(lead, text, page->width, stdout);
}

void info_table_begin(struct info_table *table, const struct info_page *page, size_t columns, uint64_t bar_whole) {
    memset(table, 0, sizeof *table);
    table->page = page;
    table->columns = columns;
    table->bar_whole = page->draws ? bar_whole : 0;
    table->err = text_table_create(columns + (table->bar_whole != 0), &table->table);
    if (!table->err && table->bar_whole)
        text_table_left(table->table, columns);
}

void info_table_row(struct info_table *table, const char *format, ...) {
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

void info_table_text(struct info_table *table, size_t column, const char *text) {
    if (!table->err)
        text_table_set(table->table, column, "%s", text);
}

void info_table_count(struct info_table *table, size_t column, uint64_t count) {
    info_table_text(table, column, COUNT(count));
}

void info_table_share(struct info_table *table, size_t column, uint64_t part, uint64_t whole) {
    if (!table->err && whole)
        text_table_set(table->table, column, "%.1f %%", percent_of(part, whole));
}

void info_table_bar(struct info_table *table, uint64_t value) {
    if (!table->err && table->row_count <= INFO_TABLE_ROWS_MAX)
        table->bars[table->row_count - 1] = value;
}

static void bars_draw(struct info_table *table) {
    char bar[BAR_BYTES];
    size_t used = text_table_width(table->table), room = table->page->width > used ? table->page->width - used : 0;
    unsigned cells = room < BAR_CELLS_MAX ? (unsigned)room : BAR_CELLS_MAX;
    for (size_t row = 0; row < table->row_count && row < INFO_TABLE_ROWS_MAX && cells >= BAR_CELLS_MIN; row++)
        text_table_set_at(table->table, row, table->columns,
                          bar_format(table->bars[row], table->bar_whole, cells, bar));
}

void info_table_head(struct info_table *table, const char *const *heads) {
    info_table_row(table, "%s", heads[0]);
    for (size_t i = 1; i < table->columns; i++)
        info_table_text(table, i, heads[i]);
}

enum err info_table_end(struct info_table *table) {
    if (!table->err && table->bar_whole)
        bars_draw(table);
    if (!table->err)
        text_table_print(table->table, table->page->width, stdout);
    text_table_destroy(table->table);
    return table->err;
}

void info_row_print(const char *label, const char *text) {
    if (!text || !*text)
        return;
    printf("  %-14s ", label);
    shown_print(text);
    putchar('\n');
}
