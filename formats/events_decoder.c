#include "formats/events_decoder.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "formats/events_layout.h"
#include "formats/events_times.h"
#include "formats/varint.h"

#define BLOCK_SEQ_MAX (((uint64_t)1 << EVENT_BLOCK_SEQ_BITS) - 1)

/* A thread of the member under way. */
struct local {
    uint64_t births;
    uint64_t last;
    const uint8_t *at;  /* the next byte of its stream */
    const uint8_t *end; /* of its stream */
    uint32_t thread;
    uint32_t stream_bytes;
};

/* A thread of the whole trace, kept when anchored. */
struct known {
    uint64_t births;
    uint32_t member; /* the last one that listed it */
};

/* An item, its operands read. */
struct item {
    uint8_t form; /* FORM_COUNT: none */
    uint8_t mode; /* or control */
    uint8_t kind; /* of the event it makes */
    uint8_t domain;
    uint8_t align_log2;
    uint8_t distance_class;
    uint32_t local;
    uint64_t size_bytes;
};

struct events_decoder {
    struct local *locals;
    uint32_t local_count;
    uint32_t local_capacity;
    uint32_t events_left; /* of the member */
    struct local *current;
    uint64_t run_left; /* events until the next entry of the schedule */
    const uint8_t *schedule, *schedule_end;
    const uint8_t *bits;
    uint64_t bit_at, bit_end;
    const uint8_t *times; /* NULL: the member has none */
    uint64_t times_bytes;
    uint32_t event_count;
    bool is_timing; /* the cursor has begun */
    struct times_cursor times_cursor;
    bool anchored;
    uint32_t member;
    struct known *known;
    uint32_t known_count;
    uint32_t known_capacity;
    struct item table[256]; /* by token; entries below TOKEN_FIRST are never used */
};

enum err events_decoder_create(bool anchored, struct events_decoder **out) {
    struct events_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return ERR_NOMEM;
    decoder->anchored = anchored;
    *out = decoder;
    return ERR_OK;
}

void events_decoder_destroy(struct events_decoder *decoder) {
    if (!decoder)
        return;
    free(decoder->locals);
    free(decoder->known);
    free(decoder);
}

/* Writes what the member's threads made back to the trace's. */
static void threads_settle(struct events_decoder *decoder) {
    for (uint32_t i = 0; decoder->anchored && i < decoder->local_count; i++)
        decoder->known[decoder->locals[i].thread].births = decoder->locals[i].births;
}

bool events_decoder_done(const struct events_decoder *decoder) {
    return decoder->events_left == 0;
}

/* Records the fault; the one way out of everything below. */
static enum err refuse(const char **fault, const char *text) {
    *fault = text;
    return ERR_FORMAT;
}

static enum err locals_reserve(struct events_decoder *decoder, const char **fault) {
    if (decoder->local_count < decoder->local_capacity)
        return ERR_OK;
    uint32_t capacity = decoder->local_capacity ? decoder->local_capacity * 2 : 16;
    struct local *locals = realloc(decoder->locals, capacity * sizeof *locals);
    if (!locals) {
        *fault = "out of memory";
        return ERR_NOMEM;
    }
    decoder->locals = locals;
    decoder->local_capacity = capacity;
    return ERR_OK;
}

static enum err known_reserve(struct events_decoder *decoder, const char **fault) {
    if (decoder->known_count < decoder->known_capacity)
        return ERR_OK;
    uint32_t capacity = decoder->known_capacity ? decoder->known_capacity * 2 : 16;
    struct known *known = realloc(decoder->known, capacity * sizeof *known);
    if (!known) {
        *fault = "out of memory";
        return ERR_NOMEM;
    }
    decoder->known = known;
    decoder->known_capacity = capacity;
    return ERR_OK;
}

/* Members in order: a thread is the next new one, or what is said of it agrees with what came before. */
static enum err thread_check(struct events_decoder *decoder, uint64_t thread, uint64_t births, const char **fault) {
    if (thread > decoder->known_count)
        return refuse(fault, "a thread is listed before its time");
    if (thread == decoder->known_count) {
        enum err err = known_reserve(decoder, fault);
        if (err)
            return err;
        decoder->known[decoder->known_count++] = (struct known){0};
    }
    struct known *known = &decoder->known[thread];
    if (known->member == decoder->member)
        return refuse(fault, "a thread is listed twice");
    if (known->births != births)
        return refuse(fault, "the blocks a thread is said to have made disagree with the members before");
    known->member = decoder->member;
    return ERR_OK;
}

