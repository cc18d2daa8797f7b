/**
 * statistics.h: medians that say how far they can be trusted, without assuming any distribution.
 */
#ifndef MMREPLAY_COMPARE_STATISTICS_H
#define MMREPLAY_COMPARE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

/** A value with the interval it lies in. */
struct estimate {
    double value;
    bool has_interval; /**< false for a single sample: nothing is known about its spread */
    double low, high;
    double coverage; /**< what the interval really covers: 0.961, or less than 0.95 when there are too few samples */
    size_t sample_count;
    size_t outlier_count; /**< beyond Tukey's fences (1.5 interquartile ranges); counted, and kept */
};

/**
 * The median (mean of the middle two when even) and its distribution-free interval from order statistics.
 *
 * The interval [x(k), x(n+1−k)] covers the true median with probability 1 − 2·P(B(n, ½) ≤ k − 1), whatever the
 * distribution (Conover, Practical Nonparametric Statistics, 3.2). k is the largest that covers 95 %; when none does
 * (n < 6), k = 1 and `coverage` says what the whole range covers.
 * @param samples any order; not changed. @param count at least 1, at most 10,000.
 * @return ERR_NOMEM, ERR_USAGE (count 0 or too large).
 */
enum err median_estimate(const double *samples, size_t count, struct estimate *out);

/** The k of the interval above, from 1. @param out_coverage what it covers. */
size_t median_interval_rank(size_t count, double *out_coverage);

/**
 * The median of `a[i] / b[i]`, a pair being two measurements of the same round, with a 95 % percentile bootstrap
 * interval: `BOOTSTRAP_COUNT` resamples of the pairs (Efron & Tibshirani 1993, ch. 13). Same seed, same interval.
 * Pairs with a non-finite ratio are left out. @return ERR_USAGE when no pair is left, ERR_NOMEM.
 */
enum err ratio_estimate(const double *a, const double *b, size_t count, uint64_t seed, struct estimate *out);

enum { BOOTSTRAP_COUNT = 10000, STATISTICS_SAMPLES_MAX = 10000 };

/** Quantile q of sorted values, linear between order statistics (Hyndman & Fan type 7). @param count at least 1. */
double sorted_quantile(const double *sorted, size_t count, double q);

#endif
