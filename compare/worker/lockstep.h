/**
 * lockstep.h: our pool and the real one side by side: every operation goes to both, and both must answer alike.
 *
 * Alike means: the block at the same offset of the arena with the same order number (or in no arena at both), the same
 * statistics text, the same number of live blocks. Blocks are named by slots, as in a compiled program. The real
 * allocator's state is one per process, so there is one lock-step per process.
 */
#ifndef MMREPLAY_COMPARE_WORKER_LOCKSTEP_H
#define MMREPLAY_COMPARE_WORKER_LOCKSTEP_H

#include "compare/worker/arena_places.h"
#include "compare/worker/real_python.h"
#include "compare/worker/worker_protocol.h"
#include "traces/program.h"

enum { LOCKSTEP_OURS, LOCKSTEP_REAL, LOCKSTEP_SIDE_COUNT };

struct lockstep {
    struct real_python real;
    struct pool *pool;
    struct arena_places places[LOCKSTEP_SIDE_COUNT];
    struct pool_arena_source sources[LOCKSTEP_SIDE_COUNT];
    void **blocks[LOCKSTEP_SIDE_COUNT]; /**< by slot */
    uint32_t slot_count;
    uint64_t compare_every; /**< operations between two statistics texts; 0: only when asked */
    uint64_t compare_from;
    struct worker_lockstep *result; /**< borrowed; `difference` set: they differ, and nothing more is done */
    struct worker_text *texts;      /**< borrowed: the two texts at the difference */
};

/** One request to both sides, and what is needed to tell of it. */
struct lockstep_operation {
    unsigned kind; /**< enum event_kind */
    unsigned domain;
    uint32_t slot;
    size_t bytes;
    unsigned align_log2;
};

/**
 * @param lockstep zeroed, but for compare_every, compare_from, slot_count, result and texts; it must not move.
 * @param python file of the libpython. @param settings of our pool, as in pool_config_parse(); "": the profile of
 *        the library's version.
 * @return as real_python_open(); ERR_UNSUPPORTED: no such profile in this build; ERR_NOMEM.
 */
enum err lockstep_begin(struct lockstep *lockstep, const char *python, const char *settings, struct diag *diag);

/** Executes an operation on both sides; raw ones are only counted. @return false: they differ. */
bool lockstep_step(struct lockstep *lockstep, const struct lockstep_operation *operation);

/** Statistics text, number of live blocks, and pool_check(). @return false: they differ. */
bool lockstep_compare(struct lockstep *lockstep);

/** A last comparison; then frees what is alive, in slot order, and compares again. @return false: they differ. */
bool lockstep_end(struct lockstep *lockstep);

/** The pass of a worker: the whole program. */
enum err lockstep_pass_run(const struct program *program, struct worker_shared *shared, struct diag *diag);

#endif
