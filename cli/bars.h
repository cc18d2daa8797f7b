/**
 * bars.h: small pictures out of Unicode's block elements, an eighth of a column or row fine. For UTF-8 terminals
 * (terminal.h) only.
 */
#ifndef MMREPLAY_CLI_BARS_H
#define MMREPLAY_CLI_BARS_H

#include <stdint.h>
#include <stdio.h>

#include "traces/live_curve.h"

enum { BAR_CELLS_MAX = 20, BAR_BYTES = 3 * BAR_CELLS_MAX + 1, CHART_ROWS = 6 };

/** A bar of value / whole of `cells` (at most BAR_CELLS_MAX) columns; anything above nothing is seen. @return buffer.
 */
const char *bar_format(uint64_t value, uint64_t whole, unsigned cells, char buffer[BAR_BYTES]);

/** Live bytes over the trace, CHART_ROWS high, the page `width` columns wide; a column shows the highest of its part.
 */
void chart_print(const struct live_curve *curve, uint64_t peak_bytes, size_t width, FILE *out);

#endif
