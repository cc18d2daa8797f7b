/**
 * pool_internal.h: what a pool instance is made of. For core/pool*.c and the tests that break it on purpose.
 *
 * The invariants are written as equations in POOL.md; pool_check() executes them.
 */
#ifndef MMREPLAY_CORE_POOL_INTERNAL_H
#define MMREPLAY_CORE_POOL_INTERNAL_H

#include "core/pool.h"

#define POOL_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define POOL_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define POOL_COLD                __attribute__((noinline, cold))
#define POOL_SLOW                __attribute__((noinline))
#define POOL_INLINE              static inline __attribute__((always_inline))

enum {
    POOL_CLASS_MAX = 128,           /**< size classes an instance has room for */
    POOL_ARENA_POOLS_MIN = 4,       /**< so that an arena with a pool lost to alignment still has several */
    POOL_ARENA_POOLS_MAX = 1 << 16, /**< bounds the finger table */
    POOL_CLASS_NONE = 0xffff,       /**< class of a pool that was just carved out of its arena */
    POOL_SLOT_POOLS = 64,           /**< pools to a word of the radix tree's bottom */
    POOL_CARVE_BYTES = 4096,        /**< blocks are carved up to the next multiple of this; no page is smaller */
    ARENA_VECTOR_FIRST_COUNT = 16   /**< slots of the first arena vector; doubled from there */
};

/** A circular list; the head is one too. */
struct pool_link {
    struct pool_link *next;
    struct pool_link *prev;
};

/** At the first bytes of every pool, or in a table (headers=side); laid out as CPython's on 64 bits, so that carved
 * offsets are equal. */
struct pool_header {
    uint32_t count;        /**< blocks in use */
    void *free;            /**< LIFO of free blocks through their first word; NULL = the pool is full */
    struct pool_link link; /**< partly used: in used[class]; empty: `next` leads on in arena.free_pools; full: stale */
    uint32_t arena_index;  /**< in the arena vector */
    uint32_t class_index;
    uint32_t next_offset; /**< of the first block never carved */
    uint32_t last_offset; /**< the largest offset a block may be carved at */
};
_Static_assert(sizeof(struct pool_header) == 48, "CPython's pool header on 64 bits");
_Static_assert(offsetof(struct pool_header, link) == 16 && offsetof(struct pool_header, next_offset) == 40,
               "CPython's pool header on 64 bits");

/** A header beside its pool; one cache line. */
struct pool_side {
    _Alignas(64) struct pool_header header;
    char *base; /**< the pool's first byte */
};
_Static_assert(sizeof(struct pool_side) == 64, "neighbouring headers lie in neighbouring cache lines");

/** A slot of the arena vector. */
struct arena {
    uintptr_t address;            /**< as the source gave it; 0 = the slot is unused */
    uintptr_t carve_address;      /**< the first pool never carved */
    uint32_t free_pool_count;     /**< empty and never carved pools */
    uint32_t total_pool_count;    /**< whole pools the arena holds: one fewer when its address is not pool-aligned */
    struct pool_link *free_pools; /**< LIFO of empty pools through link.next */
    struct arena *next;           /**< in usable_arenas (free_pool_count > 0), or in unused_arenas */
    struct arena *prev;           /**< in usable_arenas */
};

/**
 * Which pools are ours: three levels over the address bits, at the bottom one bit per pool, 64 pools to a word. A pool
 * is wholly ours or not at all, so this needs no bounds, and works for any arena size and address. Marked are the whole
 * pools of an arena; what an unaligned arena has around them holds no block.
 */
struct radix {
    uint64_t fast_key; /**< hot_key when the shape is POOL_SHAPE_COMMON, else RADIX_NO_KEY */
    uint64_t hot_key;  /**< address >> bottom_shift of the node last found, or RADIX_NO_KEY */
    uint64_t *hot;     /**< that node */
    bool fast_allowed; /**< the shape is POOL_SHAPE_COMMON, with headers in the pools */
    bool has_sides;    /**< behind a bottom node's words stands for each one the table of its pools' headers */
    uint8_t pool_shift;
    uint8_t slot_shift;   /**< pool_shift + 6: a word of a bottom node */
    uint8_t bottom_shift; /**< an address' bits from here on choose the bottom node */
    uint8_t mid_shift;    /**< and from here on the middle node */
    uint32_t root_length;
    uint32_t mid_length;
    uint32_t bottom_length;
    uint32_t mid_count;
    uint32_t bottom_count;
    uint32_t side_count; /**< tables of POOL_SLOT_POOLS headers */
    uint64_t ***root;    /**< root_length pointers in the instance's own pages */
};

#define RADIX_NO_KEY UINT64_MAX

