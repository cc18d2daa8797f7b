#include "compare/statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int double_compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_median(const double *sorted, size_t count) {
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double sorted_quantile(const double *sorted, size_t count, double q) {
    double place = q * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

size_t median_interval_rank(size_t count, double *out_coverage) {
    /* The log of a term keeps 2^-n from vanishing for large n. */
    double n = (double)count;
    double tail = 0;
    double coverage = 0;
    size_t rank = 0;
    for (size_t k = 1; k <= (count + 1) / 2; k++) {
        double i = (double)(k - 1);
        tail += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * log(2));
        double covered = 1 - 2 * tail;
        if (k > 1 && covered < 0.95)
            break;
        rank = k;
        coverage = covered;
    }
    *out_coverage = coverage > 0 ? coverage : 0;
    return rank;
}

static size_t outliers_count(const double *sorted, size_t count) {
    double low = sorted_quantile(sorted, count, 0.25);
    double high = sorted_quantile(sorted, count, 0.75);
    double reach = 1.5 * (high - low);
    size_t outliers = 0;
    for (size_t i = 0; i < count; i++)
        outliers += sorted[i] < low - reach || sorted[i] > high + reach;
    return outliers;
}

enum err median_estimate(const double *samples, size_t count, struct estimate *out) {
    if (!count || count > STATISTICS_SAMPLES_MAX)
        return ERR_USAGE;
    double *sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return ERR_NOMEM;
    memcpy(sorted, samples, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, double_compare);
    struct estimate estimate = {.value = sorted_median(sorted, count), .has_interval = count > 1};
    size_t rank = median_interval_rank(count, &estimate.coverage);
    estimate.low = sorted[rank - 1];
    estimate.high = sorted[count - rank];
    estimate.sample_count = count;
    estimate.outlier_count = outliers_count(sorted, count);
    free(sorted);
    *out = estimate;
    return ERR_OK;
}

static uint64_t splitmix_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t ratios_fill(const double *a, const double *b, size_t count, double *ratios) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(a[i] / b[i]))
            ratios[kept++] = a[i] / b[i];
    return kept;
}

/* Medians of resamples, sorted. */
static void bootstrap_fill(const double *ratios, size_t count, uint64_t seed, double *sample, double *medians) {
    assert(count);
    for (size_t i = 0; i < BOOTSTRAP_COUNT; i++) {
        for (size_t j = 0; j < count; j++)
            sample[j] = ratios[splitmix_next(&seed) % count];
        qsort(sample, count, sizeof *sample, double_compare);
        medians[i] = sorted_median(sample, count);
    }
    qsort(medians, BOOTSTRAP_COUNT, sizeof *medians, double_compare);
}

enum err ratio_estimate(const double *a, const double *b, size_t count, uint64_t seed, struct estimate *out) {
    if (!count || count > STATISTICS_SAMPLES_MAX)
        return ERR_USAGE;
    double *room = calloc(2 * count + BOOTSTRAP_COUNT, sizeof *room);
    if (!room)
        return ERR_NOMEM;
    double *ratios = room + BOOTSTRAP_COUNT;
    size_t kept = ratios_fill(a, b, count, ratios);
    enum err err = kept ? median_estimate(ratios, kept, out) : ERR_USAGE;
    if (!err && kept > 1) {
        bootstrap_fill(ratios, kept, seed, ratios + count, room);
        out->low = sorted_quantile(room, BOOTSTRAP_COUNT, 0.025);
        out->high = sorted_quantile(room, BOOTSTRAP_COUNT, 0.975);
        out->coverage = 0.95;
    }
    free(room);
    return err;
}
