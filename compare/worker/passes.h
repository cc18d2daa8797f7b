/**
 * passes.h: what one worker run does with its program.
 */
#ifndef MMREPLAY_COMPARE_WORKER_PASSES_H
#define MMREPLAY_COMPARE_WORKER_PASSES_H

#include "compare/worker/worker_protocol.h"
#include "traces/program.h"

struct backend;
struct replay;

/**
 * Checks every word of the program (kinds, slots, a word behind each wide one), which also brings its pages in.
 * @param out_needs_aligned true when it holds an aligned request.
 */
enum err program_verify(const struct program *program, bool *out_needs_aligned, struct diag *diag);

/** The loop between two clock readings; nothing else. */
void time_pass_run(const struct backend *backend, struct replay *replay, struct worker_reply *reply);

/** The loop in pieces, a sample at each of the program's points, then the drain. */
void memory_pass_run(const struct backend *backend, struct replay *replay, struct worker_shared *shared);

/** The loop up to each of the request's stats_at, a statistics text after it. */
void stats_pass_run(const struct backend *backend, struct replay *replay, struct worker_shared *shared);

#endif
