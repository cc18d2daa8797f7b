/**
 * analysis.h: what a trace is like: sizes, lifetimes, live memory, reallocs, hand-overs between threads.
 *
 * One pass over the events. What the figures mean: ANALYSIS.md beside this file; the words used here:
 *   request     malloc, calloc, aligned_alloc or realloc, with its size
 *   allocation  a request that begins a block's life: all of these but a realloc of a block
 *   block       lives from its allocation to its free; a realloc changes its size and keeps it alive
 *   operation   a request or a free; free(NULL) counts
 *   place       an operation's number, from 1; "after operation 0" is the start
 *
 * Memory: 64 bytes a live block and 100 a thread (tables that double), about 1 MiB, and for what could grow with the
 * trace (distinct large sizes, pairs of threads) at most 12 MiB, see tally.h. To that comes the tracker's.
 * Cost: 30 ns an event, with the tracker and the decoding of a native trace; 90 where 300,000 live blocks are freed at
 * random.
 */
#ifndef MMREPLAY_TRACES_ANALYSIS_H
#define MMREPLAY_TRACES_ANALYSIS_H

#include <stdbool.h>

#include "traces/live_curve.h"
#include "traces/log_histogram.h"
#include "traces/size_classes.h"
#include "traces/stream.h"
#include "traces/tally.h"
#include "traces/trace.h"

enum { ANALYSIS_TOP = 10, ANALYSIS_PAIRS = 100, ANALYSIS_BIRTH_PARTS = 10 };

/** The quantiles that are told, in thousandths: 500, 900, 990. */
enum { ANALYSIS_QUANTILE_COUNT = 3 };
extern const uint32_t analysis_quantiles[ANALYSIS_QUANTILE_COUNT];

/** What a lifetime is measured in. */
enum life_clock {
    LIFE_ALLOCATIONS, /**< allocations between the block's and its free, in all threads */
    LIFE_BYTES,       /**< bytes requested meanwhile, reallocs with their new size: the unit of the GC literature */
    LIFE_TIME,        /**< nanoseconds from the allocation to the free; only where the trace has times */
    LIFE_CLOCK_COUNT
};

struct life_clock_info {
    const char *key; /**< in JSON */
    const char *unit;
};
extern const struct life_clock_info life_clocks[LIFE_CLOCK_COUNT];

/** new size / old size. Growing from 0 bytes is the last, 0 to 0 the same. */
enum size_change {
    SIZE_CHANGE_BELOW_HALF,
    SIZE_CHANGE_SHRINK,
    SIZE_CHANGE_SAME,
    SIZE_CHANGE_TO_9_8, /**< more than the same, up to 9/8; and so on */
    SIZE_CHANGE_TO_5_4,
    SIZE_CHANGE_TO_3_2,
    SIZE_CHANGE_TO_2,
    SIZE_CHANGE_TO_4,
    SIZE_CHANGE_TO_16,
    SIZE_CHANGE_ABOVE_16,
    SIZE_CHANGE_COUNT
};
/** As JSON spells them: "below_1/2", … "1.125", … */
extern const char *const size_change_keys[SIZE_CHANGE_COUNT];

struct analysis_live {
    uint64_t blocks;
    uint64_t bytes;
};

/** Of a size class: requests by their size, live blocks by their present size, lifetimes by the size at the free. */
struct analysis_class {
    uint64_t request_count;
    uint64_t requested_bytes;
    uint64_t freed_count;
    uint64_t domain_request_counts[DOMAIN_COUNT];
    struct analysis_live end;                /**< live after the last operation */
    struct analysis_live peak;               /**< live when live bytes were first at their most */
    uint64_t life_octaves[LOG_OCTAVE_COUNT]; /**< of freed blocks, in allocations */
};

struct analysis_domain {
    uint64_t kind_counts[EVENT_FREE + 1];
    uint64_t requested_bytes;
    struct analysis_live end;
    struct analysis_live peak;
};

struct analysis_thread {
    uint64_t kind_counts[EVENT_KIND_COUNT];
    uint64_t requested_bytes;
    uint64_t foreign_count; /**< of its frees and reallocs: of blocks that another thread made */
    uint64_t given_count;   /**< of the blocks that it made: freed or reallocated by another thread */
    uint64_t allocation_count;
    uint32_t youngest; /**< internal: its youngest live block */
};

