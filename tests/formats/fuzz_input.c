#include "tests/formats/fuzz_input.h"

#include <string.h>
#include <zlib.h>

#include "formats/events_layout.h"
#include "formats/varint.h"

struct file_maker {
    uint8_t *bytes;
    size_t used;
    uint64_t event_count;
    uint64_t member_count;
    unsigned features;
    uint8_t index[4096];
    size_t index_bytes;
};

/* A member whose content is stored, not compressed: five bytes in front of up to 65535. */
static size_t member_append(struct file_maker *maker, enum member_kind kind, uint64_t value, const uint8_t *raw,
                            size_t raw_bytes) {
    uint8_t *start = maker->bytes + maker->used, *to = start + MEMBER_HEADER_BYTES;
    if (kind == MEMBER_END) {
        memcpy(to, "\x03", 2);
        to += 2;
    } else {
        *to++ = 1;
        little_write(to, raw_bytes, 2);
        little_write(to + 2, ~(uint64_t)raw_bytes, 2);
        if (raw_bytes)
            memcpy(to + 4, raw, raw_bytes);
        to += 4 + raw_bytes;
    }
    little_write(to, crc32(0, raw, (uInt)raw_bytes), 4);
    little_write(to + 4, raw_bytes, 4);
    to += MEMBER_TRAILER_BYTES;
    struct member_header header = {
        .kind = kind, .features = maker->features, .events_before = maker->event_count, .value = value};
    header.member_bytes = (uint32_t)(to - start);
    member_header_write(&header, start);
    maker->used += header.member_bytes;
    return header.member_bytes;
}

static void events_append(struct file_maker *maker, uint64_t count, const uint8_t *raw, size_t raw_bytes) {
    size_t bytes = member_append(maker, MEMBER_EVENTS, count, raw, raw_bytes);
    uint8_t *to = maker->index + maker->index_bytes;
    maker->index_bytes = (size_t)(varint_write(varint_write(to, bytes), count) - maker->index);
    maker->event_count += count;
    maker->member_count++;
}

/* Makes the checksum of every member header good, whatever else the header says. */
static void headers_mend(uint8_t *bytes, size_t count) {
    static const uint8_t start[] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 32, 0, 'M', 'R', 28, 0};
    uint8_t *at = bytes, *end = bytes + count;
    while ((at = memmem(at, (size_t)(end - at), start, sizeof start)) && end - at >= MEMBER_HEADER_BYTES) {
        little_write(at + MEMBER_HEADER_BYTES - 4, crc32(0, at, MEMBER_HEADER_BYTES - 4), 4);
        at += MEMBER_HEADER_BYTES;
    }
}

size_t fuzz_input_expand(const uint8_t *data, size_t size, uint8_t *out) {
    struct file_maker maker = {.bytes = out};
    if (size > FUZZ_FILE_BYTES_MAX / 2)
        size = FUZZ_FILE_BYTES_MAX / 2;
    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
        memcpy(out, data, size);
        headers_mend(out, size);
        return size;
    }
    if (size >= 2 && (little_read(data, 2) & FUZZ_TIMES_BIT))
        maker.features = FEATURE_TIMES;
    while (size > FUZZ_MEMBER_LEAD_BYTES && maker.index_bytes + 2 * VARINT_BYTES_MAX <= sizeof maker.index) {
        uint64_t count = little_read(data, 2) & (FUZZ_TIMES_BIT - 1);
        size_t bytes = little_read(data + 2, 2);
        data += FUZZ_MEMBER_LEAD_BYTES, size -= FUZZ_MEMBER_LEAD_BYTES;
        if (bytes > size)
            bytes = size;
        events_append(&maker, count, data, bytes);
        data += bytes, size -= bytes;
    }
    size_t index_byte = maker.used;
    member_append(&maker, MEMBER_INDEX, maker.member_count, maker.index, maker.index_bytes);
    member_append(&maker, MEMBER_END, index_byte, NULL, 0);
    return maker.used;
}
