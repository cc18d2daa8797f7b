#include "compare/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/units.h"

const uint64_t experiment_drain_ns[WORKER_DRAIN_MAX] = {100000000u, 1000000000u, 5000000000u};

struct experiment_options experiment_options_default(void) {
    return (struct experiment_options){
        .rounds = EXPERIMENT_ROUNDS_DEFAULT,
        .memory_rounds = EXPERIMENT_MEMORY_ROUNDS_DEFAULT,
        .touch = true,
        .cpu = -1,
        .drain_wait_ns = EXPERIMENT_DRAIN_DEFAULT_MS * (uint64_t)1000000,
        .timeout_ns = EXPERIMENT_TIMEOUT_DEFAULT_S * (uint64_t)1000000000,
        .seed = 1,
    };
}

uint32_t experiment_drain_count(const struct experiment_options *options) {
    uint32_t count = 0;
    while (count < WORKER_DRAIN_MAX && experiment_drain_ns[count] <= options->drain_wait_ns)
        count++;
    return count;
}

static bool stopped(const struct experiment *experiment) {
    return experiment->options.interrupted && *experiment->options.interrupted;
}

static enum err run_once(struct experiment *experiment, struct allocator_result *result, enum worker_pass pass,
                         struct launch_result *out, struct diag *diag) {
    const struct experiment_options *options = &experiment->options;
    struct launch launch = {
        .worker_path = options->worker_path,
        .program = experiment->program,
        .allocator = &result->allocator,
        .pass = pass,
        .touch = options->touch,
        .drain_wait_ns = experiment_drain_ns,
        .drain_count = experiment_drain_count(options),
        .arenas = options->arenas,
        .cpu = experiment->environment.pinned_cpu,
        .timeout_ns = options->timeout_ns,
        .interrupted = options->interrupted,
    };
    enum err err = launch_run(&launch, out, diag);
    if (!err && out->status == RUN_INTERRUPTED)
        experiment->interrupted = true;
    if (!err && out->status != RUN_DONE && out->status != RUN_INTERRUPTED && result->status == RUN_DONE) {
        result->status = out->status;
        snprintf(result->failure, sizeof result->failure, "%s", out->text);
    }
    return err;
}

/* Which library is it, and can it be used at all? Asked before anything is measured. */
static enum err allocator_probe(struct experiment *experiment, struct allocator_result *result, struct diag *diag) {
    struct launch_result run;
    enum err err = run_once(experiment, result, WORKER_PROBE, &run, diag);
    if (err)
        return err;
    result->probe = run.shared->reply;
    if (run.status == RUN_REFUSED)
        err = diag_set(diag, run.err, NULL, "allocator '%s': %s", result->allocator.name, run.text);
    launch_result_release(&run);
    return err;
}

static enum err time_measure(struct experiment *experiment, struct allocator_result *result, uint32_t round,
                             struct diag *diag) {
    struct launch_result run;
    enum err err = run_once(experiment, result, WORKER_TIME, &run, diag);
    if (err)
        return err;
    const struct worker_reply *reply = &run.shared->reply;
    if (run.status == RUN_DONE) {
        result->times[round] = (struct time_run){.valid = true,
                                                 .elapsed_ns = reply->elapsed_ns,
                                                 .cpu_ns = reply->cpu_ns,
                                                 .system_ns = reply->system_ns,
                                                 .fault_count = reply->fault_count,
                                                 .major_fault_count = reply->major_fault_count,
                                                 .preempted_count = reply->preempted_count};
        result->refused_count = reply->refused_count;
    }
    launch_result_release(&run);
    return ERR_OK;
}

static enum err memory_keep(struct allocator_result *result, const struct launch_result *run, uint64_t sample_count,
                            struct diag *diag) {
    struct memory_run *memory = &result->memories[result->memory_count];
    memory->samples = malloc((sample_count + !sample_count) * sizeof *memory->samples);
    if (!memory->samples)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    memcpy(memory->samples, run->shared->samples, sample_count * sizeof *memory->samples);
    memory->reply = run->shared->reply;
    result->refused_count = memory->reply.refused_count;
    result->memory_count++;
    return ERR_OK;
}

static enum err memory_measure(struct experiment *experiment, struct allocator_result *result, struct diag *diag) {
    struct launch_result run;
    enum err err = run_once(experiment, result, WORKER_MEMORY, &run, diag);
    if (err)
        return err;
    if (run.status == RUN_DONE)
        err = memory_keep(result, &run, experiment->program->header->sample_count, diag);
    launch_result_release(&run);
    return err;
}

static void progress_tell(struct experiment *experiment, size_t done, size_t total, const char *name) {
    if (experiment->options.progress)
        experiment->options.progress(experiment->options.progress_ctx, done, total, name);
}

static size_t steps_total(const struct experiment *experiment) {
    return experiment->count * (experiment->options.rounds + experiment->options.memory_rounds);
}

static enum err round_run(struct experiment *experiment, uint32_t round, struct diag *diag) {
    for (size_t turn = 0; turn < experiment->count && !stopped(experiment); turn++) {
        size_t index = round % 2 ? experiment->count - 1 - turn : turn;
        struct allocator_result *result = &experiment->results[index];
        progress_tell(experiment, round * experiment->count + turn, steps_total(experiment), result->allocator.name);
        enum err err = result->status == RUN_DONE ? time_measure(experiment, result, round, diag) : ERR_OK;
        if (err)
            return err;
    }
    if (!stopped(experiment))
        experiment->rounds_done = round + 1;
    return ERR_OK;
}

