#include "tests/support.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/units.h"

uint64_t support_seed(uint64_t fallback) {
    const char *text = getenv("MMREPLAY_TEST_SEED");
    uint64_t seed = fallback;
    if (text && units_parse_u64(text, &seed))
        seed = fallback;
    printf("seed %" PRIu64 " (set MMREPLAY_TEST_SEED to choose)\n", seed);
    return seed;
}

static enum err array_next(void *ctx, struct event_block *block, struct diag *diag) {
    (void)diag;
    struct array_source *array = ctx;
    size_t left = array->count - array->at;
    size_t run = array->run && array->run < left ? array->run : left;
    *block = (struct event_block){.events = array->events + array->at,
                                  .count = run,
                                  .first_index = array->at,
                                  .path = "array",
                                  .byte = array->at,
                                  .times_ns = array->times_ns ? array->times_ns + array->at : NULL};
    array->at += run;
    return ERR_OK;
}

struct event_source array_source_events(struct array_source *array) {
    return (struct event_source){.ctx = array, .next = array_next};
}

static enum err array_put(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct array_sink *array = ctx;
    if (array->count + count > array->capacity) {
        size_t capacity = (array->count + count) * 2;
        struct event *larger = realloc(array->events, capacity * sizeof *larger);
        if (!larger)
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
        array->events = larger;
        array->capacity = capacity;
    }
    memcpy(array->events + array->count, events, count * sizeof *events);
    array->count += count;
    return ERR_OK;
}

static enum err array_put_timed(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                                struct diag *diag) {
    struct array_sink *array = ctx;
    enum err err = array_put(ctx, events, count, diag);
    uint64_t *times = err ? NULL : realloc(array->times_ns, array->capacity * sizeof *times);
    if (!times)
        return err ? err : diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    array->times_ns = times;
    memcpy(times + array->count - count, times_ns, count * sizeof *times);
    return ERR_OK;
}

struct event_sink array_sink_events(struct array_sink *array) {
    return (struct event_sink){.ctx = array, .put = array_put, .put_timed = array_put_timed};
}

/* What the generator keeps of the trace it makes. */
struct trace_model {
    uint64_t seed;
    uint64_t *births; /* per thread */
    uint32_t threads; /* seen so far */
    uint64_t *live;   /* names */
    size_t live_count;
};

static uint64_t model_size(struct trace_model *model) {
    uint64_t roll = random_below(&model->seed, 1000);
    if (roll == 0)
        return random_below(&model->seed, EVENT_SIZE_MAX + 1);
    if (roll < 20)
        return random_below(&model->seed, 1 << 20);
    return random_below(&model->seed, 600);
}

static uint64_t model_take(struct trace_model *model) {
    size_t back = random_below(&model->seed, 4) ? 16 : model->live_count;
    size_t at = model->live_count - 1 - random_below(&model->seed, back < model->live_count ? back : model->live_count);
    uint64_t name = model->live[at];
    memmove(model->live + at, model->live + at + 1, (--model->live_count - at) * sizeof *model->live);
    return name;
}

static uint32_t model_thread(struct trace_model *model, uint32_t thread_count, uint32_t last) {
    if (random_below(&model->seed, 10))
        return last;
    uint32_t known = model->threads < thread_count ? model->threads + 1 : model->threads;
    return (uint32_t)random_below(&model->seed, known);
}

static struct event model_event(struct trace_model *model, uint32_t thread) {
    struct event event = {.thread = thread, .kind = (uint8_t)random_below(&model->seed, EVENT_FREE + 1)};
    bool gives_back = event.kind >= EVENT_REALLOC && model->live_count && random_below(&model->seed, 20);
    if (event.kind >= EVENT_REALLOC && gives_back)
        event.block = model_take(model);
    else if (event.kind != EVENT_FREE)
        event.domain = (uint8_t)random_below(&model->seed, DOMAIN_COUNT);
    if (event.kind == EVENT_ALIGNED_ALLOC)
        event.align_log2 = (uint8_t)random_below(&model->seed, 13);
    if (event_makes_block(event.kind)) {
        event.size_bytes = model_size(model);
        model->live[model->live_count++] = event_block_name(thread, ++model->births[thread]);
    }
    return event;
}

struct event *random_trace_make(uint64_t seed, size_t count, uint32_t thread_count) {
    struct trace_model model = {.seed = seed};
    struct event *events = calloc(count + 1, sizeof *events);
    model.births = calloc(thread_count, sizeof *model.births);
    model.live = calloc(count + 1, sizeof *model.live);
    if (!events || !model.births || !model.live)
        abort();
    uint32_t thread = 0;
    for (size_t i = 0; i < count; i++) {
        thread = i ? model_thread(&model, thread_count, thread) : 0;
        bool news = thread == model.threads;
        if (news)
            model.threads++;
        if (news || !random_below(&model.seed, 500))
            events[i] = (struct event){
                .thread = thread, .kind = news && random_below(&model.seed, 2) ? EVENT_THREAD_START : EVENT_THREAD_END};
        else
            events[i] = model_event(&model, thread);
    }
    free(model.births);
    free(model.live);
    return events;
}
