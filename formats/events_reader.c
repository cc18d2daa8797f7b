#include "formats/events_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/checked.h"
#include "core/base/units.h"
#include "formats/events_decoder.h"
#include "formats/events_input.h"
#include "formats/events_layout.h"
#include "formats/varint.h"

enum { EVENTS_PER_BLOCK = 4096, RAW_BYTES_FIRST = 1 << 19, PIECE_BYTES = 1 << 15 };

enum state { STATE_BETWEEN_MEMBERS, STATE_IN_MEMBER, STATE_DECODING, STATE_FINISHED, STATE_FAILED };

struct events_reader {
    enum state state;
    char *path;
    char *expected_sha256; /* NULL: not checked */
    uint64_t expected_count;
    bool expecting;
    bool wants_times;
    bool gives_times; /* they are wanted, and the file has them */
    unsigned features;
    uint64_t time_ns; /* of the event before */
    bool whole;       /* read from the first byte on: counts and index can be checked */
    uint64_t member_limit;
    struct events_progress done;

    struct member_header header; /* of the member under way */
    uint64_t member_byte;        /* where it starts */
    uint32_t raw_crc;
    uint64_t raw_total;
    uint64_t emitted_count; /* its events handed out */

    bool index_seen;
    uint64_t index_byte;
    uint32_t index_crc; /* of what the index must hold, as far as known */
    uint64_t index_bytes;

    struct diag failure;
    struct events_decoder *decoder;
    z_stream inflate;
    struct events_input input;
    uint8_t *raw; /* content of the events member under way */
    size_t raw_capacity;
    uint8_t piece[PIECE_BYTES]; /* of the content of other members */
    struct event events[EVENTS_PER_BLOCK];
    uint64_t times_ns[EVENTS_PER_BLOCK];
};

static enum err out_of_memory(const char *path, struct diag *diag) {
    return diag_set(diag, ERR_NOMEM, path, "out of memory while reading the events");
}

/* A fault in the content of the member under way. */
static enum err member_fault(const struct events_reader *reader, const char *text, struct diag *diag) {
    return diag_at_byte(diag, ERR_FORMAT, reader->path, reader->member_byte, "%s", text);
}

static enum err cut_fault(const struct events_reader *reader, struct diag *diag) {
    uint64_t end = reader->input.byte + reader->input.available;
    if (!end)
        return diag_set(diag, ERR_TRUNCATED, reader->path, "the events file is empty");
    return diag_at_byte(diag, ERR_TRUNCATED, reader->path, end,
                        "the events file is cut here, in the member that begins at byte %" PRIu64,
                        reader->state == STATE_IN_MEMBER ? reader->member_byte : reader->input.byte);
}

static enum err decoder_renew(struct events_reader *reader, bool anchored, struct diag *diag) {
    struct events_decoder *decoder;
    if (events_decoder_create(anchored, &decoder))
        return out_of_memory(reader->path, diag);
    events_decoder_destroy(reader->decoder);
    reader->decoder = decoder;
    return ERR_OK;
}

static enum err position_set(struct events_reader *reader, uint64_t byte, uint64_t first_event, struct diag *diag) {
    enum err err = events_input_seek(&reader->input, byte, diag);
    if (!err)
        err = decoder_renew(reader, byte == 0, diag);
    if (err)
        return err;
    reader->state = STATE_BETWEEN_MEMBERS;
    reader->whole = byte == 0;
    reader->done = (struct events_progress){.event_count = first_event, .bytes = byte};
    reader->emitted_count = 0;
    reader->time_ns = 0;
    reader->gives_times = reader->wants_times && (reader->features & FEATURE_TIMES);
    reader->index_seen = false;
    reader->index_crc = 0;
    reader->index_bytes = 0;
    return ERR_OK;
}

enum err events_reader_rewind(struct events_reader *reader, struct diag *diag) {
    return position_set(reader, 0, 0, diag);
}

enum err events_reader_seek(struct events_reader *reader, uint64_t byte, uint64_t first_event, struct diag *diag) {
    return position_set(reader, byte, first_event, diag);
}

