/**
 * debug_fault.h: what debug hooks found wrong with a block, and the story of it for a person.
 */
#ifndef MMREPLAY_CORE_DEBUG_FAULT_H
#define MMREPLAY_CORE_DEBUG_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum debug_fault_kind {
    DEBUG_FAULT_NONE,
    DEBUG_FAULT_UNDERRUN,     /**< the pad in front of the data was written to */
    DEBUG_FAULT_OVERRUN,      /**< the pad behind the data was written to */
    DEBUG_FAULT_WRONG_DOMAIN, /**< allocated by one domain, given back to another */
    DEBUG_FAULT_FREED,        /**< it was freed before: a double free, or a realloc of a freed block */
    DEBUG_FAULT_FOREIGN,      /**< no domain's mark: never allocated under these hooks, or the mark was overwritten */
    DEBUG_FAULT_SIZE,         /**< the recorded size is impossible, though the marks around it stand */
    DEBUG_FAULT_UNLOCKED,     /**< the mem or obj domain was called without the lock that guards it */
    DEBUG_FAULT_KIND_COUNT
};

/** Names without blanks: "overrun", "double-free", … Never NULL. */
const char *debug_fault_kind_name(enum debug_fault_kind kind);

/** The call that found it. */
enum debug_call { DEBUG_CALL_MALLOC, DEBUG_CALL_CALLOC, DEBUG_CALL_REALLOC, DEBUG_CALL_FREE, DEBUG_CALL_COUNT };

enum { DEBUG_PAD_BYTES = 8, DEBUG_DATA_SHOWN_BYTES = 8, DEBUG_FAULT_TEXT_BYTES = 1536 };

struct debug_fault {
    enum debug_fault_kind kind;
    enum debug_call call;
    const void *block;    /**< the data, as the program knows it; NULL: the call has none */
    char letter;          /**< of the domain that was called: 'r', 'm', 'o' */
    uint8_t found_letter; /**< in the block, whatever it is */
    uint8_t expected;     /**< the byte that should be at `offset` */
    uint8_t found;        /**< and the one that is */
    int64_t offset;       /**< of the first bad byte from `block`: -8 is the mark, >= size_bytes is behind the data */
    uint64_t size_bytes;  /**< recorded: bytes requested. Worth nothing unless mark and leading pad stand */
    bool has_tail;        /**< what follows was readable: mark, leading pad and size stand */
    bool has_serial;      /**< serial numbers are on */
    uint64_t serial;      /**< of the call that made the block, counted from 1 */
    uint8_t forbidden;    /**< the pad byte in force */
    uint8_t lead[DEBUG_PAD_BYTES];              /**< the mark and the leading pad */
    uint8_t trail[DEBUG_PAD_BYTES];             /**< the trailing pad */
    uint8_t data_first[DEBUG_DATA_SHOWN_BYTES]; /**< of the data, as far as there is any */
    uint8_t data_last[DEBUG_DATA_SHOWN_BYTES];  /**< right-aligned when there is more than data_first shows */
    uint32_t data_first_count, data_last_count;
};

/** One line without newline: what was found, and where. @return buffer. */
const char *debug_fault_line(const struct debug_fault *fault, char buffer[DEBUG_FAULT_TEXT_BYTES]);

/** The line, and below it the block: size, pads byte by byte where they are broken, serial, data. @return buffer. */
const char *debug_fault_report(const struct debug_fault *fault, char buffer[DEBUG_FAULT_TEXT_BYTES]);

#endif
