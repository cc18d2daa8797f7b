/**
 * info_sections.h: the parts of the full page, each silent when the trace has nothing of it. @return ERR_NOMEM.
 */
#ifndef MMREPLAY_CLI_INFO_SECTIONS_H
#define MMREPLAY_CLI_INFO_SECTIONS_H

#include "cli/info_page.h"
#include "traces/analysis.h"

enum err info_operations_print(const struct analysis_result *result, const struct info_page *page);
enum err info_live_print(const struct analysis_result *result, const struct info_page *page);
enum err info_sizes_print(const struct analysis_result *result, const struct info_page *page);
enum err info_requests_print(const struct analysis_result *result, const struct info_page *page);
enum err info_lives_print(const struct analysis_result *result, const struct info_page *page);
enum err info_reallocs_print(const struct analysis_result *result, const struct info_page *page);
enum err info_threads_print(const struct analysis_result *result, const struct info_page *page);

#endif
