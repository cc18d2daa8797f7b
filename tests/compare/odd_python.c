/*
 * What passes for a libpython: its allocator is our pool, with a fault chosen when it is compiled:
 *   ODD_VERSION="…"       what Py_GetVersion says
 *   ODD_PLACE_AT=N        the N-th malloc takes a block too many before it answers
 *   ODD_STATS_AT=N        from the N-th malloc on the statistics text is wrong in one line
 *   ODD_DEBUG             the allocator has a context, as under debug hooks
 *   ODD_NO_PYMALLOC       the statistics function prints nothing
 *   ODD_FUTURE            it can be initialised, as versions from 3.12 on must be
 *   ODD_HIDDEN            the allocator's functions are not exported
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/domain.h"
#include "core/pool.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT const char *Py_GetVersion(void);
const char *Py_GetVersion(void) {
    return ODD_VERSION;
}

#ifndef ODD_HIDDEN
#ifdef ODD_FUTURE
EXPORT void Py_InitializeEx(int install_signals);
void Py_InitializeEx(int install_signals) {
    (void)install_signals;
}
#endif

EXPORT void PyMem_GetAllocator(int domain, struct domain_allocator *out);
EXPORT void PyMem_SetAllocator(int domain, const struct domain_allocator *allocator);
EXPORT void PyObject_GetArenaAllocator(struct pool_arena_source *out);
EXPORT void PyObject_SetArenaAllocator(const struct pool_arena_source *source);
EXPORT int _PyObject_DebugMallocStats(FILE *out);

static struct pool *pool;
static unsigned long malloc_count;

static void *shipped_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    void *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return arena == MAP_FAILED ? NULL : arena;
}

static void shipped_free(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    munmap(arena, bytes);
}

static struct pool_arena_source arenas = {NULL, shipped_alloc, shipped_free};

static void *arena_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    return arenas.alloc(arenas.ctx, bytes);
}

static void arena_free(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    arenas.free(arenas.ctx, arena, bytes);
}

static struct pool *pool_get(void) {
    static const struct pool_arena_source indirect = {NULL, arena_alloc, arena_free};
    struct pool_config config;
    if (!pool && (pool_config_parse("3.11", &config, NULL) || pool_create(&config, &indirect, &pool, NULL)))
        abort();
    return pool;
}

static void *odd_malloc(void *ctx, size_t bytes) {
    (void)ctx;
    malloc_count++;
#ifdef ODD_PLACE_AT
    if (malloc_count == ODD_PLACE_AT)
        pool_malloc(pool_get(), bytes);
#endif
    return pool_malloc(pool_get(), bytes);
}

static void *odd_calloc(void *ctx, size_t count, size_t bytes) {
    (void)ctx;
    return pool_calloc(pool_get(), count, bytes);
}

static void *odd_realloc(void *ctx, void *block, size_t bytes) {
    (void)ctx;
    return pool_realloc(pool_get(), block, bytes);
}

static void odd_free(void *ctx, void *block) {
    (void)ctx;
    pool_free(pool_get(), block);
}

void PyMem_GetAllocator(int domain, struct domain_allocator *out) {
    static char hooks;
    *out =
        domain ? (struct domain_allocator){NULL, odd_malloc, odd_calloc, odd_realloc, odd_free} : domain_allocator_libc;
#ifdef ODD_DEBUG
    out->ctx = &hooks;
#endif
    (void)hooks;
}

void PyMem_SetAllocator(int domain, const struct domain_allocator *allocator) {
    (void)domain, (void)allocator;
}

void PyObject_GetArenaAllocator(struct pool_arena_source *out) {
    *out = arenas;
}

void PyObject_SetArenaAllocator(const struct pool_arena_source *source) {
    arenas = *source;
}

int _PyObject_DebugMallocStats(FILE *out) {
#ifdef ODD_NO_PYMALLOC
    (void)out;
    return 0;
#else
    pool_stats_print(pool_get(), out);
#ifdef ODD_STATS_AT
    if (malloc_count >= ODD_STATS_AT)
        fputs("# times told                       =                    1\n", out);
#endif
    return 1;
#endif
}
#endif
