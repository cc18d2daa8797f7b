/**
 * progress.h: one bar on stderr, drawn only when stderr is a terminal that can (not TERM=dumb).
 */
#ifndef MMREPLAY_CLI_PROGRESS_H
#define MMREPLAY_CLI_PROGRESS_H

#include <stddef.h>

/** Redraws the bar: `done` of `total` steps, `label` naming the one now running. */
void progress_show(size_t done, size_t total, const char *label);

/** Takes the bar off the screen, before other text is printed and at the end. */
void progress_clear(void);

#endif
