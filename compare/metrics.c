#include "compare/metrics.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "compare/curves.h"

/* Resident bytes this close below their peak are at it: a page or two come and go, of whoever's making. */
static const double resident_plateau_ratio = 0.001;

/* Reasons, each in one place: reports print them as they stand. */
static const char no_run[] = "the allocator did not finish the run";
static const char interrupted[] = "interrupted before it was measured";
static const char no_operations[] = "the trace has no operations";
static const char not_asked[] = "no memory pass was asked for";
static const char is_null[] = "the null allocator holds no memory";
static const char is_null_cost[] = "the null allocator is what is subtracted";
static const char no_resident[] = "the kernel offers no smaps_rollup";
static const char no_usable[] = "the library has no malloc_usable_size of its own";
static const char no_arenas[] = "only the pool has arenas that can be counted";
static const char no_arena_needed[] = "no arena was needed";
static const char live_too_small[] = "less than 256 KiB live at the peak";
static const char no_resident_bytes[] = "no resident memory was seen";
static const char no_trough[] = "live bytes are at their peak at the end";
static const char little_to_return[] = "less than 256 KiB could have gone back by the lowest live bytes";
static const char not_waited[] = "not measured: the quiet time is longer than --drain-wait";

static const struct time_run *time_run_find(const struct allocator_result *result, size_t round) {
    return result->times[round].valid ? &result->times[round] : NULL;
}

static const char *missing_reason(const struct metric_scope *scope) {
    return scope->experiment->interrupted && scope->result->status == RUN_DONE ? interrupted : no_run;
}

static double operations_of(const struct metric_scope *scope) {
    return (double)scope->experiment->program->header->summary.operation_count;
}

static const char *ns_raw_of(const struct metric_scope *scope, const struct allocator_result *result, size_t round,
                             double *out) {
    const struct time_run *run = time_run_find(result, round);
    if (!run)
        return missing_reason(scope);
    if (operations_of(scope) <= 0)
        return no_operations;
    *out = (double)run->elapsed_ns / operations_of(scope);
    return NULL;
}

static const char *ns_raw_compute(const struct metric_scope *scope, size_t round, double *out) {
    return ns_raw_of(scope, scope->result, round, out);
}

static const char *ns_null_compute(const struct metric_scope *scope, size_t round, double *out) {
    return ns_raw_of(scope, &scope->experiment->results[scope->experiment->null_index], round, out);
}

static const char *ns_compute(const struct metric_scope *scope, size_t round, double *out) {
    double raw, null_cost;
    if (scope->result->allocator.backend == WORKER_NULL)
        return is_null_cost;
    const char *reason = ns_raw_compute(scope, round, &raw);
    if (!reason)
        reason = ns_null_compute(scope, round, &null_cost);
    if (!reason)
        *out = raw - null_cost;
    return reason;
}

static const char *faults_compute(const struct metric_scope *scope, size_t round, double *out) {
    const struct time_run *run = time_run_find(scope->result, round);
    if (!run)
        return missing_reason(scope);
    *out = (double)run->fault_count;
    return NULL;
}

/* What every metric of the memory pass needs first. */
static const char *curve_open(const struct metric_scope *scope, size_t run, struct curve *out) {
    const struct allocator_result *result = scope->result;
    const struct program_header *header = scope->experiment->program->header;
    if (result->allocator.backend == WORKER_NULL)
        return is_null;
    if (!scope->experiment->options.memory_rounds && result->status == RUN_DONE)
        return not_asked;
    if (run >= result->memory_count || !header->sample_count)
        return missing_reason(scope);
    *out = (struct curve){result->memories[run].samples, header->sample_count, header->peak_sample};
    return NULL;
}

static const char *resident_curve_open(const struct metric_scope *scope, size_t run, struct curve *out) {
    const char *reason = curve_open(scope, run, out);
    if (!reason && !scope->result->memories[run].reply.has_resident)
        reason = no_resident;
    return reason;
}

static const char *floor_check(const struct metric_scope *scope) {
    bool small = scope->experiment->program->header->summary.live_peak_bytes < METRIC_LIVE_FLOOR_BYTES;
    return small ? live_too_small : NULL;
}

/* A curve for ratios of resident to live. */
static const char *frag_curve_open(const struct metric_scope *scope, size_t run, struct curve *out) {
    const char *reason = resident_curve_open(scope, run, out);
    return reason ? reason : floor_check(scope);
}

