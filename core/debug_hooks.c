#include "core/debug_hooks.h"

#include <assert.h>
#include <string.h>

enum {
    SIZE_BYTES = 8,
    ERASED_BYTES = 64, /* of data at each end, while a realloc is under way */
    MARK_OFFSET = -8   /* of the domain's letter from the data */
};
_Static_assert(sizeof(size_t) == SIZE_BYTES, "the layout of 64 bits");
_Static_assert((int)DEBUG_HEAD_BYTES == 2 * SIZE_BYTES && (int)DEBUG_PAD_BYTES == SIZE_BYTES, "CPython's layout");

struct debug_settings debug_settings_default(void) {
    return (struct debug_settings){.bytes = DEBUG_BYTES_DEFAULT};
}

size_t debug_extra_bytes(const struct debug_settings *settings) {
    return (settings->serial_numbers ? (size_t)4 : 3) * SIZE_BYTES;
}

static void number_write(uint8_t *at, uint64_t number) {
    number = __builtin_bswap64(number);
    memcpy(at, &number, sizeof number);
}

static uint64_t number_read(const uint8_t *at) {
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return __builtin_bswap64(number);
}

/* ---- decorations ---- */

/* Writes everything around the data. @param head of the decorated block. */
static void block_decorate(const struct debug_layer *layer, uint8_t *head, size_t bytes, uint64_t serial) {
    const struct debug_settings *settings = &layer->hooks->settings;
    uint8_t *tail = head + DEBUG_HEAD_BYTES + bytes;
    number_write(head, bytes);
    memset(head + SIZE_BYTES, settings->bytes.forbidden, SIZE_BYTES);
    head[SIZE_BYTES] = (uint8_t)layer->letter;
    memset(tail, settings->bytes.forbidden, DEBUG_PAD_BYTES);
    if (settings->serial_numbers)
        number_write(tail + DEBUG_PAD_BYTES, serial);
}

static bool size_fits(const struct debug_layer *layer, uint64_t bytes) {
    return bytes <= PTRDIFF_MAX - debug_extra_bytes(&layer->hooks->settings);
}

/* ---- checks ---- */

static void fault_at(struct debug_fault *fault, enum debug_fault_kind kind, int64_t offset, uint8_t expected,
                     uint8_t found) {
    fault->kind = kind;
    fault->offset = offset;
    fault->expected = expected;
    fault->found = found;
}

/* What a mark that is not the domain's own says. */
static enum debug_fault_kind mark_judge(const struct debug_bytes *bytes, uint8_t mark) {
    if (mark == bytes->dead)
        return DEBUG_FAULT_FREED;
    for (int i = 0; i < DOMAIN_ID_COUNT; i++)
        if (mark == (uint8_t)domain_id_letters[i])
            return DEBUG_FAULT_WRONG_DOMAIN;
    return DEBUG_FAULT_FOREIGN;
}

enum domain_id debug_block_domain(const void *block) {
    uint8_t mark = ((const uint8_t *)block)[MARK_OFFSET];
    for (int i = DOMAIN_ID_COUNT - 1; i > 0; i--)
        if (mark == (uint8_t)domain_id_letters[i])
            return (enum domain_id)i;
    return DOMAIN_ID_RAW;
}

/* The mark first, as whatever else there is means nothing without it; then from low to high addresses. */
static void fault_find(const struct debug_layer *layer, const uint8_t *data, struct debug_fault *fault) {
    const struct debug_bytes *bytes = &layer->hooks->settings.bytes;
    uint8_t mark = data[MARK_OFFSET];
    if (mark != (uint8_t)layer->letter) {
        fault_at(fault, mark_judge(bytes, mark), MARK_OFFSET, (uint8_t)layer->letter, mark);
        return;
    }
    for (int i = MARK_OFFSET + 1; i < 0; i++)
        if (data[i] != bytes->forbidden) {
            fault_at(fault, DEBUG_FAULT_UNDERRUN, i, bytes->forbidden, data[i]);
            return;
        }
    uint64_t size = number_read(data - DEBUG_HEAD_BYTES);
    if (!size_fits(layer, size)) {
        fault_at(fault, DEBUG_FAULT_SIZE, -DEBUG_HEAD_BYTES, 0, data[-DEBUG_HEAD_BYTES]);
        return;
    }
    for (uint64_t i = size; i < size + DEBUG_PAD_BYTES; i++)
        if (data[i] != bytes->forbidden) {
            fault_at(fault, DEBUG_FAULT_OVERRUN, (int64_t)i, bytes->forbidden, data[i]);
            return;
        }
}

