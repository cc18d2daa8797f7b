#include "traces/log_histogram.h"

#include <string.h>

static uint64_t cell_lower(uint32_t cell) {
    if (cell < 1 << LOG_CELL_BITS)
        return cell;
    uint32_t shift = (cell >> LOG_CELL_BITS) - 1;
    return (uint64_t)((cell & ((1 << LOG_CELL_BITS) - 1)) + (1 << LOG_CELL_BITS)) << shift;
}

static uint64_t cell_upper(uint32_t cell) {
    return cell + 1 < LOG_CELL_COUNT ? cell_lower(cell + 1) - 1 : UINT64_MAX;
}

void log_histogram_octaves(const struct log_histogram *histogram, uint64_t out[LOG_OCTAVE_COUNT]) {
    memset(out, 0, LOG_OCTAVE_COUNT * sizeof *out);
    for (uint32_t i = 0; i < LOG_CELL_COUNT; i++)
        out[log_octave_of(cell_lower(i))] += histogram->cells[i];
}

uint64_t log_histogram_rank(const struct log_histogram *histogram, uint64_t rank) {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < LOG_CELL_COUNT; i++) {
        seen += histogram->cells[i];
        if (seen && seen >= rank)
            return cell_upper(i) < histogram->max ? cell_upper(i) : histogram->max;
    }
    return histogram->max;
}

uint64_t log_histogram_quantile(const struct log_histogram *histogram, uint32_t per_mille) {
    return log_histogram_rank(histogram, (uint64_t)(((unsigned __int128)histogram->count * per_mille + 999) / 1000));
}
