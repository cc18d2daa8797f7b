/**
 * info_text.h: `mmreplay info` for a person to read.
 */
#ifndef MMREPLAY_CLI_INFO_TEXT_H
#define MMREPLAY_CLI_INFO_TEXT_H

#include "cli/info_page.h"
#include "traces/analysis.h"
#include "traces/trace.h"

/** What the description says: name, program, capture, file. */
void info_text_head(const struct trace_info *info, const struct trace_summary *summary, const struct info_page *page);

/** The short form: the summary's counts. */
void info_text_summary(const struct trace_summary *summary);

/** The full form: what an analysis found. @return ERR_NOMEM. */
enum err info_text_analysis(const struct analysis_result *result, const struct info_page *page);

#endif
