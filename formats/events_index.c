#include "formats/events_index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "formats/events_layout.h"
#include "formats/regular_file.h"
#include "formats/varint.h"

enum {
    INDEX_ENTRY_BYTES_MIN = 2,
    DEFLATE_RATIO_MAX = 1032 /* zlib's own bound (zlib.net, "Maximum Compression Factor") */
};

struct index_file {
    int fd;
    const char *path;
    uint64_t bytes;
};

static enum err file_read(const struct index_file *file, uint64_t byte, void *to, size_t count, struct diag *diag) {
    uint8_t *at = to;
    while (count) {
        ssize_t got = pread(file->fd, at, count, (off_t)byte);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return diag_errno(diag, ERR_IO, file->path, "cannot read the events file");
        if (got == 0)
            return diag_at_byte(diag, ERR_TRUNCATED, file->path, byte, "the events file ends too early");
        at += got;
        byte += (uint64_t)got;
        count -= (size_t)got;
    }
    return ERR_OK;
}

static enum err file_open(struct index_file *file, const char *path, struct diag *diag) {
    struct stat stat;
    file->path = path;
    enum err err = regular_file_open(path, "cannot open the events file", &file->fd, diag);
    if (err)
        return err;
    if (fstat(file->fd, &stat)) {
        err = diag_errno(diag, ERR_IO, path, "cannot read the events file");
        close(file->fd);
        return err;
    }
    file->bytes = (uint64_t)stat.st_size;
    return ERR_OK;
}

static enum err header_load(const struct index_file *file, uint64_t byte, enum member_kind kind,
                            struct member_header *out, struct diag *diag) {
    uint8_t bytes[MEMBER_HEADER_BYTES];
    struct member_header header = {.kind = MEMBER_KIND_COUNT};
    enum err err = file_read(file, byte, bytes, sizeof bytes, diag);
    if (!err)
        err = member_header_read(bytes, &header, file->path, byte, diag);
    if (!err && header.kind != kind)
        err = diag_at_byte(diag, ERR_FORMAT, file->path, byte, "this is not the %s member",
                           kind == MEMBER_END ? "end" : "index");
    if (!err)
        *out = header;
    return err;
}

/* Finds the index member through the end member and checks that they fill the end of the file. */
static enum err index_find(const struct index_file *file, struct member_header *index, uint64_t *byte,
                           struct diag *diag) {
    struct member_header end;
    if (file->bytes < MEMBER_END_BYTES)
        return diag_at_byte(diag, ERR_TRUNCATED, file->path, file->bytes,
                            "the events file has no end member: it is cut");
    uint64_t end_byte = file->bytes - MEMBER_END_BYTES;
    if (header_load(file, end_byte, MEMBER_END, &end, NULL))
        return diag_at_byte(diag, ERR_TRUNCATED, file->path, end_byte,
                            "the events file does not end with its end member: it is cut, or has junk behind it");
    if (end.value > end_byte || end_byte - end.value > UINT32_MAX)
        return diag_at_byte(diag, ERR_FORMAT, file->path, end_byte, "the end member does not point at the index");
    enum err err = header_load(file, end.value, MEMBER_INDEX, index, diag);
    if (err)
        return err;
    if (index->member_bytes != end_byte - end.value || index->member_bytes < MEMBER_END_BYTES ||
        index->value > (uint64_t)index->member_bytes * DEFLATE_RATIO_MAX / INDEX_ENTRY_BYTES_MIN)
        return diag_at_byte(diag, ERR_FORMAT, file->path, end.value, "the index member is damaged");
    *byte = end.value;
    return ERR_OK;
}

static bool payload_inflate(const uint8_t *from, size_t bytes, uint8_t *to, size_t room, size_t *made) {
    z_stream stream = {.next_in = from, .avail_in = (uInt)bytes, .next_out = to};
    stream.avail_out = (uInt)room;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return false;
    int result = inflate(&stream, Z_FINISH);
    *made = room - stream.avail_out;
    inflateEnd(&stream);
    const uint8_t *trailer = from + bytes;
    return result == Z_STREAM_END && !stream.avail_in && little_read(trailer, 4) == crc32_z(0, to, *made) &&
           little_read(trailer + 4, 4) == *made;
}

/* Reads the entries; false when they do not end where the index member begins. */
static bool entries_parse(const uint8_t *from, const uint8_t *end, uint64_t index_byte, struct events_index *index) {
    uint64_t byte = 0, first_event = 0;
    for (size_t i = 0; i < index->count; i++) {
        uint64_t member_bytes, event_count;
        if (from >= end || !varint_read(&from, &member_bytes) || !varint_read(&from, &event_count) ||
            member_bytes > UINT32_MAX || event_count > MEMBER_EVENTS_MAX)
            return false;
        index->entries[i] = (struct events_index_entry){.byte = byte,
                                                        .first_event = first_event,
                                                        .member_bytes = (uint32_t)member_bytes,
                                                        .event_count = (uint32_t)event_count};
        byte += member_bytes;
        first_event += event_count;
    }
    return from == end && byte == index_byte && first_event == index->event_count;
}

/* Its two varints at their longest. */
static const size_t entry_room = (size_t)2 * VARINT_BYTES_MAX;

static enum err index_read(const struct index_file *file, uint64_t byte, const struct member_header *header,
                           struct events_index *index, struct diag *diag) {
    size_t packed_bytes = header->member_bytes - MEMBER_HEADER_BYTES;
    size_t raw_room = (header->value + 1) * entry_room;
    size_t raw_bytes = 0;
    uint8_t *packed = malloc(packed_bytes);
    uint8_t *raw = calloc(1, raw_room + entry_room);
    index->entries = calloc(header->value + 1, sizeof *index->entries);
    index->count = header->value;
    index->event_count = header->events_before;
    enum err err = packed && raw && index->entries ? ERR_OK : diag_set(diag, ERR_NOMEM, file->path, "out of memory");
    if (!err)
        err = file_read(file, byte + MEMBER_HEADER_BYTES, packed, packed_bytes, diag);
    if (!err && (!payload_inflate(packed, packed_bytes - MEMBER_TRAILER_BYTES, raw, raw_room, &raw_bytes) ||
                 !entries_parse(raw, raw + raw_bytes, byte, index)))
        err = diag_at_byte(diag, ERR_FORMAT, file->path, byte, "the index member is damaged");
    free(packed);
    free(raw);
    return err;
}

enum err events_index_load(const char *path, struct events_index *out, struct diag *diag) {
    struct index_file file = {.fd = -1};
    struct member_header header = {.kind = MEMBER_KIND_COUNT};
    struct events_index index = {.entries = NULL};
    uint64_t byte = 0;
    enum err err = file_open(&file, path, diag);
    if (err)
        return err;
    err = index_find(&file, &header, &byte, diag);
    if (!err)
        err = index_read(&file, byte, &header, &index, diag);
    close(file.fd);
    if (err)
        events_index_clear(&index);
    else
        *out = index;
    return err;
}

void events_index_clear(struct events_index *index) {
    free(index->entries);
    *index = (struct events_index){.entries = NULL};
}