/* The same for arena bytes to live bytes in arenas. */
static const char *arena_curve_open(const struct metric_scope *scope, size_t run, struct curve *out) {
    if (!worker_backend_has_arenas(scope->result->allocator.backend))
        return no_arenas;
    const char *reason = curve_open(scope, run, out);
    return reason ? reason : floor_check(scope);
}

static const char *ratio_give(double numerator, double denominator, double *out) {
    if (!(denominator > 0))
        return no_resident_bytes;
    *out = numerator / denominator;
    return NULL;
}

/*
 * The four ratios of Johnstone & Wilson (1998), "The memory fragmentation problem: solved?", section 5, as held / live.
 */
static const char *frag_avg(const struct curve *curve, struct curve_field held, struct curve_field live, double *out) {
    return ratio_give(curve_mean(curve, held), curve_mean(curve, live), out);
}

static const char *frag_at(const struct curve *curve, size_t index, struct curve_field held, struct curve_field live,
                           double *out) {
    return ratio_give(held.get(&curve->samples[index]), live.get(&curve->samples[index]), out);
}

static const char *frag_overhead(const struct curve *curve, struct curve_field held, struct curve_field live,
                                 double *out) {
    return ratio_give(held.get(&curve->samples[curve_peak(curve, held)]),
                      live.get(&curve->samples[curve_peak(curve, live)]), out);
}

static const char *frag_avg_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    return reason ? reason : frag_avg(&curve, curve_resident, curve_live, out);
}

static const char *frag_live_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    return reason ? reason : frag_at(&curve, curve.live_peak, curve_resident, curve_live, out);
}

static const char *frag_resident_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    if (reason)
        return reason;
    size_t peak = curve_peak_fullest(&curve, curve_resident, curve_live, resident_plateau_ratio);
    return frag_at(&curve, peak, curve_resident, curve_live, out);
}

static const char *overhead_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    return reason ? reason : frag_overhead(&curve, curve_resident, curve_live, out);
}

static const char *arena_frag_avg_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = arena_curve_open(scope, run, &curve);
    return reason ? reason : frag_avg(&curve, curve_arena, curve_pooled, out);
}

static const char *arena_frag_live_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = arena_curve_open(scope, run, &curve);
    return reason ? reason : frag_at(&curve, curve.live_peak, curve_arena, curve_pooled, out);
}

static const char *arena_frag_arena_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = arena_curve_open(scope, run, &curve);
    if (reason)
        return reason;
    return frag_at(&curve, curve_peak_fullest(&curve, curve_arena, curve_pooled, 0), curve_arena, curve_pooled, out);
}

static const char *arena_overhead_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = arena_curve_open(scope, run, &curve);
    return reason ? reason : frag_overhead(&curve, curve_arena, curve_pooled, out);
}

static const char *share_give(double share, double *out) {
    if (isnan(share))
        return no_resident_bytes;
    *out = share;
    return NULL;
}

static const char *internal_frag_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = curve_open(scope, run, &curve);
    if (!reason)
        reason = floor_check(scope);
    if (!reason && !scope->result->memories[run].reply.has_usable_size)
        reason = no_usable;
    return reason ? reason : share_give(curve_mean_share(&curve, curve_usable, curve_live), out);
}

static const char *arena_internal_frag_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = arena_curve_open(scope, run, &curve);
    return reason ? reason : share_give(curve_mean_share(&curve, curve_blocks, curve_pooled), out);
}

static const char *end_counts_open(const struct metric_scope *scope, size_t run, const struct pool_counts **out) {
    struct curve curve;
    if (!worker_backend_has_arenas(scope->result->allocator.backend))
        return no_arenas;
    const char *reason = curve_open(scope, run, &curve);
    if (reason)
        return reason;
    const struct worker_sample *samples = curve.samples;
    *out = &samples[curve.count - 1].counts;
    return NULL;
}

static const char *end_count_compute(const struct metric_scope *scope, size_t run, size_t field_offset, double *out) {
    const struct pool_counts *counts;
    const char *reason = end_counts_open(scope, run, &counts);
    if (!reason)
        *out = (double)*(const uint64_t *)(const void *)((const char *)counts + field_offset);
    return reason;
}

static const char *arenas_mapped_compute(const struct metric_scope *scope, size_t run, double *out) {
    return end_count_compute(scope, run, offsetof(struct pool_counts, arenas_mapped_count), out);
}

static const char *arenas_returned_compute(const struct metric_scope *scope, size_t run, double *out) {
    return end_count_compute(scope, run, offsetof(struct pool_counts, arenas_returned_count), out);
}

