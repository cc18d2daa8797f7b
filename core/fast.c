/* The hot paths: malloc takes the first free block of its class's current span, free pushes the block on its span's
   list; anything rarer is called in tail position, so that these two need no stack frame. */
#include "core/fast.h"

#include <string.h>

#include "core/fast_internal.h"
#include "core/raw.h"

/* ---- blocks of the raw layer, counted ---- */

static FAST_SLOW void *raw_block_new(struct fast *fast, size_t bytes) {
    void *block = raw_malloc(bytes);
    fast->raw_block_count += block != NULL;
    return block;
}

static FAST_SLOW void raw_block_free(struct fast *fast, void *block) {
    if (!block)
        return;
    fast->raw_block_count--;
    raw_free(block);
}

/* ---- rings: the spans of a class that may have room ---- */

static void current_set(struct fast *fast, uint32_t class_index) {
    const struct fast_class *class = &fast->classes[class_index];
    struct fast_span *first = fast_span_at(fast, fast_ring_head(fast, class_index)->next);
    for (unsigned step = class->first_step; step <= class->last_step; step++)
        fast->current[step] = first;
}

static void ring_insert(struct fast *fast, struct fast_span *span, struct fast_span *before) {
    int32_t index = fast_span_index(fast, span);
    span->prev = before->prev;
    span->next = fast_span_index(fast, before);
    fast_span_at(fast, before->prev)->next = index;
    before->prev = index;
    span->listed = true;
    if (span->prev < 0)
        current_set(fast, span->class_index);
}

static void ring_remove(struct fast *fast, struct fast_span *span) {
    fast_span_at(fast, span->next)->prev = span->prev;
    fast_span_at(fast, span->prev)->next = span->next;
    span->listed = false;
    if (span->prev < 0)
        current_set(fast, span->class_index);
}

/* ---- spans of blocks ---- */

static struct fast_span *span_new(struct fast *fast, uint32_t class_index) {
    const struct fast_class *class = &fast->classes[class_index];
    enum arena_kind kind = class_index < fast->small_class_count ? ARENA_SMALL : ARENA_LARGE;
    struct fast_span *span = fast_units_take(fast, class->units, kind);
    if (!span)
        return NULL;
    *span =
        (struct fast_span){.class_index = (uint16_t)class_index, .state = SPAN_BLOCKS, .units = (uint8_t) class->units};
    ring_insert(fast, span, fast_span_at(fast, fast_ring_head(fast, class_index)->next));
    return span;
}

/* Links never used blocks, those of a page at once: they are used soon, and their page has just come. A span's first
   are few: many spans do not live to use more. */
static void span_carve(const struct fast *fast, struct fast_span *span) {
    const struct fast_class *class = &fast->classes[span->class_index];
    uint32_t step = class->block_bytes, at = span->carve;
    uint32_t end = (at + step + FAST_CARVE_BYTES - 1) & ~(uint32_t)(FAST_CARVE_BYTES - 1);
    if (at == 0 && end > FAST_CARVE_FIRST * step)
        end = FAST_CARVE_FIRST * step;
    char *base = fast_span_address(fast, span);
    span->free = base + at;
    for (; at + 2 * step <= end && at + step <= class->limit; at += step)
        *(void **)(base + at) = base + at + step;
    *(void **)(base + at) = NULL;
    span->carve = at + step;
}

static void *span_pop(struct fast_span *span) {
    void **block = span->free;
    span->free = *block;
    span->count++;
    return block;
}

/* The first of the class's spans that has a block free; full ones leave the ring only now,
   until enough of their blocks are free. */
static struct fast_span *span_with_room(struct fast *fast, uint32_t class_index) {
    const struct fast_class *class = &fast->classes[class_index];
    const struct fast_span *head = fast_ring_head(fast, class_index);
    while (head->next >= 0) {
        struct fast_span *span = fast_span_at(fast, head->next);
        if (span->free || span->carve <= class->limit)
            return span;
        ring_remove(fast, span);
        span->held = (uint16_t)(class->capacity - class->relist);
        span->count -= span->held;
    }
    return span_new(fast, class_index);
}

static void *class_alloc(struct fast *fast, size_t bytes, uint32_t class_index) {
    struct fast_span *span = span_with_room(fast, class_index);
    if (!span)
        return raw_block_new(fast, bytes);
    if (!span->free)
        span_carve(fast, span);
    return span_pop(span);
}

/* `count` has reached 0. A full span, off its ring, has enough blocks free to serve again: behind the others, so that
   it gathers more. Any other has none in use. */
static FAST_SLOW void span_count_over(struct fast *fast, struct fast_span *span) {
    if (!span->listed) {
        span->count = span->held;
        span->held = 0;
        ring_insert(fast, span, fast_ring_head(fast, span->class_index));
        if (span->count)
            return;
    }
    ring_remove(fast, span);
    fast_units_put(fast, span, span->units);
}

/* ---- large blocks ---- */

static void *run_alloc(struct fast *fast, size_t bytes) {
    struct fast_span *run = fast_units_take(fast, fast_units_for(bytes), ARENA_LARGE);
    if (!run)
        return raw_block_new(fast, bytes);
    *run = (struct fast_span){.count = 1, .state = SPAN_RUN, .units = run->units};
    return fast_span_address(fast, run);
}

