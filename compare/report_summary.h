/**
 * report_summary.h: many traces on one page: a row a trace, a column an allocator, for the three figures people ask
 * for.
 */
#ifndef MMREPLAY_COMPARE_REPORT_SUMMARY_H
#define MMREPLAY_COMPARE_REPORT_SUMMARY_H

#include <stdio.h>

#include "compare/report.h"

/** Zero-initialise; report_summary_clear() in the end. */
struct report_summary {
    struct summary_row *rows;
    size_t row_count;
    size_t row_capacity;
    size_t allocator_count;
    char (*allocator_names)[ALLOCATOR_NAME_BYTES];
};

/** Keeps the trace's figures; every report of a summary has the same allocators. @return ERR_OK, ERR_NOMEM. */
enum err report_summary_add(struct report_summary *summary, const struct report *report);

/**
 * Prints the page, with the geometric means over the traces of at least 100,000 operations (the others are marked, and
 * a line says why); nothing for fewer than two traces. @return ERR_NOMEM.
 */
enum err report_summary_print(const struct report_summary *summary, size_t width, FILE *out);

void report_summary_clear(struct report_summary *summary);

#endif
