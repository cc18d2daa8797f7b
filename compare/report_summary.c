#include "compare/report_summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/text_table.h"
#include "core/base/shown.h"

static const struct {
    enum metric metric;
    const char *title;
    bool is_percent;
    bool has_mean;
} figures[] = {
    {METRIC_NS_PER_OP, "ns per op", false, true},
    {METRIC_FRAG_AVG, "frag. mean", false, true},
    {METRIC_TROUGH_RETURN, "returned", true, false},
};
enum { FIGURES = sizeof figures / sizeof figures[0], SIDE_BY_SIDE_MAX = 3 };

/* Below this start-up and first-touch faults make up the time; a mean would give them a whole trace's weight. */
enum { MEAN_OPERATIONS_MIN = 100000 };

struct summary_row {
    char *name;
    bool is_short;  /* too few operations to weigh as much as the others */
    double *values; /* [figure][allocator], NAN where there is none */
};

static bool is_shown(const struct allocator_result *result) {
    return result->allocator.backend != WORKER_NULL;
}

static enum err names_take(struct report_summary *summary, const struct experiment *experiment) {
    summary->allocator_names = calloc(experiment->count, sizeof *summary->allocator_names);
    if (!summary->allocator_names)
        return ERR_NOMEM;
    for (size_t i = 0; i < experiment->count; i++)
        if (is_shown(&experiment->results[i]))
            snprintf(summary->allocator_names[summary->allocator_count++], sizeof *summary->allocator_names, "%s",
                     experiment->results[i].allocator.name);
    return ERR_OK;
}

static enum err row_make(const struct report_summary *summary, const struct report *report, struct summary_row *out) {
    const char *name = report->info->name ? report->info->name : "(no name)";
    out->is_short = report->experiment->program->header->summary.operation_count < MEAN_OPERATIONS_MIN;
    if (asprintf(&out->name, "%s%s", name, out->is_short ? " *" : "") < 0)
        out->name = NULL;
    out->values = malloc(FIGURES * (summary->allocator_count + 1) * sizeof *out->values);
    if (!out->name || !out->values)
        return ERR_NOMEM;
    text_make_shown(out->name);
    for (size_t figure = 0; figure < FIGURES; figure++) {
        double *to = out->values + figure * summary->allocator_count;
        for (size_t i = 0; i < report->experiment->count; i++) {
            const struct metric_value *value = &report->sets[i].values[figures[figure].metric];
            if (is_shown(&report->experiment->results[i]))
                *to++ = value->reason ? (double)NAN : value->estimate.value;
        }
    }
    return ERR_OK;
}

enum err report_summary_add(struct report_summary *summary, const struct report *report) {
    if (!summary->allocator_names && names_take(summary, report->experiment))
        return ERR_NOMEM;
    if (summary->row_count == summary->row_capacity) {
        size_t capacity = summary->row_capacity ? summary->row_capacity * 2 : 16;
        struct summary_row *rows = realloc(summary->rows, capacity * sizeof *rows);
        if (!rows)
            return ERR_NOMEM;
        summary->rows = rows;
        summary->row_capacity = capacity;
    }
    struct summary_row *row = &summary->rows[summary->row_count];
    *row = (struct summary_row){0};
    summary->row_count++;
    return row_make(summary, report, row);
}

static void cell_set(struct text_table *table, size_t column, size_t figure, double value) {
    if (isnan(value))
        text_table_set(table, column, "n/a");
    else if (figures[figure].is_percent)
        text_table_set(table, column, "%.1f %%", 100 * value);
    else
        text_table_set(table, column, "%.*f", value < 99.95 ? 2 : 0, value);
}

/* Which figures stand side by side: all of them while the allocators are few, else each has a table of its own. */
struct figure_range {
    size_t first;
    size_t count;
};

static size_t columns_count(const struct report_summary *summary, struct figure_range range) {
    return range.count * summary->allocator_count;
}

static size_t figure_of(const struct report_summary *summary, struct figure_range range, size_t column) {
    return range.first + column / summary->allocator_count;
}

