/**
 * curves.h: arithmetic on the curves of a memory pass.
 *
 * Samples lie at equal steps of operations and, besides, at new peaks. Means are therefore weighted by time: the
 * trapezoidal rule over operation indices, so that the extra points shift nothing.
 */
#ifndef MMREPLAY_COMPARE_CURVES_H
#define MMREPLAY_COMPARE_CURVES_H

#include <stddef.h>

#include "compare/worker/worker_protocol.h"

struct curve {
    const struct worker_sample *samples;
    size_t count;     /**< at least 1 */
    size_t live_peak; /**< index of the sample at the largest live bytes of the trace */
};

/** What is looked at: bytes at one sample. */
struct curve_field {
    double (*get)(const struct worker_sample *sample);
};

extern const struct curve_field curve_live;     /**< requested bytes of all live blocks */
extern const struct curve_field curve_usable;   /**< usable bytes of all live blocks */
extern const struct curve_field curve_resident; /**< resident bytes */
extern const struct curve_field curve_pooled;   /**< requested bytes of live blocks in arenas */
extern const struct curve_field curve_blocks;   /**< size-class bytes of live blocks in arenas */
extern const struct curve_field curve_arena;    /**< arena bytes */

/** Time-weighted mean. */
double curve_mean(const struct curve *curve, struct curve_field field);

/** Time-weighted mean of (outer − inner) / outer, over the samples where outer is not 0. @return NAN when none is. */
double curve_mean_share(const struct curve *curve, struct curve_field outer, struct curve_field inner);

/** Index of the first largest value. */
size_t curve_peak(const struct curve *curve, struct curve_field field);

/**
 * Index of the peak of `held` with the most live bytes: of the samples no more than `slack_ratio` below the largest
 * value the first where `live` is largest. A curve that stays at its peak for long would otherwise be judged at
 * whichever of those points was a page higher this time, and live bytes may fall to nothing meanwhile.
 */
size_t curve_peak_fullest(const struct curve *curve, struct curve_field held, struct curve_field live,
                          double slack_ratio);

/** Index of the last lowest live bytes behind the live peak; the live peak's own when it is the last sample. */
size_t curve_trough(const struct curve *curve);

#endif
