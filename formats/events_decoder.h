/**
 * events_decoder.h: the raw bytes of members, in pieces, to events (NATIVE.md, "Raw bytes of an events member").
 *
 * Never trusts a byte: whatever comes in, every event that comes out names a block that its owner made, by the
 * decoder's count, and is within the bounds of event.h. Cost: 3 … 10 ns per event. Memory: 40 bytes per thread of the
 * member plus 12 per thread of the trace.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_DECODER_H
#define MMREPLAY_FORMATS_EVENTS_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "traces/event.h"

struct events_decoder;

/**
 * @param anchored true: members come in order from the first one on, and what they say of the blocks made before them
 *        is checked; false: reading begins anywhere, the members are believed.
 */
enum err events_decoder_create(bool anchored, struct events_decoder **out);
void events_decoder_destroy(struct events_decoder *decoder);

/** Begins a member of `event_count` events; what was left of the one before is dropped. */
void events_decoder_begin(struct events_decoder *decoder, uint32_t event_count);

struct decoder_piece {
    const uint8_t *from; /**< moved on behind what was used */
    const uint8_t *end;  /**< ITEM_BYTES_MAX more bytes must be readable here (their values do not matter) */
    bool last;           /**< nothing follows: everything will be used, and the member must be complete */
};

/**
 * Decodes until the piece is used up (unless `last`, fewer than ITEM_BYTES_MAX bytes may be left over, to be given
 * again in front of the next piece) or `room` events are made.
 * @return ERR_OK and *made; ERR_FORMAT, ERR_NOMEM with *fault, a static text.
 */
enum err events_decoder_run(struct events_decoder *decoder, struct decoder_piece *piece, struct event *events,
                            size_t room, size_t *made, const char **fault);

/** True when all events of the member have been made. */
bool events_decoder_done(const struct events_decoder *decoder);

#endif
