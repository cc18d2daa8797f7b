/**
 * heard.h: a namer under test, and everything it says.
 */
#ifndef MMREPLAY_TESTS_HEARD_H
#define MMREPLAY_TESTS_HEARD_H

#include <stdbool.h>

#include "tests/support.h"
#include "traces/record/record_names.h"
#include "traces/tracker.h"

/** What a namer said since its trace began last. Zero-initialise. */
struct heard {
    struct array_sink all;
    unsigned begun_count;
    struct tracker *tracker; /**< has accepted all of it */
};

void heard_clear(struct heard *heard);

/** A namer that is heard. @param keeps_live for namer_live_take. */
struct namer *heard_namer(struct heard *heard, bool keeps_live);

/** Puts a record in; `kind` may carry a domain and an alignment. */
void heard_put(struct namer *namer, uint64_t kind, uint64_t pointer, uint64_t bytes, uint32_t serial);

#endif
