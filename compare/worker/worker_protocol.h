/**
 * worker_protocol.h: what `compare` and `mmreplay-worker` share: one memory file, mapped by both.
 *
 * The parent writes the request, the worker the reply and the samples. Everything goes through this file and nothing
 * through arguments, so that every worker starts with the same stack; and what a worker wrote before it crashed is
 * kept.
 */
#ifndef MMREPLAY_COMPARE_WORKER_PROTOCOL_H
#define MMREPLAY_COMPARE_WORKER_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/pool.h"

/** The descriptors a worker inherits besides 0 … 2. */
enum { WORKER_PROGRAM_FD = 3, WORKER_SHARED_FD = 4 };

enum worker_pass {
    WORKER_PROBE,  /**< load the allocator, say which one it is, run nothing */
    WORKER_TIME,   /**< the bare loop between two clock readings */
    WORKER_MEMORY, /**< the loop in pieces, a sample between them */
    WORKER_PASS_COUNT
};

enum worker_backend {
    WORKER_NULL, /**< functions that do nothing: the loop's own cost */
    WORKER_LIBC, /**< the malloc family of the process: the C library's or a preloaded library's */
    WORKER_POOL, /**< core/pool.h */
    WORKER_BACKEND_COUNT
};

enum { WORKER_DRAIN_MAX = 3, WORKER_PATH_BYTES = 1024, WORKER_TEXT_BYTES = 512, WORKER_BUILD_ID_BYTES = 64 };

struct worker_request {
    uint64_t layout_bytes; /**< sizeof(struct worker_shared): parent and worker must be of one build */
    uint32_t pass;
    uint32_t backend;
    uint32_t touch;                           /**< write one word of every page of every block */
    uint32_t drain_count;                     /**< of drain_wait_ns in use */
    uint64_t drain_wait_ns[WORKER_DRAIN_MAX]; /**< since the last free, rising */
    char library[WORKER_PATH_BYTES];          /**< where malloc must live; "" = in the C library */
    char settings[POOL_CONFIG_TEXT_BYTES];    /**< pool only: pool_config_parse(), or "fast" */
};

enum worker_state {
    WORKER_NOT_STARTED, /**< the worker never came as far as its request */
    WORKER_PREPARING,
    WORKER_RUNNING, /**< the trace is being replayed */
    WORKER_DRAINING,
    WORKER_DONE,
    WORKER_FAILED /**< `error` says why */
};

/** True for the settings of core/fast.h, which is a pool to everyone but the worker. */
static inline bool worker_settings_are_fast(const char *settings) {
    return strcmp(settings, "fast") == 0;
}

/** How memory stands at one point. Bytes of the pool's split are zero for every other allocator. */
struct worker_sample {
    uint64_t operation_index;
    uint64_t live_bytes; /**< requested bytes of the blocks really held: less than the trace's after a refusal */
    uint64_t live_blocks;
    uint64_t usable_bytes;
    uint64_t resident_bytes;  /**< anonymous, minus the same before the first operation */
    uint64_t lazy_free_bytes; /**< part of it: given back by madvise(MADV_FREE), not yet taken by the kernel */
    uint64_t pooled_bytes;    /**< pool: requested bytes of the blocks that live in arenas */
    struct pool_split split;
    struct pool_counts counts;
};

enum { WORKER_CLASS_MAX = 128, WORKER_OCCUPANCY_STEPS = 10 };

/** Pool: the arenas alive at one point, how full they are, and which size classes hold them. */
struct worker_pins {
    uint64_t taken; /**< 0: not taken */
    uint64_t operation_index;
    uint64_t arena_count;
    uint64_t empty_count;                         /**< of them: without any block (kept as the last one) */
    uint64_t occupancy[WORKER_OCCUPANCY_STEPS];   /**< arenas with a block, by the share of their bytes in blocks */
    uint64_t class_count;                         /**< in use below */
    uint64_t class_blocks[WORKER_CLASS_MAX];      /**< blocks in use; class i: (i + 1) × align bytes */
    uint64_t class_arenas[WORKER_CLASS_MAX];      /**< arenas in which the class has a block */
    uint64_t class_sole_arenas[WORKER_CLASS_MAX]; /**< arenas that this class alone keeps alive */
};

struct worker_reply {
    uint32_t state; /**< enum worker_state */
    uint32_t err;   /**< enum err, when failed */
    char error[WORKER_TEXT_BYTES];
    char library[WORKER_PATH_BYTES]; /**< the object that `malloc` lives in */
    char build_id[WORKER_BUILD_ID_BYTES];
    char version[64];         /**< what the library says of itself (probe only); "" when it says nothing */
    struct pool_config pool;  /**< its settings, of which `name` is without meaning here */
    uint32_t has_usable_size; /**< usable_bytes can be had */
    uint32_t has_resident;    /**< smaps_rollup can be read */
    uint32_t aslr_off;
    int32_t cpu; /**< the one CPU the worker may run on, −1 when there are more */
    uint64_t operation_count;
    uint64_t refused_count; /**< requests of more than 0 bytes answered with NULL */
    uint64_t elapsed_ns;
    uint64_t cpu_ns;
    uint64_t system_ns;           /**< part of cpu_ns in the kernel; coarse: sampled by the kernel's tick */
    uint64_t fault_count;         /**< minor faults in the loop */
    uint64_t major_fault_count;   /**< should be 0 */
    uint64_t preempted_count;     /**< involuntary context switches in the loop */
    uint64_t base_resident_bytes; /**< anonymous resident before the first operation */
    uint64_t sample_count;        /**< samples written so far */
    struct worker_sample drained[WORKER_DRAIN_MAX + 1]; /**< survivors freed: at once, then after each wait */
    uint32_t drained_count;
    struct worker_pins pins_at_trough; /**< lowest live bytes after the live peak */
    struct worker_pins pins_at_end;    /**< of the trace, before the survivors are freed */
};

struct worker_shared {
    struct worker_request request;
    struct worker_reply reply;
    struct worker_sample samples[]; /**< one per program sample in the memory pass */
};

#endif