/** The nodes that a tree over addresses of 48 bits has, counted beside ours: CPython 3.10's. */
struct arena_map {
    uint8_t upper_bits;   /**< of an address, for the root and for a middle node */
    uint8_t bottom_shift; /**< an address' bits from here on choose the bottom node */
    uint32_t mid_count;
    uint32_t bottom_count;
    uint64_t *mid_seen;    /**< a bit per node; NULL when nothing is counted */
    uint64_t *bottom_seen; /**< the same */
};

/** The numbers the hot paths need. */
struct pool_shape {
    size_t threshold_bytes;
    uintptr_t pool_mask; /**< pool size - 1 */
    uint8_t class_shift;
    uint8_t pool_shift; /**< these four: of the radix tree */
    uint8_t slot_shift;
    uint8_t bottom_shift;
    uint32_t bottom_mask;
};

struct pool {
    struct pool_config config;
    struct pool_arena_source source;
    char name[32]; /**< what config.name points at */
    size_t
        header_bytes; /**< where a pool's first block is: its header rounded up to the alignment; 0 with headers=side */
    uint32_t class_count;
    uint32_t arena_pool_count; /**< pools of an aligned arena */
    size_t instance_bytes;     /**< of the mapping this struct begins */

    struct arena_map map;
    struct arena *unused_arenas; /**< LIFO of unused slots */
    uint32_t arena_slot_count;
    uint64_t arenas_mapped_count;
    uint64_t arenas_count;
    uint64_t arenas_peak_count;

    /* From here on it is hot. The instance begins a page, as every pool does: fields at the offsets of a pool header
       would share its cache set and, worse, alias its stores in the low 12 address bits. */
    _Alignas(256) size_t fast_limit_bytes; /**< the threshold when the shape is POOL_SHAPE_COMMON, else 0 */
    struct radix radix;
    struct pool_shape shape;
    uint64_t raw_block_count;
    struct arena *usable_arenas;           /**< sorted by increasing free_pool_count */
    struct arena **last_with;              /**< [n]: the last of usable_arenas with n free pools, or NULL */
    struct arena *arenas;                  /**< the vector */
    struct pool_link used[POOL_CLASS_MAX]; /**< partly used pools of a class, most recently linked first */

    /* What is needed once per pool that fills or drains, of the config. */
    uint32_t keep_count;
    uint8_t order;
    bool reentry_back;
    bool headers_side;
    bool beside_fast; /**< headers_side, and the shape is otherwise POOL_SHAPE_COMMON */
};
_Static_assert(offsetof(struct pool, fast_limit_bytes) >= 64, "no hot field where pools have their headers");

/** The shape of CPython 3.10 and newer on 64 bits: the one whose hot paths are compiled with constants. */
#define POOL_SHAPE_COMMON                                                                                              \
    ((struct pool_shape){.threshold_bytes = 512,                                                                       \
                         .pool_mask = (16 << 10) - 1,                                                                  \
                         .class_shift = 4,                                                                             \
                         .pool_shift = 14,                                                                             \
                         .slot_shift = 20,                                                                             \
                         .bottom_shift = 34,                                                                           \
                         .bottom_mask = (1 << 14) - 1})

static inline struct pool_header *pool_of_link(const struct pool_link *link) {
    return (struct pool_header *)((uintptr_t)link - offsetof(struct pool_header, link));
}

static inline size_t pool_class_bytes(const struct pool *pool, uint32_t class_index) {
    return (size_t)(class_index + 1) << pool->shape.class_shift;
}

/** Blocks a pool of that class holds. */
static inline uint32_t pool_class_capacity(const struct pool *pool, uint32_t class_index) {
    return (uint32_t)((pool->config.pool_bytes - pool->header_bytes) / pool_class_bytes(pool, class_index));
}

/** Bytes a pool's header takes of the pool. */
static inline size_t pool_header_room(const struct pool_config *config) {
    if (config->headers == POOL_HEADERS_SIDE)
        return 0;
    return (sizeof(struct pool_header) + config->align_bytes - 1) & ~(config->align_bytes - 1);
}

/** The arena source the settings ask for; borrows the pool. pool_source.c */
struct pool_arena_source pool_source_of(struct pool *pool);

/** @name The map of 48-bit addresses: pool_map.c @{ */

/** Bytes of zeroes that arena_map_init needs; 0 when nothing is to be counted. */
size_t arena_map_bytes(const struct pool_config *config);

/** @param seen arena_map_bytes() zeroes, borrowed. */
void arena_map_init(struct arena_map *map, const struct pool_config *config, uint64_t *seen);

/** Counts the nodes that an arena needs and no arena before it did. */
void arena_map_note(struct arena_map *map, uintptr_t arena, size_t arena_bytes);
/** @} */

/** @name Membership: pool_radix.c @{ */

/** Root length for that arena size: what pool_create must map. */
uint32_t radix_root_length(size_t arena_bytes);

/** @param root zeroed, radix_root_length() pointers; borrowed. */
void radix_init(struct radix *radix, const struct pool_config *config, uint64_t ***root);

