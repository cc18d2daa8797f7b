/**
 * events_decoder.h: the raw bytes of members to events (NATIVE.md, "Raw bytes of an events member").
 *
 * Never trusts a byte: whatever comes in, every event that comes out names a block that its owner made, by the
 * decoder's count, and is within the bounds of event.h. Cost: 3 … 10 ns per event. Memory: 48 bytes per thread of the
 * member plus 16 per thread of the trace.
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

/**
 * Begins a member of `event_count` events; what was left of the one before is dropped.
 * @param has_times the member has a times part.
 * @param raw borrowed until the member's last event; behind its `bytes` DECODER_SLACK_BYTES more must be readable
 * (their values do not matter).
 * @return ERR_OK; ERR_FORMAT, ERR_NOMEM with *fault, a static text.
 */
enum err events_decoder_begin(struct events_decoder *decoder, const uint8_t *raw, size_t bytes, uint32_t event_count,
                              bool has_times, const char **fault);

enum { DECODER_SLACK_BYTES = 32 };

/**
 * Makes the next events of the member, up to `room`; fewer only at its end, which is checked then.
 * @return as events_decoder_begin.
 */
enum err events_decoder_run(struct events_decoder *decoder, struct event *events, size_t room, size_t *made,
                            const char **fault);

/**
 * Makes the times of the member's next `count` events, from the first on, beside what events_decoder_run() does; to be
 * asked for no more than there are. Who does not call this pays nothing for a member's times.
 */
enum err events_decoder_times(struct events_decoder *decoder, uint64_t *times_ns, size_t count, const char **fault);

/** True when all events of the member have been made. */
bool events_decoder_done(const struct events_decoder *decoder);

#endif
