/*
 * The pool: mem, obj and c requests go to it, raw ones straight to the raw layer, as CPython sends them.
 */
#include "compare/worker/backend.h"
#include "compare/worker/pins.h"
#include "compare/worker/replay_loop.h"
#include "core/pool.h"
#include "core/raw.h"

REPLAY_INLINE void *py_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_malloc(bytes) : pool_malloc(pool, bytes);
}

REPLAY_INLINE void *py_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_calloc(1, bytes) : pool_calloc(pool, 1, bytes);
}

REPLAY_INLINE void *py_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    if (domain != DOMAIN_RAW)
        return pool_aligned_alloc(pool, align_bytes, bytes);
    return raw_aligned_alloc(align_bytes < sizeof(void *) ? sizeof(void *) : align_bytes, bytes);
}

REPLAY_INLINE void *py_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    return domain == DOMAIN_RAW ? raw_realloc(block, bytes) : pool_realloc(pool, block, bytes);
}

REPLAY_INLINE void py_free(struct pool *pool, unsigned domain, void *block) {
    if (domain == DOMAIN_RAW)
        raw_free(block);
    else
        pool_free(pool, block);
}

REPLAY_INLINE size_t py_usable_size(struct pool *pool, void *block) {
    return pool_usable_size(pool, block);
}

REPLAY_INLINE bool py_in_arena(struct pool *pool, void *block) {
    return pool_owns(pool, block);
}

static const struct replay_calls calls = {
    .malloc = py_malloc,
    .calloc = py_calloc,
    .aligned_alloc = py_aligned_alloc,
    .realloc = py_realloc,
    .free = py_free,
    .usable_size = py_usable_size,
    .in_arena = py_in_arena,
    .touch_step_bytes = TOUCH_PAGE_BYTES,
};

static void py_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void py_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void py_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

void backend_pool_arenas_sample(const struct replay *replay, struct worker_sample *sample) {
    pool_split_get(replay->pool, &sample->split);
    pool_counts_get(replay->pool, &sample->counts);
    sample->split.requested_bytes = sample->pooled_bytes;
}

void backend_pool_pins_take(const struct replay *replay, uint64_t operation_index, struct worker_pins *out) {
    pins_take(replay->pool, operation_index, out);
}

void backend_pool_stats_print(const struct replay *replay, FILE *out) {
    pool_stats_print(replay->pool, out);
}

const struct backend backend_pool = {
    .run = py_run,
    .run_accounted = py_run_accounted,
    .drain = py_drain,
    .arenas_sample = backend_pool_arenas_sample,
    .pins_take = backend_pool_pins_take,
    .stats_print = backend_pool_stats_print,
};