static enum err head_add(struct text_table *table, const struct report_summary *summary, struct figure_range range) {
    enum err err = text_table_row(table);
    for (size_t column = 0; !err && column < columns_count(summary, range); column++)
        text_table_set(table, 1 + column, "%s", figures[figure_of(summary, range, column)].title);
    if (!err)
        err = text_table_row(table);
    if (err)
        return err;
    text_table_set(table, 0, "trace");
    for (size_t column = 0; column < columns_count(summary, range); column++)
        text_table_set(table, 1 + column, "%s", summary->allocator_names[column % summary->allocator_count]);
    return ERR_OK;
}

static enum err row_add(struct text_table *table, const struct report_summary *summary, const struct summary_row *row,
                        struct figure_range range) {
    enum err err = text_table_row(table);
    if (err)
        return err;
    text_table_set(table, 0, "%s", row->name);
    for (size_t column = 0; column < columns_count(summary, range); column++)
        cell_set(table, 1 + column, figure_of(summary, range, column),
                 row->values[range.first * summary->allocator_count + column]);
    return ERR_OK;
}

static size_t long_rows_count(const struct report_summary *summary) {
    size_t count = 0;
    for (size_t i = 0; i < summary->row_count; i++)
        count += !summary->rows[i].is_short;
    return count;
}

/*
 * Over the traces that are long enough. NAN when there is none, or one lacks the figure or has no positive one: no mean
 * over fewer traces than its neighbour's.
 */
static double column_geometric_mean(const struct report_summary *summary, size_t column) {
    double sum = 0;
    for (size_t i = 0; i < summary->row_count; i++)
        if (!summary->rows[i].is_short)
            sum += log(summary->rows[i].values[column]);
    return exp(sum / (double)long_rows_count(summary));
}

static enum err means_add(struct text_table *table, const struct report_summary *summary, struct figure_range range) {
    enum err err = text_table_row(table);
    if (err)
        return err;
    text_table_set(table, 0, "geometric mean");
    for (size_t column = 0; column < columns_count(summary, range); column++) {
        size_t figure = figure_of(summary, range, column);
        if (figures[figure].has_mean)
            cell_set(table, 1 + column, figure,
                     column_geometric_mean(summary, range.first * summary->allocator_count + column));
    }
    return ERR_OK;
}

static enum err range_print(const struct report_summary *summary, struct figure_range range, size_t width, FILE *out) {
    struct text_table *table = NULL;
    enum err err = text_table_create(1 + columns_count(summary, range), &table);
    if (!err)
        err = head_add(table, summary, range);
    for (size_t i = 0; i < summary->row_count && !err; i++)
        err = row_add(table, summary, &summary->rows[i], range);
    if (!err && figures[range.first].has_mean)
        err = means_add(table, summary, range);
    if (!err)
        text_table_print(table, width, out);
    text_table_destroy(table);
    return err;
}

static enum err tables_print(const struct report_summary *summary, size_t width, FILE *out) {
    if (summary->allocator_count <= SIDE_BY_SIDE_MAX)
        return range_print(summary, (struct figure_range){0, FIGURES}, width, out);
    enum err err = ERR_OK;
    for (size_t figure = 0; figure < FIGURES && !err; figure++) {
        if (figure)
            fputc('\n', out);
        err = range_print(summary, (struct figure_range){figure, 1}, width, out);
    }
    return err;
}

enum err report_summary_print(const struct report_summary *summary, size_t width, FILE *out) {
    if (summary->row_count < 2)
        return ERR_OK;
    enum err err = tables_print(summary, width, out);
    if (!err && long_rows_count(summary) < summary->row_count)
        text_wrap_print("* ",
                        "fewer than 100,000 operations: not in the geometric means, since start-up and first "
                        "page faults make up much of so short a trace",
                        width, out);
    return err;
}

void report_summary_clear(struct report_summary *summary) {
    for (size_t i = 0; i < summary->row_count; i++) {
        free(summary->rows[i].name);
        free(summary->rows[i].values);
    }
    free(summary->rows);
    free(summary->allocator_names);
    memset(summary, 0, sizeof *summary);
}
