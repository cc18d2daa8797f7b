/* The invariants of FAST.md, executed. Nothing is believed before it was looked at: a broken instance is told, not
   followed into the weeds. */
#include <stdlib.h>
#include <string.h>

#include "core/fast_internal.h"

#define CHECK_THAT(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return diag_set(diag, ERR_INVALID, NULL, __VA_ARGS__);                                                     \
    } while (0)

enum { SPAN_BLOCKS_MAX = FAST_UNIT_BYTES / FAST_ALIGN_BYTES };

/* What the walks find, to be compared with what the instance says. */
struct found {
    uint64_t arenas_count;
    uint32_t empty_count;
    uint64_t listed_arenas;
    uint64_t listed_spans;
    uint64_t ring_spans;
};

/* ---- spans ---- */

/* Every entry of the free list is a block that was linked, and is there once. */
static enum err free_list_check(const struct fast *fast, const struct fast_span *span, struct diag *diag) {
    const struct fast_class *class = &fast->classes[span->class_index];
    uint64_t seen[SPAN_BLOCKS_MAX / 64] = {0};
    uintptr_t base = (uintptr_t)fast_span_address(fast, span);
    uint32_t free_count = 0;
    for (void *block = span->free; block; block = *(void **)block, free_count++) {
        uintptr_t offset = (uintptr_t)block - base;
        CHECK_THAT(offset < span->carve && offset % class->block_bytes == 0,
                   "span %d: %p on its free list is none of its linked blocks", fast_span_index(fast, span), block);
        uint64_t index = offset / class->block_bytes, bit = (uint64_t)1 << (index & 63);
        CHECK_THAT(!(seen[index >> 6] & bit), "span %d: block %p is on its free list twice",
                   fast_span_index(fast, span), block);
        seen[index >> 6] |= bit;
    }
    CHECK_THAT(fast_span_in_use(span) + free_count == span->carve / class->block_bytes,
               "span %d: %u blocks in use and %u free of %u linked", fast_span_index(fast, span),
               fast_span_in_use(span), free_count, span->carve / class->block_bytes);
    return ERR_OK;
}

static enum err blocks_check(const struct fast *fast, const struct fast_span *span, struct diag *diag) {
    int32_t index = fast_span_index(fast, span);
    CHECK_THAT(span->class_index < fast->class_count, "span %d: no class %u", index, span->class_index);
    const struct fast_class *class = &fast->classes[span->class_index];
    CHECK_THAT(span->units == class->units, "span %d: %u units, its class has %u", index, span->units, class->units);
    CHECK_THAT(span->carve % class->block_bytes == 0 && span->carve <= class->limit + class->block_bytes,
               "span %d: %u bytes linked, not whole blocks of %u within it", index, span->carve, class->block_bytes);
    CHECK_THAT(span->count >= 1 && fast_span_in_use(span) <= class->capacity, "span %d: %u blocks in use of %u", index,
               fast_span_in_use(span), class->capacity);
    CHECK_THAT(span->held == (span->listed ? 0 : class->capacity - class->relist),
               "span %d: %u blocks held back, %s its ring", index, span->held, span->listed ? "on" : "off");
    return free_list_check(fast, span, diag);
}

static enum err span_check(const struct fast *fast, const struct fast_span *span, struct diag *diag) {
    int32_t index = fast_span_index(fast, span);
    unsigned at = (uint32_t)index % FAST_ARENA_UNITS;
    CHECK_THAT(span->state == SPAN_BLOCKS || span->state == SPAN_RUN, "unit %d: in use, but begins nothing", index);
    CHECK_THAT(span->units >= 1 && at + span->units <= FAST_ARENA_UNITS, "span %d: its %u units leave the arena", index,
               span->units);
    for (unsigned i = 1; i < span->units; i++)
        CHECK_THAT(span[i].state == SPAN_TAIL && span[i].units == i && !span[i].free, "unit %d: not a tail of span %d",
                   index + (int)i, index);
    if (span->state == SPAN_BLOCKS)
        return blocks_check(fast, span, diag);
    CHECK_THAT(span->count == 1 && !span->free && !span->listed, "run %d: not one block in use", index);
    return ERR_OK;
}

