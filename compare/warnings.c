/*
 * What can be wrong with a measurement, in the form: fact; likely cause; what to try.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/units.h"

#include "compare/report.h"

/* Limits, each chosen so that what stays below it cannot turn a verdict. */
static const double loop_share_limit = 0.5;
static const double interval_limit = 0.20; /* ± 10 % */
static const double kernel_share_limit = 0.4;
static const double waiting_limit = 0.02;
static const double return_limit = 0.5;
static const uint64_t loop_short_ns = 5000000;

static enum err machine_judge(struct report *report) {
    const struct environment *environment = &report->experiment->environment;
    enum err err = ERR_OK;
    if (environment->governor[0] && strcmp(environment->governor, "performance") != 0)
        err = report_warn(report, -1,
                          "cpu %d runs under the governor '%s'; its clock may change between rounds; try: cpupower "
                          "frequency-set -g performance",
                          environment->pinned_cpu, environment->governor);
    if (!err && strcmp(environment->turbo, "on") == 0)
        err =
            report_warn(report, -1,
                        "the clock may boost (turbo is on); it follows temperature and load; try switching it off, or "
                        "more rounds (-n)");
    if (!err && environment->has_load && environment->load_average > 0.5 * environment->cpu_count)
        err = report_warn(report, -1,
                          "the load average was %.1f on %d cpus at the start; other programs share caches and memory "
                          "with the replay; try again on a quiet machine, or more rounds (-n)",
                          environment->load_average, environment->cpu_count);
    return err;
}

static enum err placement_judge(struct report *report) {
    const struct environment *environment = &report->experiment->environment;
    enum err err = ERR_OK;
    if (strcmp(environment->aslr, "on") == 0)
        err = report_warn(report, -1,
                          "address randomisation could not be switched off; a container profile may forbid "
                          "personality(2); addresses, and times with them, vary from run to run");
    if (!err && environment->pinned_cpu < 0)
        err = report_warn(report, -1,
                          "the workers could not be pinned to one cpu; a container may forbid sched_setaffinity(2); "
                          "migrations add noise to the times");
    return err;
}

static enum err rounds_judge(struct report *report) {
    const struct experiment *experiment = report->experiment;
    double coverage;
    uint64_t shortest_ns = UINT64_MAX;
    uint32_t rounds = experiment->interrupted ? experiment->rounds_done : experiment->options.rounds;
    median_interval_rank(rounds, &coverage);
    for (size_t i = 0; i < experiment->count; i++)
        for (uint32_t round = 0; round < experiment->options.rounds; round++)
            if (i != experiment->null_index && experiment->results[i].times[round].valid &&
                experiment->results[i].times[round].elapsed_ns < shortest_ns)
                shortest_ns = experiment->results[i].times[round].elapsed_ns;
    enum err err = ERR_OK;
    if (rounds == 1)
        err = report_warn(report, -1,
                          "a single round tells nothing about its spread; six are the least for an "
                          "interval of 95 %%, -n 9 the default");
    else if (rounds && coverage < 0.95)
        err = report_warn(report, -1,
                          "%u rounds give intervals of %.1f %%, not 95 %%; six are the least, -n 9 the default", rounds,
                          100 * coverage);
    if (!err && shortest_ns < loop_short_ns)
        err = report_warn(
            report, -1,
            "the timed loop took only %.2f ms; start-up and first-touch page faults weigh much in so short a "
            "trace; try a longer one",
            (double)shortest_ns / 1e6);
    return err;
}

static enum err trace_judge(struct report *report) {
    const struct trace_summary *summary = &report->experiment->program->header->summary;
    char bytes[UNITS_TEXT_BYTES];
    if (summary->live_peak_bytes < METRIC_LIVE_FLOOR_BYTES)
        return report_warn(report, -1,
                           "the trace holds only %s at its peak; whole pages dominate below 256 KiB, so fragmentation "
                           "is not given; try a trace of a larger run",
                           units_format_bytes(summary->live_peak_bytes, bytes));
    return ERR_OK;
}

/* A share that should be small, of one allocator; 0 when it cannot be told. */
typedef double share_of(const struct report *report, size_t index);

static double interval_share(const struct report *report, size_t index) {
    const struct metric_value *value = &report->sets[index].values[METRIC_NS_PER_OP];
    if (value->reason || !value->estimate.has_interval)
        return 0;
    return (value->estimate.high - value->estimate.low) / fabs(value->estimate.value);
}