struct analysis_request {
    uint64_t size_bytes;
    uint64_t operation; /**< its place */
    uint32_t thread;
    uint8_t kind;
    uint8_t domain;
    uint8_t align_log2;
};

struct analysis_peak {
    struct analysis_live live; /**< all of it at that place */
    uint64_t operation;        /**< the first place where it was so */
    uint64_t time_ns;          /**< since the recording began; 0 without times */
};

struct analysis_reallocs {
    uint64_t null_count;                 /**< realloc(NULL, n) */
    uint64_t changes[SIZE_CHANGE_COUNT]; /**< each realloc of a block; they add up to all of these */
    uint64_t kept_bytes;                 /**< sum of the smaller of old and new size: copied if all of them moved */
    struct log_histogram per_block;      /**< reallocs of each block that had any; live ones at the end included */
    uint64_t block_changes[SIZE_CHANGE_COUNT]; /**< of the same blocks: last size / first size */
};

struct analysis_lives {
    struct log_histogram histogram;   /**< of all freed blocks */
    uint64_t bytes[LOG_OCTAVE_COUNT]; /**< the sizes of the freed blocks, by octave of their lifetime */
};

struct analysis_result {
    struct trace_summary summary; /**< of the events that were analysed, whatever the description says */
    struct size_classes classes;
    struct analysis_class *per_class; /**< classes.count of them */
    struct analysis_domain domains[DOMAIN_COUNT];
    struct analysis_thread *threads; /**< summary.thread_count of them */
    uint64_t allocation_count;
    uint64_t request_count;
    struct analysis_lives lives[LIFE_CLOCK_COUNT];
    uint64_t freed_count; /**< frees of a block: of free(NULL) there is nothing to say */
    uint64_t freed_bytes;
    uint64_t inherited_freed_count; /**< of these: of inherited blocks */
    uint64_t inherited_freed_bytes;
    uint64_t lifo_count; /**< of these: of the youngest live block of those that the same thread allocated */
    /** Never-freed blocks by when they were allocated, in equal parts of all allocations. */
    struct analysis_live never_freed[ANALYSIS_BIRTH_PARTS];
    struct analysis_peak peak_bytes;
    struct analysis_peak peak_blocks;
    double live_mean_bytes; /**< over the states after each operation */
    struct live_curve curve;
    struct analysis_reallocs reallocs;
    uint64_t cross_thread_bytes; /**< the sizes of the blocks that were freed or reallocated by another thread */
    struct tally_entry pairs[ANALYSIS_PAIRS]; /**< most frequent first; key: maker << 32 | the other thread */
    size_t pair_count;
    uint64_t pair_missed_count; /**< hand-overs of pairs beyond what is counted apart (tally.h) */
    size_t pair_distinct_count;
    struct analysis_request largest[ANALYSIS_TOP]; /**< by falling size, of equals the first */
    size_t largest_count;
    struct tally_entry sizes[ANALYSIS_TOP]; /**< most frequent first; key: the size */
    size_t size_count;
    uint64_t size_missed_count; /**< requests of sizes beyond what is counted apart */
    size_t size_distinct_count;
    uint64_t size_quantiles[ANALYSIS_QUANTILE_COUNT]; /**< exact up to 64 KiB, above as log_histogram_quantile */
    uint64_t small_count;                             /**< requests of up to 512 bytes, CPython's small ones */
    uint64_t small_bytes;
    uint64_t aligned[EVENT_ALIGN_LOG2_MAX + 1]; /**< aligned_alloc by log2 of the alignment */
};

struct analysis;

/**
 * @param inherited_count the trace's first allocations that stand for blocks made before it began. They count as
 * allocations at its head, so what is told of their lives is a lower bound.
 * @return ERR_OK and *out owned by the caller, or ERR_NOMEM.
 */
enum err analysis_create(enum size_scheme scheme, uint64_t inherited_count, struct analysis **out);
void analysis_destroy(struct analysis *analysis);

/**
 * Takes in everything `source` yields, times too.
 * @return as tracker_apply and the source; diag tells. The events before the fault have been taken in, and the result
 *         is of these.
 */
enum err analysis_run(struct analysis *analysis, const struct event_source *source, struct diag *diag);

/** Finishes and gives the result; borrowed. To be called once; nothing can be taken in after it. */
const struct analysis_result *analysis_finish(struct analysis *analysis);

#endif