/* ---- arenas ---- */

static enum err arena_units_check(const struct fast *fast, uint32_t arena_index, struct found *found,
                                  struct diag *diag) {
    const struct fast_arena *arena = &fast->arenas[arena_index];
    const struct fast_span *span = fast_span_at(fast, (int64_t)arena_index * FAST_ARENA_UNITS);
    for (unsigned at = 0; at < FAST_ARENA_UNITS;) {
        bool is_free = arena->free_units >> at & 1;
        CHECK_THAT(is_free == (span[at].state == SPAN_FREE), "arena %u: unit %u is %s but its bit says otherwise",
                   arena_index, at, is_free ? "in use" : "free");
        if (is_free) {
            CHECK_THAT(!span[at].free, "arena %u: free unit %u has a free list", arena_index, at);
            at++;
            continue;
        }
        enum err err = span_check(fast, &span[at], diag);
        if (err)
            return err;
        unsigned count = span[at].units;
        CHECK_THAT(!(arena->free_units & fast_units_mask(count, at)), "arena %u: a tail behind unit %u is free",
                   arena_index, at);
        bool is_large = span[at].state == SPAN_RUN || span[at].class_index >= fast->small_class_count;
        CHECK_THAT(is_large == (arena->kind == ARENA_LARGE), "arena %u: unit %u is of the other kind", arena_index, at);
        found->listed_spans += span[at].listed;
        at += count;
    }
    return ERR_OK;
}

static enum err arena_check(const struct fast *fast, uint32_t index, struct found *found, struct diag *diag) {
    const struct fast_arena *arena = &fast->arenas[index];
    CHECK_THAT(!(arena->free_units & ~FAST_UNITS_ALL), "arena %u: free units it does not have", index);
    CHECK_THAT(!(arena->clean_units & ~arena->free_units), "arena %u: a unit in use was never touched", index);
    CHECK_THAT(arena->kind < ARENA_KIND_COUNT, "arena %u: of no kind", index);
    CHECK_THAT(arena->free_units != FAST_UNITS_ALL || arena->kind == ARENA_SMALL, "arena %u: empty, but kept as large",
               index);
    found->arenas_count++;
    found->empty_count += arena->free_units == FAST_UNITS_ALL;
    found->listed_arenas += arena->free_units != 0;
    return arena_units_check(fast, index, found, diag);
}

/* The arenas of one kind with `count` free units; each is counted off once. */
static enum err fill_check(const struct fast *fast, unsigned kind, unsigned count, struct found *found,
                           struct diag *diag) {
    uint32_t index = fast->first[kind][count - 1], prev = FAST_ARENA_NONE;
    CHECK_THAT((fast->fills[kind] >> (count - 1) & 1) == (index != FAST_ARENA_NONE),
               "the bit of kind %u with %u free units is wrong", kind, count);
    for (; index != FAST_ARENA_NONE; prev = index, index = fast->arenas[index].next) {
        CHECK_THAT(found->listed_arenas-- && index < fast->arena_frontier, "the lists of arenas do not end");
        const struct fast_arena *arena = &fast->arenas[index];
        CHECK_THAT(arena->mapped && arena->kind == kind && __builtin_popcountll(arena->free_units) == (int)count,
                   "arena %u is on the list of kind %u with %u free units", index, kind, count);
        CHECK_THAT(arena->prev == prev, "arena %u: its list is not double-linked", index);
    }
    return ERR_OK;
}

static enum err arenas_check(const struct fast *fast, struct found *found, struct diag *diag) {
    CHECK_THAT(fast->arena_frontier <= fast->arena_limit, "more arenas than the range has");
    for (uint32_t i = 0; i < fast->arena_frontier; i++) {
        enum err err = fast->arenas[i].mapped ? arena_check(fast, i, found, diag) : ERR_OK;
        if (err)
            return err;
    }
    for (unsigned kind = 0; kind < ARENA_KIND_COUNT; kind++)
        for (unsigned count = 1; count <= FAST_ARENA_UNITS; count++) {
            enum err err = fill_check(fast, kind, count, found, diag);
            if (err)
                return err;
        }
    CHECK_THAT(!found->listed_arenas, "an arena with free units is on no list");
    return ERR_OK;
}

