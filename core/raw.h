/**
 * raw.h: CPython's raw layer: libc's malloc, where a request of 0 bytes asks for 1.
 *
 * Everything the pool does not serve comes from here, and the pool's own tables do too. Sizes beyond PTRDIFF_MAX are
 * refused with NULL, as at all of CPython's entry points.
 */
#ifndef MMREPLAY_CORE_RAW_H
#define MMREPLAY_CORE_RAW_H

#include <stddef.h>

void *raw_malloc(size_t bytes);

/** Zeroed. 0 items, or items of 0 bytes, are one byte. A product that overflows is refused. */
void *raw_calloc(size_t count, size_t bytes);

/** `block` NULL is raw_malloc. On NULL the old block stands. */
void *raw_realloc(void *block, size_t bytes);

/** @param align_bytes a power of two, at least sizeof(void *). Give back with raw_free. */
void *raw_aligned_alloc(size_t align_bytes, size_t bytes);

void raw_free(void *block);

/** What libc's block really holds; 0 for NULL. */
size_t raw_usable_size(void *block);

#endif
