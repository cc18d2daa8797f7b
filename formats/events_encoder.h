/**
 * events_encoder.h: events to the raw bytes of a member (NATIVE.md, "Raw bytes of an events member").
 *
 * Events are gathered until the member is full; then the items that occur most often get one-byte tokens and the raw
 * bytes are made. Memory: about 13 MiB plus 24 bytes per thread. Cost: about 15 ns per event, more where few items
 * repeat.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_ENCODER_H
#define MMREPLAY_FORMATS_EVENTS_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "traces/event.h"

struct events_encoder;

/** @return ERR_OK and *out owned by the caller, or ERR_NOMEM. */
enum err events_encoder_create(struct events_encoder **out);
void events_encoder_destroy(struct events_encoder *encoder);

/**
 * Adds the next events of a valid trace (the caller's tracker has accepted them), until the member is full.
 * @param times_ns theirs, not falling, below EVENT_TIME_END_NS; NULL: none. Of all events of a trace or of none.
 * @param added how many were added: at least one; less than `count` when the member must be taken before the next.
 * @return ERR_OK; ERR_NOMEM: the encoder is of no use any more.
 */
enum err events_encoder_add(struct events_encoder *encoder, const struct event *events, const uint64_t *times_ns,
                            size_t count, size_t *added);

/** True when the member must be taken before the next event is added. */
bool events_encoder_full(const struct events_encoder *encoder);

/** Events added since the last member was taken. */
uint32_t events_encoder_count(const struct events_encoder *encoder);

/** Makes the raw bytes of the member and begins the next one. *bytes is borrowed until the next call. */
enum err events_encoder_take(struct events_encoder *encoder, const uint8_t **bytes, size_t *count);

/** Where the times lie in the member taken last: bytes of it that compress in another way than the rest. */
struct encoded_times {
    size_t at;
    size_t bytes; /**< 0: it has none */
};
struct encoded_times events_encoder_times(const struct events_encoder *encoder);

#endif
