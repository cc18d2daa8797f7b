/**
 * arena_replay.h: an arena source that puts arenas where those of the recorded interpreter lay.
 *
 * The recorded places are a space of their own (arena_runs.h). It is reserved on a boundary that every arena map of
 * CPython's respects, and an arena goes to its place in it: so it loses the same pool, the map has the same nodes, and
 * addresses stand in the same order. Or, for a pool whose settings are not the interpreter's, only the distance from an
 * aligned address is repeated.
 *
 * Called once per arena; an arena costs the system calls it costs anyway: one when it comes, one when it goes.
 */
#ifndef MMREPLAY_COMPARE_WORKER_ARENA_REPLAY_H
#define MMREPLAY_COMPARE_WORKER_ARENA_REPLAY_H

#include "compare/worker/worker_protocol.h"
#include "core/pool.h"

struct arena_replay {
    enum worker_arenas how;
    const uint64_t *places; /**< borrowed */
    uint64_t place_count;
    size_t arena_bytes; /**< of the pool; with WORKER_ARENAS_RECORDED of the recorded ones, too */
    size_t pool_bytes;
    char *base;
    uint64_t space_bytes;
    uint64_t *begun; /**< for each arena_bytes of the space: the place of the arena alive that begins there, + 1 */
    uint64_t obtained_count;
    uint64_t recorded_count;
    uint64_t strayed_count; /**< arenas that went to aligned addresses: all that was recorded is used up, or the place
                               is taken; the replay is not the recorded run then */
};

/**
 * @param request how, and the numbers of the recorded arenas; not OWN. @param places borrowed.
 * @return ERR_NOMEM: the address space cannot be had; ERR_INVALID: the request contradicts itself.
 */
enum err arena_replay_create(struct arena_replay *replay, const struct worker_request *request, const uint64_t *places,
                             const struct pool_config *config, struct diag *diag);

void arena_replay_destroy(struct arena_replay *replay);

/** Borrows `replay`. */
struct pool_arena_source arena_replay_source(struct arena_replay *replay);

#endif
