/**
 * real_pool.h: the pymalloc of an installed libpython3.11, as functions to call. Its state is one per process.
 */
#ifndef MMREPLAY_TESTS_CORE_REAL_POOL_H
#define MMREPLAY_TESTS_CORE_REAL_POOL_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/pool.h"

struct real_pool {
    void *library;
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
    int (*stats_print)(FILE *out);
    ssize_t (*block_count)(void);
};

/** @param library a file or soname, NULL = "libpython3.11.so.1.0". @return NULL and fills *out, or why it cannot be. */
const char *real_pool_load(const char *library, struct real_pool *out);

/** From now on arenas come from `source`, which is borrowed. */
void real_pool_source_set(const struct real_pool *real, const struct pool_arena_source *source);

#endif
