#include "traces/record/record_cut.h"

#include <stdbool.h>
#include <stdlib.h>

void cut_log_add(struct cut_log *log, const struct merged_record *record) {
    enum { CAPACITY_MIN = 64 };
    if (log->count == log->capacity) {
        size_t capacity = log->capacity ? 2 * log->capacity : CAPACITY_MIN;
        struct merged_record *larger =
            capacity <= CUT_RECORDS_MAX ? realloc(log->records, capacity * sizeof *larger) : NULL;
        if (!larger) {
            log->missed_count++;
            return;
        }
        log->records = larger;
        log->capacity = capacity;
    }
    log->records[log->count++] = *record;
}

void cut_log_clear(struct cut_log *log) {
    free(log->records);
    *log = (struct cut_log){0};
}

/* An address that the records speak of, and the block that is there. */
struct cut_address {
    uint64_t pointer;
    uint64_t block; /* its place in the set, + 1; 0: none */
};

/* The set while records are applied to it: blocks that are gone have no shape, those that come are added. */
struct cut_work {
    struct live_block *blocks;
    uint64_t count;
    struct cut_address *addresses; /* in order */
    size_t address_count;
    uint64_t *moving; /* places of the blocks whose realloc is under way */
    size_t moving_count;
};

static unsigned kind_of(const struct merged_record *record) {
    return (unsigned)(record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK);
}

static uint64_t pointer_of(const struct merged_record *record) {
    return record->what & RECORD_POINTER_MASK;
}

static bool record_is_before(const struct merged_record *record, const uint64_t *heads, uint32_t ring_count) {
    uint32_t ring = merged_place_ring(record->place);
    return ring < ring_count && heads[ring] != RECORD_HEAD_UNKNOWN &&
           merged_place_is_before(record->place, heads[ring]);
}

/* Copies what came before the cut. @return how many. */
static size_t records_choose(const struct cut_log *log, const uint64_t *heads, uint32_t ring_count,
                             struct merged_record *out, uint64_t *unknown_count) {
    size_t count = 0;
    *unknown_count = log->missed_count;
    for (size_t i = 0; i < log->count; i++) {
        uint32_t ring = merged_place_ring(log->records[i].place);
        *unknown_count += ring < ring_count && heads[ring] == RECORD_HEAD_UNKNOWN;
        if (record_is_before(&log->records[i], heads, ring_count))
            out[count++] = log->records[i];
    }
    return count;
}

static int address_compare(const void *left, const void *right) {
    const struct cut_address *a = left, *b = right;
    return (a->pointer > b->pointer) - (a->pointer < b->pointer);
}

static void addresses_collect(struct cut_work *work, const struct merged_record *records, size_t record_count) {
    size_t distinct = 0;
    for (size_t i = 0; i < record_count; i++)
        work->addresses[i] = (struct cut_address){.pointer = pointer_of(&records[i])};
    qsort(work->addresses, record_count, sizeof *work->addresses, address_compare);
    for (size_t i = 0; i < record_count; i++)
        if (!distinct || work->addresses[i].pointer != work->addresses[distinct - 1].pointer)
            work->addresses[distinct++] = work->addresses[i];
    work->address_count = distinct;
}

static struct cut_address *address_find(const struct cut_work *work, uint64_t pointer) {
    const struct cut_address wanted = {.pointer = pointer};
    return bsearch(&wanted, work->addresses, work->address_count, sizeof wanted, address_compare);
}

/* Which of the blocks that are alive lie where the records have to do. */
static void blocks_locate(struct cut_work *work) {
    for (uint64_t i = 0; i < work->count; i++) {
        uint64_t pointer = work->blocks[i].pointer;
        struct cut_address *address = pointer & LIVE_MOVING ? NULL : address_find(work, pointer);
        if (address)
            address->block = i + 1;
        if (pointer & LIVE_MOVING)
            work->moving[work->moving_count++] = i;
    }
}

static void block_drop(struct cut_work *work, uint64_t place) {
    work->blocks[place].shape = UINT64_MAX;
}

static void block_end(struct cut_work *work, struct cut_address *address) {
    if (address->block)
        block_drop(work, address->block - 1);
    address->block = 0;
}

static void block_make(struct cut_work *work, struct cut_address *address, unsigned kind, unsigned domain,
                       const struct merged_record *record) {
    unsigned align_log2 = kind == EVENT_ALIGNED_ALLOC ? (unsigned)(record->what >> RECORD_ALIGN_SHIFT & 63) : 0;
    block_end(work, address); /* freed unseen, if it is still there */
    work->blocks[work->count++] =
        (struct live_block){address->pointer, live_shape(kind, domain, align_log2, record->size_bytes)};
    address->block = work->count;
}

static bool is_moving_for(const struct live_block *block, uint32_t serial) {
    return (block->pointer & ~LIVE_MOVING) >> LIVE_SLOT_BITS == serial;
}

