/**
 * sample_plan.h: at which points of a program memory is sampled; found while the program is compiled.
 *
 * A grid of equal steps whose length is not known beforehand: a sample every `grid_step` operations, and when there are
 * too many, every other one is dropped and the step doubled. Beside it the highest points: wherever live bytes exceed
 * all earlier ones by 1 %, and the peak itself. Cost: a few instructions per operation.
 */
#ifndef MMREPLAY_TRACES_SAMPLE_PLAN_H
#define MMREPLAY_TRACES_SAMPLE_PLAN_H

#include "traces/program.h"

enum { SAMPLE_GRID_MAX = 512, SAMPLE_STEPS_MIN = 200 };
_Static_assert(SAMPLE_GRID_MAX / 2 >= SAMPLE_STEPS_MIN, "halving the grid leaves enough samples");

struct sample_list {
    struct program_sample *samples;
    size_t count;
    size_t capacity;
};

struct sample_plan {
    struct program_sample grid[SAMPLE_GRID_MAX];
    size_t grid_count;
    uint64_t grid_step; /**< operations; begins as 1 */
    uint64_t grid_next; /**< operation index of the next one; begins as 1 */
    struct sample_list rises;
    uint64_t rise_bytes; /**< the next rise is above this */
    struct program_sample peak;
};

/** Puts `now` on the grid. */
void sample_plan_step(struct sample_plan *plan, const struct program_sample *now);

/** Keeps `now` as a rise. @return ERR_OK, ERR_NOMEM. */
enum err sample_plan_rise(struct sample_plan *plan, const struct program_sample *now);

/** Sees the state after the next operation. @return ERR_OK, ERR_NOMEM. */
static inline enum err sample_plan_see(struct sample_plan *plan, const struct program_sample *now) {
    if (now->operation_index == plan->grid_next)
        sample_plan_step(plan, now);
    if (now->live_bytes <= plan->peak.live_bytes)
        return ERR_OK;
    plan->peak = *now;
    return now->live_bytes <= plan->rise_bytes ? ERR_OK : sample_plan_rise(plan, now);
}

/**
 * All samples in order, each point once: the start, the grid, the rises above a sixteenth of the peak, the peak, `end`.
 * @param out owned by the caller, free(out->samples). @param peak_index where in it the peak is.
 */
enum err sample_plan_gather(const struct sample_plan *plan, const struct program_sample *end, struct sample_list *out,
                            uint32_t *peak_index);

void sample_plan_clear(struct sample_plan *plan);

#endif
