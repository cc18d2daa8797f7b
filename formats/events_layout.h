/**
 * events_layout.h: the numbers of NAME.events.gz that writer and reader share. NATIVE.md is the specification.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_LAYOUT_H
#define MMREPLAY_FORMATS_EVENTS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/event.h"

enum {
    EVENTS_VERSION = 1,
    MEMBER_HEADER_BYTES = 44,
    MEMBER_TRAILER_BYTES = 8,
    MEMBER_END_BYTES = MEMBER_HEADER_BYTES + 2 + MEMBER_TRAILER_BYTES, /**< the end member: nothing, deflated */
    MEMBER_EVENTS_MAX = 1 << 18,
    MEMBER_RAW_BYTES_MAX = 1 << 21,
    ITEM_BYTES_MAX = 32, /**< opcode and three varints, rounded up */
    TOKEN_FIRST = 0x30,  /**< bytes below are opcodes, from here on they stand for an entry of the member's table */
    TABLE_ENTRIES_MAX = 256 - TOKEN_FIRST
};

/** Bits of a header's features. All members of a file have the same ones. */
enum { FEATURE_TIMES = 1 << 0, FEATURES_KNOWN = FEATURE_TIMES };

enum member_kind { MEMBER_EVENTS, MEMBER_INDEX, MEMBER_END, MEMBER_KIND_COUNT };

/** What the gzip header of a member carries in its extra field. */
struct member_header {
    enum member_kind kind;
    unsigned features;      /**< FEATURE_TIMES or 0 */
    uint32_t member_bytes;  /**< the whole gzip member */
    uint64_t events_before; /**< events in the members before this one */
    uint64_t value;         /**< events: how many; index: event members listed; end: byte offset of the index member */
};

/** The upper six bits of an opcode; the lower two are a domain or a `block_mode`. */
enum item_form {
    FORM_CONTROL,       /**< enum item_control */
    FORM_FREE_NULL,     /**< | domain */
    FORM_MALLOC,        /**< | domain; size */
    FORM_CALLOC,        /**< | domain; size */
    FORM_ALIGNED_ALLOC, /**< | domain; log2 of the alignment, size */
    FORM_REALLOC_NULL,  /**< | domain; size */
    FORM_FREE_OWN,      /**< | mode; distance */
    FORM_FREE_OTHER,    /**< | mode; owner, distance */
    FORM_REALLOC_OWN,   /**< | mode; distance, size */
    FORM_REALLOC_OTHER, /**< | mode; owner, distance, size */
    FORM_COUNT
};
_Static_assert(FORM_COUNT * 4 <= TOKEN_FIRST, "opcodes end below the tokens");

enum item_control { CONTROL_THREAD_START, CONTROL_THREAD_END, CONTROL_COUNT };

/** How a block is told from the other blocks of its owner. */
enum block_mode {
    MODE_AGE,      /**< blocks the owner made since */
    MODE_FORWARD,  /**< blocks between the one the owner lost last and this younger one */
    MODE_BACKWARD, /**< … and this older one */
    MODE_COUNT
};

/*
 * Distances are split: their class stands in the item, and the bits that are as good as random in the bits part.
 * Classes below DISTANCE_EXACT are the distance; class c above is 2^(c − 2) plus a number of c − 2 bits.
 */
enum { DISTANCE_EXACT = 4, DISTANCE_CLASS_MAX = EVENT_BLOCK_SEQ_BITS + 1 };

static inline unsigned distance_extra_bits(unsigned class) {
    return class < DISTANCE_EXACT ? 0 : class - 2;
}

static inline uint64_t distance_base(unsigned class) {
    return class < DISTANCE_EXACT ? class : (uint64_t)1 << (class - 2);
}

static inline unsigned distance_class(uint64_t distance) {
    return distance < DISTANCE_EXACT ? (unsigned)distance : 65u - (unsigned)__builtin_clzll(distance);
}

static inline uint8_t opcode_make(enum item_form form, unsigned low) {
    return (uint8_t)(form << 2 | low);
}

void member_header_write(const struct member_header *header, uint8_t to[MEMBER_HEADER_BYTES]);

/** True when `bytes` bytes begin as every member of every version does. */
bool member_start_is(const uint8_t *from, size_t bytes);

/**
 * @param path, byte where `from` lies, for the diag.
 * @return ERR_FORMAT (not such a member, or its header is damaged), ERR_VERSION (a version or feature of the future).
 */
enum err member_header_read(const uint8_t from[MEMBER_HEADER_BYTES], struct member_header *out, const char *path,
                            uint64_t byte, struct diag *diag);

/** Little-endian numbers of `bytes` bytes. */
void little_write(uint8_t *to, uint64_t value, unsigned bytes);
uint64_t little_read(const uint8_t *from, unsigned bytes);

#endif
