/**
 * recorder.h: an allocator that hands out blocks of one buffer, never again, and keeps what it saw: every call, and the
 * whole content of the block at that moment.
 */
#ifndef MMREPLAY_TESTS_CORE_RECORDER_H
#define MMREPLAY_TESTS_CORE_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/domain.h"

enum recorder_call { RECORDER_MALLOC, RECORDER_CALLOC, RECORDER_REALLOC, RECORDER_FREE };

enum { RECORDER_BUFFER_BYTES = 1 << 22, RECORDER_LOG_BYTES = 1 << 22, RECORDER_BLOCK_MAX = 1 << 12 };

struct recorder {
    _Alignas(16) uint8_t buffer[RECORDER_BUFFER_BYTES];
    uint8_t log[RECORDER_LOG_BYTES]; /* call, bytes asked for, and the block's bytes as they were */
    uint64_t block_bytes[RECORDER_BLOCK_MAX];
    uint64_t block_offset[RECORDER_BLOCK_MAX];
    uint32_t block_count;
    uint64_t used_bytes;
    uint64_t log_bytes;
    uint64_t call_count;
    bool refuses; /* every request is answered with NULL */
};

/** Zeroed buffer, nothing seen. Static memory or a large stack is wanted. */
void recorder_clear(struct recorder *recorder);

struct domain_allocator recorder_allocator(struct recorder *recorder);

/** Adds a note to the log. */
void recorder_note(struct recorder *recorder, const void *bytes, size_t count);

#endif
