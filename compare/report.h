/**
 * report.h: everything a report says about one trace, computed once for every form of it.
 */
#ifndef MMREPLAY_COMPARE_REPORT_H
#define MMREPLAY_COMPARE_REPORT_H

#include "compare/experiment.h"
#include "compare/metrics.h"
#include "traces/trace.h"

/** What a reader must know before trusting a figure: the fact, its likely cause, what to try. */
struct warning {
    int allocator; /**< index of the result it concerns, −1: all */
    char text[512];
};

struct report {
    const struct trace_info *info; /**< borrowed; its summary may be zero (foreign traces), the program's counts */
    const struct experiment *experiment; /**< borrowed */
    struct metric_set *sets;             /**< one per result; owned */
    struct estimate *ratios; /**< time per operation against the first allocator; sample_count 0: not available */
    struct warning *warnings;
    size_t warning_count;
};

/** @return ERR_NOMEM. */
enum err report_create(const struct trace_info *info, const struct experiment *experiment, struct report *out);

void report_clear(struct report *report);

/** Adds a warning about result `allocator` (−1: about all). @return ERR_NOMEM. */
enum err report_warn(struct report *report, int allocator, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Judges the experiment and adds all warnings that it deserves; report_create() calls it. */
enum err warnings_collect(struct report *report);

/** Samples to quote a pool's split at: the live peak and the end of the trace. NULL when there was no memory pass. */
const struct worker_sample *report_peak_sample(const struct report *report, size_t index);
const struct worker_sample *report_end_sample(const struct report *report, size_t index);

#endif
