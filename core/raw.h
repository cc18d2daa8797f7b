/**
 * raw.h: CPython's raw layer: libc's malloc, where a request of 0 bytes asks for 1.
 *
 * Everything the pool does not serve comes from here, and the pool's own tables do too. Sizes beyond PTRDIFF_MAX are
 * refused with NULL, as at all of CPython's entry points.
 */
#ifndef MMREPLAY_CORE_RAW_H
#define MMREPLAY_CORE_RAW_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/base/checked.h"

static inline void *raw_malloc(size_t bytes) {
    if (bytes > PTRDIFF_MAX)
        return NULL;
    return malloc(bytes ? bytes : 1);
}

/** Zeroed. 0 items, or items of 0 bytes, are one byte. A product that overflows is refused. */
static inline void *raw_calloc(size_t count, size_t bytes) {
    size_t total;
    if (checked_mul_size(count, bytes, &total) || total > PTRDIFF_MAX)
        return NULL;
    return calloc(1, total ? total : 1);
}

/** `block` NULL is raw_malloc. On NULL the old block stands. */
static inline void *raw_realloc(void *block, size_t bytes) {
    if (bytes > PTRDIFF_MAX)
        return NULL;
    return realloc(block, bytes ? bytes : 1);
}

/** @param align_bytes a power of two, at least sizeof(void *). Give back with raw_free. */
static inline void *raw_aligned_alloc(size_t align_bytes, size_t bytes) {
    void *block;
    if (bytes > PTRDIFF_MAX || posix_memalign(&block, align_bytes, bytes ? bytes : 1) != 0)
        return NULL;
    return block;
}

static inline void raw_free(void *block) {
    free(block);
}

/** What libc's block really holds; 0 for NULL. */
static inline size_t raw_usable_size(void *block) {
    return malloc_usable_size(block);
}

#endif
