/**
 * experiment.h: one program on several allocators, so measured that the figures can be compared.
 *
 * Time: `rounds` rounds, each running every allocator once, one process each, in an order that alternates (A B C,
 * C B A, …), the null allocator always among them. Then the memory passes. See METHOD.md.
 */
#ifndef MMREPLAY_COMPARE_EXPERIMENT_H
#define MMREPLAY_COMPARE_EXPERIMENT_H

#include "compare/allocator.h"
#include "compare/environment.h"
#include "compare/launch.h"
#include "traces/program.h"

enum {
    EXPERIMENT_ROUNDS_DEFAULT = 9,        /**< order statistics 2 … 8 of nine cover the median with 96.1 % */
    EXPERIMENT_MEMORY_ROUNDS_DEFAULT = 3, /**< the fewest with a median that one odd pass cannot move */
    EXPERIMENT_ROUNDS_MAX = 10000,        /**< STATISTICS_SAMPLES_MAX */
    EXPERIMENT_DRAIN_DEFAULT_MS = 100,
    EXPERIMENT_TIMEOUT_DEFAULT_S = 600
};

struct experiment_options {
    const char *worker_path;
    uint32_t rounds;
    uint32_t memory_rounds; /**< memory passes per allocator; counts repeat exactly, resident memory within 1 % */
    bool touch;
    int cpu;                /**< to pin to; −1: choose one */
    uint64_t drain_wait_ns; /**< longest quiet time after the drain: 0.1, 1 and 5 s are measured as far as they fit */
    uint64_t timeout_ns;    /**< for one run; 0: none */
    uint64_t seed;          /**< of the bootstrap intervals */
    const struct trace_arenas *arenas;        /**< of the trace; borrowed as the program is; may be NULL */
    const volatile sig_atomic_t *interrupted; /**< may be NULL */
    void (*progress)(void *ctx, size_t done, size_t total, const char *allocator); /**< may be NULL */
    void *progress_ctx;
};

/** rounds 9, three memory passes, touch, 0.1 s drain, 600 s timeout, seed 1; no worker path. */
struct experiment_options experiment_options_default(void);

/** The quiet times of metrics.md, in the order of worker_reply.drained[1 …]. */
extern const uint64_t experiment_drain_ns[WORKER_DRAIN_MAX];

/** How many of them are measured. */
uint32_t experiment_drain_count(const struct experiment_options *options);

struct time_run {
    bool valid;
    uint64_t elapsed_ns;
    uint64_t cpu_ns;
    uint64_t system_ns; /**< in the kernel; coarse */
    uint64_t fault_count;
    uint64_t major_fault_count;
    uint64_t preempted_count;
};

struct memory_run {
    struct worker_reply reply;
    struct worker_sample *samples; /**< as many as the program has; owned */
};

/** Everything that was seen of one allocator. */
struct allocator_result {
    struct allocator allocator;
    bool requested;         /**< false: the null allocator that rides along */
    enum run_status status; /**< of the first run that went wrong; RUN_DONE when none did */
    char failure[2 * WORKER_TEXT_BYTES];
    struct worker_reply probe; /**< which library it really is */
    uint64_t refused_count;
    struct time_run *times; /**< one per round; owned */
    struct memory_run *memories;
    size_t memory_count;
};

struct experiment {
    struct experiment_options options;
    struct environment environment;
    const struct program *program; /**< borrowed */
    struct allocator_result *results;
    size_t count;
    size_t null_index;
    uint32_t rounds_done; /**< rounds in which every allocator had its turn */
    bool interrupted;
};

/**
 * Measures `list` on `program`. An allocator that crashes or runs out of time is a result: its row says so and the
 * others go on. When interrupted, what there is stands and `interrupted` is set.
 * @param program borrowed until experiment_clear(). @param out cleared by experiment_clear().
 * @return what is wrong with an asked-for allocator (no malloc in it, not loadable); ERR_LIMIT when blocks are to be
 * touched and their peak does not fit into 80 % of the free memory; ERR_IO, ERR_NOMEM, ERR_USAGE.
 */
enum err experiment_run(const struct program *program, const struct allocator_list *list,
                        const struct experiment_options *options, struct experiment *out, struct diag *diag);

void experiment_clear(struct experiment *experiment);

#endif
