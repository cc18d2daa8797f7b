#include "tests/core/recorder.h"

#include <stdlib.h>
#include <string.h>

void recorder_note(struct recorder *recorder, const void *bytes, size_t count) {
    if (count > RECORDER_LOG_BYTES - recorder->log_bytes)
        abort();
    memcpy(recorder->log + recorder->log_bytes, bytes, count);
    recorder->log_bytes += count;
}

static void call_note(struct recorder *recorder, enum recorder_call call, uint64_t bytes) {
    uint8_t number = (uint8_t)call;
    recorder->call_count++;
    recorder_note(recorder, &number, 1);
    recorder_note(recorder, &bytes, sizeof bytes);
}

static uint32_t block_index(const struct recorder *recorder, const void *block) {
    for (uint32_t i = 0; i < recorder->block_count; i++)
        if (recorder->buffer + recorder->block_offset[i] == block)
            return i;
    abort();
}

static void *block_take(struct recorder *recorder, size_t bytes, int fill) {
    size_t rounded = (bytes + 15) / 16 * 16 + 16;
    if (recorder->refuses)
        return NULL;
    if (recorder->block_count == RECORDER_BLOCK_MAX || rounded > RECORDER_BUFFER_BYTES - recorder->used_bytes)
        abort();
    uint8_t *block = recorder->buffer + recorder->used_bytes;
    recorder->block_offset[recorder->block_count] = recorder->used_bytes;
    recorder->block_bytes[recorder->block_count++] = bytes;
    recorder->used_bytes += rounded;
    memset(block, fill, bytes);
    return block;
}

static void *recorded_malloc(void *ctx, size_t bytes) {
    call_note(ctx, RECORDER_MALLOC, bytes);
    return block_take(ctx, bytes, 0x11);
}

static void *recorded_calloc(void *ctx, size_t count, size_t bytes) {
    call_note(ctx, RECORDER_CALLOC, count * bytes);
    return block_take(ctx, count * bytes, 0);
}

static void block_note(struct recorder *recorder, uint32_t index) {
    recorder_note(recorder, &index, sizeof index);
    recorder_note(recorder, recorder->buffer + recorder->block_offset[index], recorder->block_bytes[index]);
}

static void *recorded_realloc(void *ctx, void *block, size_t bytes) {
    struct recorder *recorder = ctx;
    uint32_t index = block_index(recorder, block);
    call_note(recorder, RECORDER_REALLOC, bytes);
    block_note(recorder, index);
    void *moved = block_take(recorder, bytes, 0x22);
    uint64_t old_bytes = recorder->block_bytes[index];
    return moved ? memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes) : NULL;
}

static void recorded_free(void *ctx, void *block) {
    call_note(ctx, RECORDER_FREE, 0);
    block_note(ctx, block_index(ctx, block));
}

void recorder_clear(struct recorder *recorder) {
    memset(recorder, 0, sizeof *recorder);
}

struct domain_allocator recorder_allocator(struct recorder *recorder) {
    return (struct domain_allocator){recorder, recorded_malloc, recorded_calloc, recorded_realloc, recorded_free};
}
