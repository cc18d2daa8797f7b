#include "formats/events_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "formats/events_encoder.h"
#include "formats/events_layout.h"
#include "formats/varint.h"

enum {
    TIMES_BYTES_LEAST = 4096, /* fewer are not worth a block of their own */
    BLOCKS_BYTES = 64         /* what two more blocks than zlib expects take at most */
};

/* How a member is compressed when there is no time. */
enum quick_way { QUICK_REPETITIONS, QUICK_HUFFMAN, QUICK_STORED, QUICK_WAY_COUNT };

struct events_writer {
    int fd;
    const char *path;
    struct events_encoder *encoder;
    z_stream deflate;
    int level;
    uint8_t *member; /* the gzip member being made */
    size_t member_capacity;
    bool is_late;
    enum quick_way way;                   /* of the member under way, while late */
    unsigned late_count;                  /* members compressed while late */
    double quick_ratios[QUICK_WAY_COUNT]; /* compressed by raw bytes, when it was last tried */
    struct sha256 hash;
    uint64_t file_bytes;
    uint64_t event_count; /* in the members written */
    uint64_t member_count;
    bool has_begun;    /* an event has come */
    unsigned features; /* known when has_begun */
    uint8_t *index;    /* raw bytes of the index member */
    size_t index_bytes;
    size_t index_capacity;
};

static enum err out_of_memory(const struct events_writer *writer, struct diag *diag) {
    return diag_set(diag, ERR_NOMEM, writer->path, "out of memory while writing");
}

enum err events_writer_create(int fd, const char *path, int level, struct events_writer **out, struct diag *diag) {
    struct events_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return diag_set(diag, ERR_NOMEM, path, "out of memory while writing");
    writer->fd = fd;
    writer->path = path;
    writer->level = level ? level : EVENTS_LEVEL_DEFAULT;
    sha256_init(&writer->hash);
    if (deflateInit2(&writer->deflate, writer->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(writer);
        return diag_set(diag, ERR_NOMEM, path, "out of memory while writing");
    }
    if (events_encoder_create(&writer->encoder)) {
        enum err err = out_of_memory(writer, diag);
        events_writer_destroy(writer);
        return err;
    }
    *out = writer;
    return ERR_OK;
}

void events_writer_destroy(struct events_writer *writer) {
    if (!writer)
        return;
    events_encoder_destroy(writer->encoder);
    deflateEnd(&writer->deflate);
    free(writer->member);
    free(writer->index);
    free(writer);
}

/* Bytes that index and end take behind a member yet to come, at most. */
static uint64_t tail_bytes(const struct events_writer *writer) {
    uint64_t index = writer->index_bytes + (uint64_t)2 * VARINT_BYTES_MAX;
    return (uint64_t)2 * (MEMBER_HEADER_BYTES + MEMBER_TRAILER_BYTES) + index + index / 256 +
           256; /* deflate never adds more */
}

static bool is_within_limit(uint64_t end) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY || end <= limit.rlim_cur;
}

/* Fails only when there is no room; whether there is can not always be known. */
static enum err room_reserve(struct events_writer *writer, uint64_t bytes, struct diag *diag) {
    int failed = 0;
    if (!is_within_limit(writer->file_bytes + bytes)) {
        errno = EFBIG;
        return diag_errno(diag, ERR_IO, writer->path, "cannot write");
    }
    do
        failed = fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, (off_t)writer->file_bytes, (off_t)bytes);
    while (failed && errno == EINTR);
    if (failed && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return diag_errno(diag, ERR_IO, writer->path, "cannot write");
    return ERR_OK;
}

