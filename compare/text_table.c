#include "compare/text_table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

enum { CELL_BYTES = 64, COLUMNS_MAX = 128, GAP = 2 };

struct table_row {
    char (*cells)[CELL_BYTES];
    const char *span;
};

struct text_table {
    size_t columns;
    bool left[COLUMNS_MAX];
    struct table_row *rows;
    size_t row_count;
    size_t row_capacity;
};

enum err text_table_create(size_t columns, struct text_table **out) {
    assert(columns >= 1 && columns <= COLUMNS_MAX);
    struct text_table *table = calloc(1, sizeof *table);
    if (!table)
        return ERR_NOMEM;
    table->columns = columns;
    *out = table;
    return ERR_OK;
}

void text_table_destroy(struct text_table *table) {
    if (!table)
        return;
    for (size_t i = 0; i < table->row_count; i++)
        free(table->rows[i].cells);
    free(table->rows);
    free(table);
}

enum err text_table_row(struct text_table *table) {
    if (table->row_count == table->row_capacity) {
        size_t capacity = table->row_capacity ? table->row_capacity * 2 : 16;
        struct table_row *rows = realloc(table->rows, capacity * sizeof *rows);
        if (!rows)
            return ERR_NOMEM;
        table->rows = rows;
        table->row_capacity = capacity;
    }
    struct table_row row = {calloc(table->columns, CELL_BYTES), NULL};
    if (!row.cells)
        return ERR_NOMEM;
    table->rows[table->row_count++] = row;
    return ERR_OK;
}

void text_table_set(struct text_table *table, size_t column, const char *format, ...) {
    assert(table->row_count && column < table->columns);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(table->rows[table->row_count - 1].cells[column], CELL_BYTES, format, arguments);
    va_end(arguments);
}

void text_table_set_at(struct text_table *table, size_t row, size_t column, const char *text) {
    assert(row < table->row_count && column < table->columns);
    snprintf(table->rows[row].cells[column], CELL_BYTES, "%s", text);
}

void text_table_left(struct text_table *table, size_t column) {
    assert(column < table->columns);
    table->left[column] = true;
}

void text_table_span(struct text_table *table, const char *text) {
    assert(table->row_count);
    table->rows[table->row_count - 1].span = text;
}

static void widths_measure(const struct text_table *table, size_t widths[COLUMNS_MAX]) {
    memset(widths, 0, COLUMNS_MAX * sizeof *widths);
    for (size_t row = 0; row < table->row_count; row++)
        for (size_t column = 0; column < table->columns; column++) {
            size_t length = utf8_columns(table->rows[row].cells[column]);
            if (length > widths[column])
                widths[column] = length;
        }
}

size_t text_table_width(const struct text_table *table) {
    size_t widths[COLUMNS_MAX], used = 0;
    widths_measure(table, widths);
    for (size_t column = 0; column < table->columns; column++)
        used += widths[column] + (column ? GAP : 0);
    return used;
}

/* One past the last column of the block that begins at `from`; a block has at least one column. */
static size_t block_end(const struct text_table *table, const size_t *widths, size_t from, size_t width) {
    size_t used = widths[0];
    size_t column = from;
    while (column < table->columns && (column == from || used + GAP + widths[column] <= width))
        used += GAP + widths[column++];
    return column;
}

static void row_print(const struct text_table *table, const struct table_row *row, const size_t *widths, size_t from,
                      size_t to, size_t width, FILE *out) {
    char lead[CELL_BYTES + 64];
    snprintf(lead, sizeof lead, "%s%*s", row->cells[0], (int)(widths[0] - utf8_columns(row->cells[0])), "");
    if (row->span) {
        snprintf(lead + strlen(lead), sizeof lead - strlen(lead), "%*s", GAP, "");
        if (from == 1)
            text_wrap_print(lead, row->span, width, out);
        return;
    }
    size_t last = to;
    while (last > from && !row->cells[last - 1][0])
        last--;
    fprintf(out, "%s", last > from ? lead : row->cells[0]);
    for (size_t column = from; column < last; column++) {
        size_t pad = table->left[column] ? 0 : widths[column] - utf8_columns(row->cells[column]);
        fprintf(out, "%*s%s", (int)(GAP + pad), "", row->cells[column]);
    }
    fputc('\n', out);
}

void text_table_print(const struct text_table *table, size_t width, FILE *out) {
    size_t widths[COLUMNS_MAX];
    widths_measure(table, widths);
    for (size_t from = 1, to; from < table->columns; from = to) {
        to = block_end(table, widths, from, width);
        if (from > 1)
            fputc('\n', out);
        for (size_t row = 0; row < table->row_count; row++)
            row_print(table, &table->rows[row], widths, from, to, width, out);
    }
}

void text_wrap_print(const char *lead, const char *text, size_t width, FILE *out) {
    size_t indent = strlen(lead);
    size_t used = indent;
    fputs(lead, out);
    for (const char *word = text; *word;) {
        size_t length = strcspn(word, " ");
        if (strncmp(word + length, " %", 2) == 0) /* a number and its sign stay together */
            length += 1 + strcspn(word + length + 1, " ");
        if (used > indent && used + 1 + length > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (used > indent) {
            fputc(' ', out);
            used++;
        }
        fwrite(word, 1, length, out);
        used += length;
        word += length;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}
