#include "core/raw.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/base/checked.h"

void *raw_malloc(size_t bytes) {
    if (bytes > PTRDIFF_MAX)
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *raw_calloc(size_t count, size_t bytes) {
    size_t total;
    if (checked_mul_size(count, bytes, &total) || total > PTRDIFF_MAX)
        return NULL;
    return total ? calloc(count, bytes) : calloc(1, 1);
}

void *raw_realloc(void *block, size_t bytes) {
    if (bytes > PTRDIFF_MAX)
        return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void *raw_aligned_alloc(size_t align_bytes, size_t bytes) {
    void *block;
    if (bytes > PTRDIFF_MAX || posix_memalign(&block, align_bytes, bytes ? bytes : 1) != 0)
        return NULL;
    return block;
}

void raw_free(void *block) {
    free(block);
}

size_t raw_usable_size(void *block) {
    return malloc_usable_size(block);
}
