/**
 * event.h: what a trace is made of.
 *
 * A trace is one sequence of events in the true order of the traced program.
 * Blocks are named, not addressed: a block's name is the thread that made it
 * and how many blocks that thread had made by then. Every allocating event
 * (malloc, calloc, aligned_alloc, realloc) makes exactly one block; its name
 * is implied by its place in the trace, so no event carries the name it makes,
 * and no name can be made twice. A realloc ends the old block and makes a new
 * one. Requests that the traced program saw refused are not events.
 */
#ifndef MMREPLAY_TRACES_EVENT_H
#define MMREPLAY_TRACES_EVENT_H

#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_MALLOC,        /**< size_bytes */
    EVENT_CALLOC,        /**< size_bytes = count × element size */
    EVENT_ALIGNED_ALLOC, /**< size_bytes, align_log2; memalign, posix_memalign, … are this too */
    EVENT_REALLOC,       /**< block = the old one (0: realloc(NULL, n)), size_bytes = the new size */
    EVENT_FREE,          /**< block (0: free(NULL)) */
    EVENT_THREAD_START,  /**< `thread` begins; optional: a thread's first event also begins it */
    EVENT_THREAD_END,    /**< `thread` ends */
    EVENT_KIND_COUNT
};

/** The API an event came through. CPython traces use raw, mem and obj; everything else is c. */
enum domain { DOMAIN_C, DOMAIN_RAW, DOMAIN_MEM, DOMAIN_OBJ, DOMAIN_COUNT };

enum {
    EVENT_SIZE_BITS = 47,      /**< requests are at most 2^47 bytes: the user address space */
    EVENT_THREAD_BITS = 24,    /**< threads are numbered densely from 0, in order of appearance */
    EVENT_BLOCK_SEQ_BITS = 40, /**< blocks made by one thread */
    EVENT_ALIGN_LOG2_MAX = 46
};

#define EVENT_SIZE_MAX    ((uint64_t)1 << EVENT_SIZE_BITS)
#define EVENT_TIME_END_NS ((uint64_t)1 << 63) /**< times of events are below this: 292 years */

struct event {
    uint64_t size_bytes;
    uint64_t block; /**< event_block_name() of the block given back; 0 = NULL */
    uint32_t thread;
    uint8_t kind;   /**< enum event_kind */
    uint8_t domain; /**< enum domain; for free and realloc of a block readers leave it 0: the block's own holds */
    uint8_t align_log2;
    uint8_t reserved;
};
_Static_assert(sizeof(struct event) == 24, "an event is 24 bytes");

/** The name of the `seq`-th block (from 1) that `thread` made. */
static inline uint64_t event_block_name(uint32_t thread, uint64_t seq) {
    return (uint64_t)thread << EVENT_BLOCK_SEQ_BITS | seq;
}

static inline uint32_t event_block_thread(uint64_t name) {
    return (uint32_t)(name >> EVENT_BLOCK_SEQ_BITS);
}

static inline uint64_t event_block_seq(uint64_t name) {
    return name & (((uint64_t)1 << EVENT_BLOCK_SEQ_BITS) - 1);
}

/** True for the kinds that make a block. */
static inline int event_makes_block(uint8_t kind) {
    return kind <= EVENT_REALLOC;
}

/** True for the kinds that are operations (everything `ns_per_op` counts). */
static inline int event_is_operation(uint8_t kind) {
    return kind <= EVENT_FREE;
}

/** The kind's and domain's names as files and reports spell them: "malloc", "aligned_alloc", "obj", … */
extern const char *const event_kind_names[EVENT_KIND_COUNT];
extern const char *const domain_names[DOMAIN_COUNT];

#endif
