/**
 * stats_text.h: the text of _PyObject_DebugMallocStats, ours or the real one's, printed into memory and read back.
 */
#ifndef MMREPLAY_COMPARE_WORKER_STATS_TEXT_H
#define MMREPLAY_COMPARE_WORKER_STATS_TEXT_H

#include <stdio.h>

#include "compare/worker/worker_protocol.h"

struct stats_text {
    char text[WORKER_STATS_BYTES]; /**< terminated by stats_text_finish() */
};

/**
 * A stream that writes into `text`. It is one and the same from the first call on, with a buffer of its own: opening it
 * again allocates nothing, so that a text taken during a measurement leaves the heap alone. One at a time.
 * @return NULL: no memory.
 */
FILE *stats_text_open(struct stats_text *text);

/** Ends the writing. @return the length; 0 also when the text was too long to be kept. */
size_t stats_text_finish(struct stats_text *text, FILE *out);

/** Reads the settings that a statistics text states: threshold, classes, pool and arena size. @return false: none. */
bool stats_text_settings(const char *text, struct pool_config *out);

/** Reads the split of the arenas and the arena counts. @return false when a line is missing. */
bool stats_text_split(const char *text, struct pool_split *split, struct pool_counts *counts);

#endif
