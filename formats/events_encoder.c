#include "formats/events_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "formats/events_layout.h"
#include "formats/varint.h"

enum {
    SHORT_BYTES = 8,                   /* items up to this length can get a token */
    TOKEN_COUNT_MIN = 3,               /* rarer items do not pay for their table entry */
    EXPLICIT_BYTES_FULL = 1 << 20,     /* a member ends when its items without tokens would take this much */
    ITEMS_FULL = MEMBER_ITEMS_MAX - 2, /* room for the last event and the switch before it */
    BUCKETS = 2 * MEMBER_ITEMS_MAX,
    ENTRY_LONG = 0xff
};

struct thread_state {
    uint64_t births; /* blocks made */
    uint64_t last;   /* number of the block it lost last; births at the start of the member when none */
    uint32_t local;  /* its number in the member whose number is `member` */
    uint32_t member;
};

/* A distinct item of the member. */
struct entry {
    uint64_t key; /* the bytes, the first one lowest; of a long item: where its bytes are */
    uint32_t count;
    uint8_t length;
    uint8_t token; /* 0: none */
};

struct item {
    uint8_t length;
    uint8_t bytes[ITEM_BYTES_MAX + VARINT_BYTES_MAX];
};

struct events_encoder {
    struct thread_state *threads;
    uint32_t thread_capacity;
    uint32_t member;      /* number of the member under way, from 1 */
    uint8_t *thread_list; /* of this member: thread and births so far, in order of appearance */
    size_t thread_list_bytes;
    uint32_t local_count;
    uint32_t current; /* thread of the last event in this member */
    uint32_t event_count;

    uint32_t *items; /* entry numbers */
    uint32_t item_count;
    struct entry *entries;
    uint32_t entry_count;
    uint32_t *buckets; /* hash of entries: number + 1 */
    uint8_t *long_bytes;
    size_t long_count;
    size_t explicit_bytes; /* what items and thread list take without tokens */

    uint8_t *raw;
};

/* One event can pass the mark by two items and two threads. */
enum { EXPLICIT_CAPACITY = EXPLICIT_BYTES_FULL + 2 * ITEM_BYTES_MAX + 4 * VARINT_BYTES_MAX };
_Static_assert(EXPLICIT_CAPACITY + 2 * VARINT_BYTES_MAX + TABLE_ENTRIES_MAX * SHORT_BYTES <= MEMBER_RAW_BYTES_MAX,
               "a full member keeps to the limit of readers");

static void member_begin(struct events_encoder *encoder) {
    memset(encoder->buckets, 0, BUCKETS * sizeof *encoder->buckets);
    encoder->member++;
    encoder->local_count = encoder->event_count = encoder->item_count = encoder->entry_count = 0;
    encoder->thread_list_bytes = encoder->long_count = encoder->explicit_bytes = 0;
}

enum err events_encoder_create(struct events_encoder **out) {
    struct events_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return ERR_NOMEM;
    encoder->thread_list = malloc(EXPLICIT_CAPACITY);
    encoder->items = malloc(MEMBER_ITEMS_MAX * sizeof *encoder->items);
    encoder->entries = malloc(MEMBER_ITEMS_MAX * sizeof *encoder->entries);
    encoder->buckets = malloc(BUCKETS * sizeof *encoder->buckets);
    encoder->long_bytes = malloc(EXPLICIT_CAPACITY);
    encoder->raw = malloc(MEMBER_RAW_BYTES_MAX);
    if (!encoder->thread_list || !encoder->items || !encoder->entries || !encoder->buckets || !encoder->long_bytes ||
        !encoder->raw) {
        events_encoder_destroy(encoder);
        return ERR_NOMEM;
    }
    member_begin(encoder);
    *out = encoder;
    return ERR_OK;
}

void events_encoder_destroy(struct events_encoder *encoder) {
    if (!encoder)
        return;
    free(encoder->threads);
    free(encoder->thread_list);
    free(encoder->items);
    free(encoder->entries);
    free(encoder->buckets);
    free(encoder->long_bytes);
    free(encoder->raw);
    free(encoder);
}

static enum err threads_reserve(struct events_encoder *encoder, uint32_t thread) {
    if (thread < encoder->thread_capacity)
        return ERR_OK;
    uint32_t capacity = encoder->thread_capacity ? encoder->thread_capacity : 16;
    while (capacity <= thread)
        capacity *= 2;
    struct thread_state *threads = realloc(encoder->threads, capacity * sizeof *threads);
    if (!threads)
        return ERR_NOMEM;
    memset(threads + encoder->thread_capacity, 0, (capacity - encoder->thread_capacity) * sizeof *threads);
    encoder->threads = threads;
    encoder->thread_capacity = capacity;
    return ERR_OK;
}

