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
    WORKER_PROBE,    /**< load the allocator, say which one it is, run nothing */
    WORKER_TIME,     /**< the bare loop between two clock readings */
    WORKER_MEMORY,   /**< the loop in pieces, a sample between them */
    WORKER_STATS,    /**< pool and cpython: the loop up to some operations, the allocator's statistics text at each */
    WORKER_LOCKSTEP, /**< cpython: the real allocator and our pool side by side, every answer compared */
    WORKER_PASS_COUNT
};

enum worker_backend {
    WORKER_NULL,    /**< functions that do nothing: the loop's own cost */
    WORKER_LIBC,    /**< the malloc family of the process: the C library's or a preloaded library's */
    WORKER_POOL,    /**< core/pool.h */
    WORKER_CPYTHON, /**< the pymalloc of an installed libpython */
    WORKER_BACKEND_COUNT
};

/** Where a pool's arenas lie. */
enum worker_arenas {
    WORKER_ARENAS_OWN,      /**< as its settings say */
    WORKER_ARENAS_RESIDUES, /**< each as far into a pool as the recorded ones, in turn */
    WORKER_ARENAS_RECORDED, /**< where the recorded ones lay, as far as addresses can be compared (arena_runs.h) */
    WORKER_ARENAS_COUNT
};

enum {
    WORKER_DRAIN_MAX = 3,
    WORKER_PATH_BYTES = 1024,
    WORKER_TEXT_BYTES = 512,
    WORKER_BUILD_ID_BYTES = 64,
    WORKER_STATS_MAX = 16,     /**< statistics texts of one stats pass */
    WORKER_RESIDUE_MAX = 64,   /**< arena residues of one lock-step */
    WORKER_STATS_BYTES = 16384 /**< a statistics text: at most 128 rows of 54 bytes and 25 lines of 58 */
};