static enum err bytes_put(const struct events_writer *writer, const uint8_t *bytes, size_t count, struct diag *diag) {
    for (size_t done = 0; done < count;) {
        ssize_t written = pwrite(writer->fd, bytes + done, count - done, (off_t)(writer->file_bytes + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return diag_errno(diag, ERR_IO, writer->path, "cannot write");
        done += (size_t)written;
    }
    return ERR_OK;
}

/* Cuts off what is not, or no longer, the file's content. Where that fails it is written over, or cut off at the end.
 */
static int rest_cut(const struct events_writer *writer) {
    return ftruncate(writer->fd, (off_t)writer->file_bytes);
}

/* All of it or nothing: what the file held before stays its content. */
static enum err bytes_write(struct events_writer *writer, const uint8_t *bytes, size_t count, struct diag *diag) {
    enum err err = bytes_put(writer, bytes, count, diag);
    if (err) {
        rest_cut(writer);
        return err;
    }
    sha256_update(&writer->hash, bytes, count);
    writer->file_bytes += count;
    return ERR_OK;
}

static enum err buffer_reserve(uint8_t **buffer, size_t *capacity, size_t bytes) {
    if (bytes <= *capacity)
        return ERR_OK;
    uint8_t *larger = realloc(*buffer, bytes);
    if (!larger)
        return ERR_NOMEM;
    *buffer = larger;
    *capacity = bytes;
    return ERR_OK;
}

/*
 * Repetitions are worth looking for, and a Huffman code is worth its time, only if they save this much; both are tried
 * again every so many members. A CPython program is full of repetitions; blocks of random sizes have none, and compress
 * to three quarters at more than half of what all else about writing them takes.
 */
enum { TRY_PERIOD = 32 };
static const double repetitions_worth = 0.92, huffman_worth = 0.6;

struct effort {
    int level;
    int strategy;
};

static const struct effort quick_efforts[QUICK_WAY_COUNT] = {
    [QUICK_REPETITIONS] = {1, Z_DEFAULT_STRATEGY},
    [QUICK_HUFFMAN] = {1, Z_HUFFMAN_ONLY},
    [QUICK_STORED] = {Z_NO_COMPRESSION, Z_DEFAULT_STRATEGY},
};

void events_writer_press(struct events_writer *writer, bool is_late) {
    writer->is_late = is_late;
}

static enum quick_way quick_way_choose(const struct events_writer *writer) {
    unsigned turn = writer->late_count % TRY_PERIOD;
    if (turn < QUICK_STORED)
        return turn;
    double repetitions = writer->quick_ratios[QUICK_REPETITIONS], huffman = writer->quick_ratios[QUICK_HUFFMAN];
    if (repetitions <= repetitions_worth * huffman)
        return QUICK_REPETITIONS;
    return huffman <= huffman_worth ? QUICK_HUFFMAN : QUICK_STORED;
}

static struct effort effort_choose(struct events_writer *writer, enum member_kind kind) {
    if (!writer->is_late || kind != MEMBER_EVENTS)
        return (struct effort){writer->level, Z_DEFAULT_STRATEGY};
    writer->way = quick_way_choose(writer);
    return quick_efforts[writer->way];
}

static void effort_note(struct events_writer *writer, enum member_kind kind, size_t raw_bytes, size_t bytes) {
    if (!writer->is_late || kind != MEMBER_EVENTS)
        return;
    writer->quick_ratios[writer->way] = (double)bytes / (double)raw_bytes;
    writer->late_count++;
}

/* Some of the member's content; with Z_FINISH the last of it. */
static bool piece_deflate(struct events_writer *writer, const uint8_t *from, size_t bytes, struct effort effort,
                          int flush) {
    z_stream *stream = &writer->deflate;
    stream->avail_in = 0;
    if (deflateParams(stream, effort.level, effort.strategy) != Z_OK)
        return false;
    stream->next_in = from;
    stream->avail_in = (uInt)bytes;
    int result = deflate(stream, flush);
    return flush == Z_FINISH ? result == Z_STREAM_END : result == Z_OK && !stream->avail_in;
}

/*
 * Fine times are noise around a mean: looking for repetitions in them finds none, at ten times the cost of a Huffman
 * code alone.
 */
static bool content_deflate(struct events_writer *writer, enum member_kind kind, const uint8_t *raw, size_t raw_bytes,
                            struct effort effort) {
    struct encoded_times times = events_encoder_times(writer->encoder);
    const struct effort huffman = {effort.level, Z_HUFFMAN_ONLY}; /* at level 0 stored, too */
    if (kind != MEMBER_EVENTS || times.bytes < TIMES_BYTES_LEAST)
        return piece_deflate(writer, raw, raw_bytes, effort, Z_FINISH);
    size_t rest = times.at + times.bytes;
    return piece_deflate(writer, raw, times.at, effort, Z_NO_FLUSH) &&
           piece_deflate(writer, raw + times.at, times.bytes, huffman, Z_NO_FLUSH) &&
           piece_deflate(writer, raw + rest, raw_bytes - rest, effort, Z_FINISH);
}

/* Compresses `raw` into a member with that header (its member_bytes are set here) and writes it. */
static enum err member_write(struct events_writer *writer, struct member_header header, const uint8_t *raw,
                             size_t raw_bytes, struct diag *diag) {
    size_t bound =
        MEMBER_HEADER_BYTES + deflateBound(&writer->deflate, raw_bytes) + BLOCKS_BYTES + MEMBER_TRAILER_BYTES;
    if (bound > UINT32_MAX)
        return diag_set(diag, ERR_LIMIT, writer->path, "the index of this trace is too large for the format");
    if (buffer_reserve(&writer->member, &writer->member_capacity, bound))
        return out_of_memory(writer, diag);
    z_stream *stream = &writer->deflate;
    deflateReset(stream);
    const struct effort effort = effort_choose(writer, header.kind);
    stream->next_out = writer->member + MEMBER_HEADER_BYTES;
    stream->avail_out = (uInt)(bound - MEMBER_HEADER_BYTES - MEMBER_TRAILER_BYTES);
    if (!content_deflate(writer, header.kind, raw, raw_bytes, effort))
        return diag_set(diag, ERR_NOMEM, writer->path, "zlib cannot compress a member");
    little_write(stream->next_out, crc32_z(0, raw, raw_bytes), 4);
    little_write(stream->next_out + 4, raw_bytes, 4);
    effort_note(writer, header.kind, raw_bytes, stream->total_out);
    header.features = writer->features;
    header.member_bytes = (uint32_t)(stream->next_out + MEMBER_TRAILER_BYTES - writer->member);
    member_header_write(&header, writer->member);
    if (header.kind == MEMBER_EVENTS) {
        enum err err = room_reserve(writer, header.member_bytes + tail_bytes(writer), diag);
        if (err)
            return err;
    }
    return bytes_write(writer, writer->member, header.member_bytes, diag);
}

static enum err index_reserve(struct events_writer *writer) {
    size_t needed = writer->index_bytes + (size_t)2 * VARINT_BYTES_MAX;
    return needed <= writer->index_capacity
               ? ERR_OK
               : buffer_reserve(&writer->index, &writer->index_capacity, needed + writer->index_capacity);
}

static void index_append(struct events_writer *writer, uint64_t member_bytes, uint32_t event_count) {
    uint8_t *end = varint_write(writer->index + writer->index_bytes, member_bytes);
    writer->index_bytes = (size_t)(varint_write(end, event_count) - writer->index);
}

enum err events_writer_flush(struct events_writer *writer, struct diag *diag) {
    const uint8_t *raw;
    size_t raw_bytes;
    uint64_t start = writer->file_bytes;
    uint32_t count = events_encoder_count(writer->encoder);
    if (!count)
        return ERR_OK;
    struct member_header header = {.kind = MEMBER_EVENTS, .events_before = writer->event_count, .value = count};
    if (index_reserve(writer) || events_encoder_take(writer->encoder, &raw, &raw_bytes))
        return out_of_memory(writer, diag);
    enum err err = member_write(writer, header, raw, raw_bytes, diag);
    if (err)
        return err;
    index_append(writer, writer->file_bytes - start, count);
    writer->event_count += count;
    writer->member_count++;
    return ERR_OK;
}

/* The first events decide whether the trace has times. */
static enum err features_settle(struct events_writer *writer, unsigned features, struct diag *diag) {
    if (writer->has_begun && features != writer->features)
        return diag_set(diag, ERR_USAGE, writer->path, "some events of this trace have times, and some have none");
    writer->has_begun = true;
    writer->features = features;
    return ERR_OK;
}

enum err events_writer_put(struct events_writer *writer, const struct event *events, const uint64_t *times_ns,
                           size_t count, struct diag *diag) {
    enum err err = count ? features_settle(writer, times_ns ? FEATURE_TIMES : 0, diag) : ERR_OK;
    for (size_t at = 0, added; at < count && !err; at += added) {
        if (events_encoder_add(writer->encoder, events + at, times_ns ? times_ns + at : NULL, count - at, &added))
            return out_of_memory(writer, diag);
        if (events_encoder_full(writer->encoder))
            err = events_writer_flush(writer, diag);
    }
    return err;
}

uint64_t events_writer_count(const struct events_writer *writer) {
    return writer->event_count;
}

static enum err tail_write(struct events_writer *writer, struct diag *diag) {
    struct member_header header = {
        .kind = MEMBER_INDEX, .events_before = writer->event_count, .value = writer->member_count};
    uint64_t index_byte = writer->file_bytes;
    enum err err = member_write(writer, header, writer->index, writer->index_bytes, diag);
    if (err)
        return err;
    header.kind = MEMBER_END;
    header.value = index_byte;
    err = member_write(writer, header, NULL, 0, diag);
    if (!err && rest_cut(writer)) /* of what was reserved or left behind; or the end were not the end */
        err = diag_errno(diag, ERR_IO, writer->path, "cannot write");
    return err;
}

enum err events_writer_finish_short(struct events_writer *writer, char sha256[SHA256_TEXT_BYTES], uint64_t *bytes,
                                    struct diag *diag) {
    const struct sha256 hash = writer->hash;
    uint64_t file_bytes = writer->file_bytes;
    enum err err = tail_write(writer, diag);
    if (err) { /* an index alone would be in the way of the next try */
        writer->hash = hash;
        writer->file_bytes = file_bytes;
        rest_cut(writer);
        return err;
    }
    sha256_finish(&writer->hash, sha256);
    *bytes = writer->file_bytes;
    return ERR_OK;
}

enum err events_writer_finish(struct events_writer *writer, char sha256[SHA256_TEXT_BYTES], uint64_t *bytes,
                              struct diag *diag) {
    enum err err = events_writer_flush(writer, diag);
    return err ? err : events_writer_finish_short(writer, sha256, bytes, diag);
}
