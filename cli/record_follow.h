/**
 * record_follow.h: `record --follow`: a process tree into NAME.PID.yaml each, and NAME.yaml that lists them.
 */
#ifndef MMREPLAY_CLI_RECORD_FOLLOW_H
#define MMREPLAY_CLI_RECORD_FOLLOW_H

#include "traces/record/record.h"
#include "traces/trace.h"

struct record_follow {
    const char *path; /**< of the list; ends in ".yaml" */
    const struct record_options *options;
    /** Adds what the user says of every trace. @return ERR_OK, ERR_NOMEM. */
    enum err (*describe)(const void *ctx, struct trace_info *info);
    const void *ctx;
};

/** What was captured, and what the user says of it; shares the strings of both. */
struct trace_info record_info_join(const struct trace_info *captured, const struct trace_info *described);

/**
 * Records, writes, tells.
 * @param signal_number filled as in struct record_report.
 * @return an exit code.
 */
int record_follow_run(const struct record_follow *follow, int *signal_number);

#endif
