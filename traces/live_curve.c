#include "traces/live_curve.h"

enum { SLOPE_POINTS_MIN = 8 };

static void point_merge(struct live_point *into, const struct live_point *next) {
    if (next->min_bytes < into->min_bytes)
        into->min_bytes = next->min_bytes;
    if (next->max_bytes > into->max_bytes)
        into->max_bytes = next->max_bytes;
    into->end_bytes = next->end_bytes;
    into->end_blocks = next->end_blocks;
    into->end_time_ns = next->end_time_ns;
}

void live_curve_step(struct live_curve *curve) {
    if (!curve->step)
        curve->step = 1;
    if (curve->count == LIVE_CURVE_POINTS) {
        for (size_t i = 0; i < LIVE_CURVE_POINTS / 2; i++) {
            struct live_point point = curve->points[2 * i];
            point_merge(&point, &curve->points[2 * i + 1]);
            curve->points[i] = point;
        }
        curve->count /= 2;
        curve->step *= 2;
    }
    curve->points[curve->count++] = (struct live_point){.min_bytes = UINT64_MAX};
    curve->left = curve->step;
}

size_t live_curve_part(const struct live_curve *curve, size_t from, size_t to, size_t parts, struct live_point *out) {
    size_t first = curve->count * from / parts, last = curve->count * to / parts;
    if (first >= last)
        return 0;
    *out = curve->points[first];
    for (size_t i = first + 1; i < last; i++)
        point_merge(out, &curve->points[i]);
    return last - first;
}

size_t live_curve_slope(const struct live_curve *curve, double *out) {
    size_t whole = curve->count - (curve->left != 0), count = whole / 4, first = whole - count;
    if (count < SLOPE_POINTS_MIN)
        return count;
    /* The mean of the bytes is taken off first: sums of products of large numbers would lose the slope. */
    double mean_at = (double)(count - 1) / 2, mean_bytes = 0, covariance = 0, variance = 0;
    for (size_t i = 0; i < count; i++)
        mean_bytes += (double)curve->points[first + i].end_bytes / (double)count;
    for (size_t i = 0; i < count; i++) {
        double at = (double)i - mean_at;
        covariance += at * ((double)curve->points[first + i].end_bytes - mean_bytes);
        variance += at * at;
    }
    *out = covariance / variance / (double)curve->step;
    return count;
}
