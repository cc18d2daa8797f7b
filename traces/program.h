/**
 * program.h: a trace compiled for replay: 8-byte operations on dense slots, in one shared, read-only mapping.
 *
 * Layout of the memory file: struct program_header, ops (uint64_t words), struct program_sample array.
 * An ordinary op is one word:
 *
 *     bits  0..2   kind   (enum event_kind, malloc … free)
 *     bits  3..4   domain (enum domain of the block)
 *     bit   5      wide: one more word follows: bits 0..47 size, bits 48..55 align_log2
 *     bits  8..35  slot (28 bits)
 *     bits 36..63  size in bytes (28 bits; 0 when wide)
 *
 * Slot 0 is NULL and is only freed (free(NULL)). realloc reads and writes the same slot, an empty slot being
 * realloc(NULL, n). aligned_alloc is always wide, as is any request of 2^28 bytes or more. A free empties its slot, so
 * after the last op the non-empty slots are exactly the blocks the trace leaves alive.
 */
#ifndef MMREPLAY_TRACES_PROGRAM_H
#define MMREPLAY_TRACES_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/stream.h"
#include "traces/trace.h"

enum {
    OP_KIND_BITS = 3,
    OP_DOMAIN_SHIFT = 3,
    OP_WIDE_BIT = 5,
    OP_SLOT_SHIFT = 8,
    OP_SIZE_SHIFT = 36,
    OP_SIZE_BITS = 28,
    OP_WIDE_ALIGN_SHIFT = 48
};

static inline unsigned op_kind(uint64_t op) {
    return (unsigned)(op & 7);
}
static inline unsigned op_domain(uint64_t op) {
    return (unsigned)(op >> OP_DOMAIN_SHIFT & 3);
}
static inline int op_is_wide(uint64_t op) {
    return (int)(op >> OP_WIDE_BIT & 1);
}
static inline uint32_t op_slot(uint64_t op) {
    return (uint32_t)(op >> OP_SLOT_SHIFT) & 0xfffffff;
}
static inline uint64_t op_size(uint64_t op) {
    return op >> OP_SIZE_SHIFT;
}
static inline uint64_t op_wide_size(uint64_t word) {
    return word & (((uint64_t)1 << OP_WIDE_ALIGN_SHIFT) - 1);
}
static inline unsigned op_wide_align_log2(uint64_t word) {
    return (unsigned)(word >> OP_WIDE_ALIGN_SHIFT & 0xff);
}

/** A point at which the memory pass samples: before word `word_index` is executed (word_count = after the last). */
struct program_sample {
    uint64_t word_index;
    uint64_t operation_index; /**< operations executed before it */
    uint64_t live_bytes;      /**< requested bytes live at that point: the same for every allocator */
    uint64_t live_blocks;
};

#define PROGRAM_MAGIC 0x31474f52504d4dull /* "MMPROG1" */

struct program_header {
    uint64_t magic;
    uint64_t ops_offset_bytes; /**< from the start of the file */
    uint64_t word_count;
    uint64_t samples_offset_bytes;
    uint64_t sample_count;
    uint64_t file_bytes;
    uint32_t slot_count;  /**< slot 0 included: the table's length */
    uint32_t peak_sample; /**< index of the sample taken at the live peak */
    struct trace_summary summary;
};

struct program {
    int fd; /**< memory file, sealed against writing; owned */
    const struct program_header *header;
    const uint64_t *ops;
    const struct program_sample *samples;
};

/**
 * Compiles everything `source` yields.
 *
 * Samples: at least 200 at equal steps of operations when there are that many, plus the live peak, plus points where
 * live bytes exceed every earlier sample by 1 %.
 * Memory of the builder: O(peak live blocks); the ops themselves go straight to the memory file (8 bytes each).
 * @return as tracker_apply, the source's errors, ERR_IO, ERR_NOMEM.
 */
enum err program_compile(const struct event_source *source, struct program *out, struct diag *diag);

/** Maps a program that another process compiled (the worker's side). Validates header, offsets and seal. Takes `fd`. */
enum err program_open(int fd, struct program *out, struct diag *diag);

void program_close(struct program *program);

#endif