void events_reader_want_times(struct events_reader *reader, bool wanted) {
    reader->wants_times = wanted;
}

void events_reader_limit(struct events_reader *reader, uint64_t member_count) {
    reader->member_limit = member_count;
}

struct events_progress events_reader_progress(const struct events_reader *reader) {
    return reader->done;
}

/* The first member's header, so that a file of another kind or version is refused before anything is done with it. */
static enum err first_member_look(struct events_reader *reader, struct diag *diag) {
    struct member_header header;
    enum err err = events_input_fill(&reader->input, MEMBER_HEADER_BYTES, diag);
    if (err)
        return err;
    if (reader->input.available < MEMBER_HEADER_BYTES)
        return cut_fault(reader, diag);
    err = member_header_read(reader->input.at, &header, reader->path, 0, diag);
    if (!err)
        reader->features = header.features;
    return err;
}

static enum err reader_prepare(struct events_reader *reader, const char *path, const struct events_expected *expected,
                               struct diag *diag) {
    if (inflateInit2(&reader->inflate, -MAX_WBITS) != Z_OK)
        return out_of_memory(path, diag);
    reader->path = strdup(path);
    if (expected && expected->sha256)
        reader->expected_sha256 = strdup(expected->sha256);
    if (!reader->path || (expected && expected->sha256 && !reader->expected_sha256))
        return out_of_memory(path, diag);
    reader->expecting = expected != NULL;
    reader->expected_count = expected ? expected->event_count : 0;
    reader->member_limit = UINT64_MAX;
    enum err err = events_input_open(&reader->input, reader->path, diag);
    if (!err)
        err = events_reader_rewind(reader, diag);
    return err ? err : first_member_look(reader, diag);
}

enum err events_reader_open(const char *path, const struct events_expected *expected, struct events_reader **out,
                            struct diag *diag) {
    struct events_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return out_of_memory(path, diag);
    reader->input.fd = -1;
    enum err err = reader_prepare(reader, path, expected, diag);
    if (err) {
        events_reader_close(reader);
        return err;
    }
    *out = reader;
    return ERR_OK;
}

void events_reader_close(struct events_reader *reader) {
    if (!reader)
        return;
    events_input_close(&reader->input);
    inflateEnd(&reader->inflate);
    events_decoder_destroy(reader->decoder);
    free(reader->raw);
    free(reader->expected_sha256);
    free(reader->path);
    free(reader);
}

/* What a member's header says, against what came before it. */
static enum err header_check(struct events_reader *reader, struct diag *diag) {
    const struct member_header *header = &reader->header;
    if (header->member_bytes < MEMBER_END_BYTES)
        return member_fault(reader, "this member says it is shorter than any can be", diag);
    if (header->features != reader->features)
        return member_fault(reader, "this member has other features than the first one", diag);
    if (header->events_before != reader->done.event_count)
        return member_fault(reader, "this member does not continue the one before", diag);
    if (reader->index_seen != (header->kind == MEMBER_END))
        return member_fault(reader, "this member is not in its place: events, then the index, then the end", diag);
    switch (header->kind) {
    case MEMBER_EVENTS:
        if (!header->value || header->value > MEMBER_EVENTS_MAX)
            return member_fault(reader, "this member's number of events is out of range", diag);
        break;
    case MEMBER_INDEX:
        if (reader->whole && header->value != reader->done.member_count)
            return member_fault(reader, "the index lists another number of members than there are", diag);
        break;
    case MEMBER_END:
        if (header->value != reader->index_byte || header->member_bytes != MEMBER_END_BYTES)
            return member_fault(reader, "the end member does not point at the index", diag);
        break;
    case MEMBER_KIND_COUNT:
        break;
    }
    return ERR_OK;
}

