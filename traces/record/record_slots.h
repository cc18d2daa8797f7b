/**
 * record_slots.h: the recorder's side of the control memory: slots, and memory made ready for processes to come.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_SLOTS_H
#define MMREPLAY_TRACES_RECORD_RECORD_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record.h"
#include "traces/record/record_control.h"
#include "traces/record/record_session.h"

struct slots {
    const struct record_options *options; /**< borrowed */
    struct record_control *control;       /**< mapped */
    int fd;
    uint32_t top;                                       /**< slots ever used; a copy of what the processes see */
    uint32_t file_limit;                                /**< descriptors there may be; 0 = as many as one likes */
    uint64_t life_count;                                /**< sessions ever made */
    uint32_t used_count;                                /**< slots that are not empty */
    uint8_t is_seen[CONTROL_SLOT_COUNT];                /**< claimed, and the caller has been told */
    struct record_session sessions[CONTROL_SLOT_COUNT]; /**< of slots that are not empty */
};

/** A claim that has not been seen yet. */
struct slot_claim {
    uint32_t slot;
    uint32_t pid;
};

/** @return ERR_OK and *out owned, ERR_IO, ERR_NOMEM. */
enum err slots_create(const struct record_options *options, struct slots **out, struct diag *diag);

/** Closes everything. NULL is fine. */
void slots_destroy(struct slots *slots);

/** Slot 0 is kept for the program that is started: it is not offered, and its memory is there from the beginning. */
struct record_session *slots_first(struct slots *slots);

/**
 * Makes memory ready until there is enough in stock, and wakes those who wait for it.
 * @param other_fd_count descriptors of processes that have no slot.
 */
void slots_fill(struct slots *slots, uint32_t other_fd_count);

/** Whether one more process without a slot can have a descriptor: the stock comes first. */
bool slots_spare_fd(const struct slots *slots, uint32_t other_fd_count);

/** @return whether there was a claim that nobody has seen yet; then *out is the earliest, and it counts as seen. */
bool slots_next_claim(struct slots *slots, struct slot_claim *out);

/** What the process inherits is known: it may go on. */
void slots_answer(struct slots *slots, uint32_t slot);

/** Its process has ended: whoever comes under its pid finds no slot of its own here. */
void slots_retire(struct slots *slots, uint32_t slot);

/** The memory is given back and the slot used anew. Should its process live after all, it goes on unrecorded. */
void slots_release(struct slots *slots, uint32_t slot);

/** Nothing is recorded from here on. */
void slots_stop(struct slots *slots);

/** Sleeps until somebody calls or a few milliseconds have passed. */
void slots_sleep(struct slots *slots);

#endif
