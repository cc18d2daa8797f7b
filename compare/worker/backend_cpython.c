/*
 * The pymalloc of an installed libpython: mem, obj and c requests go to its object functions, raw ones to its raw
 * functions. The function pointers lie at fixed addresses and are set once, so that a call costs what a call through
 * the dynamic linker's table costs, which is how the malloc libraries are called.
 */
#include "compare/worker/backend_cpython.h"

#include <malloc.h>
#include <stdlib.h>

#include "compare/worker/backend.h"
#include "compare/worker/library_check.h"
#include "compare/worker/pins.h"
#include "compare/worker/real_arenas.h"
#include "compare/worker/replay_loop.h"
#include "compare/worker/stats_text.h"

static struct real_python python;
static struct real_arenas arenas;

REPLAY_INLINE const struct real_allocator *domain_allocator(unsigned domain) {
    return domain == DOMAIN_RAW ? &python.raw : &python.obj;
}

REPLAY_INLINE void *real_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool;
    if (domain == DOMAIN_RAW)
        return python.raw.malloc(python.raw.ctx, bytes);
    return python.obj.malloc(python.obj.ctx, bytes);
}

REPLAY_INLINE void *real_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool;
    return domain_allocator(domain)->calloc(domain_allocator(domain)->ctx, 1, bytes);
}

/* CPython has no such call. What its blocks are aligned to anyway is an ordinary request; the rest goes to libc, and
 * comes back through pymalloc's free, which hands on what is not in its arenas. */
REPLAY_INLINE void *real_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    void *block = NULL;
    if (align_bytes <= python.config.align_bytes)
        return real_malloc(pool, domain, bytes);
    if (posix_memalign(&block, align_bytes, bytes ? bytes : 1))
        return NULL;
    return block;
}

REPLAY_INLINE void *real_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    (void)pool;
    return domain_allocator(domain)->realloc(domain_allocator(domain)->ctx, block, bytes);
}

REPLAY_INLINE void real_free(struct pool *pool, unsigned domain, void *block) {
    (void)pool;
    if (domain == DOMAIN_RAW)
        python.raw.free(python.raw.ctx, block);
    else
        python.obj.free(python.obj.ctx, block);
}

static bool real_in_arena(struct pool *pool, void *block) {
    (void)pool;
    return real_arenas_hold(&arenas, block);
}

static size_t real_usable_size(struct pool *pool, void *block) {
    if (!real_in_arena(pool, block))
        return malloc_usable_size(block);
    const char *header = (const char *)block - ((uintptr_t)block & (python.config.pool_bytes - 1));
    return (*(const uint32_t *)(const void *)(header + REAL_POOL_CLASS_OFFSET) + (size_t)1) * python.config.align_bytes;
}

static const struct replay_calls calls = {
    .malloc = real_malloc,
    .calloc = real_calloc,
    .aligned_alloc = real_aligned_alloc,
    .realloc = real_realloc,
    .free = real_free,
    .usable_size = real_usable_size,
    .in_arena = real_in_arena,
    .touch_step_bytes = TOUCH_PAGE_BYTES,
};

static void real_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void real_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void real_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

static void real_arenas_sample(const struct replay *replay, struct worker_sample *sample) {
    static struct stats_text text;
    FILE *out = stats_text_open(&text);
    (void)replay;
    if (out) {
        real_python_stats_print(&python, out);
        stats_text_finish(&text, out);
        stats_text_split(text.text, &sample->split, &sample->counts);
    }
    sample->split.requested_bytes = sample->pooled_bytes;
    sample->counts.arenas_mapped_count = arenas.mapped_count;
    sample->counts.arenas_returned_count = arenas.returned_count;
    sample->counts.arenas_peak_count = arenas.peak_count;
    sample->counts.arenas_count = arenas.count;
}

static void real_pins_take(const struct replay *replay, uint64_t operation_index, struct worker_pins *out) {
    (void)replay;
    pins_take_real(&arenas, &python.config, operation_index, out);
}

static void real_stats_print(const struct replay *replay, FILE *out) {
    (void)replay;
    real_python_stats_print(&python, out);
}

enum err backend_cpython_prepare(const struct worker_request *request, struct worker_reply *reply, struct diag *diag) {
    static struct pool_arena_source source;
    struct pool_arena_source aligned = real_arenas_aligned_pages(&python.config.pool_bytes);
    enum err err = real_arenas_create(&arenas, &aligned, diag);
    if (err)
        return err;
    source = real_arenas_source(&arenas);
    err = real_python_open(request->python, &source, &python, diag);
    if (err)
        return err;
    if (!request->arenas_aligned)
        arenas.below = python.arenas;
    arenas.arena_bytes = python.config.arena_bytes;
    reply->pool = python.config;
    reply->has_usable_size = true;
    snprintf(reply->version, sizeof reply->version, "CPython %s", python.version);
    library_describe(python.address, reply);
    return ERR_OK;
}

const struct backend backend_cpython = {
    .run = real_run,
    .run_accounted = real_run_accounted,
    .drain = real_drain,
    .arenas_sample = real_arenas_sample,
    .pins_take = real_pins_take,
    .stats_print = real_stats_print,
};
