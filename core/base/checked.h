/**
 * checked.h: arithmetic on numbers that were read from somewhere. Each returns true on overflow and then leaves *out
 * alone.
 */
#ifndef MMREPLAY_CORE_BASE_CHECKED_H
#define MMREPLAY_CORE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool checked_mul_size(size_t a, size_t b, size_t *out) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return true;
    *out = product;
    return false;
}

#endif
