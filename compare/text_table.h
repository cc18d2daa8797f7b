/**
 * text_table.h: columns that line up, and move under each other when the page is narrow.
 */
#ifndef MMREPLAY_COMPARE_TEXT_TABLE_H
#define MMREPLAY_COMPARE_TEXT_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "core/base/err.h"

struct text_table;

/** @param columns 1 … 128; the first is aligned to the left and repeated when the table is broken, the others right. */
enum err text_table_create(size_t columns, struct text_table **out);
void text_table_destroy(struct text_table *table);

/** Begins the next row; its cells are empty. @return ERR_NOMEM. */
enum err text_table_row(struct text_table *table);

/** Sets a cell of the last row (UTF-8, one column a code point); longer texts are cut at 63 bytes. */
void text_table_set(struct text_table *table, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Aligns a column to the left. To be used for the last one: nothing is printed behind its texts. */
void text_table_left(struct text_table *table, size_t column);

/** Sets a cell of an earlier row, counted from 0. */
void text_table_set_at(struct text_table *table, size_t row, size_t column, const char *text);

/** Columns of the page that the table takes when it is not broken. */
size_t text_table_width(const struct text_table *table);

/** Text that stands in place of all cells but the first of the last row. Borrowed. */
void text_table_span(struct text_table *table, const char *text);

/** Prints the table in as many blocks of columns as `width` asks for. */
void text_table_print(const struct text_table *table, size_t width, FILE *out);

/** Prints `text` in lines of at most `width` bytes, the first after `lead`, the others indented as far. */
void text_wrap_print(const char *lead, const char *text, size_t width, FILE *out);

#endif
