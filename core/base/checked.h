/**
 * checked.h: arithmetic on numbers that were read from somewhere. Each returns true on overflow and then leaves *out
 * alone.
 */
#ifndef MMREPLAY_CORE_BASE_CHECKED_H
#define MMREPLAY_CORE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return true;
    *out = sum;
    return false;
}

static inline bool checked_mul_size(size_t a, size_t b, size_t *out) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return true;
    *out = product;
    return false;
}

#endif
