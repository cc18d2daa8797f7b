/*
 * pool:fast: as the pool, mem, obj and c requests go to it, raw ones straight to the raw layer.
 */
#include "compare/worker/backend.h"
#include "compare/worker/pins.h"
#include "compare/worker/replay_loop.h"
#include "core/fast.h"
#include "core/raw.h"

/* The loop hands the instance through without looking at it. */
REPLAY_INLINE struct fast *fast_of(struct pool *pool) {
    return (struct fast *)pool;
}

REPLAY_INLINE void *our_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_malloc(bytes) : fast_malloc(fast_of(pool), bytes);
}

REPLAY_INLINE void *our_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_calloc(1, bytes) : fast_calloc(fast_of(pool), 1, bytes);
}

REPLAY_INLINE void *our_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    if (domain != DOMAIN_RAW)
        return fast_aligned_alloc(fast_of(pool), align_bytes, bytes);
    return raw_aligned_alloc(align_bytes < sizeof(void *) ? sizeof(void *) : align_bytes, bytes);
}

REPLAY_INLINE void *our_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_realloc(block, bytes) : fast_realloc(fast_of(pool), block, bytes);
}

REPLAY_INLINE void our_free(struct pool *pool, unsigned domain, void *block) {
    if (domain == DOMAIN_RAW)
        raw_free(block);
    else
        fast_free(fast_of(pool), block);
}

REPLAY_INLINE size_t our_usable_size(struct pool *pool, void *block) {
    return fast_usable_size(fast_of(pool), block);
}

REPLAY_INLINE bool our_in_arena(struct pool *pool, void *block) {
    return fast_owns(fast_of(pool), block);
}

static const struct replay_calls calls = {
    .malloc = our_malloc,
    .calloc = our_calloc,
    .aligned_alloc = our_aligned_alloc,
    .realloc = our_realloc,
    .free = our_free,
    .usable_size = our_usable_size,
    .in_arena = our_in_arena,
    .touch_step_bytes = TOUCH_PAGE_BYTES,
};

static void our_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void our_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void our_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

static void our_arenas_sample(const struct replay *replay, struct worker_sample *sample) {
    fast_split_get(fast_of(replay->pool), &sample->split);
    fast_counts_get(fast_of(replay->pool), &sample->counts);
    sample->split.requested_bytes = sample->pooled_bytes;
}

static void our_pins_take(const struct replay *replay, uint64_t operation_index, struct worker_pins *out) {
    pins_take_fast(fast_of(replay->pool), operation_index, out);
}

const struct backend backend_fast = {
    .run = our_run,
    .run_accounted = our_run_accounted,
    .drain = our_drain,
    .arenas_sample = our_arenas_sample,
    .pins_take = our_pins_take,
};