/** Marks an arena's whole pools. @return false when a node or a table cannot be had; nothing is marked then. */
bool radix_mark(struct radix *radix, uintptr_t arena, size_t arena_bytes, uintptr_t first_pool, uint32_t pool_count);

void radix_unmark(struct radix *radix, uintptr_t first_pool, uint32_t pool_count);

/** Makes the node of an address, which exists, the hot one. */
void radix_hot_set(struct radix *radix, uintptr_t address);

void radix_clear(struct radix *radix);

static inline uint64_t radix_pool_bit(const struct radix *radix, uintptr_t address) {
    return (uint64_t)1 << (address >> radix->pool_shift & 63);
}

/** The place of the bottom node of an address, or NULL when its middle node was never made. */
static inline uint64_t **radix_mid_entry(const struct radix *radix, uintptr_t address) {
    uint64_t **mid = radix->root[address >> radix->mid_shift];
    return mid ? &mid[(address >> radix->bottom_shift) & (radix->mid_length - 1)] : NULL;
}

/** The word of an address, or NULL when its node was never made. */
static inline uint64_t *radix_leaf_find(const struct radix *radix, uintptr_t address) {
    uint64_t **entry = radix_mid_entry(radix, address);
    return entry && *entry ? &(*entry)[(address >> radix->slot_shift) & (radix->bottom_length - 1)] : NULL;
}

/** Of a bottom node, per word: a bit per pool, and the place of their headers' table. */
static inline size_t radix_word_bytes(const struct radix *radix) {
    return sizeof(uint64_t) + (radix->has_sides ? sizeof(struct pool_side *) : 0);
}

/** The place of the table of headers of 64 pools, for a word of a bottom node. */
static inline struct pool_side **radix_side_entry(const struct radix *radix, uint64_t *leaf, uint64_t *bottom) {
    return (struct pool_side **)(bottom + radix->bottom_length) + (leaf - bottom);
}

/** The table of headers that holds the one of `address`, which is ours; headers=side. */
static inline struct pool_side *radix_side_find(const struct radix *radix, uintptr_t address) {
    uint64_t *bottom = address >> radix->bottom_shift == radix->hot_key ? radix->hot : *radix_mid_entry(radix, address);
    uint64_t *leaf = &bottom[(address >> radix->slot_shift) & (radix->bottom_length - 1)];
    return *radix_side_entry(radix, leaf, bottom);
}

/** The header of the pool of `address`, which is ours; headers=side. */
static inline struct pool_header *radix_side_header(const struct radix *radix, uintptr_t address) {
    return &radix_side_find(radix, address)[address >> radix->pool_shift & (POOL_SLOT_POOLS - 1)].header;
}

/** True when the address lies in a pool of ours. */
static inline bool radix_covers(const struct radix *radix, uintptr_t address) {
    const uint64_t *leaf = radix_leaf_find(radix, address);
    return leaf && (*leaf & radix_pool_bit(radix, address));
}

/** The same; makes a node that covers the address the hot one. */
static inline bool radix_owns(struct radix *radix, uintptr_t address) {
    if (address >> radix->bottom_shift == radix->hot_key)
        return radix->hot[(address >> radix->slot_shift) & (radix->bottom_length - 1)] & radix_pool_bit(radix, address);
    if (!radix_covers(radix, address))
        return false;
    radix_hot_set(radix, address);
    return true;
}
/** @} */

/** The header of the pool that holds `address`, one of ours. */
static inline struct pool_header *pool_header_at(const struct pool *pool, uintptr_t address) {
    if (POOL_UNLIKELY(pool->headers_side))
        return radix_side_header(&pool->radix, address);
    return (struct pool_header *)(address & ~pool->shape.pool_mask);
}

/** A pool's first byte. */
static inline char *pool_base_of(const struct pool *pool, const struct pool_header *header) {
    return POOL_UNLIKELY(pool->headers_side) ? ((const struct pool_side *)header)->base : (char *)(uintptr_t)header;
}

/** @name pool_stats.c @{ */

/** What a walk over one arena's carved pools finds. Arrays per class. */
struct pool_census {
    uint64_t pools[POOL_CLASS_MAX];       /**< in use */
    uint64_t blocks[POOL_CLASS_MAX];      /**< in use */
    uint64_t free_blocks[POOL_CLASS_MAX]; /**< in pools in use: freed or never carved */
    uint64_t pools_in_use;
    uint64_t blocks_in_use;
    uint64_t pools_empty; /**< empty or never carved */
    uint64_t alignment_bytes;
};

/** Adds what `arena` (a live one) holds. Believes the headers. */
void pool_census_add(const struct pool *pool, const struct arena *arena, struct pool_census *census);

/** The first pool of an arena: its address rounded up to the pool size. */
static inline uintptr_t pool_arena_first(const struct pool *pool, const struct arena *arena) {
    return (arena->address + pool->shape.pool_mask) & ~pool->shape.pool_mask;
}
/** @} */

#endif
