/**
 * size_classes.h: the ways to sort request sizes into classes, for histograms: as an allocator does, or by powers of
 * two.
 *
 * A class is a range of sizes, known by its largest; together they cover 0 … EVENT_SIZE_MAX without gaps.
 */
#ifndef MMREPLAY_TRACES_SIZE_CLASSES_H
#define MMREPLAY_TRACES_SIZE_CLASSES_H

#include <stdint.h>

#include "core/base/diag.h"
#include "traces/event.h"

enum size_scheme {
    SIZE_SCHEME_LOG2,      /**< 0, 1, 2, 4, … 2^47 */
    SIZE_SCHEME_PYMALLOC,  /**< CPython 3.8 and newer, 64 bit: steps of 16 up to 512 (obmalloc.c: ALIGNMENT 16) */
    SIZE_SCHEME_PYMALLOC8, /**< CPython up to 3.7: steps of 8 up to 512 */
    SIZE_SCHEME_GLIBC, /**< malloc.c, 64 bit: what fits chunks of 32, 48, … (24, 40, …) up to the tcache's last 1032 */
    SIZE_SCHEME_JEMALLOC, /**< sz.h: 8, then steps of 16 up to 128, then four steps to a doubling */
    SIZE_SCHEME_COUNT
};

/* Above an allocator's own small classes, all but jemalloc's go on with powers of two. */
enum { SIZE_CLASS_MAX = 192, SIZE_CLASS_TABLE_BYTES = 1024 };

struct size_classes {
    enum size_scheme scheme;
    uint32_t count;
    uint64_t upper_bytes[SIZE_CLASS_MAX]; /**< the largest size of each class, rising */
    /** The classes of small sizes; and of 2^n, at least SIZE_CLASS_TABLE_BYTES: where to begin to look. */
    uint8_t small[SIZE_CLASS_TABLE_BYTES + 1];
    uint8_t from_log2[EVENT_SIZE_BITS + 1];
};

extern const char *const size_scheme_names[SIZE_SCHEME_COUNT];

/** @return ERR_OK, or ERR_USAGE naming all of them. */
enum err size_scheme_parse(const char *text, enum size_scheme *out, struct diag *diag);

void size_classes_init(struct size_classes *classes, enum size_scheme scheme);

/** The class of a size up to EVENT_SIZE_MAX. Cost: one load for small ones, a handful of steps else. */
static inline uint32_t size_class_of(const struct size_classes *classes, uint64_t size_bytes) {
    if (size_bytes <= SIZE_CLASS_TABLE_BYTES)
        return classes->small[size_bytes];
    uint32_t class = classes->from_log2[63 - __builtin_clzll(size_bytes)];
    while (classes->upper_bytes[class] < size_bytes)
        class ++;
    return class;
}

/** The smallest size of a class. */
static inline uint64_t size_class_lower(const struct size_classes *classes, uint32_t class) {
    return class ? classes->upper_bytes[class - 1] + 1 : 0;
}

#endif