static enum err memory_round_run(struct experiment *experiment, uint32_t round, struct diag *diag) {
    size_t before = experiment->count * (experiment->options.rounds + round);
    for (size_t i = 0; i < experiment->count && !stopped(experiment); i++) {
        struct allocator_result *result = &experiment->results[i];
        progress_tell(experiment, before + i, steps_total(experiment), result->allocator.name);
        if (result->status != RUN_DONE || result->allocator.backend == WORKER_NULL)
            continue;
        enum err err = memory_measure(experiment, result, diag);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err result_add(struct experiment *experiment, const struct allocator *allocator, bool requested) {
    struct allocator_result *result = &experiment->results[experiment->count];
    result->allocator = *allocator;
    result->requested = requested;
    result->times = calloc(experiment->options.rounds + 1, sizeof *result->times);
    result->memories = calloc(experiment->options.memory_rounds + 1, sizeof *result->memories);
    experiment->count++; /* so that experiment_clear() frees what there is */
    return result->times && result->memories ? ERR_OK : ERR_NOMEM;
}

static enum err results_prepare(struct experiment *experiment, const struct allocator_list *list, struct diag *diag) {
    static const struct allocator null_allocator = {.name = "null", .backend = WORKER_NULL};
    experiment->results = calloc(list->count + 1, sizeof *experiment->results);
    if (!experiment->results)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    enum err err = ERR_OK;
    experiment->null_index = list->count;
    for (size_t i = 0; i < list->count && !err; i++) {
        err = result_add(experiment, &list->items[i], true);
        if (list->items[i].backend == WORKER_NULL)
            experiment->null_index = i;
    }
    if (!err && experiment->null_index == list->count)
        err = result_add(experiment, &null_allocator, false);
    return err ? diag_set(diag, err, NULL, "out of memory") : ERR_OK;
}

static enum err everything_run(struct experiment *experiment, struct diag *diag) {
    enum err err = ERR_OK;
    for (size_t i = 0; i < experiment->count && !err && !stopped(experiment); i++)
        err = allocator_probe(experiment, &experiment->results[i], diag);
    for (uint32_t round = 0; round < experiment->options.rounds && !err && !stopped(experiment); round++)
        err = round_run(experiment, round, diag);
    for (uint32_t round = 0; round < experiment->options.memory_rounds && !err && !stopped(experiment); round++)
        err = memory_round_run(experiment, round, diag);
    experiment->interrupted = experiment->interrupted || stopped(experiment);
    return err;
}

/* What the kernel really granted, from the workers' own words. */
static void environment_settle(struct experiment *experiment) {
    const struct worker_reply *reply = &experiment->results[experiment->null_index].probe;
    if (reply->state != WORKER_DONE)
        return;
    snprintf(experiment->environment.aslr, sizeof experiment->environment.aslr, "%s", reply->aslr_off ? "off" : "on");
    experiment->environment.pinned_cpu = reply->cpu;
}

/* Touching is what makes blocks real: a trace that only reserved much must not bring the machine down. */
static enum err memory_check(const struct experiment *experiment, struct diag *diag) {
    uint64_t needed = experiment->program->header->summary.live_peak_bytes;
    uint64_t available = experiment->environment.memory_available_bytes;
    char needed_text[UNITS_TEXT_BYTES], available_text[UNITS_TEXT_BYTES];
    if (!experiment->options.touch || !available || needed <= available - available / 5)
        return ERR_OK;
    return diag_set(diag, ERR_LIMIT, NULL,
                    "the trace holds %s at its peak and this machine has %s free: replay without touching the blocks "
                    "(--touch 0), or on a larger machine",
                    units_format_bytes(needed, needed_text), units_format_bytes(available, available_text));
}

enum err experiment_run(const struct program *program, const struct allocator_list *list,
                        const struct experiment_options *options, struct experiment *out, struct diag *diag) {
    struct experiment experiment = {.options = *options, .program = program};
    if (!options->rounds || options->rounds > EXPERIMENT_ROUNDS_MAX || options->memory_rounds > EXPERIMENT_ROUNDS_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "the number of rounds must be 1 … %d", EXPERIMENT_ROUNDS_MAX);
    environment_read(options->cpu >= 0 ? options->cpu : environment_cpu_choose(), &experiment.environment);
    enum err err = memory_check(&experiment, diag);
    if (!err)
        err = results_prepare(&experiment, list, diag);
    if (!err)
        err = everything_run(&experiment, diag);
    if (err) {
        experiment_clear(&experiment);
        return err;
    }
    environment_settle(&experiment);
    *out = experiment;
    return ERR_OK;
}

void experiment_clear(struct experiment *experiment) {
    if (!experiment)
        return;
    for (size_t i = 0; i < experiment->count; i++) {
        struct allocator_result *result = &experiment->results[i];
        for (size_t j = 0; j < result->memory_count; j++)
            free(result->memories[j].samples);
        free(result->memories);
        free(result->times);
    }
    free(experiment->results);
    memset(experiment, 0, sizeof *experiment);
}
