/**
 * record_stage.h: a sink in a thread of its own.
 *
 * Compressing events costs more than putting them into order; so that the rings are emptied in time, the side that
 * drains only queues, and a second thread pushes into the real sink. The queue is bounded: when the sink is too slow
 * for long, the drain waits, and the program with it; nothing is dropped.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_STAGE_H
#define MMREPLAY_TRACES_RECORD_RECORD_STAGE_H

#include "core/base/diag.h"
#include "traces/stream.h"

enum {
    STAGE_RUN_EVENTS = 1024, /**< the largest run that may be put at once */
    STAGE_RUN_COUNT = 2048   /**< runs queued at most: 48 MiB (64 with times), two million events */
};

struct stage;

/** @return ERR_OK and *out owned, ERR_NOMEM, ERR_IO (no thread). */
enum err stage_create(struct stage **out);

/** A stage with a sink of its own that shares thread and queue with `other`: the bound is that of all together. */
enum err stage_join(struct stage *other, struct stage **out);

/** From here on events go to `sink` (borrowed). Only when nothing is queued: at first, and after stage_flush. */
void stage_begin(struct stage *stage, struct event_sink sink);

/**
 * Where to put events; a failure of the real sink is returned by a later put, or by stage_flush. Its flush only queues
 * the real sink's.
 */
struct event_sink stage_sink(struct stage *stage);

/** Waits until everything put so far has arrived. @return the real sink's error. */
enum err stage_flush(struct stage *stage, struct diag *diag);

/** What is still queued is dropped. NULL is fine. */
void stage_destroy(struct stage *stage);

#endif