/* The thread's state, its local number given when it is new to the member. */
static struct thread_state *thread_use(struct events_encoder *encoder, uint32_t thread) {
    struct thread_state *state = &encoder->threads[thread];
    if (state->member == encoder->member)
        return state;
    state->member = encoder->member;
    state->last = state->births;
    state->local = encoder->local_count++;
    uint8_t *from = encoder->thread_list + encoder->thread_list_bytes;
    size_t bytes = (size_t)(varint_write(varint_write(from, thread), state->births) - from);
    encoder->thread_list_bytes += bytes;
    encoder->explicit_bytes += bytes;
    return state;
}

static void item_begin(struct item *item, enum item_form form, unsigned low) {
    item->length = 1;
    item->bytes[0] = opcode_make(form, low);
}

static void item_append(struct item *item, uint64_t value) {
    item->length = (uint8_t)(varint_write(item->bytes + item->length, value) - item->bytes);
}

static uint32_t bucket_home(uint64_t key, uint8_t length) {
    return (uint32_t)((key + length) * 0x9e3779b97f4a7c15u >> 40) & (BUCKETS - 1);
}

static uint32_t entry_add(struct events_encoder *encoder, uint64_t key, uint8_t length) {
    encoder->entries[encoder->entry_count] = (struct entry){.key = key, .length = length};
    return encoder->entry_count++;
}

/* The entry of a short item, made when it is the first of its kind. */
static uint32_t entry_intern(struct events_encoder *encoder, uint64_t key, uint8_t length) {
    uint32_t bucket = bucket_home(key, length);
    for (; encoder->buckets[bucket]; bucket = (bucket + 1) & (BUCKETS - 1)) {
        const struct entry *entry = &encoder->entries[encoder->buckets[bucket] - 1];
        if (entry->key == key && entry->length == length)
            return encoder->buckets[bucket] - 1;
    }
    uint32_t number = entry_add(encoder, key, length);
    encoder->buckets[bucket] = number + 1;
    return number;
}

static void item_add(struct events_encoder *encoder, const struct item *item) {
    uint32_t number;
    if (item->length <= SHORT_BYTES) {
        uint64_t key = 0;
        for (unsigned i = 0; i < item->length; i++)
            key |= (uint64_t)item->bytes[i] << (8 * i);
        number = entry_intern(encoder, key, item->length);
    } else {
        memcpy(encoder->long_bytes + encoder->long_count, item->bytes, item->length);
        number = entry_add(encoder, encoder->long_count, item->length);
        encoder->long_count += item->length;
    }
    encoder->entries[number].count++;
    encoder->items[encoder->item_count++] = number;
    encoder->explicit_bytes += item->length;
}

/* Age, unless the step from the block the owner lost last is much shorter (a structure being taken down in order). */
static enum block_mode block_distance(struct thread_state *owner, uint64_t seq, uint64_t *distance) {
    uint64_t age = owner->births - seq;
    uint64_t last = owner->last;
    owner->last = seq;
    uint64_t step = seq > last ? seq - last - 1 : last - seq - 1;
    if (seq == last || step >= age / 4) {
        *distance = age;
        return MODE_AGE;
    }
    *distance = step;
    return seq > last ? MODE_FORWARD : MODE_BACKWARD;
}

static void item_begin_block(struct events_encoder *encoder, struct item *item, const struct event *event,
                             enum item_form own, enum item_form other) {
    uint32_t owner_thread = event_block_thread(event->block);
    struct thread_state *owner = thread_use(encoder, owner_thread);
    uint64_t distance;
    enum block_mode mode = block_distance(owner, event_block_seq(event->block), &distance);
    if (owner_thread == event->thread) {
        item_begin(item, own, mode);
    } else {
        item_begin(item, other, mode);
        item_append(item, owner->local);
    }
    item_append(item, distance);
}