struct worker_request {
    uint64_t layout_bytes; /**< sizeof(struct worker_shared): parent and worker must be of one build */
    uint32_t pass;
    uint32_t backend;
    uint32_t touch;                           /**< write one word of every page of every block */
    uint32_t drain_count;                     /**< of drain_wait_ns in use */
    uint64_t drain_wait_ns[WORKER_DRAIN_MAX]; /**< since the last free, rising */
    char library[WORKER_PATH_BYTES];          /**< where malloc must live; "" = in the C library */
    char settings[POOL_CONFIG_TEXT_BYTES];    /**< pool, lock-step: pool_config_parse(); or "fast" */
    char python[WORKER_PATH_BYTES];           /**< cpython: the libpython to open */
    uint32_t debug_hooks;                     /**< pool: behind domains with debug hooks */
    uint32_t arenas_aligned;                  /**< cpython: map arenas aligned to the pool size, as our pool does */
    uint32_t stats_count;                     /**< of stats_at in use */
    uint64_t stats_at[WORKER_STATS_MAX];      /**< operations after which to print; rising */
    uint64_t compare_every;                   /**< lock-step: operations between two statistics texts; 0: at the end */
    uint64_t compare_from;                    /**< lock-step: no statistics before this operation */
    uint64_t residues[WORKER_RESIDUE_MAX];    /**< lock-step: of the arenas' addresses, in turn */
    uint32_t residue_count;                   /**< 0: all arenas aligned */
    uint32_t arenas;                          /**< pool: enum worker_arenas */
    uint64_t recorded_count;                  /**< recorded arenas, see worker_recorded_places() */
    uint64_t recorded_bytes;                  /**< size of each */
    uint64_t recorded_span_bytes;             /**< struct arena_list */
    uint64_t recorded_offset_bytes;           /**< of their places from the start of the file */
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

/** What the lock-step found to differ. */
enum worker_difference {
    WORKER_SAME,
    WORKER_DIFFERENT_PLACE,      /**< the two blocks just handed out */
    WORKER_DIFFERENT_STATISTICS, /**< the texts */
    WORKER_DIFFERENT_COUNT,      /**< the numbers of live blocks */
    WORKER_BROKEN_POOL,          /**< our pool's own invariants: pool_check() */
    WORKER_DIFFERENCE_COUNT
};

/** Where a block lies, as far as two address spaces can be compared. */
struct worker_place {
    uint32_t refused; /**< NULL */
    uint32_t in_arena;
    uint64_t arena_order; /**< of the arena: how many were mapped before it */
    uint64_t offset_bytes;
};

/** Index 0 is ours, 1 the real one. */
struct worker_lockstep {
    uint32_t difference; /**< enum worker_difference */
    uint32_t op_kind;    /**< of the operation at which they differ */
    uint32_t op_domain;
    uint32_t op_slot;
    uint64_t op_bytes;
    uint64_t operation_count;  /**< done, the one that differs included; ignored ones too */
    uint64_t replayed_count;   /**< operations that went to both */
    uint64_t raw_count;        /**< operations of the raw domain, which do not concern pymalloc */
    uint64_t compared_count;   /**< statistics texts that were equal */
    uint64_t agreed_operation; /**< the last operation after which they were */
    uint64_t drained;          /**< the trace is over, its survivors are being freed */
    uint64_t drained_count;    /**< frees of survivors that went to both */
    uint64_t arena_count[2];   /**< arenas mapped in all */
    uint64_t block_count[2];
    struct worker_place place[2];
};

/** A statistics text, not terminated. Stats pass: one per stats_at. Lock-step: ours and the real one's, if they differ.
 */
struct worker_text {
    uint64_t operation_index;
    uint64_t bytes; /**< 0: not taken */
    char text[WORKER_STATS_BYTES];
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
    uint64_t system_ns;             /**< part of cpu_ns in the kernel; coarse: sampled by the kernel's tick */
    uint64_t fault_count;           /**< minor faults in the loop */
    uint64_t major_fault_count;     /**< should be 0 */
    uint64_t preempted_count;       /**< involuntary context switches in the loop */
    uint32_t arenas;                /**< enum worker_arenas, as asked for */
    uint64_t arenas_recorded_count; /**< arenas that were put where recorded ones lay */
    uint64_t arenas_strayed_count;  /**< arenas for which nothing was recorded, or something else lay there: aligned */
    uint64_t base_resident_bytes;   /**< anonymous resident before the first operation */
    uint64_t sample_count;          /**< samples written so far */
    struct worker_sample drained[WORKER_DRAIN_MAX + 1]; /**< survivors freed: at once, then after each wait */
    uint32_t drained_count;
    struct worker_pins pins_at_trough; /**< lowest live bytes after the live peak */
    struct worker_pins pins_at_end;    /**< of the trace, before the survivors are freed */
    struct worker_lockstep lockstep;
};

struct worker_shared {
    struct worker_request request;
    struct worker_reply reply;
    struct worker_sample samples[]; /**< one per program sample in the memory pass */
};

/** What stands behind the reply in the stats pass and the lock-step, where no samples are taken. */
static inline struct worker_text *worker_texts(const struct worker_shared *shared) {
    return (struct worker_text *)(uintptr_t)shared->samples;
}

/** The places of the recorded arenas, recorded_count of them. */
static inline uint64_t *worker_recorded_places(const struct worker_shared *shared) {
    return (uint64_t *)((uintptr_t)shared + shared->request.recorded_offset_bytes);
}

/** How many texts the pass of `request` may write. */
static inline uint64_t worker_text_count(const struct worker_request *request) {
    if (request->pass == WORKER_LOCKSTEP)
        return 2;
    return request->pass == WORKER_STATS ? request->stats_count : 0;
}

/** True for the allocators that have arenas to count and split. */
static inline bool worker_backend_has_arenas(enum worker_backend backend) {
    return backend == WORKER_POOL || backend == WORKER_CPYTHON;
}

#endif