/* What of the loop's time its process did not run: the CPU was someone else's. */
static double waiting_share(const struct report *report, size_t index) {
    const struct time_run *times = report->experiment->results[index].times;
    uint64_t elapsed_ns = 0, cpu_ns = 0;
    for (uint32_t round = 0; round < report->experiment->options.rounds; round++) {
        elapsed_ns += times[round].elapsed_ns;
        cpu_ns += times[round].cpu_ns;
    }
    return elapsed_ns > cpu_ns ? (double)(elapsed_ns - cpu_ns) / (double)elapsed_ns : 0;
}

static double loop_share(const struct report *report, size_t index) {
    const struct metric_value *raw = &report->sets[index].values[METRIC_NS_PER_OP_RAW];
    const struct metric_value *loop = &report->sets[index].values[METRIC_NULL_NS_PER_OP];
    return raw->reason || loop->reason ? 0 : loop->estimate.value / raw->estimate.value;
}

static double kernel_share(const struct report *report, size_t index) {
    const struct time_run *times = report->experiment->results[index].times;
    uint64_t elapsed_ns = 0, system_ns = 0;
    for (uint32_t round = 0; round < report->experiment->options.rounds; round++) {
        elapsed_ns += times[round].elapsed_ns;
        system_ns += times[round].system_ns;
    }
    return elapsed_ns ? (double)system_ns / (double)elapsed_ns : 0;
}

/* "pool 49 %, system 21 %": who is beyond `limit`. @return false when nobody is. */
static bool offenders_list(const struct report *report, share_of *share, double limit, char *text, size_t text_bytes) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < report->experiment->count; i++) {
        const struct allocator *allocator = &report->experiment->results[i].allocator;
        double value = allocator->backend == WORKER_NULL ? 0 : share(report, i);
        if (value <= limit)
            continue;
        int length =
            snprintf(text + used, text_bytes - used, "%s%s %.0f %%", used ? ", " : "", allocator->name, 100 * value);
        if (length < 0 || (size_t)length >= text_bytes - used)
            break;
        used += (size_t)length;
    }
    return used > 0;
}

static enum err times_judge(struct report *report) {
    char names[256];
    enum err err = ERR_OK;
    if (offenders_list(report, waiting_share, waiting_limit, names, sizeof names))
        err = report_warn(report, -1,
                          "the processes had to wait for cpu %d during part of the measured time (%s); other programs "
                          "ran there; try --cpu with an idle one, or a quiet machine",
                          report->experiment->environment.pinned_cpu, names);
    if (!err && offenders_list(report, interval_share, interval_limit, names, sizeof names))
        err = report_warn(report, -1,
                          "the intervals of time are wide (%s of the median); something else ran, or the loop is too "
                          "short; try a quiet machine or more rounds (-n)",
                          names);
    if (!err && offenders_list(report, kernel_share, kernel_share_limit, names, sizeof names))
        err = report_warn(
            report, -1,
            "much of the time is the kernel's (about %s): page faults and system calls of an allocator that "
            "gives memory back and takes it again, or of a heap that only grows; fault_count in the JSON "
            "tells how many; try its own thresholds (MALLOC_TRIM_THRESHOLD_, MALLOC_CONF)",
            names);
    if (!err && offenders_list(report, loop_share, loop_share_limit, names, sizeof names))
        err = report_warn(report, -1,
                          "much of the time is the replay loop's own, which is subtracted (%s); the trace is bound by "
                          "reading operations and touching blocks; small differences are not safe here",
                          names);
    return err;
}

/*
 * Allocators that give memory back by the clock, and how long they wait where the environment does not say otherwise:
 * jemalloc's opt.dirty_decay_ms (jemalloc(3)), mimalloc's purge_delay (10 ms in 2.1 and later, 1 s in 3.x), which 2.0
 * calls decommit_delay (25 ms) and 1.x reset_delay.
 */
static const struct purge_clock {
    const char *version_prefix;
    uint64_t delay_ms;
    const char *variable;
    const char *key; /* in the variable, before its number; NULL: the variable is the number */
    const char *other_bound;
} purge_clocks[] = {
    {"jemalloc ", 10000, "MALLOC_CONF", "dirty_decay_ms:", "MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0"},
    {"mimalloc 1.", 500, "MIMALLOC_RESET_DELAY", NULL, "MIMALLOC_RESET_DELAY=0"},
    {"mimalloc 2.0", 25, "MIMALLOC_DECOMMIT_DELAY", NULL, "MIMALLOC_DECOMMIT_DELAY=0"},
    {"mimalloc 2.", 10, "MIMALLOC_PURGE_DELAY", NULL, "MIMALLOC_PURGE_DELAY=0"},
    {"mimalloc ", 1000, "MIMALLOC_PURGE_DELAY", NULL, "MIMALLOC_PURGE_DELAY=0"},
};

