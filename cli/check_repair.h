/**
 * check_repair.h: `check --repair`: what is whole in a damaged trace becomes a new one.
 */
#ifndef MMREPLAY_CLI_CHECK_REPAIR_H
#define MMREPLAY_CLI_CHECK_REPAIR_H

#include <stdbool.h>

#include "core/base/diag.h"

/**
 * Writes `output` and tells on stdout what was kept and what was lost, unless `quiet`.
 * @param why what check found wrong with the trace; NULL: nothing.
 * @return EXIT_CODE_DONE when `output` was written, otherwise EXIT_CODE_FAILURE.
 */
int check_repair_run(const char *path, const char *output, const struct diag *why, bool quiet);

/** Tells of the description of an unfinished recording beside `path`, which does not exist, if there is one. */
void check_unfinished_tell(const char *path);

#endif
