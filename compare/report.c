#include "compare/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err report_warn(struct report *report, int allocator, const char *format, ...) {
    struct warning *warnings = realloc(report->warnings, (report->warning_count + 1) * sizeof *warnings);
    if (!warnings)
        return ERR_NOMEM;
    report->warnings = warnings;
    struct warning *warning = &warnings[report->warning_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(warning->text, sizeof warning->text, format, arguments);
    va_end(arguments);
    warning->allocator = allocator;
    return ERR_OK;
}

/* The first allocator that was asked for and measured stands for 1. */
static enum err ratios_compute(struct report *report) {
    const struct experiment *experiment = report->experiment;
    const struct metric_value *base = &report->sets[0].values[METRIC_NS_PER_OP];
    for (size_t i = 1; i < experiment->count && !base->reason; i++) {
        const struct metric_value *value = &report->sets[i].values[METRIC_NS_PER_OP];
        if (value->reason)
            continue;
        enum err err = ratio_estimate(value->samples, base->samples, value->sample_count, experiment->options.seed + i,
                                      &report->ratios[i]);
        if (err == ERR_NOMEM)
            return err;
    }
    return ERR_OK;
}

enum err report_create(const struct trace_info *info, const struct experiment *experiment, struct report *out) {
    struct report report = {.info = info, .experiment = experiment};
    report.sets = calloc(experiment->count, sizeof *report.sets);
    report.ratios = calloc(experiment->count, sizeof *report.ratios);
    enum err err = report.sets && report.ratios ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; i < experiment->count && !err; i++)
        err = metric_set_compute(experiment, i, &report.sets[i]);
    if (!err)
        err = ratios_compute(&report);
    if (!err)
        err = warnings_collect(&report);
    if (err)
        report_clear(&report);
    else
        *out = report;
    return err;
}

void report_clear(struct report *report) {
    if (!report)
        return;
    for (size_t i = 0; report->sets && i < report->experiment->count; i++)
        metric_set_clear(&report->sets[i]);
    free(report->sets);
    free(report->ratios);
    free(report->warnings);
    memset(report, 0, sizeof *report);
}

const struct worker_sample *report_peak_sample(const struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct program_header *header = report->experiment->program->header;
    return result->memory_count && header->sample_count ? &result->memories[0].samples[header->peak_sample] : NULL;
}

const struct worker_sample *report_end_sample(const struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct program_header *header = report->experiment->program->header;
    return result->memory_count && header->sample_count ? &result->memories[0].samples[header->sample_count - 1] : NULL;
}