/* Copies what a report shows. The tail is looked at only when the size can be believed. */
static void fault_illustrate(const struct debug_layer *layer, const uint8_t *data, struct debug_fault *fault) {
    const struct debug_settings *settings = &layer->hooks->settings;
    fault->forbidden = settings->bytes.forbidden;
    fault->found_letter = data[MARK_OFFSET];
    fault->size_bytes = number_read(data - DEBUG_HEAD_BYTES);
    memcpy(fault->lead, data + MARK_OFFSET, DEBUG_PAD_BYTES);
    fault->has_tail = fault->kind == DEBUG_FAULT_OVERRUN;
    if (!fault->has_tail)
        return;
    uint64_t size = fault->size_bytes;
    memcpy(fault->trail, data + size, DEBUG_PAD_BYTES);
    fault->has_serial = settings->serial_numbers;
    if (fault->has_serial)
        fault->serial = number_read(data + size + DEBUG_PAD_BYTES);
    uint64_t first = size < DEBUG_DATA_SHOWN_BYTES ? size : DEBUG_DATA_SHOWN_BYTES;
    uint64_t last = size - first < DEBUG_DATA_SHOWN_BYTES ? size - first : DEBUG_DATA_SHOWN_BYTES;
    fault->data_first_count = (uint32_t)first;
    fault->data_last_count = (uint32_t)last;
    memcpy(fault->data_first, data, first);
    memcpy(fault->data_last, data + size - last, last);
}

/* The same judgement as fault_find()'s, a word at a time: nearly every block is whole. */
static inline bool block_is_whole(const struct debug_layer *layer, const uint8_t *data) {
    uint64_t pad, lead, trail;
    memset(&pad, layer->hooks->settings.bytes.forbidden, sizeof pad);
    memcpy(&lead, data + MARK_OFFSET, sizeof lead);
    uint64_t expected = pad;
    memcpy(&expected, &layer->letter, 1);
    uint64_t size = number_read(data - DEBUG_HEAD_BYTES);
    if (lead != expected || !size_fits(layer, size))
        return false;
    memcpy(&trail, data + size, sizeof trail);
    return trail == pad;
}

enum debug_fault_kind debug_block_check(const struct debug_layer *layer, const void *block, enum debug_call call,
                                        struct debug_fault *out) {
    if (block_is_whole(layer, block))
        return DEBUG_FAULT_NONE;
    struct debug_fault fault = {.call = call, .block = block, .letter = layer->letter};
    fault_find(layer, block, &fault);
    fault_illustrate(layer, block, &fault);
    *out = fault;
    return fault.kind;
}

static __attribute__((noinline, cold)) void fault_tell(const struct debug_layer *layer,
                                                       const struct debug_fault *fault) {
    const struct debug_settings *settings = &layer->hooks->settings;
    layer->hooks->fault_count++;
    if (settings->report)
        settings->report(settings->report_ctx, fault);
}

/* @return false after telling that the caller has no right to be here. */
static bool lock_check(const struct debug_layer *layer, enum debug_call call, const void *block) {
    const struct debug_settings *settings = &layer->hooks->settings;
    if (!layer->locked || !settings->lock_held || settings->lock_held(settings->lock_ctx))
        return true;
    struct debug_fault fault = {
        .kind = DEBUG_FAULT_UNLOCKED, .call = call, .block = block, .letter = layer->letter, .forbidden = 0};
    fault_tell(layer, &fault);
    return false;
}

static __attribute__((noinline, cold)) void block_tell(const struct debug_layer *layer, enum debug_call call,
                                                       const void *block) {
    struct debug_fault fault;
    if (debug_block_check(layer, block, call, &fault))
        fault_tell(layer, &fault);
}

/* @return false after telling what is wrong with the block. */
static inline bool block_check(const struct debug_layer *layer, enum debug_call call, const void *block) {
    if (__builtin_expect(block_is_whole(layer, block), 1))
        return true;
    block_tell(layer, call, block);
    return false;
}

/* ---- the four calls ---- */

static void *hooked_new(struct debug_layer *layer, size_t bytes, bool zeroed) {
    if (!size_fits(layer, bytes))
        return NULL;
    const struct debug_settings *settings = &layer->hooks->settings;
    size_t total = bytes + debug_extra_bytes(settings);
    uint8_t *head =
        zeroed ? layer->inner.calloc(layer->inner.ctx, 1, total) : layer->inner.malloc(layer->inner.ctx, total);
    if (!head)
        return NULL;
    block_decorate(layer, head, bytes, ++layer->hooks->serial);
    if (!zeroed)
        memset(head + DEBUG_HEAD_BYTES, settings->bytes.clean, bytes);
    return head + DEBUG_HEAD_BYTES;
}

static void *hooked_malloc(void *ctx, size_t bytes) {
    struct debug_layer *layer = ctx;
    return lock_check(layer, DEBUG_CALL_MALLOC, NULL) ? hooked_new(layer, bytes, false) : NULL;
}