static const char *arenas_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    return end_count_compute(scope, run, offsetof(struct pool_counts, arenas_peak_count), out);
}

static const char *arenas_end_compute(const struct metric_scope *scope, size_t run, double *out) {
    return end_count_compute(scope, run, offsetof(struct pool_counts, arenas_count), out);
}

static const char *arenas_drained_compute(const struct metric_scope *scope, size_t run, double *out) {
    const struct pool_counts *counts;
    const char *reason = end_counts_open(scope, run, &counts);
    if (!reason)
        *out = (double)scope->result->memories[run].reply.drained[0].counts.arenas_count;
    return reason;
}

static const char *arena_return_compute(const struct metric_scope *scope, size_t run, double *out) {
    const struct pool_counts *counts;
    const char *reason = end_counts_open(scope, run, &counts);
    if (reason)
        return reason;
    if (!counts->arenas_mapped_count)
        return no_arena_needed;
    *out = (double)counts->arenas_returned_count / (double)counts->arenas_mapped_count;
    return NULL;
}

static double resident_peak_of(const struct curve *curve) {
    return curve_resident.get(&curve->samples[curve_peak(curve, curve_resident)]);
}

static const char *return_at_trough_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    if (reason)
        return reason;
    size_t trough = curve_trough(&curve);
    if (trough == curve.live_peak)
        return no_trough;
    double held = curve_resident.get(&curve.samples[trough]) - curve_live.get(&curve.samples[trough]);
    double share;
    reason = ratio_give(held, resident_peak_of(&curve), &share);
    if (!reason)
        *out = 1 - share;
    return reason;
}

/*
 * The peak is the one before the trough: what was resident only later could not have gone back by then. The live bytes
 * at the trough are what must stay, so the rest of the peak is what could go.
 */
static const char *trough_return_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = frag_curve_open(scope, run, &curve);
    if (reason)
        return reason;
    size_t trough = curve_trough(&curve);
    if (trough == curve.live_peak)
        return no_trough;
    struct curve until = {curve.samples, trough + 1, curve.live_peak};
    double peak = resident_peak_of(&until);
    double could_go = peak - curve_live.get(&curve.samples[trough]);
    if (could_go < METRIC_LIVE_FLOOR_BYTES)
        return little_to_return;
    *out = (peak - curve_resident.get(&curve.samples[trough])) / could_go;
    return NULL;
}

static const char *resident_peak_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = resident_curve_open(scope, run, &curve);
    if (!reason)
        *out = resident_peak_of(&curve);
    return reason;
}

static const char *end_resident_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = resident_curve_open(scope, run, &curve);
    if (!reason)
        *out = curve_resident.get(&curve.samples[curve.count - 1]);
    return reason;
}

static const char *drained_give(const struct metric_scope *scope, size_t run, uint32_t step, double *out) {
    struct curve curve;
    const char *reason = resident_curve_open(scope, run, &curve);
    if (reason)
        return reason;
    const struct worker_reply *reply = &scope->result->memories[run].reply;
    if (step >= reply->drained_count)
        return not_waited;
    *out = curve_resident.get(&reply->drained[step]);
    return NULL;
}

static const char *drained_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_give(scope, run, 0, out);
}
static const char *drained_100ms_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_give(scope, run, 1, out);
}
static const char *drained_1s_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_give(scope, run, 2, out);
}
static const char *drained_5s_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_give(scope, run, 3, out);
}

static const char *drained_return_give(const struct metric_scope *scope, size_t run, uint32_t step, double *out) {
    struct curve curve;
    double drained, share;
    const char *reason = frag_curve_open(scope, run, &curve);
    if (!reason)
        reason = drained_give(scope, run, step, &drained);
    if (!reason)
        reason = ratio_give(drained, resident_peak_of(&curve), &share);
    if (!reason)
        *out = 1 - share;
    return reason;
}

static const char *drained_return_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_return_give(scope, run, 0, out);
}

static const char *drained_return_quiet_compute(const struct metric_scope *scope, size_t run, double *out) {
    return drained_return_give(scope, run, experiment_drain_count(&scope->experiment->options), out);
}

static const char *refused_compute(const struct metric_scope *scope, size_t run, double *out) {
    struct curve curve;
    const char *reason = curve_open(scope, run, &curve);
    if (!reason)
        *out = (double)scope->result->memories[run].reply.refused_count;
    return reason;
}

#define LOWER   METRIC_LOWER_IS_BETTER
#define HIGHER  METRIC_HIGHER_IS_BETTER
#define NEITHER METRIC_NO_DIRECTION

