/**
 * events_index.h: where the members of an events file are, read from its end: for seeking and for decoding members
 * side by side.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_INDEX_H
#define MMREPLAY_FORMATS_EVENTS_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"

struct events_index_entry {
    uint64_t byte;        /**< where the member starts */
    uint64_t first_event; /**< number of its first event in the trace */
    uint32_t member_bytes;
    uint32_t event_count;
};

struct events_index {
    struct events_index_entry *entries; /**< owned */
    size_t count;
    uint64_t event_count; /**< of the trace */
};

/**
 * Cost: two small reads, whatever the size of the file.
 * @return ERR_NOT_FOUND, ERR_IO, ERR_TRUNCATED (no end member: cut, or junk behind it), ERR_FORMAT, ERR_VERSION,
 *         ERR_NOMEM.
 */
enum err events_index_load(const char *path, struct events_index *out, struct diag *diag);
void events_index_clear(struct events_index *index);

#endif
