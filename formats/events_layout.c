#include "formats/events_layout.h"

#include <string.h>
#include <zlib.h>

/* gzip: magic, deflate, FEXTRA, no time, no hint, unknown OS; extra field of 32 bytes: one subfield "MR" of 28. */
static const uint8_t fixed_start[] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 32, 0, 'M', 'R', 28, 0};

enum {
    AT_VERSION = sizeof fixed_start,
    AT_KIND = AT_VERSION + 1,
    AT_FEATURES = AT_KIND + 1,
    AT_MEMBER_BYTES = AT_FEATURES + 2,
    AT_EVENTS_BEFORE = AT_MEMBER_BYTES + 4,
    AT_VALUE = AT_EVENTS_BEFORE + 8,
    AT_CRC = AT_VALUE + 8
};
_Static_assert(AT_CRC + 4 == MEMBER_HEADER_BYTES, "the header ends with its checksum");

void little_write(uint8_t *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

uint64_t little_read(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

void member_header_write(const struct member_header *header, uint8_t to[MEMBER_HEADER_BYTES]) {
    memcpy(to, fixed_start, sizeof fixed_start);
    to[AT_VERSION] = EVENTS_VERSION;
    to[AT_KIND] = (uint8_t)header->kind;
    little_write(to + AT_FEATURES, header->features, 2);
    little_write(to + AT_MEMBER_BYTES, header->member_bytes, 4);
    little_write(to + AT_EVENTS_BEFORE, header->events_before, 8);
    little_write(to + AT_VALUE, header->value, 8);
    little_write(to + AT_CRC, crc32(0, to, AT_CRC), 4);
}

bool member_start_is(const uint8_t *from, size_t bytes) {
    return bytes >= sizeof fixed_start && memcmp(from, fixed_start, sizeof fixed_start) == 0;
}

enum err member_header_read(const uint8_t from[MEMBER_HEADER_BYTES], struct member_header *out, const char *path,
                            uint64_t byte, struct diag *diag) {
    if (from[0] != fixed_start[0] || from[1] != fixed_start[1])
        return diag_at_byte(diag, ERR_FORMAT, path, byte, "no gzip member here");
    if (memcmp(from, fixed_start, sizeof fixed_start) != 0)
        return diag_at_byte(diag, ERR_FORMAT, path, byte, "a gzip member without the header of a mmreplay events file");
    if (little_read(from + AT_CRC, 4) != crc32(0, from, AT_CRC))
        return diag_at_byte(diag, ERR_FORMAT, path, byte, "the header of this member is damaged");
    if (from[AT_VERSION] != EVENTS_VERSION)
        return diag_at_byte(diag, ERR_VERSION, path, byte, "events of version %u; this build reads version %d",
                            from[AT_VERSION], EVENTS_VERSION);
    unsigned features = (unsigned)little_read(from + AT_FEATURES, 2);
    if ((features & ~(unsigned)FEATURES_KNOWN) || from[AT_KIND] >= MEMBER_KIND_COUNT)
        return diag_at_byte(diag, ERR_VERSION, path, byte,
                            "member of kind %u with features 0x%04x, which this build does not know", from[AT_KIND],
                            features);
    out->kind = from[AT_KIND];
    out->features = features;
    out->member_bytes = (uint32_t)little_read(from + AT_MEMBER_BYTES, 4);
    out->events_before = little_read(from + AT_EVENTS_BEFORE, 8);
    out->value = little_read(from + AT_VALUE, 8);
    return ERR_OK;
}