static enum err counters_check(const struct fast *fast, const struct found *found, struct diag *diag) {
    CHECK_THAT(found->arenas_count == fast->arenas_count, "%llu arenas, counted as %llu",
               (unsigned long long)found->arenas_count, (unsigned long long)fast->arenas_count);
    CHECK_THAT(found->arenas_count + fast->returned_count == fast->arena_frontier,
               "%llu arenas and %u given back are not the %u ever used", (unsigned long long)found->arenas_count,
               fast->returned_count, fast->arena_frontier);
    for (uint32_t i = 0; i < fast->returned_count; i++)
        CHECK_THAT(fast->returned[i] < fast->arena_frontier && !fast->arenas[fast->returned[i]].mapped,
                   "arena %u was given back and is in use", fast->returned[i]);
    CHECK_THAT(found->empty_count == fast->empty_count, "%u empty arenas, counted as %u", found->empty_count,
               fast->empty_count);
    CHECK_THAT(found->empty_count <= FAST_EMPTY_ARENAS_KEPT, "%u empty arenas are kept", found->empty_count);
    CHECK_THAT(fast->arenas_count <= fast->arenas_peak_count && fast->arenas_peak_count <= fast->arenas_mapped_count,
               "the counts of arenas contradict each other");
    return ERR_OK;
}

/* ---- rings ---- */

static enum err ring_check(const struct fast *fast, uint32_t class_index, struct found *found, struct diag *diag) {
    const struct fast_span *head = fast_ring_head(fast, class_index), *span = head;
    const struct fast_class *class = &fast->classes[class_index];
    int64_t end = (int64_t)fast->arena_frontier * FAST_ARENA_UNITS;
    CHECK_THAT(!head->free && head->class_index == class_index, "the ring head of class %u was written", class_index);
    for (;;) {
        int32_t next = span->next;
        CHECK_THAT((next >= 0 && next < end) || next == -1 - (int32_t)class_index, "class %u: its ring leads to %d",
                   class_index, next);
        CHECK_THAT(fast_span_at(fast, next)->prev == fast_span_index(fast, span),
                   "class %u: its ring is not double-linked", class_index);
        if (next < 0)
            break;
        span = fast_span_at(fast, next);
        CHECK_THAT(span->state == SPAN_BLOCKS && span->class_index == class_index && span->listed,
                   "class %u: span %d is on its ring", class_index, next);
        CHECK_THAT(++found->ring_spans <= found->listed_spans, "the rings have more spans than are listed");
    }
    const struct fast_span *first = fast_span_at(fast, head->next);
    for (unsigned step = class->first_step; step <= class->last_step; step++)
        CHECK_THAT(fast->current[step] == first, "class %u: not the first of its ring is current", class_index);
    return ERR_OK;
}

static enum err split_check(const struct fast *fast, struct diag *diag) {
    struct pool_split split;
    fast_split_get(fast, &split);
    uint64_t sum = split.allocated_blocks_bytes + split.free_blocks_bytes + split.empty_pools_bytes +
                   split.pool_headers_bytes + split.quantization_bytes + split.arena_alignment_bytes;
    CHECK_THAT(sum == split.arena_bytes_total && sum == fast->arenas_count * FAST_ARENA_BYTES,
               "the parts add up to %llu bytes, not to %llu", (unsigned long long)sum,
               (unsigned long long)(fast->arenas_count * FAST_ARENA_BYTES));
    return ERR_OK;
}

enum err fast_check(const struct fast *fast, struct diag *diag) {
    struct found found = {0};
    enum err err = arenas_check(fast, &found, diag);
    if (!err)
        err = counters_check(fast, &found, diag);
    for (uint32_t i = 0; !err && i < fast->class_count; i++)
        err = ring_check(fast, i, &found, diag);
    if (err)
        return err;
    CHECK_THAT(found.ring_spans == found.listed_spans, "%llu spans say that they are on a ring, %llu are",
               (unsigned long long)found.listed_spans, (unsigned long long)found.ring_spans);
    return split_check(fast, diag);
}