static void item_make(struct events_encoder *encoder, struct item *item, const struct event *event) {
    switch ((enum event_kind)event->kind) {
    case EVENT_MALLOC:
        item_begin(item, FORM_MALLOC, event->domain);
        break;
    case EVENT_CALLOC:
        item_begin(item, FORM_CALLOC, event->domain);
        break;
    case EVENT_ALIGNED_ALLOC:
        item_begin(item, FORM_ALIGNED_ALLOC, event->domain);
        item_append(item, event->align_log2);
        break;
    case EVENT_REALLOC:
        if (event->block)
            item_begin_block(encoder, item, event, FORM_REALLOC_OWN, FORM_REALLOC_OTHER);
        else
            item_begin(item, FORM_REALLOC_NULL, event->domain);
        break;
    case EVENT_FREE:
        if (event->block)
            item_begin_block(encoder, item, event, FORM_FREE_OWN, FORM_FREE_OTHER);
        else
            item_begin(item, FORM_FREE_NULL, event->domain);
        break;
    case EVENT_THREAD_START:
        item_begin(item, FORM_CONTROL, CONTROL_THREAD_START);
        break;
    case EVENT_THREAD_END:
    case EVENT_KIND_COUNT:
        item_begin(item, FORM_CONTROL, CONTROL_THREAD_END);
        break;
    }
    if (event_makes_block(event->kind))
        item_append(item, event->size_bytes);
}

enum err events_encoder_add(struct events_encoder *encoder, const struct event *event) {
    struct item item;
    enum err err = threads_reserve(encoder, event->thread);
    if (err)
        return err;
    struct thread_state *thread = thread_use(encoder, event->thread);
    if (encoder->event_count && event->thread != encoder->current) {
        item_begin(&item, FORM_CONTROL, CONTROL_SWITCH);
        item_append(&item, thread->local);
        item_add(encoder, &item);
    }
    encoder->current = event->thread;
    item_make(encoder, &item, event);
    item_add(encoder, &item);
    thread->births += (uint64_t)event_makes_block(event->kind);
    encoder->event_count++;
    return ERR_OK;
}

bool events_encoder_full(const struct events_encoder *encoder) {
    return encoder->item_count > ITEMS_FULL || encoder->explicit_bytes >= EXPLICIT_BYTES_FULL;
}

uint32_t events_encoder_count(const struct events_encoder *encoder) {
    return encoder->event_count;
}

/* Most frequent first; equally frequent ones in order of appearance, so that output depends on nothing else. */
static int entry_order(const void *left, const void *right) {
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a < b ? -1 : 1;
}

static uint8_t *entry_write(const struct events_encoder *encoder, const struct entry *entry, uint8_t *to) {
    if (entry->length <= SHORT_BYTES)
        little_write(to, entry->key, entry->length);
    else
        memcpy(to, encoder->long_bytes + entry->key, entry->length);
    return to + entry->length;
}

/* Gives tokens to the best entries and writes the table. */
static enum err table_write(struct events_encoder *encoder, uint8_t **to) {
    struct entry **order = malloc((encoder->entry_count + 1) * sizeof(struct entry *));
    size_t candidates = 0;
    if (!order)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < encoder->entry_count; i++)
        if (encoder->entries[i].length <= SHORT_BYTES && encoder->entries[i].count >= TOKEN_COUNT_MIN)
            order[candidates++] = &encoder->entries[i];
    qsort(order, candidates, sizeof(struct entry *), entry_order);
    size_t chosen = candidates < TABLE_ENTRIES_MAX ? candidates : TABLE_ENTRIES_MAX;
    *to = varint_write(*to, chosen);
    for (size_t i = 0; i < chosen; i++) {
        order[i]->token = (uint8_t)(TOKEN_FIRST + i);
        *to = entry_write(encoder, order[i], *to);
    }
    free(order);
    return ERR_OK;
}

static uint8_t *items_write(const struct events_encoder *encoder, uint8_t *to) {
    for (uint32_t i = 0; i < encoder->item_count; i++) {
        const struct entry *entry = &encoder->entries[encoder->items[i]];
        if (entry->token)
            *to++ = entry->token;
        else
            to = entry_write(encoder, entry, to);
    }
    return to;
}

enum err events_encoder_take(struct events_encoder *encoder, const uint8_t **bytes, size_t *count) {
    uint8_t *to = varint_write(encoder->raw, encoder->local_count);
    memcpy(to, encoder->thread_list, encoder->thread_list_bytes);
    to += encoder->thread_list_bytes;
    enum err err = table_write(encoder, &to);
    if (err)
        return err;
    to = items_write(encoder, to);
    *bytes = encoder->raw;
    *count = (size_t)(to - encoder->raw);
    member_begin(encoder);
    return ERR_OK;
}