static enum err thread_read(struct events_decoder *decoder, const uint8_t **at, const char **fault) {
    uint64_t thread, births, stream_bytes;
    if (!varint_read(at, &thread) || !varint_read(at, &births) || !varint_read(at, &stream_bytes) ||
        thread >> EVENT_THREAD_BITS || births > BLOCK_SEQ_MAX || stream_bytes > MEMBER_RAW_BYTES_MAX)
        return refuse(fault, "a thread, its number of blocks or its number of bytes is out of range");
    enum err err = decoder->anchored ? thread_check(decoder, thread, births, fault) : ERR_OK;
    if (!err)
        err = locals_reserve(decoder, fault);
    if (err)
        return err;
    decoder->locals[decoder->local_count++] = (struct local){
        .births = births, .last = births, .thread = (uint32_t)thread, .stream_bytes = (uint32_t)stream_bytes};
    return ERR_OK;
}

static enum err control_read(struct item *item, const char **fault) {
    if (item->mode >= CONTROL_COUNT)
        return refuse(fault, "an unknown opcode");
    item->kind = item->mode == CONTROL_THREAD_START ? EVENT_THREAD_START : EVENT_THREAD_END;
    item->domain = 0;
    return ERR_OK;
}

static enum err block_read(const struct events_decoder *decoder, struct item *item, const uint8_t **at,
                           const char **fault) {
    bool other = item->form == FORM_FREE_OTHER || item->form == FORM_REALLOC_OTHER;
    uint64_t local = 0, class;
    if (item->mode >= MODE_COUNT)
        return refuse(fault, "an unknown opcode");
    if (other && (!varint_read(at, &local) || local >= decoder->local_count))
        return refuse(fault, "a block of a thread that the member does not list");
    if (!varint_read(at, &class) || class > DISTANCE_CLASS_MAX)
        return refuse(fault, "a distance is out of range");
    item->local = (uint32_t)local;
    item->distance_class = (uint8_t) class;
    item->domain = 0;
    return ERR_OK;
}

static enum err size_read(struct item *item, const uint8_t **at, const char **fault) {
    uint64_t align_log2 = 0;
    if (item->form == FORM_ALIGNED_ALLOC && (!varint_read(at, &align_log2) || align_log2 > EVENT_ALIGN_LOG2_MAX))
        return refuse(fault, "an alignment is out of range");
    if (!varint_read(at, &item->size_bytes) || item->size_bytes > EVENT_SIZE_MAX)
        return refuse(fault, "a request is larger than 2^47 bytes");
    item->align_log2 = (uint8_t)align_log2;
    return ERR_OK;
}

/* Reads the item at *at (ITEM_BYTES_MAX bytes are readable); its opcode is below TOKEN_FIRST. */
static enum err item_read(const struct events_decoder *decoder, struct item *item, const uint8_t **at,
                          const char **fault) {
    static const uint8_t kinds[] = {
        [FORM_FREE_NULL] = EVENT_FREE,        [FORM_MALLOC] = EVENT_MALLOC,
        [FORM_CALLOC] = EVENT_CALLOC,         [FORM_ALIGNED_ALLOC] = EVENT_ALIGNED_ALLOC,
        [FORM_REALLOC_NULL] = EVENT_REALLOC,  [FORM_FREE_OWN] = EVENT_FREE,
        [FORM_FREE_OTHER] = EVENT_FREE,       [FORM_REALLOC_OWN] = EVENT_REALLOC,
        [FORM_REALLOC_OTHER] = EVENT_REALLOC,
    };
    uint8_t opcode = *(*at)++;
    *item = (struct item){.form = opcode >> 2, .mode = opcode & 3, .domain = opcode & 3};
    if (item->form >= FORM_COUNT)
        return refuse(fault, "an unknown opcode");
    if (item->form == FORM_CONTROL)
        return control_read(item, fault);
    item->kind = kinds[item->form];
    enum err err = item->form >= FORM_FREE_OWN ? block_read(decoder, item, at, fault) : ERR_OK;
    if (!err && event_makes_block(item->kind))
        err = size_read(item, at, fault);
    return err;
}

