/**
 * metrics.h: from what was seen to the figures: one table row a metric.
 *
 * Keys, units and definitions are the ones of the JSON, CSV and threshold names. Every metric is computed per run (a
 * round's time run or a memory pass) and then summarised by the median of its runs.
 */
#ifndef MMREPLAY_COMPARE_METRICS_H
#define MMREPLAY_COMPARE_METRICS_H

#include "compare/experiment.h"
#include "compare/statistics.h"

/** Below this much live memory at the peak, ratios of resident to live bytes say nothing: pages are the larger part. */
enum { METRIC_LIVE_FLOOR_BYTES = 256 * 1024 };

enum metric {
    METRIC_NS_PER_OP,
    METRIC_NS_PER_OP_RAW,
    METRIC_NULL_NS_PER_OP,
    METRIC_FAULT_COUNT,
    METRIC_REFUSED_COUNT,
    METRIC_FRAG_AVG,
    METRIC_FRAG_AT_LIVE_PEAK,
    METRIC_FRAG_AT_RESIDENT_PEAK,
    METRIC_OVERHEAD_PEAK,
    METRIC_INTERNAL_FRAG,
    METRIC_ARENA_FRAG_AVG,
    METRIC_ARENA_FRAG_AT_LIVE_PEAK,
    METRIC_ARENA_FRAG_AT_RESIDENT_PEAK,
    METRIC_ARENA_OVERHEAD_PEAK,
    METRIC_ARENA_INTERNAL_FRAG,
    METRIC_ARENAS_MAPPED,
    METRIC_ARENAS_RETURNED,
    METRIC_ARENAS_PEAK,
    METRIC_ARENAS_END,
    METRIC_ARENAS_DRAINED,
    METRIC_ARENA_RETURN,
    METRIC_RETURN_AT_TROUGH,
    METRIC_TROUGH_RETURN,
    METRIC_RESIDENT_PEAK,
    METRIC_END_RESIDENT,
    METRIC_DRAINED_RESIDENT,
    METRIC_DRAINED_RESIDENT_100MS,
    METRIC_DRAINED_RESIDENT_1S,
    METRIC_DRAINED_RESIDENT_5S,
    METRIC_DRAINED_RETURN,
    METRIC_DRAINED_RETURN_QUIET,
    METRIC_COUNT
};

enum metric_class {
    METRIC_EXACT, /**< repeats to the last digit: no statistics */
    METRIC_NOISY  /**< time, resident memory */
};

enum metric_direction { METRIC_LOWER_IS_BETTER, METRIC_HIGHER_IS_BETTER, METRIC_NO_DIRECTION };

/** What a metric is computed from. */
struct metric_scope {
    const struct experiment *experiment;
    const struct allocator_result *result;
};

struct metric_info {
    const char *key;
    const char *unit; /**< "ns", "bytes", "ratio", "arenas", "faults", "requests" */
    enum metric_class class;
    enum metric_direction direction;
    bool per_round;         /**< one value a round; otherwise one a memory pass */
    const char *definition; /**< one sentence */
    /** @return NULL and *out for run number `run`, or why there is no value. */
    const char *(*compute)(const struct metric_scope *scope, size_t run, double *out);
};

extern const struct metric_info metric_infos[METRIC_COUNT];

struct metric_value {
    const char *reason; /**< why it is not available; NULL: it is */
    struct estimate estimate;
    double *samples; /**< by round or memory pass, as far as they went, NAN where a run is missing; owned */
    size_t sample_count;
};

struct metric_set {
    struct metric_value values[METRIC_COUNT];
};

/** Computes every metric of result `index`. @return ERR_NOMEM. */
enum err metric_set_compute(const struct experiment *experiment, size_t index, struct metric_set *out);

void metric_set_clear(struct metric_set *set);

#endif
