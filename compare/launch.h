/**
 * launch.h: one worker process, from fork to what is left of it.
 *
 * The worker runs with address randomisation off, on one CPU, with the allocator's library preloaded and no descriptor
 * but its two files; its environment and arguments have the same size for every allocator, so that its stack lies at
 * the same address. What it writes to stdout and stderr is kept apart, for messages.
 */
#ifndef MMREPLAY_COMPARE_LAUNCH_H
#define MMREPLAY_COMPARE_LAUNCH_H

#include <signal.h>
#include <stdbool.h>

#include "compare/allocator.h"
#include "compare/trace_arenas.h"
#include "traces/program.h"

enum run_status {
    RUN_DONE,
    RUN_REFUSED, /**< the worker said that it cannot do it, and why */
    RUN_CRASHED, /**< killed by a signal, or ended where it should not */
    RUN_TIMED_OUT,
    RUN_INTERRUPTED,
    RUN_STATUS_COUNT
};

struct launch {
    const char *worker_path;
    const struct program *program;
    const struct allocator *allocator;
    enum worker_pass pass;
    bool touch;
    const uint64_t *drain_wait_ns;
    uint32_t drain_count;
    const uint64_t *stats_at; /**< stats pass: operations after which to print; rising */
    uint32_t stats_count;
    uint64_t compare_every; /**< lock-step: as in struct worker_request */
    uint64_t compare_from;
    const uint64_t *residues;
    uint32_t residue_count;
    const struct trace_arenas *arenas; /**< of the trace; NULL: nothing is known of any */
    int cpu;                           /**< −1: anywhere */
    uint64_t timeout_ns;
    const volatile sig_atomic_t *interrupted; /**< set by a signal handler: the worker is ended; may be NULL */
};

struct launch_result {
    enum run_status status;
    enum err err;                       /**< RUN_REFUSED: the worker's error code */
    char text[2 * WORKER_TEXT_BYTES];   /**< unless RUN_DONE: what happened, in a sentence */
    const struct worker_shared *shared; /**< what the worker wrote, whole or not */
    size_t shared_bytes;
    void *mapping; /**< the same, to be unmapped */
};

/**
 * Runs a worker to its end. Cost: about 1 ms besides the run.
 * @param out filled also when the allocator crashed: that is a result. Release it with launch_result_release().
 * @return ERR_IO, ERR_NOMEM when no worker could be started; ERR_USAGE: trace_arenas_choose().
 */
enum err launch_run(const struct launch *launch, struct launch_result *out, struct diag *diag);

/** Starts `allocator` on an empty program and ends: is it usable here, and which library is it? @param out as above. */
enum err launch_probe(const char *worker_path, const struct allocator *allocator, struct launch_result *out,
                      struct diag *diag);

void launch_result_release(struct launch_result *result);

#endif