static enum err member_enter(struct events_reader *reader, struct diag *diag) {
    struct events_input *input = &reader->input;
    enum err err = events_input_fill(input, MEMBER_HEADER_BYTES, diag);
    if (err)
        return err;
    if (input->available < MEMBER_HEADER_BYTES)
        return cut_fault(reader, diag);
    reader->member_byte = input->byte;
    err = member_header_read(input->at, &reader->header, reader->path, input->byte, diag);
    if (!err)
        err = header_check(reader, diag);
    if (err)
        return err;
    events_input_skip(input, MEMBER_HEADER_BYTES);
    inflateReset(&reader->inflate);
    reader->raw_crc = 0;
    reader->raw_total = reader->emitted_count = 0;
    reader->state = STATE_IN_MEMBER;
    return ERR_OK;
}

static enum err raw_account(struct events_reader *reader, const uint8_t *bytes, size_t count, struct diag *diag) {
    reader->raw_crc = (uint32_t)crc32_z(reader->raw_crc, bytes, count);
    reader->raw_total += count;
    if (reader->header.kind == MEMBER_EVENTS && reader->raw_total > MEMBER_RAW_BYTES_MAX)
        return member_fault(reader, "this member unpacks to more than 2 MiB", diag);
    if (reader->header.kind == MEMBER_INDEX && reader->whole && reader->raw_total > reader->index_bytes)
        return member_fault(reader, "the index does not agree with the members", diag);
    return ERR_OK;
}

/* Where the next content goes: the content of events members is kept, that of the others passes by. */
static enum err raw_room(struct events_reader *reader, uint8_t **to, size_t *room, struct diag *diag) {
    if (reader->header.kind != MEMBER_EVENTS) {
        *to = reader->piece;
        *room = PIECE_BYTES;
        return ERR_OK;
    }
    if (reader->raw_total == reader->raw_capacity) {
        size_t capacity = reader->raw_capacity ? 2 * reader->raw_capacity : RAW_BYTES_FIRST;
        uint8_t *raw = realloc(reader->raw, capacity + DECODER_SLACK_BYTES);
        if (!raw)
            return out_of_memory(reader->path, diag);
        memset(raw + capacity, 0, DECODER_SLACK_BYTES);
        reader->raw = raw;
        reader->raw_capacity = capacity;
    }
    *to = reader->raw + reader->raw_total;
    *room = reader->raw_capacity - reader->raw_total;
    return ERR_OK;
}

/* Inflates the next piece of the member; *ended: its compressed data is at its end. */
static enum err raw_inflate(struct events_reader *reader, bool *ended, struct diag *diag) {
    struct events_input *input = &reader->input;
    uint8_t *to = NULL;
    size_t room = 0;
    enum err err = events_input_fill(input, 1, diag);
    if (!err && !input->available)
        err = cut_fault(reader, diag);
    if (!err)
        err = raw_room(reader, &to, &room, diag);
    if (err)
        return err;
    uint64_t limit = reader->member_byte + reader->header.member_bytes - MEMBER_TRAILER_BYTES - input->byte;
    z_stream *stream = &reader->inflate;
    uInt offered = (uInt)(input->available < limit ? input->available : limit);
    stream->next_in = input->at;
    stream->avail_in = offered;
    stream->next_out = to;
    stream->avail_out = (uInt)room;
    int result = inflate(stream, Z_NO_FLUSH);
    events_input_skip(input, offered - stream->avail_in);
    if (result == Z_MEM_ERROR)
        return out_of_memory(reader->path, diag);
    if (result != Z_OK && result != Z_STREAM_END)
        return diag_at_byte(diag, ERR_FORMAT, reader->path, input->byte,
                            "damaged compressed data in the member that begins at byte %" PRIu64, reader->member_byte);
    *ended = result == Z_STREAM_END;
    return raw_account(reader, to, (size_t)(stream->next_out - to), diag);
}

/* What the index must say of the member just read. */
static void index_expect(struct events_reader *reader) {
    uint8_t entry[2 * VARINT_BYTES_MAX];
    size_t bytes =
        (size_t)(varint_write(varint_write(entry, reader->header.member_bytes), reader->header.value) - entry);
    reader->index_crc = (uint32_t)crc32(reader->index_crc, entry, (uInt)bytes);
    reader->index_bytes += bytes;
}