static void realloc_begin(struct cut_work *work, struct cut_address *address, uint32_t serial) {
    uint64_t depth = 0;
    if (!address->block)
        return;
    for (size_t i = 0; i < work->moving_count; i++)
        depth += is_moving_for(&work->blocks[work->moving[i]], serial);
    work->blocks[address->block - 1].pointer = LIVE_MOVING | (uint64_t)serial << LIVE_SLOT_BITS | depth;
    work->moving[work->moving_count++] = address->block - 1;
    address->block = 0;
}

/* The block whose realloc the thread began last, + 1; 0: nobody saw it being made. */
static uint64_t realloc_end(struct cut_work *work, uint32_t serial) {
    size_t last = work->moving_count;
    for (size_t i = 0; i < work->moving_count; i++) {
        const struct live_block *block = &work->blocks[work->moving[i]];
        if (is_moving_for(block, serial) &&
            (last == work->moving_count || block->pointer > work->blocks[work->moving[last]].pointer))
            last = i;
    }
    if (last == work->moving_count)
        return 0;
    uint64_t place = work->moving[last];
    work->moving[last] = work->moving[--work->moving_count];
    return place + 1;
}

static void realloc_apply(struct cut_work *work, struct cut_address *address, const struct merged_record *record,
                          unsigned domain) {
    uint64_t old = realloc_end(work, record->serial);
    unsigned kind = kind_of(record);
    if (old && kind == RECORD_REALLOC_FAILED) {
        work->blocks[old - 1].pointer = address->pointer;
        address->block = old;
        return;
    }
    if (kind == RECORD_REALLOC_END)
        block_make(work, address, EVENT_MALLOC, old ? live_shape_domain(work->blocks[old - 1].shape) : domain, record);
    if (old)
        block_drop(work, old - 1);
}

static void record_apply(struct cut_work *work, const struct merged_record *record) {
    struct cut_address *address = address_find(work, pointer_of(record));
    unsigned domain = (unsigned)(record->what >> RECORD_DOMAIN_SHIFT & 3);
    switch (kind_of(record)) {
    case RECORD_MALLOC:
    case RECORD_REALLOC_NEW:
        block_make(work, address, EVENT_MALLOC, domain, record);
        return;
    case RECORD_CALLOC:
        block_make(work, address, EVENT_CALLOC, domain, record);
        return;
    case RECORD_ALIGNED:
        block_make(work, address, EVENT_ALIGNED_ALLOC, domain, record);
        return;
    case RECORD_FREE:
        block_end(work, address);
        return;
    case RECORD_REALLOC_BEGIN:
        realloc_begin(work, address, record->serial);
        return;
    case RECORD_REALLOC_END:
    case RECORD_REALLOC_FAILED:
    case RECORD_REALLOC_FREED:
        realloc_apply(work, address, record, domain);
        return;
    default:
        return;
    }
}

/* What is left, in order of birth. */
static void set_pack(struct live_set *set, const struct cut_work *work) {
    uint64_t count = 0, bytes = 0;
    for (uint64_t i = 0; i < work->count; i++) {
        if (work->blocks[i].shape == UINT64_MAX)
            continue;
        work->blocks[count++] = work->blocks[i];
        bytes += live_shape_bytes(work->blocks[i].shape);
    }
    *set = (struct live_set){.blocks = work->blocks, .count = count, .bytes = bytes};
}

static uint64_t moving_count(const struct live_set *set) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < set->count; i++)
        count += set->blocks[i].pointer >> 63;
    return count;
}

static enum err records_apply(struct live_set *set, const struct merged_record *records, size_t record_count) {
    struct cut_work work = {.count = set->count};
    work.addresses = malloc(record_count * sizeof *work.addresses);
    work.moving = malloc((moving_count(set) + record_count) * sizeof *work.moving);
    if (work.addresses && work.moving) /* the last: it is the set's from then on */
        work.blocks = realloc(set->blocks, (set->count + record_count) * sizeof *work.blocks);
    if (work.blocks) {
        addresses_collect(&work, records, record_count);
        blocks_locate(&work);
        for (size_t i = 0; i < record_count; i++)
            record_apply(&work, &records[i]);
        set_pack(set, &work);
    }
    free(work.addresses);
    free(work.moving);
    return work.blocks ? ERR_OK : ERR_NOMEM;
}

enum err cut_apply(struct live_set *set, const struct cut_log *log, const uint64_t *heads, uint32_t ring_count,
                   uint64_t *unknown_count) {
    struct merged_record *records = malloc((log->count ? log->count : 1) * sizeof *records);
    uint64_t unknown;
    if (!records)
        return ERR_NOMEM;
    size_t count = records_choose(log, heads, ring_count, records, &unknown);
    enum err err = count ? records_apply(set, records, count) : ERR_OK;
    free(records);
    if (!err)
        *unknown_count = unknown;
    return err;
}
