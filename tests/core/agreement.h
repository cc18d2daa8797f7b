/**
 * agreement.h: our pool and the real one in lock-step: every operation goes to both, and both must answer alike.
 *
 * Alike means: the block at the same offset of the arena with the same order number (or in no arena at both), the same
 * statistics text, the same number of blocks. Blocks are named by slots, as in a compiled program; an operation on an
 * empty slot is one on NULL.
 */
#ifndef MMREPLAY_TESTS_CORE_AGREEMENT_H
#define MMREPLAY_TESTS_CORE_AGREEMENT_H

#include "tests/core/arena_region.h"
#include "tests/core/real_pool.h"
#include "traces/program.h"

struct agreement {
    const struct real_pool *real;
    struct pool *pool;
    struct arena_region regions[2]; /**< ours, the real one's */
    void **blocks[2];
    uint32_t slot_count;
    uint64_t operation_count;
    uint64_t compare_every;  /**< operations between two looks at the statistics */
    uint64_t compared_count; /**< statistics texts compared */
    bool failed;             /**< they disagreed; told on stderr, nothing more is done */
};

struct agreement_settings {
    uint32_t slot_count;
    uint64_t compare_every;
    uint32_t residue_steps; /**< of arena addresses, in quarters of a pool */
    bool residues_mixed;
    bool spread;
};

/** @return false: no memory or address space. The real pool's state must be fresh: one agreement per process. */
bool agreement_begin(struct agreement *agreement, const struct real_pool *real,
                     const struct agreement_settings *settings);

void agreement_malloc(struct agreement *agreement, uint32_t slot, size_t bytes);
void agreement_calloc(struct agreement *agreement, uint32_t slot, size_t bytes);
void agreement_realloc(struct agreement *agreement, uint32_t slot, size_t bytes);
void agreement_free(struct agreement *agreement, uint32_t slot);

/** Statistics text, block count, and pool_check. */
void agreement_compare(struct agreement *agreement);

/** Runs a compiled trace: mem, obj and c operations; raw ones do not concern the pool. Needs slot_count slots. */
void agreement_run_program(struct agreement *agreement, const struct program *program);

/** A last comparison. @return true when they agreed throughout. Frees what agreement_begin took. */
bool agreement_end(struct agreement *agreement);

#endif
