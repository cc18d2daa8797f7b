/**
 * tracker.h: follows the live blocks of a trace, event by event.
 *
 * The one place that knows what makes a trace valid, turns block names into
 * dense reused slots, and counts the summary. Compilation, `check` and the
 * recorder all go through it.
 *
 * Memory: O(peak live blocks + threads), see birth_index.h. Cost: 5 to 15 ns per event.
 */
#ifndef MMREPLAY_TRACES_TRACKER_H
#define MMREPLAY_TRACES_TRACKER_H

#include "core/base/diag.h"
#include "traces/stream.h"
#include "traces/trace.h"

/** Slot 0 always stands for NULL; blocks live in slots 1 … TRACKER_SLOT_MAX. */
enum { TRACKER_SLOT_BITS = 28 };
#define TRACKER_SLOT_MAX (((uint32_t)1 << TRACKER_SLOT_BITS) - 1)

struct tracker;

/** Where an event's block lives, and what is live after the event. */
struct placement {
    uint32_t slot : 28;  /**< of the block made or given back; free(NULL) and thread events: 0 */
    uint32_t domain : 4; /**< of that block */
    uint32_t live_blocks;
    uint64_t live_bytes;
};

/** @return ERR_OK and *out owned by the caller, or ERR_NOMEM. */
enum err tracker_create(struct tracker **out);
void tracker_destroy(struct tracker *tracker);

/**
 * Applies the next `count` events, as far as they are valid.
 *
 * The most recently vacated slot is reused first.
 * @param out one placement an event. @param applied how many events were applied: `count`, or the index of the refused
 * one.
 * @return ERR_INVALID (free of an unknown block, double free, thread out of order, field out of range), ERR_LIMIT
 * (size, slots, threads, blocks per thread), ERR_NOMEM; the refused event changed nothing, and tracker_explain() tells
 *         the story.
 */
enum err tracker_apply(struct tracker *tracker, const struct event *events, size_t count, struct placement *out,
                       size_t *applied);

/**
 * Counts the times of the next `count` events: those that tracker_apply() takes at the same turn.
 * @param applied how many are in order: `count`, or the index of the first that is not.
 * @return ERR_OK; ERR_INVALID: a time is below the one before it, or no time.
 */
enum err tracker_apply_times(struct tracker *tracker, const uint64_t *times_ns, size_t count, size_t *applied);

/** Fills `diag` for the time of event `index` of `block`, which tracker_apply_times() just refused. @return ERR_INVALID
 */
enum err tracker_explain_time(const struct tracker *tracker, const struct event_block *block, size_t index,
                              struct diag *diag);

/** Fills `diag` for event `index` of `block`, which tracker_apply() just refused with `err`. @return err. */
enum err tracker_explain(const struct tracker *tracker, enum err err, const struct event_block *block, size_t index,
                         struct diag *diag);

/** Applies everything `source` yields, times too. @return as tracker_apply and the source; diag tells. */
enum err tracker_run(struct tracker *tracker, const struct event_source *source, struct diag *diag);

/** The counts so far; borrowed, and moving on with the tracker. Its live_end_* are what is live now. */
const struct trace_summary *tracker_summary(const struct tracker *tracker);

/** Highest slot ever used (0 = none): a slot table needs this + 1 entries. */
uint32_t tracker_slot_peak(const struct tracker *tracker);

#endif