static enum err table_read(struct events_decoder *decoder, const uint8_t **at, const uint8_t *end, const char **fault) {
    uint64_t count;
    for (unsigned token = TOKEN_FIRST; token < 256; token++)
        decoder->table[token].form = FORM_COUNT;
    if (*at >= end || !varint_read(at, &count) || count > TABLE_ENTRIES_MAX)
        return refuse(fault, "the number of table entries is out of range");
    for (unsigned token = TOKEN_FIRST; token < TOKEN_FIRST + count; token++) {
        if (*at >= end)
            return refuse(fault, "the table is cut");
        if (**at >= TOKEN_FIRST)
            return refuse(fault, "a table entry that is itself a token");
        enum err err = item_read(decoder, &decoder->table[token], at, fault);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err threads_read(struct events_decoder *decoder, const uint8_t **at, const uint8_t *end,
                             const char **fault) {
    uint64_t count;
    decoder->local_count = 0;
    if (*at >= end || !varint_read(at, &count) || !count || count > (uint64_t)2 * MEMBER_EVENTS_MAX)
        return refuse(fault, "the number of threads is out of range");
    for (; count; count--) {
        if (*at >= end)
            return refuse(fault, "the list of threads is cut");
        enum err err = thread_read(decoder, at, fault);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* A part of the member led by its length. */
static enum err part_read(const uint8_t **at, const uint8_t *end, const uint8_t **part, uint64_t *bytes,
                          const char **fault) {
    if (*at >= end || !varint_read(at, bytes) || *at > end || *bytes > (uint64_t)(end - *at))
        return refuse(fault, "a part is longer than the member");
    *part = *at;
    *at += *bytes;
    return ERR_OK;
}

/* The streams lie one behind the other and fill what is left. */
static enum err streams_place(struct events_decoder *decoder, const uint8_t *at, const uint8_t *end,
                              const char **fault) {
    for (uint32_t i = 0; i < decoder->local_count; i++) {
        struct local *local = &decoder->locals[i];
        if (at > end || local->stream_bytes > (uint64_t)(end - at))
            return refuse(fault, "the streams of the threads are longer than the member");
        local->at = at;
        at += local->stream_bytes;
        local->end = at;
    }
    return at == end ? ERR_OK : refuse(fault, "the member goes on behind its last stream");
}

static enum err member_read(struct events_decoder *decoder, const uint8_t *at, const uint8_t *end, bool has_times,
                            const char **fault) {
    uint64_t schedule_bytes, bits_bytes;
    enum err err = threads_read(decoder, &at, end, fault);
    if (!err)
        err = table_read(decoder, &at, end, fault);
    if (!err)
        err = part_read(&at, end, &decoder->schedule, &schedule_bytes, fault);
    if (!err)
        err = part_read(&at, end, &decoder->bits, &bits_bytes, fault);
    if (!err && has_times)
        err = part_read(&at, end, &decoder->times, &decoder->times_bytes, fault);
    if (!err)
        err = streams_place(decoder, at, end, fault);
    if (err)
        return err;
    decoder->schedule_end = decoder->schedule + schedule_bytes;
    decoder->bit_at = 0;
    decoder->bit_end = bits_bytes * 8;
    decoder->run_left = 0;
    decoder->current = decoder->locals;
    return ERR_OK;
}

enum err events_decoder_begin(struct events_decoder *decoder, const uint8_t *raw, size_t bytes, uint32_t event_count,
                              bool has_times, const char **fault) {
    threads_settle(decoder);
    decoder->member++;
    decoder->local_count = 0;
    decoder->events_left = 0;
    decoder->times = NULL;
    decoder->is_timing = false;
    decoder->event_count = event_count;
    if (bytes > MEMBER_RAW_BYTES_MAX)
        return refuse(fault, "the member is too long");
    enum err err = member_read(decoder, raw, raw + bytes, has_times, fault);
    if (!err)
        decoder->events_left = event_count;
    return err;
}

/* The next `count` (< 57) of the bits; false when there are no more. */
static inline bool bits_take(struct events_decoder *decoder, unsigned count, uint64_t *out) {
    uint64_t word;
    if (count > decoder->bit_end - decoder->bit_at)
        return false;
    memcpy(&word, decoder->bits + (decoder->bit_at >> 3), sizeof word);
    *out = le64toh(word) >> (decoder->bit_at & 7) & (((uint64_t)1 << count) - 1);
    decoder->bit_at += count;
    return true;
}

/* The number of the block that `item` gives back; 0: its owner has not made it, or the bits are at their end. */
static inline uint64_t block_find(struct events_decoder *decoder, struct local *owner, const struct item *item) {
    uint64_t seq, distance = distance_base(item->distance_class), extra;
    if (item->distance_class >= DISTANCE_EXACT) {
        if (!bits_take(decoder, distance_extra_bits(item->distance_class), &extra))
            return 0;
        distance += extra;
    }
    if (item->mode == MODE_AGE)
        seq = owner->births - distance;
    else if (item->mode == MODE_FORWARD)
        seq = owner->last + 1 + distance;
    else
        seq = owner->last - 1 - distance;
    if (seq - 1 >= owner->births) /* 0, above it or below 0: distances are at most 2^40 */
        return 0;
    owner->last = seq;
    return seq;
}

/* Makes the event of an item. */
static inline enum err item_apply(struct events_decoder *decoder, const struct item *item, struct event *to,
                                  const char **fault) {
    struct local *current = decoder->current;
    uint64_t block = 0;
    if (item->form >= FORM_FREE_OWN) {
        bool own = item->form == FORM_FREE_OWN || item->form == FORM_REALLOC_OWN;
        struct local *owner = own ? current : &decoder->locals[item->local];
        uint64_t seq = block_find(decoder, owner, item);
        if (!seq)
            return refuse(fault, "a block that was never made is given back");
        block = event_block_name(owner->thread, seq);
    }
    if (event_makes_block(item->kind) && ++current->births > BLOCK_SEQ_MAX)
        return refuse(fault, "a thread makes more blocks than can be numbered");
    *to = (struct event){.size_bytes = item->size_bytes,
                         .block = block,
                         .thread = current->thread,
                         .kind = item->kind,
                         .domain = item->domain,
                         .align_log2 = item->align_log2};
    return ERR_OK;
}

static enum err schedule_step(struct events_decoder *decoder, const char **fault) {
    uint64_t local, more;
    if (decoder->schedule >= decoder->schedule_end)
        return refuse(fault, "the schedule ends before the events");
    if (!varint_read(&decoder->schedule, &local) || !varint_read(&decoder->schedule, &more) ||
        decoder->schedule > decoder->schedule_end || local >= decoder->local_count || more >= decoder->events_left)
        return refuse(fault, "a run of events is out of range");
    decoder->current = &decoder->locals[local];
    decoder->run_left = more + 1;
    return ERR_OK;
}

/* `count` events of the current thread. */
static enum err run_decode(struct events_decoder *decoder, struct event *to, size_t count, const char **fault) {
    const uint8_t *at = decoder->current->at, *end = decoder->current->end;
    for (struct event *stop = to + count; to < stop; to++) {
        struct item read;
        if (at >= end)
            return refuse(fault, "the stream of a thread ends before its events");
        const struct item *item = &decoder->table[*at];
        if (*at < TOKEN_FIRST) {
            enum err err = item_read(decoder, &read, &at, fault);
            if (err)
                return err;
            item = &read;
        } else if (at++, item->form == FORM_COUNT) {
            return refuse(fault, "a token that the member's table does not define");
        }
        enum err err = item_apply(decoder, item, to, fault);
        if (err)
            return err;
    }
    if (at > end)
        return refuse(fault, "the last item of a stream is cut");
    decoder->current->at = at;
    return ERR_OK;
}

/* After the last event: nothing may be left over, padding bits apart. */
static enum err member_end_check(const struct events_decoder *decoder, const char **fault) {
    if (decoder->schedule != decoder->schedule_end || decoder->bit_end - decoder->bit_at >= 8)
        return refuse(fault, "the schedule or the bits go on behind the last event");
    for (uint32_t i = 0; i < decoder->local_count; i++)
        if (decoder->locals[i].at != decoder->locals[i].end)
            return refuse(fault, "the stream of a thread goes on behind its last event");
    return ERR_OK;
}

enum err events_decoder_run(struct events_decoder *decoder, struct event *events, size_t room, size_t *made,
                            const char **fault) {
    size_t count = 0;
    enum err err = ERR_OK;
    bool was_done = events_decoder_done(decoder);
    while (!err && count < room && decoder->events_left) {
        if (!decoder->run_left && (err = schedule_step(decoder, fault)))
            break;
        size_t run = room - count < decoder->run_left ? room - count : decoder->run_left;
        err = run_decode(decoder, events + count, run, fault);
        decoder->run_left -= run;
        decoder->events_left -= (uint32_t)run;
        count += run;
    }
    if (!err && !was_done && events_decoder_done(decoder))
        err = member_end_check(decoder, fault);
    if (!err)
        *made = count;
    return err;
}

enum err events_decoder_times(struct events_decoder *decoder, uint64_t *times_ns, size_t count, const char **fault) {
    enum err err = ERR_OK;
    if (!decoder->times)
        return refuse(fault, "the member has no times");
    if (!decoder->is_timing)
        err = times_cursor_begin(&decoder->times_cursor, decoder->times, decoder->times_bytes, decoder->event_count,
                                 fault);
    decoder->is_timing = true;
    return err ? err : times_cursor_run(&decoder->times_cursor, times_ns, count, fault);
}
