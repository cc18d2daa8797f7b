/**
 * live_curve.h: live bytes and blocks over a whole trace of unknown length, in a bounded number of points.
 *
 * Each point stands for `step` operations and keeps the least and the most that was live in them, so no peak is lost;
 * when there are too many points, each two become one and the step doubles. Cost: a few instructions an operation.
 */
#ifndef MMREPLAY_TRACES_LIVE_CURVE_H
#define MMREPLAY_TRACES_LIVE_CURVE_H

#include <stddef.h>
#include <stdint.h>

enum { LIVE_CURVE_POINTS = 512 };

struct live_point {
    uint64_t min_bytes; /**< of the states after each of its operations */
    uint64_t max_bytes;
    uint64_t end_bytes; /**< after the last of them */
    uint64_t end_blocks;
    uint64_t end_time_ns; /**< of the last of them; 0 without times */
};

/** Zero-initialise. */
struct live_curve {
    struct live_point points[LIVE_CURVE_POINTS];
    size_t count;  /**< points that are begun; the last may stand for fewer operations than `step` */
    uint64_t step; /**< operations a point; 0 before the first operation */
    uint64_t left; /**< operations that the last point still takes */
};

/** Begins a new point; live_curve_see() calls it. */
void live_curve_step(struct live_curve *curve);

/** Sees the state after the next operation. */
static inline void live_curve_see(struct live_curve *curve, uint64_t live_bytes, uint64_t live_blocks,
                                  uint64_t time_ns) {
    if (!curve->left)
        live_curve_step(curve);
    struct live_point *point = &curve->points[curve->count - 1];
    curve->left--;
    if (live_bytes < point->min_bytes)
        point->min_bytes = live_bytes;
    if (live_bytes > point->max_bytes)
        point->max_bytes = live_bytes;
    point->end_bytes = live_bytes;
    point->end_blocks = live_blocks;
    point->end_time_ns = time_ns;
}

/**
 * The curve between `from` and `to` of `parts` equal parts of the points, as one point.
 * @return how many points that is; 0: *out is untouched.
 */
size_t live_curve_part(const struct live_curve *curve, size_t from, size_t to, size_t parts, struct live_point *out);

/**
 * Slope of live bytes (at the ends of the points) by operations, least squares over the last quarter of the whole
 * points.
 * @param out bytes an operation. @return how many points; below 8 *out is untouched: too few to tell.
 */
size_t live_curve_slope(const struct live_curve *curve, double *out);

#endif