const struct metric_info metric_infos[METRIC_COUNT] = {
    [METRIC_NS_PER_OP] = {"ns_per_op", "ns", METRIC_NOISY, LOWER, true,
                          "time of the loop per operation, less the null allocator's of the same round", ns_compute},
    [METRIC_NS_PER_OP_RAW] = {"ns_per_op_raw", "ns", METRIC_NOISY, LOWER, true, "time of the loop per operation",
                              ns_raw_compute},
    [METRIC_NULL_NS_PER_OP] = {"null_ns_per_op", "ns", METRIC_NOISY, NEITHER, true,
                               "time of the loop per operation with calls that do nothing", ns_null_compute},
    [METRIC_FAULT_COUNT] = {"fault_count", "faults", METRIC_NOISY, LOWER, true, "minor page faults in the time pass",
                            faults_compute},
    [METRIC_REFUSED_COUNT] = {"refused_count", "requests", METRIC_EXACT, LOWER, false,
                              "requests of at least a byte that were answered with NULL", refused_compute},
    [METRIC_FRAG_AVG] = {"frag_avg_ratio", "ratio", METRIC_NOISY, LOWER, false,
                         "mean resident bytes over mean live bytes", frag_avg_compute},
    [METRIC_FRAG_AT_LIVE_PEAK] = {"frag_at_live_peak_ratio", "ratio", METRIC_NOISY, LOWER, false,
                                  "resident over live bytes where live is largest", frag_live_peak_compute},
    [METRIC_FRAG_AT_RESIDENT_PEAK] =
        {"frag_at_resident_peak_ratio", "ratio", METRIC_NOISY, LOWER, false,
         "resident over live bytes where resident is largest (of a plateau, where live is)",
         frag_resident_peak_compute},
    [METRIC_OVERHEAD_PEAK] = {"overhead_peak_ratio", "ratio", METRIC_NOISY, LOWER, false,
                              "largest resident over largest live bytes", overhead_compute},
    [METRIC_INTERNAL_FRAG] = {"internal_frag_ratio", "ratio", METRIC_EXACT, LOWER, false,
                              "(usable - live) / usable bytes, averaged over time", internal_frag_compute},
    [METRIC_ARENA_FRAG_AVG] = {"arena_frag_avg_ratio", "ratio", METRIC_EXACT, LOWER, false,
                               "mean arena bytes over mean live bytes in arenas", arena_frag_avg_compute},
    [METRIC_ARENA_FRAG_AT_LIVE_PEAK] = {"arena_frag_at_live_peak_ratio", "ratio", METRIC_EXACT, LOWER, false,
                                        "arena over live bytes in arenas where the trace's live bytes are largest",
                                        arena_frag_live_peak_compute},
    [METRIC_ARENA_FRAG_AT_RESIDENT_PEAK] =
        {"arena_frag_at_resident_peak_ratio", "ratio", METRIC_EXACT, LOWER, false,
         "arena over live bytes in arenas where arena bytes are largest (of a plateau, where live "
         "bytes in arenas are)",
         arena_frag_arena_peak_compute},
    [METRIC_ARENA_OVERHEAD_PEAK] = {"arena_overhead_peak_ratio", "ratio", METRIC_EXACT, LOWER, false,
                                    "largest arena bytes over largest live bytes in arenas", arena_overhead_compute},
    [METRIC_ARENA_INTERNAL_FRAG] = {"arena_internal_frag_ratio", "ratio", METRIC_EXACT, LOWER, false,
                                    "(block bytes - live) / block bytes in arenas, averaged over time",
                                    arena_internal_frag_compute},
    [METRIC_ARENAS_MAPPED] = {"arenas_mapped_count", "arenas", METRIC_EXACT, LOWER, false, "arenas obtained in all",
                              arenas_mapped_compute},
    [METRIC_ARENAS_RETURNED] = {"arenas_returned_count", "arenas", METRIC_EXACT, HIGHER, false, "arenas given back",
                                arenas_returned_compute},
    [METRIC_ARENAS_PEAK] = {"arenas_peak_count", "arenas", METRIC_EXACT, LOWER, false, "most arenas at once",
                            arenas_peak_compute},
    [METRIC_ARENAS_END] = {"arenas_end_count", "arenas", METRIC_EXACT, LOWER, false,
                           "arenas left at the end of the trace", arenas_end_compute},
    [METRIC_ARENAS_DRAINED] = {"arenas_drained_count", "arenas", METRIC_EXACT, LOWER, false,
                               "arenas left when the trace's survivors are freed too", arenas_drained_compute},
    [METRIC_ARENA_RETURN] = {"arena_return_ratio", "ratio", METRIC_EXACT, HIGHER, false, "arenas returned over mapped",
                             arena_return_compute},
    [METRIC_RETURN_AT_TROUGH] = {"return_at_trough_ratio", "ratio", METRIC_NOISY, HIGHER, false,
                                 "1 - (resident - live) at the lowest live bytes after the live peak / resident peak",
                                 return_at_trough_compute},
    [METRIC_TROUGH_RETURN] = {"trough_return_ratio", "ratio", METRIC_NOISY, HIGHER, false,
                              "(resident peak until then - resident) / (resident peak until then - live) at the lowest "
                              "live bytes after the live peak",
                              trough_return_compute},
    [METRIC_RESIDENT_PEAK] = {"resident_peak_bytes", "bytes", METRIC_NOISY, LOWER, false, "largest resident bytes",
                              resident_peak_compute},
    [METRIC_END_RESIDENT] = {"end_resident_bytes", "bytes", METRIC_NOISY, LOWER, false,
                             "resident bytes at the end of the trace", end_resident_compute},
    [METRIC_DRAINED_RESIDENT] = {"drained_resident_bytes", "bytes", METRIC_NOISY, LOWER, false,
                                 "resident bytes right after the trace's survivors are freed too", drained_compute},
    [METRIC_DRAINED_RESIDENT_100MS] = {"drained_resident_100ms_bytes", "bytes", METRIC_NOISY, LOWER, false,
                                       "the same after 0.1 s of quiet", drained_100ms_compute},
    [METRIC_DRAINED_RESIDENT_1S] = {"drained_resident_1s_bytes", "bytes", METRIC_NOISY, LOWER, false,
                                    "the same after 1 s of quiet", drained_1s_compute},
    [METRIC_DRAINED_RESIDENT_5S] = {"drained_resident_5s_bytes", "bytes", METRIC_NOISY, LOWER, false,
                                    "the same after 5 s of quiet", drained_5s_compute},
    [METRIC_DRAINED_RETURN] = {"drained_return_ratio", "ratio", METRIC_NOISY, HIGHER, false,
                               "1 - resident bytes right after the drain / resident peak", drained_return_compute},
    [METRIC_DRAINED_RETURN_QUIET] = {"drained_return_quiet_ratio", "ratio", METRIC_NOISY, HIGHER, false,
                                     "the same after the longest quiet time measured (--drain-wait)",
                                     drained_return_quiet_compute},
};