static void *hooked_calloc(void *ctx, size_t count, size_t bytes) {
    struct debug_layer *layer = ctx;
    size_t total;
    if (!lock_check(layer, DEBUG_CALL_CALLOC, NULL) || __builtin_mul_overflow(count, bytes, &total))
        return NULL;
    return hooked_new(layer, total, true);
}

static void hooked_free(void *ctx, void *block) {
    struct debug_layer *layer = ctx;
    if (!lock_check(layer, DEBUG_CALL_FREE, block) || !block || !block_check(layer, DEBUG_CALL_FREE, block))
        return;
    const struct debug_settings *settings = &layer->hooks->settings;
    uint8_t *head = (uint8_t *)block - DEBUG_HEAD_BYTES;
    memset(head, settings->bytes.dead, number_read(head) + debug_extra_bytes(settings));
    layer->inner.free(layer->inner.ctx, head);
}

/* The ends of a block's data while a realloc is under way. */
struct saved_ends {
    size_t bytes;       /* of the data */
    size_t first_bytes; /* at its begin, all of it when it is short */
    size_t last_bytes;  /* at its end, apart from those */
    uint8_t first[2 * ERASED_BYTES];
    uint8_t last[ERASED_BYTES];
};

static void ends_erase(const struct debug_settings *settings, uint8_t *head, struct saved_ends *ends) {
    uint8_t *data = head + DEBUG_HEAD_BYTES;
    bool is_short = ends->bytes <= sizeof ends->first;
    ends->first_bytes = is_short ? ends->bytes : ERASED_BYTES;
    ends->last_bytes = is_short ? 0 : ERASED_BYTES;
    uint8_t *last = data + ends->bytes - ends->last_bytes;
    memcpy(ends->first, data, ends->first_bytes);
    memcpy(ends->last, last, ends->last_bytes);
    memset(head, settings->bytes.dead, DEBUG_HEAD_BYTES + ends->first_bytes);
    memset(last, settings->bytes.dead, ends->last_bytes + debug_extra_bytes(settings) - DEBUG_HEAD_BYTES);
}

/* Puts back what of it a block of `bytes` bytes has room for. */
static void ends_restore(uint8_t *data, size_t bytes, const struct saved_ends *ends) {
    size_t last_offset = ends->bytes - ends->last_bytes;
    memcpy(data, ends->first, bytes < ends->first_bytes ? bytes : ends->first_bytes);
    if (bytes > last_offset)
        memcpy(data + last_offset, ends->last,
               bytes - last_offset < ends->last_bytes ? bytes - last_offset : ends->last_bytes);
}

static void *hooked_resize(struct debug_layer *layer, uint8_t *head, size_t bytes) {
    const struct debug_settings *settings = &layer->hooks->settings;
    struct saved_ends ends = {.bytes = number_read(head)};
    uint64_t serial = 0;
    if (settings->serial_numbers)
        serial = number_read(head + DEBUG_HEAD_BYTES + ends.bytes + DEBUG_PAD_BYTES);
    ends_erase(settings, head, &ends);
    uint8_t *moved = layer->inner.realloc(layer->inner.ctx, head, bytes + debug_extra_bytes(settings));
    if (!moved) { /* the old block stands, and must look as before */
        block_decorate(layer, head, ends.bytes, serial);
        ends_restore(head + DEBUG_HEAD_BYTES, ends.bytes, &ends);
        return NULL;
    }
    uint8_t *data = moved + DEBUG_HEAD_BYTES;
    block_decorate(layer, moved, bytes, ++layer->hooks->serial);
    ends_restore(data, bytes, &ends);
    if (bytes > ends.bytes)
        memset(data + ends.bytes, settings->bytes.clean, bytes - ends.bytes);
    return data;
}

static void *hooked_realloc(void *ctx, void *block, size_t bytes) {
    struct debug_layer *layer = ctx;
    if (!lock_check(layer, DEBUG_CALL_REALLOC, block))
        return NULL;
    if (!block)
        return hooked_new(layer, bytes, false);
    if (!block_check(layer, DEBUG_CALL_REALLOC, block) || !size_fits(layer, bytes))
        return NULL;
    return hooked_resize(layer, (uint8_t *)block - DEBUG_HEAD_BYTES, bytes);
}

void debug_layer_init(struct debug_layer *layer, struct debug_hooks *hooks, enum domain_id domain,
                      const struct domain_allocator *inner) {
    assert(domain < DOMAIN_ID_COUNT);
    *layer = (struct debug_layer){
        .hooks = hooks, .inner = *inner, .letter = domain_id_letters[domain], .locked = domain != DOMAIN_ID_RAW};
}

struct domain_allocator debug_layer_allocator(struct debug_layer *layer) {
    return (struct domain_allocator){layer, hooked_malloc, hooked_calloc, hooked_realloc, hooked_free};
}

bool debug_layer_is(const struct domain_allocator *allocator) {
    return allocator->malloc == hooked_malloc;
}
