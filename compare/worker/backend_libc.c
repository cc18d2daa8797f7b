/*
 * The malloc family of the process, called as any program calls it: through the dynamic linker. Which library that is
 * was settled at exec by LD_PRELOAD, and checked by library_check.
 */
#include <malloc.h>
#include <stdlib.h>

#include "compare/worker/backend.h"
#include "compare/worker/replay_loop.h"

REPLAY_INLINE void *libc_malloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool, (void)domain;
    return malloc(bytes);
}

REPLAY_INLINE void *libc_calloc(struct pool *pool, unsigned domain, size_t bytes) {
    (void)pool, (void)domain;
    return calloc(1, bytes);
}

/* posix_memalign takes every size, where aligned_alloc may insist on multiples; it wants at least a pointer's
 * alignment. */
REPLAY_INLINE void *libc_aligned_alloc(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes) {
    (void)pool, (void)domain;
    void *block = NULL;
    if (posix_memalign(&block, align_bytes < sizeof(void *) ? sizeof(void *) : align_bytes, bytes))
        return NULL;
    return block;
}

/* realloc(p, 0) frees on one library and not on the next; every trace's realloc makes a block. */
REPLAY_INLINE void *libc_realloc(struct pool *pool, unsigned domain, void *block, size_t bytes) {
    (void)pool, (void)domain;
    return realloc(block, bytes ? bytes : 1);
}

REPLAY_INLINE void libc_free(struct pool *pool, unsigned domain, void *block) {
    (void)pool, (void)domain;
    free(block);
}

REPLAY_INLINE size_t libc_usable_size(struct pool *pool, void *block) {
    (void)pool;
    return malloc_usable_size(block);
}

REPLAY_INLINE bool libc_in_arena(struct pool *pool, void *block) {
    (void)pool, (void)block;
    return false;
}

static const struct replay_calls calls = {
    .malloc = libc_malloc,
    .calloc = libc_calloc,
    .aligned_alloc = libc_aligned_alloc,
    .realloc = libc_realloc,
    .free = libc_free,
    .usable_size = libc_usable_size,
    .in_arena = libc_in_arena,
    .touch_step_bytes = TOUCH_PAGE_BYTES,
};

static void libc_run(struct replay *replay) {
    replay_all(replay, &calls);
}

static void libc_run_accounted(struct replay *replay, uint64_t from, uint64_t to) {
    replay_accounted(replay, &calls, from, to);
}

static void libc_drain(struct replay *replay) {
    replay_drain(replay, &calls);
}

const struct backend backend_libc = {libc_run, libc_run_accounted, libc_drain, NULL, NULL};
