#include "tests/formats/random_trace.h"

#include <stdbool.h>
#include <stdlib.h>

uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct maker {
    const struct random_trace *settings;
    uint64_t random;
    uint64_t *births;
    uint64_t *live;
    size_t live_count;
    uint32_t threads; /* seen so far */
    uint32_t current;
};

static uint64_t below(struct maker *maker, uint64_t limit) {
    return random_next(&maker->random) % limit;
}

static uint64_t size_choose(struct maker *maker) {
    if (below(maker, 100) < maker->settings->wild_percent)
        return random_next(&maker->random) >> (17 + below(maker, 47));
    static const uint64_t usual[] = {0, 1, 24, 28, 32, 56, 64, 64, 120, 512, 513, 4096};
    return usual[below(maker, sizeof usual / sizeof usual[0])];
}

/* Takes a live block: mostly a young one, sometimes the neighbour of the one before, sometimes any. */
static uint64_t block_choose(struct maker *maker) {
    uint64_t span = below(maker, 100) < maker->settings->wild_percent ? maker->live_count : 8;
    size_t back = 1 + below(maker, span < maker->live_count ? span : maker->live_count);
    size_t at = below(maker, 8) == 0 ? below(maker, maker->live_count) : maker->live_count - back;
    uint64_t block = maker->live[at];
    maker->live[at] = maker->live[--maker->live_count];
    return block;
}

static void thread_choose(struct maker *maker) {
    if (below(maker, 8))
        return;
    uint32_t known = maker->threads < maker->settings->thread_count ? maker->threads + 1 : maker->threads;
    maker->current = (uint32_t)below(maker, known);
}

static void birth_note(struct maker *maker) {
    maker->live[maker->live_count++] = event_block_name(maker->current, ++maker->births[maker->current]);
}

static struct event event_make(struct maker *maker) {
    struct event event = {.thread = maker->current};
    uint64_t dice = below(maker, 200);
    bool full = maker->live_count >= maker->settings->live_limit;
    if (dice < 2) {
        event.kind = dice ? EVENT_THREAD_START : EVENT_THREAD_END;
        return event;
    }
    if (maker->live_count && (full || dice < 90))
        event = (struct event){.thread = maker->current, .kind = EVENT_FREE, .block = block_choose(maker)};
    else if (maker->live_count && dice < 110)
        event = (struct event){.thread = maker->current, .kind = EVENT_REALLOC, .block = block_choose(maker)};
    else if (dice < 114)
        event.kind = dice & 1 ? EVENT_FREE : EVENT_REALLOC;
    else
        event.kind = dice < 120 ? EVENT_ALIGNED_ALLOC : dice < 130 ? EVENT_CALLOC : EVENT_MALLOC;
    if (!event.block)
        event.domain = (uint8_t)below(maker, DOMAIN_COUNT);
    if (event.kind == EVENT_ALIGNED_ALLOC)
        event.align_log2 = (uint8_t)below(maker, EVENT_ALIGN_LOG2_MAX + 1);
    if (event_makes_block(event.kind)) {
        event.size_bytes = size_choose(maker);
        birth_note(maker);
    }
    return event;
}

struct event *random_trace_make(const struct random_trace *settings) {
    struct maker maker = {.settings = settings, .random = settings->seed};
    struct event *events = calloc(settings->event_count + 1, sizeof *events);
    maker.births = calloc(settings->thread_count + 1, sizeof *maker.births);
    maker.live = calloc(settings->event_count + 1, sizeof *maker.live);
    if (!events || !maker.births || !maker.live)
        abort();
    for (size_t i = 0; i < settings->event_count; i++) {
        thread_choose(&maker);
        if (maker.current == maker.threads)
            maker.threads++;
        events[i] = event_make(&maker);
    }
    free(maker.births);
    free(maker.live);
    return events;
}
