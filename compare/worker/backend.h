/**
 * backend.h: the four things a worker can replay on, each an instance of replay_loop.h.
 */
#ifndef MMREPLAY_COMPARE_WORKER_BACKEND_H
#define MMREPLAY_COMPARE_WORKER_BACKEND_H

#include <stdint.h>
#include <stdio.h>

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
    /** Adds the split of the arenas and their counts; NULL: it has none that can be read. */
    void (*arenas_sample)(const struct replay *replay, struct worker_sample *sample);
    /** What keeps its arenas alive; NULL: that cannot be told. */
    void (*pins_take)(const struct replay *replay, uint64_t operation_index, struct worker_pins *out);
    /** CPython's statistics text; NULL: it has none. */
    void (*stats_print)(const struct replay *replay, FILE *out);
};

/** How a `replay->pool` is read, for every backend that has one. */
void backend_pool_arenas_sample(const struct replay *replay, struct worker_sample *sample);
void backend_pool_pins_take(const struct replay *replay, uint64_t operation_index, struct worker_pins *out);
void backend_pool_stats_print(const struct replay *replay, FILE *out);

extern const struct backend backend_null;
extern const struct backend backend_libc;
extern const struct backend backend_pool;
extern const struct backend backend_cpython;
extern const struct backend backend_debug; /**< backend_debug.h: the pool under debug hooks */
extern const struct backend backend_fast;  /**< replay->pool is a struct fast */

#endif