static const struct purge_clock *purge_clock_find(const struct allocator_result *result) {
    for (size_t i = 0; i < sizeof purge_clocks / sizeof purge_clocks[0]; i++)
        if (strncmp(result->probe.version, purge_clocks[i].version_prefix, strlen(purge_clocks[i].version_prefix)) == 0)
            return &purge_clocks[i];
    return NULL;
}

/* As the environment sets it; a negative delay means never, and is no matter of the clock. */
static uint64_t purge_delay_ms(const struct purge_clock *clock) {
    const char *value = getenv(clock->variable);
    if (value && clock->key) {
        value = strstr(value, clock->key);
        value = value ? value + strlen(clock->key) : NULL;
    }
    if (!value)
        return clock->delay_ms;
    long long delay_ms = strtoll(value, NULL, 10);
    return delay_ms > 0 ? (uint64_t)delay_ms : 0;
}

static bool purge_came_too_late(const struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct metric_value *returned = &report->sets[index].values[METRIC_TROUGH_RETURN];
    const struct metric_value *raw = &report->sets[index].values[METRIC_NS_PER_OP_RAW];
    const struct purge_clock *clock = purge_clock_find(result);
    if (!clock || returned->reason || raw->reason || returned->estimate.value >= return_limit)
        return false;
    double operations = (double)report->experiment->program->header->summary.operation_count;
    return raw->estimate.value * operations < (double)purge_delay_ms(clock) * 1e6;
}

/* One line for all of them. */
static enum err purges_judge(struct report *report) {
    char names[320] = "", bounds[256] = "";
    for (size_t i = 0; i < report->experiment->count; i++) {
        if (!purge_came_too_late(report, i))
            continue;
        const struct allocator_result *result = &report->experiment->results[i];
        const struct purge_clock *clock = purge_clock_find(result);
        size_t used = strlen(names), told = strlen(bounds);
        char delay[UNITS_TEXT_BYTES];
        snprintf(names + used, sizeof names - used, "%s%.40s after %s", used ? ", " : "", result->allocator.name,
                 units_format_duration(purge_delay_ms(clock) * 1000000u, delay));
        if (!strstr(bounds, clock->other_bound))
            snprintf(bounds + told, sizeof bounds - told, "%s%s", told ? ", " : "", clock->other_bound);
    }
    if (!names[0])
        return ERR_OK;
    return report_warn(report, -1,
                       "little went back to the system where purging goes by the clock (%s) and the replay was over "
                       "before; for the other bound try %s",
                       names, bounds);
}

static enum err requests_judge(struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    char count[UNITS_TEXT_BYTES];
    if (!result->refused_count)
        return ERR_OK;
    return report_warn(
        report, (int)index,
        "%s refused %s requests (NULL), so it held less than the trace asked for; memory was short or the "
        "library limits sizes; its figures are not comparable with the others'",
        result->allocator.name, units_format_count(result->refused_count, count));
}

static enum err memory_judge(struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    const struct worker_sample *end = report_end_sample(report, index);
    char bytes[UNITS_TEXT_BYTES];
    uint64_t major = 0;
    for (uint32_t round = 0; round < report->experiment->options.rounds; round++)
        major += result->times[round].major_fault_count;
    enum err err = ERR_OK;
    if (end && end->lazy_free_bytes >= 1 << 20)
        err =
            report_warn(report, (int)index,
                        "%s: %s of what is resident at the end was given back with MADV_FREE; the kernel takes it only "
                        "under pressure, so it still counts as resident",
                        result->allocator.name, units_format_bytes(end->lazy_free_bytes, bytes));
    if (!err && major)
        err =
            report_warn(report, (int)index,
                        "%s: %s major page faults in the timed loops; memory is short and the machine swaps; its times "
                        "are the disk's",
                        result->allocator.name, units_format_count(major, bytes));
    return err;
}

enum err warnings_collect(struct report *report) {
    static enum err (*const judges[])(struct report *, size_t) = {requests_judge, memory_judge};
    enum err err = machine_judge(report);
    if (!err)
        err = placement_judge(report);
    if (!err)
        err = trace_judge(report);
    if (!err)
        err = rounds_judge(report);
    if (!err)
        err = times_judge(report);
    if (!err)
        err = purges_judge(report);
    for (size_t i = 0; i < report->experiment->count && !err; i++)
        for (size_t j = 0; j < sizeof judges / sizeof judges[0] && !err; j++)
            if (report->experiment->results[i].allocator.backend != WORKER_NULL)
                err = judges[j](report, i);
    return err;
}