static FAST_SLOW void *malloc_large(struct fast *fast, size_t bytes) {
    if (bytes > FAST_LIMIT_BYTES)
        return raw_block_new(fast, bytes);
    if (bytes > FAST_CLASS_BYTES)
        return run_alloc(fast, bytes);
    uint32_t class_index = fast->small_class_count;
    while (fast->classes[class_index].block_bytes < bytes)
        class_index++;
    return class_alloc(fast, bytes, class_index);
}

/* ---- the calls ---- */

/* The current span has no free block at hand. Ring heads name their class too. */
static FAST_SLOW void *malloc_refill(struct fast *fast, size_t bytes) {
    return class_alloc(fast, bytes, fast->current[(bytes + FAST_ALIGN_BYTES - 1) / FAST_ALIGN_BYTES]->class_index);
}

void *fast_malloc(struct fast *fast, size_t bytes) {
    if (FAST_UNLIKELY(bytes > FAST_SMALL_BYTES))
        return malloc_large(fast, bytes);
    struct fast_span *span = fast->current[(bytes + FAST_ALIGN_BYTES - 1) / FAST_ALIGN_BYTES];
    void **block = span->free;
    if (FAST_UNLIKELY(!block))
        return malloc_refill(fast, bytes);
    span->count++;
    span->free = *block;
    return block;
}

/* The span has no free block at hand: it may be full, or this may not be its first unit. */
static FAST_SLOW void free_slow(struct fast *fast, void *block) {
    struct fast_span *span = fast_span_of(fast, block);
    if (span->state == SPAN_RUN) {
        fast_units_put(fast, span, span->units);
        return;
    }
    *(void **)block = span->free;
    span->free = block;
    if (--span->count == 0)
        span_count_over(fast, span);
}

void fast_free(struct fast *fast, void *block) {
    uintptr_t offset = (uintptr_t)block - fast->base;
    if (FAST_UNLIKELY(offset >= fast->range_bytes)) {
        raw_block_free(fast, block);
        return;
    }
    struct fast_span *span = &fast->spans[offset >> FAST_UNIT_SHIFT];
    __builtin_prefetch(block, 1);
    void *first = span->free;
    if (FAST_UNLIKELY(!first)) {
        free_slow(fast, block);
        return;
    }
    *(void **)block = first;
    span->free = block;
    if (FAST_UNLIKELY(--span->count == 0))
        span_count_over(fast, span);
}

void *fast_calloc(struct fast *fast, size_t count, size_t bytes) {
    size_t total;
    if (checked_mul_size(count, bytes, &total))
        return NULL;
    if (total > FAST_LIMIT_BYTES) {
        void *block = raw_calloc(1, total);
        fast->raw_block_count += block != NULL;
        return block;
    }
    void *block = fast_malloc(fast, total);
    return block ? memset(block, 0, total) : NULL;
}

bool fast_owns(const struct fast *fast, const void *block) {
    return (uintptr_t)block - fast->base < fast->range_bytes;
}

static size_t span_block_bytes(const struct fast *fast, const struct fast_span *span) {
    return span->state == SPAN_RUN ? (size_t)span->units * FAST_UNIT_BYTES
                                   : fast->classes[span->class_index].block_bytes;
}

size_t fast_usable_size(const struct fast *fast, const void *block) {
    if (!fast_owns(fast, block))
        return raw_usable_size((void *)(uintptr_t)block);
    return span_block_bytes(fast, fast_span_of(fast, block));
}

/* True when the block can be of that size where it is. */
static bool block_fits(struct fast *fast, struct fast_span *span, size_t bytes) {
    if (span->state == SPAN_RUN)
        return bytes > FAST_CLASS_BYTES && bytes <= FAST_LIMIT_BYTES &&
               fast_run_resize(fast, span, fast_units_for(bytes));
    size_t block_bytes = span_block_bytes(fast, span);
    /* Shrinking by less than a quarter stays: copying would cost more than it saves. CPython's rule. */
    return bytes <= block_bytes && 4 * bytes > 3 * block_bytes;
}

void *fast_realloc(struct fast *fast, void *block, size_t bytes) {
    if (!block)
        return fast_malloc(fast, bytes);
    if (!fast_owns(fast, block))
        return raw_realloc(block, bytes);
    struct fast_span *span = fast_span_of(fast, block);
    if (block_fits(fast, span, bytes))
        return block;
    size_t block_bytes = span_block_bytes(fast, span);
    void *moved = fast_malloc(fast, bytes);
    if (moved) {
        memcpy(moved, block, bytes < block_bytes ? bytes : block_bytes);
        fast_free(fast, block);
    }
    return moved;
}

void *fast_aligned_alloc(struct fast *fast, size_t align_bytes, size_t bytes) {
    if (align_bytes <= FAST_ALIGN_BYTES)
        return fast_malloc(fast, bytes);
    void *block = raw_aligned_alloc(align_bytes, bytes);
    fast->raw_block_count += block != NULL;
    return block;
}
