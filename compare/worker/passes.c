#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/base/clock.h"

#include "compare/worker/backend.h"
#include "compare/worker/pins.h"
#include "compare/worker/replay_loop.h"
#include "compare/worker/resident.h"
#include "compare/worker/stats_text.h"

#include "compare/worker/passes.h"

enum err program_verify(const struct program *program, bool *out_needs_aligned, struct diag *diag) {
    const struct program_header *header = program->header;
    bool needs_aligned = false;
    for (uint64_t at = 0; at < header->word_count; at++) {
        uint64_t op = program->ops[at];
        if (op_kind(op) > EVENT_FREE || op_slot(op) >= header->slot_count ||
            (op_is_wide(op) && ++at == header->word_count))
            return diag_set(diag, ERR_INVALID, NULL, "the compiled program is damaged at word %llu",
                            (unsigned long long)at);
        if (op_kind(op) == EVENT_ALIGNED_ALLOC) {
            needs_aligned = true;
            if (!op_is_wide(op) || op_wide_align_log2(program->ops[at]) > EVENT_ALIGN_LOG2_MAX)
                return diag_set(diag, ERR_INVALID, NULL, "the compiled program has a bad alignment at word %llu",
                                (unsigned long long)at);
        }
    }
    for (uint64_t i = 0, last = 0; i < header->sample_count; last = program->samples[i++].word_index)
        if (program->samples[i].word_index < last || program->samples[i].word_index > header->word_count)
            return diag_set(diag, ERR_INVALID, NULL, "the compiled program's samples are out of order");
    *out_needs_aligned = needs_aligned;
    return ERR_OK;
}

static uint64_t cpu_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(const struct timeval *time) {
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_usec * 1000u;
}

void time_pass_run(const struct backend *backend, struct replay *replay, struct worker_reply *reply) {
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t cpu_ns = cpu_now_ns();
    uint64_t start_ns = clock_now_ns();
    backend->run(replay);
    reply->elapsed_ns = clock_now_ns() - start_ns;
    reply->cpu_ns = cpu_now_ns() - cpu_ns;
    getrusage(RUSAGE_SELF, &after);
    reply->system_ns = timeval_ns(&after.ru_stime) - timeval_ns(&before.ru_stime);
    reply->fault_count = (uint64_t)(after.ru_minflt - before.ru_minflt);
    reply->major_fault_count = (uint64_t)(after.ru_majflt - before.ru_majflt);
    reply->preempted_count = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
    reply->refused_count = replay->refused_count;
}

static void sample_take(const struct backend *backend, const struct replay *replay, const struct worker_reply *reply,
                        uint64_t operation_index, struct worker_sample *out) {
    struct resident resident = {0};
    if (resident_read(&resident) && resident.anonymous_bytes > reply->base_resident_bytes)
        resident.anonymous_bytes -= reply->base_resident_bytes;
    else
        resident.anonymous_bytes = 0;
    *out = (struct worker_sample){.operation_index = operation_index,
                                  .live_bytes = replay->account.live_bytes,
                                  .live_blocks = replay->account.live_blocks,
                                  .usable_bytes = replay->account.usable_bytes,
                                  .resident_bytes = resident.anonymous_bytes,
                                  .lazy_free_bytes = resident.lazy_free_bytes,
                                  .pooled_bytes = replay->account.pooled_bytes};
    if (backend->arenas_sample)
        backend->arenas_sample(replay, out);
}

static void sleep_until(uint64_t deadline_ns) {
    uint64_t now_ns;
    while ((now_ns = clock_now_ns()) < deadline_ns) {
        uint64_t rest_ns = deadline_ns - now_ns;
        struct timespec rest = {.tv_sec = (time_t)(rest_ns / 1000000000u), .tv_nsec = (long)(rest_ns % 1000000000u)};
        nanosleep(&rest, NULL);
    }
}

static void drain_measure(const struct backend *backend, struct replay *replay, struct worker_shared *shared) {
    struct worker_reply *reply = &shared->reply;
    uint64_t operation_count = replay->program->header->summary.operation_count;
    reply->state = WORKER_DRAINING;
    backend->drain(replay);
    uint64_t drained_ns = clock_now_ns();
    sample_take(backend, replay, reply, operation_count, &reply->drained[reply->drained_count++]);
    for (uint32_t i = 0; i < shared->request.drain_count; i++) {
        sleep_until(drained_ns + shared->request.drain_wait_ns[i]);
        sample_take(backend, replay, reply, operation_count, &reply->drained[reply->drained_count++]);
    }
}

void memory_pass_run(const struct backend *backend, struct replay *replay, struct worker_shared *shared) {
    const struct program *program = replay->program;
    struct worker_reply *reply = &shared->reply;
    uint64_t done = 0;
    uint64_t trough = program_trough_sample(program);
    for (uint64_t i = 0; i < program->header->sample_count; i++) {
        const struct program_sample *point = &program->samples[i];
        backend->run_accounted(replay, done, point->word_index);
        done = point->word_index;
        sample_take(backend, replay, reply, point->operation_index, &shared->samples[i]);
        if (backend->pins_take && i == trough && trough != program->header->peak_sample)
            backend->pins_take(replay, point->operation_index, &reply->pins_at_trough);
        reply->sample_count = i + 1;
    }
    backend->run_accounted(replay, done, program->header->word_count);
    reply->refused_count = replay->refused_count;
    if (backend->pins_take)
        backend->pins_take(replay, program->header->summary.operation_count, &reply->pins_at_end);
    drain_measure(backend, replay, shared);
}

/* The word behind the `operation_count`-th operation, from word `at`, which `*done` operations precede. */
static uint64_t word_after(const struct program *program, uint64_t at, uint64_t *done, uint64_t operation_count) {
    while (*done < operation_count && at < program->header->word_count) {
        at += 1 + (uint64_t)op_is_wide(program->ops[at]);
        ++*done;
    }
    return at;
}

static void stats_take(const struct backend *backend, const struct replay *replay, uint64_t operation_index,
                       struct worker_text *out) {
    static struct stats_text text;
    FILE *stream = stats_text_open(&text);
    if (!stream)
        return;
    if (backend->stats_print)
        backend->stats_print(replay, stream);
    size_t bytes = stats_text_finish(&text, stream);
    memcpy(out->text, text.text, bytes);
    out->operation_index = operation_index;
    out->bytes = bytes;
}

void stats_pass_run(const struct backend *backend, struct replay *replay, struct worker_shared *shared) {
    uint64_t done = 0, word = 0;
    for (uint32_t i = 0; i < shared->request.stats_count; i++) {
        uint64_t to = word_after(replay->program, word, &done, shared->request.stats_at[i]);
        backend->run_accounted(replay, word, to);
        word = to;
        stats_take(backend, replay, done, &worker_texts(shared)[i]);
    }
}
