/**
 * fast_internal.h: what a fast instance is made of. For core/fast*.c and the tests that break it on purpose.
 *
 * The invariants are written as equations in FAST.md; fast_check() executes them.
 */
#ifndef MMREPLAY_CORE_FAST_INTERNAL_H
#define MMREPLAY_CORE_FAST_INTERNAL_H

#include "core/fast.h"

#define FAST_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define FAST_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define FAST_SLOW                __attribute__((noinline))

/* Each of these was measured: FAST.md. */
enum {
    FAST_UNIT_SHIFT = 14,
    FAST_ARENA_UNIT_SHIFT = 5,
    FAST_ARENA_UNITS = 1 << FAST_ARENA_UNIT_SHIFT, /**< at most 64: a word has a bit for each */
    FAST_ARENA_SHIFT = FAST_UNIT_SHIFT + FAST_ARENA_UNIT_SHIFT,
    FAST_DENSE_BYTES = 512,     /**< up to here there is a class every 16 bytes, as in CPython */
    FAST_SMALL_BYTES = 2048,    /**< up to here malloc finds the span in one table, and spans are of one unit */
    FAST_CLASS_BYTES = 16384,   /**< up to here blocks share spans; beyond, each has units of its own */
    FAST_DOUBLING_CLASSES = 4,  /**< classes from one power of two to the next, beyond FAST_DENSE_BYTES */
    FAST_SPAN_UNITS_MAX = 4,    /**< of a span of blocks */
    FAST_CLASS_MAX = 64,        /**< room for classes */
    FAST_RELIST_SHARE = 32,     /**< a full span serves again when this part of it is free, or a block */
    FAST_CARVE_BYTES = 4096,    /**< never used blocks are linked up to the next multiple of this */
    FAST_CARVE_FIRST = 4,       /**< but of a new span not more than so many */
    FAST_EMPTY_ARENAS_KEPT = 2, /**< wholly free arenas that are not given back */
    FAST_FIT_TRIES = 8,         /**< arenas of one fill that are searched for a run of units */
    FAST_SMALL_STEPS = FAST_SMALL_BYTES / FAST_ALIGN_BYTES + 1
};
_Static_assert(FAST_UNIT_BYTES == 1 << FAST_UNIT_SHIFT && FAST_ARENA_BYTES == 1 << FAST_ARENA_SHIFT,
               "fast.h and the shifts");
_Static_assert(FAST_LIMIT_BYTES == FAST_ARENA_BYTES, "a block of its own is at most an arena");

#define FAST_UNITS_ALL  (~(uint64_t)0 >> (64 - FAST_ARENA_UNITS))
#define FAST_ARENA_NONE UINT32_MAX

enum span_state {
    SPAN_FREE,   /**< a unit of nothing */
    SPAN_BLOCKS, /**< first unit of a span that holds blocks of one class */
    SPAN_RUN,    /**< first unit of a single block */
    SPAN_TAIL,   /**< a further unit of either; its `free` is NULL, so that frees take the slow way */
    SPAN_STATE_COUNT
};

/** One per unit, in one dense table beside the arenas; two to a cache line. Entry -1 - c is the ring head of class c.
 */
struct fast_span {
    void *free;     /**< LIFO of free blocks through their first word; NULL when there is none */
    uint32_t count; /**< blocks in use, less `held`: reaches 0 when something is to be done */
    uint32_t carve; /**< offset of the first block never linked; beyond the class's limit: there is none */
    int32_t next;   /**< in the ring of the class's spans that may have room, as table indices */
    int32_t prev;   /**< likewise */
    uint16_t class_index;
    uint16_t held;  /**< off the ring: what `count` is short of, so that it reaches 0 when enough blocks are free */
    uint8_t state;  /**< enum span_state */
    uint8_t units;  /**< first unit: how many; tail: distance to the first */
    uint8_t listed; /**< on the ring */
};
_Static_assert(sizeof(struct fast_span) == 32, "two to a cache line");

struct fast_class {
    uint32_t block_bytes;
    uint32_t units;      /**< of a span */
    uint32_t capacity;   /**< blocks of a span */
    uint32_t limit;      /**< the largest offset of a block */
    uint32_t relist;     /**< a full span that has so many blocks free again serves again */
    uint16_t first_step; /**< of the entries of `current` that are this class's; none when first > last */
    uint16_t last_step;
};

