#include "formats/events_encoder.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "formats/events_layout.h"
#include "formats/events_times.h"
#include "formats/varint.h"

enum {
    SHORT_BYTES = 8,               /* items up to this length can get a token */
    TOKEN_COUNT_MIN = 3,           /* rarer items do not pay for their table entry */
    EXPLICIT_BYTES_FULL = 1 << 20, /* a member ends when it would take this much without tokens */
    BUCKETS_FIRST = 1 << 11,
    BUCKETS_GROWTH = 4, /* four times from the first number to the last */
    BUCKETS_MAX = 2 * MEMBER_EVENTS_MAX,
    MEMBER_EVENTS_LOG2 = 18,
    THREAD_BYTES_MAX = 3 * VARINT_BYTES_MAX, /* an entry of the list of threads */
    RUN_BYTES_MAX = 2 * 4                    /* an entry of the schedule */
};

struct thread_state {
    uint64_t births; /* blocks made */
    uint64_t last;   /* number of the block it lost last; births at the start of the member when none */
    uint32_t local;  /* its number in the member whose number is `member` */
    uint32_t member;
};

/* A thread of the member. */
struct local {
    uint64_t births_before;
    uint32_t thread;
    uint32_t stream_bytes;
    uint8_t *to, *end; /* where its stream goes on, and how far */
};

/* Events in a row of one thread. */
struct run {
    uint32_t local;
    uint32_t count;
};

/* A distinct item of the member. */
struct entry {
    uint64_t key; /* the bytes, the first one lowest; of a long item: where its bytes are */
    uint32_t count;
    uint8_t length;
};

struct item {
    uint64_t key; /* the first SHORT_BYTES bytes, the first one lowest */
    uint32_t length;
    uint8_t bytes[SHORT_BYTES + ITEM_BYTES_MAX + VARINT_BYTES_MAX]; /* all of them, of a longer item */
};

struct events_encoder {
    struct thread_state *threads;
    uint32_t thread_capacity;
    uint32_t member; /* number of the member under way, from 1 */
    struct local *locals;
    uint32_t local_count;
    struct run *runs;
    uint32_t run_count;
    uint8_t *bits;
    uint64_t bit_count;
    uint64_t bit_rest; /* those that do not make a byte yet */

    uint32_t *items; /* entry number of every event */
    uint32_t item_count;
    struct entry *entries;
    uint32_t entry_count;
    uint32_t *buckets;    /* hash of entries: number, and above it the member it is of; others are empty */
    uint32_t bucket_mask; /* as many as the entries want: few, of an ordinary member, stay in the cache */
    uint32_t bucket_member;
    uint8_t *long_bytes;
    size_t long_count;
    size_t explicit_bytes; /* what all of it takes without tokens */

    uint64_t *times_ns; /* of every event; NULL: the trace has none */
    bool is_time_run;   /* the last two events happened at the same time */
    struct encoded_times times;

    uint8_t *raw;
};

/* One event can pass the mark by an item, two threads, a run, a distance and a time. */
enum {
    EXPLICIT_CAPACITY =
        EXPLICIT_BYTES_FULL + ITEM_BYTES_MAX + 2 * THREAD_BYTES_MAX + RUN_BYTES_MAX + 8 + VARINT_BYTES_MAX
};
_Static_assert(EXPLICIT_CAPACITY + 4 * VARINT_BYTES_MAX + TABLE_ENTRIES_MAX * SHORT_BYTES + TIMES_HEAD_BYTES_MAX <=
                   MEMBER_RAW_BYTES_MAX,
               "a full member keeps to the limit of readers");
_Static_assert((uint64_t)BUCKETS_FIRST *BUCKETS_GROWTH *BUCKETS_GROWTH *BUCKETS_GROWTH *BUCKETS_GROWTH == BUCKETS_MAX,
               "growing ends at the last number");
_Static_assert(1 << MEMBER_EVENTS_LOG2 == MEMBER_EVENTS_MAX, "the number of an entry fits below that of its member");

