/*
 * The null allocator: calls that do nothing, so that what remains is the loop. Every block is the same page, and
 * touching it writes as many words as for any other allocator.
 */
#include "compare/worker/backend.h"
#include "compare/worker/replay_loop.h"

/* Called like any other allocator: the loop must not profit from knowing which registers and arguments are unused here.
 */
#ifdef __clang__
#define NULL_CALL __attribute__((noinline))
#else
#define NULL_CALL __attribute__((noipa))
#endif

static _Alignas(TOUCH_PAGE_BYTES) char scratch_page[TOUCH_PAGE_BYTES];

/* The compiler must believe that the address is only known at run time. */
static void *scratch_get(void) {
    void *block = scratch_page;
    __asm__ volatile("" : "+r"(block));
    return block;
}

/* With the arguments of the malloc family, so that calling them costs what calling malloc costs. */
static NULL_CALL void *nothing_malloc(size_t bytes) {
    (void)bytes;
    return scratch_get();
}

static NULL_CALL void *nothing_calloc(size_t count, size_t bytes) {
    (void)count, (void)bytes;
    return scratch_get();
}

static NULL_CALL void *nothing_aligned_alloc(size_t align_bytes, size_t bytes) {
    (void)align_bytes, (void)bytes;
    return scratch_get();
}

static NULL_CALL void *nothing_realloc(void *block, size_t bytes) {
    (void)block, (void)bytes;
    return scratch_get();
}

static NULL_CALL void nothing_free(void *block) {
    __asm__ volatile("" : : "r"(block));
}

REPLAY_INLINE void *null_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool, (void)domain;
    return nothing_malloc(bytes);
}

REPLAY_INLINE void *null_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool, (void)domain;
    return nothing_calloc(1, bytes);
}

REPLAY_INLINE void *null_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    (void)pool, (void)domain;
    return nothing_aligned_alloc(align_bytes, bytes);
}

REPLAY_INLINE void *null_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    (void)pool, (void)domain;
    return nothing_realloc(block, bytes);
}

REPLAY_INLINE void null_free(struct pool *pool, unsigned domain, void *block) {
    (void)pool, (void)domain;
    nothing_free(block);
}

static size_t null_usable_size(struct pool *pool, void *block) {
    (void)pool, (void)block;
    return 0;
}

static bool null_in_arena(struct pool *pool, void *block) {
    (void)pool, (void)block;
    return false;
}

static const struct replay_calls calls = {
    .malloc = null_malloc,
    .calloc = null_calloc,
    .aligned_alloc = null_aligned_alloc,
    .realloc = null_realloc,
    .free = null_free,
    .usable_size = null_usable_size,
    .in_arena = null_in_arena,
    .touch_step_bytes = 0,
};

static void null_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void null_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void null_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

const struct backend backend_null = {null_run, null_run_accounted, null_drain, NULL, NULL};
