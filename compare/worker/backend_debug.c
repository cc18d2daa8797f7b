#include "compare/worker/backend_debug.h"

#include <stdio.h>
#include <string.h>

#include "compare/worker/backend.h"
#include "compare/worker/replay_loop.h"
#include "core/memory.h"

/* The loop hands on a pool; what lies around it is found here. */
static struct memory *memory;
static size_t align_bytes_max;
static char first_fault[DEBUG_FAULT_TEXT_BYTES];

static void fault_note(void *ctx, const struct debug_fault *fault) {
    (void)ctx;
    if (!first_fault[0])
        debug_fault_line(fault, first_fault);
}

/* enum domain is of traces, enum domain_id of CPython; c programs have one domain, that of objects here. */
REPLAY_INLINE enum domain_id domain_of(unsigned domain) {
    if (domain == DOMAIN_RAW)
        return DOMAIN_ID_RAW;
    return domain == DOMAIN_MEM ? DOMAIN_ID_MEM : DOMAIN_ID_OBJ;
}

REPLAY_INLINE void *hooked_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool;
    return memory_malloc(memory, domain_of(domain), bytes);
}

REPLAY_INLINE void *hooked_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool;
    return memory_calloc(memory, domain_of(domain), 1, bytes);
}

static void *hooked_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    (void)pool;
    return align_bytes <= align_bytes_max ? memory_malloc(memory, domain_of(domain), bytes) : NULL;
}

REPLAY_INLINE void *hooked_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    (void)pool;
    return memory_realloc(memory, domain_of(domain), block, bytes);
}

REPLAY_INLINE void hooked_free(struct pool *pool, unsigned domain, void *block) {
    (void)pool;
    memory_free(memory, domain_of(domain), block);
}

/* The whole block below the hooks: what they add is overhead, like rounding. */
static size_t hooked_usable_size(struct pool *pool, void *block) {
    (void)pool;
    return block ? memory_footprint_bytes(memory, debug_block_domain(block), block) : 0;
}

REPLAY_INLINE bool hooked_in_arena(struct pool *pool, void *block) {
    return pool_owns(pool, block);
}

static const struct replay_calls calls = {
    .malloc = hooked_malloc,
    .calloc = hooked_calloc,
    .aligned_alloc = hooked_aligned_alloc,
    .realloc = hooked_realloc,
    .free = hooked_free,
    .usable_size = hooked_usable_size,
    .in_arena = hooked_in_arena,
    .touch_step_bytes = TOUCH_PAGE_BYTES,
};

static void hooked_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void hooked_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void hooked_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

/* Large blocks are the raw domain's here, past the pool's own count. */
static void hooked_arenas_sample(const struct replay *replay, struct worker_sample *sample) {
    backend_pool_arenas_sample(replay, sample);
    sample->counts.raw_blocks_count += memory_raw_blocks_count(memory);
}

const struct backend backend_debug = {
    .run = hooked_run,
    .run_accounted = hooked_run_accounted,
    .drain = hooked_drain,
    .arenas_sample = hooked_arenas_sample,
    .pins_take = backend_pool_pins_take,
    .stats_print = backend_pool_stats_print,
};

enum err backend_debug_prepare(const struct pool_config *config, struct pool **out, struct diag *diag) {
    struct debug_settings debug = debug_settings_default();
    debug.report = fault_note;
    struct memory_settings settings = {.choice = {.pool = true, .debug = true}, .pool = config, .debug = &debug};
    enum err err = memory_create(&settings, &memory, diag);
    if (err)
        return err;
    align_bytes_max = config->align_bytes < DEBUG_HEAD_BYTES ? config->align_bytes : DEBUG_HEAD_BYTES;
    first_fault[0] = '\0';
    *out = memory_pool(memory);
    return ERR_OK;
}

enum err backend_debug_verdict(struct diag *diag) {
    if (!memory || !memory_fault_count(memory))
        return ERR_OK;
    return diag_set(diag, ERR_INVALID, NULL, "the debug hooks found %llu faults; the first: %s",
                    (unsigned long long)memory_fault_count(memory), first_fault);
}

void backend_debug_release(void) {
    memory_destroy(memory);
    memory = NULL;
}
