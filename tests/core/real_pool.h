/**
 * real_pool.h: the pymalloc of an installed libpython, 3.6 to 3.13, as functions to call. Its state is one per process.
 */
#ifndef MMREPLAY_TESTS_CORE_REAL_POOL_H
#define MMREPLAY_TESTS_CORE_REAL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/pool.h"

/* PyMemAllocatorEx, as CPython documents it. */
struct real_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};

struct real_pool {
    void *library;
    char version[32];                 /**< "3.11.2" */
    const struct pool_config *config; /**< the profile that must agree with it */
    struct real_allocator calls;
    int (*text_print)(FILE *out);
    ssize_t (*block_count)(void); /**< NULL: the version exports none */
    void (*allocator_get)(int domain, struct real_allocator *out);
    void (*allocator_set)(int domain, const struct real_allocator *allocator);
    bool set_aside; /**< an initialized interpreter allocates elsewhere; the pool is its own only to be asked */
};

/**
 * From 3.12 on the pool's state belongs to an interpreter: one is initialized, on the raw layer.
 * @param library a file or soname. @return NULL and fills *out, or why it cannot be.
 */
const char *real_pool_load(const char *library, struct real_pool *out);

/** From now on arenas come from `source`, which is borrowed. */
void real_pool_source_set(const struct real_pool *real, const struct pool_arena_source *source);

/** The statistics text. */
void real_pool_stats_print(const struct real_pool *real, FILE *out);

#endif