/* All of the file is read: it against what the description says. */
static enum err file_check(struct events_reader *reader, struct diag *diag) {
    char sha256[SHA256_TEXT_BYTES];
    enum err err = events_input_fill(&reader->input, 1, diag);
    if (err)
        return err;
    if (reader->input.available)
        return diag_at_byte(diag, ERR_FORMAT, reader->path, reader->input.byte, "junk behind the end of the trace");
    err = events_input_drain(&reader->input, sha256, diag);
    if (err || !reader->whole || reader->member_limit != UINT64_MAX)
        return err;
    if (reader->expected_sha256 && strcmp(sha256, reader->expected_sha256) != 0)
        return diag_set(
            diag, ERR_CHECKSUM, reader->path,
            "the events can be decoded, but the sha256 of the file is %.16s… where the description says %.16s…", sha256,
            reader->expected_sha256);
    if (reader->expecting && reader->done.event_count != reader->expected_count)
        return diag_set(diag, ERR_INVALID, reader->path, "%" PRIu64 " events where the description says %" PRIu64,
                        reader->done.event_count, reader->expected_count);
    return ERR_OK;
}

static enum err trailer_check(struct events_reader *reader, struct diag *diag) {
    struct events_input *input = &reader->input;
    if (input->byte != reader->member_byte + reader->header.member_bytes - MEMBER_TRAILER_BYTES)
        return member_fault(reader, "this member is shorter than its header says", diag);
    enum err err = events_input_fill(input, MEMBER_TRAILER_BYTES, diag);
    if (err)
        return err;
    if (input->available < MEMBER_TRAILER_BYTES)
        return cut_fault(reader, diag);
    if (little_read(input->at, 4) != reader->raw_crc || little_read(input->at + 4, 4) != reader->raw_total)
        return diag_at_byte(diag, ERR_FORMAT, reader->path, input->byte,
                            "the member that begins at byte %" PRIu64 " does not match its own checksum",
                            reader->member_byte);
    events_input_skip(input, MEMBER_TRAILER_BYTES);
    return ERR_OK;
}

/* An events member's content is whole and intact: now it may be decoded. */
static enum err events_begin(struct events_reader *reader, struct diag *diag) {
    const char *fault;
    enum err err = events_decoder_begin(reader->decoder, reader->raw, reader->raw_total, (uint32_t)reader->header.value,
                                        (reader->features & FEATURE_TIMES) != 0, &fault);
    reader->state = STATE_DECODING;
    if (err == ERR_NOMEM)
        return out_of_memory(reader->path, diag);
    return err ? member_fault(reader, fault, diag) : ERR_OK;
}

static enum err index_check(struct events_reader *reader, struct diag *diag) {
    if (reader->whole && (reader->raw_crc != reader->index_crc || reader->raw_total != reader->index_bytes))
        return member_fault(reader, "the index does not agree with the members", diag);
    reader->index_seen = true;
    reader->index_byte = reader->member_byte;
    reader->state = STATE_BETWEEN_MEMBERS;
    return ERR_OK;
}

/* Reads the member's content to its end, checks it, and does what its kind asks for. */
static enum err member_take(struct events_reader *reader, struct diag *diag) {
    enum err err = ERR_OK;
    for (bool ended = false; !err && !ended;)
        err = raw_inflate(reader, &ended, diag);
    if (!err)
        err = trailer_check(reader, diag);
    if (err)
        return err;
    if (reader->header.kind == MEMBER_EVENTS)
        return events_begin(reader, diag);
    if (reader->header.kind == MEMBER_INDEX)
        return index_check(reader, diag);
    reader->state = STATE_FINISHED;
    return reader->raw_total ? member_fault(reader, "the end member is not empty", diag) : file_check(reader, diag);
}

