/**
 * varint.h: unsigned numbers in 7-bit groups, least significant first, the top bit set on all but the last byte
 * (LEB128): 0 … 127 take one byte, 2^64 − 1 takes ten.
 */
#ifndef MMREPLAY_FORMATS_VARINT_H
#define MMREPLAY_FORMATS_VARINT_H

#include <stdbool.h>
#include <stdint.h>

enum { VARINT_BYTES_MAX = 10 };

/** Writes `value` at `to` (room: VARINT_BYTES_MAX). @return the byte behind it. */
static inline uint8_t *varint_write(uint8_t *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

/** Reads the varint at *at (readable: VARINT_BYTES_MAX bytes) and moves *at behind it. @return false: above 2^64 − 1.
 */
static inline bool varint_read(const uint8_t **at, uint64_t *out) {
    const uint8_t *from = *at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *from++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (shift == 63 && byte > 1)
                return false;
            *at = from;
            *out = value;
            return true;
        }
    }
    return false;
}

#endif
