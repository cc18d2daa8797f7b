/**
 * backend.h: the three things a worker can replay on, each an instance of replay_loop.h.
 */
#ifndef MMREPLAY_COMPARE_WORKER_BACKEND_H
#define MMREPLAY_COMPARE_WORKER_BACKEND_H

#include <stdint.h>

#include "compare/worker/worker_protocol.h"

struct replay;
struct pool_counts;
struct pool_split;

struct backend {
    /** Runs every op. The time pass puts its two clock readings right around this call. */
    void (*run)(struct replay *replay);
    /** Runs words [from, to) and keeps replay->account. */
    void (*run_accounted)(struct replay *replay, uint64_t from, uint64_t to);
    /** Frees what the trace left alive; keeps the account. */
    void (*drain)(struct replay *replay);
    /** How the arenas are used; NULL: it has none. */
    void (*arenas_get)(const struct replay *replay, struct pool_split *split, struct pool_counts *counts);
    /** What keeps them alive; NULL: it has none. */
    void (*pins_take)(const struct replay *replay, uint64_t operation_index, struct worker_pins *out);
};

extern const struct backend backend_null;
extern const struct backend backend_libc;
extern const struct backend backend_pool;
extern const struct backend backend_fast; /**< replay->pool is a struct fast */

#endif
