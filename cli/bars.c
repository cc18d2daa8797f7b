#include "cli/bars.h"

#include "core/base/units.h"

enum { EIGHTHS = 8, CHART_LABEL = 10, CHART_COLUMNS_MAX = 120 };

static const char *const rising[EIGHTHS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const widening[EIGHTHS + 1] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};

/* value / whole of `steps`, rounded, but at least one step for anything. */
static unsigned steps_of(uint64_t value, uint64_t whole, unsigned steps) {
    if (!value || !whole)
        return 0;
    unsigned filled = (unsigned)((double)value / (double)whole * steps + 0.5);
    return filled < 1 ? 1 : filled < steps ? filled : steps;
}

const char *bar_format(uint64_t value, uint64_t whole, unsigned cells, char buffer[BAR_BYTES]) {
    unsigned filled = steps_of(value, whole, cells * EIGHTHS);
    size_t used = 0;
    for (; filled; filled -= filled < EIGHTHS ? filled : EIGHTHS)
        used += (size_t)snprintf(buffer + used, BAR_BYTES - used, "%s", widening[filled < EIGHTHS ? filled : EIGHTHS]);
    buffer[used] = '\0';
    return buffer;
}

static void chart_row_print(const struct live_curve *curve, uint64_t peak_bytes, size_t columns, unsigned row,
                            FILE *out) {
    char label[UNITS_TEXT_BYTES] = "";
    if (row == CHART_ROWS - 1)
        units_format_bytes(peak_bytes, label);
    fprintf(out, "  %*s ┤", CHART_LABEL, row ? label : "0");
    for (size_t i = 0; i < columns; i++) {
        struct live_point part = {0};
        live_curve_part(curve, i, i + 1, columns, &part);
        unsigned height = steps_of(part.max_bytes, peak_bytes, CHART_ROWS * EIGHTHS), below = row * EIGHTHS;
        fputs(rising[height <= below ? 0 : height - below < EIGHTHS ? height - below : EIGHTHS], out);
    }
    fputc('\n', out);
}

void chart_print(const struct live_curve *curve, uint64_t peak_bytes, size_t width, FILE *out) {
    size_t columns = width - CHART_LABEL - 4;
    if (columns > CHART_COLUMNS_MAX)
        columns = CHART_COLUMNS_MAX;
    if (columns > curve->count)
        columns = curve->count;
    for (unsigned row = CHART_ROWS; columns && row-- > 0;)
        chart_row_print(curve, peak_bytes, columns, row, out);
}
