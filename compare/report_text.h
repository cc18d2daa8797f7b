/**
 * report_text.h: the report for a person at a terminal.
 */
#ifndef MMREPLAY_COMPARE_REPORT_TEXT_H
#define MMREPLAY_COMPARE_REPORT_TEXT_H

#include <stdio.h>

#include "compare/report.h"

/** @param width columns of the page; tables that are wider are broken into blocks. @return ERR_NOMEM. */
enum err report_text_print(const struct report *report, size_t width, FILE *out);

/** The line on the machine: the same for all traces of a run, so it is printed once by the caller. */
void report_text_machine_print(const struct experiment *experiment, size_t width, FILE *out);

/** What the columns mean under these options, in a few lines; printed once, below all tables. */
void report_text_legend_print(const struct experiment_options *options, size_t width, FILE *out);

#endif
