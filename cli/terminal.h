/**
 * terminal.h: what stdout is: how wide a page to make for it, and whether to draw.
 */
#ifndef MMREPLAY_CLI_TERMINAL_H
#define MMREPLAY_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/** Columns of a page: COLUMNS, else the terminal's, else 120; at least 60. */
size_t terminal_width(void);

/** True when bars of block characters can be shown: a terminal that is not TERM=dumb, in a UTF-8 locale. */
bool terminal_draws(void);

#endif
