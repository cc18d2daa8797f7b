#include "formats/events_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "formats/events_layout.h"
#include "formats/varint.h"

#define BLOCK_SEQ_MAX (((uint64_t)1 << EVENT_BLOCK_SEQ_BITS) - 1)

/* A thread of the member under way. */
struct local {
    uint64_t births;
    uint64_t last;
    uint32_t thread;
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
    uint32_t local;
    uint64_t distance;
    uint64_t size_bytes;
};

enum phase { PHASE_THREAD_COUNT, PHASE_THREADS, PHASE_TABLE_COUNT, PHASE_TABLE, PHASE_ITEMS };

struct events_decoder {
    enum phase phase;
    uint32_t todo;        /* threads or table entries still to come */
    uint8_t token;        /* of the next table entry */
    uint32_t events_left; /* of the member */
    struct local *locals;
    uint32_t local_count;
    uint32_t local_capacity;
    struct local *current;
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

void events_decoder_begin(struct events_decoder *decoder, uint32_t event_count) {
    threads_settle(decoder);
    decoder->phase = PHASE_THREAD_COUNT;
    decoder->events_left = event_count;
    decoder->local_count = 0;
    decoder->member++;
    for (unsigned token = TOKEN_FIRST; token < 256; token++)
        decoder->table[token].form = FORM_COUNT;
}

bool events_decoder_done(const struct events_decoder *decoder) {
    return decoder->phase == PHASE_ITEMS && decoder->events_left == 0;
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
    uint64_t thread, births;
    if (!varint_read(at, &thread) || !varint_read(at, &births) || thread >> EVENT_THREAD_BITS || births > BLOCK_SEQ_MAX)
        return refuse(fault, "a thread or its number of blocks is out of range");
    enum err err = decoder->anchored ? thread_check(decoder, thread, births, fault) : ERR_OK;
    if (!err)
        err = locals_reserve(decoder, fault);
    if (err)
        return err;
    decoder->locals[decoder->local_count++] =
        (struct local){.births = births, .last = births, .thread = (uint32_t)thread};
    return ERR_OK;
}

static enum err control_read(const struct events_decoder *decoder, struct item *item, const uint8_t **at,
                             const char **fault) {
    uint64_t local = 0;
    if (item->mode >= CONTROL_COUNT)
        return refuse(fault, "an unknown opcode");
    if (item->mode == CONTROL_SWITCH && (!varint_read(at, &local) || local >= decoder->local_count))
        return refuse(fault, "a switch to a thread that the member does not list");
    item->kind = item->mode == CONTROL_THREAD_START ? EVENT_THREAD_START : EVENT_THREAD_END;
    item->local = (uint32_t)local;
    item->domain = 0;
    return ERR_OK;
}

static enum err block_read(const struct events_decoder *decoder, struct item *item, const uint8_t **at,
                           const char **fault) {
    bool other = item->form == FORM_FREE_OTHER || item->form == FORM_REALLOC_OTHER;
    uint64_t local = 0;
    if (item->mode >= MODE_COUNT)
        return refuse(fault, "an unknown opcode");
    if (other && (!varint_read(at, &local) || local >= decoder->local_count))
        return refuse(fault, "a block of a thread that the member does not list");
    if (!varint_read(at, &item->distance) || item->distance > BLOCK_SEQ_MAX)
        return refuse(fault, "a block is out of range");
    item->local = (uint32_t)local;
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
        return control_read(decoder, item, at, fault);
    item->kind = kinds[item->form];
    enum err err = item->form >= FORM_FREE_OWN ? block_read(decoder, item, at, fault) : ERR_OK;
    if (!err && event_makes_block(item->kind))
        err = size_read(item, at, fault);
    return err;
}

/* The number of the block that `item` gives back; 0: its owner has not made it. */
static inline uint64_t block_find(struct local *owner, const struct item *item) {
    uint64_t seq;
    if (item->mode == MODE_AGE)
        seq = owner->births - item->distance;
    else if (item->mode == MODE_FORWARD)
        seq = owner->last + 1 + item->distance;
    else
        seq = owner->last - 1 - item->distance;
    if (seq - 1 >= owner->births) /* 0, above it or below 0: distances are at most 2^40 */
        return 0;
    owner->last = seq;
    return seq;
}

/* Carries out an item; *to is the next event, moved on when the item is one. */
static inline enum err item_apply(struct events_decoder *decoder, const struct item *item, struct event **to,
                                  const char **fault) {
    struct local *current = decoder->current;
    uint64_t block = 0;
    if (item->form >= FORM_FREE_OWN) {
        bool own = item->form == FORM_FREE_OWN || item->form == FORM_REALLOC_OWN;
        struct local *owner = own ? current : &decoder->locals[item->local];
        uint64_t seq = block_find(owner, item);
        if (!seq)
            return refuse(fault, "a block that was never made is given back");
        block = event_block_name(owner->thread, seq);
    } else if (item->form == FORM_CONTROL && item->mode == CONTROL_SWITCH) {
        decoder->current = &decoder->locals[item->local];
        return ERR_OK;
    }
    if (event_makes_block(item->kind) && ++current->births > BLOCK_SEQ_MAX)
        return refuse(fault, "a thread makes more blocks than can be numbered");
    *(*to)++ = (struct event){.size_bytes = item->size_bytes,
                              .block = block,
                              .thread = current->thread,
                              .kind = item->kind,
                              .domain = item->domain,
                              .align_log2 = item->align_log2};
    return ERR_OK;
}

static enum err items_run(struct events_decoder *decoder, struct decoder_piece *piece, const uint8_t *stop,
                          struct event *events, size_t room, size_t *made, const char **fault) {
    const uint8_t *at = piece->from;
    struct event *to = events;
    struct event *full = events + (room < decoder->events_left ? room : decoder->events_left);
    enum err err = ERR_OK;
    while (to < full && at < stop && !err) {
        struct item read;
        const struct item *item = &decoder->table[*at];
        if (*at >= TOKEN_FIRST) {
            at++;
            if (item->form == FORM_COUNT)
                err = refuse(fault, "a token that the member's table does not define");
        } else {
            err = item_read(decoder, &read, &at, fault);
            item = &read;
        }
        if (!err)
            err = item_apply(decoder, item, &to, fault);
    }
    if (at > piece->end)
        err = refuse(fault, "the last item is cut");
    if (err)
        return err;
    decoder->events_left -= (uint32_t)(to - events);
    *made = (size_t)(to - events);
    piece->from = at;
    return ERR_OK;
}

static enum err count_read(struct events_decoder *decoder, const uint8_t **at, uint64_t minimum, uint64_t maximum,
                           const char **fault) {
    uint64_t count;
    if (!varint_read(at, &count) || count < minimum || count > maximum)
        return refuse(fault, "a number of threads or table entries is out of range");
    decoder->todo = (uint32_t)count;
    decoder->token = TOKEN_FIRST;
    decoder->phase++;
    return ERR_OK;
}

/* One step of what comes before the items: a count, a thread or a table entry. */
static enum err head_step(struct events_decoder *decoder, const uint8_t **at, const char **fault) {
    switch (decoder->phase) {
    case PHASE_THREAD_COUNT:
        return count_read(decoder, at, 1, (uint64_t)2 * MEMBER_ITEMS_MAX, fault);
    case PHASE_THREADS:
        decoder->todo--;
        return thread_read(decoder, at, fault);
    case PHASE_TABLE_COUNT:
        return count_read(decoder, at, 0, TABLE_ENTRIES_MAX, fault);
    case PHASE_TABLE:
        if (**at >= TOKEN_FIRST)
            return refuse(fault, "a table entry that is itself a token");
        decoder->todo--;
        return item_read(decoder, &decoder->table[decoder->token++], at, fault);
    case PHASE_ITEMS:
        break;
    }
    return ERR_OK;
}

/* Threads and table, up to the first item. */
static enum err head_run(struct events_decoder *decoder, struct decoder_piece *piece, const uint8_t *stop,
                         const char **fault) {
    while (decoder->phase != PHASE_ITEMS && piece->from < stop) {
        enum err err = head_step(decoder, &piece->from, fault);
        if (err)
            return err;
        if (piece->from > piece->end)
            return refuse(fault, "the list of threads or the table is cut");
        if ((decoder->phase == PHASE_THREADS || decoder->phase == PHASE_TABLE) && !decoder->todo)
            decoder->phase++;
    }
    decoder->current = decoder->locals;
    return ERR_OK;
}

enum err events_decoder_run(struct events_decoder *decoder, struct decoder_piece *piece, struct event *events,
                            size_t room, size_t *made, const char **fault) {
    size_t available = (size_t)(piece->end - piece->from);
    const uint8_t *stop = piece->last                  ? piece->end
                          : available < ITEM_BYTES_MAX ? piece->from
                                                       : piece->end - ITEM_BYTES_MAX;
    size_t count = 0;
    enum err err = ERR_OK;
    if (decoder->phase != PHASE_ITEMS)
        err = head_run(decoder, piece, stop, fault);
    if (!err && decoder->phase == PHASE_ITEMS)
        err = items_run(decoder, piece, stop, events, room, &count, fault);
    if (!err && piece->last && piece->from == piece->end && !events_decoder_done(decoder))
        err = refuse(fault, "the member holds fewer events than its header says");
    if (!err && piece->from < piece->end && events_decoder_done(decoder))
        err = refuse(fault, "the member goes on behind its last event");
    if (!err)
        *made = count;
    return err;
}