/* The times of the events just made. Within a member they cannot go back. */
static enum err times_make(struct events_reader *reader, size_t count, const char **fault) {
    enum err err = events_decoder_times(reader->decoder, reader->times_ns, count, fault);
    if (err || !count)
        return err;
    if (reader->times_ns[0] < reader->time_ns) {
        *fault = "this member begins at an earlier time than the one before ends";
        return ERR_FORMAT;
    }
    reader->time_ns = reader->times_ns[count - 1];
    return ERR_OK;
}

/* The next events of the member, or its end. */
static enum err events_make(struct events_reader *reader, size_t *made, struct diag *diag) {
    const char *fault;
    if (events_decoder_done(reader->decoder)) {
        index_expect(reader);
        reader->done.member_count++;
        reader->done.event_count += reader->header.value;
        reader->done.bytes = reader->input.byte;
        reader->emitted_count = 0;
        reader->state = STATE_BETWEEN_MEMBERS;
        return ERR_OK;
    }
    enum err err = events_decoder_run(reader->decoder, reader->events, EVENTS_PER_BLOCK, made, &fault);
    if (!err && reader->gives_times)
        err = times_make(reader, *made, &fault);
    if (err == ERR_NOMEM)
        return out_of_memory(reader->path, diag);
    return err ? member_fault(reader, fault, diag) : ERR_OK;
}

/* Adds to the story what it means for the file as a whole, and keeps it. */
static enum err reader_fail(struct events_reader *reader, enum err err, struct diag *fault) {
    char sha256[SHA256_TEXT_BYTES];
    char count[UNITS_TEXT_BYTES];
    bool damaged = err == ERR_FORMAT || err == ERR_TRUNCATED;
    if (damaged) {
        size_t used = strlen(fault->text);
        if (reader->done.member_count)
            snprintf(fault->text + used, sizeof fault->text - used,
                     "; %" PRIu64 " whole members before it (%s events) can be salvaged by 'mmreplay check --repair'",
                     reader->done.member_count, units_format_count(reader->done.event_count, count));
        else
            snprintf(fault->text + used, sizeof fault->text - used,
                     "; 0 whole members before it: nothing can be salvaged");
    }
    if (damaged && reader->whole && reader->expected_sha256 && !events_input_drain(&reader->input, sha256, NULL) &&
        strcmp(sha256, reader->expected_sha256) != 0) {
        size_t used = strlen(fault->text);
        snprintf(fault->text + used, sizeof fault->text - used,
                 "; the file is not the one described: its sha256 does not match");
        if (err == ERR_FORMAT)
            err = fault->err = ERR_CHECKSUM;
    }
    reader->state = STATE_FAILED;
    reader->failure = *fault;
    return err;
}

static enum err reader_advance(struct events_reader *reader, size_t *made, struct diag *diag) {
    while (!*made && reader->state != STATE_FINISHED) {
        enum err err;
        if (reader->state == STATE_IN_MEMBER)
            err = member_take(reader, diag);
        else if (reader->state == STATE_DECODING)
            err = events_make(reader, made, diag);
        else if (reader->done.member_count == reader->member_limit)
            reader->state = STATE_FINISHED, err = ERR_OK;
        else
            err = member_enter(reader, diag);
        if (err)
            return err;
    }
    return ERR_OK;
}

enum err events_reader_next(struct events_reader *reader, struct event_block *block, struct diag *diag) {
    size_t made = 0;
    if (reader->state != STATE_FAILED) {
        struct diag fault = {.err = ERR_OK};
        enum err err = reader_advance(reader, &made, &fault);
        if (err)
            reader_fail(reader, err, &fault);
    }
    if (reader->state == STATE_FAILED) {
        if (diag)
            *diag = reader->failure;
        return reader->failure.err;
    }
    *block = (struct event_block){.events = reader->events,
                                  .count = made,
                                  .first_index = reader->done.event_count + reader->emitted_count,
                                  .path = reader->path,
                                  .byte = reader->member_byte,
                                  .times_ns = reader->gives_times ? reader->times_ns : NULL};
    reader->emitted_count += made;
    return ERR_OK;
}
