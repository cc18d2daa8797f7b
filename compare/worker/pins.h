/**
 * pins.h: what keeps the pool's arenas alive.
 */
#ifndef MMREPLAY_COMPARE_WORKER_PINS_H
#define MMREPLAY_COMPARE_WORKER_PINS_H

#include "compare/worker/worker_protocol.h"
#include "traces/program.h"

struct fast;
struct real_arenas;

/** Describes all arenas of `pool`. Cost: a walk over all pools. */
void pins_take(const struct pool *pool, uint64_t operation_index, struct worker_pins *out);

/** The same of core/fast.h; the last class stands for all blocks of 2 KiB and more. */
void pins_take_fast(const struct fast *fast, uint64_t operation_index, struct worker_pins *out);

/** The same of a real CPython's, read from the headers of their pools. @param config as its statistics text states it.
 */
void pins_take_real(const struct real_arenas *arenas, const struct pool_config *config, uint64_t operation_index,
                    struct worker_pins *out);

/** Index of the last sample of lowest live bytes behind the live peak; the peak's own when nothing follows it. */
uint64_t program_trough_sample(const struct program *program);

#endif