/* Members, and tables that were too small, count round, and not from 0, which stands for an empty bucket. */
static void buckets_begin(struct events_encoder *encoder, uint32_t count) {
    encoder->bucket_mask = count - 1;
    if (++encoder->bucket_member < (uint32_t)1 << (32 - MEMBER_EVENTS_LOG2))
        return;
    memset(encoder->buckets, 0, BUCKETS_MAX * sizeof *encoder->buckets);
    encoder->bucket_member = 1;
}

static void member_begin(struct events_encoder *encoder) {
    buckets_begin(encoder, BUCKETS_FIRST);
    encoder->member++;
    encoder->local_count = encoder->run_count = encoder->item_count = encoder->entry_count = 0;
    encoder->bit_count = encoder->bit_rest = 0;
    encoder->is_time_run = false;
    encoder->long_count = encoder->explicit_bytes = 0;
}

enum err events_encoder_create(struct events_encoder **out) {
    struct events_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return ERR_NOMEM;
    encoder->locals = malloc((EXPLICIT_BYTES_FULL / THREAD_BYTES_MAX + 3) * sizeof *encoder->locals);
    encoder->runs = malloc(MEMBER_EVENTS_MAX * sizeof *encoder->runs);
    encoder->bits = malloc(EXPLICIT_CAPACITY);
    encoder->items = malloc(MEMBER_EVENTS_MAX * sizeof *encoder->items);
    encoder->entries = malloc(MEMBER_EVENTS_MAX * sizeof *encoder->entries);
    encoder->buckets = calloc(BUCKETS_MAX, sizeof *encoder->buckets);
    encoder->long_bytes = malloc(EXPLICIT_CAPACITY);
    encoder->raw = malloc(MEMBER_RAW_BYTES_MAX);
    if (!encoder->locals || !encoder->runs || !encoder->bits || !encoder->items || !encoder->entries ||
        !encoder->buckets || !encoder->long_bytes || !encoder->raw) {
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
    free(encoder->locals);
    free(encoder->runs);
    free(encoder->bits);
    free(encoder->items);
    free(encoder->entries);
    free(encoder->buckets);
    free(encoder->long_bytes);
    free(encoder->times_ns);
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

static __attribute__((noinline)) void thread_list(struct events_encoder *encoder, struct thread_state *state) {
    state->member = encoder->member;
    state->last = state->births;
    state->local = encoder->local_count++;
    encoder->locals[state->local] =
        (struct local){.births_before = state->births, .thread = (uint32_t)(state - encoder->threads)};
    encoder->explicit_bytes += THREAD_BYTES_MAX;
}

/* The thread's state, its local number given when it is new to the member. */
static inline struct thread_state *thread_use(struct events_encoder *encoder, uint32_t thread) {
    struct thread_state *state = &encoder->threads[thread];
    if (__builtin_expect(state->member != encoder->member, 0))
        thread_list(encoder, state);
    return state;
}

static inline void item_begin(struct item *item, enum item_form form, unsigned low) {
    item->key = opcode_make(form, low);
    item->length = 1;
}

/* The first bytes, which the key alone has while there are no more of them, come to stand before the others. */
static __attribute__((noinline)) void item_append_long(struct item *item, uint64_t value) {
    if (item->length <= SHORT_BYTES)
        little_write(item->bytes, item->key, SHORT_BYTES);
    const uint8_t *end = varint_write(item->bytes + item->length, value);
    item->length = (uint32_t)(end - item->bytes);
    item->key = little_read(item->bytes, item->length < SHORT_BYTES ? item->length : SHORT_BYTES);
}

/* Whether a value takes one byte or two is as good as random: no branch on it. */
static inline void item_append(struct item *item, uint64_t value) {
    if (__builtin_expect(value >= 1 << 14 || item->length > SHORT_BYTES - 2, 0)) {
        item_append_long(item, value);
        return;
    }
    unsigned is_two = value >= 0x80;
    item->key |= ((value & 0x7f) | is_two << 7 | value >> 7 << 8) << 8 * item->length;
    item->length += 1 + is_two;
}

static inline uint32_t bucket_home(const struct events_encoder *encoder, uint64_t key, uint32_t length) {
    return (uint32_t)((key + length) * 0x9e3779b97f4a7c15u >> 40) & encoder->bucket_mask;
}

static uint32_t entry_add(struct events_encoder *encoder, uint64_t key, uint32_t length) {
    encoder->entries[encoder->entry_count] = (struct entry){.key = key, .length = (uint8_t)length};
    return encoder->entry_count++;
}

static void bucket_fill(struct events_encoder *encoder, uint32_t bucket, uint32_t number) {
    encoder->buckets[bucket] = encoder->bucket_member << MEMBER_EVENTS_LOG2 | number;
}

/* The bucket that holds the short item, or the empty one where it belongs. */
static inline bool bucket_find(const struct events_encoder *encoder, uint64_t key, uint32_t length, uint32_t *bucket) {
    for (uint32_t i = bucket_home(encoder, key, length);; i = (i + 1) & encoder->bucket_mask) {
        uint32_t content = encoder->buckets[i];
        const struct entry *entry = &encoder->entries[content & (MEMBER_EVENTS_MAX - 1)];
        bool is_used = content >> MEMBER_EVENTS_LOG2 == encoder->bucket_member;
        *bucket = i;
        if (!is_used || (entry->key == key && entry->length == length))
            return is_used;
    }
}

static __attribute__((noinline)) void buckets_grow(struct events_encoder *encoder) {
    uint32_t bucket;
    buckets_begin(encoder, BUCKETS_GROWTH * (encoder->bucket_mask + 1));
    for (uint32_t i = 0; i < encoder->entry_count; i++) {
        const struct entry *entry = &encoder->entries[i];
        if (entry->length <= SHORT_BYTES && !bucket_find(encoder, entry->key, entry->length, &bucket))
            bucket_fill(encoder, bucket, i);
    }
}

/* The entry of a short item, made when it is the first of its kind. */
static inline uint32_t entry_intern(struct events_encoder *encoder, uint64_t key, uint32_t length) {
    uint32_t bucket;
    if (bucket_find(encoder, key, length, &bucket))
        return encoder->buckets[bucket] & (MEMBER_EVENTS_MAX - 1);
    uint32_t number = entry_add(encoder, key, length);
    bucket_fill(encoder, bucket, number);
    if (encoder->entry_count * 2 > encoder->bucket_mask + 1)
        buckets_grow(encoder);
    return number;
}

static inline void item_add(struct events_encoder *encoder, const struct item *item) {
    uint32_t number;
    if (item->length <= SHORT_BYTES) {
        number = entry_intern(encoder, item->key, item->length);
    } else {
        memcpy(encoder->long_bytes + encoder->long_count, item->bytes, item->length);
        number = entry_add(encoder, encoder->long_count, item->length);
        encoder->long_count += item->length;
    }
    encoder->entries[number].count++;
    encoder->items[encoder->item_count++] = number;
    encoder->explicit_bytes += item->length;
}

/* Stores only: a load of what was just stored, shifted by a byte, would wait for it to reach the cache. */
static inline void bits_append(struct events_encoder *encoder, uint64_t value, unsigned count) {
    uint64_t word = htole64(encoder->bit_rest |= value << encoder->bit_count % 8);
    memcpy(encoder->bits + encoder->bit_count / 8, &word, sizeof word);
    unsigned whole = (encoder->bit_count % 8 + count) & ~7u;
    encoder->bit_rest >>= whole;
    encoder->bit_count += count;
}

/* Age, unless the step from the block the owner lost last is much shorter (a structure being taken down in order). */
static inline enum block_mode block_distance(struct thread_state *owner, uint64_t seq, uint64_t *distance) {
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

static inline void item_begin_block(struct events_encoder *encoder, struct item *item, const struct event *event,
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
    unsigned class = distance_class(distance), extra = distance_extra_bits(class);
    item_append(item, class);
    bits_append(encoder, distance - distance_base(class), extra);
    encoder->explicit_bytes += (extra + 7) / 8;
}

static inline void item_make(struct events_encoder *encoder, struct item *item, const struct event *event) {
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

static inline void run_extend(struct events_encoder *encoder, uint32_t local) {
    struct run *last = encoder->runs + encoder->run_count - 1;
    if (encoder->run_count && last->local == local) {
        last->count++;
        return;
    }
    encoder->runs[encoder->run_count++] = (struct run){.local = local, .count = 1};
    encoder->explicit_bytes += RUN_BYTES_MAX;
}

static void time_account(struct events_encoder *encoder, uint64_t step_ns) {
    if (step_ns)
        encoder->explicit_bytes += times_step_bytes(step_ns);
    else if (!encoder->is_time_run)
        encoder->explicit_bytes += TIMES_RUN_BYTES_MAX;
    encoder->is_time_run = !step_ns;
}

static void time_add(struct events_encoder *encoder, uint64_t time_ns) {
    uint64_t *to = &encoder->times_ns[encoder->item_count - 1];
    if (encoder->item_count > 1)
        time_account(encoder, time_ns - to[-1]);
    *to = time_ns;
}

static inline enum err event_add(struct events_encoder *encoder, const struct event *event) {
    struct item item;
    if (threads_reserve(encoder, event->thread))
        return ERR_NOMEM;
    struct thread_state *thread = thread_use(encoder, event->thread);
    run_extend(encoder, thread->local);
    item_make(encoder, &item, event);
    item_add(encoder, &item);
    thread->births += (uint64_t)event_makes_block(event->kind);
    return ERR_OK;
}

static inline bool member_is_full(const struct events_encoder *encoder) {
    return encoder->item_count == MEMBER_EVENTS_MAX || encoder->explicit_bytes >= EXPLICIT_BYTES_FULL;
}

enum err events_encoder_add(struct events_encoder *encoder, const struct event *events, const uint64_t *times_ns,
                            size_t count, size_t *added) {
    size_t i = 0;
    if (times_ns && !encoder->times_ns && !(encoder->times_ns = malloc(MEMBER_EVENTS_MAX * sizeof *encoder->times_ns)))
        return ERR_NOMEM;
    while (i < count && !member_is_full(encoder)) {
        if (event_add(encoder, &events[i]))
            return ERR_NOMEM;
        if (times_ns)
            time_add(encoder, times_ns[i]);
        i++;
    }
    *added = i;
    return ERR_OK;
}

bool events_encoder_full(const struct events_encoder *encoder) {
    return member_is_full(encoder);
}

uint32_t events_encoder_count(const struct events_encoder *encoder) {
    return encoder->item_count;
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

/* Picks the entries that get tokens, the best first; *order lists them, owned by the caller. */
static enum err tokens_choose(struct events_encoder *encoder, struct entry ***order, size_t *chosen) {
    struct entry **candidates = malloc((encoder->entry_count + 1) * sizeof(struct entry *));
    size_t count = 0;
    if (!candidates)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < encoder->entry_count; i++)
        if (encoder->entries[i].length <= SHORT_BYTES && encoder->entries[i].count >= TOKEN_COUNT_MIN)
            candidates[count++] = &encoder->entries[i];
    qsort(candidates, count, sizeof(struct entry *), entry_order);
    *chosen = count < TABLE_ENTRIES_MAX ? count : TABLE_ENTRIES_MAX;
    *order = candidates;
    return ERR_OK;
}

/* From here on the entries are what stands for them in the streams. */
static void tokens_give(struct entry *const *order, size_t chosen) {
    for (size_t i = 0; i < chosen; i++) {
        order[i]->key = TOKEN_FIRST + i;
        order[i]->length = 1;
    }
}

static void streams_measure(struct events_encoder *encoder) {
    const uint32_t *item = encoder->items;
    if (encoder->local_count == 1) {
        for (uint32_t i = 0; i < encoder->entry_count; i++)
            encoder->locals[0].stream_bytes += encoder->entries[i].count * encoder->entries[i].length;
        return;
    }
    for (uint32_t i = 0; i < encoder->run_count; i++) {
        struct local *local = &encoder->locals[encoder->runs[i].local];
        for (uint32_t left = encoder->runs[i].count; left; left--, item++)
            local->stream_bytes += encoder->entries[*item].length;
    }
}

static uint8_t *threads_write(const struct events_encoder *encoder, uint8_t *to) {
    to = varint_write(to, encoder->local_count);
    for (uint32_t i = 0; i < encoder->local_count; i++) {
        const struct local *local = &encoder->locals[i];
        to = varint_write(to, local->thread);
        to = varint_write(to, local->births_before);
        to = varint_write(to, local->stream_bytes);
    }
    return to;
}

static uint8_t *table_write(const struct events_encoder *encoder, struct entry *const *order, size_t count,
                            uint8_t *to) {
    to = varint_write(to, count);
    for (size_t i = 0; i < count; i++)
        to = entry_write(encoder, order[i], to);
    return to;
}

static uint8_t *schedule_write(const struct events_encoder *encoder, uint8_t *to) {
    uint8_t run[RUN_BYTES_MAX];
    size_t bytes = 0;
    for (uint32_t i = 0; i < encoder->run_count; i++)
        bytes += (size_t)(varint_write(varint_write(run, encoder->runs[i].local), encoder->runs[i].count - 1) - run);
    to = varint_write(to, bytes);
    for (uint32_t i = 0; i < encoder->run_count; i++)
        to = varint_write(varint_write(to, encoder->runs[i].local), encoder->runs[i].count - 1);
    return to;
}

static uint8_t *bits_write(const struct events_encoder *encoder, uint8_t *to) {
    size_t bytes = (encoder->bit_count + 7) / 8;
    to = varint_write(to, bytes);
    memcpy(to, encoder->bits, bytes);
    return to + bytes;
}

static uint8_t *streams_write(struct events_encoder *encoder, uint8_t *to) {
    const uint32_t *item = encoder->items;
    for (uint32_t i = 0; i < encoder->local_count; i++) {
        encoder->locals[i].to = to;
        to += encoder->locals[i].stream_bytes;
        encoder->locals[i].end = to;
    }
    for (uint32_t i = 0; i < encoder->run_count; i++) {
        struct local *local = &encoder->locals[encoder->runs[i].local];
        for (uint32_t left = encoder->runs[i].count; left; left--, item++) {
            const struct entry *entry = &encoder->entries[*item];
            if (entry->length <= SHORT_BYTES && local->end - local->to >= SHORT_BYTES) {
                uint64_t word = htole64(entry->key); /* what is behind the item comes again, right */
                memcpy(local->to, &word, sizeof word);
                local->to += entry->length;
            } else {
                local->to = entry_write(encoder, entry, local->to);
            }
        }
    }
    return to;
}

enum err events_encoder_take(struct events_encoder *encoder, const uint8_t **bytes, size_t *count) {
    struct entry **order;
    size_t chosen;
    enum err err = tokens_choose(encoder, &order, &chosen);
    if (err)
        return err;
    uint8_t table[VARINT_BYTES_MAX + TABLE_ENTRIES_MAX * SHORT_BYTES];
    size_t table_bytes = (size_t)(table_write(encoder, order, chosen, table) - table);
    tokens_give(order, chosen);
    streams_measure(encoder);
    uint8_t *to = threads_write(encoder, encoder->raw);
    memcpy(to, table, table_bytes);
    to += table_bytes;
    to = schedule_write(encoder, to);
    to = bits_write(encoder, to);
    encoder->times.at = (size_t)(to - encoder->raw);
    if (encoder->times_ns)
        to = times_write(encoder->times_ns, encoder->item_count, to);
    encoder->times.bytes = (size_t)(to - encoder->raw) - encoder->times.at;
    to = streams_write(encoder, to);
    free(order);
    *bytes = encoder->raw;
    *count = (size_t)(to - encoder->raw);
    member_begin(encoder);
    return ERR_OK;
}

struct encoded_times events_encoder_times(const struct events_encoder *encoder) {
    return encoder->times;
}
