/**
 * info_json.h: `mmreplay info --json`: schema 1 of {"mmreplay": …, "traces": […], "trees": […]}. The keys are those of
 * traces/ANALYSIS.md; keys may be added, what one means does not change within a schema.
 */
#ifndef MMREPLAY_CLI_INFO_JSON_H
#define MMREPLAY_CLI_INFO_JSON_H

#include <jansson.h>

#include "core/base/diag.h"
#include "traces/analysis.h"
#include "traces/trace.h"
#include "traces/trace_tree.h"

enum { INFO_JSON_SCHEMA = 1, INFO_JSON_THREADS = 1024 };

/** What is told of one trace. */
struct info_trace {
    const char *path;
    const struct trace_info *info;
    const struct trace_summary *summary;    /**< NULL: the file states none, and the events were not read */
    const struct analysis_result *analysis; /**< NULL: the events were not read */
    const struct diag *fault;               /**< why the events could not be read to their end; NULL: they were */
};

/** @return the trace's object; NULL: out of memory. */
json_t *info_json_trace(const struct info_trace *trace);

/** @return the object of a list of traces; NULL: out of memory. */
json_t *info_json_tree(const char *path, const struct trace_tree *tree);

#endif
