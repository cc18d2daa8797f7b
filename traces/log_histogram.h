/**
 * log_histogram.h: a histogram of 64-bit numbers with a bounded relative error, as HdrHistogram has it.
 *
 * Each doubling is divided into 16 cells: numbers below 32 are exact, others known to 1/16. Cells never straddle a
 * power of two, so sums by powers of two (octaves) are exact.
 */
#ifndef MMREPLAY_TRACES_LOG_HISTOGRAM_H
#define MMREPLAY_TRACES_LOG_HISTOGRAM_H

#include <stdint.h>

enum {
    LOG_CELL_BITS = 4,
    LOG_CELL_COUNT = (64 - LOG_CELL_BITS + 1) << LOG_CELL_BITS,
    LOG_OCTAVE_COUNT = 65 /**< octave 0 is the number 0; octave k > 0 is 2^(k-1) … 2^k - 1 */
};

struct log_histogram {
    uint64_t count;
    uint64_t max;
    uint64_t cells[LOG_CELL_COUNT];
};

static inline uint32_t log_octave_of(uint64_t value) {
    return value ? 64 - (uint32_t)__builtin_clzll(value) : 0;
}

/** Smallest and largest number of an octave. */
static inline uint64_t log_octave_lower(uint32_t octave) {
    return octave ? (uint64_t)1 << (octave - 1) : 0;
}
static inline uint64_t log_octave_upper(uint32_t octave) {
    return octave ? UINT64_MAX >> (64 - octave) : 0;
}

static inline uint32_t log_cell_of(uint64_t value) {
    if (value < 1 << LOG_CELL_BITS)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - LOG_CELL_BITS;
    return (shift << LOG_CELL_BITS) + (uint32_t)(value >> shift);
}

static inline void log_histogram_add(struct log_histogram *histogram, uint64_t value) {
    histogram->count++;
    histogram->cells[log_cell_of(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

/** Numbers in each octave; they add up to `count`. */
void log_histogram_octaves(const struct log_histogram *histogram, uint64_t out[LOG_OCTAVE_COUNT]);

/**
 * The `rank`-th smallest number (from 1) as far as it is known: the upper end of its cell, at most `max`.
 * @return `max` for a rank beyond `count`.
 */
uint64_t log_histogram_rank(const struct log_histogram *histogram, uint64_t rank);

/** The same for the smallest number that `per_mille` thousandths of all do not exceed. @return 0 when there is none. */
uint64_t log_histogram_quantile(const struct log_histogram *histogram, uint32_t per_mille);

#endif