/** Small blocks and the rest live in different arenas: a burst of large ones leaves no small ones behind in its own. */
enum arena_kind { ARENA_SMALL, ARENA_LARGE, ARENA_KIND_COUNT };

struct fast_arena {
    uint64_t free_units;  /**< a bit each */
    uint64_t clean_units; /**< never used since the arena was obtained; a subset of free_units */
    uint32_t next;        /**< of the arenas of that kind with as many free units; FAST_ARENA_NONE ends */
    uint32_t prev;
    uint8_t kind;   /**< enum arena_kind; of wholly free ones always ARENA_SMALL, and they are on that list */
    uint8_t mapped; /**< obtained */
};

struct fast {
    uintptr_t base;        /**< of the range of addresses; arena-aligned */
    uintptr_t range_bytes; /**< whole arenas */
    struct fast_span *spans;
    uint64_t raw_block_count;
    struct fast_span *current[FAST_SMALL_STEPS]; /**< [(bytes + 15) / 16]: the first of the class's ring */

    struct fast_class classes[FAST_CLASS_MAX];
    uint32_t class_count;
    uint32_t small_class_count;                         /**< classes up to FAST_SMALL_BYTES */
    uint64_t fills[ARENA_KIND_COUNT];                   /**< bit n - 1: there is an arena with n free units */
    uint32_t first[ARENA_KIND_COUNT][FAST_ARENA_UNITS]; /**< [n - 1]: the first of them */
    uint32_t empty_count;                               /**< wholly free arenas */
    struct fast_arena *arenas;                          /**< one per arena-sized piece of the range */
    uint32_t arena_limit;                               /**< how many pieces that is */
    uint32_t arena_frontier;                            /**< pieces from here on were never used */
    uint32_t *returned;                                 /**< LIFO of pieces given back */
    uint32_t returned_count;
    uint64_t arenas_mapped_count;
    uint64_t arenas_count;
    uint64_t arenas_peak_count;
    struct fast_source source;
    void *range_pages; /**< what was reserved for the range */
    size_t range_pages_bytes;
    size_t instance_bytes; /**< of the mapping this struct begins: the tables lie behind it */
};

static inline struct fast_span *fast_span_at(const struct fast *fast, int64_t index) {
    return &fast->spans[index];
}

static inline int32_t fast_span_index(const struct fast *fast, const struct fast_span *span) {
    return (int32_t)(span - fast->spans);
}

static inline struct fast_span *fast_ring_head(const struct fast *fast, uint32_t class_index) {
    return fast_span_at(fast, -1 - (int64_t)class_index);
}

static inline char *fast_span_address(const struct fast *fast, const struct fast_span *span) {
    return (char *)fast->base + ((uintptr_t)(span - fast->spans) << FAST_UNIT_SHIFT);
}

/** Blocks of a span of blocks that are in use. */
static inline uint32_t fast_span_in_use(const struct fast_span *span) {
    return span->count + span->held;
}

/** The first unit of the span that holds an address of ours. */
static inline struct fast_span *fast_span_of(const struct fast *fast, const void *block) {
    struct fast_span *span = fast_span_at(fast, (int64_t)(((uintptr_t)block - fast->base) >> FAST_UNIT_SHIFT));
    return span->state == SPAN_TAIL ? span - span->units : span;
}

/** A bit for each of `count` units, 1 … 64, from the `from`-th on. */
static inline uint64_t fast_units_mask(unsigned count, unsigned from) {
    return ~(uint64_t)0 >> ((64 - count) & 63) << from;
}

static inline uint32_t fast_units_for(size_t bytes) {
    return (uint32_t)((bytes + FAST_UNIT_BYTES - 1) >> FAST_UNIT_SHIFT);
}

/** @name Units: fast_arena.c @{ */

/** Takes `count` adjoining units, from the fullest arena of that kind where they fit, else from a new one. The first
 * one's `units` is set and the others are tails; nothing else. @return NULL when no arena can be had. */
struct fast_span *fast_units_take(struct fast *fast, unsigned count, enum arena_kind kind);

/** Gives units back, and their arena when it is wholly free and enough such are kept. */
void fast_units_put(struct fast *fast, struct fast_span *first, unsigned count);

/** Makes a run longer or shorter where it is. @return false when the units behind it are not free. */
bool fast_run_resize(struct fast *fast, struct fast_span *run, unsigned count);

/** Gives every arena back. */
void fast_arena_clear(struct fast *fast);
/** @} */

#endif