/*
 * How many runs there were to see: whole rounds only, of an experiment that was interrupted, unless not even the first
 * one was. At least 1, so that a reason for having none is asked for.
 */
static size_t runs_count(const struct metric_scope *scope, const struct metric_info *info) {
    const struct experiment *experiment = scope->experiment;
    size_t runs = info->per_round ? experiment->options.rounds : scope->result->memory_count;
    if (info->per_round && experiment->interrupted)
        runs = experiment->rounds_done;
    return runs + !runs;
}

static enum err value_compute(const struct metric_scope *scope, const struct metric_info *info,
                              struct metric_value *out) {
    size_t runs = runs_count(scope, info);
    size_t count = 0;
    struct metric_value value = {.sample_count = runs};
    value.samples = malloc((2 * runs + 1) * sizeof *value.samples);
    if (!value.samples)
        return ERR_NOMEM;
    double *finite = value.samples + runs;
    for (size_t run = 0; run < runs; run++) {
        value.samples[run] = NAN;
        const char *reason = info->compute(scope, run, &value.samples[run]);
        if (!reason)
            finite[count++] = value.samples[run];
        else if (!count)
            value.reason = reason;
    }
    enum err err = count ? median_estimate(finite, count, &value.estimate) : ERR_OK;
    if (count && !err)
        value.reason = NULL;
    *out = value;
    return err;
}

enum err metric_set_compute(const struct experiment *experiment, size_t index, struct metric_set *out) {
    struct metric_scope scope = {experiment, &experiment->results[index]};
    struct metric_set set = {0};
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        enum err err = value_compute(&scope, &metric_infos[i], &set.values[i]);
        if (err) {
            metric_set_clear(&set);
            return err;
        }
    }
    *out = set;
    return ERR_OK;
}

void metric_set_clear(struct metric_set *set) {
    for (size_t i = 0; i < METRIC_COUNT; i++)
        free(set->values[i].samples);
    memset(set, 0, sizeof *set);
}
