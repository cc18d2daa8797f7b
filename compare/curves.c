#include "compare/curves.h"

#include <math.h>

static double live_get(const struct worker_sample *sample) {
    return (double)sample->live_bytes;
}
static double usable_get(const struct worker_sample *sample) {
    return (double)sample->usable_bytes;
}
static double resident_get(const struct worker_sample *sample) {
    return (double)sample->resident_bytes;
}
static double pooled_get(const struct worker_sample *sample) {
    return (double)sample->pooled_bytes;
}
static double blocks_get(const struct worker_sample *sample) {
    return (double)sample->split.allocated_blocks_bytes;
}
static double arena_get(const struct worker_sample *sample) {
    return (double)sample->split.arena_bytes_total;
}

const struct curve_field curve_live = {live_get};
const struct curve_field curve_usable = {usable_get};
const struct curve_field curve_resident = {resident_get};
const struct curve_field curve_pooled = {pooled_get};
const struct curve_field curve_blocks = {blocks_get};
const struct curve_field curve_arena = {arena_get};

/* Half the distance between the neighbours of sample i, in operations; 1 for a curve of one point. */
static double sample_weight(const struct curve *curve, size_t i) {
    if (curve->count == 1)
        return 1;
    size_t before = i ? i - 1 : i;
    size_t after = i + 1 < curve->count ? i + 1 : i;
    return (double)(curve->samples[after].operation_index - curve->samples[before].operation_index) / 2;
}

double curve_mean(const struct curve *curve, struct curve_field field) {
    double sum = 0;
    double weights = 0;
    for (size_t i = 0; i < curve->count; i++) {
        double weight = sample_weight(curve, i);
        sum += weight * field.get(&curve->samples[i]);
        weights += weight;
    }
    return sum / weights;
}

double curve_mean_share(const struct curve *curve, struct curve_field outer, struct curve_field inner) {
    double sum = 0;
    double weights = 0;
    for (size_t i = 0; i < curve->count; i++) {
        double whole = outer.get(&curve->samples[i]);
        if (whole <= 0)
            continue;
        double weight = sample_weight(curve, i);
        sum += weight * (whole - inner.get(&curve->samples[i])) / whole;
        weights += weight;
    }
    return weights > 0 ? sum / weights : NAN;
}

size_t curve_peak(const struct curve *curve, struct curve_field field) {
    size_t peak = 0;
    for (size_t i = 1; i < curve->count; i++)
        if (field.get(&curve->samples[i]) > field.get(&curve->samples[peak]))
            peak = i;
    return peak;
}

size_t curve_peak_fullest(const struct curve *curve, struct curve_field held, struct curve_field live,
                          double slack_ratio) {
    size_t fullest = curve_peak(curve, held);
    double least = held.get(&curve->samples[fullest]) * (1 - slack_ratio);
    for (size_t i = 0; i < curve->count; i++) {
        double gain = live.get(&curve->samples[i]) - live.get(&curve->samples[fullest]);
        if (held.get(&curve->samples[i]) >= least && (gain > 0 || (gain >= 0 && i < fullest)))
            fullest = i;
    }
    return fullest;
}

size_t curve_trough(const struct curve *curve) {
    size_t trough = curve->live_peak;
    for (size_t i = curve->live_peak + 1; i < curve->count; i++)
        if (curve->samples[i].live_bytes <= curve->samples[trough].live_bytes)
            trough = i;
    return trough;
}
